"""What convolution and pooling share: windows that slide over an image."""

from collections.abc import Sequence
from numbers import Integral


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
