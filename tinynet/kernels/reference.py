"""The formulas as loops, in float64: what every fast kernel is tested against.

Each function is written from the definition, one multiplication at a time, and shares no code with the fast kernels: not
even `windows.py`, whose formula stands here once more on purpose, so that a mistake there is found. Names and signatures
are those of `contract.py`; `batch_norm`, which has no kernel, is here for its operation. A handful of pixels is enough.
"""

import math
from itertools import product

import numpy as np


def conv2d(x, weight, bias, stride, padding, dilation, groups):
    """y[n,f,i,j] = b[f] + sum_{c,u,v} w[f,c,u,v] x[n, group(f)+c, i s + u d - p, j s + v d - p]; x is 0 outside."""
    x, weight = np.asarray(x, np.float64), np.asarray(weight, np.float64)
    (n, _, h, w), (f, c, kh, kw) = x.shape, weight.shape
    y = np.zeros((n, f, *conv_size((h, w), (kh, kw), stride, padding, dilation)))
    for m, o, i, j in np.ndindex(y.shape):
        y[m, o, i, j] = 0.0 if bias is None else bias[o]
        for ch, u, v in product(range(c), range(kh), range(kw)):
            row, col = _source(i, j, u, v, stride, padding, dilation)
            if 0 <= row < h and 0 <= col < w:
                y[m, o, i, j] += weight[o, ch, u, v] * x[m, o // (f // groups) * c + ch, row, col]
    return y


def conv2d_input_grad(g, weight, x_shape, stride, padding, dilation, groups):
    """dx: every product of the forward sum sends g[n,f,i,j] w[f,c,u,v] back to its pixel."""
    return _conv2d_grads(g, np.zeros(x_shape), weight, stride, padding, dilation, groups)[0]


def conv2d_weight_grad(g, x, weight_shape, stride, padding, dilation, groups):
    """dw: every product of the forward sum sends g[n,f,i,j] x[...] back to its weight."""
    return _conv2d_grads(g, x, np.zeros(weight_shape), stride, padding, dilation, groups)[1]


def _conv2d_grads(g, x, weight, stride, padding, dilation, groups):
    dx, dw = np.zeros(np.shape(x)), np.zeros(np.shape(weight))
    (_, _, h, w), (f, c, kh, kw) = dx.shape, dw.shape
    for m, o, i, j in np.ndindex(np.shape(g)):
        for ch, u, v in product(range(c), range(kh), range(kw)):
            row, col = _source(i, j, u, v, stride, padding, dilation)
            if 0 <= row < h and 0 <= col < w:
                channel = o // (f // groups) * c + ch
                dx[m, channel, row, col] += float(g[m, o, i, j]) * float(weight[o, ch, u, v])
                dw[o, ch, u, v] += float(g[m, o, i, j]) * float(x[m, channel, row, col])
    return dx, dw


def conv2d_bias_grad(g):
    """db: every output of map f was b[f] plus something."""
    db = np.zeros(np.shape(g)[1])
    for m, o, i, j in np.ndindex(np.shape(g)):
        db[o] += g[m, o, i, j]
    return db


def conv_size(size, kernel, stride, padding, dilation):
    """How many windows fit: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1 along each axis."""
    axes = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in axes)


def pool_size(size, kernel, stride, padding, dilation, ceil_mode):
    """As `conv_size`; with ceil_mode one more window that starts inside the input, or its left padding, may hang over."""
    sizes = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = n + 2 * p - d * (k - 1) - 1
        out = (math.ceil(room / s) if ceil_mode else room // s) + 1
        sizes.append(out - 1 if ceil_mode and (out - 1) * s >= n + p else out)
    return tuple(sizes)


def max_pool2d(x, kernel, stride, padding, dilation, out_size, want_winner=True):
    """y[n,c,i,j] = the largest x in the window; outside is minus infinity. Also which (u kw + v) it was, the first.

    NaN is larger than everything; of several in a window the last wins.
    """
    n, c, h, w = np.shape(x)
    y, winner = np.full((n, c, *out_size), -np.inf), np.zeros((n, c, *out_size), int)
    for m, ch, i, j in np.ndindex(y.shape):
        first = True
        for u, v in product(range(kernel[0]), range(kernel[1])):
            row, col = _source(i, j, u, v, stride, padding, dilation)
            if not (0 <= row < h and 0 <= col < w):
                continue
            value = x[m, ch, row, col]
            if first or value > y[m, ch, i, j] or np.isnan(value):
                y[m, ch, i, j], winner[m, ch, i, j], first = value, u * kernel[1] + v, False
    return y, winner


def max_pool2d_backward(g, winner, x_shape, kernel, stride, padding, dilation):
    """dx: each window's gradient goes to its winner; a pixel that won in several windows gets all of them."""
    dx = np.zeros(x_shape)
    for m, ch, i, j in np.ndindex(np.shape(g)):
        u, v = divmod(int(winner[m, ch, i, j]), kernel[1])
        row, col = _source(i, j, u, v, stride, padding, dilation)
        dx[m, ch, row, col] += g[m, ch, i, j]
    return dx


def avg_pool2d(x, kernel, stride, padding, out_size, count_include_pad):
    """y[n,c,i,j] = sum of x in the window / its size: all of it, or with count_include_pad=False only the real pixels.

    A window that hangs over the padded border (ceil_mode) is counted only up to that border.
    """
    n, c, h, w = np.shape(x)
    y = np.zeros((n, c, *out_size))
    for m, ch, i, j in np.ndindex(y.shape):
        pixels = _avg_window(i, j, kernel, stride, padding, (h, w), count_include_pad)
        y[m, ch, i, j] = sum(float(x[m, ch, row, col]) for row, col in pixels[0]) / pixels[1]
    return y


def avg_pool2d_backward(g, x_shape, kernel, stride, padding, count_include_pad):
    """dx: each pixel of a window gets the same share of its gradient."""
    dx = np.zeros(x_shape)
    for m, ch, i, j in np.ndindex(np.shape(g)):
        pixels, count = _avg_window(i, j, kernel, stride, padding, x_shape[2:], count_include_pad)
        for row, col in pixels:
            dx[m, ch, row, col] += float(g[m, ch, i, j]) / count
    return dx


def _avg_window(i, j, kernel, stride, padding, size, count_include_pad):
    window = [_source(i, j, u, v, stride, padding, (1, 1)) for u, v in product(range(kernel[0]), range(kernel[1]))]
    real = [(row, col) for row, col in window if 0 <= row < size[0] and 0 <= col < size[1]]
    padded = [(row, col) for row, col in window if row < size[0] + padding[0] and col < size[1] + padding[1]]
    return real, len(padded if count_include_pad else real)


def local_response_norm(x, size, alpha, beta, k):
    """b_i = a_i / d_i^beta with d_i = k + alpha sum_j a_j^2 over channels j in [i - size//2, i + (size-1)//2]; and d.

    Paper section 3.3, its formula to the letter: alpha is not divided by size.
    """
    x = np.asarray(x, np.float64)
    d = np.full(x.shape, float(k))
    for i in range(x.shape[1]):
        for j in range(max(0, i - size // 2), min(x.shape[1] - 1, i + (size - 1) // 2) + 1):
            d[:, i] += alpha * x[:, j] ** 2
    return x / d**beta, d


def local_response_norm_backward(g, x, d, size, alpha, beta):
    """dx_i = g_i d_i^-beta - 2 alpha beta x_i * sum over all j whose window holds i of g_j x_j d_j^-(beta+1)."""
    g, x, d = (np.asarray(a, np.float64) for a in (g, x, d))
    dx = g * d**-beta
    for j in range(x.shape[1]):
        for i in range(max(0, j - size // 2), min(x.shape[1] - 1, j + (size - 1) // 2) + 1):
            dx[:, i] -= 2 * alpha * beta * x[:, i] * g[:, j] * x[:, j] * d[:, j] ** -(beta + 1)
    return dx


def matmul(a, b):
    """y[i,j] = sum_k a[i,k] b[k,j]."""
    y = np.zeros((len(a), np.shape(b)[1]))
    for i, j in np.ndindex(y.shape):
        y[i, j] = sum(float(a[i, k]) * float(b[k, j]) for k in range(len(b)))
    return y


def softmax_cross_entropy(z, labels):
    """loss[n] = -log p[n, labels[n]] with p[n, c] = e^z[n, c] / sum_c e^z[n, c]; loss and p."""
    loss, p = np.zeros(len(z)), np.zeros(np.shape(z))
    for n, row in enumerate(np.asarray(z, np.float64)):
        top = max(row)
        total = sum(math.exp(v - top) for v in row)
        loss[n] = -(row[labels[n]] - top) + math.log(total)
        p[n] = [math.exp(v - top) / total for v in row]
    return loss, p


def softmax_cross_entropy_backward(g, p, labels):
    """dz[n, c] = g[n] (p[n, c] - 1) where c is the label, else g[n] p[n, c]."""
    dz = np.zeros(np.shape(p))
    for n, c in np.ndindex(dz.shape):
        dz[n, c] = float(g[n]) * (float(p[n, c]) - (1 if c == labels[n] else 0))
    return dz


def relu(x):
    """y = x where x > 0, else 0; NaN stays."""
    y = np.zeros(np.shape(x))
    for i in np.ndindex(y.shape):
        y[i] = x[i] if x[i] > 0 or math.isnan(x[i]) else 0.0
    return y


def relu_backward(g, y):
    """dx = g where y, a result of relu, is not 0, else 0; NaN is not 0."""
    dx = np.zeros(np.shape(y))
    for i in np.ndindex(dx.shape):
        dx[i] = g[i] if y[i] != 0 else 0.0
    return dx


def dropout(x, mask, scale):
    """y = x mask scale."""
    y = np.zeros(np.shape(x))
    for i in np.ndindex(y.shape):
        y[i] = float(x[i]) * float(mask[i]) * float(scale)
    return y


def sgd(weight, velocity, gradient, lr, momentum, weight_decay):
    """v <- momentum v - weight_decay lr w - lr g;  w <- w + v, in place (paper, section 5)."""
    for i in np.ndindex(weight.shape):
        w, v, g = float(weight[i]), float(velocity[i]), float(gradient[i])
        v = momentum * v - weight_decay * lr * w - lr * g
        velocity[i], weight[i] = v, w + v


def batch_norm(x, weight, bias, eps):
    """y[n,c,...] = weight[c] (x[n,c,...] - mean_c) / sqrt(var_c + eps) + bias[c], mean and var over all but channels."""
    x = np.asarray(x, np.float64)
    y = np.zeros(x.shape)
    for c in range(x.shape[1]):
        values = [float(v) for v in x[:, c].ravel()]
        mean = sum(values) / len(values)
        var = sum((v - mean) ** 2 for v in values) / len(values)
        y[:, c] = weight[c] * (x[:, c] - mean) / math.sqrt(var + eps) + bias[c]
    return y


def _source(i, j, u, v, stride, padding, dilation):
    """The pixel under element (u, v) of the window of output (i, j); it may lie outside of the input."""
    return i * stride[0] + u * dilation[0] - padding[0], j * stride[1] + v * dilation[1] - padding[1]
