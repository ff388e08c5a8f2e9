"""A change of light.

A lamp that glows brighter or redder changes all pixels of a picture together, and what the picture shows stays the same.
AlexNet is to learn that, so in training every picture gets another light each time (section 4.1 of the paper).

Think of the pixels of all pictures as a cloud of points (red, green, blue). The cloud is long in one direction, from dark
to bright, less long in a second and flat in a third. These are its axes p_1, p_2, p_3, of length 1 and at right angles,
with the standard deviations s_1, s_2, s_3 of the pixels along them. A picture gets one colour, the sum of a_i s_i p_i,
added to each of its pixels, where a_1, a_2, a_3 are drawn from a normal distribution with mean 0 and standard deviation
0.1.

NumPy finds the axes. Subtract from red, green and blue their means; then entry (i, j) of the covariance matrix, (3, 3), is
the mean of colour i times colour j over all pixels. np.linalg.eigh of that gives the variances along the axes, smallest
first, and the axes, which are the columns of its second result.

These variances are called eigenvalues, and here the text of the paper has a slip: it multiplies a_i by the eigenvalue. For
ImageNet the first is about 14 800, and a tenth of that makes any picture black or white. The code that was run uses the
square roots, the standard deviations: for ImageNet 121.8, 37.1 and 19.7.
"""

import numpy as np

from tinynet import data
from tinynet.exercises.checks import expect, expect_parts, expect_shape, require
from tinynet.exercises.exercise import Exercise

exercise = Exercise(chapter=9, minutes=25, difficulty=3, compare="tinynet/data/augment.py")


@exercise.solution
def colour_axes(pixels):
    """The axes of a cloud of colours. pixels: (M, 3).

    Returns the standard deviations (3,), largest first, and the axes (3, 3): row i is the unit vector of number i, with
    either sign. The covariance is a mean over all M pixels; np.cov divides by M - 1 unless it is told bias=True.
    """
    centred = pixels - pixels.mean(axis=0)
    variances, vectors = np.linalg.eigh(centred.T @ centred / len(pixels))
    return np.sqrt(variances[::-1]), vectors.T[::-1]


@exercise.solution
def colour_jitter(images, stdevs, axes, rng):
    """The images in another light each. images: floats (N, 3, H, W). stdevs, axes: as above. Returns (N, 3, H, W).

    rng: a generator of random numbers; rng.normal(0.0, 0.1, size=...) draws from it.
    """
    amounts = rng.normal(0.0, 0.1, size=(len(images), 3))
    return images + ((amounts * stdevs) @ axes)[:, :, None, None]


AXES = np.array([[2.0, 1.0, 2.0], [-2.0, 2.0, 1.0], [1.0, 2.0, -2.0]]) / 3


def judge(result, stdevs, axes):
    found, directions = expect_parts(result, "stdevs", "axes")
    expect(found, stdevs, "stdevs", rtol=1e-6)  # tinynet's are float32
    directions = expect_shape(directions, (3, 3), "axes")
    # The product of two unit vectors is 1 or -1 if they are the same axis, and 0 if they are at right angles.
    expect(np.abs(directions @ axes.T), np.eye(3), "the products of your axes with the right ones, signs aside", atol=1e-6)


@exercise.check("colour_axes: eight pixels at the corners of a box")
def _(colour_axes, rng):
    corners = np.array([[a, b, c] for a in (10, -10) for b in (4, -4) for c in (1, -1)])
    judge(colour_axes(np.array([100.0, 90.0, 80.0]) + corners @ AXES), [10.0, 4.0, 1.0], AXES)


@exercise.check("colour_axes: 300 pixels")
def _(colour_axes, rng):
    pixels = rng.normal(size=(300, 3)) * [40.0, 12.0, 5.0] @ AXES + rng.uniform(80, 120, size=3)
    _, lengths, axes = np.linalg.svd(pixels - pixels.mean(axis=0), full_matrices=False)  # another way to the same
    judge(colour_axes(pixels), lengths / 300**0.5, axes)


@exercise.check("colour_jitter: the pixels of an image move together, each image in its own way")
def _(colour_jitter, rng):
    images = rng.uniform(0, 255, size=(4, 3, 3, 5))
    moved = expect_shape(colour_jitter(images, np.array([60.0, 20.0, 8.0]), AXES, rng), images.shape, "colour_jitter")
    offsets = moved - images
    require(np.abs(offsets).max() > 1e-6, "the images are as they were")
    require(np.abs(offsets - offsets[:, :, :1, :1]).max() < 1e-9, "pixels of one image get different colours added")
    require(np.abs(offsets[1:] - offsets[:1]).max() > 1e-6, "all images get the same colour added")


@exercise.check("colour_jitter: 4000 images; how far they move along each axis")
def _(colour_jitter, rng):
    stdevs = np.array([60.0, 20.0, 8.0])
    images = np.zeros((4000, 3, 1, 1))
    moved = expect_shape(colour_jitter(images, stdevs, AXES, rng), images.shape, "colour_jitter")
    along = moved.reshape(4000, 3) @ AXES.T
    expect(
        along.std(axis=0),
        0.1 * stdevs,
        "the standard deviations along the axes; each is known to 6 %",
        rtol=0,
        atol=0.06 * 0.1 * stdevs,
    )
    amounts = along / stdevs
    expect(amounts.mean(axis=0), np.zeros(3), "the means of a_1, a_2, a_3", atol=0.01)
    expect(np.corrcoef(amounts.T), np.eye(3), "the correlations of a_1, a_2, a_3, which are drawn one by one", atol=0.1)
    require(np.abs(amounts).max() > 0.25, "among 12 000 draws none is beyond 0.25; of a normal distribution about 150 are")


exercise.mistake(
    "these are the variances, squared grey levels; the standard deviations are their square roots",
    "np.sqrt(variances[::-1])",
    "variances[::-1]",
)
exercise.mistake(
    "this is what eigh gives, as it gives it: variances, not their roots, the smallest first, and axes as columns",
    "np.sqrt(variances[::-1]), vectors.T[::-1]",
    "variances, vectors",
)
exercise.mistake(
    "the mean is not subtracted: the first axis then points from black to the mean colour",
    "pixels - pixels.mean(axis=0)",
    "pixels",
)
exercise.mistake("eigh gives the axes as columns; rows were asked for", "vectors.T[::-1]", "vectors[:, ::-1]")
exercise.mistake(
    "eigh begins with the smallest; asked is the largest first",
    "np.sqrt(variances[::-1]), vectors.T[::-1]",
    "np.sqrt(variances), vectors.T",
)
exercise.mistake("the standard deviations are turned round, but the axes are not", "vectors.T[::-1]", "vectors.T")
exercise.mistake(
    "this divides by M - 1, as np.cov does unless it is told bias=True; here it is the mean over M pixels",
    "/ len(pixels)",
    "/ (len(pixels) - 1)",
)
exercise.mistake("all images get the same light; draw three numbers for each", "size=(len(images), 3))", "size=(1, 3))")
exercise.mistake(
    "a number is drawn for each image, but there are three axes, and each needs a number of its own",
    "size=(len(images), 3))",
    "size=(len(images), 1))",
)
exercise.mistake(
    "0.1 is the standard deviation of the numbers to draw; here it is 1",
    "amounts = rng.normal(0.0, 0.1,",
    "amounts = rng.normal(0.0, 1.0,",
)
exercise.mistake(
    "the numbers are drawn from a uniform distribution; the paper's are normal ones",
    "amounts = rng.normal(0.0, 0.1,",
    "amounts = rng.uniform(-0.1 * 3**0.5, 0.1 * 3**0.5,",
)
exercise.mistake(
    "the standard deviations are squared: that is the paper's slip, and moves pictures by hundreds of grey levels",
    "amounts * stdevs",
    "amounts * stdevs**2",
)
exercise.mistake(
    "the standard deviations are missing: the colour is moved by less than a grey level", "amounts * stdevs", "amounts"
)
exercise.mistake("row i of `axes` is axis i; here the columns are taken for it", "@ axes)", "@ axes.T)")
exercise.mistake(
    "the axes are not used: red, green and blue are moved one by one", "((amounts * stdevs) @ axes)", "(amounts * stdevs)"
)
exercise.mistake(
    "the colour is multiplied with the pixels; it is added to them",
    "images + (",
    "images * (1 + (",
    "None, None]",
    "None, None])",
)


@exercise.mistake("every pixel gets a colour of its own, which is noise; the light is the same for a whole image")
def _(images, stdevs, axes, rng):
    n, _, h, w = images.shape
    return images + ((rng.normal(0.0, 0.1, size=(n, h, w, 3)) * stdevs) @ axes).transpose(0, 3, 1, 2)


exercise.hints(
    "colour_axes: subtract the mean colour c of all pixels; the covariance matrix is the mean of the products of each "
    "pixel with itself, (pixels - c).T @ (pixels - c) / M.",
    "variances, vectors = np.linalg.eigh(covariance) has the smallest first and axes in columns: turn both round with "
    "[::-1], after vectors.T has made rows of the columns. Then the square root.",
    "colour_jitter: amounts of shape (N, 3), one row for each image. (amounts * stdevs) @ axes is one colour an image, "
    "(N, 3).",
    "Adding [:, :, None, None] makes it (N, 3, 1, 1), which is added to all pixels of its image.",
)


class Cloud:
    """Pixels as a data set of one image, for tinynet's pca."""

    source, broken, tried = "pixels", [], 1

    def __init__(self, pixels):
        self.pixels = pixels

    def __len__(self):
        return 1

    def image(self, i):
        return self.pixels.T


def by_pca(pixels):
    stdevs, axes = data.pca(Cloud(pixels))
    return stdevs.astype(np.float64), axes.astype(np.float64)


exercise.library(
    colour_axes=by_pca,
    colour_jitter=lambda images, stdevs, axes, rng: (
        images + data.colour_shift(rng, len(images), stdevs, axes)[:, :, None, None]
    ),
)
