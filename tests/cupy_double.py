"""A stand-in for CuPy without a GPU: kernels/cuda/ runs on NumPy arrays, its kernels on the CPU.

The text of an `ElementwiseKernel` is compiled by a C++ compiler, one thread after the other in a loop, and called with the
arguments that `kernels/cuda/` passes: so whole functions are tested, launches included. More than a GPU would say is
checked on the way: an index outside of an array, undefined arithmetic (-fsanitize=undefined: overflow of a signed
integer, division by zero), an element of the result that two threads touch, which on a GPU would be a race, and, since
fresh memory is full of NaN, an element that no thread writes. What CuPy refuses is refused here too: other
argument types, a size beside arrays that have one, `dot` into memory that it cannot write.

What runs in parallel on a GPU runs one after the other here; the order of threads, float32 arithmetic that is fused or
flushes tiny numbers to zero, and CuPy itself are not tested.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import types
from functools import cache
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest

from tinynet import kernels

COMPILER = next(filter(None, (shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++"))), None)
FLAGS = ["-std=c++17", "-O1", "-w", "-fPIC", "-shared", "-fsanitize=undefined", "-nodefaultlibs", "-lm", "-lc"]
BUILT = Path(__file__).parents[1] / "build" / "kernels"  # compiled kernels, by the hash of their text

# Sanitizer functions are ours, so that they end the kernel and tell Python, instead of printing or aborting.
PRELUDE = r"""
#include <setjmp.h>
#include <stddef.h>
#define __device__ inline
static jmp_buf out;
static const char *trouble;
static ptrdiff_t thread;
[[noreturn]] static void stop(const char *what) { trouble = what; longjmp(out, 1); }
#define UNDEFINED(what) extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_##what() { stop(#what); }
UNDEFINED(add_overflow) UNDEFINED(sub_overflow) UNDEFINED(mul_overflow) UNDEFINED(negate_overflow)
UNDEFINED(divrem_overflow) UNDEFINED(shift_out_of_bounds) UNDEFINED(out_of_bounds) UNDEFINED(type_mismatch_v1)
UNDEFINED(pointer_overflow) UNDEFINED(load_invalid_value) UNDEFINED(builtin_unreachable) UNDEFINED(missing_return)
namespace device {
inline float sqrt(float x) { return __builtin_sqrtf(x); }
inline double sqrt(double x) { return __builtin_sqrt(x); }
inline float rsqrt(float x) { return 1 / sqrt(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float exp(float x) { return __builtin_expf(x); }
inline double exp(double x) { return __builtin_exp(x); }
inline float log(float x) { return __builtin_logf(x); }
inline double log(double x) { return __builtin_log(x); }
inline float pow(float x, float y) { return __builtin_powf(x, y); }
inline double pow(double x, double y) { return __builtin_pow(x, y); }
template <typename T> struct Checked {
    T *data;
    ptrdiff_t length;
    ptrdiff_t *owner;
    const char *outside, *shared;
    T &operator[](ptrdiff_t at) const {
        if (at < 0 || at >= length) stop(outside);
        if (owner && owner[at] >= 0 && owner[at] != thread) stop(shared);
        if (owner) owner[at] = thread;
        return data[at];
    }
};
"""


class KernelError(AssertionError):
    """A kernel did what it must not do."""


class CompileError(RuntimeError):
    """A kernel is not C++."""


class ElementwiseKernel:
    """As CuPy's, for NumPy arrays. `launches` holds the names of all that ran."""

    launches: ClassVar = []

    def __init__(self, in_params, out_params, operation, name="kernel", preamble=""):
        self.in_params, self.out_params = _parameters(in_params), _parameters(out_params)
        self.params = self.in_params + self.out_params
        self.operation, self.name, self.preamble = operation, name, preamble
        assert "i" not in [p.name for p in self.params], "CuPy: 'i' cannot be a parameter"

    def __call__(self, *args, size=None):
        nin = len(self.in_params)
        assert len(args) in (nin, len(self.params)), f"{self.name}: {len(args)} arguments"
        types = self._types(args)
        flat = [a for a, p in zip(args, self.params, strict=False) if isinstance(a, np.ndarray) and not p.raw]
        assert (size is None) == bool(flat), f"{self.name}: CuPy wants a size if and only if all arrays are raw"
        shape = (size,) if size is not None else np.broadcast_shapes(*(a.shape for a in flat))
        outs = list(args[nin:]) or [empty(shape, np.dtype(types[p.type])) for p in self.out_params]
        assert all(p.raw or a.shape == shape for p, a in zip(self.out_params, outs, strict=True)), "out shape is mismatched"
        inputs = list(args[:nin])
        assert not any(
            p.raw and isinstance(a, np.ndarray) and np.shares_memory(a, b)
            for a, p in zip(inputs, self.in_params, strict=True)
            for b in outs
        ), f"{self.name}: reads the memory that it writes"
        self._run(inputs + outs, types, shape)
        ElementwiseKernel.launches.append(self.name)
        return outs[0] if len(outs) == 1 else tuple(outs)

    def _types(self, args):
        """Type of each placeholder, decided by arrays alone, as in CuPy: outputs first."""
        types = {}
        pairs = list(zip(self.params, args, strict=False))
        for p, a in pairs[len(self.in_params) :] + pairs[: len(self.in_params)]:
            if isinstance(a, np.ndarray):
                expected = types.setdefault(p.type, a.dtype) if len(p.type) == 1 else np.dtype(p.type)
                if expected != a.dtype:
                    raise TypeError(f"Type is mismatched. {self.name} {p.name} {a.dtype} {expected}")
            elif p in self.out_params or not isinstance(a, (int, float, np.number, np.bool_)):
                raise TypeError(f"{self.name}: {p.name} cannot be {type(a).__name__}")
        return {p.type: types[p.type] if len(p.type) == 1 else np.dtype(p.type) for p in self.params}

    def _run(self, arrays, types, shape):
        keep, owners, copies = [], [], []
        for a, p in zip(arrays, self.params, strict=True):
            dtype, given = types[p.type], a
            if not isinstance(a, np.ndarray):
                a = np.array(a).astype(dtype)
                assert p.type != "int32" or a == given, f"{self.name}: {p.name}={given} does not fit into int32"
            elif p.raw:
                assert a.flags.c_contiguous, f"{self.name}: {p.name} has gaps, CuPy would find each element by its strides"
            else:
                a = np.ascontiguousarray(np.broadcast_to(a, shape))
                copies += [(given, a)] if p in self.out_params and a is not given else []
            keep.append(a)
            owners.append(np.full(a.size, -1, np.int64) if p in self.out_params and p.raw else None)
        run = _compiled(self.source(types, [isinstance(a, np.ndarray) for a in arrays]))
        pointers = (ctypes.c_void_p * len(keep))(*(a.ctypes.data for a in keep))
        lengths = (ctypes.c_ssize_t * len(keep))(*(a.size for a in keep))
        owned = (ctypes.c_void_p * len(keep))(*(None if o is None else o.ctypes.data for o in owners))
        trouble = run(int(np.prod(shape)), pointers, lengths, owned)
        if trouble:
            raise KernelError(f"{self.name}: {trouble.decode()}")
        for original, copy in copies:
            original[...] = copy.reshape(original.shape)

    def source(self, types, arrays):
        """The C++ text: the kernel's own text in a loop over threads."""
        once, each = [], []
        for k, (p, array) in enumerate(zip(self.params, arrays, strict=True)):
            kind = ("const " if p in self.in_params else "") + _C[types[p.type].name]
            pointer = f"({kind} *)arguments[{k}]"
            if p.raw:
                said = f'"{p.name}: index out of bounds", "{p.name}: two threads at one element"'
                once.append(f"Checked<{kind}> {p.name} = {{{pointer}, lengths[{k}], owners[{k}], {said}}};")
            elif array:
                each.append(f"{kind} &{p.name} = ({pointer})[i];")
            else:
                once.append(f"{kind} {p.name} = *{pointer};")
        defined = [f"typedef {_C[t.name]} {name};" for name, t in types.items() if len(name) == 1]
        return "\n".join([
            PRELUDE, *defined, self.preamble, "}", "using namespace device;",
            'extern "C" const char *run(ptrdiff_t size, void **arguments, ptrdiff_t *lengths, ptrdiff_t **owners) {',
            "trouble = 0;", "if (setjmp(out)) return trouble;", *once,
            "for (ptrdiff_t i = 0; i < size; i++) {", "thread = i;", *each, self.operation, ";", "}",
            "return trouble;", "}",
        ])  # fmt: skip


_C = {"float32": "float", "float64": "double", "int32": "int", "int64": "long long", "uint8": "unsigned char",
      "uint16": "unsigned short", "bool": "bool"}  # fmt: skip


def _parameters(text):
    found = []
    for part in text.split(","):
        *words, kind, name = part.split()
        assert words in ([], ["raw"]), f"{part}: only `raw` is known"
        found.append(types.SimpleNamespace(raw=bool(words), type=kind, name=name))
    return found


@cache
def _compiled(source):
    digest = hashlib.sha256("\n".join([source, COMPILER, *FLAGS]).encode()).hexdigest()[:32]
    library = BUILT / f"{digest}.so"
    if not library.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILT) as folder:
            text, built = Path(folder, "kernel.cpp"), Path(folder, "kernel.so")
            text.write_text(source)
            done = subprocess.run([COMPILER, str(text), "-o", str(built), *FLAGS], capture_output=True, text=True)
            if done.returncode:
                raise CompileError(f"the kernel does not compile:\n{done.stderr}")
            os.replace(built, library)  # whole or not at all, whoever else is building it
    run = ctypes.CDLL(str(library)).run
    run.restype = ctypes.c_char_p
    run.argtypes = [ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    return run


# The other names that kernels/cuda/ uses ------------------------------------------------------------------------------


def empty(shape, dtype):
    """Memory as it may come: full of numbers that nobody could take for results."""
    a = np.empty(shape, dtype)
    a.fill(np.nan if a.dtype.kind == "f" else 0xA5)
    return a


def empty_like(a):
    return empty(a.shape, a.dtype)


def dot(a, b, out=None):
    """A product that CuPy gives to cuBLAS as it is: two matrices of one dtype, and a gapless result."""
    assert a.ndim == b.ndim == 2 and a.dtype == b.dtype, "dot: two matrices of one dtype"
    assert all(m.flags.c_contiguous or m.flags.f_contiguous for m in (a, b)), "dot: CuPy would copy an operand"
    if out is None:
        return np.dot(a, b)
    assert out.flags.c_contiguous and out.dtype == a.dtype, "dot: CuPy writes to a gapless array of the same dtype only"
    assert not np.may_share_memory(out, a) and not np.may_share_memory(out, b), "dot: CuPy would make a copy"
    return np.dot(a, b, out=out)


def double():
    """A module that can stand where `cupy` is imported."""
    module = types.ModuleType("cupy")
    kinds = types.SimpleNamespace(COMPUTE_TYPE_DEFAULT="default", COMPUTE_TYPE_TF32="tf32")
    module._core = types.SimpleNamespace(_routines_linalg=kinds, compute_types=[])
    module._core.set_compute_type = lambda dtype, kind: module._core.compute_types.append((np.dtype(dtype), kind))
    for one in (ElementwiseKernel, empty, empty_like, dot):
        setattr(module, one.__name__, one)
    for name in ("ndarray", "add", "ascontiguousarray", "maximum", "zeros"):
        setattr(module, name, getattr(np, name))
    return module


def load(*mutation):
    """tinynet.kernels.cuda with the double in CuPy's place; `mutation` is (where, old, new).

    A mutation replaces the first `old` that follows `where` in one of the files.
    """
    if COMPILER is None:
        pytest.skip("no C++ compiler: c++, g++ or clang++ would run the CUDA kernels on the CPU")
    package, changed = types.ModuleType("tinynet.kernels.cuda"), 0
    package.__path__ = []  # nothing is imported from it but what is put there below
    folder = Path(kernels.__path__[0], "cuda")
    others = sorted(path.name for path in folder.glob("*.py") if path.stem not in ("threads", "__init__"))
    with mock.patch.dict(sys.modules, {"cupy": double(), package.__name__: package}):
        for name in ("threads.py", *others, "__init__.py"):  # each after those that it imports
            path, module = folder / name, package
            text = path.read_text()
            if mutation and mutation[0] in text:
                head, where, tail = text.partition(mutation[0])
                assert mutation[1] in tail, f"{path}: nothing to change: {mutation}"
                text, changed = head + where + tail.replace(*mutation[1:], 1), changed + 1
            if path.stem != "__init__":
                module = types.ModuleType(f"{package.__name__}.{path.stem}")
                setattr(package, path.stem, module)
                sys.modules[module.__name__] = module
            exec(compile(text, str(path), "exec"), vars(module))
    assert changed == bool(mutation), f"the place is not there, or twice: {mutation}"
    return package
