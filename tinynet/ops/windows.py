"""What convolution and pooling share: windows that slide over an image."""

import operator
from collections.abc import Sequence

import numpy as np


def pair(name, value, least):
    """An int, or a (rows, columns) pair of ints, as a pair; raises ValueError below `least` or for anything else."""
    several = isinstance(value, (Sequence, np.ndarray)) and not isinstance(value, str) and getattr(value, "ndim", 1)
    values = tuple(value) if several else (value, value)
    if len(values) != 2 or not all(is_whole(v, least) for v in values):
        raise ValueError(f"{name}={value!r}; expected an integer >= {least}, or a (rows, columns) pair of them")
    return operator.index(values[0]), operator.index(values[1])


def is_whole(value, least):
    """Whether this is an integer, Python's, NumPy's or that of a Tensor, of at least `least`."""
    try:
        return not isinstance(value, bool) and operator.index(value) >= least
    except TypeError:
        return False


def map_size(op, x_shape, kernel, stride, padding, dilation, ceil_mode=False):
    """(OH, OW), the number of windows along each axis: floor((n + 2 p - d (k - 1) - 1) / s) + 1.

    With ceil_mode, ceil instead of floor, but every window must start inside the image or its top or left padding.
    Raises ValueError if not even one window fits.
    """
    sizes = []
    for n, k, s, p, d in zip(x_shape[2:], kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        size = (-(-room // s) if ceil_mode else room // s) + 1
        sizes.append(size - 1 if ceil_mode and (size - 1) * s >= n + p else size)
    if min(sizes) < 1:
        raise ValueError(
            f"{op}: a {kernel[0]}x{kernel[1]} window (dilation {dilation}) does not fit into images of "
            f"{x_shape[2]}x{x_shape[3]} with padding {padding}; use larger images or more padding"
        )
    return tuple(sizes)
