"""Which pixels an answer hangs on: the image, and the size of the gradient at each of its pixels."""

from pathlib import Path

import numpy as np
from matplotlib.colors import Normalize

from tinynet.draw.page import HEAD, MUTED, SHADES, Page, finish, heading, new_page, photo, place, scale_bar, style

SIDE, LEVELS = 300, 24  # pixels, about; shades: more would not be told apart, and make a large file
LARGE = 99.5  # per cent of the pixels that lie within the shades: a few are often far above all others


def saliency(image: np.ndarray, gradient: np.ndarray, what: str = "a score", path: str | Path | None = None) -> Page | Path:
    """Draw an image, and beside it how much a score would change with each pixel: the largest |gradient| of its colours.

    image:    uint8 (3, s, s), red, green, blue.
    gradient: real (3, s, s), of the score with respect to the pixels, as `backward` leaves it in `.grad`.
    what:     the score, in words, for the title.
    path:     where the PNG goes; returned as Path. Without one the Figure is returned.

    The brightest shade stands for the size that 99.5 % of the pixels do not reach, and for what is beyond. Raises ValueError
    for other shapes and a gradient that is not finite. Simonyan, Vedaldi and Zisserman 2013.
    """
    image, gradient = np.asarray(image), np.asarray(gradient)
    square = image.ndim == 3 and image.shape[0] == 3 and image.shape[1] == image.shape[2] > 0
    if not square or image.dtype != np.uint8:
        raise ValueError(f"saliency: image must be uint8 (3, s, s), got {image.dtype} {image.shape}")
    if gradient.shape != image.shape or gradient.dtype.kind not in "fiu":
        raise ValueError(
            f"saliency: gradient must be real, in the image's shape {image.shape}, got {gradient.dtype} {gradient.shape}"
        )
    if not np.isfinite(gradient).all():
        raise ValueError("saliency: the gradient has NaN or infinite numbers; expected finite ones")
    size = np.abs(gradient.astype(np.float64)).max(0)
    top = float(np.percentile(size, LARGE)) or float(size.max()) or 1.0
    norm = Normalize(0, top, clip=True)
    shades = SHADES(np.rint(norm(size) * LEVELS) / LEVELS, bytes=True)[..., :3].transpose(2, 0, 1)
    left, right = photo(image, SIDE), photo(shades, SIDE)
    side, (y, x) = len(left), np.unravel_index(size.argmax(), size.shape)
    with style():
        figure, page = new_page(30 + side + 40 + side + 180, HEAD + 26 + max(side, 220) + 34)
        heading(page, 30, f"Saliency of {what}", "which pixels it hangs on", 2 * side + 40)
        for at, picture, label in ((30, left, "the image"), (70 + side, right, "its gradient's size")):
            page.text(at, HEAD + 18, label, color=MUTED)
            place(page, picture, at, HEAD + 26)
        label = "|d score / d pixel|"
        bar = scale_bar(figure, (70 + 2 * side + 40, HEAD + 26, 18, max(side, 220)), norm, label, extend="max")
        bar.formatter.set_powerlimits((-2, 3))
        half = np.sort(size.ravel())[::-1].cumsum()
        share = (np.searchsorted(half, half[-1] / 2) + 1) / size.size if half[-1] else 1.0
        return finish(
            figure, path,
            f"An image and, beside it, the size of the gradient of {what} at each pixel. It is largest in row {y}, "
            f"column {x}; half of its sum lies in {share:.1%} of the pixels.",
        )  # fmt: skip
