"""Every picture: how training went, what the first layer learned, what the network answers.

Arrays and plain records in, a PNG out. Nothing here touches `pyplot`, a display, the backend or the global `rcParams`,
and the same input gives the same bytes, so a picture can be committed and compared.
"""

import os
import warnings
from contextlib import contextmanager
from numbers import Real
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

__all__ = ["curves", "kernels", "predictions"]

DPI = 150  # sizes below are in pixels, type is in points
INK, MUTED, HAIRLINE, TRACK = "#22262b", "#767d87", "#c9ced6", "#f1f3f6"
TRAIN, TRAIN_LIGHT, VALID, ALARM = "#4a6a94", "#c3d0e2", "#d1571f", "#b3261e"
RIGHT, WRONG = "#f5993d", "#b9c6d6"  # also far apart in lightness, and light enough for dark type on top of them
REMARK = {"ha": "center", "va": "center", "color": MUTED}
LINE, DOT = {"linewidth": 1.3, "clip_on": False}, {"marker": "o", "markersize": 3, "markeredgewidth": 0.9}

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
def _style():
    """Our settings on top of Matplotlib's defaults, whatever the user's matplotlibrc says; all undone on leaving."""
    fonts = sorted(set(FONTS) & set(fontManager.get_font_names()), key=FONTS.index)
    with matplotlib.style.context(["default", STYLE | {"font.family": fonts}]), warnings.catch_warnings():
        # A name in a script that no font here has is drawn as boxes: poor, but no reason to stop a training.
        warnings.filterwarnings("ignore", message=r"(?s)(Glyph .* missing|Matplotlib currently does not support)")
        yield


def _page(width, height):
    """A figure of width x height pixels and, covering it, a bare axes whose coordinates are pixels, y downwards."""
    inches = (width + 1e-6) / DPI, (height + 1e-6) / DPI  # since some Matplotlibs round 315.99999 pixels down
    figure = FigureCanvasAgg(Figure(figsize=inches, dpi=DPI)).figure
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def _write(figure, path):
    """Write the figure as PNG and return its Path: a reader sees the old picture or the new one, never half of one."""
    path = Path(path)
    if path.suffix.lower() not in ("", ".png"):
        raise ValueError(f"pictures are written as PNG: {path.name!r} should end in .png")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        figure.savefig(partial, format="png", dpi=DPI, metadata={"Software": None}, pil_kwargs={"optimize": True})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def _fit(axes, text, width, **font):
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


def curves(records, path):
    """Draw a training log: loss on the left, error in % on the right, against epochs.

    records: list of dicts as `training` logs them, in order: {"kind": "step", "step", "epoch", "loss", "lr"} and
             {"kind": "epoch", "epoch", "step", "train_loss", "train_error", "val_loss", "val_error", "val_top5_error",
             "lr"}; other kinds are passed over. `step` counts from the start of training, errors are fractions, a value
             may be missing, None, NaN or infinite. Of steps logged again by a resumed run the later ones count.
    path:    where the PNG goes (str or Path); returned as Path.

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

    with _style():
        figure, _ = _page(1560, 600)
        left = _panel(figure, 70, "Loss", unit, span)
        right = _panel(figure, 805, "Error, %", unit, span)
        _draw_loss(left, unit, x, loss, ends, _column(epochs, "val_loss"))
        _draw_errors(right, ends, epochs)
        for axes in (left, right):
            _draw_rates(axes, *rates)
        return _write(figure, path)


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
    """Write each line's last finite value and name at its right end, pushed apart where they would overlap."""
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
        place, font = (1, (high + low) / 2), {"color": colour, "va": "center"}
        axes.annotate(form.format(value), place, (7, 0), ("axes fraction", "data"), "offset points", **font)


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


def kernels(towers, path):
    """Draw the first layer's kernels as colour pictures, one block of rows a tower, as in the paper's Fig. 3.

    towers: list of arrays (K, 3, h, w), real; K may differ from tower to tower, 3 is red, green, blue.
    path:   where the PNG goes (str or Path); returned as Path.

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

    with _style():
        page = max(blocks[0].shape[1] + 2 * margin, 460)
        top = margin - 8
        total = top + sum(head + block.shape[0] for block in blocks) + between * (len(blocks) - 1) + margin
        figure, axes = _page(page, total)
        for index, (tower, block) in enumerate(zip(towers, blocks, strict=True)):
            label = f"Tower {index + 1}: " if len(towers) > 1 else ""
            label += f"{len(tower)} kernel{'s' * (len(tower) > 1)} {width}x{height}x3"
            broken = int((~np.isfinite(tower)).any((1, 2, 3)).sum())
            axes.text(margin, top + 22, label, color=MUTED)
            if broken:
                axes.text(page - margin, top + 22, f"{broken} with NaN or infinity", color=ALARM, ha="right")
            # figimage copies pixels, with no resampling: every weight is an exact square.
            figure.figimage(block, margin, total - top - head - block.shape[0], origin="upper")
            top += head + block.shape[0] + between
        return _write(figure, path)


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


def predictions(images, labels, probabilities, classes, path, columns=4):
    """Draw each image with its true class and the five most probable ones, as in the paper's Fig. 4.

    images:        uint8 (n, 3, s, s), red, green, blue.
    labels:        int (n,), the true classes; None, whole or in places, where unknown.
    probabilities: float (n, C), each in 0..1; NaN counts as least.
    classes:       list of C names; long ones are cut short to fit.
    path:          where the PNG goes (str or Path); returned as Path.
    columns:       images a row.

    The true class has an orange bar and bold type, if it is among the five. Raises ValueError for other shapes.
    """
    images, probabilities, classes = np.asarray(images), np.asarray(probabilities, np.float64), list(classes)
    square = images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
    if not square or not images.size or images.dtype != np.uint8:
        raise ValueError(f"predictions: images must be uint8 (n, 3, s, s), got {images.dtype} {images.shape}")
    count = len(images)
    if probabilities.shape != (count, len(classes)) or not classes:
        expected = f"one row for each of {count} images, one column for each of {len(classes)} classes"
        raise ValueError(f"predictions: probabilities must have {expected}, got shape {probabilities.shape}")
    if np.nanmin(probabilities, initial=0) < -1e-3 or np.nanmax(probabilities, initial=0) > 1 + 1e-3:
        raise ValueError("predictions: probabilities must lie in 0..1; apply softmax to logits first")
    labels = [None] * count if labels is None else [None if label is None else int(label) for label in labels]
    if len(labels) != count or any(label is not None and not 0 <= label < len(classes) for label in labels):
        raise ValueError(f"predictions: labels must be {count} numbers in 0..{len(classes) - 1} or None, got {labels}")
    if columns < 1:
        raise ValueError(f"predictions: columns must be at least 1, got {columns}")

    columns, shown = min(columns, count), min(5, len(classes))
    photos = [_photo(image) for image in images]
    side = len(photos[0])
    gap, margin, name, bar = 34, 30, 40, 28
    pitch = side + name + shown * bar + gap
    width, height = columns * (side + gap) - gap + 2 * margin, -(-count // columns) * pitch - gap + 2 * margin
    with _style():
        figure, axes = _page(width, height)
        for index, (photo, label) in enumerate(zip(photos, labels, strict=True)):
            x, y = margin + index % columns * (side + gap), margin + index // columns * pitch
            figure.figimage(photo, x, height - y - side, origin="upper")
            text = "" if label is None else _fit(axes, classes[label], side, fontweight="bold")
            axes.text(x + side / 2, y + side + 25, text, ha="center", fontweight="bold", parse_math=False)
            _draw_bars(axes, probabilities[index], label, classes, x, y + side + name, side, bar, shown)
        return _write(figure, path)


def _photo(image):
    """The image (3, s, s) as uint8 (S, S, 3), S near 256: each pixel made a square, or squares of them one pixel."""
    zoom, shrink = max(1, round(256 / image.shape[1])), max(1, round(image.shape[1] / 256))
    side = image.shape[1] // shrink
    squares = image[:, : side * shrink, : side * shrink].reshape(3, side, shrink, side, shrink)
    return squares.mean((2, 4)).round().astype(np.uint8).transpose(1, 2, 0).repeat(zoom, 0).repeat(zoom, 1)


def _draw_bars(axes, probability, label, classes, x, y, width, pitch, shown):
    """Bars of one image for its `shown` most probable classes, from pixel (x, y) down; ties keep the classes' order."""
    order = np.argsort(-np.nan_to_num(probability, nan=-1), kind="stable")[:shown]
    for rank, index in enumerate(order):
        top, right, value = y + rank * pitch, index == label, probability[index]
        length = width * np.clip(np.nan_to_num(value), 0, 1)
        for extent, colour in ((width, TRACK), (length, RIGHT if right else WRONG)):
            axes.add_patch(Rectangle((x, top), round(extent), pitch - 4, facecolor=colour, linewidth=0))
        font = {"fontsize": 7, "fontweight": "bold" if right else "normal"}
        percent = f"{100 * value:.0f} %" if not 0 < value < 0.005 else "< 1 %"
        text = _fit(axes, classes[index], width - 60, **font)
        axes.text(x + 7, top + 17, text, parse_math=False, **font)
        axes.text(x + width - 6, top + 17, percent, ha="right", color=INK if right else MUTED, **font)
