"""Arithmetic: each rule is one line of calculus. `g` is the gradient of the loss with respect to the output.

Broadcasting needs no care here: the engine sums a gradient over the axes along which its input was broadcast.
"""

import math
import operator

import numpy as np

from tinynet.errors import check_alike
from tinynet.ops.inputs import expect, kept, operands
from tinynet.tape import record
from tinynet.value import Value


def add(a, b):
    """a + b, elementwise with NumPy's broadcasting."""
    a, b, out = combined("add", operator.add, a, b)
    return record("add", out, (a, b), lambda g: (g, g))


def sub(a, b):
    """a - b, elementwise with NumPy's broadcasting."""
    a, b, out = combined("sub", operator.sub, a, b)
    return record("sub", out, (a, b), lambda g: (g, -g))


def mul(a, b):
    """a * b, elementwise with NumPy's broadcasting."""
    a, b, out = combined("mul", operator.mul, a, b)
    x, y = kept(a.data, b), kept(b.data, a)
    return record("mul", out, (a, b), lambda g: (times(g, y), times(g, x)))


def div(a, b):
    """a / b, elementwise with NumPy's broadcasting: d(a/b) = da / b - (a / b^2) db."""
    a, b, out = combined("div", operator.truediv, a, b)
    y, ratio = b.data, kept(out, b)
    return record("div", out, (a, b), lambda g: (g / y, None if ratio is None else -(ratio / y * g)))


def pow(a, b):
    """a ** b, elementwise with NumPy's broadcasting: d(a^b) = b a^(b-1) da + a^b log(a) db.

    a^0 is 1 with the slope 0, even for a = inf and nan. PyTorch writes a ** -0.5, which is also in the gradient of a ** 0.5,
    as 1 / sqrt(a): at -0 and -inf that is -inf and nan, and here, as a power should be, inf and 0.
    """
    if isinstance(b, (int, float)):
        x, p = a.data, b if isinstance(b, int) else float(b)  # float: an np.float64 would widen float32
        return record("pow", x**p, (a,), lambda g: (g * (p * x ** (p - 1)) if p else np.zeros_like(g),))
    a, b, out = combined("pow", operator.pow, a, b)
    x, y, power, a_wants = a.data, b.data, kept(out, b), a.requires_grad

    def backward(g):
        da = db = None
        if a_wants:
            # b = 0 gives the constant 1 even at a = 0, inf and nan, where 0 * a^-1 would be nan.
            da = np.where(y == 0, 0, g * (y * x ** np.where(y == 0, 1, y - 1)))
        if power is not None:
            # 0^b is 0 for every b > 0, so its slope there is 0, where 0 * log(0) would be nan; at b = 0, as in PyTorch, too.
            flat = (x == 0) & (y >= 0)
            db = g * np.where(flat, 0, power * np.log(np.where(flat, 1, x)))
        return da, db

    return record("pow", out, (a, b), backward)


def neg(a):
    """-a."""
    return record("neg", -a.data, (a,), lambda g: (-g,))


def abs(x):
    """|x|, elementwise: d|x| = sign(x) dx, so that the slope at 0 is 0. At nan it is nan (PyTorch: 0)."""
    values = x.data
    return record("abs", np.abs(values), (x,), lambda g: (g * np.sign(values),))


def exp(x):
    """e^x, elementwise: d(e^x) = e^x dx."""
    expect("exp", x)
    y = np.exp(x.data)
    return record("exp", y, (x,), lambda g: (g * y,))


def log(x):
    """Natural logarithm, elementwise: d(log x) = dx / x."""
    expect("log", x)
    values = x.data
    return record("log", np.log(values), (x,), lambda g: (g / values,))


def sqrt(x):
    """Square root, elementwise: d(sqrt x) = dx / (2 sqrt x)."""
    expect("sqrt", x)
    y = np.sqrt(x.data)
    return record("sqrt", y, (x,), lambda g: (g * 0.5 / y,))


def maximum(a, b):
    """max(a, b), elementwise with NumPy's broadcasting; where both are equal each gets half of the gradient.

    Where one is nan the result is nan, and each gets all of the gradient, as in PyTorch.
    """
    return _better("maximum", np.maximum, operator.gt, a, b)


def minimum(a, b):
    """min(a, b), elementwise with NumPy's broadcasting; where both are equal, or one is nan, as in `maximum`."""
    return _better("minimum", np.minimum, operator.lt, a, b)


def _better(op, choose, is_better, a, b):
    a, b, out = combined(op, choose, a, b)
    x, y = a.data, b.data

    def backward(g):
        g = np.where(x == y, g / 2, g)
        return np.where(is_better(y, x), 0, g), np.where(is_better(x, y), 0, g)

    return record(op, out, (a, b), backward)


def astype(x, dtype):
    """x in another dtype; the gradient comes back in the dtype of x. Integers have none: they are off the tape."""
    before, dtype = x.data.dtype, np.dtype(np.dtype(dtype).type)  # of the type, whose bytes are in this machine's order
    if dtype.kind != "f":
        return x.off_tape(x.data.astype(dtype))
    return record("astype", x.data.astype(dtype), (x,), lambda g: (g.astype(before),))


def matmul(a, b):
    """The matrix product a @ b, with NumPy's rules for stacks of matrices and for vectors.

    y[..., i, j] = sum_k a[..., i, k] b[..., k, j];  da = g @ b^T,  db = a^T @ g.
    a: (..., n, k) or (k,). b: (..., k, m) or (k,). Raises ValueError if the inner sizes differ.
    """
    a, b = operands("matmul", a, b)
    if a.ndim == 0 or b.ndim == 0 or a.shape[-1] != b.shape[-2 if b.ndim > 1 else 0]:
        raise ValueError(f"matmul: the last axis of a must be as long as the last but one of b; a {a.shape}, b {b.shape}")
    x, y, a_shape, b_shape = kept(a.data, b), kept(b.data, a), a.shape, b.shape

    def backward(g):
        # A vector is a matrix with one row (a) or one column (b): put the missing axes back, then take them away again.
        if len(b_shape) == 1:
            g = g[..., None]
        if len(a_shape) == 1:
            g = g[..., None, :]
        da = db = None
        if y is not None:
            da = g @ (y[:, None] if y.ndim == 1 else y).swapaxes(-1, -2)
            da = da.sum(axis=tuple(range(da.ndim - 1))) if len(a_shape) == 1 else da
        if x is not None:
            db = (x[None, :] if x.ndim == 1 else x).swapaxes(-1, -2) @ g
            db = db.sum(axis=tuple(range(db.ndim - 2)))[:, 0] if len(b_shape) == 1 else db
        return da, db

    return record("matmul", broadcast("matmul", operator.matmul, a, b), (a, b), backward)


def linear(x, weight, bias=None):
    """A fully connected layer: y = x W^T + b.

    dx = g W,  dW = g^T x,  db = sum of g over all rows. x: (..., in). weight: (out, in). bias: (out,) or None.
    Result: (..., out). Raises ValueError if the sizes do not fit. Paper section 3.5 (fc6, fc7, fc8).
    """
    inputs = (x, weight) if bias is None else (x, weight, bias)
    expect("linear", *inputs)
    w, shape = weight.data, x.shape
    if w.ndim != 2 or x.ndim < 1 or shape[-1] != w.shape[1]:
        raise ValueError(
            f"linear: the last axis of x must be the weight's number of inputs; x {shape}, weight {w.shape} (out, in)"
        )
    if bias is not None and bias.shape != w.shape[:1]:
        raise ValueError(f"linear: bias has shape {bias.shape}, expected {w.shape[:1]}, one for each output")
    count, product = math.prod(shape[:-1]), x.device.kernels.matmul
    rows = x.data.reshape(count, shape[-1])
    out = product(rows, w.T)
    if bias is not None:
        out += bias.data
    outputs, rows, w = len(w), kept(rows, weight), kept(w, x)

    def backward(g):
        g = g.reshape(count, outputs)
        dx = None if w is None else product(g, w).reshape(shape)
        dw = None if rows is None else product(g.T, rows)
        return (dx, dw) if bias is None else (dx, dw, g.sum(axis=0))

    return record("linear", out.reshape(*shape[:-1], outputs), inputs, backward)


def combined(op, function, a, b):
    """(a, b, function(a, b)): both as Tensors, and the array that they give."""
    if not (isinstance(a, Value) and isinstance(b, Value)):
        a, b = operands(op, a, b)
    return a, b, broadcast(op, function, a, b)


def broadcast(op, function, a, b):
    """function(a.data, b.data), with a sentence of ours if the shapes do not fit."""
    try:
        return function(a.data, b.data)
    except (TypeError, ValueError) as error:
        check_alike(op, (a, b))  # arrays of a CPU and a GPU do not even multiply
        if isinstance(error, TypeError):
            raise
        raise ValueError(
            f"{op}: shapes {a.shape} and {b.shape} do not broadcast; aligned from the right, "
            "each pair of sizes must be equal or contain a 1"
        ) from None


def times(g, array):
    """g * array, or None where nobody needs it."""
    return None if array is None else g * array
