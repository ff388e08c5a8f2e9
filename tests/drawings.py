"""What the tests of pictures share: something to draw, and the pixels of what was drawn."""

import numpy as np
from PIL import Image


def pixels(path):
    """The picture at `path` as uint8 (H, W, 3)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def where(picture, colour):
    """Mask (H, W) of the pixels that have exactly this colour, "#rrggbb"."""
    return (picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)


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
