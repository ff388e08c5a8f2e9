"""Why a gradient is wrong: what the right numbers, put beside the wrong ones, give away."""

import itertools
from dataclasses import dataclass

import numpy as np

EXACT = 1e-9  # how close a wrong gradient comes to the known mistake that it is


@dataclass
class Clues:
    """What is known about a wrong gradient, that of the argument called `name`.

    found: the gradient; slopes: the right values, where they were measured; at_zero, at_minus_two: the gradient for
    dy = 0 and for -2 dy; arguments: all of them by name; others: the gradients of the other arguments by name.
    """

    name: str
    found: np.ndarray
    slopes: object
    rtol: float
    at_zero: np.ndarray | None
    at_minus_two: np.ndarray | None
    y: np.ndarray
    arguments: dict
    others: dict
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
    if found.size < x.size:
        return [f"it has fewer elements than {name}: spread it out again over the axes that were reduced (np.broadcast_to)"]
    if found.shape == y.shape:
        return [f"it has the shape of the result: it has to be brought back to that of {name}"]
    return [f"it has more elements than {name}: take away what belongs to padding or to other arguments"]


def of_values(clues):
    """Hints for wrong values: one that explains every number, else what the wrong entries have in common."""
    for explain in (_upstream, _nothing, _linearity, _ratio, _factor, _swapped, _ratio_along, _moved, _one_sided):
        hint = explain(clues)
        if hint:
            return [hint]
    hints = _places(clues)
    if not hints and clues.wrong.any():
        hints = ["no factor, transpose, flip or shift makes these the right numbers: work out one of these entries by hand"]
    return hints


def _upstream(c):
    """dy does not come in, or only partly."""
    if c.at_zero is None or c.at_zero.shape != c.found.shape or not np.any(c.at_zero):
        return None
    if equal(c.found, c.at_zero):
        return "the gradient is the same whatever dy is: dy, the gradient from above, is not multiplied in"
    return "for dy = 0 the gradient must be 0, but it is not: something is added that dy is not multiplied into"


def _nothing(c):
    if c.found.any() or not c.wrong.any():
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
        if abs(abs(ratio) - factor) < 1e-4 * factor:
            size = "large"
        elif abs(abs(ratio) * factor - 1) < 1e-4:
            size = "small"
        else:
            continue
        return f"every entry is {factor:g} times too {size}{' and has the wrong sign' if ratio < 0 else ''}: {meaning}"
    return f"every entry is off by the same factor {ratio:.6g}"


def _factors(c):
    """Factors that are often forgotten or put in twice, and what they may mean."""
    yield 2, "a factor 2 is missing or too many, as in d(a^2) = 2 a da; or something is counted twice"
    shapes = [(c.name, c.found.shape), ("the result", c.y.shape)]
    told = {2}
    for count in (1, 2, 3, 4):
        for what, shape in shapes:
            for axes in itertools.combinations(range(len(shape)), count):
                n = int(np.prod([shape[a] for a in axes]))
                if n > 1 and n not in told:
                    told.add(n)
                    axes = f"axis {axes[0]}" if count == 1 else f"axes {_list(axes)}"
                    yield n, f"{n} is the size of {axes} of {what}: is a mean taken for a sum, or a sum for a mean?"
    lengths = {n: f"axis {a} of {what}" for what, shape in reversed(shapes) for a, n in enumerate(shape) if n > 1}
    for (n, one), (m, other) in itertools.permutations(lengths.items(), 2):
        if n > m:
            yield n / m, f"{n} is the size of {one}, {m} that of {other}: is it divided by the wrong one?"


def _factor(c):
    """The gradient lacks, or has once too often, an argument or the result as a factor."""
    candidates = {**c.arguments, "the result": c.y, "(1 - the result)": 1 - c.y}
    with np.errstate(all="ignore"):
        for name, array in candidates.items():
            if not _fits(array, c.found):
                continue
            for power, sign in itertools.product((1, -1, 2, -2), (1, -1)):
                if c.explains(c.read(sign * c.found * array**power)):
                    what = name if abs(power) == 1 else f"{name} squared"
                    minus = "minus " if sign < 0 else ""
                    how = "multiplied" if power > 0 else "divided"
                    return f"{minus}this {how} by {what} is the right gradient"
    return None


def _fits(array, found):
    try:
        return np.broadcast_shapes(array.shape, found.shape) == found.shape
    except ValueError:
        return False


def _swapped(c):
    """The gradient is that of another argument."""
    for name, found in c.others.items():
        if found is not None and found.shape == c.found.shape and c.explains(c.read(found)):
            return f"what came as the gradient of {name} is the right one of {c.name}: they are swapped"
    return None


def _ratio_along(c):
    """Every slice along one axis is off by a factor of its own."""
    big = np.abs(c.value) > 1e-3 * c.slopes.scale
    for axis in range(c.found.ndim if c.found.ndim > 1 and c.wrong[big].all() else 0):
        at = np.array([i[axis] for i in c.where])
        ratio = np.ones(len(at))
        for n in set(at[big].tolist()):
            ratio[at == n] = np.median(c.here[big & (at == n)] / c.value[big & (at == n)])
        alone = min((np.count_nonzero(big & (at == n)) for n in set(at.tolist())), default=0) < 2
        if not alone and ratio.all() and c.explains(c.here / ratio):
            return (
                f"every slice along axis {axis} is off by a factor of its own: a factor with one value for each is missing"
            )
    return None


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
    for axes in (*((a,) for a in long), *itertools.combinations(long, 2)):
        for by in itertools.product((1, -1, 2, -2), repeat=len(axes)):
            if c.explains(c.read(_shifted(c.found, axes, by))):
                way = _list(
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


def _one_sided(c):
    """Wrong entries that are all zero, or ought to be."""
    if not c.wrong.any():
        return None
    zero, ought = c.here == 0, np.abs(c.value) <= c.tolerance
    if c.wrong.all() and zero.any() and (zero != ought).all():
        return "the gradient is 0 exactly where it should not be, and not 0 where it should: a mask is upside down"
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
        if len(at) == len(seen) or 2 * len(at) > n:
            continue
        if set(at) <= {0, n - 1} and n > 3:
            hints.append(f"wrong only at the border, {_list(at)} of axis {axis} (length {n}): padding, or a window's edge")
        elif len(at) <= 8:
            hints.append(f"wrong only at {_list(at)} of axis {axis} (length {n})")
    return hints


def _list(numbers):
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
