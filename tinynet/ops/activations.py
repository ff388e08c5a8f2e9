"""Activations: what a unit does with its weighted sum."""

import numpy as np

from tinynet.tape import record


def relu(x):
    """max(x, 0), elementwise; the slope at 0 is taken as 0. Paper section 3.1."""
    kernels = x.device.kernels
    y = kernels.relu(x.data)
    return record("relu", y, (x,), lambda g: (kernels.relu_backward(g, y),))


def tanh(x):
    """tanh(x), elementwise: slope 1 - y^2. What the paper compares ReLU with, section 3.1."""
    y = np.tanh(x.data)
    return record("tanh", y, (x,), lambda g: (g * (1 - y * y),))


def sigmoid(x):
    """1 / (1 + e^-x), elementwise: slope y (1 - y)."""
    y = 0.5 * np.tanh(0.5 * x.data) + 0.5  # the same function, which never overflows
    return record("sigmoid", y, (x,), lambda g: (g * y * (1 - y),))


def softmax(x, axis=-1):
    """y_i = e^(x_i) / sum_j e^(x_j) along `axis`: dx = y (g - sum_j g_j y_j). Paper section 3.5."""
    y = np.exp(x.data - x.data.max(axis=axis, keepdims=True))
    y /= y.sum(axis=axis, keepdims=True)
    return record("softmax", y, (x,), lambda g: (y * (g - (g * y).sum(axis=axis, keepdims=True)),))


def log_softmax(x, axis=-1):
    """y_i = x_i - log sum_j e^(x_j) along `axis`: dx = g - softmax(x) sum_j g_j."""
    y = x.data - x.data.max(axis=axis, keepdims=True)
    y -= np.log(np.exp(y).sum(axis=axis, keepdims=True))
    return record("log_softmax", y, (x,), lambda g: (g - np.exp(y) * g.sum(axis=axis, keepdims=True),))
