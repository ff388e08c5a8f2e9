"""The same results and gradients as PyTorch, where the two mean the same."""

from itertools import product

import numpy as np
import pytest
from oracles import assert_close, distinct, leaf, normal

import tinynet as tn

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this file; the other files do without it")
F = torch.nn.functional
torch.set_num_threads(1)  # its threads and ours would wait for each other

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def check(ours, theirs, *arrays, dtype, tolerance=None):
    """Forward and all gradients, for a random gradient of the output."""
    arrays = [np.asarray(a, dtype) for a in arrays]
    mine = [leaf(a) for a in arrays]
    other = [torch.tensor(a, requires_grad=True) for a in arrays]
    y, z = ours(*mine), theirs(*other)
    g = normal(*y.shape, seed=7, dtype=dtype)
    tolerance = tolerance or TOLERANCE[dtype]
    assert y.dtype == dtype
    assert_close(y.numpy(), z.detach().numpy(), tolerance, "forward")
    y.backward(g)
    z.backward(torch.tensor(g).reshape(z.shape))
    for i, (a, b) in enumerate(zip(mine, other, strict=True)):
        assert a.grad.dtype == dtype
        assert_close(a.grad, b.grad.numpy(), tolerance, f"gradient {i}")


def valid_pool(size, kernel, padding, dilation=(1, 1)):
    return all(2 * p <= k and n + 2 * p > d * (k - 1) for n, k, p, d in zip(size, kernel, padding, dilation, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("dilation", [1, (1, 2)], ids=str)
@pytest.mark.parametrize("padding", [0, (2, 1)], ids=str)
@pytest.mark.parametrize("stride", [1, 2, (3, 1)], ids=str)
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (2, 5)], ids=str)
def test_conv2d(kernel, stride, padding, dilation, groups, dtype):
    how = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    arrays = normal(2, 4, 9, 10), normal(6, 4 // groups, *kernel), normal(6)
    check(lambda *t: tn.conv2d(*t, **how), lambda *t: F.conv2d(*t, **how), *arrays, dtype=dtype)


@pytest.mark.parametrize("name, x, w, how", [
    ("conv1", (2, 3, 67, 67), (8, 3, 11, 11), dict(stride=4)),
    ("conv2", (2, 8, 15, 15), (8, 4, 5, 5), dict(padding=2, groups=2)),
    ("conv3", (2, 8, 7, 7), (12, 8, 3, 3), dict(padding=1)),
])  # fmt: skip
def test_conv2d_as_in_the_paper(name, x, w, how):
    arrays = normal(*x), normal(*w), normal(w[0])
    check(lambda *t: tn.conv2d(*t, **how), lambda *t: F.conv2d(*t, **how), *arrays, dtype=np.float32)


POOLS = [
    (size, kernel, stride, padding)
    for size, kernel, stride, padding in product(
        [(7, 9), (6, 8)], [(3, 3), (2, 2), (3, 2), (5, 4)], [(2, 2), (1, 3), (3, 3)], [(0, 0), (1, 1), (0, 1)]
    )
    if valid_pool(size, kernel, padding)
]


@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("case", POOLS, ids=str)
def test_max_pool2d(case, ceil_mode):
    size, *how = case
    for dtype in DTYPES:
        check(lambda x: tn.max_pool2d(x, *how, ceil_mode), lambda x: F.max_pool2d(x, *how, ceil_mode=ceil_mode),
              distinct(2, 3, *size), dtype=dtype)  # fmt: skip


@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("dilation", [2, (1, 3)], ids=str)
@pytest.mark.parametrize("padding", [0, 1])
def test_max_pool2d_dilated(padding, dilation, ceil_mode):
    how = dict(kernel_size=3, stride=2, padding=padding, dilation=dilation, ceil_mode=ceil_mode)
    check(lambda x: tn.max_pool2d(x, **how), lambda x: F.max_pool2d(x, **how), distinct(2, 2, 10, 9), dtype=np.float64)


def test_max_pool2d_gives_ties_to_the_same_pixel():
    x = np.random.default_rng(0).integers(0, 3, (3, 2, 9, 9))
    how = dict(kernel_size=3, stride=2, padding=1)
    check(lambda t: tn.max_pool2d(t, **how), lambda t: F.max_pool2d(t, **how), x, dtype=np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("share", [0.02, 0.5, 1.0])
@pytest.mark.parametrize("how", [(3, 2, 1, 1), (2, 2, 0, 1), (3, 1, 1, 2), (5, 3, 2, 1)], ids=str)
def test_max_pool2d_gives_to_the_same_nan(how, share, dtype):
    size, stride, padding, dilation = how
    x = normal(3, 2, 11, 12, dtype=dtype)
    x[np.random.default_rng(0).random(x.shape) < share] = np.nan
    mine, t = leaf(x), torch.tensor(x, requires_grad=True)
    z, y = tn.max_pool2d(mine, size, stride, padding, dilation=dilation), F.max_pool2d(t, size, stride, padding, dilation)
    g = normal(*y.shape, dtype=dtype)
    z.backward(g), y.backward(torch.tensor(g))
    assert np.array_equal(z.numpy(), y.detach().numpy(), equal_nan=True)
    assert_close(mine.grad, t.grad.numpy(), TOLERANCE[dtype])


@pytest.mark.parametrize("how", [(3, 2, 1, 1), (3, 1, 1, 1), (2, 2, 1, 1), (3, 1, 1, 2), (4, 2, 2, 1)], ids=str)
def test_max_pool2d_of_minus_infinity_gives_to_a_pixel_not_to_the_border(how):
    size, stride, padding, dilation = how
    x = np.full((1, 1, 6, 7), -np.inf)
    x[0, 0, 2:4, 3] = 1
    t = torch.tensor(x, requires_grad=True)
    y = F.max_pool2d(t, size, stride, padding, dilation)
    g = normal(*y.shape)
    y.backward(torch.tensor(g))
    mine = leaf(x)
    z = tn.max_pool2d(mine, size, stride, padding, dilation=dilation)
    z.backward(g)
    assert np.array_equal(z.numpy(), y.detach().numpy()) and np.allclose(mine.grad, t.grad.numpy(), atol=1e-15)


@pytest.mark.parametrize("include", [True, False], ids=["with padding", "pixels only"])
@pytest.mark.parametrize("ceil_mode", [False, True], ids=["floor", "ceil"])
@pytest.mark.parametrize("case", POOLS, ids=str)
def test_avg_pool2d(case, ceil_mode, include):
    size, *how = case
    how = (*how, ceil_mode, include)
    for dtype in DTYPES:
        check(lambda x: tn.avg_pool2d(x, *how), lambda x: F.avg_pool2d(x, *how), normal(2, 3, *size), dtype=dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 7, 3, 2), (1, 2, 2, 2), (3, 16, 1, 1), (2, 5, 4)], ids=str)
@pytest.mark.parametrize("beta", [0.75, 0.5])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8])
def test_local_response_norm_is_torchs_with_alpha_times_size(size, beta, shape, dtype):
    check(lambda x: tn.local_response_norm(x, size, 0.5, beta, 1.3),
          lambda x: F.local_response_norm(x, size, 0.5 * size, beta, 1.3), normal(*shape), dtype=dtype)  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1, -2])
@pytest.mark.parametrize("scale", [1, 5])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, scale, axis, dtype):
    check(
        lambda x: getattr(tn, name)(x, axis=axis),
        lambda x: getattr(F, name)(x, dim=axis),
        scale * normal(3, 4, 5),
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("scale", [1, 100])
def test_cross_entropy(scale, reduction, dtype):
    labels = np.array([2, 0, 0, 4, 1])
    check(
        lambda z: tn.cross_entropy(z, labels, reduction),
        lambda z: F.cross_entropy(z, torch.tensor(labels), reduction=reduction),
        scale * normal(5, 6),
        dtype=dtype,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5, 2), (2, 4, 3)], ids=str)
def test_batch_norm(shape, training, dtype):
    stats = [normal(4, seed=3, dtype=dtype), normal(4, seed=4, dtype=dtype) ** 2 + 0.5]
    theirs = [torch.tensor(s) for s in stats]
    check(lambda x, w, b: tn.batch_norm(x, w, b, *stats, training, 0.3, 1e-3),
          lambda x, w, b: F.batch_norm(x, *theirs, w, b, training, 0.3, 1e-3),
          3 + normal(*shape), normal(4), normal(4, seed=1), dtype=dtype)  # fmt: skip
    for mine, other in zip(stats, theirs, strict=True):
        assert_close(mine, other.numpy(), TOLERANCE[dtype], "running statistics")


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 0.9])
def test_dropout_scales_as_torch_does_for_the_same_mask(p):
    x = np.ones((20, 30), np.float32) * 3
    theirs = F.dropout(torch.tensor(x), p)
    ours = tn.dropout(tn.tensor(x), p, mask=(theirs != 0).numpy())
    assert_close(ours.numpy(), theirs.numpy(), 1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5)], ids=str)
def test_linear(shape, dtype):
    check(tn.linear, F.linear, normal(*shape), normal(3, 5), normal(3), dtype=dtype)


ELEMENTWISE = ["exp", "tanh", "sigmoid", "relu", "log", "sqrt"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, dtype):
    x = np.abs(normal(4, 5)) + 0.1 if name in ("log", "sqrt") else normal(4, 5)
    check(getattr(tn, name), getattr(torch, name), x, dtype=dtype)


@pytest.mark.parametrize("dtype, lowest", [(np.float32, -87), (np.float64, -708)])
def test_sigmoid_keeps_its_small_values_and_slopes(dtype, lowest):
    x = np.concatenate([np.linspace(lowest, 10, 200), [0.0, -0.0, 1000, -1000, np.inf, -np.inf]]).astype(dtype)
    mine, t = leaf(x), torch.tensor(x, requires_grad=True)
    y, z = tn.sigmoid(mine), torch.sigmoid(t)
    y.sum().backward(), z.sum().backward()
    info = np.finfo(dtype)
    np.testing.assert_allclose(y.numpy(), z.detach().numpy(), rtol=8 * info.eps, atol=info.tiny)
    # 1 - y loses digits where y is nearly 1, in both.
    np.testing.assert_allclose(mine.grad, t.grad.numpy(), rtol=1e5 * info.eps, atol=info.tiny)
    assert y.dtype == dtype and np.isnan(tn.sigmoid(tn.tensor(np.array(np.nan, dtype))).numpy())


@pytest.mark.parametrize("dtype", DTYPES)
def test_abs(dtype):
    check(abs, torch.abs, [-2.0, -0.0, 0.0, 1.5], dtype=dtype)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_maximum_and_minimum_with_ties(name):
    a, b = (np.random.default_rng(i).integers(0, 3, (4, 5)) for i in range(2))
    check(getattr(tn, name), getattr(torch, name), a, b, dtype=np.float64)


@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), (0, 1, 2)], ids=str)
def test_max_and_min_with_ties_are_torchs_amax_and_amin(axis, keepdim):
    x = np.random.default_rng(0).integers(0, 3, (3, 4, 5))
    check(lambda t: t.min(axis, keepdim), lambda t: t.amin(axis, keepdim), x, dtype=np.float64)
    check(lambda t: t.max(axis, keepdim), lambda t: t.amax(axis, keepdim), x, dtype=np.float64)


@pytest.mark.parametrize("base, exponent", [((4, 3), (3,)), ((1, 3), (4, 1))], ids=str)
def test_pow(base, exponent):
    check(lambda a, b: a**b, lambda a, b: a**b, np.abs(normal(*base)) + 0.1, normal(*exponent), dtype=np.float64)


def test_pow_at_zero_base_and_exponent():
    check(lambda a, b: a**b, lambda a, b: a**b, [0.0, 0.0, 2.0, 0.0], [0.0, 2.0, 0.0, 1.0], dtype=np.float64)


@pytest.mark.parametrize("shapes", [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
], ids=str)  # fmt: skip
def test_matmul(shapes):
    check(lambda a, b: a @ b, lambda a, b: a @ b, normal(*shapes[0]), normal(*shapes[1], seed=1), dtype=np.float64)


@pytest.mark.parametrize("key", [
    0, (slice(None), -1), (slice(None, None, 2), slice(1, 3)), [2, 0, 2, 2], ([0, 1, 1], [2, 2, 2]), (..., None, 1),
], ids=str)  # fmt: skip
def test_indexing(key):
    check(lambda x: x[key], lambda x: x[key], normal(3, 4, 5), dtype=np.float64)


@pytest.mark.parametrize("dims", [(), (1,), (0, 1), (-2,), (1, 2)], ids=str)
def test_flatten(dims):
    check(lambda x: x.flatten(*dims), lambda x: x.flatten(*dims), normal(2, 3, 4), dtype=np.float64)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_sgd_takes_the_same_way_as_torch_while_the_rate_is_constant(momentum, decay):
    w, x = normal(3, 4), normal(10, 4)
    labels = np.arange(10) % 3
    mine, other = leaf(w), torch.tensor(w, requires_grad=True)
    ours = tn.optim.SGD([mine], lr=0.1, momentum=momentum, weight_decay=decay)
    theirs = torch.optim.SGD([other], lr=0.1, momentum=momentum, weight_decay=decay)
    for _ in range(20):
        ours.zero_grad(), theirs.zero_grad()
        tn.cross_entropy(tn.linear(tn.tensor(x), mine), labels).backward()
        F.cross_entropy(F.linear(torch.tensor(x), other), torch.tensor(labels)).backward()
        ours.step(), theirs.step()
        assert_close(mine.numpy(), other.detach().numpy(), 1e-12)


def test_a_whole_small_network_in_float32():
    def net(m, lrn, x, w1, b1, w2, b2):
        h = lrn(m.relu(m.conv2d(x, w1, b1, stride=2, padding=1)))
        return m.linear(m.tanh(m.max_pool2d(h, 3, 2).flatten(1)), w2, b2)

    arrays = normal(4, 3, 15, 17), normal(6, 3, 3, 3), normal(6), normal(5, 6 * 3 * 4), normal(5)
    check(
        lambda *t: net(tn, lambda x: tn.local_response_norm(x, 5, 0.1), *t),
        lambda *t: net(F, lambda x: F.local_response_norm(x, 5, 0.5, 0.75, 2.0), *t),
        *arrays,
        dtype=np.float32,
    )
