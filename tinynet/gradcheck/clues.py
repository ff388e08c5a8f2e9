"""What is known about a wrong gradient."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

EXACT = 1e-9  # how close a wrong gradient comes to the known mistake that it is


@dataclass
class Clues:
    """What is known about a wrong gradient, that of the argument called `name`.

    found: the gradient; slopes: the right values, where they were measured; at_zero, at_minus_two: the gradient for
    dy = 0 and for -2 dy; arguments: all of them by name; others: the gradients of the other arguments by name.
    slopes_with: function (name, array, places) to the `Slopes` at these places when that argument is that array instead.
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
    slopes_with: Callable

    def __post_init__(self):
        kept = np.flatnonzero(~self.slopes.kink)
        self.where = [self.slopes.where[i] for i in kept]
        self.value, self.tolerance = self.slopes.value[kept], self.slopes.tolerance(self.rtol)[kept]
        self.here = self.read(self.found)
        self.wrong = np.abs(self.here - self.value) > self.tolerance

    def read(self, array):
        return np.array([array[i] for i in self.where], float)

    def explains(self, values):
        """Whether `values` are the right ones: as close as the wrong entries' own accuracy allows, with room for a step."""
        told = ~np.isnan(values)  # nan says nothing of an entry; inf says something wrong
        close = np.abs(values - self.value)[told] <= 4 * self.tolerance[told]
        return told.sum() * 2 > len(told) and bool(close.all()) and bool(self.wrong[told].any())

    def is_gradient_with(self, name, array):
        """Whether the gradient is right if the argument `name` is this array: at a few places first, then at all."""
        wrong = [place for place, w in zip(self.where, self.wrong, strict=True) if w]
        for places in (wrong[:8], self.where):
            slopes = self.slopes_with(name, array, places)
            if slopes is None or slopes.kink.any():
                return False
            here = np.array([self.found[place] for place in places], float)
            if not (np.abs(here - slopes.value) <= 4 * slopes.tolerance(self.rtol)).all():
                return False
        return bool(wrong)


def equal(found, mistake):
    """Whether a gradient is that mistake: same shape, same values to 1e-9 of the largest."""
    if found is None or found.shape != mistake.shape:
        return False
    with np.errstate(all="ignore"):
        limit = EXACT * np.abs(mistake[np.isfinite(mistake)]).max(initial=0.0)
        return bool(np.all((found == mistake) | (np.abs(found - mistake) <= limit) | (np.isnan(found) & np.isnan(mistake))))


def listed(numbers):
    *most, last = map(str, numbers)
    return f"{', '.join(most)} and {last}" if most else last
