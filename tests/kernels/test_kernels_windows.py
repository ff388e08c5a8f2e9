"""How many windows fit, against the oracle's own formula and against counting."""

from itertools import product

from tinynet.kernels import reference
from tinynet.kernels.windows import window_count, window_counts

AXES = [axis for axis in product(range(1, 9), range(1, 4), range(1, 4), range(3), range(1, 3)) if axis[3] < axis[1]]


def counted(size, kernel, stride, padding, dilation, ceil_mode):
    """Windows that fit; with ceil_mode one more that starts inside, if any pixel is left over."""
    reach, starts = dilation * (kernel - 1) + 1, range(-padding, size, stride)
    full = [start for start in starts if start + reach <= size + padding]
    if not full:
        return 0
    over = full[-1] + reach < size + padding and full[-1] + stride in starts
    return len(full) + (ceil_mode and over)


def test_windows_are_as_many_as_can_be_counted():
    for axis, ceil_mode in product(AXES, (False, True)):
        if counted(*axis, ceil_mode):
            assert window_count(*axis, ceil_mode) == counted(*axis, ceil_mode), (axis, ceil_mode)
        elif not ceil_mode:
            assert window_count(*axis) < 1, axis


def test_the_oracle_says_the_same_by_itself():
    for one, other in zip(AXES, reversed(AXES), strict=True):
        axes = list(zip(one, other, strict=True))
        assert window_counts(*axes) == reference.conv_size(*axes)
        for ceil_mode in (False, True):
            assert window_counts(*axes, ceil_mode) == reference.pool_size(*axes, ceil_mode), (axes, ceil_mode)
