"""Softmax and cross entropy: few numbers, so nothing is cut into pieces."""

import numpy as np


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
