"""The gradient of ReLU, and that of tanh.

max(x, 0) passes a positive number on and stops a negative one; its gradient does the same. tanh squeezes every number into
(-1, 1), and where it is nearly flat it passes almost nothing back: that is the saturation of which section 3.1 of the paper
says that it makes learning slow. At x = 0, where ReLU has no slope, take 0.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, distinct, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.ops.activations import relu, tanh

exercise = Exercise(chapter=6, minutes=10, difficulty=1, compare="tinynet/ops/activations.py")


@exercise.solution
def relu_backward(dy, x):
    """The gradient with respect to x of relu(x) = max(x, 0), for the gradient dy of its result. Arrays of one shape."""
    return dy * (x > 0)


@exercise.solution
def tanh_backward(dy, x):
    """The gradient with respect to x of tanh(x), for the gradient dy of its result. Arrays of one shape."""
    return dy * (1 - np.tanh(x) ** 2)


@exercise.check("relu: four numbers by hand")
def _(relu_backward, rng):
    dx = relu_backward(np.array([10.0, 20.0, -30.0, 40.0]), np.array([-1.0, 2.0, 3.0, 0.0]))
    expect(dx, [0.0, 20.0, -30.0, 0.0], "dx for x = [-1 2 3 0] and dy = [10 20 -30 40]")


@exercise.check("relu: gradient")
def _(relu_backward, rng):
    gradients(lambda x: np.maximum(x, 0), [distinct(rng, 3, 5)], relu_backward, rng, ["x"])


@exercise.check("tanh: gradient")
def _(tanh_backward, rng):
    gradients(np.tanh, [rng.normal(size=(3, 5))], tanh_backward, rng, ["x"])


exercise.mistake("dy is not multiplied in: this is only the slope of relu", "dy * (x > 0)", "1.0 * (x > 0)")
exercise.mistake("this looks at the sign of dy; it is x that decides what passes", "dy * (x > 0)", "dy * (dy > 0)")
exercise.mistake("at x = 0 the slope is to be 0, so compare with > and not with >=", "(x > 0)", "(x >= 0)")
exercise.mistake("this is relu of dy times x: the slope of relu is 1 or 0, not x", "dy * (x > 0)", "dy * np.maximum(x, 0)")
exercise.mistake("the square is missing: the slope of tanh is 1 - tanh(x)^2", "np.tanh(x) ** 2", "np.tanh(x)")
exercise.mistake(
    "this is 1 - x^2; the square is that of tanh(x). (With y = tanh(x) the slope is 1 - y^2.)", "np.tanh(x) ** 2", "x**2"
)
exercise.mistake(
    "dy is not multiplied in: this is only the slope of tanh", "dy * (1 - np.tanh(x) ** 2)", "1 - np.tanh(x) ** 2"
)

exercise.hints(
    "The chain rule: dx = dy times the slope at x. What slopes does max(x, 0) have?",
    "A comparison, x > 0, gives an array of True and False, which multiplies as 1 and 0. The slope of tanh is 1 "
    "- tanh(x)^2.",
)

exercise.library(
    relu_backward=lambda dy, x: by_the_tape(relu, dy, x)[0],
    tanh_backward=lambda dy, x: by_the_tape(tanh, dy, x)[0],
)


@exercise.takes_the_place
def _(relu_backward, tanh_backward):
    # The kernel is given y instead of x: it is positive where x is, and takes no memory of its own.
    return [(cpu, "relu_backward", relu_backward)]
