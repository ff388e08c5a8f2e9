"""What goes back over the cable.

Before conv3, fc6 and fc7 the two towers show each other what they have: each GPU keeps its own half and gets a copy of the
other's. From two halves x0 and x1 this makes two wholes, z0 on the first GPU and z1 on the second, both equal to x0 and x1
side by side.

Backward, the first GPU has the gradient dz0 of its whole, the second dz1 of its own, and the two are not equal: behind a
copy, every GPU goes on with other kernels. x0 has been used on both, so its gradient has two parts, of which one has to
travel back. Copies forward become sums backward.

Both directions are linear, and every linear map A has an adjoint A', for which <A x, g> = <x, A' g> with any x and g; here
<a, b> is the sum of the products of all numbers in the same places. Backward is this adjoint. That makes a test of backward
which need not know what A does, and it is one of the checks.
"""

import numpy as np

import alexnet
from tinynet.exercises.checks import expect, expect_parts, require
from tinynet.exercises.exercise import Exercise
from tinynet.ops.shaping import concat
from tinynet.ops.transfer import transfer
from tinynet.tape import record
from tinynet.tensor import tensor

exercise = Exercise(chapter=12, minutes=15, difficulty=2, after=["e35_two_towers"], compare="alexnet.py")


@exercise.solution
def exchange(x0, x1):
    """The pair (z0, z1): what the first and the second GPU have afterwards, each x0 and x1 side by side.

    x0: (N, C0, ...), the maps or units of the first tower. x1: (N, C1, ...), those of the second; behind axis 1 the shapes
    are equal. Returns two arrays (N, C0 + C1, ...) that share no memory: what one GPU overwrites, the other does not see.
    """
    return np.concatenate([x0, x1], axis=1), np.concatenate([x0, x1], axis=1)


@exercise.solution
def exchange_backward(dz0, dz1, c0):
    """The pair (dx0, dx1): the gradients with respect to x0 and x1, for those of z0 and z1. c0: maps of x0."""
    dz = dz0 + dz1
    return dz[:, :c0], dz[:, c0:]


def shaped(array, like, what):
    require(np.shape(array) == like.shape, f"{what} has shape {np.shape(array)}, expected {like.shape}")


@exercise.check("forward: one number a tower")
def _(exchange, rng):
    z0, z1 = expect_parts(exchange(np.array([[3.0]]), np.array([[5.0]])), "z0", "z1")
    expect(z0, [[3.0, 5.0]], "z0 for x0 = 3, x1 = 5")
    expect(z1, [[3.0, 5.0]], "z1 for x0 = 3, x1 = 5")


@exercise.check("forward: maps, of which the second tower has more")
def _(exchange, rng):
    x = rng.normal(size=(2, 6, 3, 4))
    x0, x1 = x[:, :2].copy(), x[:, 2:].copy()
    z0, z1 = expect_parts(exchange(x0, x1), "z0", "z1")
    expect(z0, x, "z0, on the first GPU")
    expect(z1, x, "z1, on the second GPU")
    require(not np.shares_memory(z0, z1), "z0 and z1 share their memory; what one GPU overwrites, the other would see")


@exercise.check("backward: one number a tower")
def _(exchange_backward, rng):
    dx0, dx1 = expect_parts(exchange_backward(np.array([[1.0, 20.0]]), np.array([[300.0, 4000.0]]), 1), "dx0", "dx1")
    expect(dx0, [[301.0]], "dx0 for dz0 = [1 20], dz1 = [300 4000]")
    expect(dx1, [[4020.0]], "dx1 for dz0 = [1 20], dz1 = [300 4000]")


@exercise.check("backward: maps, of which the second tower has more")
def _(exchange_backward, rng):
    dz0, dz1 = rng.normal(size=(2, 6, 3, 4)), rng.normal(size=(2, 6, 3, 4))
    dx0, dx1 = expect_parts(exchange_backward(dz0, dz1, 2), "dx0", "dx1")
    expect(dx0, np.stack([dz0, dz1]).sum(axis=0)[:, :2], "dx0, for the two maps of the first tower")
    expect(dx1, np.stack([dz0, dz1]).sum(axis=0)[:, 2:], "dx1, for the four maps of the second tower")


@exercise.check("adjoint: <A x, g> = <x, A' g>")
def _(exchange, exchange_backward, rng):
    x0, x1 = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 5, 2))
    g0, g1 = rng.normal(size=(2, 8, 2)), rng.normal(size=(2, 8, 2))
    z0, z1 = expect_parts(exchange(x0, x1), "z0", "z1")
    shaped(z0, g0, "z0")
    shaped(z1, g1, "z1")
    forward = (z0 * g0).sum() + (z1 * g1).sum()
    dx0, dx1 = expect_parts(exchange_backward(g0, g1, 3), "dx0", "dx1")
    shaped(dx0, x0, "dx0")
    shaped(dx1, x1, "dx1")
    # The size of one of the sums may be small by chance, that of its terms is not.
    expect((x0 * dx0).sum() + (x1 * dx1).sum(), forward, "<x, A' g>, which must be <A x, g>", atol=1e-9)


exercise.mistake(
    "both GPUs get the same array; the second needs a copy in its own memory",
    "return np.concatenate([x0, x1], axis=1), np.concatenate([x0, x1], axis=1)",
    "return 2 * (np.concatenate([x0, x1], axis=1),)",
)
exercise.mistake(
    "each GPU puts its own half first; the order has to be the same on both, the first tower's half first",
    "return np.concatenate([x0, x1], axis=1), np.concatenate([x0, x1], axis=1)",
    "return np.concatenate([x0, x1], axis=1), np.concatenate([x1, x0], axis=1)",
)
exercise.mistake(
    "every GPU keeps only the gradient that it has itself; x0 was used on the second GPU as well, and x1 on the first",
    "    dz = dz0 + dz1\n    return dz[:, :c0], dz[:, c0:]",
    "    return dz0[:, :c0], dz1[:, c0:]",
)
exercise.mistake(
    "this is the gradient that comes from the other GPU alone; a tower's own kernels have used its maps as well",
    "    dz = dz0 + dz1\n    return dz[:, :c0], dz[:, c0:]",
    "    return dz1[:, :c0], dz0[:, c0:]",
)
exercise.mistake(
    "this is the mean of the two gradients; what is used twice gets the sum of both", "dz0 + dz1", "(dz0 + dz1) / 2"
)
exercise.mistake(
    "each tower gets the gradient of both halves; only its own half belongs to it",
    "return dz[:, :c0], dz[:, c0:]",
    "return dz, dz",
)
exercise.mistake(
    "the gradient is cut into equal halves; the first tower has c0 maps",
    "    return dz[:, :c0], dz[:, c0:]",
    "    c0 = dz.shape[1] // 2\n    return dz[:, :c0], dz[:, c0:]",
)
exercise.mistake(
    "the two towers get each other's gradient", "return dz[:, :c0], dz[:, c0:]", "return dz[:, c0:], dz[:, :c0]"
)

exercise.mistake(
    "the halves are put together along the images; maps are axis 1",
    "return np.concatenate([x0, x1], axis=1), np.concatenate([x0, x1], axis=1)",
    "return np.concatenate([x0, x1], axis=0), np.concatenate([x0, x1], axis=0)",
)
exercise.mistake(
    "the halves are put together along the last axis; maps are axis 1",
    "return np.concatenate([x0, x1], axis=1), np.concatenate([x0, x1], axis=1)",
    "return np.concatenate([x0, x1], axis=-1), np.concatenate([x0, x1], axis=-1)",
)
exercise.mistake(
    "the gradient is cut along the images; maps are axis 1",
    "return dz[:, :c0], dz[:, c0:]",
    "return dz[:c0], dz[c0:]",
)

exercise.hints(
    "Forward: np.concatenate along axis 1, twice, because each GPU needs an array of its own. Backward: where in z0, and "
    "where in z1, does x0 appear?",
    "x0 is in the first c0 maps of z0 and also in the first c0 maps of z1. A change of x0 changes the loss through both, so "
    "the two gradients add up.",
    "dz = dz0 + dz1; its first c0 maps are dx0, the others are dx1.",
)


def by_the_library(x0, x1, grad=False):
    x0, x1 = tensor(x0, requires_grad=grad, device="cpu:0"), tensor(x1, requires_grad=grad, device="cpu:1")
    return (x0, x1), [concat([transfer(x, device) for x in (x0, x1)], axis=1) for device in ("cpu:0", "cpu:1")]


def backward_by_the_library(dz0, dz1, c0):
    leaves, wholes = by_the_library(np.zeros_like(dz0[:, :c0]), np.zeros_like(dz0[:, c0:]), grad=True)
    for z, dz in zip(wholes, (dz0, dz1), strict=True):
        z.backward(dz)
    return tuple(leaf.grad for leaf in leaves)


exercise.library(
    exchange=lambda x0, x1: tuple(z.numpy() for z in by_the_library(x0, x1)[1]), exchange_backward=backward_by_the_library
)


@exercise.takes_the_place
def _(exchange, exchange_backward):
    def exchange_halves(self, halves):
        x0, x1 = halves
        c0 = x0.shape[1]
        z0, z1 = exchange(x0.data, x1.data)
        # Two tensors, so two entries on the tape: each sends back what its own gradient gives, and the tape adds.
        return [
            record("exchange", z0, (x0, x1), lambda g: tuple(exchange_backward(g, np.zeros_like(g), c0))),
            record("exchange", z1, (x0, x1), lambda g: tuple(exchange_backward(np.zeros_like(g), g, c0))),
        ]

    return [(alexnet.AlexNet, "exchange", exchange_halves)]
