"""Local response normalisation (paper, section 3.3) on a GPU."""

import cupy as cp

from tinynet.kernels.cuda import threads


def local_response_norm(x, size: int, alpha: float, beta: float, k: float):
    """y = x / d^beta with d = k + alpha times the sum of squares over a window of channels; returns y and d."""
    x = cp.ascontiguousarray(x)
    y, d = cp.empty_like(x), cp.empty_like(x)
    threads.lrn(x.size, x, float(alpha), float(beta), float(k), *_neighbours(x, size), y, d)
    return y, d


def local_response_norm_backward(g, x, d, size: int, alpha: float, beta: float):
    """dx = g d^-beta - 2 alpha beta x * (sum of g x d^-(beta+1) over the channels whose window holds this one)."""
    g, x, d = (cp.ascontiguousarray(a) for a in (g, x, d))
    dx = cp.empty_like(x)
    threads.lrn_backward(x.size, g, x, d, float(alpha), float(beta), *_neighbours(x, size), dx)
    return dx


def _neighbours(x, size):
    """Channels, numbers a channel, and how many neighbours count on either side."""
    channels = x.shape[1]
    return channels, x.size // max(len(x) * channels, 1), min(size // 2, channels), min((size - 1) // 2, channels)
