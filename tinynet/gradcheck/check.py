"""The check of a function's gradients against central differences, in float64."""

from functools import partial

import numpy as np

from tinynet.gradcheck import diagnosis
from tinynet.gradcheck.differences import EPS, Loss, choose, random_directions
from tinynet.gradcheck.draws import private
from tinynet.gradcheck.functions import ArrayFunction, BackwardError, TapeFunction, names_of
from tinynet.gradcheck.report import Report, Result, around, demand, draw, first_bad

_SHOWN = 3  # wrong entries in a report
_TOO_MANY_KINKS = 0.2


def gradcheck(f, args, vjp=None, *, names=None, h=1e-6, rtol=1e-6, limit=400, seed=0, mistakes=()):
    """Compare the gradients of f with central differences; returns a `Report`, a list of one `Result` an argument.

    The report is true only if every result is a pass, so `assert gradcheck(f, args)` means what it says.

    L = sum(c * f(x)) for a fixed random c;  dL/dx_i is compared with (L(x_i + h) - L(x_i - h)) / 2h.

    f: takes Tensors and gives a Tensor, whose tape gives the gradients; or, with `vjp`, takes and gives float64 arrays.
    args: the arguments, arrays (or Tensors) of floats; they are checked in float64. vjp: function (dy, *args) to one
    gradient for each argument. names: of the arguments, default the parameter names of f. h: the step, times |x| where
    that is above 1. rtol: the largest error allowed, as a part of the argument's largest slope; what rounding may have
    done comes on top. limit: up to so many entries of an argument all are checked, above it the corners, the ends of
    every axis and random ones, and random directions through all entries. seed: of c and of all that is random.
    mistakes: (sentence, vjp) pairs, well-known wrong answers; a wrong gradient that equals one is told its sentence.

    A result passes, or fails: another shape or dtype, a value that is not finite or not the slope, a gradient that is
    not linear in dy, an argument or dy written to. Or it is inconclusive: f is not repeatable, rounding hides all
    slopes, or more than a fifth of the entries are on kinks. Entries on kinks are left out and counted.
    Raises TypeError for arguments that are not floats, ValueError for a wrong number of names.
    """
    function = TapeFunction(f, args) if vjp is None else ArrayFunction(f, args, vjp)
    return _Check(function, names_of(f, names, len(function.arrays)), h, rtol, limit, seed, mistakes).report()


def assert_gradients(f, args, vjp=None, *, names=None, h=1e-6, rtol=1e-6, limit=400, seed=0, mistakes=()):
    """As `gradcheck`, but raises GradientError, whose text is the report, unless every result is a pass."""
    return demand(gradcheck(f, args, vjp, names=names, h=h, rtol=rtol, limit=limit, seed=seed, mistakes=mistakes))


class _Check:
    """One call of gradcheck: what all arguments share, then each argument by itself."""

    def __init__(self, function, names, h, rtol, limit, seed, mistakes):
        self.function, self.names, self.h, self.rtol, self.limit, self.seed = function, names, h, rtol, limit, seed
        self.arrays, self.mistakes = function.arrays, mistakes
        self.rng = private(seed, "gradcheck")

    def report(self):
        y, self.forward_wrote = self.function.first()
        self.y, self.c = y, self.rng.normal(size=y.shape)
        shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(self.names, self.arrays, strict=True))
        return Report(self._results(), f"{self.function.op}({shapes}) -> {y.shape}, seed {self.seed}")

    def _results(self):
        if self.y.dtype != np.float64:
            return self._all("fail", f"the result is {self.y.dtype} although every argument is float64")
        if not np.isfinite(self.y).all():
            return self._all("fail", f"the result is not finite: {first_bad(self.y)}")
        if not self._repeatable(1):
            return self._unrepeatable()
        try:
            self.found, self.backward_wrote, self.dy_written = self.function.gradients(self.c)
            again = self.function.gradients(self.c)[0]
            self.at_zero = self.function.gradients(np.zeros_like(self.c))[0]
            self.at_minus_two = self.function.gradients(-2 * self.c)[0]
        except BackwardError as error:
            return self._all("fail", str(error))
        if not all(map(_alike, self.found, again)):
            return self._all(
                "inconclusive",
                "the gradient is another one each time, for the same dy; seed it, or pass it its mask or generator",
            )
        self.known = [(sentence, self._mistake(wrong)) for sentence, wrong in self.mistakes]
        self.loss = Loss(self.function, self.arrays, self.y, self.c, self.h, self.rtol)
        results = [self._judge(k) for k in range(len(self.arrays))]
        if any(r.status == "fail" for r in results) and not self._repeatable(4):
            return self._unrepeatable()  # two calls may agree by chance
        return results

    def _all(self, status, reason):
        return [Result(self.function.op, name, status, reason) for name in self.names]

    def _unrepeatable(self):
        return self._all(
            "inconclusive", "f gives another result for the same arguments; seed it, or pass it its mask or generator"
        )

    def _repeatable(self, times):
        size = 4 * EPS * np.abs(self.y).max(initial=0.0)
        return all(
            again.shape == self.y.shape and (np.abs(again - self.y) <= size).all()
            for again in (self.function(*self.arrays) for _ in range(times))
        )

    def _mistake(self, wrong):
        try:
            with np.errstate(all="ignore"):
                found = wrong(self.c.copy(), *(a.copy() for a in self.arrays))
        except (ValueError, IndexError, TypeError):
            return []  # at these shapes the mistake does not even run, so it is not the one that was made
        return [np.asarray(g) for g in (found if isinstance(found, (tuple, list)) else (found,))]

    def _judge(self, k):
        name, x, found = self.names[k], self.arrays[k], self.found[k]
        result = Result(self.function.op, name, "fail", "", size=x.size)
        if found is None and self.function.tape:
            found = np.zeros(x.shape)  # not on the tape: right, if f really does not depend on it
        reason = self._refusal(k, found)
        sentences = [s for s, gradients in self.known if len(gradients) > k and diagnosis.equal(found, gradients[k])]
        if reason:
            result.reason, result.hints = reason, sentences + diagnosis.of_shape(found, x, self.y, name)
            return result
        slopes, along = self._measure(k, found)
        self._compare(result, found, slopes)
        self._conclude(result, k, found, slopes, along)
        if result.status == "fail":
            clues = diagnosis.Clues(
                name=name,
                found=found,
                slopes=slopes,
                rtol=self.rtol,
                at_zero=self.at_zero[k],
                at_minus_two=self.at_minus_two[k],
                y=self.y,
                arguments=dict(zip(self.names, self.arrays, strict=True)),
                others={n: g for n, g in zip(self.names, self.found, strict=True) if n != name},
                off_tape=self.found[k] is None,
                slopes_with=partial(self._slopes_with, k),
            )
            result.hints = sentences if result.wrong and sentences else diagnosis.of_values(clues)
            if not result.hints and clues.wrong.any():
                result.known = diagnosis.known(clues)
        return result

    def _refusal(self, k, found):
        """Why there is nothing to compare, or None."""
        x, name = self.arrays[k], self.names[k]
        if k in self.forward_wrote:
            return f"f wrote into its argument {name}; work on a copy"
        if k in self.backward_wrote:
            return f"the backward pass wrote into the argument {name}; work on a copy"
        if self.dy_written:
            return "the backward pass wrote into dy, which others may still need; work on a copy"
        if found is None:
            return "no gradient was returned (None)"
        if found.shape != x.shape:
            return f"the gradient has shape {found.shape}, the argument has {x.shape}"
        if found.dtype != np.float64:
            return f"the gradient is {found.dtype}, the argument is float64"
        if not np.isfinite(found).all():
            return f"the gradient is not finite: {first_bad(found)}"
        return None

    def _measure(self, k, found):
        """The slopes of entries, and, if there are too many to look at them all, along random directions."""
        x = self.arrays[k]
        slopes = self.loss.entries(k, choose(x.shape, self.limit, self.rng))
        if x.size <= self.limit:
            return slopes, None
        along = self.loss.directions(k, random_directions(x.shape, self.rng))
        analytic, wrong = self._differ(slopes, found)
        off = self._differ(along, found, k)[1]
        if not wrong.any() and off.any():  # the error is among the entries that were not looked at
            slopes.add(self.loss.entries(k, [self._locate(k, found, along.where[int(np.argmax(off))])]))
            analytic, wrong = self._differ(slopes, found)
        if wrong.any():  # look at all that will be drawn
            worst = int(np.argmax(np.where(wrong, np.abs(analytic - slopes.value), 0.0)))
            seen = set(slopes.where)
            slopes.add(self.loss.entries(k, [i for i in around(x.shape, slopes.where[worst]) if i not in seen]))
        return slopes, along

    def _slopes_with(self, k, name, array, places):
        """The slopes with respect to argument k where the argument `name` is another array; None if f cannot take that."""
        arrays = [array if n == name else a for n, a in zip(self.names, self.arrays, strict=True)]
        try:
            y = self.function(*arrays)
            if y.shape != self.y.shape:
                return None
            return Loss(self.function, arrays, y, self.c, self.h, self.rtol).entries(k, places)
        except (ValueError, IndexError, TypeError, ArithmeticError):
            return None

    def _differ(self, slopes, found, k=None):
        """(analytic, wrong) for entries, or with k for directions."""
        if k is None:
            analytic = np.array([found[i] for i in slopes.where], float)
        else:
            analytic = np.array([(found * self.loss.moved(k, d)).sum() for d in slopes.where], float)
        return analytic, slopes.compare(analytic, self.rtol)

    def _locate(self, k, found, direction):
        """The index of a wrong entry: of two halves, always the one along which the gradient is further off."""
        start, stop = 0, direction.size
        while stop - start > 1:
            middle = (start + stop) // 2
            halves = [np.zeros_like(direction) for _ in range(2)]
            halves[0].flat[start:middle] = direction.flat[start:middle]
            halves[1].flat[middle:stop] = direction.flat[middle:stop]
            slopes = self.loss.directions(k, halves)
            gaps = np.abs(self._differ(slopes, found, k)[0] - slopes.value)
            start, stop = (start, middle) if gaps[0] > gaps[1] else (middle, stop)
        return tuple(int(i) for i in np.unravel_index(start, direction.shape))

    def _compare(self, result, found, slopes):
        """Fill in the numbers."""
        analytic, wrong = self._differ(slopes, found)
        error = np.where(slopes.kink, 0.0, np.abs(analytic - slopes.value))
        rel = error / slopes.scale if slopes.scale else np.where(error > 0, np.inf, 0.0)
        order = np.argsort(-error, kind="stable")
        result.kinks, result.wrong = int(slopes.kink.sum()), int(wrong.sum())
        result.checked = len(slopes.where) - result.kinks
        result.noise = slopes.noise
        rows = [(slopes.where[i], float(analytic[i]) + 0.0, float(slopes.value[i]), float(rel[i])) for i in order[:_SHOWN]]
        if result.checked:
            result.index, result.analytic, result.numeric, result.rel = rows[0]
        else:
            result.rel = 0.0
        result.worst = rows[: min(result.wrong, _SHOWN)]
        if 0 < result.wrong < result.checked:
            marks = {i: "k" if k else "#" if w else "." for i, k, w in zip(slopes.where, slopes.kink, wrong, strict=True)}
            result.picture = draw(result.name, found.shape, result.index, marks)

    def _conclude(self, result, k, found, slopes, along):
        """Fill in the status and its reason."""
        kinks = f", {result.kinks} more on kinks" if result.kinks else ""
        off = along is not None and self._differ(along, found, k)[1].any()
        too_kinky = result.kinks > _TOO_MANY_KINKS * (result.kinks + result.checked)
        hidden = slopes.scale <= slopes.noise and (along is None or along.scale <= along.noise)
        if (result.wrong or too_kinky) and self._rounds_to_float32():
            result.status, result.wrong, result.worst, result.picture = "inconclusive", 0, [], []
            result.reason = "f rounds to float32 inside, and differences show only that; compute in float64 throughout"
        elif result.wrong:
            of = f"checked entries (of {result.size})" if result.size > self.limit else "entries"
            result.reason = f"{result.wrong} of {result.checked} {of} are wrong{kinks}"
        elif off:
            result.reason = "every checked entry is right, but not the slope along a random direction through all entries"
        elif self.at_zero[k] is not None and np.any(self.at_zero[k]):
            result.reason = "the gradient for dy = 0 is not 0"
        elif not self._linear(k, found):
            result.reason = "the gradient for -2 dy is not -2 times the gradient for dy"
        elif self.function.tape and not self._same_alone(k, found):
            result.reason = f"the gradient is another one when only {result.name} is on the tape"
        elif too_kinky:
            result.status = "inconclusive"
            result.reason = (
                f"{result.kinks} of {result.kinks + result.checked} entries are on kinks (ties, or 0 in a ReLU), "
                "where there is no slope, or drown in rounding inside f; choose other arguments"
            )
        elif self.y.size and result.size and hidden:
            result.status = "inconclusive"
            result.reason = (
                f"every slope is below the rounding error of {slopes.noise:.1e}, so right and wrong look alike; "
                "choose arguments or a function with larger slopes"
            )
        else:
            result.status = "pass"
            result.reason = f"largest error {result.rel:.1e}, {result.checked} of {result.size} entries{kinks}"
            if slopes.noise > 10 * self.rtol * slopes.scale:
                result.reason += f"; rounding would hide errors up to {slopes.noise / slopes.scale:.0e}"

    def _rounds_to_float32(self):
        """Whether f, somewhere else, gives nothing but float32 numbers: float64 ones are never that round by chance."""
        moved = self.function(*(a + 1e-3 * self.rng.normal(size=a.shape) for a in self.arrays))
        changed = moved[moved != self.y] if moved.shape == self.y.shape else moved[:0]
        with np.errstate(all="ignore"):
            return bool(changed.size) and bool((changed == changed.astype(np.float32)).all())

    def _linear(self, k, found):
        doubled = self.at_minus_two[k]
        return doubled is None or (
            doubled.shape == found.shape and np.abs(doubled + 2 * found).max(initial=0.0) <= 1e-12 * _largest(found)
        )

    def _same_alone(self, k, found):
        if len(self.arrays) == 1 or self.found[k] is None:
            return True
        try:
            alone = self.function.gradients(self.c, only=k)[0]
        except BackwardError:
            return False
        others = all(g is None for i, g in enumerate(alone) if i != k)
        return others and alone[k] is not None and np.abs(alone[k] - found).max(initial=0.0) <= 1e-12 * _largest(found)


def _alike(a, b):
    """Whether two gradients are the same but for rounding, None and all."""
    if a is None or b is None or a.shape != b.shape:
        return a is b
    if not np.isfinite(a).all() or a.dtype.kind != "f":
        return True  # which is said elsewhere
    return np.abs(a - b).max(initial=0.0) <= 1e-12 * _largest(a)


def _largest(array):
    return np.abs(array).max(initial=0.0)
