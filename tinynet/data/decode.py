"""From an image file of any kind to uint8 (3, size, size): the one way every picture takes to the network."""

import os
import re
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from tinynet.errors import DataError

EXTENSIONS = (".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

_STEPS = {"L;2": 85, "L;4": 17}  # from one grey to the next
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
    """The central square of an image, its side resized to `size`: uint8 (3, size, size), RGB.

    The same as resizing the shorter side to `size` and cutting out the central `size` x `size` (paper, section
    2), but cutting comes first, so a 50,000 x 10 panorama needs no more memory than its file. Turned upright by its
    EXIF orientation, composited on white where transparent, first frame where animated, 16-bit and float greys scaled
    to 0..255. Raises TooManyPixels above the limit of `allow_pixels`, and whatever Pillow raises for a broken file;
    its warnings are muted.
    """
    _mute_pillow()
    if isinstance(source, Image.Image):
        return _square(source, size)
    # Not by its name: Pillow maps some files that it opens by name into memory, and turns mapped TIFFs wrongly.
    with open(source, "rb") as file, _opened(file) as image:
        # A JPEG decoder can hand over 1/2, 1/4 or 1/8 of the size for a fraction of the time; twice the side we need
        # leaves the last step to the better filter.
        image.draft(None, (2 * size, 2 * size))
        _check_pixels(image.size)
        return _square(image, size)


def shorter_side(path: str | os.PathLike) -> int:
    """Pixels of the shorter side of an image file, whose pixels are not decoded; raises as `decode` does."""
    _mute_pillow()
    with open(path, "rb") as file, _opened(file) as image:
        return min(image.size)


class TooManyPixels(DataError):
    """An image with more pixels than are allowed."""


def allow_pixels(most: int) -> None:
    """Decode images of up to `most` pixels from now on; above it Pillow suspects an attack, and so do we.

    It is Pillow's own limit, twice `PIL.Image.MAX_IMAGE_PIXELS`; a JPEG is measured as small as its decoder can make it.
    """
    Image.MAX_IMAGE_PIXELS = -(-most // 2)


def _opened(file: BinaryIO) -> Image.Image:
    start = file.read(3)
    file.seek(0)
    if start == b"\xff\xd8\xff":  # past Pillow's limit, which does not know yet how much of a JPEG will be decoded
        return JpegImageFile(file)
    try:
        return Image.open(file)
    except Image.DecompressionBombError as error:
        size = re.search(r"\((\d+) pixels\)", str(error))
        raise _too_many(f"{int(size[1]):,}" if size else "too many") from error


def _check_pixels(size: tuple[int, int]) -> None:
    if Image.MAX_IMAGE_PIXELS is not None and size[0] * size[1] > 2 * Image.MAX_IMAGE_PIXELS:
        raise _too_many(f"{size[0]:,} x {size[1]:,}")


def _too_many(pixels: str) -> TooManyPixels:
    return TooManyPixels(f"it has {pixels} pixels, and at most {2 * (Image.MAX_IMAGE_PIXELS or 0):,} are allowed")


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
    name = source if isinstance(source, Path) else "the given image"
    try:
        return decode(source, size)
    except TooManyPixels as error:
        raise TooManyPixels(f"{name} is too large: {error}; give a smaller version of it") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        reason = str(error).replace("\n", " ") or type(error).__name__
        raise DataError(f"{name} cannot be decoded as an image ({reason}): give an undamaged image file") from error


def _square(image: Image.Image, size: int) -> np.ndarray:
    tiles = getattr(image, "tile", None)
    raw = tiles[0][3] if tiles else None  # how the file has its pixels; gone after `load`
    image.load()
    orientation = _orientation(image)  # only now: Pillow turns TIFFs itself while it loads them, and says so in the tag
    image = _eight_bits(image, raw if isinstance(raw, str) else image.mode)
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    # After the resize, because turning a small square is free and the central square is the same either way.
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return np.ascontiguousarray(np.asarray(image.convert("RGB")).transpose(2, 0, 1))


def _eight_bits(image: Image.Image, raw: str) -> Image.Image:
    """The image in mode L or RGB. raw: Pillow's name for the pixels in the file."""
    mode, clear = image.mode, image.info.get("transparency")
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        # Pillow's own convert("L") clips at 255: nearly all of a 16-bit picture would come out white.
        deep = np.asarray(image)
        grey = (deep.astype(np.float32) / 257 + 0.5).astype(np.uint8)
        return Image.fromarray(grey if clear is None else np.where(deep == clear, np.uint8(255), grey))
    if mode in ("I", "F"):
        return Image.fromarray(_stretch(np.asarray(image, np.float64)))
    if mode == "LAB":
        return _from_lab(image)
    if image.has_transparency_data:
        if clear is not None and raw in _STEPS:  # a grey of the file, whose pixels Pillow has spread over 0..255
            image.info["transparency"] = clear * _STEPS[raw]
        elif clear is not None and raw == "RGB;16B":  # of whose pixels Pillow hands over the upper bytes
            image.info["transparency"] = tuple(c >> 8 for c in clear)
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if mode in ("L", "RGB"):
        return image
    return image.convert("L" if mode == "1" else "RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms  # late: a Pillow without it can still do all else

    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    turned = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "LAB", "RGB"))
    if turned is None:
        raise ValueError("Lab colours cannot be converted")
    return turned


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
