"""The kernels in fast NumPy; contracts and formulas are those of `reference.py`.

Convolution is a matrix product (im2col): the pixels under each output pixel become a column. Columns are kernel-size
times as large as the image, so they are never made for a whole batch: they are made for a *tile*, some rows of one
image or several small images, whose columns stay in the cache between being written and being multiplied. Backward
makes them again, which costs a tenth of the time and saves 2.3 GB at batch 128. Tiles of different images are
independent, so the batch is split over threads (parallel.py).

Everything else is bound by memory: the batch is worked on a few images at a time, so that the passes over them
(six comparisons for a 3x3 pool, five additions for a five-channel window) find them in the cache.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinynet.kernels import parallel
from tinynet.kernels.parallel import chunks, pieces, scratch
from tinynet.kernels.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "local_response_norm",
    "local_response_norm_backward",
    "matmul",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "sgd",
]

TILE = 400_000  # floats of columns in a tile: what the caches of a core hold, and enough for an efficient product


# convolution ----------------------------------------------------------------------------------------------------------


class _Tiles:
    """How a convolution is cut into tiles, and the way from pixels to columns and back."""

    def __init__(self, x_shape, weight_shape, stride, padding, dilation):
        (batch, _, h, w), (_, self.c, *self.kernel) = x_shape, weight_shape
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.framed = h + 2 * padding[0], w + 2 * padding[1]
        self.inside = slice(padding[0], padding[0] + h), slice(padding[1], padding[1] + w)
        self.out = window_counts(self.framed, self.kernel, stride, dilation)
        self.k = self.c * self.kernel[0] * self.kernel[1]
        image, threads = self.k * self.out[0] * self.out[1], parallel.threads()
        # Several small images in a tile, all tiles of one size; or several tiles an image, as many as threads at least.
        share, fit = max(1, -(-batch // threads)), max(1, TILE // image)
        step = -(-share // -(-share // fit))
        self.images = [slice(n, min(n + step, batch)) for n in range(0, batch, step)]
        cuts = max(-(-image // TILE) if fit == 1 else 1, threads // max(batch, 1))
        step = -(-self.out[0] // min(cuts, self.out[0]))
        self.rows = [slice(r, min(r + step, self.out[0])) for r in range(0, self.out[0], step)]
        self.tiles = [(images, rows) for images in self.images for rows in self.rows]

    def walk(self, start, stop, x):
        """(images, rows, the images in their frame) of some tiles."""
        framed, inside = None, None
        for images, rows in self.tiles[start:stop]:
            if images is not inside:
                framed, inside = self.frame(images, x), images
            yield images, rows, framed

    def frame(self, images, x):
        """The images with their border of zeros; without padding, the images themselves."""
        if self.padding == (0, 0):
            return x[images]
        framed = self.empty_frame(images, x)
        framed[:, :, *self.inside] = x[images]
        return framed

    def empty_frame(self, images, x):
        """Zeros with room for the images and their border."""
        framed = scratch("frame", (images.stop - images.start, x.shape[1], *self.framed), x.dtype)
        framed[...] = 0
        return framed

    def windows(self, framed, group, rows):
        """A view (C/groups, KH, KW, n, rows, OW) of framed images: under each kernel element, its pixel of each output.

        The same pixel appears as often as windows cover it; nothing is copied.
        """
        n, c, h, w = framed.strides
        (sh, sw), (dh, dw) = self.stride, self.dilation
        first = framed[:, group * self.c : (group + 1) * self.c, rows.start * sh :]
        shape = (self.c, *self.kernel, len(framed), rows.stop - rows.start, self.out[1])
        return as_strided(first, shape, (c, h * dh, w * dw, n, h * sh, w * sw))

    def columns(self, framed, group, rows):
        """im2col: the windows as a matrix, one column an output pixel."""
        windows = self.windows(framed, group, rows)
        columns = scratch("columns", windows.shape, framed.dtype)
        np.copyto(columns, windows)
        return columns.reshape(self.k, -1)

    def add_columns(self, columns, framed, group, rows):
        """col2im, the adjoint: each column's values are added to the pixels that they came from."""
        windows = self.windows(framed, group, rows)
        columns = columns.reshape(windows.shape)
        for u in range(self.kernel[0]):
            for v in range(self.kernel[1]):
                windows[:, u, v] += columns[:, u, v]


def window_counts(size, kernel, stride, dilation):
    """How many windows fit into (padded) images along each axis."""
    axes = zip(size, kernel, stride, dilation, strict=True)
    return tuple((n - d * (k - 1) - 1) // s + 1 for n, k, s, d in axes)


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """y (N, F, OH, OW) from x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None, and pairs of integers."""
    tiles = _Tiles(x.shape, weight.shape, stride, padding, dilation)
    y = np.empty((len(x), len(weight), *tiles.out), dtype=x.dtype)
    matrices = weight.reshape(groups, -1, tiles.k)
    biases = np.zeros(len(weight), x.dtype) if bias is None else bias

    def work(start, stop):
        for images, rows, framed in tiles.walk(start, stop, x):
            for group, matrix in enumerate(matrices):
                product = product_of(matrix, tiles.columns(framed, group, rows))
                maps = slice(group * len(matrix), (group + 1) * len(matrix))
                target = y[images, maps, rows].swapaxes(0, 1)
                np.add(product.reshape(target.shape), biases[maps, None, None, None], out=target)

    pieces(len(tiles.tiles), work)
    return y


def conv2d_input_grad(g, weight, x_shape, stride, padding, dilation, groups):
    """dx (N, C, H, W) from g (N, F, OH, OW): what each output pixel was made of gets its part of the gradient back.

    At stride 1 that is a convolution again, of g with every kernel turned by 180 degrees. In general, columns of
    gradients W^T g are added to the pixels that the columns came from (col2im); adding short rows is slower than copying
    them, but there are fewer columns if the layer has more outputs than inputs (conv2), so each has its place.
    """
    reach = tuple(d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding, strict=True))
    if stride == (1, 1) and min(reach) >= 0 and len(weight) <= x_shape[1]:
        turned = weight.reshape(groups, -1, *weight.shape[1:])[..., ::-1, ::-1].swapaxes(1, 2)
        turned = np.ascontiguousarray(turned).reshape(x_shape[1], -1, *weight.shape[2:])
        return conv2d(g, turned, None, stride, reach, dilation, groups)
    tiles = _Tiles(x_shape, weight.shape, stride, padding, dilation)
    dx = np.empty(x_shape, dtype=g.dtype)
    matrices = weight.reshape(groups, -1, tiles.k)

    def work(start, stop):
        for images in tiles.images[start:stop]:
            framed = tiles.empty_frame(images, dx)
            for rows in tiles.rows:
                for group, matrix in enumerate(matrices):
                    columns = product_of(matrix.T, _as_matrix(g, images, group, groups, rows))
                    tiles.add_columns(columns, framed, group, rows)
            dx[images] = framed[:, :, *tiles.inside]

    pieces(len(tiles.images), work)
    return dx


def conv2d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups):
    """dw (F, C/groups, KH, KW) from g (N, F, OH, OW): sum over all output pixels of g times their column."""
    tiles = _Tiles(x.shape, weight_shape, stride, padding, dilation)
    transposed = groups, tiles.k, weight_shape[0] // groups  # columns @ g^T: BLAS is a fifth faster than with g @ columns^T

    def work(start, stop):
        part = np.zeros(transposed, dtype=g.dtype)
        for images, rows, framed in tiles.walk(start, stop, x):
            for group in range(groups):
                columns = tiles.columns(framed, group, rows)
                part[group] += product_of(columns, _as_matrix(g, images, group, groups, rows).T)
        return part

    parts = pieces(len(tiles.tiles), work) or [np.zeros(transposed, g.dtype)]
    for part in parts[1:]:
        parts[0] += part
    return np.ascontiguousarray(parts[0].swapaxes(1, 2)).reshape(weight_shape)


def product_of(a, b):
    """a @ b in this thread's scratch memory: valid until the next product."""
    return np.matmul(a, b, out=scratch("product", (len(a), b.shape[1]), a.dtype))


def _as_matrix(g, images, group, groups, rows):
    """The tile of an output gradient as a matrix, one row a map, one column an output pixel."""
    maps = g.shape[1] // groups
    tile = g[images, group * maps : (group + 1) * maps, rows]
    return tile.swapaxes(0, 1).reshape(maps, -1)


# fully connected ------------------------------------------------------------------------------------------------------


def matmul(a, b):
    """The product (n, k) @ (k, m) of two matrices, its longer side cut into pieces.

    BLAS would split it too, but its threads wait for each other in a loop: on a machine that is busy with anything else
    one product of a small layer took 30 ms instead of 1.
    """
    out = np.empty((a.shape[0], b.shape[1]), dtype=np.result_type(a, b))
    if out.shape[0] > out.shape[1]:
        pieces(out.shape[0], lambda start, stop: np.matmul(a[start:stop], b, out=out[start:stop]))
    else:
        pieces(out.shape[1], lambda start, stop: np.matmul(a, b[:, start:stop], out=out[:, start:stop]))
    return out


# local response normalisation -----------------------------------------------------------------------------------------


def local_response_norm(x, size, alpha, beta, k):
    """y = x / d^beta with d = k + alpha times the sum of squares over a window of channels; returns y and d."""
    y, d = np.empty_like(x), np.empty_like(x)

    def work(start, stop):
        for images in chunks(start, stop, x):
            scale = d[images]
            _add_channel_windows(alpha * np.square(x[images]), -(size // 2), (size - 1) // 2, scale, k)
            np.multiply(x[images], _power(scale, beta), out=y[images])

    pieces(len(x), work)
    return y, d


def local_response_norm_backward(g, x, d, size, alpha, beta):
    """dx = g d^-beta - 2 alpha beta x * (sum of g x d^-(beta+1) over the channels whose window holds this one)."""
    dx = np.empty_like(x)

    def work(start, stop):
        for images in chunks(start, stop, x):
            direct = g[images] * _power(d[images], beta)
            through = direct * x[images] / d[images]
            total = np.empty_like(through)
            _add_channel_windows(through, -((size - 1) // 2), size // 2, total, 0)  # the windows mirrored
            total *= x[images]
            total *= 2 * alpha * beta
            np.subtract(direct, total, out=dx[images])

    pieces(len(x), work)
    return dx


def _add_channel_windows(values, low, high, out, start):
    """out[:, i] = start + the sum of values[:, j] for i + low <= j <= i + high, as far as there are channels."""
    channels = values.shape[1]
    out[...] = start
    for shift in range(max(low, 1 - channels), min(high, channels - 1) + 1):
        a, b = max(0, -shift), min(channels, channels - shift)
        out[:, a:b] += values[:, a + shift : b + shift]


def _power(d, beta):
    """d^-beta; for the paper's 0.75 as 1 / (sqrt(d) sqrt(sqrt(d))), which is ten times faster than a power."""
    if beta != 0.75:
        return d**-beta
    root = np.sqrt(d)
    root *= np.sqrt(root)
    return np.reciprocal(root, out=root)


# elementwise and the update -------------------------------------------------------------------------------------------


def relu(x):
    """max(x, 0)."""
    y = np.empty_like(x, order="C")
    # Against an array of zeros, because NumPy has no vector instructions for the maximum with a single number.
    zeros = np.zeros(min(parallel.CHUNK, x.size), x.dtype)
    _elementwise(lambda a, y: np.maximum(a, zeros[: a.size], out=y), np.ascontiguousarray(x), y)
    return y


def relu_backward(g, y):
    """g where y > 0, else 0."""
    dx = np.empty_like(y)
    _elementwise(lambda a, y, dx: np.multiply(a, y > 0, out=dx), np.ascontiguousarray(g), y, dx)
    return dx


def sgd(weight, velocity, gradient, lr, momentum, weight_decay):
    """v <- momentum v - weight_decay lr w - lr g;  w <- w + v, in place (paper, section 5)."""

    def update(w, v, g):
        v *= momentum
        v -= (weight_decay * lr) * w
        v -= lr * g
        w += v

    if not (weight.flags.c_contiguous and velocity.flags.c_contiguous):
        update(weight, velocity, gradient)  # flattening them would update a copy
    else:
        _elementwise(update, weight, velocity, np.ascontiguousarray(gradient))


def _elementwise(function, *arrays):
    """function(*parts) for parts of contiguous arrays of one size, small enough to stay in the cache."""
    flat = [a.reshape(-1) for a in arrays]
    size = flat[0].size
    step = parallel.CHUNK

    def work(start, stop):
        for i in range(start, stop):
            part = slice(i * step, min((i + 1) * step, size))
            function(*(a[part] for a in flat))

    pieces(-(-size // step), work)
