"""How messages speak: lists of names, one or many, and what a value is."""

import numpy as np


def listed(names):
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def plural(n, one, many=None):
    """`1 entry`, `2 entries`; without `many`, an s makes more of one."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def a_kind(value):
    """What a value is: `a float`, `an int`, `an array`, `None`."""
    if value is None:
        return "None"
    kind = "array" if isinstance(value, np.ndarray) else type(value).__name__
    return f"{'an' if kind[0] in 'aeioAEIO' else 'a'} {kind}"  # but a uint8
