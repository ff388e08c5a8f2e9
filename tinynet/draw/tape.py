"""The picture of a tape: a box for each operation, from the inputs at the top down to the loss."""

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from matplotlib.patches import PathPatch, Polygon, Rectangle
from matplotlib.path import Path as Curve

from tinynet.draw.layout import SPACE, Box, layout
from tinynet.draw.page import HAIRLINE, MUTED, TRACK, Page, finish, new_page, style, text_width
from tinynet.instruments.rewind import number
from tinynet.instruments.tape import Tape
from tinynet.instruments.tape import tape as tape_of
from tinynet.tensor import Tensor

ARRIVED, WAITING, MEETING, LINE = "#1f5f8b", "#b3261e", "#d1571f", "#8d96a1"
DEVICES = ["#ffffff", "#fdf0e0", "#e6eef7", "#edf5e6"]  # what fills the boxes of the first, second, ... device
MOST = 400  # entries; more are no picture
PAD, ROW, MARGIN, HEAD, LEAST = 10, 21, 30, 74, 300  # pixels
BOLD, PLAIN = {"fontsize": 7.5, "fontweight": "bold"}, {"fontsize": 6.5}


def tape(loss: Tensor | Tape, model=None, path: str | Path | None = None) -> Page | Path:
    """Draw the tape of `loss`, and return the Figure; given a path, write it there as PNG and return the Path.

    loss: a Tensor, or what `tn.tape` or `tape.rewind` has been called on: then the gradients are those that have arrived so
    far. model: gives leaves, and others, their names, see `tn.tape`; e.g. `locals()`.

    A box says the operation, its name and the shape of its output; of a scalar the value, if the tape still knows its
    Tensor (leaves, the loss, named and retained ones), and the gradient: "not yet", which is not 0, before it has arrived;
    "not kept" if it has and nobody called `retain_grad()`. A leaf that one operation uses stands in the box of
    that operation, with a dot that is filled once its gradient has arrived; scalars and shared leaves have their own boxes.
    Raises ValueError for a tape of more than 400 entries.
    """
    shown = loss if isinstance(loss, Tape) else tape_of(loss, model)
    if len(shown) > MOST:
        raise ValueError(
            f"draw.tape: {len(shown)} entries are more than the {MOST} that make a picture; print(tn.tape(loss))"
        )
    with style():
        boxes = _boxes(shown)
        figure = _draw(shown, boxes, layout(list(boxes.values()), MARGIN, HEAD))
        return finish(figure, path, f"The tape of {len(shown)} entries as {len(boxes)} boxes, inputs above, the loss below.")


# what stands in a box -------------------------------------------------------------------------------------------------


def _boxes(tape):
    """{entry: its box}, in the order of the tape, measured and connected; leaves in another's box have none."""
    users = defaultdict(list)
    for e in tape:
        for parent in e.parents:
            users[parent].append(e)
    folded = {e for e in tape if e.leaf is not None and len(users[e]) == 1 and _size(e.shape) != 1}
    boxes = {e: Box(e, _lines(tape, e, folded)) for e in tape if e not in folded}
    _, axes = new_page(100, 100)
    for box in boxes.values():
        for parent in box.entry.parents:
            if parent in boxes:
                box.above.append(boxes[parent])
                boxes[parent].below.append(box)
        widths = [sum(text_width(axes, text, font) + PAD for text, font in line) for line in box.lines]
        box.width, box.height = max(widths) + PAD, ROW * len(box.lines) + PAD
    return boxes


def _size(shape):
    return int(np.prod(shape))


def _lines(tape, e, folded):
    """The lines of a box; a line is a list of (text, font)."""
    name, leaf, scalar = tape.names.get(e, ""), e.leaf is not None, _size(e.shape) == 1
    head = [(name or "leaf", BOLD)] if leaf else [(e.op, BOLD)] + [(name, PLAIN | {"fontsize": 7.5})] * bool(name)
    if e.shape:
        head.append((str(e.shape), PLAIN | {"color": MUTED}))
    lines = [head]
    word, value = _gradient(tape, e)
    if scalar:
        tensor = tape.tensor(e)
        if tensor is not None:
            lines.append([("value", PLAIN | {"color": MUTED}), (number(tensor.item()), PLAIN)])
        colour = WAITING if word == "not yet" else MUTED if value is None else ARRIVED
        shown = word if value is None else number(float(value.ravel()[0]))
        lines.append([("gradient", PLAIN | {"color": MUTED}), (shown, PLAIN | {"color": colour})])
    elif leaf or tape.arrived is not None or e.retained is not None:
        head.append(_dot(word))
    for parent in dict.fromkeys(p for p in e.parents if p in folded):
        word, _ = _gradient(tape, parent)
        text = f"{tape.names.get(parent, 'leaf')} {parent.shape}"
        lines.append([_dot(word), (text, PLAIN)])
    if None in e.parents:
        count = e.parents.count(None)
        lines.append([("a constant" if count == 1 else f"{count} constants", PLAIN | {"color": MUTED})])
    return lines


def _dot(word):
    return ("○" if word == "not yet" else "●", PLAIN | {"color": WAITING if word == "not yet" else ARRIVED})


def _gradient(tape, e):
    """("arrived", "not yet" or "not kept", the gradient as an array, if it is small and there)."""
    if tape.arrived is not None:
        return ("arrived", tape.arrived[e]) if e in tape.arrived else ("not yet", None)
    tensor = tape.tensor(e)
    if tensor is not None and tensor.grad is not None:
        return "arrived", tensor.device.numpy(tensor.grad) if tensor.grad.size == 1 else None
    return ("not yet" if e.leaf is not None or e.owner is None else "not kept"), None


# ink ------------------------------------------------------------------------------------------------------------------


def _draw(tape, boxes, ranks):
    places = list(dict.fromkeys(e.device.name for e in boxes))
    bottom = max(box.y + box.height for box in boxes.values())
    right = max(box.x + box.width / 2 for rank in ranks for box in rank)
    notes = _notes(tape, places)
    name = tape.names.get(tape[-1], "")
    title = f"Tape{' of ' * bool(name)}{name}: {len(tape)} entries"
    _, axes = new_page(100, 100)
    widths = [text_width(axes, title, {"fontsize": 10, "fontweight": "bold"})]
    widths += [sum(text_width(axes, text, PLAIN) + PAD for text, *_ in line) for line in notes]
    width = max(LEAST, right, *(MARGIN + w for w in widths)) + MARGIN
    shift = (width - MARGIN - right) / 2
    figure, page = new_page(width, bottom + SPACE + ROW * len(notes) + MARGIN - SPACE * (not notes))
    page.text(MARGIN, 40, title, fontsize=10, fontweight="bold", parse_math=False)
    for rank in ranks:
        for box in rank:
            box.x += shift
    for box in boxes.values():
        _draw_edges(page, box, len(places) == 1)
    for box in boxes.values():
        leaf = box.entry.leaf is not None
        fill = TRACK if leaf and len(places) == 1 else DEVICES[places.index(box.entry.device.name) % len(DEVICES)]
        edge = {"edgecolor": HAIRLINE if leaf else MUTED, "linewidth": 0.8}
        page.add_patch(Rectangle((box.x - box.width / 2, box.y), box.width, box.height, facecolor=fill, zorder=3, **edge))
        for i, line in enumerate(box.lines):
            _write(page, box.x - box.width / 2 + PAD, box.y + ROW * (i + 1), line)
    for i, line in enumerate(notes):
        _write(page, MARGIN, bottom + SPACE + ROW * (i + 1), line)
    return figure


def _write(page, x, y, line):
    for text, font in line:
        page.text(x, y, text, parse_math=False, zorder=4, **font)
        x += text_width(page, text, font) + PAD


def _draw_edges(page, box, alone):
    """The edges that end in a box, from left to right; those where columns meet stand out. alone: all is on one device."""
    inputs = sorted(box.above, key=lambda parent: parent.x)
    spread = min(24, box.width / (len(inputs) + 1))
    for i, parent in enumerate(inputs):
        points = [(box.x + (i - (len(inputs) - 1) / 2) * spread, box.y)]
        while parent.entry is None:
            points.append((parent.x, parent.y + max(parent.height, ROW)))
            points.append((parent.x, parent.y))
            (parent,) = parent.above
        points = [(parent.x, parent.y + parent.height), *points[::-1]]
        meeting = {"transfer"} & {parent.entry.op, box.entry.op}
        if alone and {"concat", "stack"} & {parent.entry.op, box.entry.op}:
            meeting = abs(parent.x - box.x) > 30
        look = {"color": MEETING if meeting else LINE, "linewidth": 1.3 if meeting else 0.9}
        path, codes = [points[0]], [Curve.MOVETO]
        for (x0, y0), (x1, y1) in pairwise(points):
            path += [(x0, (y0 + y1) / 2), (x1, (y0 + y1) / 2), (x1, y1)]
            codes += [Curve.CURVE4] * 3
        page.add_patch(PathPatch(Curve(path, codes), fill=False, zorder=2, **look))
        (x, y), _ = points[-1], look.pop("linewidth")
        page.add_patch(Polygon([(x, y), (x - 4, y - 8), (x + 4, y - 8)], linewidth=0, zorder=2.5, **look))


def _notes(tape, places):
    """What the signs mean, as lines."""
    arrays = any(e.leaf is not None and _size(e.shape) != 1 for e in tape)
    notes, faint = [], PLAIN | {"color": MUTED}
    if arrays:
        waits, came = _dot("not yet"), _dot("arrived")
        notes.append([waits, ("its gradient has not arrived yet", faint), came, ("it has", faint)])
    if len(places) > 1:
        notes.append([(", ".join(places) + ": boxes of one device have one colour", faint)])
    if {"concat", "stack", "transfer"} & {e.op for e in tape}:
        what = "from one device to another" if len(places) > 1 else "where columns meet"
        notes.append([("—", BOLD | {"color": MEETING}), (what, faint)])
    return notes
