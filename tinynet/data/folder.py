"""The layouts that folders of images have: which files are there, of which class, to train on or to validate with."""

import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NoReturn

import numpy as np

from tinynet.data import splits
from tinynet.data.decode import EXTENSIONS
from tinynet.data.images import Cache, ImageFolder
from tinynet.errors import DataError

_NOT_PICTURES = ("__macosx", "$recycle.bin", "system volume information", "lost+found", "__pycache__")
_ARCHIVES = (".tar", ".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst", ".zip", ".rar", ".7z")


def folder(
    path: str | os.PathLike, size: int = 256, seed: int = 0, val_fraction: float = 0.1, cache_bytes: int = 1 << 30
) -> tuple[ImageFolder, ImageFolder]:
    """The training and validation images of a folder, their shorter sides resized to `size` (paper section 2: 256).

    Layouts: DIR/<class>/...; DIR/train/<class>/... with DIR/val/<class>/..., in any of the spellings that
    `find` knows; Tiny ImageNet's own (wnids.txt, train/<wnid>/images, val/val_annotations.txt).
    Without validation images, a
    `val_fraction` of each class is held out, drawn with `seed`: at least one image of every class that has two.
    Names come from words.txt where there is one. Decoded images are kept, up to `cache_bytes` for both sets together.
    `source` of the training images says which files of other kinds the class folders have.
    Raises DataError when the folder cannot be trained on.
    """
    root = Path(path)
    if size < 1:
        raise DataError(f"the image size is {size}, a number of pixels was expected: give 64 or 256, for instance")
    if not 0 < val_fraction < 1:
        raise DataError(f"val_fraction is {val_fraction}, a number between 0 and 1 was expected: give 0.1, say")
    _check_folder(root)
    others: set[str] = set()
    train, val, parts = _layout(root, others)
    keys = sorted(train)
    if len(keys) < 2:
        raise DataError(_one_class(root, keys[0], train[keys[0]], others))
    val = _same_names(val, keys)
    if extra := sorted(set(val) - set(keys)):
        raise DataError(
            f"{root} has validation images of {_some(extra)}, but no training images of that name: "
            f"give every validation class a folder of the same name with images in it for training"
        )
    if not val:
        train, val = _hold_out(root, train, val_fraction, seed)
    classes, cache = _readable(root, keys), Cache(cache_bytes)
    sets = []
    for files in (train, val):
        paths = [file for key in keys for file in files.get(key, ())]
        labels = np.repeat(np.arange(len(keys)), [len(files.get(key, ())) for key in keys])
        sets.append(ImageFolder(root, classes, paths, labels, size, cache))
    sets[0].source += parts
    if others:
        sets[0].source += f"; {_kinds(others)} left out"
    return sets[0], sets[1]


def _layout(root: Path, others: set[str]) -> tuple[dict[str, list[str]], dict[str, list[str]], str]:
    """The image files of each class, for training and validation, and what was taken for what.

    Those for validation are none where they must be held out. Files beside them that are no images are added to
    `others`, but for those that Tiny ImageNet has.
    """
    annotations = root / "val" / "val_annotations.txt"
    if annotations.is_file() and (root / "train").is_dir():
        return *_tiny_imagenet(root, annotations), ""
    parts = splits.find(root, _folders(root)) or splits.Parts(root, [])
    if not (files := _classes(parts.train, others)):
        raise DataError(_no_classes(parts.train))
    if parts.train == root:
        _refuse_parts(root, files)
        return files, {}, ""
    for candidate in parts.validation:
        if val := _classes(candidate, others):
            return files, val, f"; training in {parts.train.name}/, validation in {candidate.name}/"
        # A test folder without classes is what competitions hand out; a validation folder like that is a mistake.
        if not splits.is_test(candidate.name) and _images(candidate):
            raise DataError(_no_classes(candidate))
    return files, {}, f"; training in {parts.train.name}/"


def _refuse_parts(root: Path, files: dict[str, list[str]]) -> None:
    """Raises DataError if what look like classes are parts of a data set, each with all of its classes."""
    inside = [tuple(sorted(_classes(root / name, set()))) for name in files]
    if len(files) > 1 and len(inside[0]) > 1 and len(set(inside)) == 1:
        names = list(files)
        raise DataError(
            f"{root} has the folders {_some(names)}, each with the sub-folders {_some(list(inside[0]))}: if those are the "
            f"classes, call the folder to train on {root.name}/train and the other one {root.name}/val, or give only one "
            f"of them, {root / names[0]}; if {_some(names)} are the classes, put their images side by side"
        )


def _same_names(val: dict[str, list[str]], keys: list[str]) -> dict[str, list[str]]:
    """The validation images under the names of the training classes, where these are only encoded otherwise."""
    plain = {unicodedata.normalize("NFC", key): key for key in keys}
    return {name if name in keys else plain.get(unicodedata.normalize("NFC", name), name): val[name] for name in val}


def _tiny_imagenet(root: Path, annotations: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    train, wnids = root / "train", root / "wnids.txt"
    keys = wnids.read_text("utf-8").split() if wnids.is_file() else _folders(train)
    files = {key: found for key in keys if (train / key).is_dir() and (found := _images(train / key))}
    if not files:
        raise DataError(_no_images(train))
    return files, _annotated(annotations)


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
    return sorted(path.name for path in _entries(root) if path.is_dir() and not _hidden(path.name))


def _images(root: Path, others: set[str] | None = None) -> list[str]:
    """The image files anywhere below a folder, sorted, the rest goes to `others`; what is hidden does not count."""
    found, seen, others = [], set(), set() if others is None else others
    for here, folders, names in os.walk(root, onerror=_unreadable, followlinks=True):
        # Class folders are often links to another disk, and a link may lead back up.
        if (real := os.path.realpath(here)) in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in names:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                found.append(os.path.join(here, name))
            elif not name.startswith("."):
                others.add(os.path.join(here, name))
    return sorted(found)


def _hidden(name: str) -> bool:
    """Whether a folder is nobody's pictures: hidden, or made by a system or a program for itself."""
    return name.startswith((".", "@")) or name.lower() in _NOT_PICTURES


def _entries(root: Path) -> list[Path]:
    try:
        return list(root.iterdir())
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> NoReturn:
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
