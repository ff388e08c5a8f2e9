"""The CUDA kernels without a GPU: whole functions of kernels/cuda/ on NumPy arrays, their kernels run by the CPU."""

from functools import partial

import cupy_double
import numpy as np
import pytest
from cupy_double import ElementwiseKernel
from kernel_calls import (
    CONVOLUTIONS,
    DTYPES,
    POOLS,
    VIEWS,
    check,
    check_all,
    check_sgd,
    conv_calls,
    elementwise_calls,
    lost_windows,
    lrn_calls,
    pool_calls,
    results,
)
from oracles import assert_close, check_gradients, distinct, normal

import tinynet as tn
from alexnet import AlexNet
from benchmarks.gpu_rehearsal import Played


@pytest.fixture(scope="module")
def cuda():
    return cupy_double.load()


@pytest.fixture(params=["32 bits", "64 bits"])
def bits(request, cuda, monkeypatch):
    """Indices of 32 bits, as for every array here, or of 64, as for arrays that are longer than 2^31 numbers."""
    if request.param == "64 bits":
        monkeypatch.setattr(cuda.threads, "LONGEST", -1)


@pytest.fixture(params=["default", 1, 4_000, 20_000])
def workspace(request, cuda):
    """Bytes for columns: enough for everything, too few for one image, for some images of some cases."""
    cuda.use_workspace(None if request.param == "default" else request.param)
    yield
    cuda.use_workspace(None)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_function_has_the_numbers_of_the_reference(cuda, dtype, workspace, bits):
    check_all(cuda, dtype)


@pytest.mark.parametrize("beta", [0.75, 0.5, 1.0, np.float64(0.6)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_exponent_of_the_response_normalisation(cuda, beta, dtype):
    check(lrn_calls(((2, 7, 3, 2), 5), dtype, beta), dtype, cuda)


def test_where_all_is_minus_infinity_the_first_real_pixel_wins(cuda):
    arguments, winners = lost_windows()
    assert np.array_equal(cuda.max_pool2d(*arguments)[1], winners)


def test_a_window_that_sees_no_pixel_is_minus_infinity(cuda):
    y, _ = cuda.max_pool2d(np.ones((1, 1, 1, 1)), (2, 2), (1, 1), (1, 1), (2, 2), (1, 1))
    assert y.item() == -np.inf


def test_max_pool_of_integers_and_its_winner_in_the_smallest_type(cuda):
    x = np.array([[[[-5, -7], [-6, -9]]]], np.int32)
    y, _ = cuda.max_pool2d(x, (2, 2), (1, 1), (1, 1), (1, 1), (3, 3))
    assert y.dtype == np.int32 and y[0, 0].tolist() == [[-5, -5, -7], [-5, -5, -7], [-6, -6, -9]]
    for kernel, dtype in (((3, 3), np.uint8), ((16, 16), np.uint8), ((17, 16), np.uint16)):
        y, winner = cuda.max_pool2d(np.zeros((1, 1, 17, 16), np.float32), kernel, (1, 1), (0, 0), (1, 1), (1, 1))
        assert winner.dtype == dtype and not winner.any() and not y.any()


@pytest.mark.parametrize("view", VIEWS)
def test_arrays_of_any_memory_layout(cuda, view):
    calls = [
        *conv_calls(CONVOLUTIONS[2], np.float64),
        *pool_calls(POOLS[0], np.float64),
        *lrn_calls(((2, 7, 3, 2), 3), np.float64),
    ]
    calls += [(name, arguments) for name, arguments, _ in elementwise_calls(np.float64) if name != "matmul"]
    for name, arguments in calls:
        changed = [VIEWS[view](a) if isinstance(a, np.ndarray) else a for a in arguments]
        plain = [np.ascontiguousarray(a) if isinstance(a, np.ndarray) else a for a in changed]
        for one, other in zip(results(name, changed, cuda), results(name, plain, cuda), strict=True):
            assert_close(one, other, 1e-14, name)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda a: np.ascontiguousarray(a.T).T[::-1]])
def test_sgd_updates_in_place_whatever_the_layout(cuda, layout):
    check_sgd(cuda, *(layout(normal(6, 5, seed=i, dtype=np.float32)) for i in range(3)))


# Gradients ------------------------------------------------------------------------------------------------------------

WINDOWS = dict(stride=(2, 1), padding=(1, 2), dilation=(1, 2))
GRADIENTS = {
    "conv2d": (partial(tn.conv2d, **WINDOWS, groups=2), normal(3, 4, 6, 5), normal(6, 2, 3, 2), normal(6)),
    "conv2d, windows apart": (partial(tn.conv2d, stride=(3, 2)), normal(2, 2, 6, 5), normal(3, 2, 2, 1)),
    "max_pool2d, overlapping": (partial(tn.max_pool2d, kernel_size=3, stride=2, ceil_mode=True), distinct(2, 2, 6, 7)),
    "max_pool2d, padding": (partial(tn.max_pool2d, kernel_size=(3, 2), **WINDOWS | {"padding": 1}), distinct(2, 2, 6, 7)),
    "avg_pool2d": (partial(tn.avg_pool2d, kernel_size=3, stride=2, padding=1, ceil_mode=True), normal(2, 2, 6, 7)),
    "avg_pool2d, real pixels": (
        partial(tn.avg_pool2d, kernel_size=(2, 4), stride=(3, 1), padding=(1, 2), count_include_pad=False),
        normal(2, 2, 6, 7),
    ),
    "local_response_norm": (partial(tn.local_response_norm, size=4, alpha=0.3), normal(2, 7, 2, 3)),
    "local_response_norm, beta 1/2": (partial(tn.local_response_norm, size=3, alpha=0.3, beta=0.5), normal(2, 7, 3)),
    "relu": (tn.relu, distinct(3, 5)),
    "linear": (tn.linear, normal(3, 4), normal(5, 4), normal(5)),
}


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients_are_those_of_central_differences(cuda, case, monkeypatch):
    monkeypatch.setattr(tn.devices("cpu")[0], "kernels", cuda)
    cuda.use_workspace(1)  # image by image
    try:
        check_gradients(*GRADIENTS[case])
    finally:
        cuda.use_workspace(None)


# Memory, index types, settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [30_000, 100_000, 300_000])
def test_columns_and_products_stay_within_the_workspace(cuda, count, monkeypatch):
    asked = []
    monkeypatch.setattr(
        cuda.convolution.cp, "empty", lambda shape, dtype: asked.append((shape, dtype)) or cupy_double.empty(shape, dtype)
    )
    shape, weight, how = (13, 3, 9, 9), (8, 3, 3, 3), ((1, 1), (1, 1), (1, 1), 1)
    x, w = normal(*shape, dtype=np.float32), normal(*weight, dtype=np.float32)
    cuda.use_workspace(count)
    try:
        g = cuda.conv2d(x, w, None, *how)
        cuda.conv2d_input_grad(g, w, shape, *how)
        cuda.conv2d_weight_grad(g, x, weight, *how)
    finally:
        cuda.use_workspace(None)
    chunks = [n * np.dtype(dtype).itemsize for n, dtype in asked if isinstance(n, int)]
    assert len(chunks) == 3 and max(chunks) <= count and min(chunks) >= min(count / 2, 35 * 81 * 4 * 13)


def test_a_workspace_has_a_size(cuda):
    with pytest.raises(ValueError, match=r"use_workspace: 0 bytes; expected at least 1, or None for 268435456"):
        cuda.use_workspace(0)


def test_long_arrays_get_indices_of_64_bits(cuda):
    kernel, used = cuda.threads.Kernel("nothing", "raw T x, I n", "raw T y", ""), []
    for integer in kernel.versions:
        kernel.versions[integer] = lambda *arguments, size, integer=integer: used.append((integer, size))
    short, long = (np.broadcast_to(np.float32(0), n) for n in (2**31 - 1, 2**31))  # no memory is used
    kernel(7, short, 1, short)
    kernel(8, short, 1, long)
    kernel(9, long, 1, short)
    assert used == [(np.int32, 7), (np.int64, 8), (np.int64, 9)]


def test_tf32_is_off_until_it_is_asked_for(cuda):
    asked = cuda.products.cp._core.compute_types
    assert not asked
    cuda.tf32(True)
    cuda.tf32(False)
    assert asked == [(np.dtype("float32"), "tf32"), (np.dtype("float32"), "default")]


# The whole network ----------------------------------------------------------------------------------------------------


def test_alexnet_has_the_losses_of_the_cpu(cuda):
    def losses(devices):
        model = AlexNet(5, 0.1, devices, 64, recipe="modern", seed=3, dropout=0.1)
        optimizer = tn.optim.SGD(model.parameters(), lr=0.05)
        x, labels = normal(12, 3, 64, 64, dtype=np.float32), np.arange(12) % 5
        found = []
        for _ in range(6):
            optimizer.zero_grad()
            loss = tn.cross_entropy(model(tn.tensor(x, device=devices[0])), labels)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return np.array(found)

    expected = losses(tn.devices("cpu"))
    assert expected[-1] < 0.9 * expected[0], "nothing was learnt, so that a wrong gradient would not show"
    cuda.use_workspace(300_000)
    try:
        for indices in ((0,), (0, 1)):
            del ElementwiseKernel.launches[:]
            found = losses([Played("cuda", i, np, cuda) for i in indices])
            assert np.abs(found / expected - 1).max() <= 1e-5, (found, expected)
            names = {name.rpartition("_int")[0] or name for name in ElementwiseKernel.launches}
            assert names >= {
                *("im2col", "col2im", "add_bias", "by_map", "max_pool", "max_pool_backward", "lrn", "lrn_backward"),
                *("relu_backward", "sgd"),
            }
    finally:
        cuda.use_workspace(None)
