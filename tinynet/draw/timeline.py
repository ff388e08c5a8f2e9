"""The picture of a timeline: a row for each device, a bar for each operation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from tinynet.devices import Device
from tinynet.draw.page import INK, MUTED, TRACK, Page, finish, fit, new_page, style, text_width
from tinynet.instruments.timeline import Timeline

PHASES = {"forward": "#4a6a94", "backward": "#f5993d", "update": "#a9b2bd", "copy": "#b3261e"}
LANE, GAP, LEFT, RIGHT, HEAD, FOOT = 96, 40, 150, 120, 96, 84  # pixels
BOLD = {"fontweight": "bold"}


@contextmanager
def drawing(devices: Sequence[Device], path: str | Path, what: str) -> Iterator[Timeline]:
    """What the devices do inside is drawn to `path`, and written as JSON beside it, unless it raises."""
    with Timeline(devices) as recorded:
        yield recorded
    recorded.write(Path(path).with_suffix(".json"))
    timeline(recorded, what, path)


def timeline(recorded: Timeline, what: str = "work", path: str | Path | None = None) -> Page | Path:
    """Draw a timeline: a row for each device, a bar for each operation.

    what: the start of its title. path: where the PNG goes; returned as Path. Without one the Figure is returned.
    """
    total, rows = recorded.seconds() or 1e-3, len(recorded.devices)
    width, height = 1560, HEAD + rows * (LANE + GAP) - GAP + FOOT
    with style():
        figure, page = new_page(width, height)
        widest = max((text_width(page, device.name, BOLD) for device in recorded.devices), default=0)
        left_edge = max(LEFT, round(widest) + 32)  # names as long as "cuda:0 stream 2" want more
        inner = width - left_edge - RIGHT
        names = " and ".join(device.name for device in recorded.devices)
        simulated = any(device.kind == "sim" for device in recorded.devices)
        title = f"{what} on {names}{', as if each were as fast as this CPU' * simulated}: {1e3 * total:.3g} ms"
        page.text(left_edge, 40, title, fontsize=10, fontweight="bold", parse_math=False)
        x = left_edge
        for phase, colour in PHASES.items():
            page.add_patch(Rectangle((x, 60), 16, 16, facecolor=colour, linewidth=0))
            page.text(x + 24, 74, phase, color=MUTED)
            x += 140
        for row, device in enumerate(recorded.devices):
            top = HEAD + row * (LANE + GAP)
            page.add_patch(Rectangle((left_edge, top), inner, LANE, facecolor=TRACK, linewidth=0))
            page.text(left_edge - 16, top + LANE / 2, device.name, ha="right", va="center", **BOLD)
            page.text(width - RIGHT + 16, top + LANE / 2, f"{recorded.busy(row):.0%} busy", va="center", color=MUTED)
        for span in sorted(recorded.spans, key=lambda span: span.phase == "copy"):  # copies last: they are short, and matter
            top, out = HEAD + span.row * (LANE + GAP), 8 if span.phase == "copy" else 0
            left, long = left_edge + inner * span.start / total, inner * (span.stop - span.start) / total
            wide = max(long - 1 if long > 6 else long, 2 if out else 0.5)  # bars of some width have a gap between them
            page.add_patch(Rectangle((left, top - out), wide, LANE + 2 * out, facecolor=PHASES[span.phase], linewidth=0))
            if long > 30:
                font = {"fontsize": 6, "color": INK if span.phase == "update" else "white"}
                op = fit(page, span.op, LANE - 16, **font)
                page.text(left + long / 2, top + LANE / 2, op, rotation=90, ha="center", va="center", **font)
        axes = figure.add_axes((left_edge / width, (FOOT - 12) / height, inner / width, 1 / height))
        axes.set_xlim(0, 1e3 * total)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(10, steps=[1, 2, 2.5, 5, 10]))
        axes.set_xlabel("ms")
        busy = ", ".join(f"{device.name} {recorded.busy(row):.0%}" for row, device in enumerate(recorded.devices))
        return finish(figure, path, f"{title}. A bar for each operation on a row for each device; busy: {busy}.")
