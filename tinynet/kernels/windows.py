"""How many windows fit: the one formula of convolution and pooling, on every device and in every table of layers."""

from collections.abc import Iterable


def window_count(size: int, kernel: int, stride: int, padding: int = 0, dilation: int = 1, ceil_mode: bool = False) -> int:
    """Along one axis: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1; below 1 if none fits.

    With ceil_mode, ceil instead of floor, so that the last window may hang over the edge; but it must start inside the
    image or the padding before it.
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    last = -(-room // stride)
    return last if last * stride >= size + padding else last + 1


def window_counts(
    size: Iterable[int],
    kernel: Iterable[int],
    stride: Iterable[int],
    padding: Iterable[int],
    dilation: Iterable[int],
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Along each axis, (OH, OW)."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple(window_count(*axis, ceil_mode) for axis in axes)
