"""What a layer answers to an image: its maps, side by side."""

from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize

from tinynet.draw.page import ALARM, HEAD, SHADES, Page, finish, heading, new_page, place, scale_bar, style

SIDE, ACROSS, DOWN = 112, 1120, 900  # pixels: about how large a map is drawn, and how large all of them may be
LEVELS = 32  # of shades: more would not be told apart, and make a large file


def activations(seen, what: str | None = None, image: int = 0, path: str | Path | None = None) -> Page | Path:
    """Draw the maps of a layer for one image as a grid, in reading order, all in the same shades.

    seen:  array (N, C, h, w), or (C, h, w) of one image, real; of units, (N, units), each is a square. Or what `tn.watch`
           has of a layer, whose output it is.
    what:  the start of the title; the layer's name if there is one.
    image: which of the N images.
    path:  where the PNG goes; returned as Path. Without one the Figure is returned.

    If no number is negative, dark blue is 0 and yellow the largest; otherwise 0 is grey, in the middle, and the two ends
    are as far from it as the largest magnitude. NaN and infinite numbers are white and counted. Raises ValueError for
    other shapes and an image that is not there.
    """
    maps, name = getattr(seen, "output", seen), getattr(seen, "name", "")
    if maps is None:
        raise ValueError(f"activations: {name} has no output to draw: {seen.reason}")
    maps = _maps(np.asarray(maps), image)
    finite, squares = np.isfinite(maps), maps.shape[1:] == (1, 1)
    broken, shown = int((~finite).sum()), np.where(finite, maps, 0)
    top = float(np.abs(shown).max()) or 1.0
    norm = Normalize(-top if shown.min() < 0 else 0, top)
    picture = _grid(shown, finite, norm)
    height, width, _ = picture.shape

    title = f"{what or name or 'Layer'}: " + (
        f"{len(maps)} units" if squares else f"{len(maps)} maps of {maps.shape[2]}x{maps.shape[1]}"
    )
    idle = int((shown <= 0).all((1, 2)).sum())
    about = f"image {image}; {idle} of {len(maps)} {'units' if squares else 'maps'} nowhere above 0"
    with style():
        across = max(width + 190, 620)
        figure, page = new_page(across, HEAD + max(height, 150) + 34)
        heading(page, 30, title, about, across - 60)
        if broken:
            page.text(across - 30, 42, f"{broken} NaN or infinite", color=ALARM, ha="right")
        place(page, picture, 30, HEAD)
        scale_bar(figure, (30 + width + 30, HEAD, 18, min(max(height, 150), 400)), norm, "activation")
        return finish(figure, path, f"{title}, side by side. In {about}; the largest magnitude is {top:.3g}.")


def _maps(maps, image):
    """The maps of one image, (C, h, w)."""
    if maps.ndim in (2, 4):
        if not -len(maps) <= image < len(maps):
            raise ValueError(f"activations: image={image} is not one of {len(maps)}; give 0 to {len(maps) - 1}")
        maps = maps[image]
    maps = maps[:, None, None] if maps.ndim == 1 else maps
    if maps.ndim != 3 or not maps.size or maps.dtype.kind not in "fiub":
        raise ValueError(
            f"activations: expected real numbers (N, C, h, w), (C, h, w) or (N, units), got {maps.dtype} {maps.shape}"
        )
    maps = maps.astype(np.float64)
    shrink = -(-max(maps.shape[1:]) // 256)
    if shrink > 1:
        count, h, w = (size // shrink * shrink if i else size for i, size in enumerate(maps.shape))
        maps = maps[:, :h, :w].reshape(count, h // shrink, shrink, w // shrink, shrink).mean((2, 4))
    return maps


def _grid(maps, finite, norm):
    """All maps as one picture, uint8 (H, W, 3), each of their numbers a square, white between them."""
    count, height, width = maps.shape
    gap = 2 if height == width == 1 else 5
    zoom, columns = _fitting(count, height, width, gap)
    tall, wide = height * zoom, width * zoom
    picture = np.full((-(-count // columns) * (tall + gap) - gap, columns * (wide + gap) - gap, 3), 255, np.uint8)
    shades = SHADES(np.rint(norm(maps) * LEVELS) / LEVELS, bytes=True)[..., :3]
    shades[~finite] = 255
    for index, map in enumerate(shades.repeat(zoom, 1).repeat(zoom, 2)):
        y, x = index // columns * (tall + gap), index % columns * (wide + gap)
        picture[y : y + tall, x : x + wide] = map
    return picture


def _fitting(count, height, width, gap):
    """(pixels a number's side, maps a row): as large as the page allows."""
    zoom = max(1, round((SIDE if max(height, width) > 1 else SIDE / 4) / max(height, width)))
    while True:
        columns = max(1, min(count, (ACROSS + gap) // (width * zoom + gap)))
        rows = -(-count // columns)
        if zoom == 1 or rows * (height * zoom + gap) <= DOWN:
            return zoom, -(-count // rows)  # rows evened out, so that the last one is not a stub
        zoom -= 1
