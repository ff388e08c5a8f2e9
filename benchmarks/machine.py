"""The machine, the engines that are installed on it, and the number of threads that all of them get."""

import importlib
import importlib.metadata
import os
import platform
import warnings

import numpy as np
from threadpoolctl import threadpool_info

from tinynet.kernels.cpu import parallel

ENGINES = {  # name -> (module, what to install)
    "tinynet": ("tinynet", "tinynet"),
    "pytorch": ("torch", "torch==2.13.0"),
    "mygrad": ("mygrad", "mygrad"),
    "pydynet": ("pydynet", "pydynet"),
}


def find_engines(wanted=None):
    """(name -> version of each wanted engine that imports, name -> one line for each that does not); None: all."""
    found, missing = {}, {}
    for name in wanted or ENGINES:
        module, requirement = ENGINES[name]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydynet's, that there is no CuPy
                imported = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name == module:
                missing[name] = f"{name} is not installed; to see it here: pip install {requirement}"
            else:
                missing[name] = f"{name} does not import: it needs {error.name}"
        except Exception as error:  # whatever a peer's import may raise, the others are still measured
            reason = (str(error).splitlines() or [""])[0]
            missing[name] = f"{name} does not import: {type(error).__name__}: {reason}"
        else:
            found[name] = getattr(imported, "__version__", None) or importlib.metadata.version(module)
    return found, missing


def set_threads(count, engines):
    """Give every engine, and NumPy's BLAS, the same number of threads (None: tinynet's own choice); returns it."""
    if count is not None:
        parallel.use_threads(count)
    if "pytorch" in engines:
        import torch

        torch.set_num_threads(parallel.threads())
    return parallel.threads()


def describe(engines, threads):
    """The machine as a dict for people and machines; keys never change within a schema."""
    # PyTorch may bring a BLAS of its own: the one that NumPy uses lies beside NumPy.
    numpy_home = os.path.dirname(os.path.dirname(np.__file__))
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    blas = next((library for library in libraries if library["filepath"].startswith(numpy_home + "/numpy")), None)
    blas = blas or (libraries[0] if libraries else {})
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas.get('internal_api', 'unknown')} {blas.get('version') or ''}".strip(),
        "blas_kernels": blas.get("architecture"),
        "blas_threads": blas.get("num_threads"),
        "threads": threads,
        "torch": engines.get("pytorch"),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def usable_cores():
    """How many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu_model():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
