"""Undo broadcasting.

In x + b with x of shape (4, 5) and b of shape (5,), every entry of b is used four times, once a row. Its gradient is the sum
over those uses: a gradient of shape (4, 5) has to be summed to (5,). NumPy broadcasts in two ways, by adding axes in front
and by stretching axes of length 1, and both have to be undone. Every bias of AlexNet, added to all images of a batch, gets
its gradient like this.
"""

import importlib

import numpy as np

from tinynet.exercises.checks import expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.nn import layers
from tinynet.ops.arithmetic import matmul
from tinynet.ops.shaping import transpose
from tinynet.tape import sum_to as library_sum_to

exercise = Exercise(chapter=3, minutes=20, difficulty=2, compare="tinynet/tape.py")

SHAPES = [(4, 5), (5,), (1, 5), (4, 1), (1, 1), (1,), ()]


@exercise.solution
def sum_to(dy, shape):
    """Sum dy over all axes along which an array of `shape` was broadcast; the result has that shape.

    dy: array, whose shape an array of `shape` broadcasts to. shape: tuple.
    """
    extra = dy.ndim - len(shape)
    stretched = tuple(extra + i for i, n in enumerate(shape) if n == 1 and dy.shape[extra + i] != 1)
    return dy.sum(axis=(*range(extra), *stretched)).reshape(shape)


@exercise.check("counting: how often is each entry used?")
def _(sum_to, rng):
    for shape in SHAPES:
        uses = 20 // max(1, int(np.prod(shape)))
        expect(sum_to(np.ones((4, 5)), shape), np.full(shape, float(uses)), f"(4, 5) summed to {shape}")


@exercise.check("four axes, stretched in the middle")
def _(sum_to, rng):
    dy = rng.normal(size=(2, 3, 4, 5))
    expect(sum_to(dy, (3, 1, 5)), dy.sum(axis=(0, 2))[:, None, :], "(2, 3, 4, 5) summed to (3, 1, 5)")
    expect(sum_to(dy, (2, 1, 1, 5)), dy.sum(axis=(1, 2))[:, None, None, :], "(2, 3, 4, 5) summed to (2, 1, 1, 5)")
    expect(sum_to(dy, (1, 1, 1)), dy.sum().reshape(1, 1, 1), "(2, 3, 4, 5) summed to (1, 1, 1)")


@exercise.check("lengths that are alike, where only the place tells which axis was broadcast")
def _(sum_to, rng):
    square, cube = rng.normal(size=(3, 3)), rng.normal(size=(3, 3, 3))
    expect(sum_to(square, (3,)), square[0] + square[1] + square[2], "(3, 3) summed to (3,)")
    expect(sum_to(square, (3, 1)), square.sum(axis=1)[:, None], "(3, 3) summed to (3, 1)")
    expect(sum_to(cube, (3, 3)), cube[0] + cube[1] + cube[2], "(3, 3, 3) summed to (3, 3)")
    expect(sum_to(cube, (3, 1)), cube.sum(axis=(0, 2))[:, None], "(3, 3, 3) summed to (3, 1)")


@exercise.check("nothing was broadcast: nothing is summed")
def _(sum_to, rng):
    for shape in [(3, 4), (1, 4), (3, 1), (1,), ()]:
        dy = rng.normal(size=shape)
        expect(sum_to(dy, shape), dy, f"{shape} summed to {shape}")


@exercise.check("gradient of x * b")
def _(sum_to, rng):
    x = rng.normal(size=(3, 2, 4))
    for shape in [(4,), (2, 1), (3, 1, 4), (1, 1, 1)]:
        b = rng.normal(size=shape)
        gradients(lambda b, x=x: x * b, [b], lambda dy, b, x=x: sum_to(dy * x, b.shape), rng, ["b"])


exercise.mistake(
    "the axes in front are summed, but not those that were stretched from length 1",
    ".sum(axis=(*range(extra), *stretched)).reshape(shape)",
    ".sum(axis=tuple(range(extra)))",
)
exercise.mistake(
    "the stretched axes are summed away; keep them with length 1 (keepdims=True, or a reshape)",
    ".reshape(shape)",
    "",
)
exercise.mistake(
    "this is the mean over the uses; each use adds its gradient in full, so it is their sum",
    "dy.sum(",
    "dy.mean(",
)


@exercise.mistake(
    "the axes are counted from the left; shapes are aligned at their right ends, so the new axes stand in front"
)
def _(dy, shape):
    while dy.ndim > len(shape):
        dy = dy.sum(axis=-1)
    for axis, n in enumerate(shape):
        if n == 1:
            dy = dy.sum(axis=axis, keepdims=True)
    return dy


@exercise.mistake(
    "the stretched axes are looked for while the new ones are still in front, so that axis i of shape is another one of dy"
)
def _(dy, shape):
    for axis, n in enumerate(shape):
        if n == 1:
            dy = dy.sum(axis=axis, keepdims=True)
    while dy.ndim > len(shape):
        dy = dy.sum(axis=0)
    return dy


@exercise.mistake("the lengths are compared, not the places: an axis was broadcast although its length is in `shape`, too")
def _(dy, shape):
    return dy.sum(axis=tuple(i for i, n in enumerate(dy.shape) if n not in shape)).reshape(shape)


exercise.hints(
    "Which entries of dy came from the first entry of b? Their sum is the gradient of that entry.",
    "Two steps: sum over the first dy.ndim - len(shape) axes, which are new; then over each axis where `shape` "
    "has a 1 and dy "
    "has more.",
    "dy.sum(axis=a_tuple_of_axes) sums over several axes at once; .reshape(shape) puts axes of length 1 back.",
)


exercise.library(sum_to=library_sum_to)


@exercise.takes_the_place
def _(sum_to):
    def linear(x, weight, bias):
        return matmul(x, transpose(weight)) + bias  # the library's adds the bias by itself, without broadcasting

    tape = importlib.import_module("tinynet.tape")
    return [(tape, "sum_to", lambda gradient, shape, op="op": sum_to(gradient, shape)), (layers, "linear", linear)]
