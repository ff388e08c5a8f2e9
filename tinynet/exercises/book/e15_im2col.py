"""Convolution as one matrix product.

A convolution multiplies every window of the image with the same kernels. Write every window as a column, and the whole layer
is one product of two matrices, which is what machines are best at:

    columns   (C KH KW, OH OW)   one window a column, its pixels in the order channel, row, column
    kernels   (F, C KH KW)       one kernel a row, in the same order
    y         (F, OH OW)         kernels @ columns + bias

With stride s and padding p there are OH = (H + 2 p - KH) // s + 1 windows one below the other, and OW side by side.
"""

import numpy as np

from tinynet.exercises.checks import expect
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu, reference, textbook
from tinynet.ops.convolution import conv2d
from tinynet.tensor import tensor

exercise = Exercise(chapter=5, minutes=35, difficulty=3, compare="tinynet/kernels/textbook.py")


@exercise.solution
def im2col(x, kernel, stride, padding):
    """The windows of one image as columns.

    x: (C, H, W). kernel: (KH, KW). stride, padding: integers, the same for rows and columns.
    Returns (C * KH * KW, OH * OW); windows in reading order.
    """
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    (c, h, w), (kh, kw) = x.shape, kernel
    oh, ow = (h - kh) // stride + 1, (w - kw) // stride + 1
    columns = np.empty((c, kh, kw, oh, ow), x.dtype)
    for u in range(kh):
        for v in range(kw):
            columns[:, u, v] = x[:, u : u + oh * stride : stride, v : v + ow * stride : stride]
    return columns.reshape(c * kh * kw, oh * ow)


@exercise.solution
def conv_forward(x, weight, bias, stride, padding):
    """The convolution of a batch: x (N, C, H, W), weight (F, C, KH, KW), bias (F,). Returns (N, F, OH, OW)."""
    f, _, kh, kw = weight.shape
    oh = (x.shape[2] + 2 * padding - kh) // stride + 1
    kernels = weight.reshape(f, -1)
    y = [kernels @ im2col(image, (kh, kw), stride, padding) + bias[:, None] for image in x]
    return np.stack(y).reshape(len(x), f, oh, -1)


@exercise.check("a 3x4 image, 2x2 windows, stride 1")
def _(im2col, rng):
    x = np.arange(12.0).reshape(1, 3, 4)
    windows = [[0, 1, 2, 4, 5, 6], [1, 2, 3, 5, 6, 7], [4, 5, 6, 8, 9, 10], [5, 6, 7, 9, 10, 11]]
    expect(im2col(x, (2, 2), 1, 0), np.array(windows, float), "columns of arange(12) as 3x4")


@exercise.check("four channels, 3x5 windows, stride 2, padding 1")
def _(im2col, rng):
    x = rng.normal(size=(4, 6, 9))
    expect(im2col(x, (3, 5), 2, 1), windows_of(x, (3, 5), 2, 1), "columns of x (4, 6, 9)")


@exercise.check("windows that leave a rest, and padding 2")
def _(im2col, rng):
    x = rng.normal(size=(2, 6, 9))
    expect(im2col(x, (2, 4), 3, 2), windows_of(x, (2, 4), 3, 2), "columns of x (2, 6, 9), kernel 2x4, stride 3")


@exercise.check("convolution, stride 2, padding 2, 7x10 images")
def _(conv_forward, rng):
    x, weight, bias = rng.normal(size=(2, 3, 7, 10)), rng.normal(size=(5, 3, 4, 2)), rng.normal(size=5)
    y = reference.conv2d(x, weight, bias, (2, 2), (2, 2), (1, 1), 1)
    expect(conv_forward(x, weight, bias, 2, 2), y, "y")


def windows_of(x, kernel, stride, padding):
    """The definition: each window cut out and laid flat."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    rows = range(0, x.shape[1] - kernel[0] + 1, stride)
    cols = range(0, x.shape[2] - kernel[1] + 1, stride)
    return np.array([x[:, i : i + kernel[0], j : j + kernel[1]].ravel() for i in rows for j in cols]).T


exercise.mistake(
    "the stride is forgotten: the windows move by one pixel",
    "x[:, u : u + oh * stride : stride, v : v + ow * stride : stride]",
    "x[:, u : u + oh, v : v + ow]",
)
exercise.mistake(
    "the first window is not counted: it needs no step, so there is one more window than steps",
    "(h - kh) // stride + 1, (w - kw) // stride + 1",
    "(h - kh) // stride, (w - kw) // stride",
)
exercise.mistake(
    "this is transposed: a window is a column, so the windows are side by side",
    "return columns.reshape(c * kh * kw, oh * ow)",
    "return columns.reshape(c * kh * kw, oh * ow).T",
)
exercise.mistake(
    "the columns are integers, which cuts everything after the point off: make them of the dtype of x",
    "(c, kh, kw, oh, ow), x.dtype)",
    "(c, kh, kw, oh, ow), int)",
)
exercise.mistake(
    "np.pad(x, padding) puts zeros around the channels as well; only rows and columns get them",
    "((0, 0), (padding, padding), (padding, padding))",
    "padding",
)
exercise.mistake(
    "the padding is above and on the left only; the same number of zeros is below and on the right",
    "((0, 0), (padding, padding), (padding, padding))",
    "((0, 0), (padding, 0), (padding, 0))",
)
exercise.mistake(
    "the padding is below and on the right only; the same number of zeros is above and on the left",
    "((0, 0), (padding, padding), (padding, padding))",
    "((0, 0), (0, padding), (0, padding))",
)
exercise.mistake("the padding is forgotten", "((0, 0), (padding, padding), (padding, padding))", "0")
exercise.mistake(
    "kernel is (KH, KW), rows first; here they are exchanged", "(kh, kw) = x.shape, kernel", "(kw, kh) = x.shape, kernel"
)
exercise.mistake(
    "a column holds a window's pixels in the order row, column, channel; the kernels' order is channel, row, column",
    "    return columns.reshape(",
    "    return columns.transpose(1, 2, 0, 3, 4).reshape(",
)
exercise.mistake(
    "windows are numbered down the columns first; reading order goes along a row first",
    "    return columns.reshape(",
    "    return columns.transpose(0, 1, 2, 4, 3).reshape(",
)
exercise.mistake(
    "the kernel is flipped: what networks call a convolution does not turn it by 180 degrees",
    "columns[:, u, v] =",
    "columns[:, kh - 1 - u, kw - 1 - v] =",
)
exercise.mistake(
    "all of the padding is above and on the left; half of it is below and on the right",
    "((0, 0), (padding, padding), (padding, padding))",
    "((0, 0), (2 * padding, 0), (2 * padding, 0))",
)
exercise.mistake("the bias is forgotten", " + bias[:, None]", "")

exercise.hints(
    "im2col: pad first. Then instead of going through the windows, go through the elements of one window: element (u, v) of "
    "all windows is a regular grid of pixels of the image.",
    "That grid is x[:, u : u + oh * stride : stride, v : v + ow * stride : stride]. Collect the grids in an array "
    "(C, KH, KW, OH, OW) and reshape it at the end.",
    "conv_forward: weight.reshape(F, -1) @ im2col(image, ...) + bias[:, None] is (F, OH * OW) for one image; "
    "stack the images "
    "and reshape.",
)


exercise.library(
    im2col=lambda x, kernel, stride, padding: textbook.im2col(x[None], kernel, (stride,) * 2, (padding,) * 2, (1, 1))[0],
    conv_forward=lambda x, weight, bias, stride, padding: conv2d(
        tensor(x), tensor(weight), tensor(bias), stride, padding
    ).numpy(),
)


@exercise.takes_the_place
def _(im2col, conv_forward):
    def conv(x, weight, bias, stride, padding, dilation, groups):
        # AlexNet has the same stride and padding for rows and columns, no dilation, and a tower for each group.
        bias = np.zeros(len(weight), x.dtype) if bias is None else bias
        return conv_forward(x, weight, bias, stride[0], padding[0])

    return [(cpu, "conv2d", conv)]
