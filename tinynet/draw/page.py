"""The page that every picture is drawn on, its colours and its type.

Nothing here touches `pyplot`, a display, the backend or the global `rcParams`, and the same input gives the same bytes, so a
picture can be committed and compared.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from tinynet.files import replacing

DPI = 150  # sizes below are in pixels, type is in points
INK, MUTED, HAIRLINE, TRACK, ALARM = "#22262b", "#767d87", "#c9ced6", "#f1f3f6", "#b3261e"

# Matplotlib carries DejaVu Sans with it, so pictures are the same everywhere; the others serve scripts that it lacks.
FONTS = ["DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei"]
STYLE = {
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), HAIRLINE),
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor"), MUTED),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    **dict.fromkeys(("axes.linewidth", "grid.linewidth"), 0.8),
    **{"font.size": 8, "text.color": INK, "grid.color": TRACK, "axes.axisbelow": True, "ytick.major.size": 0},
}


@contextmanager
def style() -> Iterator[None]:
    """Our settings on top of Matplotlib's defaults, whatever the user's matplotlibrc says; all undone on leaving."""
    fonts = sorted(set(FONTS) & set(fontManager.get_font_names()), key=FONTS.index)
    with matplotlib.style.context(["default", STYLE | {"font.family": fonts}]), warnings.catch_warnings():
        # A name in a script that no font here has is drawn as boxes: poor, but no reason to stop a training.
        warnings.filterwarnings("ignore", message=r"(?s)(Glyph .* missing|Matplotlib currently does not support)")
        yield


def new_page(width: float, height: float):
    """A figure of width x height pixels and, covering it, a bare axes whose coordinates are pixels, y downwards."""
    inches = (width + 1e-6) / DPI, (height + 1e-6) / DPI  # since some Matplotlibs round 315.99999 pixels down
    figure = FigureCanvasAgg(Figure(figsize=inches, dpi=DPI)).figure
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def write(figure: Figure, path: str | Path) -> Path:
    """Write the figure as PNG and return its Path: a reader sees the old picture or the new one, never half of one."""
    path = Path(path)
    if path.suffix.lower() not in ("", ".png"):
        raise ValueError(f"pictures are written as PNG: {path.name!r} should end in .png")
    with replacing(path) as whole:
        figure.savefig(whole, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
    return path


def fit(axes, text, width: float, **font) -> str:
    """`text` on one line, ended with an ellipsis, after a comma if there is one, if wider than `width` pixels."""
    text = " ".join(str(text).split()).encode("utf-8", "replace").decode()  # the name of a folder may be no text at all
    probe = axes.text(0, 0, "", parse_math=False, **font)

    def fits(candidate):
        probe.set_text(candidate)
        return probe.get_window_extent().width <= width

    shown, length = text, len(text)
    while length and not fits(shown):
        length -= 1
        whole_names, comma, _ = text[:length].rpartition(", ")
        shown = f"{whole_names}, …" if comma else f"{text[:length].rstrip()}…"
    probe.remove()
    return shown
