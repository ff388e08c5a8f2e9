"""Gradients in float32, or on another device, held against float64 on the CPU."""

import numpy as np

from tinynet.devices import as_device
from tinynet.gradcheck.draws import private
from tinynet.gradcheck.functions import float64, names_of, title
from tinynet.gradcheck.report import Report, Result, first_bad
from tinynet.tensor import tensor


def compare_precision(f, args, *, dtype=np.float32, device=None, names=None, rtol=1e-5, seed=0):
    """Compare f and its gradients in `dtype` on `device` with float64 on the CPU.

    Both start from the same numbers, the arguments rounded to `dtype`, and from the same random dy, so what differs is
    the arithmetic. Returns a `Report`: first the result of f, then the gradient of each argument, `analytic` in `dtype`
    and `numeric` in float64. An error is compared with the largest entry, because one that nearly cancels has no accurate
    digits, and where all of them cancel, with what rounding the arguments once more does to them in float64.

    f: takes Tensors and gives a Tensor; every tensor it uses is an argument, for it is called with two dtypes.
    Fails where the error is above rtol, for a result or gradient that is not in `dtype`, and where the one in float64 is
    not finite, for nothing can be held against that.
    """
    device, dtype = as_device(device), np.dtype(dtype)
    rounded = [a.astype(dtype) for a in float64(args)]
    names = names_of(f, names, len(rounded))
    rng, eps = private(seed, "compare_precision"), np.finfo(dtype).eps
    arrays, cpu = [a.astype(np.float64) for a in rounded], as_device("cpu")

    def jolted(array):
        return array * (1 + eps * rng.choice([-1.0, 1.0], size=array.shape))

    y = f(*(tensor(a, requires_grad=True) for a in arrays))
    dy = rng.normal(size=y.shape).astype(dtype)
    exact = _run(f, arrays, cpu, dy)
    moved = _run(f, [jolted(a) for a in arrays], cpu, jolted(dy.astype(np.float64)))
    rough = _run(f, rounded, device, dy)
    op = title(f) if y.entry is None or title(f) != "f" else y.entry.op
    results = [
        _precision(Result(op, name, "fail", "", size=e.size), e, r, m, dtype, rtol)
        for name, e, r, m in zip(["result", *names], exact, rough, moved, strict=True)
    ]
    results[0].title = f"{op} itself"
    return Report(results, f"{op} in {dtype} on {device.name} against float64, seed {seed}")


def _run(f, arrays, device, dy):
    """f(x) and the gradients of all arguments, as NumPy arrays."""
    tensors = [tensor(a, requires_grad=True, device=device) for a in arrays]
    y = f(*tensors)
    if y.requires_grad:
        y.backward(dy)
    return [y.numpy(), *(np.zeros(t.shape, t.dtype) if t.grad is None else t.device.numpy(t.grad) for t in tensors)]


def _precision(result, exact, rough, moved, dtype, rtol):
    """The result, filled in. moved: the exact values after the arguments have been rounded once more."""
    if rough.dtype != dtype:
        result.reason = f"it is {rough.dtype} where every argument is {dtype}"
        return result
    if rough.shape != exact.shape:
        result.reason = f"it has shape {rough.shape}, in float64 it has {exact.shape}"
        return result
    if not np.isfinite(exact).all():
        result.reason = f"in float64 it is not finite: {first_bad(exact)}; choose other arguments"
        return result
    scale = np.abs(exact).max(initial=0.0)
    jolt = np.abs(moved - exact).max(initial=0.0, where=np.isfinite(moved))
    error = np.abs(rough.astype(np.float64) - exact)
    error = np.where(np.isnan(error), np.inf, error)
    wrong = error > rtol * scale + 8 * jolt
    result.checked, result.wrong, result.noise, result.rel = exact.size, int(wrong.sum()), float(jolt), 0.0
    if exact.size:
        order = np.argsort(-error, axis=None, kind="stable")[:3]
        rows = []
        for i in order:
            index = tuple(int(n) for n in np.unravel_index(i, exact.shape))
            rel = float(error[index] / scale) if scale else float(np.inf if error[index] else 0)
            rows.append((index, float(rough[index]), float(exact[index]), rel))
        result.index, result.analytic, result.numeric, result.rel = rows[0]
        result.worst = rows[: result.wrong]
    if result.wrong:
        result.reason = f"{result.wrong} of {exact.size} entries are off by more than {rtol:g} of the largest"
    else:
        result.status, result.reason = "pass", f"largest error {result.rel:.1e}, {exact.size} entries"
    return result
