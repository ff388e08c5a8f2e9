"""CUDA devices: a GPU and a stream of its own, by CuPy.

CuPy is imported here and nowhere earlier, and any exception it raises while it is imported counts as "no CuPy": broken
installations raise much more than ImportError. Everything that can be wrong with a machine is found when a device is
made, and said in one sentence with its remedy.
"""

import os
import re
from importlib import import_module, metadata

import numpy as np

from tinynet.devices.streams import UPLOADS, Streamed
from tinynet.errors import UnusableDeviceError, UsageError

INSTALL = "pip install 'tinynet[cuda12]' (or [cuda13], as your driver has it)"
REINSTALL = f"reinstall CuPy with its libraries: {INSTALL}"


class CUDA(Streamed):
    """`cuda:0`, `cuda:1`, ...: written twice in one list, two streams of one GPU.

    Raises UnusableDeviceError with the reason and the remedy when the GPU cannot be used.
    """

    __slots__ = ("_gpu", "_stream")

    def __init__(self, index: int, number: int = 0):
        name = f"cuda:{index}"
        cupy = import_cupy(name)
        check_gpus(cupy, index)
        super().__init__("cuda", index, cupy, None, number)
        # Two streams of one GPU share a cuBLAS handle: with workspaces of a fixed size, one each, their products repeat bit
        # for bit. 32 MiB is what cuBLAS's documentation advises for Hopper, 4 MiB for older GPUs: it is where long sums meet
        # that are split over many processors.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":32768:2")
        self._gpu = cupy.cuda.Device(index)
        try:
            with self._gpu:
                # Non-blocking: work that somebody else puts into the default stream neither waits for ours nor stops it.
                self._stream = cupy.cuda.Stream(non_blocking=True)
            if number == UPLOADS:
                return
            with self:
                ones = cupy.ones((2, 2), cupy.float32)  # the first use loads NVRTC, the first product cuBLAS
                self.numpy(ones @ ones + ones)
                self.kernels = import_module("tinynet.kernels.cuda")
        except Exception as error:
            raise UnusableDeviceError(f"device {name}: {why_unusable(cupy, self._gpu, error)}") from error

    def stage(self, host):
        return self._stage(np.asarray(host))

    def configure(self, tf32=None, workspace=None):
        if tf32 and int(capability := self._gpu.compute_capability) < 80:
            raise UsageError(f"tf32 needs sm_80 or newer, and {self.name} is sm_{capability}; leave it out")
        if tf32 is not None:
            with self:  # CuPy asks the current GPU whether it has TF32
                self.kernels.tf32(tf32)
        if workspace is not None:
            self.kernels.use_workspace(workspace)

    def out_of_memory(self, error):
        full = isinstance(error, self.xp.cuda.memory.OutOfMemoryError)
        if not full and not re.search("CUBLAS_STATUS_(NOT_INITIALIZED|ALLOC_FAILED)", str(error)):
            return None
        free, total = self._gpu.mem_info
        return f" ({(total - free) / 2**30:.1f} of {total / 2**30:.1f} GiB used)"

    # the primitives: each is one call, so that what `streams.py` orders is what CUDA is asked to do ---------------------

    def _enter(self):
        self._gpu.__enter__()  # first, because CuPy refuses the stream of another GPU than the current one
        self._stream.__enter__()

    def _leave(self):
        self._stream.__exit__(None, None, None)
        self._gpu.__exit__(None, None, None)

    def record(self):
        with self._gpu:  # an event belongs to the GPU that is current when it is made
            return self._stream.record(self.xp.cuda.Event(disable_timing=True))

    def wait(self, event):
        self._stream.wait_event(event)

    def _stream_for_uploads(self):
        return CUDA(self.index, UPLOADS)

    def _stage(self, host):
        if isinstance(host.base, self.xp.cuda.PinnedMemoryPointer):
            return host  # it was staged by the thread that loaded it
        staged = self._pinned(host.shape, host.dtype)
        staged[...] = host
        return staged

    def _pinned(self, shape, dtype):
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        with self._gpu:  # whichever thread this is
            block = self.xp.cuda.alloc_pinned_memory(max(size, 1))
        return np.ndarray(shape, dtype, buffer=block)

    def _read(self, staged):
        return np.array(staged)  # a copy, because pinned memory is scarce and a user may keep the values for long

    def _upload(self, staged):
        array = self.xp.empty(staged.shape, staged.dtype)
        if array.nbytes:
            array.data.copy_from_host_async(staged.ctypes.data, array.nbytes, self._stream)
        return array

    def _download(self, array):
        staged = self._pinned(array.shape, array.dtype)
        if array.nbytes:
            array.data.copy_to_host_async(staged.ctypes.data, array.nbytes, self._stream)
        return staged

    def _copy(self, cargo):
        array = self.xp.empty(cargo.shape, cargo.dtype)
        if array.nbytes:
            array.data.copy_from_device_async(cargo.data, array.nbytes, self._stream)
        return array

    def stamp(self):
        with self._gpu:
            return self._stream.record(self.xp.cuda.Event())

    def seconds(self, start, stop):
        return self.xp.cuda.get_elapsed_time(start, stop) / 1000


def import_cupy(name: str):
    """The module cupy; raises UnusableDeviceError if there is none, two, or a broken one."""
    wheels = sorted({found for d in metadata.distributions() if is_cupy(found := d.metadata["Name"] or "")})
    if len(wheels) > 1:
        raise UnusableDeviceError(
            f"device {name}: two CuPy packages are installed and overwrite each other ({', '.join(wheels)}); "
            f"pip uninstall {' '.join(wheels)}, then install one"
        )
    try:
        import cupy
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
            raise UnusableDeviceError(f"device {name} needs CuPy, which is not installed: {INSTALL}") from error
        why = " ".join(str(error).split())
        raise UnusableDeviceError(f"device {name} needs CuPy, which fails to import ({why}): {REINSTALL}") from error
    return cupy


def is_cupy(distribution: str) -> bool:
    """Whether this is the name of one of CuPy's packages, all of which bring the same module."""
    return re.fullmatch(r"cupy([-_]cuda\d+x?|[-_]rocm[-_\d]+)?", distribution) is not None


def check_gpus(cupy, index: int) -> None:
    """Raises UnusableDeviceError if GPU `index` is not there."""
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise UnusableDeviceError(f"device cuda:{index}: {why_no_gpu(cupy, error)}") from error
    if count == 0:
        raise UnusableDeviceError(f"device cuda:{index}: {why_no_gpu(cupy, 'the driver counts 0 of them')}")
    if index >= count:
        there = "1 GPU is visible, cuda:0" if count == 1 else f"{count} GPUs are visible, cuda:0 to cuda:{count - 1}"
        raise UnusableDeviceError(f"device cuda:{index} does not exist: {there}")


def why_no_gpu(cupy, error) -> str:
    """Reason and remedy when the driver counts no GPU."""
    try:
        driver = cupy.cuda.runtime.driverGetVersion()
        runtime = cupy.cuda.runtime.runtimeGetVersion()
    except Exception:
        driver = runtime = 0
    if driver == 0:
        return "no NVIDIA driver was found; install one"
    if driver < runtime:
        have, need = (f"{v // 1000}.{v % 1000 // 10}" for v in (driver, runtime))
        return (
            f"the NVIDIA driver supports CUDA {have} but this CuPy needs {need}; "
            f"update it, or install tinynet[cuda{driver // 1000}]"
        )
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    setting = "is not set" if visible is None else f"is {visible!r}"
    return f"no GPU is visible ({error}); check nvidia-smi and CUDA_VISIBLE_DEVICES, which {setting}"


def why_unusable(cupy, gpu, error) -> str:
    """Reason and remedy when a GPU is there but a first small computation fails."""
    text = " ".join(str(error).split())
    if re.search("NotFound|Failure finding|cannot open shared object|libnvrtc|libcublas", f"{type(error).__name__} {text}"):
        return f"CUDA libraries are missing ({text}); {REINSTALL}"
    if isinstance(error, MemoryError) or "CUBLAS_STATUS_NOT_INITIALIZED" in text:
        return f"its memory is full ({text}); see with nvidia-smi who uses it, or name another GPU"
    if re.search("NoKernelImage|UnsupportedPtx", text):
        return f"its architecture, sm_{gpu.compute_capability}, is not supported by this CuPy ({text}); install another one"
    if "DevicesUnavailable" in text:
        return f"another process has it for itself ({text}); see with nvidia-smi who, or name another GPU"
    return f"a first small computation fails ({type(error).__name__}: {text}); check nvidia-smi"
