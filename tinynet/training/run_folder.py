"""The folder of a run: whose it is, and what lies in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinynet.errors import FolderError
from tinynet.training import checkpoint

LOG = "log.jsonl"
PICTURES = ("curves.png", "kernels.png", "predictions.png")


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """A context in which a new run writes its first checkpoint: makes the folder and an empty log.

    A run that ends before it has a checkpoint leaves no log, so that the folder can be used again. Raises
    FolderError if something would be lost, or the folder cannot be written.
    """
    if begun(out):
        raise FolderError(f"{out} holds a run already; choose another folder", run=out)
    for name in (LOG, *PICTURES):
        if os.path.exists(out / name):
            raise FolderError(f"{out} holds {name} already; remove what is there, or choose another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / LOG).touch(exist_ok=False)
    except OSError as error:
        raise FolderError(f"{out} cannot be written ({error.strerror}); choose another folder") from error
    try:
        yield
    except BaseException:
        if not begun(out):
            (out / LOG).unlink(missing_ok=True)
        raise


def begun(out: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return os.path.exists(out / checkpoint.NAME)  # False too where the name is too long
