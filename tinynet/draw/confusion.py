"""Which classes are taken for which: the confusion matrix."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle

from tinynet.draw.page import HEAD, INK, MUTED, TRACK, Page, finish, fit, heading, new_page, scale_bar, style

SHADES = colormaps["Blues"]  # none are white, as paper is, many dark
NUMBERS, NAMES = 16, 60  # the most classes whose numbers are written into the cells; whose names are written beside them


def confusion(matrix: np.ndarray, classes: Sequence[str], path: str | Path | None = None) -> Page | Path:
    """Draw a confusion matrix: a row for each true class, shaded by the share of its images in each predicted class.

    matrix:  whole numbers (C, C), at least 0: matrix[i, j] images of class i were taken for class j.
    classes: list of C names; long ones are cut short to fit.
    path:    where the PNG goes; returned as Path. Without one the Figure is returned.

    Cells have their numbers, up to 16 classes; the diagonal, which is right, is framed; at the right is the share of each
    class that is right. A class without images is left blank. Raises ValueError for other shapes and numbers.
    """
    matrix, classes = np.asarray(matrix), [str(name) for name in classes]
    count = len(classes)
    if matrix.shape != (count, count) or not count:
        raise ValueError(f"confusion: matrix must be ({count}, {count}), a row and a column a class, got {matrix.shape}")
    if matrix.dtype.kind not in "fiu" or not (np.isfinite(matrix).all() and (matrix >= 0).all() and (matrix % 1 == 0).all()):
        raise ValueError("confusion: matrix must be whole numbers of images, none below 0; give counts, not shares")
    matrix = matrix.astype(np.int64)
    rows, right, all_images = matrix.sum(1), np.diag(matrix), int(matrix.sum())
    share = np.where(rows[:, None] > 0, matrix / np.maximum(rows[:, None], 1), np.nan)

    cell = int(np.clip(900 // count, 8, 64))
    letters = min(max(map(len, classes)), 20) if count <= NAMES else 0
    side, left, top = cell * count, 80 + 9 * letters, HEAD + 40 + 9 * letters
    with style():
        figure, page = new_page(left + side + 300, top + max(side, 200) + 40)
        total = f"{int(right.sum()):,} of {all_images:,} images right"
        percent = f" ({right.sum() / all_images:.1%})" if all_images else ""
        about = "each row: what the images of a class were taken for"
        heading(page, 30, f"Confusion: {total}{percent}", about, left + side + 240)
        picture = SHADES(np.nan_to_num(share), bytes=True)[..., :3]
        page.imshow(picture, extent=(left, left + side, top + side, top), interpolation="none", aspect="auto")
        for i in range(count + 1 if count <= NAMES else 0):
            for line in (([left, left + side], [top + i * cell] * 2), ([left + i * cell] * 2, [top, top + side])):
                page.plot(*line, color=TRACK, linewidth=0.6)
        page.add_patch(Rectangle((left, top), side, side, fill=False, edgecolor=MUTED, linewidth=0.8))
        font = {"fontsize": 7 if cell >= 16 else 5, "parse_math": False}
        for i, name in enumerate(classes):
            at = left + i * cell, top + i * cell
            page.add_patch(Rectangle(at, cell, cell, fill=False, edgecolor=INK, linewidth=1.2 if cell > 12 else 0.5))
            if count > NAMES:
                continue
            middle = top + (i + 0.5) * cell
            size = {"fontsize": font["fontsize"]}
            page.text(left - 10, middle, fit(page, name, left - 60, **size), ha="right", va="center", **font)
            above = left + (i + 0.5) * cell, top - 10
            page.text(*above, fit(page, name, top - HEAD - 34, **size), rotation=90, ha="center", va="bottom", **font)
            said = f"{share[i, i]:.0%} of {rows[i]:,}" if rows[i] else "no images"
            page.text(left + side + 10, middle, said, va="center", color=MUTED, **font)
        if count <= NUMBERS:
            for (i, j), number in np.ndenumerate(matrix):
                if number:
                    ink = "white" if share[i, j] > 0.55 else INK
                    page.text(left + (j + 0.5) * cell, top + (i + 0.5) * cell, f"{number:,}", ha="center", va="center",
                              color=ink, fontsize=7 if number < 10_000 else 5)  # fmt: skip
        page.text(left + side / 2, HEAD + 14, "predicted class", ha="center", color=MUTED)
        page.text(22, top + side / 2, "true class", rotation=90, va="center", color=MUTED)
        box = (left + side + 170, top, 18, min(max(side, 200), 360))
        scale_bar(figure, box, Normalize(0, 100), "share of the row, %", SHADES)
        return finish(figure, path, f"Confusion matrix of {count} classes: {total}{percent}. {_worst(matrix, classes)}")


def _worst(matrix, classes):
    wrong = matrix - np.diag(np.diag(matrix))
    if not wrong.any():
        return "No image is taken for another class."
    i, j = np.unravel_index(wrong.argmax(), wrong.shape)
    return f"The most frequent confusion: {wrong[i, j]} images of {classes[i]} are taken for {classes[j]}."
