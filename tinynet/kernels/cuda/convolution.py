"""Convolution on a GPU: im2col for as many images at once as the workspace holds.

A GPU wants large products: the columns of a chunk of images are laid out (C KH KW, N OH OW). So forward, weight gradient
and input gradient are each one two-dimensional product a group, whose operands lie in memory as they are: a group is a
slice of rows, and cuBLAS reads a transposed matrix in place. What that layout costs, turning (F, N, OH, OW) into
(N, F, OH, OW), is paid in the pass that adds the bias. There is no cuDNN here.
"""

import cupy as cp

from tinynet.kernels.contract import Pair, Shape
from tinynet.kernels.cuda import threads
from tinynet.kernels.windows import window_counts

WORKSPACE = 256 << 20  # bytes: a batch of 128 whole in all layers but AlexNet's first two, and large products in those

_workspace = WORKSPACE


def use_workspace(count: int | None) -> None:
    """Let a convolution use about `count` bytes for columns and products from now on; None goes back to the default.

    One image always fits, whatever the number says. Raises ValueError for a number below 1.
    """
    global _workspace
    if count is not None and count < 1:
        raise ValueError(f"use_workspace: {count} bytes; expected at least 1, or None for {WORKSPACE}")
    _workspace = WORKSPACE if count is None else count


class _Chunks:
    """How a convolution is cut into chunks of images that fit the workspace, and the way from images to columns and back."""

    def __init__(self, x_shape, weight_shape, stride, padding, dilation, groups, dtype):
        (batch, self.channels, *size), (self.maps, _, *kernel) = x_shape, weight_shape
        self.out = window_counts(size, kernel, stride, padding, dilation)
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


def conv2d(x, weight, bias, stride: Pair, padding: Pair, dilation: Pair, groups: int):
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


def conv2d_input_grad(g, weight, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int):
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


def conv2d_weight_grad(g, x, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int):
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
