"""The numeric side: slopes of L = sum(c * f(x)), with what can be known about their error.

A central difference is off by h^2 L''' / 6 + rounding / h; in float64 and with h = 1e-6 both are about 1e-10 of L. It is
worthless where L has a kink between x - h and x + h, so kinks are looked for: over a smooth piece the difference over
half the step gives the same slope and half the change of slope, over a kink it does not.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np

EPS = np.finfo(np.float64).eps
DIRECTIONS = 3


@dataclass
class Slopes:
    """Slopes that were measured: of entries (index tuples) or along directions (the displacements, as arrays)."""

    where: list
    value: np.ndarray
    kink: np.ndarray  # bool: no slope exists there
    noise: float  # how far off rounding may have put any of the values
    half: object  # function from a place to its slope over half the step
    doubt: np.ndarray = field(init=False)  # how far off curvature may have put each value, where somebody asked

    def __post_init__(self):
        self.doubt = np.zeros(len(self.where))

    @property
    def scale(self):
        """The largest slope: what an error is compared with, since an entry may cancel to nearly 0."""
        return float(np.abs(self.value[~self.kink]).max(initial=0.0))

    def tolerance(self, rtol):
        return rtol * self.scale + self.noise + 2 * self.doubt

    def compare(self, analytic, rtol):
        """Which slopes differ from the analytic ones (bool), after a second look at those that nearly agree."""
        error = np.abs(analytic - self.value)
        near = (error > self.tolerance(rtol)) & (error < 1000 * self.tolerance(rtol)) & ~self.kink & (self.doubt == 0)
        for i in np.flatnonzero(near):
            self.doubt[i] = abs(self.value[i] - self.half(self.where[i]))
        return ~self.kink & (error > self.tolerance(rtol))

    def add(self, other):
        self.where = [*self.where, *other.where]
        for part in ("value", "kink", "doubt"):
            setattr(self, part, np.append(getattr(self, part), getattr(other, part)))
        self.noise = max(self.noise, other.noise)


class Loss:
    """L = sum(c * f(x)) around the point x, as a function of one of the arguments."""

    def __init__(self, f, arrays, y, cotangent, h, rtol):
        self.f, self.arrays, self.y, self.cotangent, self.h, self.rtol = f, arrays, y, cotangent, h, rtol

    def entries(self, k, indices):
        """The slopes with respect to single entries of argument k; the step grows with |x| where that is above 1."""

        def displace(index, t):
            x = self.arrays[k].copy()
            x[index] += t * max(1.0, abs(x[index]))
            return x

        return self._slopes(k, indices, displace, lambda index, above, below, _: above[index] - below[index])

    def directions(self, k, directions):
        """The slopes along directions through argument k, whose largest entries are 1."""

        def displace(direction, t):
            return self.arrays[k] + t * direction

        return self._slopes(k, directions, displace, lambda direction, above, below, h: 2 * h)

    def moved(self, k, direction):
        """The direction that a step along `direction` really takes, after rounding."""
        x = self.arrays[k]
        return ((x + self.h * direction) - (x - self.h * direction)) / (2 * self.h)

    def _slopes(self, k, where, displace, length):
        def difference(place, h):
            above, below = displace(place, h), displace(place, -h)
            return self._difference(k, above, below, length(place, above, below, h))

        rows = [difference(place, self.h) for place in where]
        value, bend, noise = (np.array(column, float) for column in zip(*rows, strict=True)) if rows else np.zeros((3, 0))
        outside = ~np.isfinite(value)  # x + h or x - h is not in the domain of f
        half = lambda place: difference(place, self.h / 2)[0]  # noqa: E731
        found = Slopes(list(where), value, outside, self._noise(noise[~outside]), half)
        tolerance = found.tolerance(self.rtol)
        for i in np.flatnonzero(~outside & (np.abs(bend) > 10 * tolerance)):
            half_value, half_bend, _ = difference(where[i], self.h / 2)
            off = abs(value[i] - half_value) + abs(bend[i] - 2 * half_bend)
            found.kink[i] = not off <= self.rtol * found.scale + 16 * found.noise
        return found

    def _noise(self, noise):
        # An output that does not move may still depend on the entry: by less than half a unit in its last place.
        hidden = EPS / 2 * float(np.abs(self.cotangent * self.y).sum()) / self.h
        return max(float(noise.max()), hidden) if len(noise) else 0.0

    def _difference(self, k, above, below, step):
        """(slope, how much the slope changes over the step, what rounding may have done to the outputs that moved)."""
        up, down = (self.f(*self.arrays[:k], x, *self.arrays[k + 1 :]) for x in (above, below))
        with np.errstate(all="ignore"):  # log(x - h) of an x below h is not the user's mistake
            # Term by term: outputs that do not depend on this entry cancel exactly instead of adding their rounding.
            slope = (self.cotangent * (up - down)).sum() / step
            bend = (self.cotangent * (up - 2 * self.y + down)).sum() / (step / 2)
            size = np.abs(self.cotangent) * np.maximum(np.abs(up), np.abs(down))
            noise = 4 * EPS * size[up != down].sum() / (step / 2)
        return slope, bend, noise


def choose(shape, limit, rng):
    """Indices to check: all of them up to `limit`, else the corners, both ends of every axis, and random ones."""
    size = int(np.prod(shape))
    if size <= limit:
        return list(np.ndindex(shape))
    corners = itertools.islice(itertools.product(*({0, n - 1} for n in shape)), limit // 2)
    picked = dict.fromkeys(corners)
    for axis, n in enumerate(shape):
        for end in (0, n - 1):
            index = [int(rng.integers(m)) for m in shape]
            index[axis] = end
            picked[tuple(index)] = None
    for flat in rng.choice(size, limit, replace=False):
        picked[tuple(int(i) for i in np.unravel_index(flat, shape))] = None
    return list(picked)[:limit]


def random_directions(shape, rng, count=DIRECTIONS):
    directions = rng.normal(size=(count, *shape))
    return list(directions / np.abs(directions).max(axis=tuple(range(1, directions.ndim)), keepdims=True))
