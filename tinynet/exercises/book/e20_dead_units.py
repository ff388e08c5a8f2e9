"""Units that never fire.

ReLU makes every negative number 0. When training starts, about half of all activities are 0, and that is healthy: for
another image it is another half. A unit that is 0 for every image is a different matter. Where the activity is 0 the slope
is 0 (e19), so its weights get no gradient, stay what they are, and no step will ever wake it: it is dead. One step with too
high a learning rate can do that to a whole layer; the authors' own log of AlexNet's runs has two that ended like this. And
it is why section 5 of the paper starts many biases at 1: at first, ReLUs are to see positive numbers.

So there are two numbers to watch. Count both. All places of a map share one kernel, so a map is a single unit here: one
place where it fires, in one image, keeps its kernel alive.
"""

import numpy as np

from tinynet.exercises.checks import expect
from tinynet.exercises.exercise import Exercise

exercise = Exercise(
    chapter=6, minutes=10, difficulty=1, after=["e19_relu_backward"], no_library="tinynet does not count dead units"
)


@exercise.solution
def zero_fraction(y):
    """Which part of all activities is 0, a number from 0 to 1. y: what ReLU gave, (N, C) or (N, C, H, W)."""
    return float((y == 0).mean())


@exercise.solution
def dead_units(y):
    """Which of the C units or maps are 0 for all images, at all places: (C,), True for dead ones. y: as above."""
    return (y == 0).all(axis=(0, *range(2, y.ndim)))


@exercise.check("zero_fraction: eight numbers by hand, and maps")
def _(zero_fraction, rng):
    units, maps = zero_fraction(np.array([[0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]])), np.ones((2, 5, 3, 4))
    maps[1, 2:4] = maps[0, 1, 0, :3] = 0
    maps[1, 0, 0] = 1e-12  # a whisper, but not 0
    expect(units, 6 / 8, "zero_fraction of [[0 1 0 0] [2 0 0 0]]")
    expect(zero_fraction(maps), 27 / 120, "zero_fraction of 2x5 maps of 3x4, two of them dark, and three pixels more")


@exercise.check("dead_units: two images, four units by hand")
def _(dead_units, rng):
    y = np.array([[0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
    expect(dead_units(y), [False, False, True, True], "dead_units of [[0 1 0 0] [2 0 0 0]], one image a row")


@exercise.check("dead_units: maps that fire in one image only, at one place only")
def _(dead_units, rng):
    y = np.zeros((4, 7, 2, 3))
    y[:, 5:] = rng.random((4, 2, 2, 3)) + 0.1
    y[:, 6, 0, 1] = 0  # one dark place among many that fire
    y[1, 2, 1, 2] = y[3, 0, 0, 1] = 5.0
    y[0, 1] = 3.0
    expect(
        dead_units(y),
        [False, False, False, True, True, False, False],
        "dead_units of maps of which only numbers 3 and 4 never fire",
    )


@exercise.check("dead_units: a whisper is a life")
def _(dead_units, rng):
    y = np.zeros((2, 3))
    y[:, 1] = 1e-12
    expect(dead_units(y), [True, False, True], "dead_units where unit 1 says 1e-12 and the others nothing")


@exercise.check("dead_units: the weights of these units, and of no others, get no gradient")
def _(dead_units, rng):
    x, weight, dy = rng.normal(size=(8, 3)), rng.normal(size=(3, 10)), rng.normal(size=(8, 10))
    bias = np.where(np.arange(10) % 3 == 1, -50.0, 0.5)
    y = np.maximum(x @ weight + bias, 0)
    dw = x.T @ (dy * (y > 0))
    expect(dead_units(y), (dw == 0).all(axis=0), "dead_units for eight images and ten units")


exercise.mistake("this is the part that fires; asked is the part that is 0", "(y == 0).mean()", "(y > 0).mean()")
exercise.mistake(
    "this is how many activities are 0; asked is which part of them, from 0 to 1", "(y == 0).mean()", "(y == 0).sum()"
)
exercise.mistake(
    "the zeros are divided by the number of images; divide by the number of all activities, or take the mean",
    "(y == 0).mean()",
    "(y == 0).sum() / len(y)",
)
exercise.mistake(
    "0 for some image is no death: a unit is dead if it is 0 for all of them, so all() and not any()",
    "(y == 0).all(",
    "(y == 0).any(",
)
exercise.mistake(
    "this says which units are alive; asked is which are dead",
    "(y == 0).all(axis=(0, *range(2, y.ndim)))",
    "(y > 0).any(axis=(0, *range(2, y.ndim)))",
)
exercise.mistake(
    "these are images for which no unit fires; images are axis 0 and units axis 1, and axis 1 has to stay",
    "axis=(0, *range(2, y.ndim))",
    "axis=tuple(range(1, y.ndim))",
)
exercise.mistake(
    "this looks at every place of a map by itself; all places share one kernel, so the axes after the second go, too",
    "axis=(0, *range(2, y.ndim))",
    "axis=0",
)
exercise.mistake(
    "one place that is always 0 does not kill a map: its kernel learns from all the others",
    "(y == 0).all(axis=(0, *range(2, y.ndim)))",
    "(y == 0).all(axis=0).reshape(y.shape[1], -1).any(axis=1)",
)
exercise.mistake(
    "this looks at the first image only",
    "(y == 0).all(axis=(0, *range(2, y.ndim)))",
    "(y[:1] == 0).all(axis=(0, *range(2, y.ndim)))",
)
exercise.mistake("a small activity is not 0: compare with 0 itself", "(y == 0).mean()", "(y < 1e-6).mean()")
exercise.mistake(
    "a small activity is not none: the slope of ReLU is 1 for it as for any other, so compare with 0 itself",
    "return (y == 0).all",
    "return (y < 1e-6).all",
)

exercise.hints(
    "y == 0 is an array of True and False. Its mean is the part that is True.",
    "all(axis=...) asks along axes whether everything is True. Which axis has to stay?",
    "(y == 0).all(axis=0) for units, (y == 0).all(axis=(0, 2, 3)) for maps; (0, *range(2, y.ndim)) is both.",
)
