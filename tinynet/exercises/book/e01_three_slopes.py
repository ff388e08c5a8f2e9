"""Three slopes: a product, e^x and the sigmoid.

A network computes a loss in many small steps, and training asks how the loss changes with each of its values. That is the
value's gradient: if the gradient of x is 5, then the loss grows by about 0.005 when x grows by 0.001.

Gradients are computed from the loss backwards. If y was computed from x, and dy is the gradient of y, then the chain rule
gives the gradient of x:

    dx = dy * (slope of y at x)

A step has to know nothing else about the rest of the network. Write it for three steps: a * b, which has a gradient for each
of the two; e^x; and the sigmoid 1 / (1 + e^-x), which squeezes every number into (0, 1). All three work on arrays, each
entry by itself, as NumPy does.

For the last two you are given not x but the result y: it was computed on the way forward, and both slopes can be written
with y alone. A program that keeps y need not keep x, nor compute e^x twice.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, expect_parts, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.ops.activations import sigmoid
from tinynet.ops.arithmetic import exp, mul

exercise = Exercise(chapter=1, minutes=15, difficulty=1, compare="tinynet/ops/arithmetic.py")


@exercise.solution
def mul_backward(dy, a, b):
    """The gradients (da, db) with respect to a and b of y = a * b. dy: the gradient of y. Arrays of one shape."""
    return dy * b, dy * a


@exercise.solution
def exp_backward(dy, y):
    """The gradient with respect to x of y = e^x. dy: the gradient of y. y: e^x itself. Arrays of one shape."""
    return dy * y


@exercise.solution
def sigmoid_backward(dy, y):
    """The gradient with respect to x of y = 1 / (1 + e^-x). dy: the gradient of y. y: the result. Arrays of one shape."""
    return dy * y * (1 - y)


@exercise.check("a * b: by hand")
def _(mul_backward, rng):
    found = mul_backward(np.array([10.0, -1.0]), np.array([2.0, 3.0]), np.array([5.0, 7.0]))
    for part, right, name in zip(expect_parts(found, "da", "db"), ([50.0, -7.0], [20.0, -3.0]), ("da", "db"), strict=True):
        expect(part, right, f"{name} for a = [2 3], b = [5 7], dy = [10 -1]")


@exercise.check("a * b: gradients")
def _(mul_backward, rng):
    gradients(lambda a, b: a * b, [rng.normal(size=(2, 3)), rng.normal(size=(2, 3))], mul_backward, rng)


@exercise.check("e^x: by hand")
def _(exp_backward, rng):
    # x = 0 and x = log 4
    expect(exp_backward(np.array([10.0, -2.0]), np.array([1.0, 4.0])), [10.0, -8.0], "dx for y = [1 4], dy = [10 -2]")


@exercise.check("e^x: gradient")
def _(exp_backward, rng):
    gradients(np.exp, [rng.normal(size=(2, 3))], lambda dy, x: exp_backward(dy, np.exp(x)), rng, ["x"])


@exercise.check("sigmoid: by hand")
def _(sigmoid_backward, rng):
    # x = 0 and x = -log 4
    found = sigmoid_backward(np.array([8.0, -100.0]), np.array([0.5, 0.2]))
    expect(found, [2.0, -16.0], "dx for y = [0.5 0.2], dy = [8 -100]")


@exercise.check("sigmoid: gradient")
def _(sigmoid_backward, rng):
    gradients(squash, [2 * rng.normal(size=(2, 3))], lambda dy, x: sigmoid_backward(dy, squash(x)), rng, ["x"])


def squash(x):
    return 1 / (1 + np.exp(-x))


exercise.mistake(
    "a and b are exchanged: how fast a * b changes with a is told by the other factor, b", "dy * b, dy * a", "dy * a, dy * b"
)
exercise.mistake("dy is not multiplied in: these are only the slopes of a * b", "return dy * b, dy * a", "return b, a")
exercise.mistake(
    "this is dy * a * b for both; the factor itself has no place in its own slope",
    "return dy * b, dy * a",
    "return dy * a * b, dy * a * b",
)
exercise.mistake("dy is not multiplied in: y is only the slope of e^x", "return dy * y\n", "return y\n")
exercise.mistake("y is e^x already; this is e^(e^x)", "return dy * y\n", "return dy * np.exp(y)\n")
exercise.mistake(
    "x * e^(x - 1) is the rule for x^n, where x is below; in e^x it is above, and e^x is its own slope",
    "return dy * y\n",
    "return dy * np.log(y) * y / np.e\n",
)
exercise.mistake(
    "dy is not multiplied in: y (1 - y) is only the slope of the sigmoid", "return dy * y * (1 - y)", "return y * (1 - y)"
)
exercise.mistake(
    "you are given y, the sigmoid of x; this takes the sigmoid once more, as if it were x",
    "return dy * y * (1 - y)",
    "s = 1 / (1 + np.exp(-y))\n    return dy * s * (1 - s)",
)
exercise.mistake("a factor y is missing: the slope of the sigmoid is y (1 - y)", "return dy * y * (1", "return dy * (1")
exercise.mistake(
    "the sign is wrong: the sigmoid rises everywhere; 1 / u has the slope -1 / u^2, and u = 1 + e^-x a second minus",
    "return dy * y * (1 - y)",
    "return dy * y * (y - 1)",
)

exercise.hints(
    "One at a time: let b be a constant 5. What is the slope of a * 5? And which function is its own slope?",
    "Write the sigmoid as 1 / u with u = 1 + e^-x. The slope is e^-x / u^2. Now 1 / u is y; and what is e^-x / u?",
    "e^-x / u = (u - 1) / u = 1 - y. So the slope of the sigmoid is y (1 - y). Do not forget dy, in any of the three.",
)

exercise.library(
    mul_backward=lambda dy, a, b: by_the_tape(mul, dy, a, b),
    exp_backward=lambda dy, y: by_the_tape(exp, dy, np.log(y))[0],
    sigmoid_backward=lambda dy, y: by_the_tape(sigmoid, dy, np.log(y / (1 - y)))[0],
)
