"""Pixels dealt out by the stride, as cards are: each plane gets every stride-th, and they lie in it without gaps.

Reading every second number of a row costs four times as much as reading all of them, since vector instructions do not
apply. But what one element of the kernel sees, from window to window, is every stride-th pixel: a piece of one plane.

    stride 3        border border 0 1 2 3 4 5 ...
    plane 0         border             1         4 ...
    plane 1                border        2         5 ...
    plane 2                       0        3 ...
"""


def dealt(remainder: int, border: int, stride: int, size: int, length: int) -> tuple[slice, slice]:
    """Which of `size` pixels behind a border belong to one plane: (their places in the plane, their places in the image).

    remainder: which plane; its first place is that far from the border's start. length: of the plane, which may leave pixels
    over at the end that no window sees.
    """
    first = max(0, -(-(border - remainder) // stride))  # the first place of the plane behind the border
    start = first * stride + remainder - border
    count = min(len(range(start, size, stride)), length - first)
    return slice(first, first + count), slice(start, start + count * stride, stride)
