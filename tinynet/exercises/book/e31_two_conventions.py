"""Dropout in the paper's way and in everybody's.

The paper does not enlarge what dropout leaves over. Its next layer therefore meets sums that are larger at test time than
while training, and so every output is multiplied by 1 - p then ("by 0.5", section 4.2). Frameworks of today enlarge while
training instead, and call that inverted dropout. mask is 1 where a unit stays and 0 where it is dropped:

                    training               test
    the paper       y = x mask             y = x (1 - p)
    inverted        y = x mask / (1 - p)   y = x

The two outputs always differ by the same factor. So a network trained in the paper's way computes exactly the same with
inverted dropout, if the weights of the layer behind, z = y W^T + b, are changed once. Find out how. And if it then goes on
training with plain steps W <- W - lr g, with which learning rate does W take the same way as before? (Its gradient changes,
too.)
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, expect_parts
from tinynet.exercises.exercise import Exercise
from tinynet.ops.arithmetic import linear
from tinynet.ops.dropout import dropout
from tinynet.tensor import tensor

exercise = Exercise(chapter=10, minutes=20, difficulty=3, after=["e30_dropout"], compare="tinynet/ops/dropout.py")


@exercise.solution
def paper_dropout(x, mask, p, training):
    """Dropout in the paper's way. x, mask: arrays of one shape; mask is 1 or 0. p: probability to be dropped."""
    return x * mask if training else x * (1 - p)


@exercise.solution
def to_inverted(weight, bias, p):
    """The pair (weight, bias) with which the layer behind computes with inverted dropout what it does with the paper's.

    weight: (out, in). bias: (out,). Both are those of a network with the paper's dropout.
    """
    return weight * (1 - p), bias


@exercise.solution
def lr_for_inverted(lr, p):
    """The learning rate with which the new weight goes on as the old one does with lr.

    That is: if the old weight becomes V after a step, the new one becomes to_inverted(V, bias, p)[0].
    """
    return lr * (1 - p) ** 2


def inverted_dropout(x, mask, p, training):
    return x * mask / (1 - p) if training else x


def layer(rng):
    x = rng.normal(size=(3, 6))
    return x, rng.random(x.shape) >= 0.4, rng.normal(size=(4, 6)), rng.normal(size=4), float(rng.uniform(0.15, 0.4))


@exercise.check("the paper's dropout by hand")
def _(paper_dropout, rng):
    x, mask = np.array([10.0, 20.0, 30.0]), np.array([1.0, 0.0, 1.0])
    expect(paper_dropout(x, mask, 0.2, True), [10.0, 0.0, 30.0], "y for x = [10 20 30], mask = [1 0 1], training")
    expect(paper_dropout(x, mask, 0.2, False), [8.0, 16.0, 24.0], "y for x = [10 20 30], p = 0.2, at test time")


@exercise.check("the layer behind: the same outputs while training")
def _(to_inverted, rng):
    x, mask, weight, bias, p = layer(rng)
    right = (x * mask) @ weight.T + bias
    weight, bias = expect_parts(to_inverted(weight, bias, p), "weight", "bias")
    expect(inverted_dropout(x, mask, p, True) @ weight.T + bias, right, f"outputs with inverted dropout, p = {p:.3g}")


@exercise.check("the layer behind: the same outputs at test time")
def _(to_inverted, rng):
    x, mask, weight, bias, p = layer(rng)
    right = x * (1 - p) @ weight.T + bias
    weight, bias = expect_parts(to_inverted(weight, bias, p), "weight", "bias")
    expect(inverted_dropout(x, mask, p, False) @ weight.T + bias, right, f"outputs with inverted dropout, p = {p:.3g}")


@exercise.check("the same steps")
def _(lr_for_inverted, rng):
    x, mask, weight, bias, p = layer(rng)
    target, share, lr = rng.normal(size=(3, 4)), 1 - p, 0.1
    new_lr = lr_for_inverted(lr, p)
    expect(new_lr, lr * share**2, f"the learning rate for lr = 0.1, p = {p:.3g}")
    old, new = weight, share * weight
    for _ in range(3):  # steps down the squared error, whose gradient is 2 (z - target)
        y = x * mask
        old = old - lr * 2 * (y @ old.T + bias - target).T @ y
        y = x * mask / share
        new = new - new_lr * 2 * (y @ new.T + bias - target).T @ y
    expect(new, share * old, "the new weight after three steps, expected (1 - p) times the old one")


exercise.mistake(
    "the paper does not enlarge what stays while training; this is inverted dropout", "x * mask if", "x * mask / (1 - p) if"
)
exercise.mistake(
    "at test time the paper multiplies by 1 - p, so that the next layer gets what it got on average while training",
    "else x * (1 - p)",
    "else x",
)
exercise.mistake(
    "at test time this multiplies by p, the share that is dropped; what counts is the share that stays, 1 - p",
    "else x * (1 - p)",
    "else x * p",
)
exercise.mistake(
    "the mask belongs to training; at test time no unit is dropped", "else x * (1 - p)", "else x * mask * (1 - p)"
)
exercise.mistake(
    "this goes the other way: the outputs of inverted dropout are larger by 1 / (1 - p), so the weights must become smaller",
    "weight * (1 - p), bias",
    "weight / (1 - p), bias",
)
exercise.mistake(
    "the bias is changed as well; it is added after the product and never meets the dropout",
    "weight * (1 - p), bias",
    "weight * (1 - p), bias * (1 - p)",
)
exercise.mistake(
    "nothing is changed: the outputs of the two differ by 1 / (1 - p)", "weight * (1 - p), bias", "weight, bias"
)
exercise.mistake(
    "one factor is missing: the weight is smaller by 1 - p, and its gradient, a sum of dz times y, is larger by 1 / (1 - p)",
    "lr * (1 - p) ** 2",
    "lr * (1 - p)",
)
exercise.mistake(
    "this makes the steps larger; the gradient has grown already, and they are to become smaller",
    "lr * (1 - p) ** 2",
    "lr / (1 - p)",
)
exercise.mistake(
    "with the old learning rate the steps are too large: the weight is smaller now, and its gradient larger",
    "return lr * (1 - p) ** 2",
    "return lr",
)

exercise.hints(
    "Put both columns of the table side by side: by which factor is the inverted output larger, while training and at test "
    "time? The sums y W^T must stay the same, and b is added to them afterwards.",
    "With c = 1 - p, the new weight is c W. z stays the same, and so does dz; but dW is the sum of dz times y, and y has "
    "become y / c. What does a step lr' g / c have to be, so that c W - lr' g / c is c (W - lr g)?",
)


def inverted_by_the_library(weight, bias, p):
    units = tensor(np.eye(weight.shape[1]))
    kept = dropout(units, p, False, inverted=False)  # the new layer does to x what the old one does to this
    columns = linear(kept, tensor(weight)).numpy()
    nothing = dropout(tensor(np.zeros((1, weight.shape[1]))), p, False, inverted=False)
    return columns.T, linear(nothing, tensor(weight), tensor(bias)).numpy()[0]


def lr_by_the_library(lr, p):
    """From the gradients in both conventions: a step of the new weight is to be 1 - p times that of the old one."""

    def gradient(inverted):
        x, mask = tensor(np.ones((1, 1))), np.ones((1, 1))
        return by_the_tape(
            lambda w: linear(dropout(x, p, mask=mask, inverted=inverted), w), np.ones((1, 1)), np.ones((1, 1))
        )

    (old,), (new,) = gradient(False), gradient(True)
    return lr * (1 - p) * (old / new).item()


exercise.library(
    paper_dropout=lambda x, mask, p, training: dropout(tensor(x), p, training, mask=mask, inverted=False).numpy(),
    to_inverted=inverted_by_the_library,
    lr_for_inverted=lr_by_the_library,
)
