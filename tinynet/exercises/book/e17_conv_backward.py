"""The gradients of a convolution.

Every output of a convolution is a sum of products w x, plus a bias:

    y[n, f, i, j] = b[f] + sum over c, u, v of w[f, c, u, v] x[n, c, i s + u - p, j s + v - p]

So every product sends dy[n, f, i, j] w back to its pixel and dy[n, f, i, j] x back to its weight. Where windows overlap a
pixel gets several of these, and they add up. That is all; the rest is about indices. Go through the elements (u, v) of the
kernel in two loops, and let NumPy do all images, windows and channels at once.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, expect_parts, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.ops.convolution import conv2d

exercise = Exercise(chapter=5, minutes=45, difficulty=5, after=["e15_im2col"], compare="tinynet/kernels/textbook.py")


@exercise.solution
def conv_backward(dy, x, weight, stride, padding):
    """The gradients with respect to x, weight and bias, in this order.

    dy: (N, F, OH, OW). x: (N, C, H, W). weight: (F, C, KH, KW). stride, padding: integers, the same for rows and columns.
    Returns dx (N, C, H, W), dw (F, C, KH, KW), db (F,).
    """
    p, (h, w), (oh, ow), (kh, kw) = padding, x.shape[2:], dy.shape[2:], weight.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dx, dw = np.zeros_like(padded), np.zeros_like(weight)
    for u in range(kh):
        for v in range(kw):
            rows, cols = slice(u, u + oh * stride, stride), slice(v, v + ow * stride, stride)
            dx[:, :, rows, cols] += np.einsum("nfij,fc->ncij", dy, weight[:, :, u, v])
            dw[:, :, u, v] = np.einsum("nfij,ncij->fc", dy, padded[:, :, rows, cols])
    return dx[:, :, p : p + h, p : p + w], dw, dy.sum(axis=(0, 2, 3))


def forward(x, weight, bias, stride, padding):
    """The definition, all windows at once."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2) + bias[:, None, None]


def judge(conv_backward, rng, x, weight, stride, padding):
    arrays = [rng.normal(size=x), rng.normal(size=weight), rng.normal(size=weight[:1])]

    def vjp(dy, x, weight, bias):
        return conv_backward(dy, x, weight, stride, padding)

    gradients(lambda *a: forward(*a, stride, padding), arrays, vjp, rng, ["x", "weight", "bias"])


@exercise.check("one window by hand")
def _(conv_backward, rng):
    x, weight = np.array([[[[1.0, 2.0]]]]), np.array([[[[3.0, 4.0]]]])
    dx, dw, db = expect_parts(conv_backward(np.full((1, 1, 1, 1), 10.0), x, weight, 1, 0), "dx", "dw", "db")
    expect(dx, [[[[30.0, 40.0]]]], "dx for w = [3 4] and dy = 10")
    expect(dw, [[[[10.0, 20.0]]]], "dw for x = [1 2] and dy = 10")
    expect(db, [10.0], "db for dy = 10")


@exercise.check("stride 1, padding 1, 3x5 images, 3x2 kernels")
def _(conv_backward, rng):
    judge(conv_backward, rng, (3, 2, 3, 5), (4, 2, 3, 2), 1, 1)


@exercise.check("stride 2, padding 1, 4x7 images, 3x2 kernels")
def _(conv_backward, rng):
    judge(conv_backward, rng, (3, 2, 4, 7), (4, 2, 3, 2), 2, 1)


@exercise.check("stride 3, which leaves a rest, no padding")
def _(conv_backward, rng):
    judge(conv_backward, rng, (3, 2, 3, 8), (4, 2, 2, 4), 3, 0)


exercise.mistake(
    "dx is written at stride 1: output i belongs to the window that starts at row i * stride",
    "            dx[:, :, rows, cols] +=",
    "            dx[:, :, u : u + oh, v : v + ow] +=",
)
exercise.mistake(
    "dw reads x at stride 1: output i was computed from the window that starts at row i * stride",
    "padded[:, :, rows, cols])",
    "padded[:, :, u : u + oh, v : v + ow])",
)
exercise.mistake(
    "dx and dw are made at stride 1: output i belongs to the window that starts at row i * stride",
    "slice(u, u + oh * stride, stride), slice(v, v + ow * stride, stride)",
    "slice(u, u + oh), slice(v, v + ow)",
)
exercise.mistake(
    "`=` where `+=` is needed: a pixel that lies in several windows gets a gradient from each",
    "dx[:, :, rows, cols] += np",
    "dx[:, :, rows, cols] = np",
)
exercise.mistake(
    "the padding is cut off at the wrong end: the image starts at row and column `padding` of the padded gradient",
    "dx[:, :, p : p + h, p : p + w]",
    "dx[:, :, :h, :w]",
)
exercise.mistake(
    "the kernel is flipped in dx: element (u, v) sends its gradient to the pixel that it was multiplied with",
    "dy, weight[:, :, u, v])",
    "dy, weight[:, :, kh - 1 - u, kw - 1 - v])",
)
exercise.mistake(
    "the kernel is flipped in dw: what networks call a convolution does not turn it by 180 degrees",
    "dw[:, :, u, v] =",
    "dw[:, :, kh - 1 - u, kw - 1 - v] =",
)
exercise.mistake(
    "db is the mean of dy; the bias is added to every output, so its gradient is the sum",
    "dy.sum(axis=(0, 2, 3))",
    "dy.mean(axis=(0, 2, 3))",
)
exercise.mistake(
    "db is averaged over the batch; every image adds its part in full",
    "dy.sum(axis=(0, 2, 3))",
    "dy.sum(axis=(2, 3)).mean(axis=0)",
)
exercise.mistake(
    "dw and db are averaged over the batch; every image adds its part in full",
    "p : p + w], dw, dy.sum(axis=(0, 2, 3))",
    "p : p + w], dw / len(x), dy.sum(axis=(0, 2, 3)) / len(x)",
)
exercise.mistake(
    "[p:-p] is empty where p is 0, since -0 is 0: the image ends at p + H, p : p + h",
    "p : p + h, p : p + w]",
    "p:-p, p:-p]",
)
exercise.mistake(
    "dw comes before dx; the order is dx, dw, db, that of x, weight and bias",
    "return dx[:, :, p : p + h, p : p + w], dw,",
    "return dw, dx[:, :, p : p + h, p : p + w],",
)
exercise.mistake(
    "the border is still on dx: it has the shape of the padded image, and the gradient that of x",
    "dx[:, :, p : p + h, p : p + w]",
    "dx",
)
exercise.mistake(
    "dw is averaged over the batch; every image adds its part in full",
    'np.einsum("nfij,ncij->fc", dy, padded[:, :, rows, cols])',
    'np.einsum("nfij,ncij->fc", dy, padded[:, :, rows, cols]) / len(x)',
)

exercise.hints(
    "Pad x and work with a dx of the padded size; cut the border off at the end. For one element (u, v) of the "
    "kernel, which "
    "pixels of the padded image did it meet? A regular grid.",
    "The grid is [:, :, u : u + OH * stride : stride, v : v + OW * stride : stride]. dw[:, :, u, v] is the sum "
    "of dy times x "
    "on that grid, over images and windows; dx on that grid gets, with +=, the sum over f of dy times w[f, :, u, v].",
    'np.einsum("nfij,ncij->fc", dy, x_on_the_grid) and np.einsum("nfij,fc->ncij", dy, weight[:, :, u, v]) are the two sums. '
    "db is dy summed over everything but f.",
)

exercise.library(
    conv_backward=lambda dy, x, weight, stride, padding: by_the_tape(
        lambda x, weight, bias: conv2d(x, weight, bias, stride, padding), dy, x, weight, np.zeros(len(weight))
    )
)


@exercise.takes_the_place
def _(conv_backward):
    # AlexNet has the same stride and padding for rows and columns, no dilation, and a tower for each group.
    def input_grad(g, weight, x_shape, stride, padding, dilation, groups):
        return conv_backward(g, np.zeros(x_shape, g.dtype), weight, stride[0], padding[0])[0]

    def weight_grad(g, x, weight_shape, stride, padding, dilation, groups):
        return conv_backward(g, x, np.zeros(weight_shape, g.dtype), stride[0], padding[0])[1]

    return [(cpu, "conv2d_input_grad", input_grad), (cpu, "conv2d_weight_grad", weight_grad)]
