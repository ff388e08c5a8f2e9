"""Why a gradient is wrong: what the right numbers, put beside the wrong ones, give away."""

import itertools
from dataclasses import dataclass

import numpy as np

EXACT = 1e-9  # how close a wrong gradient comes to the known mistake that it is


@dataclass
class Clues:
    """What is known about a wrong gradient. found: all of it; slopes: the right values, where they were measured."""

    name: str
    x: np.ndarray
    found: np.ndarray
    slopes: object
    at_zero: np.ndarray | None
    at_minus_two: np.ndarray | None
    cotangent: np.ndarray
    rtol: float
    off_tape: bool

    def __post_init__(self):
        kept = np.flatnonzero(~self.slopes.kink)
        self.where = [self.slopes.where[i] for i in kept]
        self.value, self.tolerance = self.slopes.value[kept], self.slopes.tolerance(self.rtol)
        self.here = self.read(self.found)
        self.wrong = np.abs(self.here - self.value) > self.tolerance

    def read(self, array):
        return np.array([array[i] for i in self.where], float)

    def explains(self, values):
        """Whether `values` are the right ones: as close as the wrong entries' own accuracy allows, with room for a step."""
        told = np.isfinite(values)
        close = np.abs(values - self.value)[told] <= 4 * self.tolerance
        return told.sum() * 2 > len(told) and bool(close.all()) and bool(self.wrong[told].any())


def equal(found, mistake):
    """Whether a gradient is that mistake: same shape, same values to 1e-9 of the largest."""
    if found is None or found.shape != mistake.shape:
        return False
    with np.errstate(all="ignore"):
        limit = EXACT * np.abs(mistake[np.isfinite(mistake)]).max(initial=0.0)
        return bool(np.all((found == mistake) | (np.abs(found - mistake) <= limit) | (np.isnan(found) & np.isnan(mistake))))


def of_shape(found, x, y, name):
    """Hints for a gradient of the wrong shape or dtype."""
    if found is None or found.shape == x.shape:
        if found is not None and found.dtype != x.dtype and np.isfinite(found).all():
            return [f"the gradient has the dtype of its argument: make it {x.dtype}"]
        return []
    if found.shape[::-1] == x.shape:
        return ["its axes are in the reverse order: a transpose is missing"]
    if found.size == x.size:
        return [f"it has as many elements as {name}, in another shape: reshape it to {x.shape}, or drop keepdims"]
    extra = found.ndim - x.ndim
    if extra >= 0:
        aligned = (1,) * extra + x.shape
        axes = [i for i, (have, want) in enumerate(zip(found.shape, aligned, strict=True)) if have != want]
        if all(aligned[i] == 1 for i in axes):
            axes = sorted({*range(extra), *axes})
            plural = "axes" if len(axes) > 1 else "axis"
            return [f"{name} was broadcast: sum the gradient over {plural} {', '.join(map(str, axes))}"]
    if x.ndim >= found.ndim:
        return [f"it has fewer elements than {name}: spread it out again over the axes that were summed (np.broadcast_to)"]
    return [f"only elements of an array of shape {x.shape} have a slope; the result has shape {y.shape}"]


def of_values(clues):
    """Hints for wrong values: one that explains every number, else what the wrong entries have in common."""
    for explain in (_upstream, _nothing, _linearity, _ratio, _moved, _one_sided):
        hint = explain(clues)
        if hint:
            return [hint]
    return _places(clues)


def _upstream(c):
    """dy does not come in, or only partly."""
    if c.at_zero is None or c.at_zero.shape != c.found.shape or not np.any(c.at_zero):
        return None
    if equal(c.found, c.at_zero):
        return "the gradient is the same whatever dy is: dy, the gradient from above, is not multiplied in"
    return "for dy = 0 the gradient must be 0, but it is not: something is added that dy is not multiplied into"


def _nothing(c):
    if c.found.any():
        return None
    if c.off_tape:
        return (
            "no gradient arrived: something between this argument and the result is not on the tape (.data, detach, no_grad)"
        )
    return "the gradient is 0 everywhere, the slope is not"


def _ratio(c):
    """The whole gradient is off by one factor."""
    big = np.abs(c.value) > 1e-3 * c.slopes.scale
    if big.sum() < 2 and len(c.value) > 1:
        return None
    if not big.any():
        return None
    ratio = float(np.median(c.here[big] / c.value[big]))
    if ratio == 0 or not c.explains(c.here / ratio):
        return None
    if abs(ratio + 1) < 1e-4:
        return "the sign is wrong: every entry is minus the right one"
    for factor, meaning in _factors(c):
        if abs(ratio - factor) < 1e-4 * factor:
            return f"every entry is {factor:g} times too large: {meaning}"
        if abs(ratio * factor - 1) < 1e-4:
            return f"every entry is {factor:g} times too small: {meaning}"
        if abs(ratio + factor) < 1e-4 * factor or abs(ratio * factor + 1) < 1e-4:
            return f"every entry is off by the same factor {ratio:.6g}, sign included: {meaning}"
    return f"every entry is off by the same factor {ratio:.6g}"


def _factors(c):
    yield 2, "a factor 2 is missing or too many, as in d(a^2) = 2 a da; or something is counted twice"
    sizes = {}
    for what, shape in ((c.name, c.x.shape), ("the result", c.cotangent.shape)):
        for axis, n in enumerate(shape):
            sizes.setdefault(n, f"{n} is the length of axis {axis} of {what}: a mean taken for a sum, or a sum for a mean")
    for what, array in ((c.name, c.x), ("the result", c.cotangent)):
        sizes.setdefault(array.size, f"{array.size} is the number of elements of {what}: mean and sum are mixed up")
    yield from ((n, text) for n, text in sizes.items() if n > 2)


def _moved(c):
    """The right numbers at the wrong place."""
    shape, ndim = c.found.shape, c.found.ndim
    if c.found.size < 3 or ndim > 5:
        return None
    for axes in itertools.permutations(range(ndim)):
        if axes == tuple(range(ndim)) or tuple(shape[a] for a in axes) != shape:
            continue
        if c.explains(c.read(c.found.transpose(axes))):
            swapped = _list(a for a in range(ndim) if axes[a] != a)
            return f"these are the right numbers with axes {swapped} swapped: a transpose is missing or too many"
    long = [a for a in range(ndim) if shape[a] > 1]
    for count in range(1, len(long) + 1):
        for axes in itertools.combinations(long, count):
            if c.explains(c.read(np.flip(c.found, axes))):
                plural = "axes" if count > 1 else "axis"
                return f"these are the right numbers in reverse order along {plural} {_list(axes)}: something is flipped"
    for axis, by in itertools.product(long, (1, -1, 2, -2)):
        if shape[axis] > 2 * abs(by) and c.explains(c.read(_shifted(c.found, axis, by))):
            return (
                f"these are the right numbers, {abs(by)} too {'far' if by > 0 else 'early'} along axis {axis}: "
                "an index or the padding is off, or cropped at the wrong end"
            )
    return None


def _shifted(array, axis, by):
    """The array moved back by `by` along an axis; nan where nothing moved in."""
    moved = np.full(array.shape, np.nan)
    source, target = [slice(None)] * array.ndim, [slice(None)] * array.ndim
    source[axis], target[axis] = slice(max(by, 0), min(by, 0) or None), slice(max(-by, 0), min(-by, 0) or None)
    moved[tuple(target)] = array[tuple(source)]
    return moved


def _one_sided(c):
    """Wrong entries that are all zero, or ought to be."""
    if not c.wrong.any():
        return None
    if not c.here[c.wrong].any():
        return "; ".join(["every wrong entry is 0: the gradient never reaches it, or is overwritten", *_places(c)])
    if (np.abs(c.value[c.wrong]) <= c.tolerance).all():
        return "; ".join(["every wrong entry ought to be 0: its slope is, nothing must arrive there", *_places(c)])
    return None


def _linearity(c):
    doubled = c.at_minus_two
    if doubled is None or doubled.shape != c.found.shape:
        return None
    if np.abs(doubled + 2 * c.found).max(initial=0.0) <= EXACT * np.abs(c.found).max(initial=0.0):
        return None
    return "the gradient is not linear in dy: dy comes in twice, or decides something that only the arguments may decide"


def _places(c):
    """Where along each axis the wrong entries are, if that is not everywhere."""
    hints = []
    wrong = [i for i, w in zip(c.where, c.wrong, strict=True) if w]
    if len(wrong) < 2 or len(wrong) == len(c.where):
        return hints
    for axis, n in enumerate(c.found.shape):
        at, seen = sorted({i[axis] for i in wrong}), {i[axis] for i in c.where}
        if len(at) == len(seen) or n < 3:
            continue
        if set(at) <= {0, n - 1}:
            hints.append(f"wrong only at the border, {_list(at)} of axis {axis} (length {n}): padding, or a window's edge")
        elif len(at) <= 8:
            hints.append(f"wrong only at {_list(at)} of axis {axis} (length {n})")
    return hints


def _list(numbers):
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
