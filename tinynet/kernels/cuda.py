"""The kernels in CuPy, for NVIDIA GPUs; contracts and formulas are those of `reference.py`.

Convolution is a matrix product, as in `cpu.py`, but a GPU wants large ones: the columns of as many images as the
workspace holds are made at once, laid out (C KH KW, N OH OW). So forward, weight gradient and input gradient are each
one two-dimensional product a group, whose operands lie in memory as they are: a group is a slice of rows, and cuBLAS
reads a transposed matrix in place. What that layout costs, turning (F, N, OH, OW) into (N, F, OH, OW), is paid in the
pass that adds the bias. There is no cuDNN here.

Everything else is bound by memory, so that nearly every function is one pass, one kernel of `cuda_threads.py`. All work
is put on the current stream and nothing waits for it.
"""

import cupy as cp
import numpy as np

from tinynet.kernels import cuda_threads as threads

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_bias_grad",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "dropout",
    "local_response_norm",
    "local_response_norm_backward",
    "matmul",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "sgd",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
    "tf32",
    "use_workspace",
]

WORKSPACE = 256 << 20  # bytes: a batch of 128 whole in all layers but AlexNet's first two, and large products in those

_workspace = WORKSPACE


def use_workspace(count):
    """Let a convolution use about `count` bytes for columns and products from now on; None goes back to the default.

    One image always fits, whatever the number says. Raises ValueError for a number below 1.
    """
    global _workspace
    if count is not None and count < 1:
        raise ValueError(f"use_workspace: {count} bytes; expected at least 1, or None for {WORKSPACE}")
    _workspace = WORKSPACE if count is None else count


def tf32(on):
    """Whether products of float32 matrices may round their operands to TF32, 10 bits behind the point instead of 23.

    Tensor cores then multiply several times faster; sums stay in float32. Off until called with True, so that a GPU gives
    the numbers of a CPU. It holds for the whole process; a GPU older than Ampere (2020) has no TF32 and says so.
    """
    kinds = cp._core._routines_linalg
    cp._core.set_compute_type(np.float32, kinds.COMPUTE_TYPE_TF32 if on else kinds.COMPUTE_TYPE_DEFAULT)


# convolution ----------------------------------------------------------------------------------------------------------


class _Chunks:
    """How a convolution is cut into chunks of images that fit the workspace, and the way from images to columns and back."""

    def __init__(self, x_shape, weight_shape, stride, padding, dilation, groups, dtype):
        (batch, self.channels, *size), (self.maps, _, *kernel) = x_shape, weight_shape
        axes = zip(size, kernel, stride, padding, dilation, strict=True)
        self.out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)
        self.windows = (*size, *kernel, *self.out, *stride, *padding, *dilation)
        self.area, self.rows, self.groups = self.out[0] * self.out[1], self.channels * kernel[0] * kernel[1], groups
        fit = max(1, _workspace // ((self.rows + self.maps) * self.area * dtype.itemsize))
        count = -(-batch // fit)  # as few chunks as fit, nearly equal
        step = -(-batch // max(count, 1))
        # cuBLAS multiplies faster when the rows of a matrix start at multiples of 16 bytes; a map may have 13x13 pixels.
        step = min(-(-step // 4) * 4, fit - fit % 4 or fit)
        self.images = [slice(n, min(n + step, batch)) for n in range(0, batch, step)] if batch else []
        self.space = cp.empty((self.rows + self.maps) * min(step, batch) * self.area, dtype)

    def matrices(self, images):
        """Room for the columns (C KH KW, n OH OW) and the maps (F, n OH OW) of some images; the next chunk overwrites it."""
        width = (images.stop - images.start) * self.area
        cut, end = self.rows * width, (self.rows + self.maps) * width
        return self.space[:cut].reshape(self.rows, width), self.space[cut:end].reshape(self.maps, width)

    def fill(self, columns, x):
        """im2col: a row for each pixel of the kernel, a column for each window."""
        threads.im2col(self.channels * columns.shape[1], x, len(x), self.channels, *self.windows, columns)

    def collect(self, columns, dx):
        """col2im, the adjoint: each pixel is the sum of what its columns hold."""
        threads.col2im(dx.size, columns, len(dx), self.channels, *self.windows, dx)

    def by_map(self, g, rows):
        """(n, F, OH, OW) as a matrix with a row for each map and a column for each pixel."""
        threads.by_map(g.size, g, len(g), self.maps, self.area, rows)

    def each_group(self, *matrices):
        """The rows of the first group of each matrix, then those of the second, and so on."""
        return zip(*(m.reshape(self.groups, -1, m.shape[1]) for m in matrices), strict=True)


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """y (N, F, OH, OW) from x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None, and pairs of integers."""
    x, maps = cp.ascontiguousarray(x), len(weight)
    chunks = _Chunks(x.shape, weight.shape, stride, padding, dilation, groups, x.dtype)
    y = cp.empty((len(x), maps, *chunks.out), x.dtype)
    bias = cp.zeros(maps, x.dtype) if bias is None else cp.ascontiguousarray(bias)
    for images in chunks.images:
        columns, product = chunks.matrices(images)
        chunks.fill(columns, x[images])
        for w, part, out in chunks.each_group(_as_matrix(weight), columns, product):
            cp.dot(w, part, out=out)
        target = y[images]
        threads.add_bias(target.size, product, bias, len(target), maps, chunks.area, target)
    return y


def conv2d_input_grad(g, weight, x_shape, stride, padding, dilation, groups):
    """dx (N, C, H, W) from g (N, F, OH, OW): columns of gradients W^T g, and each pixel collects its own from them."""
    g = cp.ascontiguousarray(g)
    chunks = _Chunks(x_shape, weight.shape, stride, padding, dilation, groups, g.dtype)
    dx = cp.empty(x_shape, g.dtype)
    for images in chunks.images:
        columns, rows = chunks.matrices(images)
        chunks.by_map(g[images], rows)
        for w, part, out in chunks.each_group(_as_matrix(weight), rows, columns):
            cp.dot(w.T, part, out=out)
        chunks.collect(columns, dx[images])
    return dx


def conv2d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups):
    """dw (F, C/groups, KH, KW) from g (N, F, OH, OW): sum over all output pixels of g times their column."""
    g, x = cp.ascontiguousarray(g), cp.ascontiguousarray(x)
    chunks = _Chunks(x.shape, weight_shape, stride, padding, dilation, groups, g.dtype)
    dw = None
    for images in chunks.images:
        columns, rows = chunks.matrices(images)
        chunks.fill(columns, x[images])
        chunks.by_map(g[images], rows)
        part = cp.empty(weight_shape, g.dtype)  # in its final shape: a view would be copied before it becomes a .grad
        for out, of_maps, of_columns in chunks.each_group(_as_matrix(part), rows, columns):
            cp.dot(of_maps, of_columns.T, out=out)
        dw = part if dw is None else cp.add(dw, part, out=dw)
    return cp.zeros(weight_shape, g.dtype) if dw is None else dw


def conv2d_bias_grad(g):
    """db (F,) from g (N, F, OH, OW): the sum over all images and pixels.

    Along the pixels of each map first, because CuPy adds up numbers that lie next to each other many times faster.
    """
    return cp.ascontiguousarray(g).reshape(*g.shape[:2], g.shape[2] * g.shape[3]).sum(axis=2).sum(axis=0)


def _as_matrix(weight):
    """A row for each map, and a column for each pixel of its kernel."""
    return cp.ascontiguousarray(weight).reshape(len(weight), -1)


# fully connected ------------------------------------------------------------------------------------------------------


def matmul(a, b):
    """The product (n, k) @ (k, m) of two matrices; a transposed one is read as it lies in memory."""
    return cp.dot(a, b)


# pooling --------------------------------------------------------------------------------------------------------------


def max_pool2d(x, kernel, stride, padding, dilation, out_size, want_winner=True):
    """y (N, C, OH, OW) and, in the smallest integer type that holds it, which window element (u KW + v) won first.

    The winner costs nothing here, so it is there whether it is wanted or not.
    """
    x = cp.ascontiguousarray(x)
    y = cp.empty((*x.shape[:2], *out_size), x.dtype)
    winner = cp.empty(y.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1))
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    threads.max_pool(y.size, x, lowest, *x.shape[2:], *kernel, *out_size, *stride, *padding, *dilation, y, winner)
    return y, winner


def max_pool2d_backward(g, winner, x_shape, kernel, stride, padding, dilation):
    """dx: each window's gradient goes to its winner; where windows overlap the gradients add up."""
    g, winner, dx = cp.ascontiguousarray(g), cp.ascontiguousarray(winner), cp.empty(x_shape, g.dtype)
    windows = (*x_shape[2:], *kernel, *g.shape[2:], *stride, *padding, *dilation)
    threads.max_pool_backward(dx.size, g, winner, *windows, dx)
    return dx


def avg_pool2d(x, kernel, stride, padding, out_size, count_include_pad):
    """y (N, C, OH, OW): the mean of each window."""
    x = cp.ascontiguousarray(x)
    y = cp.empty((*x.shape[:2], *out_size), x.dtype)
    windows = (*x.shape[2:], *kernel, *out_size, *stride, *padding, 1, 1)
    threads.avg_pool(y.size, x, *windows, int(count_include_pad), y)
    return y


def avg_pool2d_backward(g, x_shape, kernel, stride, padding, count_include_pad):
    """dx: every pixel of a window gets the same part of the window's gradient."""
    g, dx = cp.ascontiguousarray(g), cp.empty(x_shape, g.dtype)
    windows = (*x_shape[2:], *kernel, *g.shape[2:], *stride, *padding, 1, 1)
    threads.avg_pool_backward(dx.size, g, *windows, int(count_include_pad), dx)
    return dx


# local response normalisation -----------------------------------------------------------------------------------------


def local_response_norm(x, size, alpha, beta, k):
    """y = x / d^beta with d = k + alpha times the sum of squares over a window of channels; returns y and d."""
    x = cp.ascontiguousarray(x)
    y, d = cp.empty_like(x), cp.empty_like(x)
    threads.lrn(x.size, x, float(alpha), float(beta), float(k), *_neighbours(x, size), y, d)
    return y, d


def local_response_norm_backward(g, x, d, size, alpha, beta):
    """dx = g d^-beta - 2 alpha beta x * (sum of g x d^-(beta+1) over the channels whose window holds this one)."""
    g, x, d = (cp.ascontiguousarray(a) for a in (g, x, d))
    dx = cp.empty_like(x)
    threads.lrn_backward(x.size, g, x, d, float(alpha), float(beta), *_neighbours(x, size), dx)
    return dx


def _neighbours(x, size):
    """Channels, numbers a channel, and how many neighbours count on either side."""
    channels = x.shape[1]
    return channels, x.size // max(len(x) * channels, 1), min(size // 2, channels), min((size - 1) // 2, channels)


# losses ---------------------------------------------------------------------------------------------------------------


def softmax_cross_entropy(z, labels):
    """loss (N,) = log(sum_c e^z[n, c]) - z[n, labels[n]] and the softmax p (N, C), from z (N, C) and integers (N,)."""
    z, labels = cp.ascontiguousarray(z), cp.ascontiguousarray(labels)
    p, loss, top = cp.empty_like(z), cp.empty(z.shape[:1], z.dtype), z.max(axis=1)  # e^z alone would overflow
    total = threads.exp_below(z, top[:, None]).sum(axis=1)
    threads.cross_entropy(z.size, z, top, total, labels, z.shape[1], p, loss)
    return loss, p


def softmax_cross_entropy_backward(g, p, labels):
    """dz = g[n] (p[n, c] - 1 if c is the label, else p[n, c])."""
    g, p, labels = (cp.ascontiguousarray(a) for a in (g, p, labels))
    dz = cp.empty_like(p)
    threads.cross_entropy_backward(p.size, g, p, labels, p.shape[1], dz)
    return dz


# elementwise and the update -------------------------------------------------------------------------------------------


def relu(x):
    """max(x, 0)."""
    return cp.maximum(x, 0)


def relu_backward(g, y):
    """g where y > 0, else 0."""
    return threads.relu_backward(g, y)


def dropout(x, mask, scale):
    """x times the mask (of booleans or of numbers like x) times a number; its own backward, with g for x."""
    return threads.dropout(x, mask, float(scale))


def sgd(weight, velocity, gradient, lr, momentum, weight_decay):
    """v <- momentum v - weight_decay lr w - lr g;  w <- w + v, in place (paper, section 5), all in one pass."""
    threads.sgd(gradient, float(lr), float(momentum), float(weight_decay), weight, velocity)
