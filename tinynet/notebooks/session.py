"""What a chapter calls: how it begins, what it claims, the photograph it looks at; and what it did, for the checker."""

import json
import os
import platform
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

import tinynet
from tinynet.data.decode import EXTENSIONS, decode
from tinynet.errors import DataError, UsageError
from tinynet.exercises.notebook import states

_claims: list[str] = []


def begin(chapter: int) -> np.random.Generator:
    """Set figures up, say what runs here, and return the chapter's generator of random numbers: seed `chapter`.

    Warnings from tinynet become errors, so that a chapter cannot hide one. Outside of a notebook it sets up no figures.
    """
    warnings.filterwarnings("error", module="tinynet")
    _claims.clear()
    states.clear()
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if shell is not None and hasattr(shell, "kernel"):
        import matplotlib

        from tinynet.draw.page import STYLE

        settings: dict = STYLE | {"figure.dpi": 100, "savefig.dpi": 100, "figure.figsize": (7.2, 3.6)}
        matplotlib.rcParams.update(settings)
        shell.run_line_magic("config", "InlineBackend.print_figure_kwargs = {'metadata': {'Software': None}}")
    print(f"tinynet {tinynet.__version__}, NumPy {np.__version__}, Python {platform.python_version()}")
    return np.random.default_rng(chapter)


def claim(sentence: str, holds: bool) -> None:
    """Print a sentence that the chapter relies on; raises AssertionError if it does not hold, so the chapter stops."""
    if not isinstance(holds, (bool, np.bool_)):
        raise TypeError(f"claim: expected True or False beside the sentence, got {type(holds).__name__}: {sentence}")
    if not holds:
        raise AssertionError(f"this does not hold here: {sentence}")
    _claims.append(sentence)
    print(f"holds: {sentence}")


def photo(size: int = 256) -> np.ndarray:
    """A photograph, uint8 (3, size, size): the first in the folder TINYNET_DATA if that is set, else Matplotlib's own.

    Its shorter side becomes `size` pixels and the middle square is cut out, as in section 2 of the paper. Raises DataError
    if the folder has no picture that can be read.
    """
    folder = os.environ.get("TINYNET_DATA")
    if folder:
        files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in EXTENSIONS)
        if not files:
            raise DataError(f"photo: TINYNET_DATA={folder} holds no pictures; name a folder that does, or unset it")
        file = files[0]
    else:
        import matplotlib.cbook

        file = Path(str(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)))
    return decode(file, size)


class Outcome(NamedTuple):
    """What a chapter did: seconds of CPU, claims that held, and how each exercise was judged."""

    cpu: float
    claims: list[str]
    exercises: dict[str, str]


def outcome() -> None:
    """Print the Outcome so far as JSON, for the checker."""
    cpu = sum(os.times()[:4])  # of this process, and of those that it started
    print(json.dumps(Outcome(cpu, _claims, states)._asdict()))


def chapter_folder() -> Path:
    """The folder `notebooks/` of the repository; raises UsageError where tinynet was installed without it."""
    folder = Path(tinynet.__file__).resolve().parents[1] / "notebooks"
    if not (folder / "src").is_dir():
        raise UsageError(
            f"there are no chapters in {folder}; they are in tinynet's repository, not in the installed package: "
            'clone it, and in its folder pip install -e ".[notebooks]"'
        )
    return folder
