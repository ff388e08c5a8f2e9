"""What the tests of image files share: a picture that shows how it was read, and files of it."""

import numpy as np
from PIL import Image


def colourful(width=40, height=30, seed=0):
    """A smooth picture whose four corners differ, so that turning or mirroring it shows."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1)
    return Image.fromarray(np.stack([red, green, np.full_like(red, 40 + seed)], axis=-1).astype(np.uint8))


def save(path, image=None, **options):
    """Write `image`, by default a colourful one, to `path`, whose folders are made. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (colourful() if image is None else image).save(path, **options)
    return path
