"""What the kernels are called with, and what every set of them owes: used by the tests of kernels and by `test_gpu.py`."""

from functools import cache
from itertools import chain, product

import numpy as np
from oracles import assert_close, distinct, normal

from tinynet.kernels import cpu, reference

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
DTYPES = list(TOLERANCE)

# x shape, weight shape, stride, padding, dilation, groups
CONVOLUTIONS = [
    ((2, 3, 5, 7), (4, 3, 3, 2), (1, 1), (0, 0), (1, 1), 1),
    ((3, 2, 5, 7), (3, 2, 3, 2), (2, 2), (1, 1), (1, 1), 1),
    ((2, 4, 6, 5), (6, 2, 2, 3), (2, 1), (0, 2), (1, 2), 2),
    ((1, 3, 7, 6), (6, 1, 3, 2), (3, 2), (1, 0), (2, 1), 3),
    ((5, 1, 4, 4), (1, 1, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 3, 23, 11), (4, 3, 11, 5), (4, 4), (0, 2), (1, 1), 1),
    ((1, 2, 9, 9), (2, 2, 2, 2), (5, 3), (3, 4), (2, 3), 1),
    ((4, 8, 5, 5), (4, 4, 5, 5), (1, 1), (2, 2), (1, 1), 2),
    ((0, 3, 5, 5), (2, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 1, 1, 1), (1, 1, 3, 3), (2, 2), (1, 1), (1, 1), 1),
]

# x shape, kernel, stride, padding, dilation
POOLS = [
    ((2, 3, 7, 9), (3, 3), (2, 2), (0, 0), (1, 1)),
    ((3, 1, 4, 6), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((1, 2, 6, 7), (3, 2), (1, 2), (1, 0), (1, 1)),
    ((2, 2, 5, 6), (4, 4), (1, 1), (2, 2), (1, 1)),
    ((1, 2, 8, 7), (2, 1), (3, 3), (0, 0), (1, 1)),
    ((2, 1, 8, 9), (2, 3), (2, 1), (1, 1), (2, 3)),
    ((1, 1, 17, 18), (17, 16), (1, 1), (2, 1), (1, 1)),
    ((0, 2, 5, 5), (3, 3), (2, 2), (0, 0), (1, 1)),
    ((1, 1, 2, 2), (3, 3), (2, 2), (1, 1), (1, 1)),
]
LRNS = [(shape, size) for shape in [(2, 7, 3, 2), (3, 1, 2, 2), (2, 3), (0, 5, 2, 2), (1, 40, 3)] for size in range(1, 7)]

# Batches that no chunk size divides, several groups, windows with holes that overlap.
MORE_CONVOLUTIONS = [
    ((11, 2, 5, 4), (4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 2),
    ((7, 6, 4, 9), (3, 2, 2, 3), (1, 2), (2, 1), (2, 3), 3),
]

VIEWS = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


def conv_calls(case, dtype):
    """(name, arguments) of the three convolution kernels for one configuration."""
    x_shape, w_shape, *how = case
    x, w, b = (normal(*s, dtype=dtype) for s in (x_shape, w_shape, w_shape[:1]))
    size = reference.conv_size(x_shape[2:], w_shape[2:], *how[:3])
    g = normal(x_shape[0], w_shape[0], *size, seed=1, dtype=dtype)
    yield "conv2d", (x, w, b, *how)
    yield "conv2d", (x, w, None, *how)
    yield "conv2d_input_grad", (g, w, x_shape, *how)
    yield "conv2d_weight_grad", (g, x, w_shape, *how)


def pool_calls(case, dtype, ceil_mode=False):
    shape, kernel, stride, padding, dilation = case
    x = distinct(*shape, dtype=dtype)
    out = reference.pool_size(shape[2:], kernel, stride, padding, dilation, ceil_mode)
    g = normal(*shape[:2], *out, seed=1, dtype=dtype)
    yield "max_pool2d", (x, kernel, stride, padding, dilation, out)
    winner = reference.max_pool2d(x, kernel, stride, padding, dilation, out)[1]
    winner = winner.astype(np.min_scalar_type(kernel[0] * kernel[1] - 1))
    yield "max_pool2d_backward", (g, winner, shape, kernel, stride, padding, dilation)
    if dilation == (1, 1):
        for include in (True, False):
            yield "avg_pool2d", (x, kernel, stride, padding, out, include)
            yield "avg_pool2d_backward", (g, shape, kernel, stride, padding, include)


def lrn_calls(case, dtype, beta=0.75):
    shape, size = case
    x, g = normal(*shape, dtype=dtype), normal(*shape, seed=1, dtype=dtype)
    d = reference.local_response_norm(x, size, 0.5, beta, 1.3)[1].astype(dtype)
    yield "local_response_norm", (x, size, 0.5, beta, 1.3)
    yield "local_response_norm_backward", (g, x, d, size, 0.5, beta)


@cache
def every_call(dtype):
    """(name, arguments, what the reference answers) for every kernel with windows, in every configuration."""
    calls = [
        *chain.from_iterable(conv_calls(case, dtype) for case in CONVOLUTIONS),
        *chain.from_iterable(pool_calls(case, dtype, mode) for case, mode in product(POOLS, (False, True))),
        *chain.from_iterable(lrn_calls(case, dtype) for case in LRNS),
    ]
    return [(name, arguments, results(name, arguments, reference)) for name, arguments in calls]


def results(name, arguments, module=cpu):
    out = getattr(module, name)(*arguments)
    return out if isinstance(out, tuple) else (out,)


def elementwise_calls(dtype):
    """(name, arguments, answer) for the functions without windows, the answer by NumPy."""
    x, g = distinct(3, 4, 5, dtype=dtype), normal(3, 4, 5, dtype=dtype)
    yield "relu", (x,), (np.where(x > 0, x, 0),)
    yield "relu_backward", (g, np.where(x > 0, x, 0)), (np.where(x > 0, g, 0),)
    for shape in ((3, 4, 5, 2), (1, 2, 1, 1), (0, 3, 2, 2)):
        g = normal(*shape, dtype=dtype)
        yield "conv2d_bias_grad", (g,), (g.astype(np.float64).sum(axis=(0, 2, 3)),)
    mask = normal(3, 4, 5, seed=2) > 0
    yield "dropout", (x, mask, 1.25), (np.where(mask, 1.25 * x.astype(float), 0),)
    yield "dropout", (x, mask.astype(dtype) * dtype(0.5), 2), (np.where(mask, x, 0),)
    for shape in ((4, 3), (5, 1), (1, 7), (0, 3)):
        z, labels = 30 * normal(*shape, dtype=dtype), np.arange(shape[0]) * 2 % shape[1]
        shifted = z.astype(np.float64) - z.max(axis=1, keepdims=True, initial=-np.inf)
        total, onehot = np.exp(shifted).sum(axis=1), np.eye(shape[1])[labels]
        loss, p = np.log(total) - (onehot * shifted).sum(axis=1), np.exp(shifted) / total[:, None]
        g = normal(shape[0], seed=1, dtype=dtype)
        yield "softmax_cross_entropy", (z, labels), (loss, p)
        p = p.astype(dtype)
        yield "softmax_cross_entropy_backward", (g, p, labels.astype(np.int32)), (g[:, None] * (p.astype(float) - onehot),)
    for a, b in (((3, 4), (4, 5)), ((1, 6), (6, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3))):
        a, b = normal(*a, dtype=dtype), normal(*b, seed=1, dtype=dtype)
        yield "matmul", (a, b), (a.astype(np.float64) @ b,)
        yield "matmul", (b.T, a.T), ((a.astype(np.float64) @ b).T,)


@cache
def all_calls(dtype):
    """The same for every function and more convolutions."""
    more = [call for case in MORE_CONVOLUTIONS for call in conv_calls(case, dtype)]
    answered = [(name, arguments, results(name, arguments, reference)) for name, arguments in more]
    return [*every_call(dtype), *answered, *elementwise_calls(dtype)]


def lost_windows():
    """(arguments of max_pool2d, the winners): windows that see a border and nothing but minus infinity."""
    x = np.full((1, 1, 5, 4), -np.inf)
    x[0, 0, 3, 3] = 1
    arguments = x, (3, 2), (1, 2), (1, 1), (1, 1), (5, 3)
    return arguments, reference.max_pool2d(*arguments)[1]


def nan_windows():
    """Arguments of max_pool2d: none, a few, half and all of the pixels are nan."""
    for share in (0.0, 0.03, 0.5, 1.0):
        for shape, *how in (POOLS[0], POOLS[-1], ((2, 2, 7, 6), (3, 2), (2, 1), (1, 1), (1, 2))):
            x = normal(*shape)
            x[np.random.default_rng(0).random(shape) < share] = np.nan
            yield x, *how, reference.pool_size(shape[2:], *how, True)


def check(calls, dtype, kernels=cpu):
    """What the contract says of every call: (name, arguments) with the reference's answer, or (name, arguments, answer)."""
    for name, arguments, *answer in calls:
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        found = results(name, arguments, kernels)
        for one, exact in zip(found, answer[0] if answer else results(name, arguments, reference), strict=True):
            assert_close(one, exact, TOLERANCE[dtype], name)
        assert found[0].dtype == dtype, f"{name} answers with {found[0].dtype}"
        for old, new in zip(before, arguments, strict=True):
            assert not isinstance(old, np.ndarray) or np.array_equal(old, new), f"{name} wrote into an argument"


def check_all(kernels, dtype):
    """Every function in every configuration, and what is said of equals and NaN."""
    check(all_calls(dtype), dtype, kernels)
    check_first_of_equals(kernels)
    check_sgd(kernels, *(normal(6, 5, seed=i, dtype=dtype) for i in range(3)))
    check_nan(kernels)


def check_first_of_equals(kernels):
    for shape, *how in POOLS:
        x = np.random.default_rng(0).integers(-3, 0, shape).astype(np.float32)
        for ceil_mode in (False, True):
            out = reference.pool_size(shape[2:], *how, ceil_mode)
            expected = reference.max_pool2d(x, *how, out)
            for one, other in zip(kernels.max_pool2d(x, *how, out), expected, strict=True):
                assert np.array_equal(one, other), how


def check_nan(kernels):
    for arguments in nan_windows():
        for one, other in zip(kernels.max_pool2d(*arguments), reference.max_pool2d(*arguments), strict=True):
            assert np.array_equal(one, other, equal_nan=True)
    y = kernels.relu(np.array([1.0, np.nan, -1.0]))
    assert np.isnan(y[1]) and kernels.relu_backward(np.array([2.0, 3.0, 4.0]), y).tolist() == [2, 3, 0]


def check_sgd(kernels, w, v, g):
    """The paper's update, in place in the weight and the velocity; the gradient stays."""
    velocity = 0.9 * v.astype(float) - 0.1 * 0.02 * w - 0.1 * g.astype(float)
    weight, gradient = w + velocity, g.copy()
    kernels.sgd(w, v, g, 0.1, 0.9, 0.02)
    assert_close(v, velocity, 1e-6)
    assert_close(w, weight, 1e-6)
    assert np.array_equal(g, gradient)
