"""What convolution and pooling share: windows that slide over an image."""

from collections.abc import Sequence
from numbers import Integral

from tinynet.kernels.windows import window_counts


def pair(name, value, least):
    """An int, or a (rows, columns) pair of ints, as a pair; raises ValueError below `least` or for anything else."""
    values = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value, value)
    if len(values) != 2 or not all(is_whole(v, least) for v in values):
        raise ValueError(f"{name}={value!r}; expected an integer >= {least}, or a (rows, columns) pair of them")
    return int(values[0]), int(values[1])


def is_whole(value, least):
    """Whether this is an integer, Python's or NumPy's, of at least `least`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


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
