"""From an image file of any kind to uint8 (3, size, size): the one way every picture takes to the network."""

import os
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from tinynet.errors import DataError

EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(source: str | os.PathLike | Image.Image, size: int) -> np.ndarray:
    """The central square of an image, its side resized to ``size``: uint8 (3, size, size), RGB.

    The same as resizing the shorter side to ``size`` and cutting out the central ``size`` x ``size`` (paper, section
    2), but cutting comes first, so a 50,000 x 10 panorama needs no more memory than its file. Turned upright by its
    EXIF orientation, composited on white where transparent, first frame where animated, 16-bit and float greys scaled
    to 0..255. Raises whatever Pillow raises for a broken file; its warnings are muted.
    """
    _mute_pillow()
    if isinstance(source, Image.Image):
        return _square(source, size)
    with Image.open(source) as image:
        # A JPEG decoder can hand over 1/2, 1/4 or 1/8 of the size for a fraction of the time; twice the side we need
        # leaves the last step to the better filter.
        image.draft(None, (2 * size, 2 * size))
        return _square(image, size)


def image_for_network(source: str | os.PathLike | Image.Image, size: int) -> np.ndarray:
    """One image file (or Pillow image), decoded exactly as the training images are: uint8 (3, size, size), RGB.

    Raises DataError, naming the file, when there is no such file or it cannot be decoded.
    """
    if not isinstance(source, Image.Image):
        source = Path(source)
        if source.is_dir():
            raise DataError(f"{source} is a folder, an image file was expected: give the path of one of its images")
        if not source.exists():
            raise DataError(f"{source} does not exist: give the path of an image file")
    try:
        return decode(source, size)
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        name = source if isinstance(source, Path) else "the given image"
        reason = str(error).replace("\n", " ") or type(error).__name__
        raise DataError(f"{name} cannot be decoded as an image ({reason}): give an undamaged image file") from error


def _square(image: Image.Image, size: int) -> np.ndarray:
    orientation = _orientation(image)
    image = _eight_bits(image)
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    # After the resize, because turning a small square is free and the central square is the same either way.
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        # Pillow's own convert("L") clips at 255: nearly all of a 16-bit picture would come out white.
        return Image.fromarray((np.asarray(image).astype(np.float32) / 257 + 0.5).astype(np.uint8))
    if mode in ("I", "F"):
        return Image.fromarray(_stretch(np.asarray(image, np.float64)))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if mode in ("L", "RGB"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _stretch(grey: np.ndarray) -> np.ndarray:
    """A picture without a known range, its least value black and its greatest white; a flat one is black."""
    finite = np.isfinite(grey)
    if not finite.any():
        raise ValueError("no pixel has a finite value")
    low, high = grey[finite].min(), grey[finite].max()
    scaled = (np.clip(np.where(finite, grey, low), low, high) - low) * (255 / (high - low) if high > low else 0)
    return (scaled + 0.5).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Damaged EXIF is common in the wild and says nothing about the pixels.
        return 1


def _mute_pillow() -> None:
    # Not warnings.catch_warnings: it saves and restores the filters of the whole process, so two decoding threads
    # would undo each other's (and the caller's). One filter, kept in front, needs no undoing.
    first = warnings.filters[0] if warnings.filters else None
    if first is None or first[0] != "ignore" or getattr(first[3], "pattern", None) != _PILLOW:
        warnings.filterwarnings("ignore", module=_PILLOW)


_PILLOW = r"PIL\."
