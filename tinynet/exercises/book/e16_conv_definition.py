"""A convolution by its definition.

One matrix product (e15) is fast, but is it right? For that you need something slow that nobody can doubt: the definition.

    y[n, f, i, j] = b[f] + sum over c, u, v of w[f, c, u, v] x[n, c, i s + u - top, j s + v - left]

This is for image n, kernel f and the window of output (i, j); with a stride of s it starts at row i s - top and column
j s - left. Where an index points outside of the image, x counts as 0. Each side has a padding of its own here, because
AlexNet needs that: its 224 pixels get 3 zeros below and 3 on the right, none above and none on the left (e14). The zeros
below and on the right are not in the formula; they only decide how many windows there are.

Seven loops around one multiplication are a right answer, and fast enough for the checks, though not for `try`. AlexNet's
first layer needs 105 million multiplications an image; so let NumPy do some of the loops at once. Two can stay: over the
places of the window, 55 x 55, or over the elements of the kernel, 11 x 11. Which?
"""

import numpy as np

from tinynet.exercises.checks import expect
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.ops.convolution import conv2d
from tinynet.ops.shaping import pad
from tinynet.tensor import tensor

exercise = Exercise(
    chapter=5, minutes=25, difficulty=3, after=["e14_output_size", "e15_im2col"], compare="tinynet/kernels/reference.py"
)


@exercise.solution
def conv_forward(x, weight, bias, stride, padding):
    """The convolution of a batch.

    x: (N, C, H, W). weight: (F, C, KH, KW). bias: (F,). stride: an integer, the same for rows and columns.
    padding: (top, bottom, left, right), how many rows or columns of zeros on each side. Returns (N, F, OH, OW).
    """
    top, bottom, left, right = padding
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    kh, kw = weight.shape[2:]
    oh, ow = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((len(x), len(weight), oh, ow)) + bias[:, None, None]
    for u in range(kh):
        for v in range(kw):
            pixels = x[:, :, u : u + oh * stride : stride, v : v + ow * stride : stride]
            y += np.einsum("fc,ncij->nfij", weight[:, :, u, v], pixels)
    return y


def oracle(x, weight, bias, stride, padding):
    """The definition, all windows at once."""
    x = np.pad(x, ((0, 0), (0, 0), padding[:2], padding[2:]))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2) + bias[:, None, None]


def judge(conv_forward, rng, x, weight, stride, padding):
    x, weight, bias = rng.normal(size=x), rng.normal(size=weight), rng.normal(size=weight[:1])
    expect(conv_forward(x, weight, bias, stride, padding), oracle(x, weight, bias, stride, padding), "y")


@exercise.check("one row of four pixels by hand")
def _(conv_forward, rng):
    x, weight = np.array([[[[1.0, 2.0, 3.0, 4.0]]]]), np.array([[[[10.0, 1.0]]]])
    y = conv_forward(x, weight, np.array([0.5]), 1, (0, 0, 0, 0))
    expect(y, [[[[12.5, 23.5, 34.5]]]], "y for x = [1 2 3 4], w = [10 1], b = 0.5")


@exercise.check("no padding, stride 1, 4x6 images, 3x2 kernels")
def _(conv_forward, rng):
    judge(conv_forward, rng, (2, 3, 4, 6), (4, 3, 3, 2), 1, (0, 0, 0, 0))


@exercise.check("stride 2, which leaves a rest, and 2 rows of zeros above")
def _(conv_forward, rng):
    judge(conv_forward, rng, (2, 3, 5, 8), (4, 3, 2, 3), 2, (2, 0, 0, 0))


@exercise.check("another number of zeros on each side")
def _(conv_forward, rng):
    judge(conv_forward, rng, (2, 3, 4, 5), (4, 3, 3, 2), 1, (1, 0, 2, 3))


@exercise.check("AlexNet's first layer in small: 11x11 kernels, stride 4, zeros below and on the right")
def _(conv_forward, rng):
    judge(conv_forward, rng, (1, 1, 16, 20), (2, 1, 11, 11), 4, (0, 3, 0, 3))


exercise.mistake(
    "the stride is forgotten where x is read: the window of output i starts at row i * stride",
    "x[:, :, u : u + oh * stride : stride, v : v + ow * stride : stride]",
    "x[:, :, u : u + oh, v : v + ow]",
)
exercise.mistake(
    "the kernel is flipped: what networks call a convolution does not turn it by 180 degrees",
    "weight[:, :, u, v]",
    "weight[:, :, kh - 1 - u, kw - 1 - v]",
)
exercise.mistake(
    "outside of the image x is 0; a negative index reads Python's arrays from their end instead",
    "    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))\n",
    '    x = np.pad(x, ((0, 0), (0, 0), (top, 0), (left, 0)), mode="wrap")\n'
    "    x = np.pad(x, ((0, 0), (0, 0), (0, bottom), (0, right)))\n",
)
exercise.mistake(
    "rows and columns are swapped in the padding: top and bottom are zeros of the rows, axis 2",
    "(top, bottom), (left, right)))",
    "(left, right), (top, bottom)))",
)
exercise.mistake(
    "the zeros are on the wrong ends: the image starts after `top` rows and `left` columns of them",
    "(top, bottom), (left, right)))",
    "(bottom, top), (right, left)))",
)
exercise.mistake(
    "the order of the paddings is top, bottom, left, right; this reads them as top, left, bottom, right",
    "top, bottom, left, right = padding",
    "top, left, bottom, right = padding",
)
exercise.mistake(
    "the order of the paddings is top, bottom, left, right; this reads them clockwise: top, right, bottom, left",
    "top, bottom, left, right = padding",
    "top, right, bottom, left = padding",
)
exercise.mistake(
    "the order of the paddings is top, bottom, left, right; this reads them as left, top, right, bottom",
    "top, bottom, left, right = padding",
    "left, top, right, bottom = padding",
)
exercise.mistake(
    "each side has a padding of its own; this gives the bottom that of the top, and the right that of the left",
    "top, bottom, left, right = padding",
    "top, _, left, _ = padding\n    bottom, right = top, left",
)
exercise.mistake("the padding is forgotten", "((0, 0), (0, 0), (top, bottom), (left, right))", "0")
exercise.mistake(
    "the first window is not counted: it needs no step, so there is one more window than steps",
    "(x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1",
    "(x.shape[2] - kh) // stride, (x.shape[3] - kw) // stride",
)
exercise.mistake("the bias is forgotten", " + bias[:, None, None]", "")
exercise.mistake(
    "the bias is added for every element of the kernel; it belongs to the output and is added once",
    " + bias[:, None, None]",
    "",
    "weight[:, :, u, v], pixels)",
    "weight[:, :, u, v], pixels) + bias[:, None, None]",
)
exercise.mistake(
    "`=` where `+=` is needed: only the last element of the kernel is left; the output is a sum over all",
    "y += np",
    "y[...] = np",
)

exercise.hints(
    "Seven loops: n, f, i, j for the output, and c, u, v for the sum. Write them all first; the line in the middle is "
    "the formula. Let np.pad make the zeros, and no index leaves the image.",
    "With a padded x, the pixel is x[n, c, i * stride + u, j * stride + v]. The number of windows is e14's, for the "
    "padded size.",
    "The loops over u and v are the shortest. For one (u, v), the pixels of all windows are the grid x[:, :, u : u + oh "
    "* stride : stride, v : v + ow * stride : stride], which is (N, C, OH, OW).",
    'y starts as the bias everywhere; y += np.einsum("fc,ncij->nfij", weight[:, :, u, v], grid) does images, kernels, '
    "channels and windows at once.",
)


def by_the_library(x, weight, bias, stride, padding):
    x = pad(tensor(x), ((0, 0), (0, 0), padding[:2], padding[2:]))
    return conv2d(x, tensor(weight), tensor(bias), stride).numpy()


exercise.library(conv_forward=by_the_library)


@exercise.takes_the_place
def _(conv_forward):
    def conv(x, weight, bias, stride, padding, dilation, groups):
        # AlexNet has the same stride for rows and columns, no dilation, and a tower for each group.
        bias = np.zeros(len(weight), x.dtype) if bias is None else bias
        return conv_forward(x, weight, bias, stride[0], (padding[0], padding[0], padding[1], padding[1]))

    return [(cpu, "conv2d", conv)]
