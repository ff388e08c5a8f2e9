"""Find the bugs: three of these five backwards are wrong.

Somebody wrote five backwards and tried each of them: the division with b = 1, the sigmoid at x = 0, the leaky ReLU with a dy
of 1, the power with n = 1, the mean of squares with a row of numbers. All gave the right answer. Three are wrong all the
same, one line each: a test sees only what it looks at. Look harder: with numbers other than 0 and 1, of both signs; with a
dy that is not 1; with two axes, one longer than the other.

Do not read for the bugs, measure. sum(dy * y) is a loss for which y has the gradient dy, so its slopes, by your central
differences, are what a backward has to give. Write a file next to this one, for instance

    import numpy as np
    from e04_central_difference import numeric_gradient
    from e06_three_of_five import power_backward

    dy, x = np.array([10.0, -3.0]), np.array([0.5, -2.0])
    print(numeric_gradient(lambda x: (dy * x**4).sum(), x))
    print(power_backward(dy, x, 4))

Then mend the three. Your changes in this file are counted: three lines and no more.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, distinct, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.ops.activations import sigmoid
from tinynet.ops.arithmetic import div, maximum, mul, pow
from tinynet.ops.reductions import mean

exercise = Exercise(
    chapter=2, minutes=20, difficulty=2, lines=3, after=["e01_three_slopes", "e04_central_difference"],
    compare="tinynet/ops/arithmetic.py",
)  # fmt: skip


@exercise.solution
def divide_backward(dy, a, b):
    """The gradients (da, db) of y = a / b. Arrays of one shape."""
    da = dy / b
    db = -dy * a / b**2
    return da, db


@exercise.starts_as
def _(dy, a, b):
    da = dy / b
    db = -dy * a / b
    return da, db


@exercise.solution
def sigmoid_backward(dy, y):
    """The gradient of y = 1 / (1 + e^-x) with respect to x, from the result y. Arrays of one shape."""
    return dy * y - dy * y**2


@exercise.starts_as
def _(dy, y):
    return dy * y - dy * y**2


@exercise.solution
def leaky_relu_backward(dy, x, slope):
    """The gradient of y = x where x > 0, and slope * x elsewhere. dy, x: arrays of one shape. slope: a number."""
    return np.where(x > 0, dy, slope * dy)


@exercise.starts_as
def _(dy, x, slope):
    return np.where(x > 0, dy, slope)


@exercise.solution
def power_backward(dy, x, n):
    """The gradient of y = x^n with respect to x. dy, x: arrays of one shape. n: a whole number above 0."""
    return n * dy * x ** (n - 1)


@exercise.starts_as
def _(dy, x, n):
    return n * dy * x ** (n - 1)


@exercise.solution
def mean_square_backward(dy, x):
    """The gradient of y = (x**2).mean(), one number, with respect to x. dy: a number. x: array of any shape."""
    return dy * 2 * x / x.size


@exercise.starts_as
def _(dy, x):
    return dy * 2 * x / len(x)


def drawn(rng, *shape):
    return rng.uniform(0.5, 2, size=shape) * rng.choice([-1.0, 1.0], size=shape)


@exercise.check("a / b where b is not 1")
def _(divide_backward, rng):
    gradients(lambda a, b: a / b, [drawn(rng, 4), drawn(rng, 4)], divide_backward, rng)


@exercise.check("sigmoid")
def _(sigmoid_backward, rng):
    gradients(squash, [rng.normal(size=4)], lambda dy, x: sigmoid_backward(dy, squash(x)), rng, ["x"])


def squash(x):
    return 1 / (1 + np.exp(-x))


@exercise.check("leaky ReLU with a dy that is not 1")
def _(leaky_relu_backward, rng):
    gradients(
        lambda x: np.where(x > 0, x, 0.25 * x),
        [distinct(rng, 6)],
        lambda dy, x: leaky_relu_backward(dy, x, 0.25),
        rng,
        ["x"],
    )


@exercise.check("x^1 and x^4")
def _(power_backward, rng):
    for n in (1, 4):
        gradients(lambda x, n=n: x**n, [drawn(rng, 3)], lambda dy, x, n=n: power_backward(dy, x, n), rng, ["x"])


@exercise.check("the mean of squares, of a row and of a table")
def _(mean_square_backward, rng):
    expect(mean_square_backward(6.0, np.array([1.0, -3.0, 2.0])), [4.0, -12.0, 8.0], "dx for x = [1 -3 2], dy = 6")
    gradients(lambda x: (x**2).mean(), [drawn(rng, 5, 3)], mean_square_backward, rng, ["x"])


exercise.mistake(
    "with b = 1 nobody can tell b from its square; what is the slope of 1 / b at b = 2?",
    "-dy * a / b**2",
    "-dy * a / b",
)
exercise.mistake("1 / b falls where b grows: db has a minus", "-dy * a / b**2", "dy * a / b**2")
exercise.mistake(
    "with dy = 1 nobody can see whether dy is there; look at both branches of the leaky ReLU",
    "np.where(x > 0, dy, slope * dy)",
    "np.where(x > 0, dy, slope)",
)
exercise.mistake(
    "the slope of the leaky ReLU is a constant where x is negative; x is not part of it", "slope * dy)", "slope * dy * x)"
)
exercise.mistake(
    "len(x) is how many rows there are; what does the mean of a table divide by?",
    "2 * x / x.size",
    "2 * x / len(x)",
)
exercise.mistake("the mean of squares divides by how many numbers there are, and so must its gradient", " / x.size", "")
exercise.mistake("the sigmoid was right: its slope is y (1 - y), which is y - y^2", "dy * y - dy * y**2", "dy * y - y**2")
exercise.mistake("the power was right: x^n has the slope n x^(n - 1)", "n * dy * x ** (n - 1)", "dy * x ** (n - 1)")

exercise.hints(
    "Each bug fails one of the checks. Look at the numbers there: which entries are wrong, by what factor, and what is "
    "special "
    "about the entries that are right?",
    "What is the slope of 1 / b? Is dy in both branches of the leaky ReLU? The mean of a table of 3 rows and 4 "
    "columns: by how "
    "much does it divide?",
    "1 / b has the slope -1 / b^2. Every branch of a backward has dy in it. x.size counts numbers, len(x) counts rows.",
)

exercise.library(
    divide_backward=lambda dy, a, b: by_the_tape(div, dy, a, b),
    sigmoid_backward=lambda dy, y: by_the_tape(sigmoid, dy, np.log(y / (1 - y)))[0],
    leaky_relu_backward=lambda dy, x, slope: by_the_tape(lambda x: maximum(x, mul(x, slope)), dy, x)[0],
    power_backward=lambda dy, x, n: by_the_tape(lambda x: pow(x, n), dy, x)[0],
    mean_square_backward=lambda dy, x: by_the_tape(lambda x: mean(mul(x, x)), dy, x)[0],
)
