"""Softmax and cross entropy on a GPU."""

import cupy as cp

from tinynet.kernels.cuda import threads


def softmax_cross_entropy(z, labels):
    """loss (N,) = log(sum_c e^z[n, c]) - z[n, labels[n]] and the softmax p (N, C), from z (N, C) and integers (N,)."""
    z, labels = cp.ascontiguousarray(z), cp.ascontiguousarray(labels)
    p, loss, top = cp.empty_like(z), cp.empty(z.shape[:1], z.dtype), z.max(axis=1)  # e^z alone would overflow
    total = threads.exp_below(z, top[:, None]).sum(axis=1)
    threads.cross_entropy(z.size, z, top, total, labels, z.shape[1], p, loss)
    return loss, p


def softmax_cross_entropy_backward(g, p, labels):
    """dz = g[n] (p[n, c] - 1 if c is the label, else p[n, c])."""
    g, p, labels = (cp.ascontiguousarray(a) for a in (g, p, labels))
    dz = cp.empty_like(p)
    threads.cross_entropy_backward(p.size, g, p, labels, p.shape[1], dz)
    return dz
