"""One number in, one number out: ReLU, dropout, and the update of the weights."""

import cupy as cp

from tinynet.kernels.cuda import threads


def relu(x):
    """max(x, 0)."""
    return cp.maximum(x, 0)


def relu_backward(g, y):
    """g where y, a result of relu, is not 0, else 0; a nan is not 0."""
    return threads.relu_backward(g, y)


def dropout(x, mask, scale: float):
    """x times the mask (of booleans or of numbers like x) times a number; its own backward, with g for x."""
    return threads.dropout(x, mask, float(scale))


def sgd(weight, velocity, gradient, lr: float, momentum: float, weight_decay: float):
    """v <- momentum v - weight_decay lr w - lr g;  w <- w + v, in place (paper, section 5), all in one pass."""
    threads.sgd(gradient, float(lr), float(momentum), float(weight_decay), weight, velocity)
