"""A machine without a GPU plays one with a GPU, so that `gpu.py` is run from end to end before it meets a real one.

CuPy's place is taken by the stand-in that the tests use (tests/cupy_double.py): kernels run on the CPU, one thread after
the other. Every number is measured at tiny sizes and means nothing.
"""

import contextlib
import sys
import types
from pathlib import Path
from unittest import mock

import numpy as np

import tinynet as tn
from benchmarks.gpu_lab import Lab, Plan
from tinynet.devices import Device

SIZES = dict(
    width=0.05, image_size=64, classes=10, batches=(2,), batch=2, same_batch=2, same_steps=2, rounds=1, turn_seconds=0.0,
    gemm=64, copy=1 << 16, workspaces=(1 << 12, 1 << 20),
    tests="tests/kernels/test_cuda_kernels.py::test_a_workspace_has_a_size",
    train_on="cpu", data_sizes=("--width", "0.05", "--epochs", "1"),
    draw_on="cpu:0,cpu:1", draw_sizes=("--width", "0.05", "--image-size", "64", "--batch", "16"),
)  # fmt: skip


class Played(Device):
    """A device whose arrays are NumPy's and whose kernels are those of a GPU."""

    def array(self, host):
        return np.asarray(host)

    def numpy(self, array):
        return array

    def fetch(self, array, source):
        return np.array(source.numpy(array))


class PlayedGPU(contextlib.nullcontext):
    """A GPU as CuPy has it: can be made current, and waited for."""

    def synchronize(self):
        pass


def played_cupy():
    """The stand-in for CuPy, with the names that the benchmarks use beside the kernels' own."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    try:
        import cupy_double
    finally:
        del sys.path[0]
    cupy, kernels = cupy_double.double(), cupy_double.load()
    gpu = dict(name=b"no GPU: a rehearsal", totalGlobalMem=0, major=0, minor=0)
    runtime = dict(
        getDeviceCount=lambda: 1, getDeviceProperties=lambda index: gpu,
        driverGetVersion=lambda: 0, runtimeGetVersion=lambda: 0,
    )  # fmt: skip
    cupy.cuda = types.SimpleNamespace(runtime=types.SimpleNamespace(**runtime), Device=PlayedGPU)
    pool = types.SimpleNamespace(free_all_blocks=lambda: None, total_bytes=lambda: 0)
    cupy.get_default_memory_pool = lambda: pool
    cupy.asarray, cupy.copyto = np.asarray, np.copyto
    return cupy, kernels


@contextlib.contextmanager
def rehearsal(minutes):
    """A Lab on played devices, with PyTorch on the CPU if it is installed."""
    try:
        import torch
    except ModuleNotFoundError:
        torch = None
    cupy, kernels = played_cupy()
    known, real = {}, tn.devices

    def devices(names):
        if not names.startswith("cuda"):
            return real(names)
        keys = [(name, names[:i].count(name)) for i, name in enumerate(names.split(","))]
        return [known.setdefault((name, n), Played("cuda", int(name[-1]), np, kernels)) for name, n in keys]

    with mock.patch.object(tn, "devices", devices):
        yield Lab(Plan(minutes=minutes, **SIZES), cupy, torch, "cpu", ("cpu_op",))
