"""How the activations of a layer spread over training: a histogram a step, side by side as an image."""

from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator

from tinynet.draw.dead_units import _steps
from tinynet.draw.page import HAIRLINE, HEAD, SHADES, TRACK, Page, finish, heading, new_page, panel, scale_bar, style
from tinynet.instruments.history import A_DECADE, DECADES, History

PANEL, BETWEEN, ZERO = 210, 46, 3  # pixels; and how many bins high the one of 0 is drawn


def histograms(history: History, path: str | Path | None = None) -> Page | Path:
    """Draw, for each layer of a History, how large its activations were at each step: the histogram as a column of shades.

    Upwards are powers of ten of positive numbers, downwards, if there are any, those of negative ones, 0 (and what is below
    a millionth) between them. A shade is the share of the layer's numbers that lie in a bin, on a logarithmic scale, too;
    where there is none the picture is blank.

    path: where the PNG goes; returned as Path. Without one the Figure is returned.

    Raises ValueError for what is no History, and for one without a step.
    """
    steps = _steps("histograms", history)
    layers = {name or "the model": np.array(counts, np.float64) for name, counts in history.counts.items()}
    shares = {name: counts / np.maximum(counts.sum(1, keepdims=True), 1) for name, counts in layers.items()}
    least = min((share[share > 0].min() for share in shares.values() if share.any()), default=1e-3)
    norm = LogNorm(min(max(least, 1e-6), 0.1), 1)
    height = HEAD + len(shares) * (PANEL + BETWEEN) + 40
    with style():
        figure, page = new_page(1200, height)
        heading(page, 70, "Activations over training", "each column is the histogram of one step; the lighter, the fewer")
        for index, (name, share) in enumerate(shares.items()):
            axes = panel(figure, 110, HEAD + 20 + index * (PANEL + BETWEEN), 860, PANEL)
            _draw_layer(axes, steps, share, norm)
            axes.annotate(name, (0, 1), (0, 5), "axes fraction", "offset points", fontweight="bold", parse_math=False)
            axes.set_ylabel("activation")
            axes.tick_params(labelbottom=index == len(shares) - 1)
        axes.set_xlabel("step")
        box = (1010, HEAD + 20, 18, min(height - HEAD - 90, 360))
        label = f"share of the layer's numbers in a bin\n({A_DECADE} bins a power of ten)"
        scale_bar(figure, box, norm, label, SHADES.reversed())
        middles = "; ".join(f"{name}, {_said(share[-1])}" for name, share in shares.items())
        alt = f"Histograms of activations against steps {steps[0]} to {steps[-1]}, an image for each layer."
        return finish(figure, path, f"{alt} At the end: {middles}.")


def _draw_layer(axes, steps, share, norm):
    bins, first = share.shape[1] // 2, DECADES[0]
    # Rows of the image: negative bins, the one of 0, positive bins, at these heights in bins.
    heights = np.concatenate([np.arange(-bins, 1) - ZERO / 2, np.arange(bins + 1) + ZERO / 2])
    used = np.flatnonzero(share.any(0))
    low, high = (used.min(), used.max()) if used.size else (bins, bins + 1)
    low, high = _whole(low, bins, -1), _whole(high, bins, 1)
    middles = np.array(steps, float)
    between = (middles[1:] + middles[:-1]) / 2
    half = (middles[1] - middles[0]) / 2 if len(steps) > 1 else 0.5
    last = (middles[-1] - middles[-2]) / 2 if len(steps) > 1 else 0.5
    edges = np.concatenate([[middles[0] - half], between, [middles[-1] + last]])
    axes.set_facecolor("white")
    axes.pcolormesh(edges, heights, np.ma.masked_equal(share, 0).T, norm=norm, cmap=SHADES.reversed(), rasterized=True)
    axes.axhspan(-ZERO / 2, ZERO / 2, facecolor="none", edgecolor=HAIRLINE, linewidth=0.6)
    axes.set_ylim(heights[low], heights[high + 1])
    axes.set_xlim(edges[0], edges[-1])
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    ticks = {0.0: "0"}
    for decade in range(DECADES[1] - first + 1):
        number = f"{10.0 ** (first + decade):g}" if -4 <= first + decade <= 4 else f"1e{first + decade}"
        ticks[decade * A_DECADE + ZERO / 2], ticks[-decade * A_DECADE - ZERO / 2] = number, f"\N{MINUS SIGN}{number}"
    shown = {at: text for at, text in ticks.items() if heights[low] <= at <= heights[high + 1]}
    every = max(1, round(len(shown) / 9))
    kept = {at: text for at, text in shown.items() if at == 0 or round((abs(at) - ZERO / 2) / A_DECADE) % every == 0}
    kept = {at: text for at, text in kept.items() if at == 0 or abs(at) > ZERO}
    axes.set_yticks(list(kept), list(kept.values()))
    axes.tick_params(axis="y", labelsize=7)
    axes.grid(axis="y", color=TRACK)


def _whole(index, bins, sign):
    """The index of the last bin of the decade that a bin is in, away from 0."""
    distance = sign * (index - bins)
    if distance <= 0:
        return bins
    return bins + sign * min(bins, -(-distance // A_DECADE) * A_DECADE)


def _said(share):
    bins = len(share) // 2
    return f"{share[bins]:.0%} zero, {share[bins + 1 :].sum():.0%} positive, {share[:bins].sum():.0%} negative"
