"""A term that is missing: what is left over, the right gradient less this one, has a form that gives it away."""

import itertools

import numpy as np

from tinynet.gradcheck.clues import listed


def term(c):
    """What is left over is, along some axes, a multiple of something known, with one factor for each slice.

    So it is where a mean, a norm or a sum over these axes depends on every entry, and the backward pass forgets that.
    """
    if len(c.where) < c.found.size or c.found.size < 4:
        return None  # too few entries were measured, or some lie on kinks
    left = np.empty(c.found.shape)
    for index, value in zip(c.where, c.value - c.here, strict=True):
        left[index] = value
    x, ones = c.arguments[c.name], np.ones(c.found.shape)
    for axes in (a for n in range(x.ndim, 0, -1) for a in itertools.combinations(range(x.ndim), n)):
        count = int(np.prod([x.shape[a] for a in axes]))
        centred = x - x.mean(axis=axes, keepdims=True)
        one = {
            "the same everywhere: the way through the mean": [ones],
            f"a multiple of {c.name} less its mean: the way through the variance": [centred],
            f"a multiple of {c.name}: the way through its norm or mean square": [x],
            "a multiple of the result: the way through the sum that it is divided by": [c.y],
        }
        two = {"of two parts, the ways through the mean and through the variance": [ones, centred]}
        for forms in (one, two):
            fitting = [
                said
                for said, basis in forms.items()
                if count > len(basis) + 1 and basis[0].shape == x.shape and _fits(c, left, basis, axes)
            ]
            if fitting:
                where = f"axis {axes[0]}" if len(axes) == 1 else f"axes {listed(axes)}"
                return f"a term is missing that is, along {where}, {', or '.join(fitting)}"
    return None


def _fits(c, left, basis, axes):
    """Whether the leftover is a sum of multiples of the arrays in `basis`, with factors of its own for each slice."""
    keep = [a for a in range(left.ndim) if a not in axes]

    def slices(array):
        return array.transpose([*keep, *axes]).reshape(int(np.prod([array.shape[a] for a in keep])), -1)

    rows, columns = slices(left), np.stack([slices(b) for b in basis], axis=-1)
    fitted = np.zeros_like(rows)
    for i, (row, column) in enumerate(zip(rows, columns, strict=True)):
        fitted[i] = column @ np.linalg.lstsq(column, row, rcond=None)[0]
    limit = 4 * float(c.tolerance.max()) + 1e-6 * np.abs(rows).max()
    return bool(np.abs(rows).max() > 10 * limit) and bool((np.abs(fitted - rows) <= limit).all())
