"""What a step costs: a bar of time for each layer and each operation, forward and backward."""

from pathlib import Path

from matplotlib.patches import Rectangle

from tinynet.draw.page import HEAD, INK, MUTED, TRACK, Page, finish, fit, heading, new_page, panel, style
from tinynet.draw.timeline import PHASES
from tinynet.instruments.trace import Trace

PARTS = {"forward": PHASES["forward"], "backward": PHASES["backward"], "other": "#dfe3e8"}
ROW, LEFT, RIGHT, WIDTH, MOST = 30, 230, 330, 1400, 40  # pixels; rows


def trace(t: Trace, path: str | Path | None = None) -> Page | Path:
    """Draw what `tn.trace` noted: for each layer, and below for each operation, how long it took, and its multiply-adds.

    path: where the PNG goes; returned as Path. Without one the Figure is returned.

    Of more than 40 layers the longest are drawn. "other" are updates of weights, and copies. Raises ValueError for what is
    no Trace, and for one that is empty.
    """
    if not isinstance(t, Trace):
        raise ValueError(f"trace: expected what `with tn.trace() as t:` gives, got {type(t).__name__}")
    if not t.work:
        raise ValueError("trace: there is nothing in it; compute something inside of `with tn.trace() as t:`, and leave it")
    layers, ops, total = t.layers(), t.ops(), t.total()
    left_out = len(layers) - MOST
    if left_out > 0:
        least = sorted(layers, key=lambda cost: -cost.seconds)[MOST - 1].seconds
        layers = [cost for cost in layers if cost.seconds >= least][:MOST]
    longest, inner = max(cost.seconds for cost in (*layers, *ops)) or 1e-9, WIDTH - LEFT - RIGHT
    height = HEAD + 40 + (len(layers) + len(ops)) * ROW + 78 + 84
    with style():
        figure, page = new_page(WIDTH, height)
        parts = ", ".join(f"{part} {1e3 * getattr(total, part):.3g}" for part in PARTS)
        title = f"Where {1e3 * total.seconds:.3g} ms went: {parts} ms"
        memory = "" if total.memory is None else f"; at most {total.memory / 1e6:.3g} MB more in use than before"
        count = total.multiply_adds + total.backward_multiply_adds
        heading(page, 30, title, f"{count:,} multiply-adds{memory}")
        x = LEFT
        for part, colour in PARTS.items():
            page.add_patch(Rectangle((x, HEAD + 4), 16, 16, facecolor=colour, edgecolor=MUTED, linewidth=0.5))
            page.text(x + 24, HEAD + 18, part, color=MUTED)
            x += 140
        y = HEAD + 40
        for kind, costs in (("layer", layers), ("operation", ops)):
            page.text(LEFT - 12, y + 14, kind, ha="right", color=MUTED, fontsize=7)
            page.text(WIDTH - RIGHT + 100, y + 14, "multiply-adds", ha="right", color=MUTED, fontsize=7)
            page.text(WIDTH - RIGHT + 220, y + 14, "10\u2079 a second", ha="right", color=MUTED, fontsize=7)
            y += 26
            for cost in costs:
                _draw_bar(page, cost, y, inner / longest)
                y += ROW
            y += 14
        axes = panel(figure, LEFT, y, inner, 1)
        axes.set_xlim(0, 1e3 * longest)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("ms")
        if left_out > 0:
            page.text(WIDTH - 30, y + 40, f"{left_out} shorter layers are left out", ha="right", color=MUTED)
        first, slow = ops[0], max(layers, key=lambda cost: cost.seconds)
        return finish(
            figure, path,
            f"{title}. The longest operation is {first.name} with {first.seconds / (total.seconds or 1):.0%} of the time, "
            f"the longest layer {slow.name} with {slow.seconds / (total.seconds or 1):.0%}.",
        )  # fmt: skip


def _draw_bar(page, cost, y, pixels):
    page.add_patch(Rectangle((LEFT, y), WIDTH - LEFT - RIGHT, ROW - 8, facecolor=TRACK, linewidth=0))
    page.text(LEFT - 12, y + 17, fit(page, cost.name, LEFT - 40), ha="right", color=INK, parse_math=False)
    x = LEFT
    for part, colour in PARTS.items():
        wide = pixels * getattr(cost, part)
        if wide:
            edge = MUTED if part == "other" else "white"
            page.add_patch(Rectangle((x, y), wide, ROW - 8, facecolor=colour, edgecolor=edge, linewidth=0.5))
        x += wide
    count = cost.multiply_adds + cost.backward_multiply_adds
    if count:
        page.text(WIDTH - RIGHT + 100, y + 17, f"{count / 1e6:,.1f} M", ha="right", color=MUTED, fontsize=7)
        rate = count / (cost.forward + cost.backward or 1e-9) / 1e9
        page.text(WIDTH - RIGHT + 220, y + 17, f"{rate:.1f}", ha="right", color=MUTED, fontsize=7)
