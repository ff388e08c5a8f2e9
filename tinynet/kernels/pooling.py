"""Pooling in fast NumPy, a part of `cpu.py`.

Reading every second column costs four times as much per pixel as reading all of them, since vector instructions do not
apply. So the columns of an image are dealt out once into `stride` arrays without gaps (`combs`, one for each remainder),
and all passes over windows run on those.
"""

import numpy as np

from tinynet.kernels.parallel import chunks, pieces, scratch


def max_pool2d(x, kernel, stride, padding, dilation, out_size):
    """y (N, C, OH, OW) and, in the smallest integer type that holds it, which window element (u KW + v) won first.

    The largest of a window is the largest of its rows' largest, so columns go first, then rows: 3 + 3 passes for 3x3
    instead of 9. Every `stride`-th column is gathered once, because reading with gaps is four times as slow.
    """
    y = np.empty((*x.shape[:2], *out_size), dtype=x.dtype)
    winner = np.empty(y.shape, dtype=np.min_scalar_type(kernel[0] * kernel[1] - 1))
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min

    def challenge(best, who, value, code):
        # Codes grow along the reading order, so the maximum writes a new winner and keeps the first of equals.
        better = (value > best).astype(who.dtype)
        np.maximum(who, np.multiply(better, code, out=better), out=who)
        np.maximum(best, value, out=best)

    def work(start, stop):
        for images in chunks(start, stop, x):
            framed = _framed(x[images], kernel, stride, padding, dilation, out_size, lowest)
            columns = _every_column(framed, kernel[1], stride[1], dilation[1], out_size[1])
            best, who = columns[0].copy(), np.zeros(columns[0].shape, winner.dtype)
            for v in range(1, kernel[1]):
                challenge(best, who, columns[v], winner.dtype.type(v))
            rows = [_every_row(u, stride[0], dilation[0], out_size[0]) for u in range(kernel[0])]
            y[images], winner[images] = best[:, :, rows[0]], who[:, :, rows[0]]
            for u in range(1, kernel[0]):
                code = who[:, :, rows[u]] + winner.dtype.type(u * kernel[1])
                challenge(y[images], winner[images], best[:, :, rows[u]], code)

    pieces(len(x), work)
    return y, winner


def max_pool2d_backward(g, winner, x_shape, kernel, stride, padding, dilation):
    """dx: each window's gradient goes to its winner; where windows overlap the gradients add up."""

    def share(i, images):
        return np.multiply(g[images], winner[images] == i, out=scratch("share", g[images].shape, g.dtype))

    return _pool_backward(share, g, x_shape, kernel, stride, padding, dilation)


def avg_pool2d(x, kernel, stride, padding, out_size, count_include_pad):
    """y (N, C, OH, OW): the mean of each window."""
    y = np.empty((*x.shape[:2], *out_size), dtype=x.dtype)
    counts = _window_sizes(x.shape, kernel, stride, padding, out_size, count_include_pad).astype(x.dtype)

    def work(start, stop):
        for images in chunks(start, stop, x):
            framed = _framed(x[images], kernel, stride, padding, (1, 1), out_size, 0)
            columns = sum(_every_column(framed, kernel[1], stride[1], 1, out_size[1]))
            total = y[images]
            total[...] = sum(columns[:, :, _every_row(u, stride[0], 1, out_size[0])] for u in range(kernel[0]))
            total /= counts

    pieces(len(x), work)
    return y


def avg_pool2d_backward(g, x_shape, kernel, stride, padding, count_include_pad):
    """dx: every pixel of a window gets the same part of the window's gradient."""
    counts = _window_sizes(x_shape, kernel, stride, padding, g.shape[2:], count_include_pad).astype(g.dtype)
    part = g / counts
    return _pool_backward(lambda _, images: part[images], g, x_shape, kernel, stride, padding, (1, 1))


def _pool_backward(share, g, x_shape, kernel, stride, padding, dilation):
    """dx from share(i, images), what element i = u KW + v of each window gets."""
    dx = np.empty(x_shape, dtype=g.dtype)
    out_size, (h, w), (top, left) = g.shape[2:], x_shape[2:], padding

    def work(start, stop):
        for images in chunks(start, stop, dx):
            height, width = _framed_size((h, w), kernel, stride, padding, dilation, out_size)
            # As in the forward pass: columns apart, one array for those that are `stride` apart, put together at the end.
            combs = [
                scratch(f"comb {c}", (images.stop - images.start, x_shape[1], height, -(-(width - c) // stride[1])), g.dtype)
                for c in range(stride[1])
            ]
            for comb in combs:
                comb[...] = 0
            for u in range(kernel[0]):
                rows = _every_row(u, stride[0], dilation[0], out_size[0])
                for v in range(kernel[1]):
                    skip, c = divmod(v * dilation[1], stride[1])
                    combs[c][:, :, rows, skip : skip + out_size[1]] += share(u * kernel[1] + v, images)
            for c, comb in enumerate(combs):
                first = -(-(left - c) // stride[1]) if left > c else 0  # the first tooth inside the image
                target = dx[images][:, :, :, c + first * stride[1] - left :: stride[1]]
                target[...] = comb[:, :, top : top + h, first : first + target.shape[3]]

    pieces(len(g), work)
    return dx


def _every_column(framed, kernel, stride, dilation, count):
    """For each element of a window's row, the pixels under it, one for each output column: (N, C, H, count), gapless."""
    combs = [framed[..., c::stride].copy() if stride > 1 else framed for c in range(min(stride, framed.shape[3]))]
    places = (divmod(v * dilation, stride) for v in range(kernel))
    return [combs[c][..., skip : skip + count] for skip, c in places]


def _every_row(u, stride, dilation, count):
    """The rows under element u of a window's column, one for each output row."""
    return slice(u * dilation, u * dilation + (count - 1) * stride + 1, stride)


def _framed(x, kernel, stride, padding, dilation, out_size, value):
    """Images with a border of `value` that every window fits into: padding, and what ceil_mode lets hang over."""
    size, (top, left), (h, w) = _framed_size(x.shape[2:], kernel, stride, padding, dilation, out_size), padding, x.shape[2:]
    if size == (h, w):
        return x
    framed = np.full((*x.shape[:2], *size), value, dtype=x.dtype)
    framed[:, :, top : top + h, left : left + w] = x
    return framed


def _framed_size(size, kernel, stride, padding, dilation, out_size):
    axes = zip(size, kernel, stride, padding, dilation, out_size, strict=True)
    return tuple(max(p + n, (out - 1) * s + d * (k - 1) + 1) for n, k, s, p, d, out in axes)


def _window_sizes(x_shape, kernel, stride, padding, out_size, count_include_pad):
    """How many pixels each window averages over, (OH, OW); never those beyond the padded border."""
    along = []
    for n, k, s, p, out in zip(x_shape[2:], kernel, stride, padding, out_size, strict=True):
        first = np.arange(out) * s - p
        low, high = (-p, n + p) if count_include_pad else (0, n)
        along.append(np.minimum(first + k, high) - np.maximum(first, low))
    return np.outer(*along)
