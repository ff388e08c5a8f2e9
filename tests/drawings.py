"""What the tests of pictures share: something to draw, and the pixels of what was drawn."""

import numpy as np
from PIL import Image

import tinynet as tn
from tinynet import draw
from tinynet.devices import as_device
from tinynet.instruments.history import History
from tinynet.instruments.timeline import Span, Timeline
from tinynet.instruments.trace import Trace, Work


def pixels(path):
    """The picture at `path` as uint8 (H, W, 3)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def where(picture, colour):
    """Mask (H, W) of the pixels that have exactly this colour, "#rrggbb"."""
    return (picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)


def shade(shades, light):
    """The colour of a Matplotlib colour map at 0..1, "#rrggbb", as pictures have it."""
    return "#{:02x}{:02x}{:02x}".format(*shades(float(light), bytes=True)[:3])


def training_log(epochs=4, steps=25, drop=2):
    """A plausible log: `steps` steps an epoch, steps counted from 0, ten times less lr from epoch `drop` on."""
    rng, records = np.random.default_rng(0), []
    for step in range(epochs * steps):
        epoch, lr = step // steps, 0.01 if step // steps < drop else 0.001
        loss = 1 + 2 * np.exp(-step / steps) + 0.1 * rng.standard_normal()
        records.append({"kind": "step", "step": step, "epoch": epoch, "loss": loss, "lr": lr, "images_per_second": 800})
        if step % steps == steps - 1:
            row = {"kind": "epoch", "epoch": epoch, "step": step, "lr": lr, "seconds": 9.1, "train_loss": loss}
            error = loss / 4
            row |= {"train_error": error, "val_loss": loss + 0.1, "val_error": error + 0.1, "val_top5_error": error / 3}
            records.append(row)
    return records


def photos(count, side=16):
    return np.random.default_rng(1).integers(0, 256, (count, 3, side, side), np.uint8)


def towers(*counts, side=11):
    return [np.random.default_rng(2).standard_normal((count, 3, side, side)).astype(np.float32) for count in counts]


def timeline():
    recorded = Timeline([])
    recorded.devices = [as_device("cpu:0"), as_device("cpu:1")]
    recorded.spans = [Span(0, "conv2d", "forward", (2, 3), 0.0, 0.5), Span(1, "transfer", "copy", (), 0.5, 0.6),
                      Span(1, "conv2d", "backward", (2, 3), 0.6, 1.0)]  # fmt: skip
    return recorded


def history():
    rng, noted = np.random.default_rng(3), History()
    for step in range(0, 50, 5):
        maps = rng.standard_normal((4, 8, 3, 3))
        noted.note(step, {"conv1": maps * 3, "relu1": np.maximum(maps - step / 20, 0)})
    return noted


def traced():
    """A trace whose times are always the same."""
    t = Trace()
    t.devices = [as_device("cpu:0")]
    t.work = [Work(0, "conv2d", phase, (1, 4, 5, 5), 0.01 * i, 0.01 * i + 0.008, "conv1", 10**7, 10**6, 10**5 * i)
              for i, phase in enumerate(["forward", "backward"])]  # fmt: skip
    t.work.append(Work(0, "sgd", "update", (4, 3, 5, 5), 0.02, 0.022, "conv1", 0, 10**4, 10**5))
    return t


PICTURES = {  # name -> function that draws an example of it to a path, or as a Figure for None
    "activations": lambda path: draw.activations(towers(6)[0], path=path),
    "confusion": lambda path: draw.confusion([[8, 2, 0], [1, 7, 2], [0, 0, 10]], ["cat", "dog", "ship"], path),
    "curves": lambda path: draw.curves(training_log(), path),
    "dead_units": lambda path: draw.dead_units(history(), path),
    "histograms": lambda path: draw.histograms(history(), path),
    "kernels": lambda path: draw.kernels(towers(12, 12), path),
    "neighbours": lambda path: draw.neighbours(photos(6), [0, 1], [[2, 3, 4], [5, 4, 3]], path=path),
    "predictions": lambda path: draw.predictions(photos(2), [0, 1], np.eye(2, 6), list("abcdef"), path),
    "saliency": lambda path: draw.saliency(photos(1)[0], towers(1, side=16)[0][0], path=path),
    "tape": lambda path: draw.tape((tn.tensor(2.0, requires_grad=True) * 3.0).sum(), path=path),
    "timeline": lambda path: draw.timeline(timeline(), "step 4", path),
    "trace": lambda path: draw.trace(traced(), path),
}
