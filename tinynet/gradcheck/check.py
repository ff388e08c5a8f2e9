"""The check of a function's gradients against central differences, in float64."""

import inspect

import numpy as np

from tinynet.gradcheck import diagnosis
from tinynet.gradcheck.differences import EPS, Loss, choose, random_directions
from tinynet.gradcheck.report import Report, Result, around, demand, draw
from tinynet.tape import no_grad
from tinynet.tensor import Tensor, tensor

_SHOWN = 3  # wrong entries in a report
_TOO_MANY_KINKS = 0.2


def gradcheck(f, args, vjp=None, *, names=None, h=1e-6, rtol=1e-6, limit=400, seed=0, mistakes=()):
    """Compare the gradients of f with central differences; returns a `Report`, a list of one `Result` an argument.

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
    function = _ArrayFunction(f, args, vjp) if vjp else _TapeFunction(f, args)
    return _Check(function, names_of(f, names, len(function.arrays)), h, rtol, limit, seed, mistakes).report()


def assert_gradients(f, args, vjp=None, *, names=None, h=1e-6, rtol=1e-6, limit=400, seed=0, mistakes=()):
    """As `gradcheck`, but raises GradientError, whose text is the report, unless every result is a pass."""
    return demand(gradcheck(f, args, vjp, names=names, h=h, rtol=rtol, limit=limit, seed=seed, mistakes=mistakes))


class BackwardError(Exception):
    """A backward pass that gave nothing that could be compared."""


class _ArrayFunction:
    """f and vjp on float64 arrays; both get copies, so that whatever they do to them shows."""

    tape = False

    def __init__(self, f, args, vjp):
        self.f, self.vjp, self.arrays, self.op = f, vjp, float64(args), title(f)

    def __call__(self, *arrays):
        return np.array(plain(self.f(*(a.copy() for a in arrays))))

    def first(self):
        """f(x), and which arguments f wrote to."""
        given = [a.copy() for a in self.arrays]
        y = plain(self.f(*given))
        # A copy before the comparison: y may be one of the arguments.
        return np.array(y), {k for k, a in enumerate(given) if not same(a, self.arrays[k])}

    def gradients(self, dy):
        """The gradients, which arguments were written to, and whether dy was."""
        given, cotangent = [a.copy() for a in self.arrays], dy.copy()
        found = self.vjp(cotangent, *given)
        if not isinstance(found, (tuple, list)):
            found = (found,)
        if len(found) != len(given):
            raise BackwardError(f"vjp returned {len(found)} gradients for {len(given)} arguments; expected one for each")
        found = [None if g is None else np.array(plain(g)) for g in found]
        return found, {k for k, a in enumerate(given) if not same(a, self.arrays[k])}, not same(cotangent, dy)


class _TapeFunction:
    """f on Tensors, differentiated by the tape."""

    tape = True

    def __init__(self, f, args):
        args = listed(args)
        self.devices = [a.device if isinstance(a, Tensor) else None for a in args]
        self.f, self.arrays, self.op = f, float64(args), title(f)

    def _tensors(self, arrays, on_tape):
        return [
            tensor(a, requires_grad=on_tape(k), device=d) for k, (a, d) in enumerate(zip(arrays, self.devices, strict=True))
        ]

    def __call__(self, *arrays):
        with no_grad():
            return np.array(_result(self.f(*self._tensors(arrays, lambda k: False))).numpy())

    def first(self):
        given = self._tensors(self.arrays, lambda k: True)
        y = _result(self.f(*given))
        if y.entry is not None and y.entry.leaf is None and self.op == "f":
            self.op = y.entry.op
        return np.array(y.numpy()), self._written(given)

    def gradients(self, dy, only=None):
        """As above; `only`: the one argument that is on the tape, default all."""
        given = self._tensors(self.arrays, lambda k: only in (None, k))
        y, cotangent = _result(self.f(*given)), dy.copy()
        if y.requires_grad:
            try:
                y.backward(cotangent)
            except (TypeError, ValueError) as error:
                if not str(error).startswith("backward of "):  # the sentences of the tape; all others are the user's
                    raise
                raise BackwardError(str(error)) from error
        found = [None if t.grad is None else np.array(t.device.numpy(t.grad)) for t in given]
        return found, self._written(given), not same(cotangent, dy)

    def _written(self, given):
        return {k for k, t in enumerate(given) if not same(t.numpy(), self.arrays[k])}


class _Check:
    """One call of gradcheck: what all arguments share, then each argument by itself."""

    def __init__(self, function, names, h, rtol, limit, seed, mistakes):
        self.function, self.names, self.h, self.rtol, self.limit, self.seed = function, names, h, rtol, limit, seed
        self.arrays, self.mistakes = function.arrays, mistakes
        self.rng = np.random.default_rng(seed)

    def report(self):
        y, self.forward_wrote = self.function.first()
        self.y, self.c = y, self.rng.normal(size=y.shape)
        shapes = ", ".join(f"{n} {a.shape}" for n, a in zip(self.names, self.arrays, strict=True))
        return Report(self._results(), f"{self.function.op}({shapes}) -> {y.shape}, seed {self.seed}")

    def _results(self):
        if self.y.dtype != np.float64:
            return self._all("fail", f"the result is {self.y.dtype} although every argument is float64")
        if not np.isfinite(self.y).all():
            return self._all("fail", f"the result is not finite: {_first_bad(self.y)}")
        if not self._repeatable(1):
            return self._unrepeatable()
        try:
            self.found, self.backward_wrote, self.dy_written = self.function.gradients(self.c)
            self.at_zero = self.function.gradients(np.zeros_like(self.c))[0]
            self.at_minus_two = self.function.gradients(-2 * self.c)[0]
        except BackwardError as error:
            return self._all("fail", str(error))
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
        self._compare(result, found, slopes, along)
        self._conclude(result, k, found, slopes, along)
        if result.status == "fail":
            clues = diagnosis.Clues(
                name, x, found, slopes, self.at_zero[k], self.at_minus_two[k], self.c, self.rtol, self.found[k] is None
            )
            result.hints = sentences if result.wrong and sentences else diagnosis.of_values(clues)
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
            return f"the gradient is not finite: {_first_bad(found)}"
        return None

    def _measure(self, k, found):
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

    def _differ(self, slopes, found, k=None):
        """(analytic, wrong) for entries, or with k for directions."""
        if k is None:
            analytic = np.array([found[i] for i in slopes.where], float)
        else:
            analytic = np.array([(found * self.loss.moved(k, d)).sum() for d in slopes.where], float)
        wrong = ~slopes.kink & (np.abs(analytic - slopes.value) > slopes.tolerance(self.rtol))
        return analytic, wrong

    def _locate(self, k, found, direction):
        """The index of a wrong entry: of two halves, always the one along which the gradient is further off."""
        part = np.arange(direction.size)
        while len(part) > 1:
            halves = part[: len(part) // 2], part[len(part) // 2 :]
            masked = [np.where(np.isin(np.arange(direction.size), h), direction.ravel(), 0.0) for h in halves]
            slopes = self.loss.directions(k, [m.reshape(direction.shape) for m in masked])
            gaps = np.abs(self._differ(slopes, found, k)[0] - slopes.value)
            part = halves[int(np.argmax(gaps))]
        return tuple(int(i) for i in np.unravel_index(part[0], direction.shape))

    def _compare(self, result, found, slopes, along):
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
                "where there is no slope; choose other arguments"
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
        with np.errstate(all="ignore"):
            moved = self.function(*(a + 1e-3 * self.rng.normal(size=a.shape) for a in self.arrays))
            changed = moved[moved != self.y] if moved.shape == self.y.shape else moved[:0]
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


def float64(args):
    """The arguments as float64 arrays of our own; raises TypeError for any that are not floats."""
    arrays = []
    for k, a in enumerate(listed(args)):
        array = np.asarray(a.numpy() if isinstance(a, Tensor) else a)
        if array.dtype.kind != "f" or array.dtype.itemsize > 8:
            raise TypeError(
                f"gradcheck: argument {k} is {array.dtype}, which has no slope to check; pass floats, "
                "and what is not to be differentiated (labels, sizes) inside f: lambda x: f(x, labels)"
            )
        arrays.append(np.array(array, np.float64))
    return arrays


def listed(args):
    """The arguments as a list; a single array or Tensor is a list of one."""
    return [args] if isinstance(args, (np.ndarray, np.floating, float, Tensor)) else list(args)


def plain(value):
    """The array of what a function returned; raises TypeError if that is not numbers."""
    array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"gradcheck: expected an array of numbers, got {type(value).__name__} of dtype {array.dtype}")
    return array


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


def title(f):
    """The name of the function, or "f" if it has none worth showing."""
    name = getattr(getattr(f, "func", f), "__name__", "f")
    return "f" if name == "<lambda>" else name


def names_of(f, names, count):
    if names is not None:
        names = [names] if isinstance(names, str) else list(names)
        if len(names) != count:
            raise ValueError(f"gradcheck: {len(names)} names for {count} arguments; give one for each")
        return names
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    if len(parameters) < count or any(p.kind is p.VAR_POSITIONAL for p in parameters[:count]):
        return [f"argument {k}" for k in range(count)]
    return [p.name for p in parameters[:count]]


def _result(y):
    if not isinstance(y, Tensor):
        raise TypeError(f"gradcheck: without a vjp, f must return a Tensor; got {type(y).__name__}")
    return y


def _first_bad(array):
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    return f"{array[index]} at {index}"


def _largest(array):
    return np.abs(array).max(initial=0.0)
