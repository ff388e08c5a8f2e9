"""How training went: loss and error against epochs."""

from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
from matplotlib.ticker import MaxNLocator

from tinynet.draw.page import ALARM, DPI, HAIRLINE, MUTED, Page, finish, new_page, style

TRAIN, TRAIN_LIGHT, VALID = "#4a6a94", "#c3d0e2", "#d1571f"
REMARK = {"ha": "center", "va": "center", "color": MUTED}
LINE, DOT = {"linewidth": 1.3, "clip_on": False}, {"marker": "o", "markersize": 3, "markeredgewidth": 0.9}


def curves(records: Sequence[Mapping], path: str | Path | None = None) -> Page | Path:
    """Draw a training log: loss on the left, error in % on the right, against epochs.

    records: list of dicts as `training` logs them, in order: {"kind": "step", "step", "epoch", "loss", "lr"} and
             {"kind": "epoch", "epoch", "step", "train_loss", "train_error", "val_loss", "val_error", "val_top5_error",
             "lr"}; other kinds are passed over. `step` counts from the start of training, errors are fractions, a value
             may be missing, None, NaN or infinite. Of steps logged again by a resumed run the later ones count.
    path:    where the PNG goes (str or Path); returned as Path. Without one the Figure is returned.

    The axis counts steps until the first epoch has ended, since nobody knows before how long one is. Raises ValueError
    for a record without its numbers and for a path that is not a PNG's.
    """
    steps, epochs = _history(records)
    ends = _column(epochs, "epoch") + 1
    if steps:
        x, loss = _epochs_passed(steps, epochs), _column(steps, "loss")
        rates = x, _column(steps, "lr")
    else:
        x, loss = ends, _column(epochs, "train_loss")
        rates = ends - 1, _column(epochs, "lr")
    unit = "epoch" if epochs or not steps else "step"
    reach = np.concatenate([x, ends, [] if steps else ends - 1])
    span = (np.floor(reach.min()), reach.max()) if reach.size else (0, 1)

    with style():
        figure, _ = new_page(1560, 600)
        left = _panel(figure, 70, "Loss", unit, span)
        right = _panel(figure, 805, "Error, %", unit, span)
        _draw_loss(left, unit, x, loss, ends, _column(epochs, "val_loss"))
        _draw_errors(right, ends, epochs)
        for axes in (left, right):
            _draw_rates(axes, *rates)
        return finish(figure, path, _alt(unit, loss, epochs))


def _alt(unit, loss, epochs):
    known, error = loss[np.isfinite(loss)], _column(epochs, "val_error")
    falls = f"from {known[0]:.3g} to {known[-1]:.3g}" if known.size else "not known"
    ends = f" Validation error at the end: {error[-1]:.1%}." if error.size and np.isfinite(error[-1]) else ""
    return f"Loss, left, and error, right, against {unit}s. Training loss: {falls}.{ends}"


def _history(records):
    """The step records and the epoch records that still hold: a resumed run takes back what it repeats."""
    steps, epochs = [], []
    for index, record in enumerate(records):
        kind = record.get("kind")
        if kind not in ("step", "epoch"):
            continue
        if not all(isinstance(record.get(name), Real) for name in ("step", "epoch")):
            raise ValueError(f"curves: record {index} needs numbers 'step' and 'epoch', got {record}")
        while kind == "step" and steps and steps[-1]["step"] >= record["step"]:
            steps.pop()
        while epochs and epochs[-1]["epoch"] >= record["epoch"]:
            epochs.pop()
        (steps if kind == "step" else epochs).append(record)
    return steps, epochs


def _column(records, name):
    """One value of every record, float64 (n,); NaN where it is missing, None or infinite."""
    values = np.array([record.get(name) for record in records], np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _epochs_passed(steps, epochs):
    """Epochs passed at each step, float64 (n,), from where the finished epochs ended; plain steps if none has."""
    step = _column(steps, "step")
    known = np.array([(0, 0)] + [(record["step"], record["epoch"] + 1) for record in epochs], float)
    known = known[np.append(True, np.diff(np.maximum.accumulate(known[:, 0])) > 0)]
    if len(known) < 2:
        return _column(steps, "epoch") if epochs else step
    (step0, epoch0), (step1, epoch1) = known[-2:]
    unfinished = epoch1 + (step - step1) * (epoch1 - epoch0) / (step1 - step0)
    return np.where(step > step1, unfinished, np.interp(step, known[:, 0], known[:, 1]))


def _panel(figure, x, title, unit, span):
    """Empty axes at pixel x, with room on its right for the labels at the lines' ends."""
    width, height = (figure.get_size_inches() * DPI).round()
    axes = figure.add_axes((x / width, 84 / height, 520 / width, (height - 160) / height))
    axes.set_xlim(span[0], span[1] if span[1] > span[0] else span[0] + 1)
    axes.set_xlabel(unit)
    nice = [1, 2, 2.5, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=nice, integer=unit == "step" or span[1] - span[0] >= 2))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=nice))
    axes.grid(axis="y")
    axes.annotate(title, (0, 1), (0, 23), "axes fraction", "offset points", fontsize=10, fontweight="bold")
    return axes


def _draw_loss(axes, unit, x, loss, ends, val_loss):
    known = np.isfinite(loss)
    if not known.all():
        where = f"loss NaN or infinite at {unit} {x[~known][0]:.4g}"
        axes.annotate(where, (1, 1), (0, 23), "axes fraction", "offset points", color=ALARM, ha="right")
    if not known.any():
        axes.set_yticks([])
        axes.text(0.5, 0.5, "no finite loss" if loss.size else "no step logged yet", REMARK, transform=axes.transAxes)
        return
    everything = np.append(loss[known], val_loss[np.isfinite(val_loss)])
    # A loss that explodes must not flatten all that went before it.
    ceiling = 3 * max(np.median(np.abs(loss[known])), np.median(np.abs(loss[known][:10])))
    top = min(ceiling, everything.max())
    axes.set_ylim(min(0, everything.min()), 1.05 * top if top > 0 else 1)
    smooth = _smooth(np.where(loss <= ceiling, loss, np.nan))
    axes.plot(*_thin(x, loss), color=TRAIN_LIGHT, linewidth=0.6)
    stride = max(1, len(x) // 1000)
    axes.plot(x[::stride], smooth[::stride], color=TRAIN, **(LINE if known.sum() > 1 else LINE | DOT))
    axes.plot(
        ends,
        val_loss,
        color=VALID,
        **(LINE | (DOT if len(ends) <= 40 else {}) | {"clip_on": bool((val_loss > top).any())}),
    )
    last = loss if loss[known][-1] > ceiling else smooth
    _label_ends(axes, [("{:#.3g} training", last, TRAIN), ("{:#.3g} validation", val_loss, VALID)])


def _draw_errors(axes, ends, epochs):
    values = [100 * _column(epochs, name) for name in ("train_error", "val_error", "val_top5_error")]
    training, validation, top5 = values
    values = np.concatenate(values)
    values = values[np.isfinite(values)]
    axes.set_ylim(0, np.clip(1.08 * values.max(), 1, 100) if values.size else 100)
    if not values.size:
        text = "no error measured" if epochs else "no epoch finished yet"
        axes.text(0.5, 0.5, text, REMARK, transform=axes.transAxes)
    style = LINE | (DOT if len(ends) <= 40 else {})
    axes.plot(ends, training, color=TRAIN, **style)
    axes.plot(ends, validation, color=VALID, **style)
    axes.plot(ends, top5, color=VALID, **(style | {"linestyle": (0, (3, 1.5)), "markerfacecolor": "white"}))
    labels = [("{:.1f} % training", training, TRAIN), ("{:.1f} % validation", validation, VALID)]
    _label_ends(axes, [*labels, ("{:.1f} % validation, top 5", top5, VALID)])


def _draw_rates(axes, x, rate):
    """A hairline with the new learning rate wherever it fell by a third or more."""
    known = np.isfinite(rate)
    x, rate = x[known], rate[known]
    if not rate.size:
        return
    drops = np.flatnonzero(rate[1:] < 0.67 * rate[:-1]) + 1
    taken = -np.inf
    for index in (0, *drops) if len(drops) <= 12 else (0,):  # a schedule that falls all the time has no moments to mark
        if index:
            axes.axvline(x[index], color=HAIRLINE, linewidth=0.8, zorder=0.5)
        place = axes.transData.transform((x[index], 0))[0]
        if place > taken:
            text, low = f"lr {rate[index]:.3g}", (x[index], 1)
            axes.annotate(text, low, (0, 4), ("data", "axes fraction"), "offset points", color=MUTED, fontsize=7)
            taken = place + 80


def _label_ends(axes, lines):
    """Write each line's last finite value and name at its right end, pushed apart where they would overlap.

    lines: (form, y, colour) of each: a format string for the value, the values (n,), the colour.
    """
    lines = [(form, y[np.isfinite(y)][-1], colour) for form, y, colour in lines if np.isfinite(y).any()]
    lines.sort(key=lambda line: line[1])
    bottom, top = axes.get_ylim()
    gap = 0.055 * (top - bottom)
    up = [min(value, top) for _, value, _ in lines]
    down = list(up)
    for index in range(1, len(lines)):
        up[index] = max(up[index], up[index - 1] + gap)
        down[-index - 1] = min(down[-index - 1], down[-index] - gap)
    for (form, value, colour), high, low in zip(lines, up, down, strict=True):
        at, font = (1, (high + low) / 2), {"color": colour, "va": "center"}
        axes.annotate(form.format(value), at, (7, 0), ("axes fraction", "data"), "offset points", **font)


def _smooth(y):
    """Centred running mean over 2 % of the values, float64 (n,); gaps (NaN) are left out of it and stay gaps."""
    half = max(len(y) // 100, min(2, len(y) // 20))
    finite, index = np.isfinite(y), np.arange(len(y))
    first, last = np.maximum(index - half, 0), np.minimum(index + half + 1, len(y))
    total, count = (np.append(0.0, np.cumsum(part)) for part in (np.where(finite, y, 0), finite))
    return np.where(finite, (total[last] - total[first]) / np.maximum(count[last] - count[first], 1), np.nan)


def _thin(x, y, bins=600):
    """At most 2*bins points that look like the whole line: the lowest and the highest value of each bin."""
    if len(x) <= 2 * bins:
        return x, y
    first = np.linspace(0, len(x), bins, endpoint=False).astype(int)
    return np.repeat(x[first], 2), np.stack([np.fmin.reduceat(y, first), np.fmax.reduceat(y, first)], 1).ravel()
