"""Title, a few words.

The statement: what to write, why it matters in AlexNet, and the one thing that is hard about it. About ten lines.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.ops.arithmetic import mul

exercise = Exercise(chapter=1, minutes=10, difficulty=1, compare="tinynet/ops/arithmetic.py")


@exercise.solution
def square_backward(dy, x):
    """The gradient with respect to x of x * x, for the gradient dy of its result. Arrays of one shape."""
    return 2 * x * dy


@exercise.check("two numbers by hand")
def _(square_backward, rng):
    expect(square_backward(np.array([1.0, 10.0]), np.array([3.0, -2.0])), [6.0, -40.0], "dx for x = [3 -2], dy = [1 10]")


@exercise.check("gradient")
def _(square_backward, rng):
    gradients(lambda x: x * x, [rng.normal(size=(2, 3))], square_backward, rng)


exercise.mistake("the factor 2 is missing: x is used twice", "2 * x * dy", "x * dy")
exercise.mistake("dy is not multiplied in: this is only the slope", "2 * x * dy", "2 * x")

exercise.hints(
    "Where to look.",
    "Nearly the answer.",
)

exercise.library(square_backward=lambda dy, x: by_the_tape(lambda x: mul(x, x), dy, x)[0])
