"""Every CUDA kernel compiles for GPUs from 2017 to 2022 and keeps its numbers in registers; no GPU or driver is needed.

It needs CuPy for CUDA 12, and the compiler and headers that CuPy calls:
pip install cupy-cuda12x==14.2.0 'nvidia-cuda-nvrtc-cu12==12.9.*' 'nvidia-cuda-runtime-cu12==12.9.*'
"""

import importlib.metadata
import io
import re
import types
import warnings

import numpy as np
import pytest

PACKAGES = ["cupy-cuda12x", "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-runtime-cu12"]
MISSING = [name for name in PACKAGES if not any(importlib.metadata.distributions(name=name))]
if MISSING:
    pytest.skip(f"not installed: {', '.join(MISSING)}; see the first lines of {__name__}.py", allow_module_level=True)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that there is no CUDA toolkit
    import cupy
    from cupy._core import _kernel, _scalar, core
    from cupy._core._carray import Indexer
    from cupy.cuda import compiler

from benchmarks.gpu_rehearsal import played_cupy  # noqa: E402
from tinynet.kernels.cuda import threads  # noqa: E402

# The inputs that are arrays without being raw; others are numbers.
ARRAYS = {"relu_backward": ["g", "y"], "sgd": ["g"], "dropout": ["x", "mask"], "exp_below": ["z", "top"]}
ARCHITECTURES = ["70", "80", "90"]  # V100, A100, H100
NDARRAY, INDEXER, SCALAR = 1, 2, 3  # CuPy's numbers for kinds of arguments
HEADER = "".join(f"#include <{name}>\n" for name in core._cupy_header_list)
VERSIONS = {
    kernel.name: kernel
    for value in vars(threads).values()
    for kernel in (value.versions.values() if isinstance(value, threads.Kernel) else [value])
    if isinstance(kernel, cupy.ElementwiseKernel)
}


def source(kernel, dtype, winner=np.uint8):
    """The text that CuPy gives to the compiler for arrays of `dtype`: the kernel's own, between what CuPy adds."""
    kinds = {"T": np.dtype(dtype), "W": np.dtype(winner), "L": np.dtype(np.int64), "M": np.dtype(bool)}
    short = not kernel.name.endswith("64")

    def is_array(p):
        return p.raw or p in kernel.out_params or p.name in ARRAYS.get(kernel.name, [])

    # As in a call, CuPy knows the types of arrays and decides those of numbers.
    given = [tuple(kinds[p.ctype] if is_array(p) else None for p in ps) for ps in (kernel.in_params, kernel.out_params)]
    in_types, out_types, mapped = _kernel._decide_params_type(kernel.in_params, kernel.out_params, *given)
    infos = [
        _kernel._ArgInfo(NDARRAY, cupy.ndarray, np.dtype(kind), 4 if p.raw else 1, True, short)
        if is_array(p)
        else _kernel._ArgInfo(SCALAR, _scalar.CScalar, np.dtype(kind), 0, True, True)
        for p, kind in zip(kernel.params, in_types + out_types, strict=False)
    ]
    infos.append(_kernel._ArgInfo(INDEXER, Indexer, None, 1, True, short))
    return _kernel._get_elementwise_kernel_code(
        tuple(infos), mapped, kernel.params, kernel.operation, kernel.name, kernel.preamble
    )


def compiled(text, architecture):
    """(machine code, what the assembler says about registers); raises CompileException with the compiler's messages."""
    options = ("-ftz=true", f"-arch=sm_{architecture}", "--device-as-default-execution-space", "--ptxas-options=-v")
    log = io.StringIO()
    program = compiler._NVRTCProgram(HEADER + text, "kernel.cu", method="cubin")
    return program.compile((*core.assemble_cupy_compiler_options(()), *options), log)[0], log.getvalue()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", VERSIONS)
def test_every_kernel_compiles_and_stays_in_registers(name, architecture):
    for dtype in (np.float32, np.float64):
        code, said = compiled(source(VERSIONS[name], dtype), architecture)
        assert code[:4] == b"\x7fELF", "no machine code"
        assert re.search(r"Used \d+ registers", said), said
        assert set(re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", said)) == {"0"}, said


def test_all_kernels_are_there():
    assert len(VERSIONS) == 2 * 12 + 4


def test_a_mistake_is_reported_with_its_line():
    kernel = cupy.ElementwiseKernel("raw T x", "raw T y", "y[i] = z[i];", "relu_backward")
    with pytest.raises(compiler.CompileException, match='identifier "z" is undefined'):
        compiled(source(kernel, np.float32), "80")


def test_the_stand_ins_have_no_name_that_cupy_lacks():
    def compare(played, real, where):
        for name, value in vars(played).items():
            if not name.startswith("__"):
                assert hasattr(real, name) or name == "compute_types", f"{where}.{name}"
                if isinstance(value, types.SimpleNamespace):
                    compare(value, getattr(real, name), f"{where}.{name}")

    compare(played_cupy()[0], cupy, "cupy")
