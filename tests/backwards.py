"""Backward passes that people write by hand: right ones, and wrong ones with the cause that is to be told (or none)."""

from dataclasses import dataclass, field

import numpy as np
from oracles import normal


@dataclass
class Written:
    """A function, the shapes of its arguments, its right backward, and wrong ones: name -> (vjp, cause or None)."""

    f: object
    shapes: tuple
    vjp: object
    wrong: dict = field(default_factory=dict)

    def args(self, seed):
        return [normal(*shape, seed=10 * seed + i) for i, shape in enumerate(self.shapes)]


def mean(a, axes):
    return a.mean(axis=axes, keepdims=True)


def normalised(axes):
    """x less its mean over its deviation, along some axes, and what its backward is made of."""

    def parts(x):
        inverse = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5)
        return inverse, (x - mean(x, axes)) * inverse

    def wrong(keep_mean, keep_variance):
        def vjp(dy, x):
            inverse, z = parts(x)
            return inverse * (dy - keep_mean * mean(dy, axes) - keep_variance * z * mean(dy * z, axes))

        return vjp

    return Written(lambda x: parts(x)[1], ((4, 3, 5),), wrong(1, 1), {
        "no mean": (wrong(0, 1), "the same everywhere: the way through the mean"),
        "no variance": (wrong(1, 0), "the way through the variance"),
        "neither": (wrong(0, 0), "the ways through the mean and through the variance"),
    })  # fmt: skip


def unit(x):
    return x / np.linalg.norm(x)


def unit_vjp(dy, x):
    y = unit(x)
    return (dy - y * (y * dy).sum()) / np.linalg.norm(x)


def rms(x):
    return x / np.sqrt(mean(x * x, -1))


def rms_vjp(dy, x):
    size = np.sqrt(mean(x * x, -1))
    return (dy - x * mean(dy * x, -1) / size**2) / size


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_vjp(dy, x):
    y = softmax(x)
    return y * (dy - (dy * y).sum(-1, keepdims=True))


def attention(scale):
    def f(q, k, v):
        return softmax(q @ k.T * scale) @ v

    def vjp(times):
        def backward(dy, q, k, v):
            p = softmax(q @ k.T * scale)
            ds = softmax_vjp(dy @ v.T, q @ k.T * scale) * times
            return ds @ k, ds.T @ q, p.T @ dy

        return backward

    return f, vjp


def back_cumsum(a, axis):
    return np.flip(np.cumsum(np.flip(a, axis), axis), axis)


def conv(x, w):
    """In two groups: x (4, H, W), w (2 groups x 3, 2, 2, 3) -> (6, H - 1, W - 2)."""
    windows = np.lib.stride_tricks.sliding_window_view(x.reshape(2, 2, *x.shape[1:]), (2, 3), axis=(2, 3))
    return np.einsum("gchwuv,gfcuv->gfhw", windows, w.reshape(2, 3, 2, 2, 3)).reshape(6, *windows.shape[2:4])


def conv_vjp(dy, x, w, flip_dx=False, flip_dw=False, other_group=False):
    dx, dw = np.zeros((2, 2, *x.shape[1:])), np.zeros((2, 3, 2, 2, 3))
    g, groups, kernels = dy.reshape(2, 3, *dy.shape[1:]), x.reshape(2, 2, *x.shape[1:]), w.reshape(2, 3, 2, 2, 3)
    kernels = kernels[:, :, :, ::-1, ::-1] if flip_dx else kernels[::-1] if other_group else kernels
    h, wide = dy.shape[1:]
    for u in range(2):
        for v in range(3):
            dx[:, :, u : u + h, v : v + wide] += np.einsum("gfhw,gfc->gchw", g, kernels[..., u, v])
            dw[..., u, v] = np.einsum("gfhw,gchw->gfc", g, groups[:, :, u : u + h, v : v + wide])
    dw = dw[..., ::-1, ::-1] if flip_dw else dw
    return dx.reshape(x.shape), dw.reshape(w.shape)


PICKED = np.array([0, 2, 2, 1, 2])


def gather_vjp(dy, table, add=True):
    d = np.zeros_like(table)
    if add:
        np.add.at(d, PICKED, dy)
    else:
        d[PICKED] = dy
    return d


scaled, scaled_vjp = attention(0.5)  # d = 4, so that the scale 1 / sqrt(d) is 1/2
BACKWARDS = {
    "layer norm": normalised(-1),
    "batch norm": normalised((0, 2)),
    "x / |x|": Written(unit, ((3, 4),), unit_vjp, {
        "norm as a constant": (lambda dy, x: dy / np.linalg.norm(x), "a multiple of x"),
        "not divided": (lambda dy, x: dy - unit(x) * (unit(x) * dy).sum(), "every entry is off by the same factor"),
        "1 / |x|^2": (lambda dy, x: unit_vjp(dy, x) / np.linalg.norm(x), "every entry is off by the same factor"),
    }),
    "rms norm": Written(rms, ((3, 5),), rms_vjp, {
        "norm as a constant": (lambda dy, x: dy / np.sqrt(mean(x * x, -1)), "a multiple of x"),
    }),
    "softmax": Written(softmax, ((3, 5),), softmax_vjp, {
        "sum as a constant": (lambda dy, x: softmax(x) * dy, "a multiple of the result"),
        "y (1 - y)": (lambda dy, x: dy * softmax(x) * (1 - softmax(x)), None),
        "over axis 0": (lambda dy, x: softmax(x) * (dy - (dy * softmax(x)).sum(0)), None),
    }),
    "log sum exp": Written(lambda x: np.log(np.exp(x).sum(-1)), ((3, 5),), lambda dy, x: dy[:, None] * softmax(x), {
        "over all": (lambda dy, x: dy[:, None] * np.exp(x) / np.exp(x).sum(), "every slice along axis 0 is off by a factor"),
        "mean": (lambda dy, x: dy[:, None] * softmax(x) / 5, "5 is the size of axis 1 of x"),
        "not normalised": (lambda dy, x: dy[:, None] * np.exp(x), "every slice along axis 0 is off by a factor"),
    }),
    "attention": Written(scaled, ((3, 4), (5, 4), (5, 2)), scaled_vjp(0.5), {
        "no 1 / sqrt(d)": (scaled_vjp(1.0), "the square root of 4"),
        "1 / d": (scaled_vjp(0.25), "the square root of 4"),
    }),
    "cumulative sum": Written(lambda x: np.cumsum(x, 1), ((3, 5),), lambda dy, x: back_cumsum(dy, 1), {
        "same way": (lambda dy, x: np.cumsum(dy, 1), "these are sums from the start of axis 1; they must run from the end"),
        "no sum": (lambda dy, x: dy, "the cumulative sum of this from the end of axis 1 is the right gradient"),
        "other axis": (lambda dy, x: back_cumsum(dy, 0), None),
    }),
    "running sum from the end": Written(lambda x: back_cumsum(x, 0), ((4, 3),), lambda dy, x: np.cumsum(dy, 0), {
        "same way": (lambda dy, x: back_cumsum(dy, 0), "sums from the end of axis 0; they must run from the start"),
    }),
    "grouped convolution": Written(conv, ((4, 5, 6), (6, 2, 2, 3)), conv_vjp, {
        "flipped for dx": (lambda dy, x, w: conv_vjp(dy, x, w, flip_dx=True), "another w: one with axes 2 and 3 flipped"),
        "flipped dw": (lambda dy, x, w: conv_vjp(dy, x, w, flip_dw=True), "in reverse order along axes 2 and 3"),
        "the other group's": (lambda dy, x, w: conv_vjp(dy, x, w, other_group=True), "the halves of axis 0 swapped"),
    }),
    "a @ a": Written(lambda a: a @ a, ((4, 4),), lambda dy, a: dy @ a.T + a.T @ dy, {
        "transposed": (lambda dy, a: a @ dy.T + dy.T @ a, "axes 0 and 1 swapped"),
        "one of two": (lambda dy, a: dy @ a.T, None),
        "as for squares": (lambda dy, a: 2 * dy @ a.T, None),
    }),
    "inverse": Written(np.linalg.inv, ((3, 3),),
                       lambda dy, a: -np.linalg.inv(a).T @ dy @ np.linalg.inv(a).T, {
        "sign": (lambda dy, a: np.linalg.inv(a).T @ dy @ np.linalg.inv(a).T, "the sign is wrong"),
        "not transposed": (lambda dy, a: -np.linalg.inv(a) @ dy @ np.linalg.inv(a), None),
        "elementwise": (lambda dy, a: -dy / a**2, None),
    }),
    "variance, ddof 1": Written(lambda x: x.var(axis=1, ddof=1), ((3, 5),),
                                lambda dy, x: dy[:, None] * 2 * (x - mean(x, 1)) / 4, {
        "ddof 0": (lambda dy, x: dy[:, None] * 2 * (x - mean(x, 1)) / 5, "5 and 4 are the size of axis 1 of x"),
        "no 2": (lambda dy, x: dy[:, None] * (x - mean(x, 1)) / 4, "every entry is 2 times too small"),
        "no mean": (lambda dy, x: dy[:, None] * x / 2, "the same everywhere: the way through the mean"),
    }),
    "deviation": Written(lambda x: x.std(axis=0), ((5, 3),), lambda dy, x: dy * (x - x.mean(0)) / (5 * x.std(0)), {
        "of the variance": (lambda dy, x: 2 * dy * (x - x.mean(0)) / 5, "every slice along axis 1 is off by a factor"),
    }),
    "product": Written(lambda x: x.prod(axis=1), ((3, 4),), lambda dy, x: dy[:, None] * x.prod(1)[:, None] / x, {
        "not divided": (lambda dy, x: dy[:, None] * np.tile(x.prod(1)[:, None], 4), "this divided by x"),
    }),
    "rows of a table": Written(lambda table: table[PICKED], ((4, 3),), gather_vjp, {
        "= for +=": (lambda dy, table: gather_vjp(dy, table, add=False), "wrong only at 2 of axis 0"),
    }),
    "sort": Written(lambda x: np.sort(x, 0), ((9,),), lambda dy, x: dy[np.argsort(np.argsort(x, 0))], {
        "permuted the wrong way": (lambda dy, x: dy[np.argsort(x, 0)], None),
    }),
    "clip": Written(lambda x: np.clip(x, -0.5, 0.5), ((3, 5),), lambda dy, x: dy * (np.abs(x) < 0.5), {
        "no mask": (lambda dy, x: dy, "every wrong entry ought to be 0"),
        "upside down": (lambda dy, x: dy * (np.abs(x) > 0.5), "a mask is upside down"),
    }),
    "absolute value": Written(np.abs, ((3, 4),), lambda dy, x: dy * np.sign(x), {
        "no sign": (lambda dy, x: dy, None),
        "x / y^2": (lambda dy, x: dy * x, "this divided by the result is the right gradient"),
    }),
    "einsum": Written(lambda a, b: np.einsum("ijk,kj->i", a, b), ((2, 3, 4), (4, 3)),
                      lambda dy, a, b: (np.einsum("i,kj->ijk", dy, b), np.einsum("i,ijk->kj", dy, a)), {
        "one i": (lambda dy, a, b: (np.einsum("i,kj->ijk", dy, b), dy[0] * a[0].T), None),
    }),
}  # fmt: skip
WRONG = [(name, how) for name, written in BACKWARDS.items() for how in written.wrong]
