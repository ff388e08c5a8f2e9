"""The page that every picture is drawn on, its colours and its type.

Nothing here touches `pyplot`, a display, the backend or the global `rcParams`, and the same input gives the same bytes, so a
picture can be committed and compared. A picture is a Figure until it is written; a notebook shows it as it would be written.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.transforms import Bbox

from tinynet.files import replacing

DPI = 150  # sizes below are in pixels, type is in points
INK, MUTED, HAIRLINE, TRACK, ALARM = "#22262b", "#767d87", "#c9ced6", "#f1f3f6", "#b3261e"

HEAD = 92  # pixels that a heading takes
SHADES = colormaps["cividis"]  # more is lighter, printed in grey and for the colour-blind, too

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


class Page(Figure):
    """A figure that looks the same wherever it is shown: always drawn in our style, never cropped or laid out again.

    alt: in words what is to be seen, for those who do not see it.
    """

    alt = ""

    def draw(self, renderer):
        with style():  # not every setting is asked for when an artist is made; ticks are made while drawing
            super().draw(renderer)

    def get_tightbbox(self, renderer=None, *, bbox_extra_artists=None):
        # Notebooks crop to what is drawn, and a cut off the middle of a pixel would blur everything.
        return Bbox.from_bounds(0, 0, *self.get_size_inches())

    def _repr_png_(self):
        # What a notebook shows; once pyplot has drawn something in it, it shows the same with a white border.
        file = BytesIO()
        with style():
            _save(self, file)
        return file.getvalue(), {"alt": self.alt}


def new_page(width: float, height: float):
    """A Page of width x height pixels and, covering it, a bare axes whose coordinates are pixels, y downwards."""
    inches = (width + 1e-6) / DPI, (height + 1e-6) / DPI  # since some Matplotlibs round 315.99999 pixels down
    figure = FigureCanvasAgg(Page(figsize=inches, dpi=DPI)).figure
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def finish(figure: Page, path: str | Path | None, alt: str) -> Page | Path:
    """What a picture returns: the figure, with `alt`, or, given a path, the Path that it was written to."""
    figure.alt = alt
    return figure if path is None else write(figure, path)


def write(figure: Page, path: str | Path) -> Path:
    """Write the figure as PNG and return its Path: a reader sees the old picture or the new one, never half of one."""
    path = Path(path)
    if path.suffix.lower() not in ("", ".png"):
        raise ValueError(f"pictures are written as PNG: {path.name!r} should end in .png")
    with replacing(path) as whole:
        _save(figure, whole)
    return path


def _save(figure, file):
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})


def place(page, picture: np.ndarray, x: int, y: int) -> None:
    """Put a picture (H, W, 3), uint8, on a page, its upper left corner at pixel (x, y): each of its pixels is one there.

    (`Figure.figimage` does so too, but it ignores that a notebook moves the page, or doubles its resolution.)
    """
    height, width, _ = picture.shape
    page.imshow(picture, extent=(x, x + width, y + height, y), interpolation="none", aspect="auto")


def panel(figure, x: float, y: float, width: float, height: float, **settings):
    """Axes whose frame is at these pixels of the page, y downwards."""
    across, down = (figure.get_size_inches() * DPI).round()
    return figure.add_axes((x / across, 1 - (y + height) / down, width / across, height / down), **settings)


def heading(page, x: float, text: str, about: str = "", width: float = 10_000) -> None:
    """A title at pixel x of the page's head, which is HEAD pixels high, with a quieter line below it."""
    font = {"fontsize": 10, "fontweight": "bold"}
    page.text(x, 42, fit(page, text, width, **font), parse_math=False, **font)
    page.text(x, 70, fit(page, about, width), color=MUTED, parse_math=False)


def scale_bar(figure, box: tuple, norm, label: str, shades=None, **settings):
    """What the shades mean: a bar in the axes at `box` (x, y, width, height), with ticks and a label that has the unit."""
    bar = figure.colorbar(ScalarMappable(norm, shades or SHADES), cax=panel(figure, *box), **settings)
    bar.set_label(label)
    bar.outline.set_edgecolor(HAIRLINE)
    return bar


def photo(image: np.ndarray, near: int = 256) -> np.ndarray:
    """The image (3, s, s) as uint8 (S, S, 3), S near `near`: each pixel made a square, or squares of them one pixel."""
    zoom, shrink = max(1, round(near / image.shape[1])), max(1, round(image.shape[1] / near))
    side = image.shape[1] // shrink
    squares = image[:, : side * shrink, : side * shrink].reshape(3, side, shrink, side, shrink)
    return squares.mean((2, 4)).round().astype(np.uint8).transpose(1, 2, 0).repeat(zoom, 0).repeat(zoom, 1)


def text_width(axes, text, font: dict) -> float:
    """Pixels that a text takes on one line."""
    probe = axes.text(0, 0, text, parse_math=False, **font)
    width = probe.get_window_extent().width
    probe.remove()
    return width


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
