"""The right step in float32.

How small should the step h of a central difference be? The formula is off by h^2 f''' / 6, which wants a small h. But f is
rounded, by about eps |f|, where eps is the distance from 1 to the next larger number; the division by 2 h makes that larger,
which wants a large h. The sum of both is smallest near h = eps^(1/3). That is 0.000006 in float64 (eps = 2.2e-16) and 0.005
in float32 (eps = 1.2e-7); with the small step, a slope in float32 has only two correct digits.

Two more things go wrong, and in float32 visibly. At x = 10000 the next number is 0.001 away, a fifth of that step: so h has
to grow with |x|, but near x = 0 it must not vanish. And x + h is rounded, too: the two points are not exactly 2 h apart.

Check gradients in float64 when you can. But some code exists in float32 only, as most of what runs on a GPU.
"""

import numpy as np

from tinynet.exercises.checks import Wrong, expect, require
from tinynet.exercises.exercise import Exercise

exercise = Exercise(
    chapter=2, minutes=20, difficulty=2, after=["e04_central_difference"],
    no_library="tinynet checks gradients in float64 only, where one step serves all of its functions",
)  # fmt: skip


@exercise.solution
def slopes(f, x):
    """The slope of f at every entry of x, by central differences, computed in the dtype of x.

    f: takes an array of that dtype and gives one like it, each entry computed from the same entry of x alone: so all entries
    may move at once. x: array of float32 or float64; np.finfo(x.dtype).eps is the eps of its dtype.
    """
    h = np.finfo(x.dtype).eps ** (1 / 3) * np.maximum(1, np.abs(x))
    above, below = x + h, x - h
    return (f(above) - f(below)) / (above - below)


SMALL = "this step is too small for float32: f is rounded to seven digits, and hardly two are right in the small difference"
LARGE = "this step is for float32; in float64 a smaller one gives a better slope, so let h depend on np.finfo(x.dtype).eps"
SAME = "the step is the same for all x; at x = 10000, 0.005 is only five times the distance from a number to the next"
ZERO = "h shrinks to 0 where x is 0: let it grow with |x| only where |x| is above 1"
SIGN = "h grows with x, but not where x is negative; there the distance between numbers grows as well: take |x|"
NONE = "this step is too small for float32: x + h is x itself, and the difference 0"
SIDE = "this steps to one side only, which is off by h * f'' / 2"
ROUNDED = "x + h and x - h are rounded, so they are not 2 h apart; divide by their real distance"


def judge(slopes, f, slope, x, rtol, dtype=np.float32):
    x, points, values = x.astype(dtype), [], []

    def kept(x):
        kind = getattr(x, "dtype", type(x).__name__)
        require(
            kind == dtype,
            f"f was called with {kind}; it exists in {np.dtype(dtype)} only, so h must have that dtype as well",
        )
        points.append(np.array(x, np.float64))
        values.append(np.array(f(x), np.float64))
        return f(x)

    found = slopes(kept, x)
    try:
        expect(found, slope(x), rtol=rtol)
    except Wrong as wrong:
        # In float32 the last digits decide, and hardly two programs give the same: so look at where f was called.
        wrong.likely = cause(points, values, x, found)
        raise


def cause(points, values, x, found):
    """The sentence that the two points deserve, if the slope was made of nothing but f there and their distance."""
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f":
        return None
    if len(points) != 2 or any(a.shape != x.shape for a in (*points, *values, found)):
        return None
    between, eps, size = points[0] - points[1], np.finfo(x.dtype).eps, abs(x.astype(np.float64))
    with np.errstate(all="ignore"):
        divisor = (values[0] - values[1]) / found.astype(np.float64)
    told = np.isfinite(divisor)
    off = abs(divisor - between)[told]
    if (off > (8 * eps * (size + abs(between)))[told]).any():
        return None
    h, best = abs(between) / 2, eps ** (1 / 3)
    if any(np.array_equal(point, x) for point in points) and h.all():
        return SIDE
    if (abs(points[0] + points[1] - 2 * x) > 8 * eps * (size + h)).any():
        return None
    if not h.all():
        return ZERO if not size[h == 0].any() else NONE
    if size.min() > 10 and h[x < 0].max(initial=0) < best * size.min() < h[x > 0].min(initial=np.inf):
        return SIGN
    if size.min() > 10 and h.max() < min(2 * h.min(), best * size.min()):
        return SAME
    h = h / np.maximum(1, size)
    if x.dtype == np.float64:
        return LARGE if 0.001 < h.min() <= h.max() < 0.02 else None
    if h.max() < 3e-5:
        return SMALL
    return ROUNDED if (off > 4 * eps * abs(between)[told]).any() and size.min() > 0 else None


def near_zero(rng):
    return np.append(rng.uniform(-1, 1, size=199), 0.0)


@exercise.check("float32: e^x between -1 and 1, to four digits")
def _(slopes, rng):
    judge(slopes, np.exp, np.exp, near_zero(rng), 1e-4)


@exercise.check("float32: the square root of |x|, for |x| between 100 and 10000, to four digits")
def _(slopes, rng):
    x = rng.uniform(100, 10000, size=200) * np.where(np.arange(200) % 2, 1, -1)
    judge(slopes, lambda x: np.sqrt(np.abs(x)), lambda x: np.sign(x) * 0.5 / np.sqrt(np.abs(x)), x, 1e-4)


@exercise.check("float32: the line y = x has the slope 1, to six digits")
def _(slopes, rng):
    judge(slopes, np.array, np.ones_like, rng.uniform(0.5, 8, size=200), 1e-6)


@exercise.check("float64: e^x between -1 and 1, to nine digits")
def _(slopes, rng):
    judge(slopes, np.exp, np.exp, near_zero(rng), 1e-9, np.float64)


exercise.mistake(SMALL, "np.finfo(x.dtype).eps ** (1 / 3)", "1e-5")
exercise.mistake(LARGE, "np.finfo(x.dtype).eps ** (1 / 3)", "0.005")
exercise.mistake(
    "the square root of eps is the step for a difference to one side; for two sides the best is larger, eps^(1/3)",
    "** (1 / 3)",
    "** (1 / 2)",
)
exercise.mistake("eps itself is no step: x + eps is the next number after x, or x itself", " ** (1 / 3)", "")
exercise.mistake(SAME, "np.maximum(1, np.abs(x))", "np.ones_like(x)")
exercise.mistake(ZERO, "np.maximum(1, np.abs(x))", "np.abs(x)")
exercise.mistake(SIGN, "np.maximum(1, np.abs(x))", "np.maximum(1, x)")
exercise.mistake(
    "this divides by twice the distance of the points; above - below is all of it",
    "(above - below)",
    "(2 * (above - below))",
)
exercise.mistake(ROUNDED, "(above - below)", "(2 * h)")
exercise.mistake(SIDE, "x + h, x - h", "x + h, x")
exercise.mistake("the order is turned: f above minus f below", "(f(above) - f(below))", "(f(below) - f(above))")


@exercise.mistake("f is to be called in the dtype of x; a version for float64 does not exist")
def _(f, x):
    x = x.astype(np.float64)
    return (f(x + 1e-6) - f(x - 1e-6)) / 2e-6


exercise.hints(
    "Three lines: h, for every entry its own; the two points; the difference. Begin with h = eps^(1/3) and see what fails.",
    "np.maximum(1, np.abs(x)) is 1 for small x and |x| for large: multiply h by it.",
    "above, below = x + h, x - h are what they are after rounding. Their distance is above - below: divide by that.",
)
