"""Why a gradient is wrong: what the right numbers, put beside the wrong ones, give away.

A cause is given only when it explains every number that was measured; where none does, `known` says what is known.
"""

import numpy as np

from tinynet.gradcheck import factors, missing, moved
from tinynet.gradcheck.clues import EXACT, Clues, equal, listed

__all__ = ["Clues", "equal", "known", "of_shape", "of_values"]


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
    explanations = (
        _upstream, _nothing, _linearity, factors.of_all, factors.of_an_array, moved.swapped, factors.of_each_slice,
        moved.moved, moved.summed, missing.term, _one_sided, moved.of_a_moved_argument,
    )  # fmt: skip
    for explain in explanations:
        hint = explain(clues)
        if hint:
            return [hint]
    return _places(clues)


def known(c):
    """What can be said of wrong values for which no cause was recognised."""
    error, scale = np.abs(c.here - c.value), c.slopes.scale or 1.0
    lengths = np.linalg.norm(c.here) * np.linalg.norm(c.value)
    cosine = f"{c.here @ c.value / lengths:.3f}" if lengths else "undefined"
    count = f"{np.count_nonzero(c.wrong)} of {len(c.wrong)} entries are off"
    most, middle = error.max() / scale, np.median(error[c.wrong]) / scale
    return (
        f"no cause was recognised. {count}, by {most:.1e} of the largest slope at most and {middle:.1e} in the middle; the "
        f"cosine between this gradient and the right one is {cosine} (1: all that is wrong is the length). Work out one of "
        "these entries by hand"
    )


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


def _one_sided(c):
    """Wrong entries that are all zero, or ought to be."""
    if not c.wrong.any():
        return None
    zero, ought = c.here == 0, np.abs(c.value) <= c.tolerance
    if c.wrong.all() and zero.any() and (zero != ought).all():
        return "the gradient is 0 exactly where it should not be, and not 0 where it should: a mask is upside down"
    if not c.here[c.wrong].any():
        return "; ".join(["every wrong entry is 0: the gradient never reaches it, or is overwritten", *_places(c)])
    if (np.abs(c.value[c.wrong]) <= c.tolerance[c.wrong]).all():
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
            hints.append(f"wrong only at the border, {listed(at)} of axis {axis} (length {n}): padding, or a window's edge")
        elif len(at) <= 8:
            hints.append(f"wrong only at {listed(at)} of axis {axis} (length {n})")
    return hints
