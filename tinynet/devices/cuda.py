"""CUDA devices: what can be said about them before any kernel runs.

CuPy is imported here and nowhere earlier, and any exception it raises while it is imported counts as "no CuPy": broken
installations raise much more than ImportError.
"""

from tinynet.devices.device import Device
from tinynet.errors import DeviceError

_INSTALL = (
    "pip install 'tinynet[cuda12]' (or [cuda13], as your driver has it) provides it, "
    "but this version of tinynet has no CUDA kernels yet, so run with --device cpu"
)


class CUDA(Device):
    """`cuda:0`, `cuda:1`, ...: raises DeviceError with the reason and the remedy when the GPU cannot be used."""

    __slots__ = ()

    def __init__(self, index: int):
        name = f"cuda:{index}"
        try:
            import cupy
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and error.name == "cupy":
                raise DeviceError(f"device {name} needs CuPy, which is not installed: {_INSTALL}") from error
            raise DeviceError(f"device {name} needs CuPy, which fails to import ({error}): {_INSTALL}") from error
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except Exception as error:
            raise DeviceError(f"device {name}: {_why_no_gpu(cupy, error)}") from error
        if count == 0:
            raise DeviceError(f"device {name}: {_why_no_gpu(cupy, 'the driver counts 0 of them')}")
        if index >= count:
            raise DeviceError(f"device {name} does not exist: {count} GPU(s) visible, cuda:0 to cuda:{count - 1}")
        raise DeviceError(f"device {name}: this version of tinynet has no CUDA kernels yet; run with --device cpu")


def _why_no_gpu(cupy, error) -> str:
    try:
        driver = cupy.cuda.runtime.driverGetVersion()
        runtime = cupy.cuda.runtime.runtimeGetVersion()
    except Exception:
        driver = runtime = 0
    if driver == 0:
        return "no NVIDIA driver was found; install one, or run with --device cpu"
    if driver < runtime:
        have, need = (f"{v // 1000}.{v % 1000 // 10}" for v in (driver, runtime))
        return f"the NVIDIA driver supports CUDA {have} but this CuPy needs {need}; update the driver"
    return f"no GPU is visible ({error}); check nvidia-smi and CUDA_VISIBLE_DEVICES, or run with --device cpu"
