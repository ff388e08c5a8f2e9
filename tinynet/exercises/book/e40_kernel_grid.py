"""A picture of what the first layer looks for.

The paper's figure 3 shows the 96 kernels of conv1, each as a small colour picture: gratings of all directions, and blobs of
colour. It is the one layer whose weights can be seen, because its inputs are red, green and blue.

A weight may be negative, a colour may not. So let 0 be a middle grey, and scale each kernel by its own largest magnitude m:
weights from -m to m become the numbers 0 to 255, by rounding 127.5 + 127.5 w / m. The three colours of a kernel share one m,
or its colours would be others. If all weights are 0 the picture is grey.

Then put the pictures side by side, `columns` in a row, with `gap` white pixels between two that are neighbours, and none
around the whole. White is 255; places that are left over in the last row stay white.
"""

import numpy as np

from tinynet.draw.kernels import _grid, _shades
from tinynet.exercises.checks import expect, require
from tinynet.exercises.exercise import Exercise

exercise = Exercise(chapter=14, minutes=20, difficulty=2, compare="tinynet/draw/kernels.py")


@exercise.solution
def shades(kernel):
    """The picture of one kernel (3, h, w), real numbers: uint8 (h, w, 3), as pictures are stored, colour last."""
    largest = np.abs(kernel).max()
    values = kernel / largest if largest > 0 else kernel
    return np.rint(127.5 + 127.5 * values).astype(np.uint8).transpose(1, 2, 0)


@exercise.solution
def kernel_grid(kernels, columns, gap):
    """One picture of all kernels (K, 3, h, w), in reading order: uint8 (H, W, 3).

    columns: kernels in a row. gap: white pixels between neighbours. With r rows, H = r h + (r - 1) gap, and W likewise.
    """
    count, _, h, w = kernels.shape
    rows = -(-count // columns)
    picture = np.full((rows * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for i, kernel in enumerate(kernels):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        picture[y : y + h, x : x + w] = shades(kernel)
    return picture


def judge(picture, right, what):
    if picture is not None and np.shape(picture) == right.shape:
        kind = getattr(picture, "dtype", type(picture).__name__)
        require(kind == np.uint8, f"{what} is {kind}, expected uint8")
    expect(picture, right.astype(int), what, rtol=0, atol=1)  # one grey more or less, for those who round otherwise
    ends = (right == 0) | (right == 255)
    exact = (np.asarray(picture) == right)[ends].all()
    require(exact, f"{what}: the largest magnitude, and what is white, is not exactly 0 or 255")


def oracle(kernel):
    """Number by number."""
    largest = max(abs(float(w)) for w in kernel.flat)
    picture = np.empty((*kernel.shape[1:], 3), np.uint8)
    for c, y, x in np.ndindex(kernel.shape):
        picture[y, x, c] = round(127.5 + 127.5 * float(kernel[c, y, x]) / (largest or 1.0))
    return picture


@exercise.check("one kernel by hand")
def _(shades, rng):
    kernel = np.array([[[2.0, -1.0]], [[0.0, 1.0]], [[0.5, 0.0]]])
    right = np.array([[[255, 128, 159], [64, 191, 128]]])
    judge(shades(kernel), right, "the picture of one row of two weights, red [2 -1], green [0 1], blue [0.5 0]")


@exercise.check("a kernel of 3 x 4 weights")
def _(shades, rng):
    kernel = 0.01 * rng.normal(size=(3, 3, 4))
    judge(shades(kernel), oracle(kernel), "the picture")


@exercise.check("a kernel whose weights are negative, and one whose weights are 0")
def _(shades, rng):
    kernel = -rng.uniform(1, 2, size=(3, 2, 3))
    judge(shades(kernel), oracle(kernel), "the picture of negative weights")
    judge(shades(np.zeros((3, 2, 3))), np.full((2, 3, 3), 128), "the picture of weights that are all 0")


@exercise.check("a grid whose last row is not full")
def _(kernel_grid, rng):
    kernels = rng.normal(size=(5, 3, 2, 4)) * np.array([0.01, 1.0, 5.0, 0.3, 20.0])[:, None, None, None]
    white = np.full((2, 4, 3), 255)
    parts = [*map(oracle, kernels), white]
    between, below = np.full((2, 3, 3), 255), np.full((3, 18, 3), 255)
    rows = [np.concatenate([a, between, b, between, c], axis=1) for a, b, c in (parts[:3], parts[3:])]
    judge(
        kernel_grid(kernels, 3, 3), np.concatenate([rows[0], below, rows[1]]), "the picture of 5 kernels in 3 columns, gap 3"
    )


@exercise.check("kernels without a gap, in one column")
def _(kernel_grid, rng):
    kernels = rng.normal(size=(3, 3, 2, 3))
    judge(
        kernel_grid(kernels, 1, 0), np.concatenate([*map(oracle, kernels)]), "the picture of 3 kernels, one above the other"
    )


exercise.mistake(
    "this stretches from the smallest to the largest weight, so that 0 has another grey in each kernel; divide by the "
    "largest magnitude",
    "return np.rint(127.5 + 127.5 * values)",
    "values = (kernel - kernel.min()) / max(np.ptp(kernel), 1e-9)\n    return np.rint(255 * values)",
)
exercise.mistake(
    "the colours are scaled one by one, and become other colours; the three share the largest magnitude of the kernel",
    "np.abs(kernel).max()\n    values = kernel / largest if largest > 0 else kernel",
    "np.abs(kernel).max(axis=(1, 2), keepdims=True)\n    values = kernel / np.where(largest > 0, largest, 1)",
)
exercise.mistake(
    "this divides by the largest weight; where the largest magnitude is a negative one, colours fall out of 0 to 255",
    "np.abs(kernel).max()",
    "np.abs(kernel.max())",
)
exercise.mistake(
    "reshape does not turn axes, it cuts the numbers anew; to bring the colours to the end use transpose(1, 2, 0)",
    ".transpose(1, 2, 0)",
    ".reshape(*kernel.shape[1:], 3)",
)
exercise.mistake(
    "256 does not fit into uint8 and becomes 0, black instead of white: the largest weight has to become 255",
    "np.rint(127.5 + 127.5 * values).astype(np.uint8)",
    "np.rint(128 + 128 * values).astype(int).astype(np.uint8)",
)
exercise.mistake(
    "this shows magnitudes: -1 and 1 look alike; 0 is to be the middle of 0 to 255",
    "np.rint(127.5 + 127.5 * values)",
    "np.rint(255 * np.abs(values))",
)
exercise.mistake(
    "a kernel of zeros is divided by zero",
    "kernel / largest if largest > 0 else kernel",
    "kernel / largest",
)
exercise.mistake(
    "the kernels are numbered down the columns; reading order goes along a row first",
    "i // columns * (h + gap), i % columns * (w + gap)",
    "i % rows * (h + gap), i // rows * (w + gap)",
)
exercise.mistake(
    "what is left over is black; gaps and places without a kernel are to be white, 255",
    "3), 255, np.uint8)",
    "3), 0, np.uint8)",
)


@exercise.mistake("all kernels share one scale, and the weak ones vanish in grey; each has its own")
def _(kernels, columns, gap):
    count, _, h, w = kernels.shape
    picture = np.full((-(-count // columns) * (h + gap) - gap, columns * (w + gap) - gap, 3), 255, np.uint8)
    for i, kernel in enumerate(np.rint(127.5 + 127.5 * kernels / np.abs(kernels).max())):
        y, x = i // columns * (h + gap), i % columns * (w + gap)
        picture[y : y + h, x : x + w] = kernel.transpose(1, 2, 0)
    return picture


exercise.hints(
    "shades: divide by np.abs(kernel).max(), which brings all weights to -1 to 1; then stretch that to 0 to 255, round, "
    "turn it into uint8, and last bring the colours from the first axis to the last.",
    "kernel_grid: begin with a white picture, np.full(shape, 255, np.uint8), and copy one kernel's picture after the other "
    "to its place. Kernel i is in row i // columns and column i % columns; a row is h + gap pixels below the one before.",
    "rows = -(-count // columns), which rounds up. The white picture has the shape "
    "(rows * (h + gap) - gap, columns * (w + gap) - gap, 3).",
)

exercise.library(shades=_shades, kernel_grid=lambda kernels, columns, gap: _grid(kernels, columns, 1, gap))
