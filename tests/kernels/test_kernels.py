"""The fast kernels against the formulas as loops, and what must not change their results: tiles, threads, repetition."""

import numpy as np
import pytest
from kernel_calls import (
    CONVOLUTIONS,
    DTYPES,
    LRNS,
    POOLS,
    TOLERANCE,
    VIEWS,
    check,
    check_sgd,
    conv_calls,
    every_call,
    lost_windows,
    lrn_calls,
    nan_windows,
    pool_calls,
    results,
)
from oracles import assert_close, normal

from tinynet.kernels import cpu, reference
from tinynet.kernels.cpu import convolution, parallel


@pytest.fixture(params=["default", "tiny", "odd", "huge"])
def sizes(request, monkeypatch):
    """The kernels' tiles and chunks: as they are, one row at a time, pieces that fit badly, everything at once."""
    if request.param != "default":
        size = {"tiny": 1, "odd": 97, "huge": 1 << 40}[request.param]
        monkeypatch.setattr(convolution, "TILE", size)
        monkeypatch.setattr(parallel, "CHUNK", size)
        monkeypatch.setattr(parallel, "HANDOVER", 1)


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


def test_where_all_is_minus_infinity_the_first_real_pixel_wins(sizes):
    arguments, winners = lost_windows()
    assert np.array_equal(cpu.max_pool2d(*arguments)[1], winners) and winners[0, 0, 0].tolist() == [3, 2, 2]


def test_of_several_nan_the_last_wins(sizes):
    for arguments in nan_windows():
        for found, expected in zip(cpu.max_pool2d(*arguments), reference.max_pool2d(*arguments), strict=True):
            assert np.array_equal(found, expected, equal_nan=True)


def test_max_pool_of_integers():
    x = np.array([[[[-5, -7], [-6, -9]]]], np.int32)
    y, _ = cpu.max_pool2d(x, (2, 2), (1, 1), (1, 1), (1, 1), (3, 3))
    assert y.dtype == np.int32 and y[0, 0].tolist() == [[-5, -5, -7], [-5, -5, -7], [-6, -6, -9]]


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
    assert_close(loss, reference.softmax_cross_entropy(z, labels)[0], TOLERANCE[dtype])
    assert_close(p.sum(axis=1), np.ones(5), TOLERANCE[dtype])
    dz = cpu.softmax_cross_entropy_backward(g, p, labels)
    assert_close(dz, g[:, None] * (p - np.eye(4)[labels]), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", DTYPES)
def test_dropout_kernel(dtype):
    x, mask = normal(6, 5, dtype=dtype), np.random.default_rng(0).random((6, 5)) < 0.5
    expected = reference.dropout(x, mask, 2)
    for kind in (bool, dtype):
        y = cpu.dropout(x, mask.astype(kind), dtype(2))
        assert y.dtype == dtype
        assert_close(y, expected, TOLERANCE[dtype])
