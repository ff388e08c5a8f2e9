"""Reductions: what a sum forgets, its gradient spreads out again."""

import operator

from tinynet.tape import record


def sum(x, axis=None, keepdims=False):
    """The sum over `axis` (None, int or tuple): every term gets the output's gradient."""
    shape, xp = x.shape, x.device.xp
    spread = _spreader(x, axis, keepdims)
    out = x.data.sum(axis=axis, keepdims=keepdims)
    return record("sum", out, (x,), lambda g: (xp.broadcast_to(spread(g), shape),))


def mean(x, axis=None, keepdims=False):
    """The mean over `axis` (None, int or tuple): every term gets 1/n of the output's gradient."""
    shape, xp = x.shape, x.device.xp
    spread = _spreader(x, axis, keepdims)
    out = x.data.mean(axis=axis, keepdims=keepdims)
    part = out.dtype.type(out.size / (x.size or 1))
    return record("mean", out, (x,), lambda g: (xp.broadcast_to(spread(g) * part, shape),))


def max(x, axis=None, keepdims=False):
    """The largest value over `axis` (None, int or tuple); equal largest values share the gradient equally."""
    return _extreme("max", x, axis, keepdims)


def min(x, axis=None, keepdims=False):
    """The smallest value over `axis` (None, int or tuple); equal smallest values share the gradient equally."""
    return _extreme("min", x, axis, keepdims)


def _extreme(op, x, axis, keepdims):
    spread = _spreader(x, axis, keepdims)
    values = x.data
    try:
        out = getattr(values, op)(axis=axis, keepdims=keepdims)
    except ValueError:
        if values.size:
            raise
        raise ValueError(
            f"{op}: a tensor of shape {x.shape} has no values to choose from; expected at least one element"
        ) from None

    def backward(g):
        won = values == spread(out)
        return (won * (spread(g) / won.sum(axis=axis, keepdims=True, dtype=values.dtype)),)

    return record(op, out, (x,), backward)


def _spreader(x, axis, keepdims):
    """A function that puts the reduced axes back, as axes of length 1, so that a result broadcasts against x."""
    if keepdims:
        return lambda a: a
    if axis is None:
        axes = range(x.ndim)
    else:
        axes = {a + x.ndim if a < 0 else a for a in map(operator.index, axis if isinstance(axis, tuple) else (axis,))}
    kept = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
    return lambda a: a.reshape(kept)
