"""Which layers lose units in training: the share that no image of a batch excites."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from tinynet.draw.page import HEAD, Page, finish, heading, new_page, panel, style
from tinynet.instruments.history import History

# Far apart for the colour-blind (Okabe and Ito); printed in grey, line styles and markers tell them apart.
COLOURS = ["#000000", "#0072b2", "#d55e00", "#009e73", "#a8538a", "#2d89bd", "#9c6a00"]
LINES, MARKERS = ["-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5))], "osD^vPX<>"


def dead_units(history: History, path: str | Path | None = None) -> Page | Path:
    """Draw, for each layer of a History, the share of units that were never above 0 in a batch, in %, against steps.

    path: where the PNG goes; returned as Path. Without one the Figure is returned.

    Raises ValueError for what is no History, and for one without a step.
    """
    steps = _steps("dead_units", history)
    shares = {name: 100 * np.array(share) for name, share in history.dead.items()}
    names = [name or "the model" for name in shares]
    with style():
        figure, page = new_page(1200, 600)
        heading(page, 70, "Dead units", "of a batch's images none excites them: their output is never above 0")
        axes = panel(figure, 70, HEAD + 20, 840, 600 - HEAD - 90)
        axes.set_xlim(steps[0], steps[-1] if len(steps) > 1 else steps[0] + 1)
        axes.set_ylim(0, np.clip(1.08 * max(share.max() for share in shares.values()), 5, 100))
        axes.set_xlabel("step")
        axes.set_ylabel("units of the layer, %")
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.grid(axis="y")
        every, last = max(1, len(steps) // 10), [share[-1] for share in shares.values()]
        heights = _spread(last, *axes.get_ylim())
        for index, (name, share) in enumerate(zip(names, shares.values(), strict=True)):
            colour, marker = COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]
            look = {"color": colour, "linestyle": LINES[index % len(LINES)], "linewidth": 1.3, "marker": marker}
            look |= {"markersize": 4, "clip_on": False}
            axes.plot(steps, share, markevery=(index % every, every), **look)
            y = heights[index]  # a piece of the line stands before its name, for those who cannot tell the colours apart
            axes.plot([1.02, 1.045, 1.07], [y] * 3, transform=axes.get_yaxis_transform(), markevery=[1], **look)
            axes.annotate(f"{last[index]:.1f} % {name}", (1.085, y), xycoords=axes.get_yaxis_transform(), color=colour,
                          va="center", fontsize=7, parse_math=False)  # fmt: skip
        ends = zip(names, shares.values(), strict=True)
        said = ", ".join(f"{name} {share[0]:.1f} to {share[-1]:.1f} %" for name, share in ends)
        return finish(figure, path, f"Dead units against steps {steps[0]} to {steps[-1]}, a line for each layer: {said}.")


def _spread(values, low, high):
    """Heights for labels at these values: in their order, apart from each other, within the axes."""
    order, gap = np.argsort(values, kind="stable")[::-1], min(0.05, 1 / max(len(values) - 1, 1)) * (high - low)
    heights = np.array(values, float)
    for before, after in pairwise(order[::-1]):  # upwards, then down again from the top
        heights[after] = max(heights[after], heights[before] + gap)
    heights[order[0]] = min(heights[order[0]], high)
    for before, after in pairwise(order):
        heights[after] = min(heights[after], heights[before] - gap)
    return heights


def _steps(picture, history):
    if not isinstance(history, History):
        raise ValueError(f"{picture}: expected a tn.History, which notes a training, got {type(history).__name__}")
    if not history.steps or not history.dead:
        raise ValueError(f"{picture}: the history has no step yet; call history.note(step, seen) once a step")
    return history.steps
