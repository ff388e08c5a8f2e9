"""Local response normalisation (paper, section 3.3)."""

import numpy as np

from tinynet.kernels.cpu.memory import empty_like, scratch
from tinynet.kernels.cpu.parallel import chunks, pieces


def local_response_norm(x, size: int, alpha: float, beta: float, k: float):
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


def local_response_norm_backward(g, x, d, size: int, alpha: float, beta: float):
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
