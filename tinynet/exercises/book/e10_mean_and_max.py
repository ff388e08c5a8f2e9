"""The gradients of a mean and of a maximum.

A reduction makes few numbers of many. On the way back every number gets its part of the gradient again:

    mean   all numbers had the same influence, 1/n, where n is how many were averaged into one result
    max    only the largest had any influence; if several are equally large, they share the gradient equally

Why share? Where two numbers are equally large, the maximum has no slope, and any division of the gradient between the two is
as good; sharing is the one that favours neither of them, in whatever order they stand. AlexNet's loss is a mean over the
images of a batch. (Its pooling layers take a maximum, too, but remember one place a window, and that gets all.)

The hard part is the shape. The mean of an array (3, 4, 5) over axis 1 is (3, 5), and so is its gradient dy; to multiply it
with anything of shape (3, 4, 5) the lost axis has to come back, as (3, 1, 5). Left to itself, NumPy aligns shapes at their
right ends, and with a square array it does the wrong thing without a word.
"""

import numpy as np

import tinynet
from tinynet.exercises.checks import by_the_tape, distinct, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.ops import reductions
from tinynet.ops.losses import cross_entropy
from tinynet.tape import record

exercise = Exercise(chapter=3, minutes=20, difficulty=2, after=["e07_sum_to"], compare="tinynet/ops/reductions.py")


@exercise.solution
def mean_backward(dy, x, axis):
    """The gradient with respect to x of x.mean(axis).

    x: array. axis: an axis, or a tuple of axes. dy: array of the shape of x without these axes. Returns the shape of x.
    """
    spread = np.expand_dims(dy, axis) + np.zeros_like(x)
    return spread * (dy.size / x.size)


@exercise.solution
def max_backward(dy, x, axis):
    """The gradient with respect to x of x.max(axis); equally large numbers share it equally. Arguments as above."""
    won = x == x.max(axis, keepdims=True)
    return won / won.sum(axis, keepdims=True) * np.expand_dims(dy, axis)


X = [[1.0, 9.0, 2.0], [8.0, 3.0, 4.0]]


@exercise.check("mean: two rows by hand")
def _(mean_backward, rng):
    found = mean_backward(np.array([30.0, -6.0]), np.array(X), 1)
    expect(found, [[10.0, 10.0, 10.0], [-2.0, -2.0, -2.0]], "dx for the means of two rows of three, dy = [30 -6]")


@exercise.check("mean: a square array, where a wrong shape goes unnoticed")
def _(mean_backward, rng):
    judge(mean_backward, np.mean, rng.normal(size=(3, 3)), 1, rng)
    judge(mean_backward, np.mean, rng.normal(size=(3, 3)), 0, rng)


@exercise.check("mean: an axis in the middle, and two at once")
def _(mean_backward, rng):
    judge(mean_backward, np.mean, rng.normal(size=(2, 3, 4)), -2, rng)
    judge(mean_backward, np.mean, rng.normal(size=(2, 3, 4)), (0, 2), rng)


@exercise.check("max: two rows by hand")
def _(max_backward, rng):
    found = max_backward(np.array([30.0, -6.0]), np.array(X), 1)
    expect(found, [[0.0, 30.0, 0.0], [-6.0, 0.0, 0.0]], "dx for the maxima of [1 9 2] and [8 3 4], dy = [30 -6]")


@exercise.check("max: a square array, where a wrong shape goes unnoticed")
def _(max_backward, rng):
    judge(max_backward, np.max, distinct(rng, 3, 3), 1, rng)
    judge(max_backward, np.max, distinct(rng, 3, 3), 0, rng)


@exercise.check("max: an axis in the middle, and two at once")
def _(max_backward, rng):
    judge(max_backward, np.max, distinct(rng, 2, 3, 4), -2, rng)
    judge(max_backward, np.max, distinct(rng, 2, 3, 4), (0, 2), rng)


@exercise.check("max: equally large numbers share")
def _(max_backward, rng):
    x = np.array([[7.0, 1.0, 7.0, 2.0], [5.0, 5.0, 5.0, 5.0]])
    right = [[6.0, 0.0, 6.0, 0.0], [2.0, 2.0, 2.0, 2.0]]
    expect(max_backward(np.array([12.0, 8.0]), x, 1), right, "dx for [7 1 7 2] and [5 5 5 5], dy = [12 8]")


def judge(backward, forward, x, axis, rng):
    gradients(lambda x: forward(x, axis=axis), [x], lambda dy, x: backward(dy, x, axis), rng, ["x"])


exercise.mistake("1/n is missing: this is the gradient of the sum", "return spread * (dy.size / x.size)", "return spread")
exercise.mistake(
    "the mean divides by how many numbers go into one result; x.size counts all of them",
    "(dy.size / x.size)",
    "(1 / x.size)",
)
exercise.mistake(
    "len(x) is the length of the first axis; the mean divides by how many numbers go into one result",
    "(dy.size / x.size)",
    "(1 / len(x))",
)
exercise.mistake(
    "dy lacks the axis of the mean, and NumPy aligns it at the wrong end; put the axis back with np.expand_dims(dy, axis)",
    "spread = np.expand_dims(dy, axis) + np",
    "spread = dy + np",
)
exercise.mistake(
    "dy[..., None] puts the lost axis of the mean at the end; it belongs where it was: np.expand_dims(dy, axis)",
    "spread = np.expand_dims(dy, axis) + np",
    "spread = dy[..., None] + np",
)
exercise.mistake(
    "dy.size is how many results there are; the mean divides by how many numbers go into one of them",
    "(dy.size / x.size)",
    "(1 / dy.size)",
)
exercise.mistake(
    "the axis has come back with length 1, as (3, 1, 5) for (3, 4, 5); each number that was averaged gets its own part",
    " + np.zeros_like(x)",
    "",
)
exercise.mistake("dy is not multiplied in: this is only the slope of the mean, 1/n", "np.expand_dims(dy, axis) +", "1 +")
exercise.mistake(
    "equally large numbers get the whole gradient each; divide it by how many there are",
    "won / won.sum(axis, keepdims=True) *",
    "won *",
)
exercise.mistake(
    "won.sum() counts the largest numbers of all results; each result shares only among its own, along the axis",
    "won.sum(axis, keepdims=True)",
    "won.sum()",
)
exercise.mistake(
    "dy[..., None] puts the lost axis of the maximum at the end; it belongs where it was: np.expand_dims(dy, axis)",
    "won.sum(axis, keepdims=True) * np.expand_dims(dy, axis)",
    "won.sum(axis, keepdims=True) * dy[..., None]",
)
exercise.mistake(
    "dy[..., None] puts the axis at the end instead of where it was, and equally large numbers get all of it each",
    "won / won.sum(axis, keepdims=True) * np.expand_dims(dy, axis)",
    "won * dy[..., None]",
)
exercise.mistake(
    "this looks for the largest of all numbers; every result has a largest of its own, along the axis",
    "x == x.max(axis, keepdims=True)",
    "x == x.max()",
    "won.sum(axis, keepdims=True)",
    "won.sum()",
)
exercise.mistake(
    "the maximum lacks its axis, and NumPy compares it with the wrong numbers; x.max(axis, keepdims=True) keeps it",
    "x == x.max(axis, keepdims=True)",
    "x == x.max(axis)",
)
exercise.mistake(
    "dy lacks the axis of the maximum, and NumPy aligns it at the wrong end; put the axis back with np.expand_dims(dy, "
    "axis)",
    "won.sum(axis, keepdims=True) * np.expand_dims(dy, axis)",
    "won.sum(axis, keepdims=True) * dy",
)
exercise.mistake(
    "the gradient is multiplied by the largest number; the slope of the maximum is 1 there, and 0 elsewhere",
    "return won / won",
    "return x * won / won",
)
exercise.mistake(
    "dy is not multiplied in: this only says which number is the largest", ") * np.expand_dims(dy, axis)\n", ")\n"
)


@exercise.mistake(
    "argmax names only the first of equally large numbers, along one axis; here they share, and axis may be a tuple"
)
def _(dy, x, axis):
    dx = np.zeros_like(x)
    np.put_along_axis(dx, np.expand_dims(x.argmax(axis), axis), np.expand_dims(dy, axis), axis)
    return dx


@exercise.mistake("only the first of equally large numbers gets the gradient; here they share it equally")
def _(dy, x, axis):
    axes = [a % x.ndim for a in np.atleast_1d(axis)]
    rows = np.moveaxis(x, axes, range(-len(axes), 0)).reshape(*dy.shape, -1)
    first = (np.arange(rows.shape[-1]) == rows.argmax(-1)[..., None]) * dy[..., None]
    shape = (*dy.shape, *(x.shape[a] for a in axes))
    return np.moveaxis(first.reshape(shape), range(-len(axes), 0), axes)


exercise.hints(
    "np.expand_dims(dy, axis) puts axes of length 1 where they were, for one axis or a tuple of them. After that NumPy's "
    "broadcasting is on your side.",
    "For the mean: how many numbers go into one result? x.size / dy.size. For the maximum: x == x.max(axis, "
    "keepdims=True) is "
    "True where a number is the largest.",
    "won.sum(axis, keepdims=True) says how many share. The gradient of the maximum is won / that * the expanded dy.",
)

exercise.library(
    mean_backward=lambda dy, x, axis: by_the_tape(lambda x: reductions.mean(x, axis), dy, x)[0],
    max_backward=lambda dy, x, axis: by_the_tape(lambda x: reductions.max(x, axis), dy, x)[0],
)


@exercise.takes_the_place
def _(mean_backward, max_backward):
    def mean_loss(logits, labels):
        losses = cross_entropy(logits, labels, "none")
        return record("mean", losses.data.mean(), (losses,), lambda g: (mean_backward(g, losses.data, 0),))

    inputs = {}

    def pool(x, *how):
        y, winner = original(x, *how)
        inputs[id(winner)] = x, winner  # the learner's function wants x itself
        return y, winner

    def pool_backward(g, winner, x_shape, kernel, stride, padding, dilation):
        x, _ = inputs.pop(id(winner))
        size, step = kernel[0], stride[0]
        long = [max(n, (m - 1) * step + size) for n, m in zip(x_shape[2:], g.shape[2:], strict=True)]
        padded = np.full((*x_shape[:2], *long), -np.inf, x.dtype)
        padded[:, :, : x_shape[2], : x_shape[3]] = x
        windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))[:, :, ::step, ::step]
        shares = max_backward(g, windows[:, :, : g.shape[2], : g.shape[3]], (4, 5))
        dx = np.zeros_like(padded)
        for i, j in np.ndindex(size, size):
            dx[:, :, i : i + step * g.shape[2] : step, j : j + step * g.shape[3] : step] += shares[..., i, j]
        return dx[:, :, : x_shape[2], : x_shape[3]]

    original = cpu.max_pool2d
    return [
        (tinynet, "cross_entropy", mean_loss),
        (cpu, "max_pool2d", pool),
        (cpu, "max_pool2d_backward", pool_backward),
    ]
