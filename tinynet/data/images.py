"""Image files with labels, decoded when they are asked for."""

from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

import numpy as np

from tinynet.data.decode import TooManyPixels, decode


@dataclass
class Cache:
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
    """Image files with labels, decoded when asked for; a `Dataset`, safe for threads."""

    def __init__(self, root: Path, classes: list[str], paths: list[str], labels: np.ndarray, size: int, cache: Cache):
        self.classes, self.labels, self.size = classes, labels.astype(np.int64), size
        self.source = f"{root}: {len(classes)} classes, {len(paths):,} images, shorter side resized to {size}"
        self.broken: list[str] = []
        self.tried = 0
        self._paths, self._cache = paths, cache
        self._looked_at, self._lock = np.zeros(len(paths), bool), Lock()
        self._broken: set[str] = set()

    def __len__(self) -> int:
        return len(self._paths)

    def name(self, i: int) -> str:
        """The path of image `i`."""
        return self._paths[i]

    def image(self, i: int) -> np.ndarray | None:
        """Image `i`: uint8 (3, size, size), RGB, read-only; None, and its name in `broken`, when it is broken."""
        path = told = self._paths[i]
        if (image := self._cache.images.get(path)) is None and path not in self._broken:
            try:
                image = decode(path, self.size)
            except TooManyPixels as error:
                image, told = None, f"{path} ({error})"
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
                    self.broken.append(told)
        return image
