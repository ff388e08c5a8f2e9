"""Pooling on a GPU: a thread computes one number of the result."""

import cupy as cp
import numpy as np

from tinynet.kernels.contract import Pair, Shape
from tinynet.kernels.cuda import threads


def max_pool2d(x, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair, want_winner: bool = True):
    """y (N, C, OH, OW) and, in the smallest integer type that holds it, which window element (u KW + v) won first.

    The winner costs nothing here, so it is there whether it is wanted or not.
    """
    x = cp.ascontiguousarray(x)
    y = cp.empty((*x.shape[:2], *out_size), x.dtype)
    winner = cp.empty(y.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    threads.max_pool(y.size, x, lowest, *x.shape[2:], *kernel, *out_size, *stride, *padding, *dilation, y, winner)
    return y, winner


def max_pool2d_backward(g, winner, x_shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """dx: each window's gradient goes to its winner; where windows overlap the gradients add up."""
    g, winner, dx = cp.ascontiguousarray(g), cp.ascontiguousarray(winner), cp.empty(x_shape, g.dtype)
    windows = (*x_shape[2:], *kernel, *g.shape[2:], *stride, *padding, *dilation)
    threads.max_pool_backward(dx.size, g, winner, *windows, dx)
    return dx


def avg_pool2d(x, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, count_include_pad: bool):
    """y (N, C, OH, OW): the mean of each window."""
    x = cp.ascontiguousarray(x)
    y = cp.empty((*x.shape[:2], *out_size), x.dtype)
    windows = (*x.shape[2:], *kernel, *out_size, *stride, *padding, 1, 1)
    threads.avg_pool(y.size, x, *windows, int(count_include_pad), y)
    return y


def avg_pool2d_backward(g, x_shape: Shape, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool):
    """dx: every pixel of a window gets the same part of the window's gradient."""
    g, dx = cp.ascontiguousarray(g), cp.empty(x_shape, g.dtype)
    windows = (*x_shape[2:], *kernel, *g.shape[2:], *stride, *padding, 1, 1)
    threads.avg_pool_backward(dx.size, g, *windows, int(count_include_pad), dx)
    return dx
