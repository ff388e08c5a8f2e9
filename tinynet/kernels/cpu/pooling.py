"""Pooling in fast NumPy: every pass over all windows is one pass over contiguous memory.

The pixels of some images are dealt out once into planes (planes.py), one for each remainder of row and column by the stride.
What element (u, v) of all windows sees is then one of the planes, read from some numbers further on; and all of its rows at
once, because short rows cost more to begin than to work on. Behind the last window of a row, such a pass computes a few
numbers that mean nothing; they are left behind when the result is taken out.

Windows are separable: the largest of a window is the largest of its rows' largest. So columns go first, then rows: two
and two comparisons for a 3x3 window instead of eight.
"""

import numpy as np

from tinynet.kernels.contract import Pair, Shape
from tinynet.kernels.cpu.memory import empty, scratch
from tinynet.kernels.cpu.parallel import chunks, pieces
from tinynet.kernels.cpu.planes import dealt


def max_pool2d(x, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_size: Pair, want_winner: bool = True):
    """y (N, C, OH, OW) and, in the smallest integer type that holds it, which window element (u KW + v) won first.

    NaN is larger than everything, and of several in a window the last wins. Without want_winner, which costs as much
    again, the second result is None.
    """
    windows, x = _Windows(x.shape, kernel, stride, padding, dilation, out_size), np.ascontiguousarray(x)
    y = empty((*x.shape[:2], *out_size), dtype=x.dtype)
    winner = empty(y.shape, dtype=np.min_scalar_type(kernel[0] * kernel[1] - 1)) if want_winner else None
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min

    # Where all of a window is minus infinity, the border would win: so nobody wins who comes before the first real pixel.
    before = [
        -(-np.maximum(0, p - np.arange(out) * s) // d)
        for out, s, p, d in zip(out_size, stride, padding, dilation, strict=True)
    ]
    first = np.add.outer(before[0] * kernel[1], before[1]).astype(np.min_scalar_type(kernel[0] * kernel[1] - 1))

    def largest(name, values, codes):
        """The elementwise maximum of arrays, and the code of the first that has it; codes grow from array to array."""
        best = scratch(f"best {name}", values[0].shape, x.dtype)
        best[...] = values[0]
        if not want_winner:
            for value in values[1:]:
                np.maximum(best, value, out=best)
            return best, None
        who = scratch(f"who {name}", best.shape, winner.dtype)
        who[...] = codes[0]
        for value, code in zip(values[1:], codes[1:], strict=True):
            better = np.greater(value, best, out=scratch("better", best.shape, bool)).view(np.uint8)
            challenger = np.multiply(better, code, out=scratch("challenger", who.shape, who.dtype))
            np.maximum(who, challenger, out=who)  # codes grow, so the larger one is the new winner's
            np.maximum(best, value, out=best)
        return best, who

    def work(start, stop):
        codes = np.arange(kernel[1], dtype=np.min_scalar_type(kernel[0] * kernel[1] - 1))
        for images in chunks(start, stop, x):
            planes = windows.deal(x[images], lowest)
            rows = {r: largest(r, windows.along_rows(planes[r]), codes) for r in windows.row_remainders}
            values = windows.along_columns({r: best for r, (best, _) in rows.items()})
            offsets = windows.along_columns({r: who for r, (_, who) in rows.items()}) if want_winner else values
            codes_of_rows = [who + codes.dtype.type(u * kernel[1]) for u, who in enumerate(offsets)] if want_winner else []
            best, who = largest("window", values, codes_of_rows)
            y[images] = windows.results(best, len(y[images]))
            if want_winner:
                np.maximum(windows.results(who, len(y[images])), first, out=winner[images])
                if np.isnan(best.max()):
                    _let_nan_win(x[images], y[images], winner[images], kernel, stride, padding, dilation)

    pieces(len(x), work, 0.7 * x.size)
    return y, winner


def _let_nan_win(x, y, winner, kernel, stride, padding, dilation):
    # No comparison with a nan is true, so `largest` overlooks them. They are rare: their windows are looked at once more.
    n, c, i, j = np.nonzero(np.isnan(y))
    for u, v in np.ndindex(kernel):
        row, column = i * stride[0] + u * dilation[0] - padding[0], j * stride[1] + v * dilation[1] - padding[1]
        inside = (row >= 0) & (row < x.shape[2]) & (column >= 0) & (column < x.shape[3])
        m, k, a, b, row, column = (index[inside] for index in (n, c, i, j, row, column))
        nan = np.isnan(x[m, k, row, column])
        winner[m[nan], k[nan], a[nan], b[nan]] = u * kernel[1] + v


def max_pool2d_backward(g, winner, x_shape: Shape, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """dx: each window's gradient goes to its winner; where windows overlap the gradients add up."""
    windows = _Windows(x_shape, kernel, stride, padding, dilation, g.shape[2:])
    dx, g = empty(x_shape, dtype=g.dtype), np.ascontiguousarray(g)
    height, width = windows.framed
    u, v = np.divmod(np.arange(kernel[0] * kernel[1]), kernel[1])
    element = u * dilation[0] * width + v * dilation[1]  # how far each element of a window is from its first
    first = np.add.outer(np.arange(g.shape[2]) * stride[0] * width, np.arange(g.shape[3]) * stride[1])

    def work(start, stop):
        for images in chunks(start, stop, dx):
            framed = windows.frame(dx[images])
            framed[...] = 0
            places = np.take(element, winner[images])
            places += first
            places += np.arange(len(framed) * x_shape[1]).reshape(-1, x_shape[1], 1, 1) * (height * width)
            np.add.at(framed.reshape(-1), places.reshape(-1), g[images].reshape(-1))
            windows.take_inside(framed, dx[images])

    pieces(len(g), work, 2 * g.size)
    return dx


def avg_pool2d(x, kernel: Pair, stride: Pair, padding: Pair, out_size: Pair, count_include_pad: bool):
    """y (N, C, OH, OW): the mean of each window."""
    windows, x = _Windows(x.shape, kernel, stride, padding, (1, 1), out_size), np.ascontiguousarray(x)
    y = empty((*x.shape[:2], *out_size), dtype=x.dtype)
    counts = _window_sizes(x.shape, kernel, stride, padding, out_size, count_include_pad).astype(x.dtype)

    def work(start, stop):
        for images in chunks(start, stop, x):
            planes = windows.deal(x[images], 0)
            rows = {r: sum(windows.along_rows(planes[r])) for r in windows.row_remainders}
            np.divide(windows.results(sum(windows.along_columns(rows)), len(y[images])), counts, out=y[images])

    pieces(len(x), work, 0.5 * x.size)
    return y


def avg_pool2d_backward(g, x_shape: Shape, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool):
    """dx: every pixel of a window gets the same part of the window's gradient."""
    windows = _Windows(x_shape, kernel, stride, padding, (1, 1), g.shape[2:])
    counts = _window_sizes(x_shape, kernel, stride, padding, g.shape[2:], count_include_pad).astype(g.dtype)
    dx = empty(x_shape, dtype=g.dtype)

    def work(start, stop):
        for images in chunks(start, stop, dx):
            # The forward pass mirrored: every part that was read there is added to here.
            part = np.zeros((len(dx[images]), x_shape[1], *windows.grid), g.dtype)
            np.divide(g[images], counts, out=part[:, :, : g.shape[2], : g.shape[3]])
            rows = {r: np.zeros(part.size, g.dtype) for r in windows.row_remainders}
            for target in windows.along_columns(rows):
                target += part.reshape(-1)[: target.size]
            planes = windows.empty_planes(len(part), g.dtype)
            planes[...] = 0
            for r, row in rows.items():
                for target in windows.along_rows(planes[r]):
                    target += row[: target.size]
            windows.collect(planes, dx[images])

    pieces(len(g), work, 0.7 * dx.size)
    return dx


class _Windows:
    """Where the windows of a pool lie in the planes, and the way from pixels to planes and back."""

    def __init__(self, x_shape, kernel, stride, padding, dilation, out_size):
        self.channels, self.size, self.stride, self.padding, self.out = x_shape[1], x_shape[2:], stride, padding, out_size
        axes = zip(self.size, kernel, stride, padding, dilation, out_size, strict=True)
        # With a border that every window fits into: padding, and what ceil_mode lets hang over.
        self.framed = tuple(max(p + n, (out - 1) * s + d * (k - 1) + 1) for n, k, s, p, d, out in axes)
        self.grid = tuple(-(-n // s) for n, s in zip(self.framed, stride, strict=True))
        # Element u of a window's column: (how many rows further down, in which plane); likewise along a row.
        self.down, self.along = (
            [divmod(u * d, s) for u in range(k)] for k, s, d in zip(kernel, stride, dilation, strict=True)
        )
        self.row_remainders = list(dict.fromkeys(remainder for _, remainder in self.down))
        self.column_remainders = list(dict.fromkeys(remainder for _, remainder in self.along))

    def deal(self, x, value):
        """The planes (row remainder, column remainder, N, C, *grid) of some images; `value` is the border's."""
        if self.stride == (1, 1) and self.framed == self.size:
            return x[None, None]
        planes = self.empty_planes(len(x), x.dtype)
        planes[...] = value
        for plane, pixels in self._pairs(planes, x):
            plane[...] = pixels
        return planes

    def collect(self, planes, x):
        """The way back: the values of all planes to their pixels; a pixel that no window sees gets 0."""
        x[...] = 0
        for plane, pixels in self._pairs(planes, x):
            pixels[...] = plane

    def _pairs(self, planes, x):
        """(part of a plane, the pixels of x that belong there) for each plane."""
        for r in self.row_remainders:
            rows, x_rows = dealt(r, self.padding[0], self.stride[0], self.size[0], self.grid[0])
            for c in self.column_remainders:
                columns, x_columns = dealt(c, self.padding[1], self.stride[1], self.size[1], self.grid[1])
                yield planes[r, c][..., rows, columns], x[..., x_rows, x_columns]

    def empty_planes(self, n, dtype):
        """Room for the planes of n images."""
        return scratch("planes", (*self.stride, n, self.channels, *self.grid), dtype)

    def along_rows(self, planes):
        """For each kernel column, what it sees of the planes of one row remainder: arrays of one length."""
        flat = planes.reshape(len(planes), -1)
        end = flat.shape[1] - max(skip for skip, _ in self.along)
        return [flat[remainder, skip : skip + end] for skip, remainder in self.along]

    def along_columns(self, rows):
        """For each kernel row, what it sees of `rows`, an array for each row remainder: arrays of one length."""
        end = next(iter(rows.values())).size - max(skip for skip, _ in self.down) * self.grid[1]
        return [rows[r][skip * self.grid[1] : skip * self.grid[1] + end] for skip, r in self.down]

    def results(self, flat, n):
        """What was computed for each window, (N, C, OH, OW), without the numbers between the rows of windows."""
        whole = scratch("whole", (n, self.channels, *self.grid), flat.dtype)
        whole.reshape(-1)[: flat.size] = flat
        return whole[:, :, : self.out[0], : self.out[1]]

    def frame(self, x):
        """Room for images with their border; the images themselves, if there is none."""
        return x if self.framed == self.size else scratch("framed", (*x.shape[:2], *self.framed), x.dtype)

    def take_inside(self, framed, x):
        """Copy the images out of their frame."""
        if self.framed != self.size:
            (top, left), (h, w) = self.padding, self.size
            x[...] = framed[:, :, top : top + h, left : left + w]


def _window_sizes(x_shape, kernel, stride, padding, out_size, count_include_pad):
    """How many pixels each window averages over, (OH, OW); never those beyond the padded border."""
    along = []
    for n, k, s, p, out in zip(x_shape[2:], kernel, stride, padding, out_size, strict=True):
        first = np.arange(out) * s - p
        low, high = (-p, n + p) if count_include_pad else (0, n)
        along.append(np.minimum(first + k, high) - np.maximum(first, low))
    return np.outer(*along)
