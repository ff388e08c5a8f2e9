"""Gradients of whole networks, and gradients in another precision or on another device."""

import numpy as np

from tinynet.gradcheck.differences import EPS, Loss, random_directions
from tinynet.gradcheck.draws import private
from tinynet.gradcheck.report import Report, Result
from tinynet.tape import no_grad
from tinynet.tensor import Tensor

_STEPS = 0.1 * 0.5 ** np.arange(24)  # of the Taylor test, as parts of the parameters' own size


def directional_check(loss, params, k=3, *, h=1e-6, rtol=1e-6, seed=0):
    """Check the gradients of a whole network; returns a `Report`, first of all parameters together, then of each.

    Together: the Taylor remainder |L(p + t d) - L(p) - t g.d| along k random directions d shrinks as t^2 if the gradient
    g is right, as t if it is not, and no step has to be chosen. `report.slopes` are the k exponents, `report.taylor` the
    (t, remainder) arrays behind them. Each parameter: slopes along k random directions, along its own gradient, at its
    steepest entry and at k random ones, against central differences as in `gradcheck`.

    loss: function without arguments to a Tensor of one element, repeatable, in float64. params: Tensors, (name, Tensor)
    pairs, a dict of them, or a Module. Their data and .grad, and a Module's buffers, are afterwards as they were before.
    Raises TypeError for parameters that are not float64.
    """
    names, tensors = _parameters(params)
    buffers = [t for _, t in params.named_tensors()] if hasattr(params, "named_tensors") else []
    network = _Network(loss, tensors, buffers)
    try:
        return network.report(names, k, h, rtol, private(seed, "directional_check"))
    finally:
        network.restore()


class _Network:
    """A loss as a function of the arrays of its parameters."""

    def __init__(self, loss, tensors, buffers):
        self.loss, self.tensors = loss, tensors
        self.arrays = [np.array(t.numpy()) for t in tensors]
        self.set, self.grads = list(self.arrays), [t.grad for t in tensors]
        self.buffers = [(t, np.array(t.numpy())) for t in buffers]  # batch statistics move with every call

    def __call__(self, *arrays):
        for i, (t, a) in enumerate(zip(self.tensors, arrays, strict=True)):
            if a is not self.set[i]:  # most parameters stay where they are from one call to the next
                t.data[...] = t.device.array(a)
                self.set[i] = a
        with no_grad():
            return np.asarray(self.loss().numpy(), np.float64).reshape(())

    def restore(self):
        for t, a in (*self.buffers, *zip(self.tensors, self.arrays, strict=True)):
            t.data[...] = t.device.array(a)
        for t, g in zip(self.tensors, self.grads, strict=True):
            t.grad = g

    def gradients(self):
        for t in self.tensors:
            t.grad = None
        value = self.loss()
        if not isinstance(value, Tensor) or value.data.size != 1:
            raise TypeError("directional_check: loss must return a Tensor with one element")
        if value.dtype != np.float64:
            raise TypeError(f"directional_check: the loss is {value.dtype}; give the network float64 parameters and inputs")
        value.backward()
        return value.item(), [None if t.grad is None else np.array(t.device.numpy(t.grad)) for t in self.tensors]

    def report(self, names, k, h, rtol, rng):
        value, found = self.gradients()
        heading = f"loss {value:.6g} of {len(names)} parameters with {sum(a.size for a in self.arrays):,} entries"
        status = reason = None
        if not np.isfinite(value):
            status, reason = "fail", "the loss is not finite"
        elif any(abs(self(*self.arrays) - value) > 4 * EPS * abs(value) for _ in range(2)):
            status, reason = "inconclusive", "the loss is another one each time; seed its dropout, or give it its masks"
        if reason:
            return Report([Result("loss", name, status, reason) for name in ("all parameters", *names)], heading)
        gradients = [np.zeros(a.shape) if g is None else g for a, g in zip(self.arrays, found, strict=True)]
        taylor = [self._taylor(value, gradients, rng) for _ in range(k)]
        slopes = [_exponent(t, r, value) for t, r in taylor]
        around = Loss(self, self.arrays, np.asarray(value), np.ones(()), h, rtol)
        each = [self._parameter(around, names[i], i, gradients[i], found[i] is None, k, rng) for i in range(len(names))]
        return Report([_together(slopes), *each], heading, taylor, slopes)

    def _taylor(self, value, gradients, rng):
        directions = []
        for a in self.arrays:
            d = rng.normal(size=a.shape)
            size = np.sqrt((a * a).mean()) if a.size else 1.0
            directions.append(d * (size or 1.0))
        slope = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True))
        remainders = []
        for t in _STEPS:
            moved = self(*(a + t * d for a, d in zip(self.arrays, directions, strict=True)))
            remainders.append(abs(float(moved) - value - t * slope))
        return _STEPS.copy(), np.array(remainders)

    def _parameter(self, around, name, i, gradient, off_tape, k, rng):
        result = Result("loss", name, "fail", "", size=gradient.size)
        if gradient.size == 0:
            result.status, result.reason, result.rel = "pass", "it has no entries", 0.0
            return result
        if not np.isfinite(gradient).all():
            result.reason = "the gradient is not finite"
            return result
        rows, noise = [], 0.0
        for label, slopes in self._slopes(around, i, gradient, k, rng):
            noise = max(noise, slopes.noise)
            result.kinks += int(slopes.kink.sum())
            moved = [(gradient * around.moved(i, place)).sum() if label else gradient[place] for place in slopes.where]
            wrong = slopes.compare(np.array(moved, float), around.rtol)
            for j in np.flatnonzero(~slopes.kink):
                analytic, numeric = float(moved[j]), float(slopes.value[j])
                rel = abs(analytic - numeric) / (slopes.scale or 1.0)
                rows.append((label or slopes.where[j], analytic, numeric, rel, bool(wrong[j])))
        rows.sort(key=lambda row: (not row[4], -row[3]))
        result.checked, result.wrong, result.noise = len(rows), sum(row[4] for row in rows), noise
        if rows:
            result.index, result.analytic, result.numeric, result.rel, _ = rows[0]
        result.worst = [row[:4] for row in rows[: min(3, result.wrong)]]
        if result.wrong:
            result.reason = f"{result.wrong} of {len(rows)} slopes are wrong"
            if off_tape:
                result.hints = ["no gradient arrived: something between this parameter and the loss is not on the tape"]
        elif result.kinks > len(rows):
            result.status, result.reason = "inconclusive", "most slopes lie on kinks and do not exist; choose other inputs"
        elif max(abs(row[2]) for row in rows) <= noise:
            result.status, result.reason = "inconclusive", f"every slope is below the rounding error of {noise:.1e}"
        else:
            kinks = f", {result.kinks} more on kinks" if result.kinks else ""
            result.status, result.reason = "pass", f"largest error {result.rel:.1e} in {len(rows)} slopes{kinks}"
        return result

    def _slopes(self, around, i, gradient, k, rng):
        """Three groups of slopes, because an error is compared with the largest slope of its own kind."""
        size, shape = gradient.size, gradient.shape
        steepest = int(np.abs(gradient).argmax())
        entries = [np.unravel_index(j, shape) for j in dict.fromkeys([steepest, *rng.integers(size, size=k).tolist()])]
        yield "a random direction", around.directions(i, random_directions(shape, rng, k))
        if gradient.any():
            yield "its own gradient", around.directions(i, [gradient / np.abs(gradient).max()])
        yield None, around.entries(i, [tuple(map(int, index)) for index in entries])


def _exponent(t, remainder, value):
    """The power of t with which the remainder shrinks over the three smallest steps where it is not yet rounding, or nan."""
    usable = np.flatnonzero(remainder > 50 * EPS * abs(value))[-3:]
    if len(usable) < 2:
        return float("nan")
    return float(np.polyfit(np.log(t[usable]), np.log(remainder[usable]), 1)[0])


def _together(slopes):
    text = ", ".join("exact" if np.isnan(s) else f"{s:.2f}" for s in slopes)
    worst = min((s for s in slopes if not np.isnan(s)), default=2.0)
    status = "pass" if worst > 1.8 else "fail" if worst < 1.5 else "inconclusive"
    meaning = {
        "pass": "the remainder shrinks as t^2",
        "fail": "it must be 2: the gradient is not the slope of the loss",
        "inconclusive": "it should be 2; kinks near this point disturb it",
    }[status]
    reason = f"Taylor exponents {text}: {meaning}"
    return Result("loss", "all parameters", status, reason, rel=abs(2 - worst), title="all parameters together")


def _parameters(params):
    if hasattr(params, "named_parameters"):
        params = params.named_parameters()
    if isinstance(params, dict):
        params = params.items()
    pairs = [p if isinstance(p, tuple) else (f"parameter {i}", p) for i, p in enumerate(params)]
    pairs = [(name, t) for i, (name, t) in enumerate(pairs) if not any(t is other for _, other in pairs[:i])]  # once each
    for name, t in pairs:
        if t.dtype != np.float64:
            raise TypeError(
                f"directional_check: {name} is {t.dtype}, too coarse for differences; make the network float64, "
                "for instance with model.to(dtype=np.float64), and its inputs too"
            )
    return [name for name, _ in pairs], [t for _, t in pairs]
