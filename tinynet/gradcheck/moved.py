"""The right numbers in the wrong place, order or sum: transposed, flipped, shifted, swapped, summed the other way."""

import itertools

import numpy as np

from tinynet.gradcheck.clues import listed


def swapped(c):
    """The gradient is that of another argument."""
    for name, found in c.others.items():
        if found is not None and found.shape == c.found.shape and c.explains(c.read(found)):
            return f"what came as the gradient of {name} is the right one of {c.name}: they are swapped"
    return None


def moved(c):
    """The right numbers at the wrong place."""
    shape, ndim = c.found.shape, c.found.ndim
    if c.found.size < 3 or ndim > 5:
        return None
    for axes in itertools.permutations(range(ndim)):
        if axes == tuple(range(ndim)) or tuple(shape[a] for a in axes) != shape:
            continue
        if c.explains(c.read(c.found.transpose(axes))):
            swapped = listed(a for a in range(ndim) if axes[a] != a)
            return f"these are the right numbers with axes {swapped} swapped: a transpose is missing or too many"
    long = [a for a in range(ndim) if shape[a] > 1]
    for count in range(1, len(long) + 1):
        for axes in itertools.combinations(long, count):
            if c.explains(c.read(np.flip(c.found, axes))):
                plural = "axes" if count > 1 else "axis"
                return f"these are the right numbers in reverse order along {plural} {listed(axes)}: something is flipped"
    for axes in (*((a,) for a in long), *itertools.combinations(long, 2)):
        for by in itertools.product((1, -1, 2, -2), repeat=len(axes)):
            if c.explains(c.read(_shifted(c.found, axes, by))):
                way = listed(
                    f"{abs(b)} too {'far' if b > 0 else 'early'} along axis {a}" for a, b in zip(axes, by, strict=True)
                )
                return (
                    f"these are the right numbers, {way}: an index or the padding is off, or it is cropped at the wrong end"
                )
    return None


def _shifted(array, axes, by):
    """The array moved back along some axes; nan where nothing moved in."""
    moved = np.full(array.shape, np.nan)
    source, target = [slice(None)] * array.ndim, [slice(None)] * array.ndim
    for axis, b in zip(axes, by, strict=True):
        source[axis], target[axis] = slice(max(b, 0), min(b, 0) or None), slice(max(-b, 0), min(-b, 0) or None)
    moved[tuple(target)] = array[tuple(source)]
    return moved


def summed(c):
    """A cumulative sum along an axis that is missing, too many, or runs the wrong way."""
    for axis in (a for a in range(c.found.ndim) if c.found.shape[a] > 2):
        steps = {"from the start": _steps(c.found, axis), "from the end": _back(_steps, c.found, axis)}
        for way, terms in steps.items():  # found is the sum of these, from that end
            other = "from the end" if way == "from the start" else "from the start"
            if c.explains(c.read(_back(np.cumsum, terms, axis) if way == "from the start" else np.cumsum(terms, axis))):
                return f"these are sums {way} of axis {axis}; they must run {other}, since an entry is in all sums behind it"
            if c.explains(c.read(terms)):
                return f"these are sums {way} of axis {axis}; without that sum they are the right gradient"
        for way, total in (("from the start", np.cumsum(c.found, axis)), ("from the end", _back(np.cumsum, c.found, axis))):
            if c.explains(c.read(total)):
                return f"the cumulative sum of this {way} of axis {axis} is the right gradient"
    return None


def _steps(array, axis):
    return np.diff(array, axis=axis, prepend=0)


def _back(function, array, axis):
    """A function along an axis, from its end to its start."""
    return np.flip(function(np.flip(array, axis), axis=axis), axis)


def of_a_moved_argument(c):
    """The gradient is right for another argument than was given: a flipped kernel, a transposed matrix, swapped groups."""
    for name, array in c.arguments.items():
        if name == c.name or array.size < 2:
            continue
        for what, other in _rearranged(array):
            if c.is_gradient_with(name, other):
                return f"this is the gradient for another {name}: one with {what}"
    return None


def _rearranged(array):
    """(what was done to it, the array) for arrangements that are often mistaken for one another."""
    ndim, shape = array.ndim, array.shape
    for axes in ((ndim - 2, ndim - 1), (ndim - 1,), (ndim - 2,)):
        if min(axes) >= 0 and all(shape[a] > 1 for a in axes):
            yield f"{'axes' if len(axes) > 1 else 'axis'} {listed(axes)} flipped", np.flip(array, axes)
    for a, b in itertools.combinations(range(ndim), 2):
        if shape[a] == shape[b] > 1:
            yield f"axes {a} and {b} swapped", array.swapaxes(a, b)
    if ndim and shape[0] > 1 and shape[0] % 2 == 0:
        yield "the halves of axis 0 swapped", np.roll(array, shape[0] // 2, axis=0)
