"""Convolution as one matrix product, as the books have it (im2col). For reading: `cpu` and `cuda` are this made fast.

Every window of an image becomes a column, every kernel a row, in the same order:

    columns   (C KH KW, OH OW)   one window a column, its pixels in the order channel, row, column
    kernels   (F, C KH KW)       one kernel a row
    y         (F, OH OW)         kernels @ columns + bias

Both gradients are products too: y = W X gives dX = W^T dY and dW = dY X^T. The gradient of the columns then goes back to
the pixels that they were copied from (col2im); a pixel that stands in several columns gets the sum.

Here @ is done for all images at once, and for all groups: channels come first in a column, so a group of them is a slice of
rows, and its kernels are as long as that slice. The columns hold every pixel KH KW times, for the whole batch: 2.3 GB for
AlexNet at batch 128. The fast kernels avoid that.
"""

import math

import numpy as np

from tinynet.kernels.contract import Pair, Shape
from tinynet.kernels.windows import window_counts


def im2col(x, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """The windows of images as columns: (N, C KH KW, OH OW) from x (N, C, H, W); windows in reading order."""
    (n, c, *size), (kh, kw) = x.shape, kernel
    oh, ow = window_counts(size, kernel, stride, padding, dilation)
    framed = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    columns = np.empty((n, c, kh, kw, oh, ow), x.dtype)
    for u in range(kh):
        for v in range(kw):
            columns[:, :, u, v] = framed[:, :, *_seen_by(u, v, (oh, ow), stride, dilation)]
    return columns.reshape(n, c * kh * kw, oh * ow)


def col2im(columns, x_shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """The adjoint of im2col: each pixel of (N, C, H, W), which is x_shape, is the sum of its places in the columns."""
    (n, c, h, w), (kh, kw), (top, left) = x_shape, kernel, padding
    oh, ow = window_counts((h, w), kernel, stride, padding, dilation)
    columns = columns.reshape(n, c, kh, kw, oh, ow)
    framed = np.zeros((n, c, h + 2 * top, w + 2 * left), columns.dtype)
    for u in range(kh):
        for v in range(kw):
            framed[:, :, *_seen_by(u, v, (oh, ow), stride, dilation)] += columns[:, :, u, v]
    return framed[:, :, top : top + h, left : left + w]


def _seen_by(u, v, out, stride, dilation):
    """The pixels, (OH, OW) of them, that element (u, v) of the kernel meets in all windows: every stride-th."""
    return tuple(slice(u * d, u * d + n * s, s) for u, n, s, d in zip((u, v), out, stride, dilation, strict=True))


def conv2d(x, weight, bias, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """y = W X + b, (N, F, OH, OW) from x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None."""
    columns = _by_group(im2col(x, weight.shape[2:], stride, padding, dilation), groups)
    y = _kernels(weight, groups) @ columns
    out = window_counts(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    y = y.reshape(len(x), len(weight), *out)
    return y if bias is None else y + bias[:, None, None]


def conv2d_input_grad(g, weight, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """dX = W^T dY, and back to the pixels: dx (N, C, H, W) from g (N, F, OH, OW)."""
    columns = _kernels(weight, groups).swapaxes(1, 2) @ _by_group(g, groups)
    return col2im(columns, x_shape, weight.shape[2:], stride, padding, dilation)


def conv2d_weight_grad(g, x, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """dW = dY X^T, summed over images: dw (F, C/groups, KH, KW) from g (N, F, OH, OW)."""
    _, _, kh, kw = weight_shape
    columns = _by_group(im2col(x, (kh, kw), stride, padding, dilation), groups)
    return (_by_group(g, groups) @ columns.swapaxes(2, 3)).sum(axis=0).reshape(weight_shape)


def conv2d_bias_grad(g):
    """db (F,) from g (N, F, OH, OW): the bias was added to every pixel of every image."""
    return g.sum(axis=(0, 2, 3))


def _kernels(weight, groups):
    """One kernel a row: (groups, F/groups, C/groups KH KW)."""
    f, *kernel = weight.shape
    return weight.reshape(groups, f // groups, math.prod(kernel))


def _by_group(a, groups):
    """Rows of matrices (N, rows, ...) dealt out to the groups: (N, groups, rows/groups, OH OW)."""
    n, rows, *columns = a.shape
    return a.reshape(n, groups, rows // groups, math.prod(columns))
