"""Dropout, forward and backward.

The paper's two big layers, fc6 and fc7, hold most of its 60 million weights and would learn the training pictures by heart.
So while it trains, every unit is dropped with probability 0.5: its output is set to zero for this picture and this step
(section 4.2), and no unit can rely on another. To keep the sums of the next layer at their usual size, those that stay are
multiplied by 1 / (1 - p). At test time nothing is dropped and nothing is multiplied. (That is how it is done today. The
paper multiplied at test time instead, and the next exercise is about that.)

    training    y = x * factor     factor = 0 with probability p, else 1 / (1 - p)
    test        y = x

Draw with one call of rng.random(x.shape), and drop an element where its number is below p. Gradients go back through the
same factors that the values came through, so forward has to hand them over.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, expect_parts, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.ops.dropout import dropout
from tinynet.tensor import tensor

exercise = Exercise(chapter=10, minutes=10, difficulty=2, compare="tinynet/ops/dropout.py")


@exercise.solution
def dropout_forward(x, p, training, rng):
    """The pair (y, factor): what comes out, and what every element of x was multiplied by. Both have the shape of x.

    x: an array of any shape. p: the probability with which an element is dropped, 0 <= p < 1. training: True or False.
    rng: a numpy.random.Generator.
    """
    if not training:
        return x, np.ones_like(x)
    factor = (rng.random(x.shape) >= p) / (1 - p)
    return x * factor, factor


@exercise.solution
def dropout_backward(dy, factor):
    """The gradient with respect to x, for the gradient dy of y and the factor that forward returned."""
    return dy * factor


def factors(shape, p, rng):
    return np.where(rng.random(shape) < p, 0.0, 1 / (1 - p))


@exercise.check("forward: four numbers by hand")
def _(dropout_forward, rng):
    seed = int(rng.integers(1000))
    while not 0 < (np.random.default_rng(seed).random(4) < 0.2).sum() < 4:
        seed += 1
    drawn = np.random.default_rng(seed).random(4)
    y, factor = expect_parts(
        dropout_forward(np.array([4.0, 8.0, 12.0, 16.0]), 0.2, True, np.random.default_rng(seed)), "y", "factor"
    )
    numbers = " ".join(f"{number:.2f}" for number in drawn)
    expect(y, [5, 10, 15, 20] * (drawn >= 0.2), f"y for x = [4 8 12 16], p = 0.2 and the random numbers [{numbers}]")
    expect(factor, 1.25 * (drawn >= 0.2), f"factor for p = 0.2 and the random numbers [{numbers}]")


@exercise.check("forward: a batch of pictures")
def _(dropout_forward, rng):
    x, seed, p = rng.normal(size=(4, 5, 3)), int(rng.integers(1000)), float(rng.uniform(0.2, 0.4))
    right = factors(x.shape, p, np.random.default_rng(seed))
    y, factor = expect_parts(dropout_forward(x, p, True, np.random.default_rng(seed)), "y", "factor")
    expect(y, x * right, f"y for x (4, 5, 3), p = {p:.3g}")
    expect(factor, right, f"factor for x (4, 5, 3), p = {p:.3g}")


@exercise.check("test time: nothing is dropped")
def _(dropout_forward, rng):
    x = rng.normal(size=(3, 40))
    y, factor = expect_parts(dropout_forward(x, 0.3, False, rng), "y", "factor")
    expect(y, x, "y at test time")
    expect(factor, np.ones((3, 40)), "factor at test time")


@exercise.check("gradient, through the elements that stayed")
def _(dropout_forward, dropout_backward, rng):
    seed, p = int(rng.integers(1000)), float(rng.uniform(0.2, 0.4))

    def forward(x):
        return x * factors(x.shape, p, np.random.default_rng(seed))

    def vjp(dy, x):
        return dropout_backward(dy, expect_parts(dropout_forward(x, p, True, np.random.default_rng(seed)), "y", "factor")[1])

    gradients(forward, [rng.normal(size=(4, 6))], vjp, rng, ["x"])


@exercise.check("gradient at test time")
def _(dropout_forward, dropout_backward, rng):
    dy = rng.normal(size=(3, 4))
    _, factor = expect_parts(dropout_forward(rng.normal(size=(3, 4)), 0.3, False, rng), "y", "factor")
    expect(dropout_backward(dy, factor), dy, "dx at test time, where y = x")


exercise.mistake(
    "dropped and kept are swapped: p is the probability that an element is dropped, and it is where its number is below p",
    "(rng.random(x.shape) >= p)",
    "(rng.random(x.shape) < p)",
)
exercise.mistake(
    "what stays is not made larger: with p = 0.5 the next layer gets half of what it gets at test time",
    " / (1 - p)",
    " * 1.0",
)
exercise.mistake(
    "the numbers come from a generator of its own; draw them from the one that is handed in, so that a run can be repeated",
    "rng.random(x.shape)",
    "np.random.default_rng(0).random(x.shape)",
)
exercise.mistake("what stays is divided by p; a share of 1 - p stays, so divide by 1 - p", " / (1 - p)", " / p")
exercise.mistake("elements are dropped at test time, too", "    if not training:", "    if training is None:")
exercise.mistake(
    "y is made smaller at test time; what stayed was made larger while training already, so do nothing here",
    "return x, np.ones_like(x)",
    "return x * (1 - p), np.full_like(x, 1 - p)",
)
exercise.mistake(
    "all pictures of the batch lose the same units; every element of x has a number of its own, so draw x.shape of them",
    "(rng.random(x.shape) >= p) / (1 - p)",
    "(rng.random(x.shape[1:]) >= p) / (1 - p) * np.ones_like(x)",
)
exercise.mistake(
    "the gradient goes back to the elements that were dropped as well; they had no influence on y, so theirs is 0",
    "return dy * factor",
    "return 1.0 * dy",
)
exercise.mistake(
    "the gradient is let through but not multiplied: y changes by 1 / (1 - p) for every 1 that x changes",
    "return dy * factor",
    "return dy * (factor > 0)",
)

exercise.hints(
    "rng.random(x.shape) gives a number between 0 and 1 for every element; a comparison makes True and False of them, "
    "which multiply as 1 and 0.",
    "factor = (rng.random(x.shape) >= p) / (1 - p); y is x times that. At test time factor is 1 everywhere. And backward: "
    "how much does y change when x changes by 1?",
)


def forward_by_the_library(x, p, training, rng):
    mask = rng.random(x.shape) >= p if training else None
    y = dropout(tensor(x), p, training, mask=mask).numpy()
    return y, by_the_tape(lambda x: dropout(x, p, training, mask=mask), np.ones_like(x), x)[0]


def backward_by_the_library(dy, factor):
    p = 1 - 1 / factor.max()
    return by_the_tape(lambda x: dropout(x, p, mask=factor > 0), dy, np.zeros_like(dy))[0]


exercise.library(dropout_forward=forward_by_the_library, dropout_backward=backward_by_the_library)
