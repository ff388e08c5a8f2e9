"""What the network answers: pictures with their most probable classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from tinynet.draw.page import INK, MUTED, TRACK, Page, finish, fit, new_page, photo, place, style

RIGHT, WRONG = "#f5993d", "#b9c6d6"  # also far apart in lightness, and light enough for dark type on top of them


def predictions(
    images: np.ndarray,
    labels,
    probabilities: np.ndarray,
    classes: Sequence[str],
    path: str | Path | None = None,
    columns: int = 4,
) -> Page | Path:
    """Draw each image with its true class and the five most probable ones, as in the paper's Fig. 4.

    images:        uint8 (n, 3, s, s), red, green, blue.
    labels:        int (n,), the true classes; None, whole or in places, where unknown.
    probabilities: float (n, C), each in 0..1; NaN counts as least.
    classes:       list of C names; long ones are cut short to fit.
    path:          where the PNG goes (str or Path); returned as Path. Without one the Figure is returned.
    columns:       images a row.

    The true class has an orange bar and bold type, if it is among the five. Raises ValueError for other shapes.
    """
    images, probabilities, classes = np.asarray(images), np.asarray(probabilities, np.float64), list(classes)
    square = images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
    if not square or not images.size or images.dtype != np.uint8:
        raise ValueError(f"predictions: images must be uint8 (n, 3, s, s), got {images.dtype} {images.shape}")
    count = len(images)
    if probabilities.shape != (count, len(classes)) or not classes:
        expected = f"one row for each of {count} images, one column for each of {len(classes)} classes"
        raise ValueError(f"predictions: probabilities must have {expected}, got shape {probabilities.shape}")
    if np.nanmin(probabilities, initial=0) < -1e-3 or np.nanmax(probabilities, initial=0) > 1 + 1e-3:
        raise ValueError("predictions: probabilities must lie in 0..1; apply softmax to logits first")
    labels = [None] * count if labels is None else [None if label is None else int(label) for label in labels]
    if len(labels) != count or any(label is not None and not 0 <= label < len(classes) for label in labels):
        raise ValueError(f"predictions: labels must be {count} numbers in 0..{len(classes) - 1} or None, got {labels}")
    if columns < 1:
        raise ValueError(f"predictions: columns must be at least 1, got {columns}")

    columns, shown = min(columns, count), min(5, len(classes))
    photos = [photo(image) for image in images]
    side = len(photos[0])
    gap, margin, name, bar = 34, 30, 40, 28
    pitch = side + name + shown * bar + gap
    width, height = columns * (side + gap) - gap + 2 * margin, -(-count // columns) * pitch - gap + 2 * margin
    with style():
        figure, axes = new_page(width, height)
        for index, (picture, label) in enumerate(zip(photos, labels, strict=True)):
            x, y = margin + index % columns * (side + gap), margin + index // columns * pitch
            place(axes, picture, x, y)
            text = "" if label is None else fit(axes, classes[label], side, fontweight="bold")
            axes.text(x + side / 2, y + side + 25, text, ha="center", fontweight="bold", parse_math=False)
            _draw_bars(axes, probabilities[index], label, classes, x, y + side + name, side, bar, shown)
        return finish(figure, path, _alt(labels, probabilities, classes))


def _alt(labels, probabilities, classes):
    best = np.nan_to_num(probabilities, nan=-1).argmax(1)
    seen = "; ".join(
        f"{i}: {classes[guess]} {100 * np.nan_to_num(p[guess]):.0f} %"
        + ("" if label is None else ", right" if label == guess else f", is {classes[label]}")
        for i, (guess, p, label) in enumerate(zip(best, probabilities, labels, strict=True))
    )
    return f"Images, each with its most probable classes as bars. The most probable of image {seen}."


def _draw_bars(axes, probability, label, classes, x, y, width, pitch, shown):
    """Bars of one image for its `shown` most probable classes, from pixel (x, y) down; ties keep the classes' order."""
    order = np.argsort(-np.nan_to_num(probability, nan=-1), kind="stable")[:shown]
    for rank, index in enumerate(order):
        top, right, value = y + rank * pitch, index == label, probability[index]
        length = width * np.clip(np.nan_to_num(value), 0, 1)
        for extent, colour in ((width, TRACK), (length, RIGHT if right else WRONG)):
            axes.add_patch(Rectangle((x, top), round(extent), pitch - 4, facecolor=colour, linewidth=0))
        font = {"fontsize": 7, "fontweight": "bold" if right else "normal"}
        percent = f"{100 * value:.0f} %" if not 0 < value < 0.005 else "< 1 %"
        text = fit(axes, classes[index], width - 60, **font)
        axes.text(x + 7, top + 17, text, parse_math=False, **font)
        axes.text(x + width - 6, top + 17, percent, ha="right", color=INK if right else MUTED, **font)
