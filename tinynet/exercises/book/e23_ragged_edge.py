"""Pooling up to the edge.

The paper's maps, 55, 27 and 13 pixels, are pooled with windows of 3 that are 2 apart, and the windows fit exactly. Most
sizes are not so kind: of 6 pixels, two such windows see 5. One may drop the rest, as e14 did. The code of 2012 does not: if
pixels are left over it adds one more window, which hangs over the edge and takes the largest of the pixels that exist.
Frameworks call this ceil_mode, because the number of steps is rounded up.

    6 pixels, windows of 3, 2 apart        0 1 2 3 4 5
                                           |---|
                                               |---|
                                                   |---        the third sees pixels 4 and 5

There is one exception. If windows are farther apart than they are wide, the additional one may start after the last pixel.
It would see nothing, so there is none.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_all
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.ops import windows
from tinynet.ops.pooling import max_pool2d
from tinynet.tensor import tensor

exercise = Exercise(chapter=7, minutes=20, difficulty=2, after=["e14_output_size"], compare="tinynet/kernels/windows.py")


@exercise.solution
def pool_size(size, window, stride, ceil_mode):
    """How many windows there are along an axis of `size` pixels, without padding.

    size, window, stride: integers, window <= size. ceil_mode: False, only full windows; True, also one that hangs over.
    """
    steps, rest = divmod(size - window, stride)
    if ceil_mode and rest and (steps + 1) * stride < size:
        steps += 1
    return steps + 1


@exercise.solution
def max_pool(x, window, stride):
    """Max pooling with ceil_mode: x (N, C, H, W), windows of window x window. Returns (N, C, OH, OW)."""
    oh, ow = pool_size(x.shape[2], window, stride, True), pool_size(x.shape[3], window, stride, True)
    y = np.empty((*x.shape[:2], oh, ow), x.dtype)
    for i in range(oh):
        for j in range(ow):
            rows, cols = slice(i * stride, i * stride + window), slice(j * stride, j * stride + window)
            y[:, :, i, j] = x[:, :, rows, cols].max(axis=(2, 3))
    return y


def count(size, window, stride, ceil_mode):
    """By looking at each window: it must be full, or hold a pixel that no full one has reached beyond."""
    full = [s for s in range(0, size, stride) if s + window <= size]
    return len(full) + (ceil_mode and full[-1] + window < size and full[-1] + stride < size)


def pooled(x, window, stride):
    """The definition, pixel by pixel: each goes into all windows that hold it."""
    h, w = x.shape[2:]
    y = np.full((*x.shape[:2], count(h, window, stride, True), count(w, window, stride, True)), -np.inf)
    for i, j in np.ndindex(y.shape[2:]):
        for row, col in np.ndindex(window, window):
            if i * stride + row < h and j * stride + col < w:
                y[:, :, i, j] = np.maximum(y[:, :, i, j], x[:, :, i * stride + row, j * stride + col])
    return y


@exercise.check("pool_size: the paper's maps, and the picture above")
def _(pool_size, rng):
    sides = [((side, 3, 2, mode), (side - 1) // 2) for side in (55, 27, 13) for mode in (False, True)]
    expect_all(pool_size, [*sides, ((6, 3, 2, False), 2), ((6, 3, 2, True), 3)])


@exercise.check("pool_size: no window without a pixel")
def _(pool_size, rng):
    expect_all(
        pool_size,
        [((4, 2, 4, True), 1), ((5, 2, 4, True), 2), ((6, 1, 3, True), 2), ((3, 2, 3, True), 1), ((3, 1, 2, True), 2)],
    )


@exercise.check("pool_size: 40 sizes drawn at random, against counting")
def _(pool_size, rng):
    rows = []
    for _ in range(40):
        window, stride = int(rng.integers(1, 5)), int(rng.integers(1, 6))
        arguments = int(rng.integers(window, 20)), window, stride, bool(rng.integers(2))
        rows.append((arguments, count(*arguments)))
    expect_all(pool_size, rows)


@exercise.check("max_pool: six pixels by hand")
def _(max_pool, rng):
    x = np.array([-1.0, -5.0, -2.0, -6.0, -7.0, -4.0]).reshape(1, 1, 6, 1) + np.zeros(3)
    expect(max_pool(x, 3, 2).ravel(), [-1.0, -2.0, -4.0], "max_pool of [-1 -5 -2 -6 -7 -4], windows of 3, 2 apart")


@exercise.check("max_pool: 3x3 windows, 2 apart, on 7x8 pixels below zero")
def _(max_pool, rng):
    x = -1 - rng.random((2, 2, 7, 8))
    expect(max_pool(x, 3, 2), pooled(x, 3, 2), "y")


@exercise.check("max_pool: 2x2 windows, 3 apart, on 7x6 pixels")
def _(max_pool, rng):
    x = rng.normal(size=(1, 3, 7, 6))
    expect(max_pool(x, 2, 3), pooled(x, 2, 3), "y")


exercise.mistake(
    "pixels are left over, but no window is added for them: with ceil_mode the steps are rounded up",
    "if ceil_mode and rest and (steps + 1) * stride < size:",
    "if False:",
)
exercise.mistake("without ceil_mode, too, a window is added; there only full ones count", "if ceil_mode and rest", "if rest")
exercise.mistake(
    "a window is added that starts after the last pixel and sees nothing", " and (steps + 1) * stride < size", ""
)
exercise.mistake(
    "a window is added that starts right after the last pixel: pixels end at size - 1", "* stride < size", "* stride <= size"
)
exercise.mistake(
    "a window is added even where all pixels have been seen; only if some are left over there is one more",
    "and rest and",
    "and",
)
exercise.mistake("the first window is not counted: it needs no step", "return steps + 1", "return steps")
exercise.mistake(
    "this is the largest of all images and maps; each has its own, so take the maximum over axes 2 and 3",
    ".max(axis=(2, 3))",
    ".max()",
)
exercise.mistake(
    "what is missing at the edge counts as 0, and 0 beats a negative pixel; only pixels that exist take part",
    "    for i in range(oh):",
    "    x = np.pad(x, ((0, 0), (0, 0), (0, max(0, (oh - 1) * stride + window - x.shape[2])),\n"
    "                   (0, max(0, (ow - 1) * stride + window - x.shape[3]))))\n"
    "    for i in range(oh):",
)
exercise.mistake(
    "the last window is moved back into the image; it stays where its turn is, hangs over, and sees fewer pixels",
    "rows, cols = slice(i * stride, i * stride + window), slice(j * stride, j * stride + window)",
    "a, b = min(i * stride, x.shape[2] - window), min(j * stride, x.shape[3] - window)\n"
    "            rows, cols = slice(a, a + window), slice(b, b + window)",
)
exercise.mistake(
    "the windows of the result hang over the upper and left edge; the first starts at the first pixel",
    "rows, cols = slice(i * stride, i * stride + window), slice(j * stride, j * stride + window)",
    "a, b = x.shape[2] - (oh - i) * stride + stride - window, x.shape[3] - (ow - j) * stride + stride - window\n"
    "            rows, cols = slice(max(0, a), a + window), slice(max(0, b), b + window)",
)

exercise.hints(
    "pool_size: e14 gives the full windows. When is there one more, and where would it start?",
    "steps, rest = divmod(size - window, stride). With ceil_mode and a rest, one more step leads to a window that "
    "starts at (steps + 1) * stride; is there a pixel?",
    "max_pool: a slice of NumPy ends where the array ends, so x[:, :, i * stride : i * stride + window, ...] is what "
    "exists of a window that hangs over. Take its max over axes 2 and 3.",
)


def by_the_library(size, window, stride, ceil_mode):
    return windows.map_size("pool", (1, 1, size, 1), (window, 1), (stride, 1), (0, 0), (1, 1), ceil_mode)[0]


exercise.library(
    pool_size=by_the_library,
    max_pool=lambda x, window, stride: max_pool2d(tensor(x), window, stride, ceil_mode=True).numpy(),
)


@exercise.takes_the_place
def _(pool_size, max_pool):
    def pool(x, kernel, stride, *how):
        winner = original(x, kernel, stride, *how)[1]  # for the gradient
        return max_pool(x, kernel[0], stride[0]), winner

    original = cpu.max_pool2d
    return [(cpu, "max_pool2d", pool)]
