"""What the first layer has learned: its kernels, as colours."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynet.draw.page import ALARM, MUTED, Page, finish, new_page, place, style


def kernels(towers: Sequence[np.ndarray], path: str | Path | None = None) -> Page | Path:
    """Draw the first layer's kernels as colour pictures, one block of rows a tower, as in the paper's Fig. 3.

    towers: list of arrays (K, 3, h, w), real; K may differ from tower to tower, 3 is red, green, blue.
    path:   where the PNG goes (str or Path); returned as Path. Without one the Figure is returned.

    Each kernel is scaled by its own largest magnitude, so that 0 is mid grey and the full range is used; a weight that
    is NaN or infinite is drawn grey and counted in the tower's label. Raises ValueError for other shapes.
    """
    towers = [np.asarray(tower) for tower in towers]
    shapes = [tower.shape for tower in towers]
    if not towers or any(len(s) != 4 or s[1] != 3 or 0 in s or s[2:] != shapes[0][2:] for s in shapes):
        raise ValueError(f"kernels: towers must be a list of arrays (K, 3, h, w) with equal h and w, got {shapes}")
    height, width = shapes[0][2:]
    # 16 a row is the paper's grid; rows are evened out so that the last one is not a stub.
    most = max(shape[0] for shape in shapes)
    columns = -(-most // -(-most // 16))
    scale = max(1, min(1120 // (columns * width), 160 // max(height, width)))
    gap, margin, head, between = 6, 30, 34, 26
    blocks = [_grid(tower, columns, scale, gap) for tower in towers]

    with style():
        page = max(blocks[0].shape[1] + 2 * margin, 460)
        top = margin - 8
        total = top + sum(head + block.shape[0] for block in blocks) + between * (len(blocks) - 1) + margin
        figure, axes = new_page(page, total)
        for index, (tower, block) in enumerate(zip(towers, blocks, strict=True)):
            label = f"Tower {index + 1}: " if len(towers) > 1 else ""
            label += f"{len(tower)} kernel{'s' * (len(tower) > 1)} {width}x{height}x3"
            broken = int((~np.isfinite(tower)).any((1, 2, 3)).sum())
            axes.text(margin, top + 22, label, color=MUTED)
            if broken:
                axes.text(page - margin, top + 22, f"{broken} with NaN or infinity", color=ALARM, ha="right")
            place(axes, block, margin, top + head)
            top += head + block.shape[0] + between
        count = " and ".join(str(len(tower)) for tower in towers)
        return finish(figure, path, f"Kernels of the first layer as colour pictures of {width}x{height} pixels: {count}.")


def _grid(kernels, columns, scale, gap):
    """The kernels (K, 3, h, w) as one picture, uint8 (H, W, 3), each weight a square of scale x scale pixels."""
    count, _, height, width = kernels.shape
    height, width = height * scale, width * scale
    picture = np.full((-(-count // columns) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for index, kernel in enumerate(kernels):
        y, x = index // columns * (height + gap), index % columns * (width + gap)
        picture[y : y + height, x : x + width] = np.kron(_shades(kernel), np.ones((scale, scale, 1), np.uint8))
    return picture


def _shades(kernel):
    """One kernel (3, h, w) as colours, uint8 (h, w, 3): zero is mid grey, its largest magnitude black or white."""
    finite = np.isfinite(kernel)
    values = np.where(finite, kernel, 0).astype(np.float64)
    peak = np.abs(values).max()
    values = values / peak if peak > 0 else values
    return np.rint(127.5 + 127.5 * values).astype(np.uint8).transpose(1, 2, 0)
