"""Convolution in fast NumPy: im2col as in `textbook.py`, but matrix products over columns that are written only in part.

A convolution is a matrix product (im2col): the pixels under each output pixel become a column. Two things make that slow
in NumPy, and both are avoided here.

1.  *Columns repeat every pixel KH KW times.* But the window one row further down sees the same pixels, one row further down.
    So columns are written for the KW shifts along a row only, for one row more than there are windows for each shift
    down; the columns of kernel row u are then the same memory, read from u rows further on. A 5x5 kernel costs five
    products of a fifth of the size, whose results are added up, and a fifth of the copying.

        kernel row 0 reads  | row 0 | row 1 | row 2 |
        kernel row 1 reads          | row 1 | row 2 | row 3 |       of one array (KW C, rows, images, OW)

    With a stride s the rows r, r + s, r + 2 s, ... play that part: one such array for each remainder of r.

2.  *Copying rows of 13 to 55 numbers one number at a time* costs more for each row than for its numbers. So a row is
    copied as one item: an array whose elements are OW numbers long (NumPy's void type), which becomes one memmove a row.

Columns are never made for a whole batch: they are made for a *tile*, some small images or some rows of a large one, whose
columns stay in the cache between being written and being multiplied. Backward makes them again, which costs a twentieth
of the time and saves 2.3 GB at batch 128. Tiles are independent, so they are spread over threads (parallel.py).
"""

import math
from typing import NamedTuple

import numpy as np

from tinynet.kernels.contract import Pair, Shape
from tinynet.kernels.cpu import parallel
from tinynet.kernels.cpu.memory import empty, scratch
from tinynet.kernels.cpu.parallel import pieces
from tinynet.kernels.cpu.planes import dealt
from tinynet.kernels.windows import window_counts

TILE = 600_000  # numbers in the columns of a tile: what the caches of a core hold, and enough for an efficient product


def conv2d(x, weight, bias, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """y (N, F, OH, OW) from x (N, C, H, W), weight (F, C/groups, KH, KW), bias (F,) or None, and pairs of integers."""
    tiles = _Tiles(x.shape, weight.shape, stride, padding, dilation, groups)
    # (groups, F/groups, KH, KW, C/groups), the order of the columns.
    ordered = np.ascontiguousarray(weight.reshape(groups, -1, *weight.shape[1:]).transpose(0, 1, 3, 4, 2))
    matrices = [[kernels[:, shift.elements].reshape(len(kernels), -1) for shift in tiles.shifts] for kernels in ordered]
    return _convolve(tiles, matrices, x, bias)


def conv2d_input_grad(g, weight, x_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """dx (N, C, H, W) from g (N, F, OH, OW): what each output pixel was made of gets its part of the gradient back.

    At stride 1 that is a convolution again, of g with every kernel turned by 180 degrees. In general, columns of
    gradients W^T g are added to the pixels that the columns came from (col2im).
    """
    reach = tuple(d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding, strict=True))
    grouped = weight.reshape(groups, -1, *weight.shape[1:])  # (groups, F/groups, C/groups, KH, KW)
    if stride == (1, 1) and min(reach) >= 0:
        turned = x_shape[1], len(weight) // groups, *weight.shape[2:]
        tiles = _Tiles(g.shape, turned, stride, reach, dilation, groups)
        # (groups, KH, KW, F/groups, C/groups): the order in which they can be read fastest, and BLAS takes it transposed.
        ordered = np.ascontiguousarray(grouped[..., ::-1, ::-1].transpose(0, 3, 4, 1, 2))
        matrices = [[kernels[s.elements].reshape(-1, kernels.shape[-1]).T for s in tiles.shifts] for kernels in ordered]
        return _convolve(tiles, matrices, g, None)
    tiles = _Tiles(x_shape, weight.shape, stride, padding, dilation, groups)
    dx, g = empty(x_shape, dtype=g.dtype), np.ascontiguousarray(g)
    ordered = np.ascontiguousarray(grouped.transpose(0, 1, 3, 4, 2))
    matrices = [[kernels[:, s.elements].reshape(len(kernels), -1).T for s in tiles.shifts] for kernels in ordered]

    def work(start, stop):
        for images in tiles.images[start:stop]:
            planes = tiles.empty_planes(images, g.dtype)
            for rows in tiles.rows:
                for group, parts in enumerate(matrices):
                    columns, matrix = tiles.empty_columns(images, rows, g.dtype)
                    matrix[...] = 0
                    for shift, part in zip(tiles.shifts, parts, strict=True):
                        target = tiles.seen(matrix, shift, images, rows)
                        target += _product(part, tiles.outputs_matrix(g, images, group, rows))
                    tiles.add_columns(columns, planes, group, rows)
            tiles.collect(planes, dx[images])

    pieces(len(tiles.images), work, tiles.nanoseconds)
    return dx


def conv2d_weight_grad(g, x, weight_shape: Shape, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """dw (F, C/groups, KH, KW) from g (N, F, OH, OW): sum over all output pixels of g times their column."""
    tiles = _Tiles(x.shape, weight_shape, stride, padding, dilation, groups)
    x, g = np.ascontiguousarray(x), np.ascontiguousarray(g)
    f, c, kh, kw = weight_shape
    # As columns @ g^T: BLAS is a fifth faster than with g @ columns^T.
    transposed = groups, kh * kw * c, f // groups

    def work(start, stop):
        part = np.zeros(transposed, dtype=g.dtype)
        for images, rows, planes in tiles.walk(start, stop, x):
            for group in range(groups):
                matrix = tiles.columns(planes, group, images, rows)
                outputs = tiles.outputs_matrix(g, images, group, rows).T
                for shift in tiles.shifts:
                    rows_of_part = slice(shift.elements.start * kw * c, shift.elements.stop * kw * c)
                    part[group, rows_of_part] += _product(tiles.seen(matrix, shift, images, rows), outputs)
        return part

    parts = pieces(len(tiles.tiles), work, tiles.nanoseconds) or [np.zeros(transposed, g.dtype)]
    for part in parts[1:]:
        parts[0] += part
    dw = parts[0].reshape(groups, kh, kw, c, f // groups).transpose(0, 4, 3, 1, 2)
    return np.ascontiguousarray(dw).reshape(weight_shape)


def conv2d_bias_grad(g):
    """db (F,) from g (N, F, OH, OW): the sum over images and pixels."""
    parts = pieces(len(g), lambda start, stop: g[start:stop].sum(axis=(2, 3)).sum(axis=0), 0.2 * g.size)
    return np.sum(parts, axis=0, dtype=g.dtype) if parts else np.zeros(g.shape[1], g.dtype)


def _convolve(tiles, matrices, x, bias):
    """y (N, F, OH, OW) from matrices[group][shift], (F/groups, the shift's rows of columns)."""
    f = len(matrices) * len(matrices[0][0])
    y, x = empty((len(x), f, *tiles.out), dtype=x.dtype), np.ascontiguousarray(x)

    def work(start, stop):
        for images, rows, planes in tiles.walk(start, stop, x):
            for group, (first, *others) in enumerate(matrices):
                matrix = tiles.columns(planes, group, images, rows)
                maps = slice(group * len(first), (group + 1) * len(first))
                total = _product(first, tiles.seen(matrix, tiles.shifts[0], images, rows), "total")
                for part, shift in zip(others, tiles.shifts[1:], strict=True):
                    total += _product(part, tiles.seen(matrix, shift, images, rows))
                if bias is not None:
                    total += bias[maps, None]
                tiles.put_outputs(total, y[images, maps, rows])

    pieces(len(tiles.tiles), work, tiles.nanoseconds)
    return y


def _product(a, b, name="product"):
    """a @ b in this thread's scratch memory: valid until the next product of that name."""
    return np.matmul(a, b, out=scratch(name, (len(a), b.shape[1]), a.dtype))


class _Shift(NamedTuple):
    """Kernel rows whose columns lie one after the other, all of them `down` rows further on."""

    elements: slice  # the kernel rows
    phases: slice  # their places in the columns
    down: int


class _Tiles:
    """How a convolution is cut into tiles, and the way from pixels to columns and back.

    `planes` are the images of a tile with their border of zeros, their columns dealt out by the stride (planes.py), so that
    what a kernel element sees along a row lies without gaps: (planes, n, C, rows, width).
    """

    def __init__(self, x_shape, weight_shape, stride, padding, dilation, groups):
        (batch, self.channels, *self.size), (f, self.c, *self.kernel) = x_shape, weight_shape
        self.stride, self.padding, self.groups = stride, padding, groups
        self.framed = tuple(n + 2 * p for n, p in zip(self.size, padding, strict=True))
        self.out = window_counts(self.size, self.kernel, stride, padding, dilation)

        # Kernel row u of output row i sees row (i + down) of the rows with this remainder.
        places = [divmod(u * dilation[0], stride[0]) for u in range(self.kernel[0])]
        self.phases = sorted({remainder for _, remainder in places})
        self.beyond = [max(down for down, r in places if r == phase) for phase in self.phases]
        self.shifts = []
        for u, (down, remainder) in enumerate(places):
            index, last = self.phases.index(remainder), self.shifts[-1] if self.shifts else None
            joins = last and (down, index) == (last.down, last.phases.stop)
            elements, phases = (last.elements.start, last.phases.start) if joins else (u, index)
            self.shifts[len(self.shifts) - bool(joins) :] = [_Shift(slice(elements, u + 1), slice(phases, index + 1), down)]

        # Likewise kernel column v sees place (j + skip) of a plane; every `period`-th sees the same plane, `leap` places on.
        self.period = stride[1] // math.gcd(stride[1], dilation[1])
        self.leap = dilation[1] * self.period // stride[1]
        self.along = [divmod(v * dilation[1], stride[1]) for v in range(min(self.period, self.kernel[1]))]
        self.width = self.out[1] + (self.kernel[1] - 1) * dilation[1] // stride[1]

        self._cut(batch)
        self.nanoseconds = 2 * batch * f * self.c * math.prod(self.kernel) * math.prod(self.out) / 100

    def _cut(self, batch):
        """Several small images in a tile, all tiles of one size; or several tiles an image, as many as threads at least."""
        row = len(self.phases) * self.kernel[1] * self.c * self.out[1]
        image, threads = row * (self.out[0] + max(self.beyond)), parallel.threads()
        share, fit = max(1, -(-batch // threads)), max(1, TILE // image)
        step = -(-share // -(-share // fit))
        self.images = [slice(n, min(n + step, batch)) for n in range(0, batch, step)]
        cuts = max(-(-image // TILE) if fit == 1 else 1, threads // max(batch, 1))
        step = -(-self.out[0] // min(cuts, self.out[0]))
        self.rows = [slice(r, min(r + step, self.out[0])) for r in range(0, self.out[0], step)]
        self.tiles = [(images, rows) for images in self.images for rows in self.rows]

    def walk(self, start, stop, x):
        """(images, rows, planes) of some tiles."""
        planes, inside = None, None
        for images, rows in self.tiles[start:stop]:
            if images is not inside:
                planes, inside = self.deal(images, x), images
            yield images, rows, planes

    def deal(self, images, x):
        """The planes of some images; without stride and border, the images themselves."""
        if self.padding == (0, 0) and self.stride[1] == 1:
            return x[None, images]
        planes = self.empty_planes(images, x.dtype)
        for plane, pixels in self._pairs(planes, x[images]):
            plane[...] = pixels
        return planes

    def collect(self, planes, x):
        """The way back, for gradients of pixels; a pixel that no window sees gets 0."""
        x[...] = 0
        for plane, pixels in self._pairs(planes, x):
            pixels[...] = plane

    def _pairs(self, planes, x):
        """(part of a plane, the pixels of x that belong there) for each plane."""
        (top, left), (h, w) = self.padding, self.size
        for remainder, plane in enumerate(planes):
            columns, x_columns = dealt(remainder, left, self.stride[1], w, self.width)
            yield plane[:, :, top : top + h, columns], x[..., x_columns]

    def empty_planes(self, images, dtype):
        """Zeros with room for the images and their border."""
        count = 1 + max(which for _, which in self.along)
        shape = (count, images.stop - images.start, self.channels, self.framed[0], self.width)
        planes = scratch("planes", shape, dtype)
        planes[...] = 0
        return planes

    def empty_columns(self, images, rows, dtype):
        """Room for the columns of a tile, as rows of output pixels (phases, KW, C, rows, n), and as a matrix."""
        n = images.stop - images.start
        shape = len(self.phases), self.kernel[1], self.c, rows.stop - rows.start + max(self.beyond), n
        columns = scratch("columns", shape, _row_type(self.out[1], dtype))
        return columns, columns.view(dtype).reshape(shape[0] * shape[1] * self.c, -1)

    def columns(self, planes, group, images, rows):
        """The part of im2col that is written: a matrix with a row for each remainder, kernel column and channel."""
        columns, matrix = self.empty_columns(images, rows, planes.dtype)
        for part, pixels in self._parts(columns, planes, group, rows, columns.dtype):
            part[...] = pixels
        return matrix

    def add_columns(self, columns, planes, group, rows):
        """The adjoint: each column's values are added to the pixels that they came from."""
        numbers = columns.view(planes.dtype).reshape(*columns.shape, self.out[1])
        for part, pixels in self._parts(numbers, planes, group, rows, planes.dtype):
            for v in range(len(part)):  # one by one, because what they see overlaps
                pixels[v] += part[v]

    def _parts(self, columns, planes, group, rows, dtype):
        """(part of the columns, a view of the planes that shows the pixels that belong there), for all columns.

        Both are (kernel columns that see the same plane, C/groups, rows of windows, n), and hold a row of OW numbers as one
        item, or, when dtype is that of the pixels, have a last axis OW. The view overlaps with itself, as windows do: so it
        is made from byte offsets.
        """
        of_plane, of_image, of_channel, of_row, of_pixel = planes.strides
        row_of_numbers = [(self.out[1], of_pixel)] if dtype == planes.dtype else []
        for phase, (remainder, beyond) in enumerate(zip(self.phases, self.beyond, strict=True)):
            count = rows.stop - rows.start + beyond
            top = rows.start * self.stride[0] + remainder  # the row that the first window sees
            for v, (skip, which) in enumerate(self.along):
                part = columns[phase, v :: self.period, :, :count]
                first = which * of_plane + group * self.c * of_channel + top * of_row + skip * of_pixel
                axes = [  # (length, bytes from one to the next)
                    (len(part), self.leap * of_pixel),
                    (self.c, of_channel),
                    (count, self.stride[0] * of_row),
                    (planes.shape[1], of_image),
                    *row_of_numbers,
                ]
                shape, strides = zip(*axes, strict=True)
                yield part, np.ndarray(shape, dtype, planes, first, strides)

    def seen(self, matrix, shift, images, rows):
        """What the kernel rows of a shift see: a part of the columns, nothing is copied."""
        row = (images.stop - images.start) * self.out[1]
        height = self.kernel[1] * self.c
        wide = slice(shift.down * row, (shift.down + rows.stop - rows.start) * row)
        return matrix[shift.phases.start * height : shift.phases.stop * height, wide]

    def outputs_matrix(self, g, images, group, rows):
        """The tile of an output gradient as a matrix, one row a map, its columns in the order of the tile's columns."""
        maps = g.shape[1] // self.groups
        tile = g[images, group * maps : (group + 1) * maps, rows]
        if len(tile) == 1:
            return tile[0].reshape(maps, -1)
        matrix = scratch("outputs", (maps, tile.shape[2], len(tile)), _row_type(self.out[1], g.dtype))
        matrix[...] = _as_rows(tile).transpose(1, 2, 0)
        return matrix.view(g.dtype).reshape(maps, -1)

    def put_outputs(self, matrix, tile):
        """The way back: a matrix of results into the tile of the output."""
        if len(tile) == 1:
            tile[0] = matrix.reshape(tile.shape[1:])
        else:
            rows = matrix.view(_row_type(self.out[1], matrix.dtype)).reshape(tile.shape[1], tile.shape[2], len(tile))
            _as_rows(tile)[...] = rows.transpose(2, 0, 1)


def _row_type(numbers, dtype):
    """The type of a row of numbers that is copied as one item."""
    return np.dtype((np.void, numbers * np.dtype(dtype).itemsize))


def _as_rows(tile):
    """A view of (n, maps, rows, OW) with its rows as items: (n, maps, rows)."""
    return tile.view(_row_type(tile.shape[3], tile.dtype))[..., 0]
