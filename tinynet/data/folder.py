"""Images of one's own: a folder with a sub-folder per class, in any of the layouts that people have."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from tinynet.data.decode import EXTENSIONS, decode
from tinynet.errors import DataError

_VALIDATION = ("val", "validation", "valid", "test")
_ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".rar", ".7z")


def folder(
    path: str | os.PathLike, size: int = 256, seed: int = 0, val_fraction: float = 0.1, cache_bytes: int = 1 << 30
) -> tuple["ImageFolder", "ImageFolder"]:
    """The training and validation images of a folder, their shorter sides resized to ``size`` (paper section 2: 256).

    Layouts: DIR/<class>/...; DIR/train/<class>/... with DIR/val/<class>/... (or validation, valid, test); Tiny
    ImageNet's own (wnids.txt, train/<wnid>/images, val/val_annotations.txt). Without validation images, a
    ``val_fraction`` of each class is held out, drawn with ``seed``: at least one image of every class that has two.
    Names come from words.txt where there is one. Decoded images are kept, up to ``cache_bytes`` for both sets together.
    ``source`` of the training images says which files of other kinds the class folders have.
    Raises DataError when the folder cannot be trained on.
    """
    root = Path(path)
    if size < 1:
        raise DataError(f"the image size is {size}, a number of pixels was expected: give 64 or 256, for instance")
    if not 0 < val_fraction < 1:
        raise DataError(f"val_fraction is {val_fraction}, a number between 0 and 1 was expected: give 0.1, say")
    _check_folder(root)
    others: set[str] = set()
    train, val = _layout(root, others)
    keys = sorted(train)
    if len(keys) < 2:
        raise DataError(_one_class(root, keys[0], train[keys[0]], others))
    if extra := sorted(set(val) - set(keys)):
        raise DataError(
            f"{root} has validation images of {_some(extra)}, but no training images of that name: "
            f"give every validation class a folder of the same name with images in it for training"
        )
    if not val:
        train, val = _hold_out(root, train, val_fraction, seed)
    classes, cache = _readable(root, keys), _Cache(cache_bytes)
    sets = []
    for files in (train, val):
        paths = [file for key in keys for file in files.get(key, ())]
        labels = np.repeat(np.arange(len(keys)), [len(files.get(key, ())) for key in keys])
        sets.append(ImageFolder(root, classes, paths, labels, size, cache))
    if others:
        sets[0].source += f"; {_kinds(others)} left out"
    return sets[0], sets[1]


@dataclass
class _Cache:
    """Decoded images by path, up to a number of bytes.

    Full is full: nothing is thrown out, because an epoch asks for every image once, and then the oldest entry is the
    one that is asked for next.
    """

    room: int
    images: dict[str, np.ndarray] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def put(self, key: str, image: np.ndarray) -> None:
        with self.lock:
            if key not in self.images and image.nbytes <= self.room:
                self.room -= image.nbytes
                self.images[key] = image


class ImageFolder:
    """Image files with labels, decoded when asked for; a :class:`~tinynet.data.dataset.Dataset`, safe for threads."""

    def __init__(self, root: Path, classes: list[str], paths: list[str], labels: np.ndarray, size: int, cache: _Cache):
        self.classes, self.labels, self.size = classes, labels.astype(np.int64), size
        self.source = f"{root}: {len(classes)} classes, {len(paths):,} images, shorter side resized to {size}"
        self.broken: list[str] = []
        self.tried = 0
        self._paths, self._cache = paths, cache
        self._looked_at, self._broken, self._lock = np.zeros(len(paths), bool), set(), Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, i: int) -> str:
        """The path of image ``i``."""
        return self._paths[i]

    def image(self, i: int) -> np.ndarray | None:
        """Image ``i``: uint8 (3, size, size), RGB, read-only; None, and its name in ``broken``, when it is broken."""
        path = self._paths[i]
        if (image := self._cache.images.get(path)) is None and path not in self._broken:
            try:
                image = decode(path, self.size)
            except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
                image = None
            else:
                image.flags.writeable = False
                self._cache.put(path, image)
        with self._lock:
            if not self._looked_at[i]:
                self._looked_at[i] = True
                self.tried += 1
                if image is None:
                    self._broken.add(path)
                    self.broken.append(path)
        return image


def _layout(root: Path, others: set[str]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The image files of each class, for training and validation; the latter is empty where they must be held out.

    Files beside them that are no images are added to ``others``, but for those that Tiny ImageNet has.
    """
    train, annotations = root / "train", root / "val" / "val_annotations.txt"
    if annotations.is_file() and train.is_dir():
        wnids = root / "wnids.txt"
        keys = wnids.read_text("utf-8").split() if wnids.is_file() else _folders(train)
        files = {key: found for key in keys if (train / key).is_dir() and (found := _images(train / key))}
        if not files:
            raise DataError(_no_images(train))
        return files, _annotated(annotations)
    if train.is_dir():
        for name in _VALIDATION:
            if not (root / name).is_dir():
                continue
            if val := _classes(root / name, others):
                if not (files := _classes(train, others)):
                    raise DataError(_no_classes(train))
                return files, val
            # A test folder without classes is what competitions hand out; a validation folder like that is a mistake.
            if name != "test" and _images(root / name):
                raise DataError(_no_classes(root / name))
    files = _classes(root, others)
    if "train" in files and set(files) <= {"train", *_VALIDATION}:
        root, files = train, _classes(train, others)
    if not files:
        raise DataError(_no_classes(root))
    return files, {}


def _annotated(annotations: Path) -> dict[str, list[str]]:
    """Tiny ImageNet's validation images: each line names a file beside it in images/, its class, and a box."""
    files: dict[str, list[str]] = {}
    for number, line in enumerate(annotations.read_text("utf-8").splitlines(), 1):
        if not line.strip():
            continue
        words = line.split("\t")
        if len(words) < 2:
            raise DataError(
                f"{annotations}, line {number} is {line!r}, a file name, a tab and a class were expected: "
                f"unpack the data set again"
            )
        files.setdefault(words[1].strip(), []).append(str(annotations.parent / "images" / words[0].strip()))
    return {key: sorted(found) for key, found in files.items()}


def _hold_out(
    root: Path, files: dict[str, list[str]], fraction: float, seed: int
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    train, val = {}, {}
    for label, key in enumerate(sorted(files)):
        found = files[key]
        count = min(max(1, round(fraction * len(found))), len(found) - 1)
        held = set(np.random.default_rng([seed, label]).permutation(len(found))[:count].tolist())
        train[key] = [file for i, file in enumerate(found) if i not in held]
        val[key] = [file for i, file in enumerate(found) if i in held]
    if not any(val.values()):
        raise DataError(f"{root} has one image per class, so none can be held out for validation: add more images")
    return train, val


def _readable(root: Path, keys: list[str]) -> list[str]:
    """The classes' names: the first synonym in words.txt (wnid, tab, synonyms with commas), else the folder's name."""
    words, names = root / "words.txt", {}
    if words.is_file():
        for line in words.read_text("utf-8", errors="replace").splitlines():
            key, tab, synonyms = line.partition("\t")
            if tab:
                names[key.strip()] = synonyms.split(",")[0].strip()
    found = [names.get(key) or key for key in keys]
    # ImageNet has two cranes and two maillots.
    return [name if found.count(name) == 1 else f"{name} ({key})" for name, key in zip(found, keys, strict=True)]


def _classes(root: Path, others: set[str]) -> dict[str, list[str]]:
    return {name: files for name in _folders(root) if (files := _images(root / name, others))}


def _folders(root: Path) -> list[str]:
    return sorted(path.name for path in _entries(root) if path.is_dir() and not path.name.startswith("."))


def _images(root: Path, others: set[str] | None = None) -> list[str]:
    """The image files anywhere below a folder, sorted, the rest goes to ``others``; what is hidden does not count."""
    found, seen, others = [], set(), set() if others is None else others
    for here, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        # Class folders are often links to another disk, and a link may lead back up.
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                found.append(os.path.join(here, name))
            elif not name.startswith("."):
                others.add(os.path.join(here, name))
    return sorted(found)


def _entries(root: Path) -> list[Path]:
    try:
        return list(root.iterdir())
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read ({error.strerror}): change its permissions or choose another")


def _check_folder(root: Path) -> None:
    # os.path, because pathlib raises where a parent folder may not be read.
    if os.path.isdir(root):
        return
    if not os.path.exists(root):
        raise DataError(f"{root} does not exist: give a folder that has one sub-folder of images per class")
    expected = f"{root} is a file, a folder with one sub-folder of images per class was expected"
    if root.suffix.lower() not in _ARCHIVES:
        raise DataError(f"{expected}: give the folder")
    how = {".zip": "unzip", ".rar": "unrar x", ".7z": "7z x"}.get(root.suffix.lower(), "tar -xf")
    raise DataError(f"{expected}: unpack it first ({how} {root.name}) and give the folder that comes out")


def _no_images(root: Path) -> str:
    return f"{root} has no images ({', '.join(EXTENSIONS)}) in it: give a folder that has one sub-folder per class"


def _no_classes(root: Path) -> str:
    loose = _images(root)
    if not loose:
        return _no_images(root)
    return (
        f"{root} has {len(loose):,} images lying directly in it, one sub-folder per class was expected: "
        f"move {Path(loose[0]).name} and the others to {root}/<class>/"
    )


def _one_class(root: Path, key: str, files: list[str], others: set[str]) -> str:
    message = f"{root} has images of only one class, {key!r}, and at least two are needed"
    for inner in (root / key, root / "train" / key):
        if inner.is_dir() and len(_classes(inner, set())) > 1:
            return f"{message}: if the classes are one level deeper, give {inner}"
    if others:
        return f"{message}, not counting {_kinds(others)}: convert those that are images to .jpg or .png"
    return f"{message}: add a second sub-folder beside the one with {Path(files[0]).name}"


def _kinds(files: set[str]) -> str:
    """How many files of which kinds, by their endings, the most frequent first."""
    endings = Counter(os.path.splitext(file)[1].lower() or "without an ending" for file in sorted(files)).most_common(4)
    named = ", ".join(ending for ending, _ in endings[:3]) + ", ..." * (len(endings) > 3)
    return f"{len(files):,} other file{'s' * (len(files) > 1)} ({named})"


def _some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more classes"
