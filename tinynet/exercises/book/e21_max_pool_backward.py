"""The gradient of overlapping max pooling.

The paper pools windows of 3x3 that are 2 apart (section 3.4), so that neighbours share a row or a column of pixels. Only the
largest pixel of a window has any influence on its output, so it alone gets the gradient; and a pixel that is the largest of
several windows gets the gradient of each.

If several pixels of a window are equally large, the first in reading order gets all. That is what frameworks do here: of a
window, the way forward keeps nothing but the place of its largest pixel, and a place is one pixel. (The max of e10 keeps no
place; there equal numbers share.)
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, distinct, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.ops.pooling import max_pool2d

exercise = Exercise(chapter=7, minutes=25, difficulty=3, compare="tinynet/ops/pooling.py")


@exercise.solution
def max_pool_backward(dy, x, size, stride):
    """The gradient with respect to x of max pooling with size x size windows, `stride` apart, without padding.

    dy: (N, C, OH, OW). x: (N, C, H, W). Where several pixels are equally large, the first in reading order gets all.
    Returns (N, C, H, W).
    """
    dx = np.zeros_like(x)
    n, c = np.indices(x.shape[:2])
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            window = x[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
            first = window.reshape(*x.shape[:2], -1).argmax(axis=2)
            dx[n, c, i * stride + first // size, j * stride + first % size] += dy[:, :, i, j]
    return dx


def forward(x, size, stride):
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))
    return windows[:, :, ::stride, ::stride].max(axis=(4, 5))


@exercise.check("two windows that share their largest pixel")
def _(max_pool_backward, rng):
    x = np.array([[[[1.0, 2.0, 9.0, 3.0, 4.0], [1.0, 0.0, 2.0, 0.0, 1.0], [0.0, 1.0, 3.0, 1.0, 0.0]]]])
    dx = np.zeros_like(x)
    dx[0, 0, 0, 2] = 30.0
    expect(max_pool_backward(np.array([[[[10.0, 20.0]]]]), x, 3, 2), dx, "dx for dy = [10 20]")


@exercise.check("3x3 windows, stride 2, as in the paper")
def _(max_pool_backward, rng):
    gradients(
        lambda x: forward(x, 3, 2), [distinct(rng, 2, 3, 6, 7)], lambda dy, x: max_pool_backward(dy, x, 3, 2), rng, ["x"]
    )


@exercise.check("2x2 windows, stride 3: pixels that no window sees")
def _(max_pool_backward, rng):
    gradients(
        lambda x: forward(x, 2, 3), [distinct(rng, 2, 1, 5, 8)], lambda dy, x: max_pool_backward(dy, x, 2, 3), rng, ["x"]
    )


@exercise.check("ties: the first gets all")
def _(max_pool_backward, rng):
    x, dy = -1.0 - rng.integers(2, size=(1, 2, 5, 7)), rng.uniform(1, 2, size=(1, 2, 2, 3))
    expect(max_pool_backward(dy, x, 3, 2), pixel_by_pixel(dy, x, 3, 2), "dx for pixels that are all -1 or -2")


def pixel_by_pixel(dy, x, size, stride):
    """The definition: a later pixel wins only if it is larger."""
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        best = n, c, i * stride, j * stride
        for u, v in np.ndindex(size, size):
            here = n, c, i * stride + u, j * stride + v
            best = here if x[here] > x[best] else best
        dx[best] += dy[n, c, i, j]
    return dx


exercise.mistake(
    "`=` where `+=` is needed: a pixel that is the largest of two windows gets both gradients",
    "first % size] += dy",
    "first % size] = dy",
)
exercise.mistake(
    "the stride is forgotten where the gradient is put: window (i, j) starts at row i * stride",
    "dx[n, c, i * stride + first // size, j * stride + first % size]",
    "dx[n, c, i + first // size, j + first % size]",
)
exercise.mistake(
    "the window's own place is forgotten: first // size and first % size count from the corner of window (i, j)",
    "dx[n, c, i * stride + first // size, j * stride + first % size]",
    "dx[n, c, first // size, first % size]",
)
exercise.mistake(
    "of equally large pixels the last gets all; it is to be the first",
    ".argmax(axis=2)",
    "[:, :, ::-1].argmax(axis=2)",
    "dx[n, c, i",
    "first = size * size - 1 - first\n            dx[n, c, i",
)
exercise.mistake(
    "row and column are swapped: in reading order, element k of a window is in row k // size and column k % size",
    "i * stride + first // size, j * stride + first % size",
    "i * stride + first % size, j * stride + first // size",
)


@exercise.mistake(
    "the windows are taken `size` apart; they are `stride` apart, so that they may overlap or leave pixels out"
)
def _(dy, x, size, stride):
    dx = np.zeros_like(x)
    for n, c, i, j in np.ndindex(dy.shape):
        window = x[n, c, i * size : (i + 1) * size, j * size : (j + 1) * size]
        row, column = np.unravel_index(window.argmax(), window.shape)
        dx[n, c, i * size + row, j * size + column] += dy[n, c, i, j]
    return dx


@exercise.mistake("all pixels that are as large as the largest get the gradient; only the first may")
def _(dy, x, size, stride):
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dy.shape[2:]):
        part = np.s_[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
        dx[part] += (x[part] == x[part].max(axis=(2, 3), keepdims=True)) * dy[:, :, i, j][:, :, None, None]
    return dx


@exercise.mistake("equally large pixels share the gradient; that is the max of e10, here the first of them gets all")
def _(dy, x, size, stride):
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dy.shape[2:]):
        part = np.s_[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
        won = x[part] == x[part].max(axis=(2, 3), keepdims=True)
        dx[part] += won / won.sum(axis=(2, 3), keepdims=True) * dy[:, :, i, j][:, :, None, None]
    return dx


@exercise.mistake("every pixel of a window gets a share, as in average pooling; the largest gets all")
def _(dy, x, size, stride):
    dx = np.zeros_like(x)
    for i, j in np.ndindex(dy.shape[2:]):
        part = np.s_[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
        dx[part] += dy[:, :, i, j][:, :, None, None] / size**2
    return dx


exercise.hints(
    "Go through the windows (i, j). Where is its largest pixel, for every image and channel? What if two "
    "windows name the same?",
    "window.reshape(N, C, -1).argmax(axis=2) is its place k in reading order, and the first if there are "
    "several; row k // size, "
    "column k % size of the window.",
    "n, c = np.indices((N, C)) lets you write dx[n, c, row, col] += dy[:, :, i, j] for all images and channels "
    "at once: in one "
    "window no pixel is named twice, so += is safe.",
)

exercise.library(
    max_pool_backward=lambda dy, x, size, stride: by_the_tape(lambda x: max_pool2d(x, size, stride), dy, x)[0],
)


@exercise.takes_the_place
def _(max_pool_backward):
    winners = {}

    def pool(x, *how):
        y, winner = original(x, *how)
        winners[id(winner)] = winner, x  # the learner's function wants x itself
        return y, winner

    def backward(g, winner, x_shape, kernel, stride, padding, dilation):
        _, x = winners.pop(id(winner))
        below = [(n - 1) * stride[0] + kernel[0] - size for n, size in zip(g.shape[2:], x_shape[2:], strict=True)]
        x = np.pad(x, ((0, 0), (0, 0), (0, max(0, below[0])), (0, max(0, below[1]))), constant_values=-np.inf)
        return max_pool_backward(g, x, kernel[0], stride[0])[:, :, : x_shape[2], : x_shape[3]]

    original = cpu.max_pool2d
    return [(cpu, "max_pool2d", pool), (cpu, "max_pool2d_backward", backward)]
