"""Every operation's gradient against central differences, at points where a wrong rule cannot hide."""

import numpy as np
import pytest
from oracles import check_gradients, distinct, gradients, leaf, normal, positive

import tinynet as tn
from tinynet.gradcheck.cases import CASES

N, P = normal, positive


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_of_every_operation_at_its_hard_points(case):
    check_gradients(case.f, *case.args())


@pytest.mark.parametrize("f", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lambda a, b: a / b,
                               lambda a, b: a**b, tn.maximum, tn.minimum])  # fmt: skip
@pytest.mark.parametrize("shapes", [((0, 3), (3,)), ((1, 3), (0, 1))], ids=str)
def test_binary_op_of_no_elements(f, shapes):
    check_gradients(f, P(*shapes[0], seed=1), P(*shapes[1], seed=2))


@pytest.mark.parametrize("power, slope", [(0, 0), (1, 1), (2, 0), (3, 0)])
def test_whole_powers_have_a_slope_at_0(power, slope):
    y, (g,) = gradients(lambda x: x**power, np.zeros(3))
    assert y.tolist() == [float(power == 0)] * 3 and g.tolist() == [slope] * 3


def test_power_0_has_slope_0_everywhere():
    y, (g,) = gradients(lambda x: x**0, distinct(2, 3))
    assert (y == 1).all() and g.shape == (2, 3) and not g.any()


@pytest.mark.parametrize("f", [tn.exp, tn.relu, tn.tanh, tn.sigmoid, lambda x: x**2, lambda x: -x, tn.log, tn.sqrt])
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,)], ids=str)
def test_unary_op_of_no_axes_and_no_elements(f, shape):
    check_gradients(f, positive(*shape))


@pytest.mark.parametrize("shapes", [((0, 3), (3, 4)), ((2, 0), (0, 3))], ids=str)
def test_matmul_of_no_elements(shapes):
    check_gradients(lambda a, b: a @ b, N(*shapes[0], seed=1), N(*shapes[1], seed=2))


@pytest.mark.parametrize("shape", [(2, 3, 0, 4), (2, 3, 5, 0), (0, 3, 0, 4)])
def test_linear_of_no_inputs_or_outputs(shape):
    *rows, inputs, outputs = shape
    x, w, b = leaf(normal(*rows, inputs)), leaf(normal(outputs, inputs)), leaf(normal(outputs))
    y = tn.linear(x, w, b)
    assert y.shape == (*rows, outputs) and np.array_equal(y.numpy(), np.broadcast_to(b.numpy(), y.shape))
    y.backward(np.ones(y.shape))
    assert (x.grad.shape, w.grad.shape) == (x.shape, w.shape) and not x.grad.any()
    assert np.array_equal(b.grad, np.full(outputs, np.prod(rows)))


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_linear_of_no_rows(bias):
    check_gradients(tn.linear, N(0, 3), N(5, 3), *[N(5)] * bias)


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


@pytest.mark.parametrize("op", ["sum", "mean", "max", "min"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool])
def test_reduction_of_integers_is_numpys_and_does_not_overflow(op, dtype):
    x = np.array([200, 100, 7]).astype(dtype)
    y = getattr(tn.tensor(x), op)()
    assert y.numpy() == getattr(x, op)() and y.dtype == getattr(x, op)().dtype


def test_a_slice_of_nothing_gives_a_gradient_of_zeros():
    check_gradients(lambda x: x[:, 3:], N(2, 3, 4))


def test_flatten_of_a_scalar_has_one_axis():
    assert tn.tensor(3.0).flatten().shape == (1,)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_concat_with_a_part_of_no_elements(axis):
    shapes = [[2, 3, 4] for _ in range(3)]
    for shape, size in zip(shapes, (1, 3, 0), strict=True):
        shape[axis] = size
    check_gradients(lambda *t: tn.concat(t, axis), *(N(*s, seed=i) for i, s in enumerate(shapes)))


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
