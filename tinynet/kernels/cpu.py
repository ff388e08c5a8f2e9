"""The kernels in fast NumPy; contracts and formulas are those of `reference.py`.

Convolution has `convolution.py`, pooling `pooling.py`. Everything else is bound by memory: the batch is worked on some
images at a time, so that the passes over them (five additions for a five-channel window) find them in the cache. Not
too few either: between any two NumPy calls the threads meet at the interpreter's lock, so a call has to be worth it.
"""

import numpy as np

from tinynet.kernels import parallel
from tinynet.kernels.convolution import conv2d, conv2d_bias_grad, conv2d_input_grad, conv2d_weight_grad
from tinynet.kernels.memory import empty, empty_like, scratch
from tinynet.kernels.parallel import chunks, pieces
from tinynet.kernels.pooling import avg_pool2d, avg_pool2d_backward, max_pool2d, max_pool2d_backward

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_bias_grad",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "dropout",
    "local_response_norm",
    "local_response_norm_backward",
    "matmul",
    "max_pool2d",
    "max_pool2d_backward",
    "relu",
    "relu_backward",
    "sgd",
    "softmax_cross_entropy",
    "softmax_cross_entropy_backward",
]

# fully connected ------------------------------------------------------------------------------------------------------


def matmul(a, b):
    """The product (n, k) @ (k, m) of two matrices, its longer side cut into pieces.

    BLAS would split it too, but its threads wait for each other in a loop: on a machine that is busy with anything else
    one product of a small layer took 30 ms instead of 1.
    """
    out = empty((a.shape[0], b.shape[1]), np.result_type(a, b))
    tall, nanoseconds = out.shape[0] > out.shape[1], a.size * b.shape[1] / 50 + b.size / 10
    turned = np.ascontiguousarray(a.T) if not tall and b.flags.f_contiguous else None

    def work(start, stop):
        rows, columns = (slice(start, stop), slice(None)) if tall else (slice(None), slice(start, stop))
        target = out[rows, columns]
        if a.shape[1] == 1:  # the gradient of weights from one image; BLAS takes seven times as long
            np.multiply(a[rows], b[:, columns], out=target)
        elif turned is not None:  # a few rows times a transposed W are a third faster the other way round
            target[...] = np.matmul(b[:, columns].T, turned).T
        else:
            np.matmul(a[rows], b[:, columns], out=target)

    pieces(max(out.shape), work, nanoseconds)
    return out


# local response normalisation -----------------------------------------------------------------------------------------


def local_response_norm(x, size, alpha, beta, k):
    """y = x / d^beta with d = k + alpha times the sum of squares over a window of channels; returns y and d."""
    y, d = empty_like(x), empty_like(x)

    def work(start, stop):
        for images in chunks(start, stop, x):
            squares = np.square(x[images], out=scratch("squares", x[images].shape, x.dtype))
            squares *= alpha
            _add_channel_windows(squares, -(size // 2), (size - 1) // 2, k, out=d[images])
            np.divide(x[images], _power(d[images], beta), out=y[images])

    pieces(len(x), work, 1.5 * x.size)
    return y, d


def local_response_norm_backward(g, x, d, size, alpha, beta):
    """dx = g d^-beta - 2 alpha beta x * (sum of g x d^-(beta+1) over the channels whose window holds this one)."""
    dx = empty_like(x)

    def work(start, stop):
        for images in chunks(start, stop, x):
            shape = x[images].shape
            direct = np.divide(g[images], _power(d[images], beta), out=scratch("direct", shape, x.dtype))
            through = np.multiply(direct, x[images], out=scratch("through", shape, x.dtype))
            through /= d[images]
            total = scratch("total", shape, x.dtype)
            _add_channel_windows(through, -((size - 1) // 2), size // 2, 0, out=total)  # the windows mirrored
            total *= x[images]
            total *= 2 * alpha * beta
            np.subtract(direct, total, out=dx[images])

    pieces(len(x), work, 2 * x.size)
    return dx


def _add_channel_windows(values, low, high, start, out):
    """out[:, i] = start + the sum of values[:, j] for i + low <= j <= i + high, as far as there are channels."""
    channels = values.shape[1]
    np.add(values, start, out=out)
    for shift in range(max(low, 1 - channels), min(high, channels - 1) + 1):
        if shift:
            a, b = max(0, -shift), min(channels, channels - shift)
            out[:, a:b] += values[:, a + shift : b + shift]


def _power(d, beta):
    """d^beta, in scratch memory; for the paper's 0.75 as sqrt(d) sqrt(sqrt(d)), which is ten times faster than a power."""
    root = scratch("root", d.shape, d.dtype)
    if beta != 0.75:
        return np.power(d, beta, out=root)
    np.sqrt(d, out=root)
    root *= np.sqrt(root, out=scratch("root of root", d.shape, d.dtype))
    return root


# losses ---------------------------------------------------------------------------------------------------------------


def softmax_cross_entropy(z, labels):
    """loss (N,) = log(sum_c e^z[n, c]) - z[n, labels[n]] and the softmax p (N, C), from z (N, C) and integers (N,)."""
    shifted = z - z.max(axis=1, keepdims=True)  # e^z would overflow; the softmax does not change
    p = np.exp(shifted)
    total = p.sum(axis=1, keepdims=True)
    p /= total
    return np.log(total[:, 0]) - shifted[np.arange(len(z)), labels], p


def softmax_cross_entropy_backward(g, p, labels):
    """dz = g[n] (p[n, c] - 1 if c is the label, else p[n, c])."""
    dz = p.copy()
    dz[np.arange(len(p)), labels] -= 1
    dz *= g[:, None]
    return dz


# elementwise and the update -------------------------------------------------------------------------------------------


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


def dropout(x, mask, scale):
    """x times the mask (of booleans or of numbers like x) times a number; its own backward, with g for x."""
    y = x * mask
    y *= scale
    return y


def sgd(weight, velocity, gradient, lr, momentum, weight_decay):
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
