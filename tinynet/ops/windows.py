"""What convolution and pooling share: windows that slide over an image."""

import operator
from collections.abc import Sequence

import numpy as np

from tinynet.kernels.windows import window_counts


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
    """(OH, OW), the number of windows along each axis, by the formula of `kernels/windows.py`.

    Raises ValueError if not even one window fits.
    """
    sizes = window_counts(x_shape[2:], kernel, stride, padding, dilation, ceil_mode)
    if min(sizes) < 1:
        raise ValueError(
            f"{op}: a {kernel[0]}x{kernel[1]} window (dilation {dilation}) does not fit into images of "
            f"{x_shape[2]}x{x_shape[3]} with padding {padding}; use larger images or more padding"
        )
    return sizes
