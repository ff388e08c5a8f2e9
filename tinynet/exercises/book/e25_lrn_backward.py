"""The gradient of local response normalisation.

Section 3.3 of the paper divides every activity by those of its neighbours, the maps i - 2 to i + 2 around map i:

    y_i = x_i / d_i^beta        d_i = k + alpha * (sum of x_j^2 over the window of i)

The window of i holds n maps, from i - n//2 to i + n//2 for an odd n, as far as they exist. x_i appears in y_i itself, and in
the d_j of every window j that holds i. So its gradient has a direct term and a sum over neighbours:

    dx_i = dy_i d_i^-beta - (something) x_i * sum over j of dy_j x_j d_j^-(beta + 1)

Find the something. Keep in mind that the paper's alpha, 0.0001, makes the second term so small that a wrong one is never
noticed while training; the checks use an alpha that makes it count.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.ops.normalization import local_response_norm

exercise = Exercise(chapter=8, minutes=30, difficulty=4, compare="tinynet/ops/normalization.py")


@exercise.given
def window_sum(a, n):
    """The sum over the window of every map: out[:, i] = a[:, i - n//2] + ... + a[:, i + n//2], as far as they exist."""
    out, c = np.zeros_like(a), a.shape[1]
    for shift in range(-(n // 2), n // 2 + 1):
        low, high = max(0, -shift), min(c, c - shift)
        if low < high:
            out[:, low:high] += a[:, low + shift : high + shift]
    return out


@exercise.solution
def lrn_backward(dy, x, n, alpha, beta, k):
    """The gradient with respect to x. dy, x: (N, C, H, W). n: maps in a window, odd. Returns (N, C, H, W)."""
    d = k + alpha * window_sum(x**2, n)
    return dy * d**-beta - 2 * alpha * beta * x * window_sum(dy * x * d ** -(beta + 1), n)


def forward(x, n, alpha, beta, k):
    """The formula, map by map."""
    y = np.empty_like(x)
    for i in range(x.shape[1]):
        window = x[:, max(0, i - n // 2) : i + n // 2 + 1]
        y[:, i] = x[:, i] / (k + alpha * (window**2).sum(axis=1)) ** beta
    return y


def judge(lrn_backward, rng, shape, *constants):
    gradients(
        lambda x: forward(x, *constants), [rng.normal(size=shape)], lambda dy, x: lrn_backward(dy, x, *constants), rng, ["x"]
    )


@exercise.check("one map by itself")
def _(lrn_backward, rng):
    # y = x / (1 + x^2), so that dy/dx = (1 - x^2) / (1 + x^2)^2
    dx = lrn_backward(np.full((1, 1, 1, 1), 10.0), np.full((1, 1, 1, 1), 2.0), 1, 1.0, 1.0, 1.0)
    expect(dx, np.full((1, 1, 1, 1), -1.2), "dx for x = 2, dy = 10, n = 1 and all constants 1")


@exercise.check("seven maps, windows of three, alpha 0.5")
def _(lrn_backward, rng):
    judge(lrn_backward, rng, (2, 7, 2, 3), 3, 0.5, 0.75, 1.3)


@exercise.check("windows of five, wider than what there is at the edge")
def _(lrn_backward, rng):
    judge(lrn_backward, rng, (2, 4, 1, 3), 5, 0.3, 0.6, 2.0)


exercise.mistake("the factor 2 is missing: the derivative of x^2 is 2 x", "2 * alpha * beta", "alpha * beta")
exercise.mistake("beta is missing: the derivative of d^-beta is -beta d^-(beta + 1)", "2 * alpha * beta", "2 * alpha")
exercise.mistake("alpha is missing: d grows by alpha times the change of the sum", "2 * alpha * beta", "2 * beta")
exercise.mistake(
    "only the direct term: x_i also damps its neighbours, through every d_j whose window holds it",
    " - 2 * alpha * beta * x * window_sum(dy * x * d ** -(beta + 1), n)",
    "",
)
exercise.mistake(
    "the exponent in the sum is -beta; deriving d^-beta takes one more off: -(beta + 1)", "-(beta + 1)", "-beta"
)
exercise.mistake(
    "each map is damped by itself only: the second term is a sum over the window",
    "window_sum(dy * x * d ** -(beta + 1), n)",
    "(dy * x * d ** -(beta + 1))",
)
exercise.mistake(
    "x_i belongs in front of the sum, and x_j into it: both have been put into the sum",
    "* x * window_sum(dy * x *",
    "* window_sum(dy * x * x *",
)
exercise.mistake("the two terms are added; the second has a minus", "d**-beta - 2", "d**-beta + 2")
exercise.mistake("k is missing: d is k plus the weighted sum", "d = k + alpha", "d = alpha")
exercise.mistake(
    "alpha is divided by n, as PyTorch and Caffe do; the paper's alpha multiplies the sum itself",
    "d = k + alpha",
    "alpha = alpha / n\n    d = k + alpha",
)
exercise.mistake(
    "the exponent in the sum is 1 - beta; deriving d^-beta takes one more off: -(beta + 1)", "-(beta + 1)", "-(beta - 1)"
)
exercise.mistake("the first term is divided by d without its power beta", "dy * d**-beta", "dy / d")
exercise.mistake(
    "dy_i stands in front of the sum; every neighbour brings its own gradient, so dy belongs into the sum",
    "x * window_sum(dy * x *",
    "x * dy * window_sum(x *",
)

exercise.hints(
    "Write y_j = x_j d_j^-beta and differentiate with respect to x_i. For j = i there are two parts, for the "
    "neighbours one.",
    "d d_j / d x_i is 2 alpha x_i when the window of j holds i. With odd n, the windows that hold i are those "
    "of the maps in the "
    "window of i: so window_sum serves the sum over j, too.",
    "dx = dy d^-beta - 2 alpha beta x window_sum(dy x d^-(beta + 1)).",
)

exercise.library(
    lrn_backward=lambda dy, x, n, alpha, beta, k: by_the_tape(lambda x: local_response_norm(x, n, alpha, beta, k), dy, x)[0],
)


@exercise.takes_the_place
def _(lrn_backward):
    def backward(g, x, d, size, alpha, beta):
        k = float(np.median(d - alpha * window_sum(x * x, size)))  # the kernel is given d instead of k
        return lrn_backward(g, x, size, alpha, beta, k)

    return [(cpu, "local_response_norm_backward", backward)]
