"""One number in, one number out: ReLU, dropout, and the update of the weights."""

import numpy as np

from tinynet.kernels.cpu import parallel
from tinynet.kernels.cpu.memory import empty_like, scratch
from tinynet.kernels.cpu.parallel import pieces


def relu(x):
    """max(x, 0)."""
    y = empty_like(x)
    zeros = np.zeros(4096, x.dtype)

    def positive_part(a, y):
        # Against rows of zeros, because NumPy has no vector instructions for the maximum with a single number.
        whole = a.size - a.size % zeros.size
        np.maximum(a[:whole].reshape(-1, zeros.size), zeros, out=y[:whole].reshape(-1, zeros.size))
        np.maximum(a[whole:], zeros[: a.size - whole], out=y[whole:])

    _elementwise(positive_part, 0.2, np.ascontiguousarray(x), y)
    return y


def relu_backward(g, y):
    """g where y, a result of relu, is not 0, else 0; a nan is not 0."""
    dx = empty_like(y)

    def where_open(g, y, dx):
        # The bits of g times 0 or 1, because inf times 0 would be nan.
        bits = f"i{g.itemsize}"
        np.multiply(g.view(bits), np.not_equal(y, 0, out=scratch("open", y.shape, bool)), out=dx.view(bits))

    _elementwise(where_open, 0.3, np.ascontiguousarray(g), y, dx)
    return dx


def dropout(x, mask, scale: float):
    """x times the mask (of booleans or of numbers like x) times a number; its own backward, with g for x."""
    y = x * mask
    y *= scale
    return y


def sgd(weight, velocity, gradient, lr: float, momentum: float, weight_decay: float):
    """v <- momentum v - weight_decay lr w - lr g;  w <- w + v, in place (paper, section 5)."""

    def update(w, v, g):
        step = np.multiply(w, weight_decay, out=scratch("step", w.shape, w.dtype))
        step += g
        step *= lr
        v *= momentum
        v -= step
        w += v

    if not (weight.flags.c_contiguous and velocity.flags.c_contiguous):
        update(weight, velocity, gradient)  # flattening them would update a copy
    else:
        _elementwise(update, 0.6, weight, velocity, np.ascontiguousarray(gradient))


def _elementwise(function, nanoseconds, *arrays):
    """function(*parts) for parts of contiguous arrays of one size, small enough to stay in the cache.

    nanoseconds: about what it costs for each number.
    """
    flat = [a.reshape(-1) for a in arrays]
    size = flat[0].size
    step = parallel.CHUNK

    def work(start, stop):
        for i in range(start, stop):
            part = slice(i * step, min((i + 1) * step, size))
            function(*(a[part] for a in flat))

    pieces(-(-size // step), work, nanoseconds * size)
