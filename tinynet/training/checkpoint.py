"""Checkpoints: one safetensors file with everything that a run needs to go on exactly where it stopped.

Arrays are `model.<name>`, `velocity.<name>` and what the run adds; all else is JSON in the header. A checkpoint is
written to a temporary file, which is renamed once it is on the disk: there is a whole one at every moment, also after
a power cut.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from tinynet.errors import CheckpointError, FolderError, TinynetError
from tinynet.files import replacing
from tinynet.nn import Module

FORMAT = "tinynet-1"
NAME = "checkpoint.safetensors"


def save(path: str | Path, arrays: Mapping[str, np.ndarray], state: dict) -> None:
    """Write arrays (name -> NumPy array) and `state` (JSON-able) to `path`, replacing what was there in one go.

    Raises FolderError, after which what was there is there still.
    """
    path = Path(path)
    try:
        with replacing(path) as temporary:
            arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
            temporary.touch()
            mode = temporary.stat().st_mode
            save_file(arrays, temporary, {"format": FORMAT, "state": json.dumps(state)})
            temporary.chmod(mode)  # safetensors makes files that nobody but their owner may read
    except (OSError, SafetensorError) as error:
        raise FolderError(f"{path} could not be written ({error}); free some space, or choose another folder") from error


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the state in a checkpoint, given its file or its folder.

    Raises CheckpointError when there is no such file, or when it was not written by `save`.
    """
    path = Path(path)
    try:
        path = path / NAME if path.is_dir() else path
        if not path.exists():
            raise CheckpointError(f"there is no checkpoint at {path}; expected the {NAME} of a run, or its folder")
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise CheckpointError(f"{path} was not written by tinynet; expected the {NAME} of a run")
            return {name: file.get_tensor(name) for name in file.keys()}, json.loads(header["state"])  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path} is not a checkpoint, or is damaged ({error})") from error


@contextlib.contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Inside, what a checkpoint lacks, or has in another form than this version saves it, becomes a CheckpointError."""
    try:
        yield
    except TinynetError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise CheckpointError(f"{path} was written by another version of tinynet, or is damaged ({why})") from error


def restore(model: Module, arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Give the model the `model.` arrays of a checkpoint; raises CheckpointError if they are those of another network."""
    try:
        model.load_state_dict({k.removeprefix("model."): v for k, v in arrays.items() if k.startswith("model.")})
    except ValueError as error:
        raise CheckpointError(f"{path} is the checkpoint of another network: {error}") from error
