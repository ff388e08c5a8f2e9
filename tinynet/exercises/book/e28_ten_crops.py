"""Ten looks at a picture.

AlexNet is shown 224 of the 256 pixels a side. In training these are cut out anywhere; when it is asked for its opinion it
looks ten times (section 4.1 of the paper): at the four corners and the centre, and at the mirror images of these five. Ten
softmaxes come out, and their mean is the answer. It costs ten forward passes and helps as much as many a new idea: on the
test set of 2010 it takes the top-1 error from 39.0 to 37.5 % and the top-5 error from 18.3 to 17.0 %.

The mean is that of the probabilities. Averaging the logits, before the softmax, gives another answer: one look that is very
sure of itself can then outvote the nine others.
"""

import numpy as np

from tinynet import data
from tinynet.devices import devices
from tinynet.exercises.checks import expect, expect_shape
from tinynet.exercises.exercise import Exercise
from tinynet.tensor import tensor
from tinynet.training import evaluation

exercise = Exercise(
    chapter=9, minutes=15, difficulty=1, after=["e09_softmax_cross_entropy"], compare="tinynet/training/evaluation.py"
)


@exercise.given
def softmax(z):
    """The probabilities of each row of logits."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@exercise.solution
def ten_crops(image, crop):
    """The ten windows of crop x crop pixels of an image (3, S, S), as an array (10, 3, crop, crop).

    In this order: top left, top right, centre, bottom left, bottom right, then the same five, each mirrored left to right.
    The centre starts at row and column (S - crop) // 2.
    """
    end = image.shape[1] - crop
    places = [(0, 0), (0, end), (end // 2, end // 2), (end, 0), (end, end)]
    five = [image[:, top : top + crop, left : left + crop] for top, left in places]
    return np.stack(five + [window[:, :, ::-1] for window in five])


@exercise.solution
def average_prediction(logits):
    """The probabilities (classes,) on which ten looks agree. logits: (10, classes), one row a look."""
    return softmax(logits).mean(axis=0)


NAMES = [
    f"{place}{mirrored}"
    for mirrored in ("", ", mirrored")
    for place in ("top left", "top right", "centre", "bottom left", "bottom right")
]


@exercise.check("ten_crops: 2x2 windows of a 4x4 picture by hand")
def _(ten_crops, rng):
    image = np.arange(16.0).reshape(4, 4) + np.array([0.0, 100.0, 200.0])[:, None, None]
    red = [[0, 1, 4, 5], [2, 3, 6, 7], [5, 6, 9, 10], [8, 9, 12, 13], [10, 11, 14, 15]]
    red += [[b, a, d, c] for a, b, c, d in red]
    right = np.array(red, float).reshape(10, 1, 2, 2) + np.array([0.0, 100.0, 200.0])[:, None, None]
    crops = expect_shape(ten_crops(image, 2), right.shape, "ten_crops")
    for name, theirs, ours in zip(NAMES, crops, right, strict=True):
        expect(theirs, ours, f"the window {name}")


@exercise.check("ten_crops: 5x5 windows of an 8x8 picture, whose centre is not in the middle")
def _(ten_crops, rng):
    image = rng.normal(size=(3, 8, 8))
    centre, mirror = image[:, 1:6, 1:6], np.flip(image, axis=2)
    right = [image[:, :5, :5], image[:, :5, 3:], centre, image[:, 3:, :5], image[:, 3:, 3:]]
    right += [mirror[:, :5, 3:], mirror[:, :5, :5], np.flip(centre, axis=2), mirror[:, 3:, 3:], mirror[:, 3:, :5]]
    expect(ten_crops(image, 5), np.stack(right), "ten_crops")


@exercise.check("average_prediction: two opinions by hand")
def _(average_prediction, rng):
    logits = np.log([[0.9, 0.1]] * 5 + [[0.5, 0.5]] * 5)
    expect(average_prediction(logits), [0.7, 0.3], "average_prediction of five looks with 0.9, 0.1 and five with 0.5, 0.5")


@exercise.check("average_prediction: one look that is very sure does not outvote nine")
def _(average_prediction, rng):
    looks = np.array(
        [[0.5, 0.3, 0.2]] * 9 + [[1e-12, 1e-12, 1 - 2e-12]]
    )  # the mean of their logarithms is largest for class 2
    expect(average_prediction(np.log(looks)), looks.mean(axis=0), "average_prediction, where nine looks prefer class 0")


@exercise.check("average_prediction: 10 looks, 7 classes")
def _(average_prediction, rng):
    logits = 3 * rng.normal(size=(10, 7))
    odds = np.exp(logits)
    expect(average_prediction(logits), (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0), "average_prediction")


exercise.mistake(
    "the windows are turned upside down; a mirror swaps left and right, the last axis",
    "window[:, :, ::-1]",
    "window[:, ::-1]",
)
exercise.mistake(
    "axis 0 are the colours: this swaps red and blue, it does not mirror the picture", "window[:, :, ::-1]", "window[::-1]"
)
exercise.mistake(
    "top right and bottom left are swapped: rows come first, so top right starts at row 0",
    "(0, end), (end // 2, end // 2), (end, 0)",
    "(end, 0), (end // 2, end // 2), (0, end)",
)
exercise.mistake(
    "the windows end one pixel before the edge: of S pixels, the last window starts at S - crop",
    "image.shape[1] - crop\n",
    "image.shape[1] - crop - 1\n",
)
exercise.mistake(
    "the picture was mirrored before it was cut, so sixth comes the mirrored top right; mirror each of the five windows",
    "[window[:, :, ::-1] for window in five]",
    "[image[:, :, ::-1][:, top : top + crop, left : left + crop] for top, left in places]",
)
exercise.mistake(
    "each window is followed by its mirror image; the order is all five, then all five mirrored",
    "five + [window[:, :, ::-1] for window in five]",
    "[w for window in five for w in (window, window[:, :, ::-1])]",
)
exercise.mistake(
    "this averages the logits and then takes the softmax; first the softmax of each look, then the mean",
    "softmax(logits).mean(axis=0)",
    "softmax(logits.mean(axis=0))",
)
exercise.mistake(
    "this is the sum of ten probabilities, which is not one: take the mean",
    "softmax(logits).mean(axis=0)",
    "softmax(logits).sum(axis=0)",
)
exercise.mistake(
    "the softmax goes over the looks; it goes over the classes of each look, the rows",
    "softmax(logits).mean(axis=0)",
    "softmax(logits.T).mean(axis=1)",
)
exercise.mistake(
    "this is the mean over the classes of each look; asked is the mean over the looks, axis 0",
    ".mean(axis=0)",
    ".mean(axis=1)",
)
exercise.mistake(
    "this takes the most confident look for each class, and the sum is more than 1", ".mean(axis=0)", ".max(axis=0)"
)
exercise.mistake(
    "these are geometric means, which do not add up to 1",
    "softmax(logits).mean(axis=0)",
    "np.exp(np.log(softmax(logits)).mean(axis=0))",
)

exercise.hints(
    "Where does a window start if it is to end at the last row? Write the five starts (row, column) as a list.",
    "image[:, top : top + crop, left : left + crop] is a window; window[:, :, ::-1] is its mirror image; np.stack makes "
    "one array of a list.",
    "average_prediction is one line: the softmax of every row, then .mean over the rows.",
)


class Looks:
    """A network that answers with given logits, for tinynet's evaluation."""

    image_size = 1

    def __init__(self, logits):
        self.logits = logits

    def __call__(self, x):
        return tensor(self.logits)

    def eval(self):
        """It has nothing to switch off."""


def by_evaluation(logits):
    blank = np.zeros((1, 3, 1, 1))
    return evaluation.probabilities(Looks(logits), blank, blank[0], 1.0, devices("cpu:0")[0])[0]


exercise.library(ten_crops=data.ten_crops, average_prediction=by_evaluation)
