"""What a data set is, whether it is the same as before, and when too many of its images are broken to go on."""

import hashlib
from typing import Protocol

import numpy as np

from tinynet.errors import DataError


class Dataset(Protocol):
    """Labelled square RGB images that can be asked for by number, from any thread.

    `classes[i]` is the readable name of label `i`; `labels` is int64 (n,); `size` is the stored side in pixels;
    `source` is one line saying what this is. `tried` counts the different images looked at so far and `broken`
    names those of them that could not be decoded, each once.
    """

    classes: list[str]
    labels: np.ndarray
    size: int
    source: str
    broken: list[str]
    tried: int

    def __len__(self) -> int: ...

    def image(self, i: int) -> np.ndarray | None:
        """Image `i`: uint8 (3, size, size), RGB, read-only; None when its file is broken."""

    def name(self, i: int) -> str:
        """Where image `i` comes from: a path, or a short description."""


def check_broken(dataset: Dataset) -> None:
    """Raise DataError when most of the images are broken; a few broken ones are nobody's emergency.

    Most means more than half of the whole set, or so many more than half of those tried, 4 standard deviations of a
    fair coin (2 sqrt(tried)), that the rest is not worth waiting for: 17 broken out of 17, 240 out of 400.
    """
    broken = len(dataset.broken)
    if not broken:
        return
    tried = dataset.tried
    if 2 * broken > len(dataset) or broken - tried / 2 > 2 * tried**0.5:
        raise DataError(
            f"{broken} of the {tried} images looked at in {dataset.source.split(': ')[0]} cannot be decoded, for "
            f"instance {dataset.broken[0]}; check that they were copied or unpacked completely and are images at all"
        )


def look_at(dataset: Dataset) -> None:
    """Raise DataError if no image can be decoded, before somebody waits for the first; looks at images until one can."""
    for i in range(len(dataset)):
        if dataset.image(i) is not None:
            return
        check_broken(dataset)


def fingerprint(dataset: Dataset, root: str | None = None) -> str:
    """A hash of the names of the images, below the folder `root`, and of their labels: the same set has the same."""
    found = hashlib.sha256(dataset.labels.tobytes())
    for i in range(len(dataset)):
        found.update(dataset.name(i).removeprefix(root or "").encode("utf-8", "surrogateescape") + b"\0")
    return found.hexdigest()
