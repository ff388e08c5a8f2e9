"""How messages speak: lists of names, and one or many."""


def listed(names):
    """`a`, `a and b`, `a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def plural(n, one, many=None):
    """`1 entry`, `2 entries`; without `many`, an s makes more of one."""
    return f"{n} {one if n == 1 else many or one + 's'}"
