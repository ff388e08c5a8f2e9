"""Shaping: the same numbers in another arrangement; the gradient goes back the way the numbers came."""

import math
import operator

import numpy as np

from tinynet.ops.inputs import expect
from tinynet.tape import record
from tinynet.value import Value

INTEGERS = int, np.integer  # faster to ask than numbers.Integral


def reshape(x, *shape):
    """x with another shape, given as integers or as one tuple; one size may be -1."""
    shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], INTEGERS) else shape
    before = x.shape
    try:
        out = x.data.reshape(shape)
    except ValueError:
        raise ValueError(f"reshape: {before} has {x.size} elements, which do not fit into shape {shape}") from None
    return record("reshape", out, (x,), lambda g: (g.reshape(before),))


def transpose(x, *axes):
    """x with its axes permuted as in NumPy: reversed if none is given, else all of them in their new order."""
    axes = axes[0] if len(axes) == 1 and not isinstance(axes[0], INTEGERS) else axes
    axes = tuple(operator.index(a) for a in axes) or tuple(reversed(range(x.ndim)))
    if sorted(a % max(x.ndim, 1) for a in axes) != list(range(x.ndim)):
        raise ValueError(f"transpose: axes {axes} are not an order of the {x.ndim} axes of shape {x.shape}")
    back = tuple(int(i) for i in np.argsort([a % x.ndim for a in axes]))
    return record("transpose", x.data.transpose(axes), (x,), lambda g: (g.transpose(back),))


def flatten(x, start_dim=0, end_dim=-1):
    """x with the axes from start_dim to end_dim (included) joined into one, as in PyTorch."""
    ndim = max(x.ndim, 1)
    start, end = (d + ndim if d < 0 else d for d in (start_dim, end_dim))
    if not 0 <= start <= end < ndim:
        raise ValueError(f"flatten: no axes {start_dim} to {end_dim} in shape {x.shape}")
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start : end + 1]), *x.shape[end + 1 :]))


def index(x, key):
    """x[key] for any index that NumPy takes; an element that was picked twice gets both gradients."""
    shape, xp = x.shape, x.device.xp
    parts = key if isinstance(key, tuple) else (key,)
    views = all(p is None or p is Ellipsis or isinstance(p, (int, np.integer, slice)) for p in parts)
    if not views:
        parts = tuple(_picks(p, x.device) for p in parts)
        key = parts if isinstance(key, tuple) else parts[0]

    def backward(g):
        dx = xp.zeros(shape, dtype=g.dtype)
        if views:
            dx[key] = g
        else:
            xp.add.at(dx, key, g)
        return (dx,)

    return record("index", x.data[key], (x,), backward)


def _picks(part, device):
    # Arrays are brought to the device, as copies, because backward must find them as they are now.
    if isinstance(part, Value):
        return part.data
    if isinstance(part, device.xp.ndarray):
        return device.xp.array(part)
    if isinstance(part, list):
        return list(part)
    return device.array(part) if isinstance(part, np.ndarray) else part


def concat(tensors, axis=0):
    """The tensors joined along an existing axis; each gets its own part of the gradient."""

    def rest(t):
        if not -t.ndim <= axis < t.ndim:
            raise ValueError(f"concat: no axis {axis} in shape {t.shape}; expected one that all tensors have")
        return t.shape[:axis] + t.shape[axis:][1:]

    tensors = _all_alike("concat", tensors, rest)
    data = [t.data for t in tensors]
    ends = np.cumsum([d.shape[axis] for d in data])[:-1].tolist()
    out = tensors[0].device.xp.concatenate(data, axis=axis)
    return record("concat", out, tensors, lambda g: tuple(np.split(g, ends, axis=axis)))


def stack(tensors, axis=0):
    """The tensors, all of one shape, joined along a new axis."""
    tensors = _all_alike("stack", tensors, lambda t: t.shape)
    out = tensors[0].device.xp.stack([t.data for t in tensors], axis=axis)
    return record("stack", out, tensors, lambda g: tuple(np.moveaxis(g, axis, 0)))


def pad(x, pad_width, constant_values=0):
    """x with a border of a constant, as in NumPy: pad_width is one int, or (before, after), or one such pair an axis."""
    expect("pad", x)
    try:
        widths = np.broadcast_to(np.asarray(pad_width), (x.ndim, 2)).tolist()
        out = x.device.xp.pad(x.data, widths or 0, constant_values=constant_values)
    except ValueError:
        raise ValueError(
            f"pad: expected one (before, after) pair of sizes >= 0 for each of the {x.ndim} axes, got {pad_width}"
        ) from None
    inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, x.shape, strict=True))
    return record("pad", out, (x,), lambda g: (g[inside],))


def _all_alike(op, tensors, what):
    tensors = tuple(tensors)
    if not tensors:
        raise ValueError(f"{op}: expected at least one tensor, got none")
    expect(op, *tensors)
    if len({(t.ndim, what(t)) for t in tensors}) > 1:
        raise ValueError(f"{op}: shapes {', '.join(str(t.shape) for t in tensors)} do not fit together")
    return tensors
