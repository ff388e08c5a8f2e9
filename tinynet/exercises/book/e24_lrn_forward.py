"""Local response normalisation.

After the first two layers of AlexNet every activity is divided by what goes on around it: not around it in the image, but
at the same place in the neighbouring maps (section 3.3 of the paper). A kernel that answers strongly damps its neighbours,
as nerve cells do, and so the kernels compete. With x_i for map i:

    y_i = x_i / d_i^beta        d_i = k + alpha * (sum of x_j^2 over the window of i)

The window of i holds n maps, n being odd: those from i - n//2 to i + n//2, itself included, as far as they exist. The
paper's constants are n = 5, k = 2, alpha = 0.0001, beta = 0.75. This alpha hides mistakes: only activities of about a
hundred and more make the sum count beside k. So the checks use a larger one.
"""

import numpy as np

from tinynet.exercises.checks import expect
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu, reference
from tinynet.ops.normalization import local_response_norm
from tinynet.tensor import tensor

exercise = Exercise(chapter=8, minutes=15, difficulty=2, compare="tinynet/kernels/reference.py")


@exercise.solution
def lrn(x, n, alpha, beta, k):
    """The normalised maps. x: (N, C, H, W). n: maps in a window, odd. alpha, beta, k: numbers. Returns (N, C, H, W)."""
    y = np.empty_like(x)
    for i in range(x.shape[1]):
        window = x[:, max(0, i - n // 2) : i + n // 2 + 1]
        y[:, i] = x[:, i] / (k + alpha * (window**2).sum(axis=1)) ** beta
    return y


def judge(lrn, x, *constants):
    expect(lrn(x, *constants), reference.local_response_norm(x, *constants)[0], "y")


@exercise.check("four maps of one pixel by hand")
def _(lrn, rng):
    x = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1)
    y = lrn(x, 3, 1.0, 1.0, 1.0)
    expect(y, np.array([1 / 6, 2 / 15, 3 / 30, 4 / 26]).reshape(1, 4, 1, 1), "y for maps 1 2 3 4, n = 3 and all constants 1")


@exercise.check("seven maps, windows of three, alpha 0.5")
def _(lrn, rng):
    judge(lrn, rng.normal(size=(2, 7, 2, 3)), 3, 0.5, 0.75, 1.3)


@exercise.check("windows of seven, wider than the four maps that exist")
def _(lrn, rng):
    judge(lrn, rng.normal(size=(2, 4, 1, 3)), 7, 0.3, 0.6, 2.0)


@exercise.check("the paper's constants, activities of some hundreds")
def _(lrn, rng):
    judge(lrn, 300 * rng.normal(size=(1, 9, 2, 2)), 5, 1e-4, 0.75, 2.0)


exercise.mistake(
    "the sum is divided by n, as PyTorch and Caffe do; the paper's alpha multiplies the sum itself",
    "(window**2).sum(axis=1)",
    "(window**2).sum(axis=1) / n",
)
exercise.mistake(
    "this is the mean over the window, which is another number at the edges, too; the paper has the sum",
    "(window**2).sum(axis=1)",
    "(window**2).mean(axis=1)",
)
exercise.mistake(
    "below map 0 the window has to stop; a negative start of a slice counts from the end, and the window is lost",
    "max(0, i - n // 2)",
    "i - n // 2",
)
exercise.mistake(
    "the window lacks its last map: a slice ends before its second number, so add 1", "i + n // 2 + 1]", "i + n // 2]"
)
exercise.mistake(
    "the maps are not a ring: what the window lacks at one end is not taken from the other",
    "x[:, max(0, i - n // 2) : i + n // 2 + 1]",
    'x.take(range(i - n // 2, i + n // 2 + 1), axis=1, mode="wrap")',
)
exercise.mistake(
    "the window is moved back at the edges until it is full; it stays around its map and holds fewer maps there",
    "x[:, max(0, i - n // 2) : i + n // 2 + 1]",
    "x[:, max(0, min(i - n // 2, x.shape[1] - n)) :][:, :n]",
)
exercise.mistake(
    "the activities are added and then squared; square each first, or they cancel",
    "(window**2).sum(axis=1)",
    "window.sum(axis=1) ** 2",
)
exercise.mistake("the squares are missing in the sum", "(window**2).sum(axis=1)", "window.sum(axis=1)")
exercise.mistake(
    "the map itself is missing in its window", "(window**2).sum(axis=1)", "((window**2).sum(axis=1) - x[:, i] ** 2)"
)
exercise.mistake("k is missing: d is k plus the weighted sum", "(k + alpha *", "(alpha *")
exercise.mistake(
    "the window is always five maps wide, as the paper's; n says how wide it is",
    "x[:, max(0, i - n // 2) : i + n // 2 + 1]",
    "x[:, max(0, i - 2) : i + 3]",
)
exercise.mistake("x is multiplied by the power of d; it is divided by it", "x[:, i] / (k", "x[:, i] * (k")
exercise.mistake("beta is missing: d is raised to the power beta", ")) ** beta", "))")
exercise.mistake(
    "k is added after the power; it is a part of d, which is raised to the power beta as a whole",
    "(k + alpha * (window**2).sum(axis=1)) ** beta",
    "(k + (alpha * (window**2).sum(axis=1)) ** beta)",
)


@exercise.mistake("this sums over neighbouring pixels of a map; the window runs over neighbouring maps, at the same pixel")
def _(x, n, alpha, beta, k):
    squares = np.pad(x**2, ((0, 0), (0, 0), (n // 2, n // 2), (n // 2, n // 2)))
    sums = np.lib.stride_tricks.sliding_window_view(squares, (n, n), axis=(2, 3)).sum(axis=(4, 5))
    return x / (k + alpha * sums) ** beta


exercise.hints(
    "Go through the maps in a loop. Maps are axis 1 of x; x[:, a:b] is a window of them, for all images and places at once.",
    "The window is x[:, max(0, i - n // 2) : i + n // 2 + 1]. At the upper end a slice stops by itself where the maps end.",
    "Square it, sum over axis 1: that is (N, H, W), as x[:, i] is.",
)

exercise.library(lrn=lambda x, n, alpha, beta, k: local_response_norm(tensor(x), n, alpha, beta, k).numpy())


@exercise.takes_the_place
def _(lrn):
    def forward(x, size, alpha, beta, k):
        return lrn(x, size, alpha, beta, k), original(x, size, alpha, beta, k)[1]  # d, for the gradient

    original = cpu.local_response_norm
    return [(cpu, "local_response_norm", forward)]
