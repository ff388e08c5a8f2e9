"""Central differences: a gradient that nobody derived.

A backward, a function that computes gradients, is derived by hand, and hands make mistakes. A difference is not derived.
Move one number x_i a little up and a little down, look how far the result moves, and divide by the distance of the two
points:

    slope_i = (f(x with x_i + h) - f(x with x_i - h)) / (2 h)

This costs two calls of f for every number in x, so nobody trains with it; but it tells whether a backward is right. Why two
calls, when f(x) is known already? A step to one side only is off by about h f'' / 2, and one to both sides by h^2 f''' / 6:
with h = 0.00001 that is five digits more.

Everything that you write later can be checked with this function. So it must be right for arrays of every shape, it must
leave x as it was, and it must not be fooled by an x of integers.
"""

import numpy as np

from tinynet.exercises.checks import expect
from tinynet.exercises.exercise import Exercise
from tinynet.gradcheck.differences import Loss

exercise = Exercise(chapter=2, minutes=20, difficulty=2, compare="tinynet/gradcheck/differences.py")


@exercise.solution
def numeric_gradient(f, x, h=1e-5):
    """The slopes of f at x with respect to every entry of x, by central differences.

    f: function from an array like x to a number. x: array of any shape, of floats or of integers. h: the step.
    Returns an array of floats with the shape of x.
    """
    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        above, below = x.astype(float), x.astype(float)
        above[i] += h
        below[i] -= h
        gradient[i] = (f(above) - f(below)) / (2 * h)
    return gradient


@exercise.check("one number, one big step")
def _(numeric_gradient, rng):
    # (2.5^3 - 1.5^3) / 1 = 12.25, where the slope 3 x^2 is 12
    found = numeric_gradient(lambda x: float((x**3).sum()), np.array([2.0]), 0.5)
    expect(found, [12.25], "f(2.5) - f(1.5) for f = x^3, x = 2, h = 0.5")


@exercise.check("every entry by itself, in two axes")
def _(numeric_gradient, rng):
    x, w = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    expect(numeric_gradient(lambda x: float((w * x**2).sum()), x), 2 * w * x, "slopes of sum(w * x^2)", rtol=1e-8)


@exercise.check("entries that are multiplied with each other")
def _(numeric_gradient, rng):
    x = rng.uniform(0.5, 1.5, size=5)
    expect(numeric_gradient(lambda x: float(x.prod()), x, 0.125), x.prod() / x, "slopes of the product of five numbers")


@exercise.check("sin at many places, to eight digits")
def _(numeric_gradient, rng):
    x = rng.uniform(-3, 3, size=(4, 1, 3))
    expect(numeric_gradient(lambda x: float(np.sin(x).sum()), x), np.cos(x), "slopes of sum(sin x)", rtol=1e-8)


@exercise.check("a number, shape ()")
def _(numeric_gradient, rng):
    x = np.array(rng.uniform(0.5, 1.0))
    expect(numeric_gradient(lambda x: float(np.exp(x)), x), np.exp(x), "the slope of e^x", rtol=1e-8)


@exercise.check("integers")
def _(numeric_gradient, rng):
    x = np.array([1, 2, 3])
    found = numeric_gradient(lambda x: float((x * x).sum() / 4), x)
    expect(found, [0.5, 1.0, 1.5], "slopes of sum(x^2) / 4 at the integers 1 2 3", rtol=1e-8)


exercise.mistake(
    "this steps to one side only, which is off by h * f'' / 2; step to both sides",
    "below[i] -= h\n",
    "pass\n",
    "/ (2 * h)",
    "/ h",
)
exercise.mistake(
    "this steps down only, which is off by h * f'' / 2; step to both sides",
    "above[i] += h\n",
    "pass\n",
    "/ (2 * h)",
    "/ h",
)
exercise.mistake("the two points are 2 h apart, so divide by 2 h", "/ (2 * h)", "/ h")
exercise.mistake("2 * h needs brackets: / 2 * h divides by 2 and multiplies by h", "/ (2 * h)", "/ 2 * h")
exercise.mistake("the order is turned: f above minus f below", "(f(above) - f(below))", "(f(below) - f(above))")
exercise.mistake(
    "all entries move at once; one slope belongs to one entry, so move x[i] and nothing else",
    "above[i] += h",
    "above += h",
    "below[i] -= h",
    "below -= h",
)
exercise.mistake(
    "an entry is not put back before the next one moves; start every entry from a fresh copy of x",
    "    for i in np.ndindex(x.shape):\n        above, below = x.astype(float), x.astype(float)\n",
    "    above, below = x.astype(float), x.astype(float)\n    for i in np.ndindex(x.shape):\n",
)
exercise.mistake(
    "an array of integers rounds 1.00001 to 1 when it is put into it: make the copies arrays of floats, x.astype(float)",
    "x.astype(float), x.astype(float)",
    "x.copy(), x.copy()",
)
exercise.mistake(
    "np.zeros_like of integers is an array of integers, which cuts the slopes off at the point: np.zeros(x.shape) "
    "holds floats",
    "np.zeros(x.shape)",
    "np.zeros_like(x)",
)
exercise.mistake(
    "only the first axis is walked along, so that whole rows move; np.ndindex(x.shape) gives the index of every number",
    "np.ndindex(x.shape)",
    "range(len(x))",
)
exercise.mistake(
    "the two points are h apart: x + h and x - h are asked for",
    "above[i] += h\n",
    "above[i] += h / 2\n",
    "below[i] -= h\n",
    "below[i] -= h / 2\n",
    "/ (2 * h)",
    "/ h",
)
exercise.mistake(
    "the step grows with x; take the h that the caller gives",
    "above[i] += h\n",
    "above[i] += h * max(1, abs(x[i]))\n",
    "below[i] -= h\n",
    "below[i] -= h * max(1, abs(x[i]))\n",
    "/ (2 * h)",
    "/ (2 * h * max(1, abs(x[i])))",
)
exercise.mistake("the step is fixed; take the h that the caller gives", "gradient = np", "h = 1e-5\n    gradient = np")


@exercise.mistake("the entry is put back by subtracting h again, which rounds: x is not what it was. Move a copy instead")
def _(f, x, h=1e-5):
    gradient = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        x[i] += h
        above = f(x)
        x[i] -= 2 * h
        gradient[i] = (above - f(x)) / (2 * h)
        x[i] += h
    return gradient


exercise.hints(
    "for i in np.ndindex(x.shape) gives the index i of every entry, as a tuple: x[i] is one number, whatever the shape.",
    "For every i make two copies of x, as floats: x.astype(float) is one. Move entry i of the first up, of the second down.",
    "gradient[i] = (f(above) - f(below)) / (2 * h), in an array np.zeros(x.shape).",
)


def _by_gradcheck(f, x, h=1e-5):
    x, gradient = x.astype(float), np.zeros(x.shape)
    for i in np.ndindex(x.shape):  # each with a step of its own, since gradcheck's grows with |x|
        loss = Loss(lambda x: np.asarray(f(x)), [x], np.asarray(f(x)), np.ones(()), h / max(1, abs(x[i])), 1e-6)
        gradient[i] = loss.entries(0, [i]).value[0]
    return gradient


exercise.library(numeric_gradient=_by_gradcheck)
