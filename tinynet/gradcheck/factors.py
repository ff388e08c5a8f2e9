"""A gradient that is right but for a factor: one number, one for each slice, an argument, or the result."""

import itertools
import math

import numpy as np

from tinynet.gradcheck.clues import listed


def of_all(c):
    """The whole gradient is off by one factor."""
    big = np.abs(c.value) > 1e-3 * c.slopes.scale
    if not big.any() or (big.sum() < 2 and len(c.value) > 1):
        return None
    ratio = float(np.median(c.here[big] / c.value[big]))
    if ratio == 0 or not c.explains(c.here / ratio):
        return None
    if abs(ratio + 1) < 1e-4:
        return "the sign is wrong: every entry is minus the right one"
    sign, size = " and has the wrong sign" if ratio < 0 else "", abs(ratio)
    way = "large" if size > 1 else "small"
    factor = size if size > 1 else 1 / size
    meanings = [meaning for number, meaning in _meanings(c) if abs(factor - number) < 1e-4 * number]
    if not meanings:
        return f"every entry is off by the same factor {ratio:.6g}"
    return f"every entry is {factor:.6g} times too {way}{sign}: {'; or '.join(meanings[:3])}"


def _meanings(c):
    """(factor, what it may mean): factors that are often forgotten, or put in twice. Several may be the same number."""
    yield 2, "a factor 2 is missing or too many, as in d(a^2) = 2 a da, or something is counted twice"
    shapes = [(c.name, c.found.shape), ("the result", c.y.shape), *((n, a.shape) for n, a in c.arguments.items())]
    told = set()
    for count in (1, 2, 3, 4):
        for what, shape in shapes:
            for axes in itertools.combinations(range(len(shape)), count):
                n = math.prod(shape[a] for a in axes)
                if n > 1 and n not in told:
                    told.add(n)
                    where = f"axis {axes[0]}" if count == 1 else f"axes {listed(axes)}"
                    yield n, f"{n} is the size of {where} of {what}: is a mean taken for a sum, or a sum for a mean?"
                    if n > 2:
                        yield (
                            n - 1,
                            f"{n - 1} is the size of {where} of {what} less 1: is it a variance by the other?",
                        )
                        yield n / (n - 1), f"{n} and {n - 1} are the size of {where} of {what} and that less 1: see ddof"
                        yield math.sqrt(n), f"{math.sqrt(n):.6g} is the square root of {n}, the size of {where} of {what}"
    lengths = {n: f"axis {a} of {what}" for what, shape in reversed(shapes[:2]) for a, n in enumerate(shape) if n > 1}
    for (n, one), (m, other) in itertools.permutations(lengths.items(), 2):
        if n > m:
            yield n / m, f"{n} is the size of {one}, {m} that of {other}: is it divided by the wrong one?"


def of_an_array(c):
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


def of_each_slice(c):
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
