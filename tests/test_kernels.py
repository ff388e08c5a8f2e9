"""The fast kernels against the formulas as loops, and what must not change their results: tiles, threads, repetition."""

from functools import cache
from itertools import chain, product

import numpy as np
import pytest
from oracles import assert_close, distinct, normal

from tinynet.kernels import convolution, cpu, parallel, reference

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


@pytest.fixture(params=["default", "tiny", "odd", "huge"])
def sizes(request, monkeypatch):
    """The kernels' tiles and chunks: as they are, one row at a time, pieces that fit badly, everything at once."""
    if request.param != "default":
        size = {"tiny": 1, "odd": 97, "huge": 1 << 40}[request.param]
        monkeypatch.setattr(convolution, "TILE", size)
        monkeypatch.setattr(parallel, "CHUNK", size)
        monkeypatch.setattr(parallel, "HANDOVER", 1)


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
    """(name, arguments, what the reference answers) for every kernel and configuration."""
    calls = [
        *chain.from_iterable(conv_calls(case, dtype) for case in CONVOLUTIONS),
        *chain.from_iterable(pool_calls(case, dtype, mode) for case, mode in product(POOLS, (False, True))),
        *chain.from_iterable(lrn_calls(case, dtype) for case in LRNS),
    ]
    return [(name, arguments, results(name, arguments, reference)) for name, arguments in calls]


def results(name, arguments, module=cpu):
    out = getattr(module, name)(*arguments)
    return out if isinstance(out, tuple) else (out,)


def check(calls, dtype):
    """Equal to the reference, of the right dtype, and without a write into an argument."""
    for name, arguments in calls:
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        found = results(name, arguments)
        for one, exact in zip(found, results(name, arguments, reference), strict=True):
            assert_close(one, exact, TOLERANCE[dtype], name)
        assert found[0].dtype == dtype
        for old, new in zip(before, arguments, strict=True):
            assert not isinstance(old, np.ndarray) or np.array_equal(old, new), f"{name} wrote into an argument"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolution_kernels(case, dtype, sizes):
    check(conv_calls(case, dtype), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("case", POOLS, ids=str)
def test_pooling_kernels(case, ceil_mode, dtype, sizes):
    check(pool_calls(case, dtype, ceil_mode), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, np.float64(0.6)])
@pytest.mark.parametrize("case", LRNS, ids=str)
def test_lrn_kernels(case, beta, dtype):
    check(lrn_calls(case, dtype, beta), dtype)


@pytest.mark.parametrize("case", LRNS, ids=str)
def test_lrn_kernels_in_pieces(case, sizes):
    check(lrn_calls(case, np.float32), np.float32)


@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("case", POOLS, ids=str)
def test_of_equal_maxima_the_first_in_reading_order_wins(case, ceil_mode, sizes):
    shape, *how = case
    x = np.random.default_rng(0).integers(-3, 0, shape).astype(np.float32)
    out = reference.pool_size(shape[2:], *how, ceil_mode)
    for found, expected in zip(cpu.max_pool2d(x, *how, out), reference.max_pool2d(x, *how, out), strict=True):
        assert np.array_equal(found, expected)


def test_winner_is_the_first_of_equals_in_the_smallest_integer_type():
    for kernel, dtype in (((3, 3), np.uint8), ((16, 16), np.uint8), ((17, 16), np.uint16)):
        y, winner = cpu.max_pool2d(np.zeros((1, 1, 17, 16), np.float32), kernel, (1, 1), (0, 0), (1, 1), (1, 1))
        assert winner.dtype == dtype and not winner.any() and not y.any()


def lost_windows():
    """(arguments of max_pool2d, the winners): windows that see a border and nothing but minus infinity."""
    x = np.full((1, 1, 5, 4), -np.inf)
    x[0, 0, 3, 3] = 1
    arguments = x, (3, 2), (1, 2), (1, 1), (1, 1), (5, 3)
    return arguments, reference.max_pool2d(*arguments)[1]


def test_where_all_is_minus_infinity_the_first_real_pixel_wins(sizes):
    arguments, winners = lost_windows()
    assert np.array_equal(cpu.max_pool2d(*arguments)[1], winners) and winners[0, 0, 0].tolist() == [3, 2, 2]


def nan_windows():
    """Arguments of max_pool2d: none, a few, half and all of the pixels are nan."""
    for share in (0.0, 0.03, 0.5, 1.0):
        for shape, *how in (POOLS[0], POOLS[-1], ((2, 2, 7, 6), (3, 2), (2, 1), (1, 1), (1, 2))):
            x = normal(*shape)
            x[np.random.default_rng(0).random(shape) < share] = np.nan
            yield x, *how, reference.pool_size(shape[2:], *how, True)


def test_of_several_nan_the_last_wins(sizes):
    for arguments in nan_windows():
        for found, expected in zip(cpu.max_pool2d(*arguments), reference.max_pool2d(*arguments), strict=True):
            assert np.array_equal(found, expected, equal_nan=True)


def test_max_pool_of_integers():
    x = np.array([[[[-5, -7], [-6, -9]]]], np.int32)
    y, _ = cpu.max_pool2d(x, (2, 2), (1, 1), (1, 1), (1, 1), (3, 3))
    assert y.dtype == np.int32 and y[0, 0].tolist() == [[-5, -5, -7], [-5, -5, -7], [-6, -6, -9]]


VIEWS = {
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "reversed": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "strided": lambda a: np.repeat(a, 2, axis=-1)[..., ::2],
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape),
}


@pytest.mark.parametrize("view", VIEWS)
def test_arrays_of_any_memory_layout(view):
    calls = [*conv_calls(CONVOLUTIONS[2], np.float64), *pool_calls(POOLS[0], np.float64), *lrn_calls(LRNS[4], np.float64)]
    for name, arguments in calls:
        if view == "broadcast" and "winner" in name:
            continue
        changed = [VIEWS[view](a) if isinstance(a, np.ndarray) else a for a in arguments]
        plain = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in changed]
        for one, other in zip(results(name, changed), results(name, plain), strict=True):
            assert_close(one, other, 1e-14, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [1, 2, 3, 7])
def test_the_number_of_threads_changes_no_more_than_rounding(use_threads, number, dtype):
    use_threads(number)
    for name, arguments, answer in every_call(dtype):
        for one, exact in zip(results(name, arguments), answer, strict=True):
            assert_close(one, exact, TOLERANCE[dtype], name)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_two_runs_are_equal_bit_for_bit(use_threads, number):
    use_threads(number)
    for name, arguments, _ in every_call(np.float32):
        for one, other in zip(results(name, arguments), results(name, arguments), strict=True):
            assert np.array_equal(one, other) and one is not other, name


def test_results_do_not_share_memory_with_each_other_or_with_arguments():
    for name, arguments, _ in every_call(np.float32):
        first, second = results(name, arguments), results(name, arguments)
        kept = [a.copy() for a in first]
        arrays = [*second, *(a for a in arguments if isinstance(a, np.ndarray))]
        assert not any(np.shares_memory(one, other) for one in first for other in arrays), name
        assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True)), (
            f"{name}: a later call wrote into a result"
        )


# elementwise and the update -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (5,), (3, 4, 5), (31, 7)], ids=str)
def test_relu_kernels(shape, dtype, sizes):
    x, g = normal(*shape, dtype=dtype), normal(*shape, seed=1, dtype=dtype)
    y = cpu.relu(x)
    assert y.dtype == dtype and np.array_equal(y, np.where(x > 0, x, 0))
    assert np.array_equal(cpu.relu_backward(g, y), np.where(x > 0, g, 0))
    assert np.array_equal(cpu.relu(x.T), y.T)
    g[...] = np.inf
    assert np.array_equal(cpu.relu_backward(g, y), np.where(x > 0, g, 0)), "a closed unit lets nothing through"


def check_sgd(kernels, w, v, g):
    """The paper's update, in place in the weight and the velocity; the gradient stays."""
    velocity = 0.9 * v.astype(float) - 0.1 * 0.02 * w - 0.1 * g.astype(float)
    weight, gradient = w + velocity, g.copy()
    kernels.sgd(w, v, g, 0.1, 0.9, 0.02)
    assert_close(v, velocity, 1e-6)
    assert_close(w, weight, 1e-6)
    assert np.array_equal(g, gradient)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "gradient transposed", "velocity transposed"])
def test_sgd_kernel_is_the_papers_update_in_place(layout, dtype, sizes):
    w, v, g = (normal(6, 5, seed=i, dtype=dtype) for i in range(3))
    w, v, g = (w.T, v.T, g.T) if layout == "transposed" else (w, v, g)
    g = np.asfortranarray(g) if layout == "gradient transposed" else g
    v = np.asfortranarray(v) if layout == "velocity transposed" else v
    check_sgd(cpu, w, v, g)


@pytest.mark.parametrize("shapes", [
    ((3, 4), (4, 5)), ((40, 3), (3, 2)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((1, 1), (1, 1)), ((5, 1), (1, 3)),
    ((2, 1), (1, 7)),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("number", [1, 2, 3])
def test_matmul_in_pieces(use_threads, shapes, number):
    use_threads(number)
    a, b = normal(*shapes[0]), normal(*shapes[1], seed=1)
    assert_close(cpu.matmul(a, b), a @ b, 1e-14)
    assert_close(cpu.matmul(b.T, a.T), (a @ b).T, 1e-14)


@pytest.mark.parametrize("case", [CONVOLUTIONS[0], CONVOLUTIONS[1], CONVOLUTIONS[7]], ids=str)
def test_convolutions_of_arrays_that_are_not_contiguous(case):
    def scattered(a):
        return np.asfortranarray(a) if isinstance(a, np.ndarray) else a

    for name, arguments in conv_calls(case, np.float64):
        expected = results(name, arguments)[0]
        assert_close(results(name, tuple(map(scattered, arguments)))[0], expected, 1e-13, name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_cross_entropy_and_its_gradient(dtype):
    z, labels, g = normal(5, 4, dtype=dtype) * 300, np.array([0, 3, 1, 1, 2]), normal(5, seed=1, dtype=dtype)
    loss, p = cpu.softmax_cross_entropy(z, labels)
    assert loss.dtype == p.dtype == dtype
    assert_close(loss, reference.cross_entropy(z, labels), TOLERANCE[dtype])
    assert_close(p.sum(axis=1), np.ones(5), TOLERANCE[dtype])
    dz = cpu.softmax_cross_entropy_backward(g, p, labels)
    assert_close(dz, g[:, None] * (p - np.eye(4)[labels]), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_kernel(dtype):
    x, mask = normal(6, 5, dtype=dtype), np.random.default_rng(0).random((6, 5)) < 0.5
    expected = reference.dropout(x, mask, 0.5, True, True)
    for kind in (bool, dtype):
        y = cpu.dropout(x, mask.astype(kind), dtype(2))
        assert y.dtype == dtype
        assert_close(y, expected, TOLERANCE[dtype])
