"""Find the bug: a network that sees nothing.

Somebody's AlexNet does not learn at all: its loss stays at log(classes). The layers are right, the optimiser is right, the
labels are right. This is the function that makes arrays of the photographs. It has one bug; change at most two lines, they
are counted.

Look at what comes out of it for a picture that you know, before you look at the code.
"""

import numpy as np

from tinynet.data.augment import subtract_mean
from tinynet.exercises.checks import expect, require
from tinynet.exercises.exercise import Exercise

exercise = Exercise(chapter=9, minutes=10, difficulty=2, lines=2, compare="tinynet/data/augment.py")


@exercise.solution
def prepare(images, mean):
    """Pixels for a network: scaled to 0..1, the mean picture subtracted, as float32.

    images: uint8 (N, 3, H, W). mean: float (3, H, W), the mean picture, already scaled to 0..1. Returns (N, 3, H, W).
    """
    batch = np.empty(images.shape, np.float32)
    for i, image in enumerate(images):
        batch[i] = image / 255
    return batch.astype(np.float32) - mean.astype(np.float32)


@exercise.starts_as
def _(images, mean):
    batch = np.empty_like(images)
    for i, image in enumerate(images):
        batch[i] = image / 255
    return batch.astype(np.float32) - mean.astype(np.float32)


@exercise.check("a grey picture")
def _(prepare, rng):
    grey = np.full((1, 3, 2, 2), 51, np.uint8)
    expect(
        prepare(grey, np.zeros((3, 2, 2))), np.full((1, 3, 2, 2), 0.2, np.float32), "pixels of 51 without a mean", rtol=1e-6
    )


@exercise.check("noise, with a mean")
def _(prepare, rng):
    images, mean = rng.integers(0, 256, (3, 3, 5, 5), np.uint8), rng.random((3, 5, 5))
    right = (images / 255 - mean).astype(np.float32)
    expect(prepare(images, mean), right, "pixels", rtol=1e-6)


@exercise.check("float32, not float64")
def _(prepare, rng):
    result = prepare(np.full((1, 3, 2, 2), 128, np.uint8), np.zeros((3, 2, 2)))
    kind = getattr(result, "dtype", type(result).__name__)
    require(kind == np.float32, f"the result is {kind}, expected float32: a network of float32 does not take anything else")
    require(bool(np.any(result)), "a grey picture became all zeros")


exercise.mistake(
    "every number below 1 has become 0: which numbers can the array hold that the pixels are put into?",
    "np.empty(images.shape, np.float32)",
    "np.empty_like(images)",
)
exercise.mistake(
    "white is 255, not 256, and has to become 1",
    "image / 255",
    "image / 256",
)
exercise.mistake(
    "the result is float64; the network computes in float32",
    "return batch.astype(np.float32) - mean.astype(np.float32)",
    "return batch - mean.astype(np.float64)",
)
exercise.mistake("the mean is not subtracted any more", " - mean.astype(np.float32)", "")

exercise.hints(
    "Print prepare(...) for a picture that is grey everywhere. Then print the dtype of every array on the way.",
    "np.empty_like takes the shape of its argument, and something else, too.",
)

exercise.library(
    prepare=lambda images, mean: subtract_mean(images, (255 * mean).astype(np.float32), images.shape[-1], 1 / 255),
)
