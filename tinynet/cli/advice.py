"""What to type: the option that mends an error of the library, and the command that goes on with a run."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from tinynet.data import TooManyPixels
from tinynet.errors import DivergenceError, FolderError, OutOfMemoryError, UnusableDeviceError


def advised(error: Exception) -> str:
    """The sentence of an error, with the option that mends it where there is one."""
    match error:
        case OutOfMemoryError():
            return f"{error}: {_less_memory(error)}"
        case UnusableDeviceError():
            return f"{error}, or run with --device cpu"
        case TooManyPixels():
            return f"{error}, or raise --max-pixels"
        case DivergenceError():
            return f"{error}; start again with --lr {error.lr / 10:g}"
        case FolderError():  # whose last word is "folder"
            return f"{error} with --out{f', or --resume {quoted(error.run)}' if error.run else ''}"
        case MemoryError():  # outside of the network: images, what is saved
            return f"the memory is full ({error}): lower --width, --batch or --image-size"
    return str(error)


def _less_memory(error: OutOfMemoryError) -> str:
    if error.doing == "building":
        return "lower --width or give another --device"
    if error.doing == "predicting":
        return "give another --device"
    return f"lower --batch or {'--workspace' if error.place.kind == 'cuda' else '--width'}"


def command(name: str) -> str:
    """How the program `name`.py was started, to be pasted into a shell; the usual way, where it is part of another one."""
    script = sys.argv[0]
    if Path(script).stem != name:
        return f"python {name}.py"
    if script.endswith(".py"):
        return shlex.join(sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])])
    called = os.path.basename(script)
    return quoted(called if shutil.which(called) == script else script)


def how_to_resume(name: str, out: Path) -> str:
    """The command of the program `name`.py that goes on with the run in a folder."""
    return f"{command(name)} --resume {quoted(out)}"


def quoted(path: str | Path) -> str:
    return shlex.quote(str(path))
