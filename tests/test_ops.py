"""Every operation's gradient against central differences, at points where a wrong rule cannot hide."""

import numpy as np
import pytest
from oracles import check_gradients, distinct, gradients, leaf, normal, positive

import tinynet as tn

N, D, P = normal, distinct, positive
ELEMENTWISE_SHAPES = [((3, 4), (3, 4)), ((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((2, 1, 3), (4, 1)),
                      ((), (2, 3)), ((2, 3), ()), ((), ()), ((1,), ()), ((1, 1), (2, 3)), ((0, 3), (3,)),
                      ((1, 3), (0, 1))]  # fmt: skip
BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "maximum": tn.maximum,
    "minimum": tn.minimum,
}


@pytest.mark.parametrize("shapes", ELEMENTWISE_SHAPES, ids=str)
@pytest.mark.parametrize("op", BINARY)
def test_binary_op_sums_its_gradients_over_broadcast_axes(op, shapes):
    check_gradients(BINARY[op], P(*shapes[0], seed=1), P(*shapes[1], seed=2))


UNARY = {
    "neg": (lambda x: -x, N(2, 3)),
    "exp": (tn.exp, N(2, 3)),
    "log": (tn.log, P(2, 3)),
    "sqrt": (tn.sqrt, P(2, 3)),
    "relu": (tn.relu, D(3, 5)),
    "tanh": (tn.tanh, N(2, 3)),
    "sigmoid": (tn.sigmoid, N(2, 3)),
    "square": (lambda x: x**2, D(2, 3)),
    "cube": (lambda x: x**3, D(2, 3)),
    "inverse": (lambda x: x**-1, D(2, 3)),
    "power 0": (lambda x: x**0, D(2, 3)),
    "power 1": (lambda x: x**1, np.zeros(3)),
    "power 2 at 0": (lambda x: x**2, np.zeros(3)),
    "power 1.5": (lambda x: x**1.5, P(2, 3)),
    "power of np.float64": (lambda x: x ** np.float64(2), D(2, 3)),
    "power of array": (lambda x: x ** np.array([0.0, 1.0, 2.5]), P(2, 3)),
    "number ** x": (lambda x: 2.0**x, N(2, 3)),
    "number - x": (lambda x: 1 - x, N(2, 3)),
    "number / x": (lambda x: 1 / x, P(2, 3)),
    "array / x": (lambda x: np.arange(3.0) / x, P(2, 3)),
    "array @ x": (lambda x: N(4, 2) @ x, N(2, 3)),
    "softmax": (tn.softmax, N(3, 4)),
    "softmax axis 0": (lambda x: tn.softmax(x, axis=0), N(3, 4)),
    "softmax axis 1 of 3": (lambda x: tn.softmax(x, axis=1), N(2, 3, 4)),
    "log_softmax": (tn.log_softmax, N(3, 4)),
    "log_softmax axis -2": (lambda x: tn.log_softmax(x, axis=-2), N(3, 4, 2)),
    "log_softmax of large": (tn.log_softmax, 500 + N(3, 4)),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary_op_gradient(name):
    f, x = UNARY[name]
    check_gradients(f, x)


@pytest.mark.parametrize("f", [tn.exp, tn.relu, tn.tanh, tn.sigmoid, lambda x: x**2, lambda x: -x, tn.log, tn.sqrt])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,)], ids=str)
def test_unary_op_of_no_axes_and_no_elements(f, shape):
    check_gradients(f, positive(*shape))


@pytest.mark.parametrize("shapes", [
    ((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((1, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
    ((3,), (2, 5, 3, 4)), ((2, 5, 4, 3), (3,)), ((0, 3), (3, 4)), ((2, 0), (0, 3)), ((1, 1), (1, 1)),
], ids=str)  # fmt: skip
def test_matmul_of_vectors_matrices_and_stacks(shapes):
    check_gradients(lambda a, b: a @ b, N(*shapes[0], seed=1), N(*shapes[1], seed=2))


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3), (0, 3), (1, 3)], ids=str)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_linear(shape, bias):
    check_gradients(tn.linear, N(*shape), N(5, 3), *[N(5)] * bias)


REDUCED_AXES = [None, 0, 1, -1, -2, (0, 1), (0, 2), (-1, 0), (0, 1, 2), ()]


@pytest.mark.parametrize("keepdims", [False, True], ids=["drop", "keep"])
@pytest.mark.parametrize("axis", REDUCED_AXES, ids=str)
@pytest.mark.parametrize("op", ["sum", "mean", "max"])
def test_reduction(op, axis, keepdims):
    check_gradients(lambda x: getattr(x, op)(axis=axis, keepdims=keepdims), distinct(2, 3, 4))


@pytest.mark.parametrize("op", ["sum", "mean", "max"])
def test_reduction_of_a_scalar_is_the_scalar(op):
    check_gradients(lambda x: getattr(x, op)(), N())


def test_sum_and_mean_over_an_empty_batch():
    check_gradients(lambda x: x.sum(axis=0), np.zeros((0, 3)))
    check_gradients(lambda x: x.mean(axis=1), np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"max: a tensor of shape \(0, 3\)"):
        tn.tensor(np.zeros((0, 3))).max(axis=0)


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_equal_maxima_share_the_gradient(axis):
    x = np.array([[1.0, 3.0, 3.0], [3.0, 0.0, 3.0]])
    _, (g,) = gradients(lambda t: t.max(axis=axis), x)
    won = x == x.max(axis=axis, keepdims=True)
    np.testing.assert_allclose(g, won / won.sum(axis=axis, keepdims=True))


@pytest.mark.parametrize("op", ["sum", "mean", "max"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool])
def test_reduction_of_integers_is_numpys_and_does_not_overflow(op, dtype):
    x = np.array([200, 100, 7]).astype(dtype)
    y = getattr(tn.tensor(x), op)()
    assert y.numpy() == getattr(x, op)() and y.dtype == getattr(x, op)().dtype


SHAPING = {
    "reshape": lambda x: x.reshape(4, 6),
    "reshape tuple": lambda x: x.reshape((3, 8)),
    "reshape -1": lambda x: x.reshape(-1),
    "transpose": lambda x: x.transpose(),
    "T": lambda x: x.T,
    "transpose axes": lambda x: x.transpose(1, 2, 0),
    "transpose negative": lambda x: x.transpose(-1, 0, -2),
    "transpose tuple": lambda x: x.transpose((2, 0, 1)),
    "flatten": lambda x: x.flatten(),
    "flatten 1": lambda x: x.flatten(1),
    "flatten 0 to -2": lambda x: x.flatten(0, -2),
    "index int": lambda x: x[1],
    "index all": lambda x: x[1, 2, 3],
    "index negative": lambda x: x[-1, :, -2],
    "index np.int64": lambda x: x[np.int64(1)],
    "index slice": lambda x: x[:, 1:, ::-2],
    "index empty": lambda x: x[:, 3:],
    "index ellipsis": lambda x: x[..., 1],
    "index newaxis": lambda x: x[:, None, 1:2],
    "index array": lambda x: x[:, [2, 0]],
    "index repeated": lambda x: x[[1, 1, 0, 1]],
    "index pairs": lambda x: x[[0, 1, 1], [2, 2, 2], 1:],
    "index mask": lambda x: x[np.arange(24).reshape(2, 3, 4) % 5 < 2],
    "index mask of one axis": lambda x: x[:, np.array([True, False, True])],
    "index True": lambda x: x[True],
    "index tensor": lambda x: x[tn.tensor([1, 0, 1])],
    "index tensors": lambda x: x[tn.tensor([1, 1]), tn.tensor([2, 2])],
    "pad": lambda x: tn.pad(x, 1),
    "pad pair": lambda x: tn.pad(x, (1, 2)),
    "pad each": lambda x: tn.pad(x, ((0, 1), (2, 0), (0, 0)), constant_values=3.0),
    "concat of itself": lambda x: tn.concat([x, x * 2, x], axis=-2),
    "stack of itself": lambda x: tn.stack([x, x], axis=-1),
    "to another device": lambda x: x.to("cpu:1").to("cpu:0"),
}


@pytest.mark.parametrize("name", SHAPING)
def test_shaping_gradient(name):
    check_gradients(SHAPING[name], N(2, 3, 4))


def test_flatten_of_a_scalar_has_one_axis():
    assert tn.tensor(3.0).flatten().shape == (1,)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_concat_gives_each_its_own_part(axis):
    shapes = [[2, 3, 4] for _ in range(3)]
    for shape, size in zip(shapes, (1, 3, 0), strict=True):
        shape[axis] = size
    check_gradients(lambda *t: tn.concat(t, axis), *(N(*s, seed=i) for i, s in enumerate(shapes)))


@pytest.mark.parametrize("axis", [0, 1, -1, -3])
def test_stack_gives_each_its_own_part(axis):
    check_gradients(lambda *t: tn.stack(t, axis), N(2, 3, seed=1), N(2, 3, seed=2))
    check_gradients(lambda *t: tn.stack(t).sum(), N(), N(seed=1), N(seed=2))


@pytest.mark.parametrize("f", [
    tn.relu, tn.exp, tn.softmax, lambda x: x.sum(axis=0), lambda x: x * 2.0, lambda x: x.flatten(), lambda x: x[:, 1:],
    lambda x: x.max(axis=-1), lambda x: tn.linear(x, tn.tensor(normal(2, x.shape[-1]))), lambda x: x @ x.T,
])  # fmt: skip
@pytest.mark.parametrize(
    "view", [lambda x: x.T, lambda x: x[::2, 1:], lambda x: x[:, ::-1]], ids=["T", "strided", "reversed"]
)
def test_non_contiguous_input(f, view):
    x = view(distinct(6, 5))
    assert not x.flags.c_contiguous
    y, (g,) = gradients(lambda t: f(view(t)), distinct(6, 5))  # indexing and .T give views, so f sees just such an array
    expected_y, (expected_g,) = gradients(f, np.ascontiguousarray(x))
    np.testing.assert_allclose(y, expected_y, rtol=1e-12)
    np.testing.assert_allclose(view(g), expected_g, rtol=1e-12)


@pytest.mark.parametrize("a, b, da, db", [
    ([0.0, 0.0], [2.0, 1.0], [0, 1], [0, 0]),  # 0^b: slope b 0^(b-1); constant in b
    ([0.0, 3.0], [0.0, 0.0], [0, 0], [0, np.log(3)]),  # a^0 = 1 even at a = 0; d/db = log a
    ([2.0, -2.0], [3.0, 2.0], [12, -4], None),  # a negative base is fine for whole exponents without a gradient
])  # fmt: skip
def test_pow_at_zero_base_and_exponent_has_no_nan(a, b, da, db):
    a = leaf(a, np.float64)
    b = leaf(b, np.float64) if db is not None else tn.tensor(b, dtype=np.float64)
    (a**b).sum().backward()
    np.testing.assert_allclose(a.grad, da)
    assert b.grad is None if db is None else np.allclose(b.grad, db)


def test_relu_has_slope_0_at_0():
    _, (g,) = gradients(tn.relu, np.array([-1.0, 0.0, -0.0, 2.0], np.float32))
    assert g.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("op, expected", [(tn.maximum, [0, 0.5, 1]), (tn.minimum, [1, 0.5, 0])])
def test_maximum_and_minimum_choose_by_value_and_share_ties(op, expected):
    _, (a, b) = gradients(op, np.array([1.0, 2.0, 3.0], np.float32), np.array([2.0, 2.0, 2.0], np.float32))
    assert a.tolist() == expected and b.tolist() == [1 - e for e in expected]


def test_cast_to_integers_is_off_the_tape():
    x = leaf([1.5, 2.5])
    assert not x.astype(np.int64).requires_grad
    assert x.astype(np.float64).requires_grad
    (x.astype(np.float64) * 3).sum().backward()
    assert x.grad.dtype == np.float32 and x.grad.tolist() == [3, 3]
