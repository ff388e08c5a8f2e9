"""Which images the network takes for alike: an image, and those whose features are nearest to its own."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynet.draw.page import HAIRLINE, HEAD, MUTED, Page, finish, fit, heading, new_page, photo, place, style

NEAR, GAP, APART, MARGIN = 128, 14, 44, 30  # pixels: a picture's side, about; between two; before the neighbours; around


def neighbours(
    images: np.ndarray,
    index: Sequence[int] | int,
    neighbours: np.ndarray,
    distances: np.ndarray | None = None,
    labels: Sequence[int] | None = None,
    classes: Sequence[str] | None = None,
    queries: np.ndarray | None = None,
    path: str | Path | None = None,
) -> Page | Path:
    """Draw images in a column, and beside each the images nearest to it, as in the paper's Fig. 4, right.

    images:     uint8 (n, 3, s, s), red, green, blue.
    index:      int (q,), which images stand in the first column; one number is one row.
    neighbours: int (q, k), the images beside each, the nearest first; (k,) for one row.
    distances:  float (q, k), written below them; of the features, in whatever unit these have.
    labels:     int (n,), the images' classes; a neighbour of the same class has its name in bold type.
    classes:    list of names; with labels.
    queries:    uint8 (m, 3, s, s), where `index` counts if not in `images`, as for test images beside training images;
                then no labels.
    path:       where the PNG goes; returned as Path. Without one the Figure is returned.

    Raises ValueError for other shapes and for numbers of images that are not there.
    """
    images, rows_of, beside = np.asarray(images), np.atleast_1d(index), np.asarray(neighbours)
    beside = beside[None] if beside.ndim == 1 else beside
    queries = images if queries is None else np.asarray(queries)
    for name, given in (("images", images), ("queries", queries)):
        square = given.ndim == 4 and given.shape[1] == 3 and given.shape[2] == given.shape[3]
        if not square or not given.size or given.dtype != np.uint8:
            raise ValueError(f"neighbours: {name} must be uint8 (n, 3, s, s), got {given.dtype} {given.shape}")
    if rows_of.ndim != 1 or beside.ndim != 2 or len(rows_of) != len(beside) or not beside.size:
        raise ValueError(
            f"neighbours: expected index (q,) and neighbours (q, k), a row for each, got {rows_of.shape} and {beside.shape}"
        )
    for name, given, count in (("index", rows_of, len(queries)), ("neighbours", beside, len(images))):
        if given.dtype.kind not in "iu" or given.min() < 0 or given.max() >= count:
            raise ValueError(f"neighbours: {name} must be integers in 0..{count - 1}, got {given.tolist()}")
    if distances is not None:
        distances = np.asarray(distances, np.float64)
        distances = distances[None] if distances.ndim == 1 else distances
        if distances.shape != beside.shape:
            raise ValueError(f"neighbours: distances must have the neighbours' shape {beside.shape}, got {distances.shape}")
    kinds, names = None if labels is None else np.asarray(labels), [] if classes is None else list(classes)
    if kinds is not None:
        fits = kinds.shape == (len(images),) and kinds.dtype.kind in "iu" and queries is images
        if not fits or kinds.min() < 0 or kinds.max() >= len(names):
            raise ValueError(
                f"neighbours: labels must be {len(images)} integers in 0..{len(names) - 1}, one for each of the images, and "
                f"classes their names; of queries there are none; got labels {kinds.dtype} {kinds.shape}"
            )

    pictures = {i: photo(images[i], NEAR) for i in np.unique(beside).tolist()}
    side, lines = len(next(iter(pictures.values()))), (kinds is not None) + (distances is not None)
    pitch, (rows, k) = side + GAP + 22 * lines, beside.shape
    width = 2 * MARGIN + (k + 1) * side + (k - 1) * GAP + APART
    across, top = max(width, 560), HEAD + 26
    with style():
        figure, page = new_page(across, top + rows * pitch - GAP + MARGIN)
        heading(
            page,
            MARGIN,
            "Nearest neighbours",
            "images whose features lie nearest to an image's own",
            across - 60,
        )
        page.text(MARGIN, top - 8, "image", color=MUTED, fontsize=7)
        page.text(MARGIN + side + APART, top - 8, "its neighbours, the nearest first", color=MUTED, fontsize=7)
        line = MARGIN + side + APART / 2
        page.plot([line, line], [top, top + rows * pitch - GAP], color=HAIRLINE, linewidth=0.8)
        alike = 0
        for row, (query, others) in enumerate(zip(rows_of.tolist(), beside.tolist(), strict=True)):
            y = top + row * pitch
            place(page, photo(queries[query], NEAR)[:side, :side], MARGIN, y)
            if kinds is not None:
                _write(page, names[kinds[query]], MARGIN, y + side, side, True)
            for column, other in enumerate(others):
                x, below = MARGIN + side + APART + column * (side + GAP), y + side
                place(page, pictures[other], x, y)
                if kinds is not None:
                    same = kinds[other] == kinds[query]
                    alike += bool(same)
                    _write(page, names[kinds[other]], x, below, side, same)
                    below += 22
                if distances is not None:
                    _write(page, f"distance {distances[row, column]:.3g}", x, below, side, False)
        alt = f"{rows} images in a column, each with its {k} nearest neighbours."
        if kinds is not None:
            alt += f" Of these {rows * k}, {alike} are of the same class as the image that they stand beside."
        return finish(figure, path, alt)


def _write(page, text, x, y, width, bold):
    font = {"fontsize": 7, "fontweight": "bold" if bold else "normal"}
    page.text(x, y + 17, fit(page, text, width, **font), color="black" if bold else MUTED, parse_math=False, **font)
