"""Plain HTML for notebooks: tables with inline styles, which GitHub shows as Jupyter does. Arrays in, text out."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

INK, FAINT, RED = "#22262b", "#767d87", "#b3261e"
POSITIVE, NEGATIVE = (74, 106, 148), (209, 87, 31)  # blue and orange: told apart by the colour-blind, too
ROWS, COLUMNS = 8, 12  # the largest piece of an array that is shown
_CELL = "padding:2px 8px;border:1px solid #c9ced6"


def table(head: Sequence, rows: Iterable[Sequence], align: str) -> str:
    """A table of texts. align: "l" or "r" for each column. Text is escaped; every row is as long as `head`."""
    side = {"l": "left", "r": "right"}
    parts = ["<tr>", *(_cell(text, f"text-align:{side[a]}", "th") for text, a in zip(head, align, strict=True)), "</tr>"]
    for row in rows:
        cells = [_cell(text, f"text-align:{side[a]}") for text, a in zip(row, align, strict=True)]
        parts += ["<tr>", *cells, "</tr>"]
    return _table(parts)


def line(mark: str, bold: str, text: str, alarm: bool = False) -> str:
    """A line of text: a mark, red if it is an alarm, something bold, and the rest."""
    colour = f";color:{RED}" if alarm else ""
    parts = [f'<b style="margin-right:8px{colour}">{escape(mark)}</b>'] * bool(mark) + [f"<b>{escape(bold)}</b> "] * bool(
        bold
    )
    return f'<div style="margin:2px 0">{"".join(parts)}{escape(text)}</div>'


def array(values: np.ndarray, caption: str) -> str:
    """Numbers as a table, in blue where positive and orange where negative, the darker the larger, under a caption.

    Of more than two axes the first slice is shown, of long axes the beginning; the caption says so.
    """
    shown = values[(0,) * max(0, values.ndim - 2)]
    whole, grid = shown, np.atleast_2d(shown)[:ROWS, :COLUMNS]
    if values.size == 0:
        return _captioned(caption, "")
    if grid.size < values.size:
        where = ["0"] * (values.ndim - whole.ndim)
        where += [
            ":" if n <= most else f":{most}" for n, most in zip(whole.shape, (ROWS, COLUMNS)[-whole.ndim :], strict=True)
        ]
        caption += f"; shown is [{', '.join(where)}]"
    with np.errstate(all="ignore"):
        size = np.abs(grid.astype(np.float64))
    top = size[np.isfinite(size)].max(initial=0.0)
    parts = []
    for row, sizes in zip(grid, size, strict=True):
        parts += ["<tr>", *(_number(v, s / top if top else 0.0) for v, s in zip(row, sizes, strict=True)), "</tr>"]
    return _captioned(caption, _table(parts))


def picture(lines: Sequence[str]) -> str:
    """The marks that a gradient check draws, as a table: wrong entries red, right ones white."""
    look = {"#": ("wrong", RED), ".": ("right", "#ffffff"), "k": ("on a kink", "#c9ced6"), " ": ("not checked", "#f1f3f6")}
    parts, head = [], lines[0]
    for line in lines[1:]:
        marks = line[2::2] or " "
        cells = (
            f'<td title="{look[mark][0]}" style="width:14px;height:14px;padding:0;border:1px solid #c9ced6;'
            f'text-align:center;color:{"#ffffff" if mark == "#" else INK};background:{look[mark][1]}">{mark.strip()}</td>'
            for mark in marks
        )
        parts += ["<tr>", *cells, "</tr>"]
    return _captioned(head, _table(parts))


def _number(value, share):
    if value.dtype.kind == "f" and not np.isfinite(value):
        return _cell(f"{value}", f"text-align:right;color:#ffffff;background:{RED}")
    base = NEGATIVE if value.dtype.kind != "b" and value < 0 else POSITIVE
    shade = ",".join(str(round(255 - 0.65 * share * (255 - c))) for c in base)  # never so dark that ink is lost on it
    text = f"{value:.4g}" if value.dtype.kind == "f" else str(value)
    return _cell(text, f"text-align:right;color:{INK};background:rgb({shade})")


def _cell(text, style, tag="td"):
    return f'<{tag} style="{_CELL};{style}">{escape(str(text))}</{tag}>'


def _table(parts):
    return f'<table style="border-collapse:collapse;margin:0"><tbody>{"".join(parts)}</tbody></table>'


def _captioned(caption, body):
    return f'<div><div style="color:{FAINT};margin:2px 0">{escape(caption)}</div>{body}</div>'
