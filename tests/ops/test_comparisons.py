"""Comparisons of Tensors are NumPy's, and leave nothing on the tape."""

import operator

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn

FUNCTIONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
NAN = float("nan")


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("b", [
    np.array([[3.0, 2.0, NAN], [0.0, -1.0, 5.0]], np.float32), np.array([1.0, 2.0, 3.0]), np.array([[2], [0]]), 2.0, 2, True,
    [1.0, 2.0, 3.0], np.float32(2), np.uint8(1),
], ids=repr)  # fmt: skip
def test_a_comparison_is_numpys_elementwise_from_both_sides(function, b):
    a = np.array([[1.0, 2.0, 3.0], [0.0, NAN, -0.0]], np.float32)
    expected = function(a, np.asarray(b))
    for other in (b, tn.tensor(b)):
        for y in (function(tn.tensor(a), other), function(leaf(a), other)):
            assert isinstance(y, tn.Tensor) and y.dtype == bool and not y.requires_grad
            assert np.array_equal(y.numpy(), expected)
    assert np.array_equal(function(b, tn.tensor(a)).numpy(), function(np.asarray(b), a))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_integers_and_floats_are_compared_by_their_value(function):
    a, values = np.array([1, 2, 200], np.uint8), [1.5, 300, -1, np.array([257, 2, 200]), np.array([1.5, 2, 3])]
    for b in values:
        assert np.array_equal(function(tn.tensor(a), b).numpy(), function(a.astype(np.float64), b)), b


def test_a_constant_takes_the_dtype_of_the_floats_that_it_meets():
    for constant in (0.1, np.float64(0.1), np.array([0.1]), [0.1]):
        assert (tn.tensor([0.1]) == constant).numpy().tolist() == [True]


@pytest.mark.parametrize("other", [None, "a", [None], {}, ..., np.zeros], ids=repr)
def test_nothing_but_numbers_is_equal_to_a_tensor(other):
    t = tn.tensor([1.0])
    assert (t == other) is False and (t != other) is True and (other == t) is False
    with pytest.raises(TypeError, match="not supported between instances of"):
        t < other  # noqa: B015


def test_shapes_that_do_not_broadcast_are_named():
    with pytest.raises(ValueError, match=r"<: shapes \(2,\) and \(3,\) do not broadcast"):
        tn.tensor([1.0, 2.0]) < tn.tensor([1.0, 2.0, 3.0])  # noqa: B015


def test_tensors_of_two_devices_are_not_compared():
    t = tn.tensor([1.0])
    with pytest.raises(tn.DeviceError, match="==: inputs are on cpu:0 and cpu:1"):
        t == t.to("cpu:1")  # noqa: B015


def test_in_looks_for_a_value_as_numpy_does():
    a = np.array([[1.0, 2.0], [3.0, 4.0]])
    for value in (2.0, 5.0, [1.0, 9.0], [7.0, 8.0]):
        assert (value in tn.tensor(a)) == (value in a)
    assert "a" not in tn.tensor(a) and None not in tn.tensor(a)


def test_whether_a_comparison_holds_must_be_one_question():
    assert tn.tensor([1.0]) == 1
    with pytest.raises(
        ValueError, match=r"bool: .* one element, got shape \(2,\); use .numpy\(\).all\(\) or .numpy\(\).any"
    ):
        assert tn.tensor([1.0, 2.0]) == tn.tensor([1.0, 2.0])


def test_equal_tensors_are_two_keys():
    a, b = leaf([1.0]), leaf([1.0])
    assert len({a, b}) == 2 and {a: 1}[a] == 1 and len(dict.fromkeys([a, b, a])) == 2


def test_a_comparison_selects_and_masks():
    x = leaf(normal(3, 4))
    (x[x > 0].sum() + (x * (x < 0).astype(x.dtype)).sum() * 2).backward()
    assert np.array_equal(x.grad, np.where(x.data > 0, 1.0, 2.0))


def test_comparisons_on_a_simulated_device(sims):
    here = sims[0]
    with here:
        x = tn.tensor([1.0, 2.0], requires_grad=True, device=here)
        for other in (2.0, np.array([0.0, 2.0]), tn.tensor([3, 2], device=here)):
            assert (x == other).numpy().tolist() == [False, True]
        assert 2.0 in x and 3.0 not in x
    with pytest.raises(tn.DeviceError), sims[1]:
        x == 2.0  # noqa: B015
