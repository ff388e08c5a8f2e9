"""On a GPU, where there is one: what tests without a GPU cannot see, CuPy, cuBLAS and threads that run in parallel."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_calls import all_calls, check_all, results
from oracles import normal

import tinynet as tn
from alexnet import AlexNet

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
except Exception as error:  # no CuPy, a broken one, no driver, no GPU
    pytest.skip(f"no GPU: {type(error).__name__}: {error}", allow_module_level=True)

from tinynet.kernels import cuda

pytestmark = pytest.mark.filterwarnings("default")  # CuPy's own warnings are not ours to fix


class OnGPU:
    """The kernels as functions of NumPy arrays: there and back, and whatever was written in place comes back too."""

    def __getattr__(self, name):
        def call(*arguments):
            there = [cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in arguments]
            out = getattr(cuda, name)(*there)
            for here, array in zip(arguments, there, strict=True):
                if isinstance(here, np.ndarray):
                    here[...] = array.get()
            return tuple(a.get() for a in out) if isinstance(out, tuple) else None if out is None else out.get()

        return call


@pytest.fixture(params=["32 bits", "64 bits"])
def bits(request, monkeypatch):
    if request.param == "64 bits":
        monkeypatch.setattr(cuda.threads, "LONGEST", -1)


@pytest.mark.parametrize("workspace", [None, 1, 20_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_function_has_the_numbers_of_the_reference(dtype, workspace, bits):
    cuda.use_workspace(workspace)
    try:
        check_all(OnGPU(), dtype)
    finally:
        cuda.use_workspace(None)


def test_two_runs_are_equal_bit_for_bit():
    for name, arguments, _ in all_calls(np.float32):
        for one, other in zip(results(name, arguments, OnGPU()), results(name, arguments, OnGPU()), strict=True):
            assert np.array_equal(one, other), name


def test_tf32_rounds_products_and_can_be_taken_back():
    a, b = (cupy.asarray(normal(256, 256, seed=i, dtype=np.float32)) for i in range(2))
    exact = a.get().astype(np.float64) @ b.get()

    def error():
        return np.abs(cuda.matmul(a, b).get() - exact).max() / np.abs(exact).max()

    before = error()
    cuda.tf32(True)
    try:
        rounded = error()
    finally:
        cuda.tf32(False)
    assert before < 1e-6 and error() == before
    if float(cupy.cuda.Device().compute_capability) >= 80:
        assert 1e-5 < rounded < 1e-2


def test_an_array_of_more_than_2_31_numbers():
    free, _ = cupy.cuda.Device().mem_info
    side = 27_000  # 3 * 27000^2 is 1.02 * 2^31
    if free < 48 << 30:
        pytest.skip(f"{free >> 30} GiB are free; this test wants 48")
    x = cupy.arange(3 * side * side, dtype=np.float32).reshape(3, 1, side, side)
    x %= np.float32(1013)
    how = (3, 3), (2, 2), (0, 0), (1, 1)
    y, winner = cuda.max_pool2d(x, *how, (13_499, 13_499))
    last, last_winner = cuda.max_pool2d(x[2:, :, -200:], *how, (99, 13_499))
    assert cupy.array_equal(y[2:, :, -99:], last) and cupy.array_equal(winner[2:, :, -99:], last_winner)
    dx = cuda.max_pool2d_backward(y, winner, x.shape, *how)
    last_dx = cuda.max_pool2d_backward(last, last_winner, (1, 1, 200, side), *how)
    assert cupy.array_equal(dx[2:, :, -199:], last_dx[:, :, 1:])  # the first row belongs to one more window
    del x, y, winner, dx
    cupy.get_default_memory_pool().free_all_blocks()


def test_batches_arrive_ahead_and_whole_whoever_staged_them():
    (device,) = tn.devices("cuda:0")
    with ThreadPoolExecutor(2) as pool, device:
        batches = [normal(64, 3, 64, 64, seed=seed, dtype=np.float32) for seed in range(12)]
        total = cupy.zeros(batches[0].shape, np.float32)
        for batch, staged in zip(batches, pool.map(device.stage, batches), strict=True):
            assert isinstance(staged.base, cupy.cuda.PinnedMemoryPointer), "it would be copied again"
            total += device.array_ahead(staged if batch[0, 0, 0, 0] > 0 else batch)
        assert np.array_equal(device.numpy(total), sum(batches))
        assert device.numpy(cupy.asarray(np.float32(3))).shape == ()


@pytest.mark.parametrize("names", ["cuda:0", "cuda:0,cuda:0", "cuda:0,cuda:1"])
def test_alexnet_has_the_losses_of_the_cpu(names):
    if names.endswith("1") and count < 2:
        pytest.skip("one GPU")

    def losses(devices):
        model = AlexNet(5, 0.1, devices, 64, recipe="modern", seed=3, dropout=0.1)
        optimizer = tn.optim.SGD(model.parameters(), lr=0.05)
        x = tn.tensor(normal(12, 3, 64, 64, dtype=np.float32), device=model.towers[0].device)
        found = []
        for _ in range(6):
            optimizer.zero_grad()
            with x.device:  # other tests may have left another device current
                loss = tn.cross_entropy(model(x), np.arange(12) % 5)
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return np.array(found)

    expected = losses("cpu")
    assert np.abs(losses(names) / expected - 1).max() <= 1e-4
