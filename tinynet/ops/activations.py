"""Activations: what a unit does with its weighted sum."""

import numpy as np

from tinynet.ops.inputs import expect, expect_floats
from tinynet.tape import record


def relu(x):
    """max(x, 0), elementwise; the slope at 0 is taken as 0, and at nan, as in PyTorch, as 1. Paper section 3.1."""
    expect("relu", x)
    kernels = x.device.kernels
    y = kernels.relu(x.data)
    return record("relu", y, (x,), lambda g: (kernels.relu_backward(g, y),))


def tanh(x):
    """tanh(x), elementwise: slope 1 - y^2. What the paper compares ReLU with, section 3.1."""
    expect("tanh", x)
    y = np.tanh(x.data)
    return record("tanh", y, (x,), lambda g: (g * (1 - y * y),))


def sigmoid(x):
    """1 / (1 + e^-x), elementwise: slope y (1 - y)."""
    expect_floats("sigmoid", x)
    # The same function, as e^x / (1 + e^x) where x < 0: it never overflows, and a small y keeps all its digits.
    e = np.exp(-np.abs(x.data))
    y = np.maximum(e, x.data >= 0) / (1 + e)
    return record("sigmoid", y, (x,), lambda g: (g * y * (1 - y),))


def softmax(x, axis=-1):
    """y_i = e^(x_i) / sum_j e^(x_j) along `axis`: dx = y (g - sum_j g_j y_j). Paper section 3.5."""
    expect_floats("softmax", x)
    y = np.exp(_below_top("softmax", x, axis))
    y /= y.sum(axis=axis, keepdims=True)
    return record("softmax", y, (x,), lambda g: (y * (g - (g * y).sum(axis=axis, keepdims=True)),))


def log_softmax(x, axis=-1):
    """y_i = x_i - log sum_j e^(x_j) along `axis`: dx = g - softmax(x) sum_j g_j."""
    expect_floats("log_softmax", x)
    y = _below_top("log_softmax", x, axis)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return record("log_softmax", y, (x,), lambda g: (g - np.exp(y) * g.sum(axis=axis, keepdims=True),))


def _below_top(op, x, axis):
    # e^x could overflow, e^(x - the largest x) cannot, and neither result changes.
    try:
        return x.data - x.data.max(axis=axis, keepdims=True)
    except ValueError:
        if not x.data.size:
            raise ValueError(f"{op}: expected at least one value along axis {axis}, got shape {x.shape}") from None
        raise
