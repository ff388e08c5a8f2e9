"""The parts of a data set by the names of their folders: training, validation and test, as people spell them."""

import re
from dataclasses import dataclass
from pathlib import Path

from tinynet.errors import DataError

_TRAIN = ("train", "training")
# In this order: a test set is for the end, if there is something else to validate on.
_VALIDATION = ("val", "validation", "valid", "dev", "eval", "evaluation", "test", "testing")
# Words that say nothing about which part it is: "Training Set", "test_images", "seg_train".
_FILLERS = {"a", "class", "classes", "data", "dataset", "image", "images", "img", "imgs", "of", "photos", "pictures", "seg",
            "set", "split", "the"}  # fmt: skip


@dataclass(frozen=True)
class Parts:
    """The folder to train on, and those to validate on, the best first."""

    train: Path
    validation: list[Path]


def find(root: Path, names: list[str]) -> Parts | None:
    """The parts of a data set among the folders `names` of `root`; None if these are its classes.

    A name counts by its only word of "train", "training"; "val", "validation", "valid", "dev", "eval", "evaluation";
    "test", "testing", in any case and beside words like "set" or "images", and digits. There are parts where there is one to
    train on and one of another kind, or nothing beside it; else a folder "train" is a class, such as bus and car beside it.
    A part that holds nothing but a folder of the same kind is that folder. Raises DataError for two to train on.
    """
    kinds = {name: word for name in names if (word := _word(name))}
    train = [name for name in kinds if kinds[name] in _TRAIN]
    if not train or (len(kinds) == len(train) and len(names) > len(train)):
        return None
    if len(train) > 1:
        train = [name for name in train if name == "train"] or train
    if len(train) > 1:
        listed = " and ".join(map(repr, train))
        raise DataError(f"{root} has several folders to train on, {listed}: give one of them another name")
    rest = sorted((name for name in kinds if kinds[name] not in _TRAIN), key=lambda n: (_VALIDATION.index(kinds[n]), n))
    return Parts(_innermost(root / train[0]), [_innermost(root / name) for name in rest])


def is_test(name: str) -> bool:
    """Whether a folder is called a test set."""
    return _word(name) in ("test", "testing")


def _word(name: str) -> str | None:
    """The word by which a folder is a part of a data set."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)  # trainImages
    words = [word for word in re.split(r"[^a-z]+", spaced.lower()) if word and word not in _FILLERS]
    return words[0] if len(words) == 1 and words[0] in (*_TRAIN, *_VALIDATION) else None


def _innermost(folder: Path) -> Path:
    """seg_train/seg_train/buildings: what an archive has left in a folder of its own name."""
    inside = [path for path in folder.iterdir() if not path.name.startswith(".")]
    if len(inside) == 1 and inside[0].is_dir() and _word(inside[0].name) == _word(folder.name):
        return _innermost(inside[0])
    return folder
