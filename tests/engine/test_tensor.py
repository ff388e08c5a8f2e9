"""Tensor: how one is made, what it refuses and with which sentence."""

import math
import operator

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn


@pytest.mark.parametrize("data, dtype", [
    (1.5, np.float32), ([1.5, 2], np.float32), ([[1, 2], [3, 4]], np.int64), (True, bool), (np.float64(2), np.float64),
    (np.ones(2), np.float64), (np.ones(2, np.float16), np.float16), (np.ones(2, np.uint8), np.uint8),
    ([np.float64(1.0)], np.float32), ([], np.float32),
], ids=repr)  # fmt: skip
def test_dtype_of_a_new_tensor(data, dtype):
    assert tn.tensor(data).dtype == dtype
    assert tn.tensor(data, dtype=np.float64).dtype == np.float64


def test_a_new_tensor_is_a_contiguous_copy():
    source = normal(3, 4)
    t = tn.tensor(source.T)
    assert t.data.flags.c_contiguous and not np.shares_memory(t.data, source)
    again = tn.tensor(t)
    assert not np.shares_memory(t.data, again.data) and not again.requires_grad


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u2", "f2"])
def test_a_foreign_order_of_bytes_becomes_this_machines(dtype):
    values = np.array([1, 2, 3], np.dtype(dtype).newbyteorder(">"))
    for t in (tn.tensor(values), tn.tensor([1, 2, 3], dtype=values.dtype), tn.tensor([1, 2, 3]).astype(values.dtype)):
        assert t.dtype.isnative and t.dtype == np.dtype(dtype) and t.numpy().tolist() == [1, 2, 3]


@pytest.mark.parametrize("order", "<>")
def test_bytes_of_both_orders_are_numbers_wherever_numbers_are_taken(order):
    def to(data, dtype):
        return np.array(data, np.dtype(dtype).newbyteorder(order))

    x = tn.tensor(to([[1.0, 2.0], [3.0, 4.0]], "f4"), requires_grad=True)
    y = x * to([2.0, 3.0], "f8") + tn.tensor(to([1.0, 1.0], "f4"))
    y = tn.dropout(y, 0.5, mask=to(np.ones((2, 2)), "f8"), inverted=False)[to([1, 0, 1], "i8")]
    tn.cross_entropy(y, to([0, 1, 1], "i4"), "none").backward(to([1.0, 2.0, 1.0], "f8"))
    p = np.exp(y.numpy()) / np.exp(y.numpy()).sum(axis=1, keepdims=True)
    dy = (p - [[1, 0], [0, 1], [0, 1]]) * [[1], [2], [1]]
    np.testing.assert_allclose(x.grad, [dy[1] * [2, 3], (dy[0] + dy[2]) * [2, 3]], rtol=1e-5)
    assert ((x == to([[1.0, 0.0], [3.0, 4.0]], "f4")).numpy() == [[True, False], [True, True]]).all()
    layer = tn.nn.Linear(2, 2, dtype=to([], "f4").dtype, rng=0)
    layer.load_state_dict({"weight": to(np.eye(2), "f8"), "bias": to([1, 2], "i2")})
    sgd = tn.optim.SGD(layer.parameters(), lr=1, momentum=0, weight_decay=0)
    layer.weight.grad, layer.bias.grad = to(np.eye(2), "f4"), to([1, 1], "f4")
    sgd.step()
    assert layer.weight.data.tolist() == [[0, 0], [0, 0]] and layer.bias.data.tolist() == [0, 1]
    assert layer.to(dtype=to([], "f8").dtype).weight.dtype.isnative


@pytest.mark.parametrize("data", ["abc", None, [None], 1j, [...], ["1"]], ids=repr)
def test_what_is_not_a_number_is_refused(data):
    with pytest.raises(TypeError, match="tensor: expected numbers, got"):
        tn.tensor(data)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool, np.float16])
def test_only_float32_and_float64_have_gradients(dtype):
    with pytest.raises(TypeError, match=f"requires_grad: {np.dtype(dtype)} has no gradient; expected float32 or float64"):
        tn.tensor(np.ones(2, dtype), requires_grad=True)


def test_requires_grad_can_be_switched_on_leaves_only():
    x = tn.tensor([1.0])
    assert not x.requires_grad and not (x * 2).requires_grad
    x.requires_grad = True
    entry = x.entry
    x.requires_grad = True
    assert x.entry is entry, "switching on twice keeps the place on the tape"
    y = x * 2
    assert y.requires_grad
    for value in (True, False):
        with pytest.raises(ValueError, match=r"computed tensor cannot be set; use .detach\(\)"):
            y.requires_grad = value
    x.requires_grad = False
    assert not (x * 2).requires_grad
    y.backward()
    assert x.grad == 2, "what was recorded before is still on the tape"


def test_detach_shares_the_data_and_stops_the_gradient():
    x = leaf([1.0, 2.0])
    d = x.detach()
    assert d.data is x.data and not d.requires_grad and d.device is x.device
    (x * d).sum().backward()
    assert x.grad.tolist() == [1, 2]


def test_attributes():
    t = tn.tensor(np.ones((2, 3)))
    assert (t.shape, t.ndim, t.size, t.dtype, t.grad, len(t)) == ((2, 3), 2, 6, np.float64, None, 2)
    assert t.device is tn.devices("cpu")[0] and t.numpy() is t.data
    assert repr(t) == "tensor([[1., 1., 1.],\n        [1., 1., 1.]], dtype=float64, device=cpu:0)"
    assert repr(leaf(2.0)) == "tensor(2., dtype=float32, device=cpu:0, requires_grad=True)"
    assert len(repr(tn.tensor(np.zeros((500, 500))))) < 1000


def test_numbers_out_of_a_tensor():
    t = leaf([[2.5]])
    assert t.item() == float(t) == 2.5 and type(t.item()) is float and math.sqrt(t) == 2.5**0.5
    assert type(tn.tensor(3).item()) is int and bool(tn.tensor([True])) and not tn.tensor(0.0)
    assert f"{t:.3f}" == "2.500" and f"{t}" == str(t)
    assert int(t) == 2 and type(int(t)) is int and int(tn.tensor(-2.5)) == -2
    for convert in (float, int, bool, tn.Tensor.item, "{:.3f}".format):
        with pytest.raises(ValueError, match=r"expected a tensor with one element, got shape \(2,\)"):
            convert(tn.tensor([1.0, 2.0]))


@pytest.mark.parametrize("data, dtype", [
    (2, None), ([2], None), ([[2]], np.uint8), (True, None), (2.0, None), ([1, 2], None), ([], np.int64),
], ids=repr)  # fmt: skip
def test_an_integer_tensor_counts_as_an_index_where_pytorchs_does(data, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    t = tn.tensor(data, dtype=dtype)
    try:
        expected = operator.index(torch.tensor(t.numpy()))
    except TypeError:
        with pytest.raises(TypeError, match=r"^index: expected an integer tensor with one element, got shape"):
            operator.index(t)
        return
    assert operator.index(t) == expected and "abc"[t] == "abc"[expected] and len(range(t)) == expected


def test_a_tensor_is_no_number_where_pytorchs_is_none():
    for value, error in ((np.inf, OverflowError), (np.nan, ValueError)):
        with pytest.raises(error):
            int(tn.tensor(value))
        assert bool(tn.tensor(value))


def test_iteration_goes_over_the_first_axis_and_is_recorded():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    a, b = x
    (a * 2 + b).sum().backward()
    assert x.grad.tolist() == [[2, 2], [1, 1]]
    with pytest.raises(TypeError, match="a tensor without axes has no length"):
        list(tn.tensor(1.0))
    with pytest.raises(TypeError, match="a tensor without axes has no length"):
        len(tn.tensor(1.0))


def test_assignment_is_refused():  # HIPS#58
    x = leaf([1.0, 2.0])
    for t in (x, x * 2, x.detach()):
        with pytest.raises(TypeError, match="tensors are not assigned into, because backward may need the old values"):
            t[0] = 5.0
    y = x
    y += 1  # a new tensor, not a write into the old one
    assert x.data.tolist() == [1, 2] and y is not x


@pytest.mark.parametrize("convert", [np.array, np.asarray, lambda t: np.concatenate([t, t]), lambda t: np.stack([t]),
                                     lambda t: np.zeros(3)[t]])  # fmt: skip
def test_numpy_does_not_swallow_a_tensor_on_the_tape(convert):  # HIPS#177
    with pytest.raises(TypeError, match=r"use tinynet's function of that name, or .detach\(\).numpy\(\)"):
        convert(leaf([1.0, 2.0]))


def test_numpy_takes_a_tensor_off_the_tape():
    t = tn.tensor([1.0, 2.0])
    assert np.array(t).tolist() == [1, 2] and not np.shares_memory(np.array(t), t.data)
    assert np.asarray(t, np.float64).dtype == np.float64


@pytest.mark.parametrize("call", [lambda t: np.sin(t), lambda t: np.add(t, 1), lambda t: np.less(np.ones(2), t),
                                  lambda t: np.add(np.ones(2), t, out=np.ones(2))])  # fmt: skip
def test_numpy_functions_refuse_tensors_instead_of_losing_the_history(call):
    with pytest.raises(TypeError):
        call(leaf([1.0, 2.0]))


def test_arrays_on_the_left_hand_over_to_the_tensor():
    x = leaf([1.0, 2.0])
    for y in (np.ones(2) + x, np.ones(2) - x, np.ones(2) * x, np.ones(2) / x, np.ones(2) @ x, np.float64(2) ** x,
              [1, 2] * x):  # fmt: skip
        assert isinstance(y, tn.Tensor) and y.requires_grad and y.dtype == np.float32
    a = np.ones(2)
    with pytest.raises(TypeError):
        a += x


@pytest.mark.parametrize("other", ["a", None, [None], {}, ...], ids=repr)
def test_operands_that_are_not_numbers_are_refused(other):
    with pytest.raises(TypeError, match="add: expected a Tensor, a number or an array of numbers, got"):
        leaf([1.0]) + other


def test_at_least_one_operand_must_be_a_tensor():
    with pytest.raises(TypeError, match="maximum: expected at least one Tensor, got int and list"):
        tn.maximum(1, [2])


FLOAT32, FLOAT64 = tn.tensor(np.ones((2, 2), np.float32)), tn.tensor(np.ones((2, 2)))
IMAGE32, IMAGE64 = tn.tensor(np.ones((1, 1, 2, 2), np.float32)), tn.tensor(np.ones((1, 1, 2, 2)))
PIXELS = tn.tensor(np.ones((1, 1, 2, 2), np.uint8))
MIXTURES = {
    "add": lambda: FLOAT32 + FLOAT64,
    "matmul": lambda: FLOAT32 @ FLOAT64,
    "maximum": lambda: tn.maximum(FLOAT32, FLOAT64),
    "linear": lambda: tn.linear(FLOAT32, FLOAT64),
    "concat": lambda: tn.concat([FLOAT32, FLOAT64]),
    "stack": lambda: tn.stack([FLOAT32, FLOAT64]),
    "conv2d": lambda: tn.conv2d(IMAGE32, IMAGE64),
    "batch_norm": lambda: tn.batch_norm(FLOAT32, FLOAT64[0], FLOAT64[0], np.ones(2), np.ones(2), True),
}


@pytest.mark.parametrize("op", MIXTURES)
def test_two_dtypes_do_not_mix_in_silence(op):
    with pytest.raises(TypeError, match=f"{op}: inputs are float32 and float64; convert one of them with .astype"):
        MIXTURES[op]()


def test_raw_pixels_do_not_go_into_a_convolution():
    with pytest.raises(TypeError, match="conv2d: inputs are uint8 and float32"):
        tn.conv2d(PIXELS, IMAGE32)


def test_a_refused_batch_norm_leaves_the_running_statistics_alone():
    mean = np.zeros(2)
    with pytest.raises(TypeError):
        tn.batch_norm(FLOAT32, FLOAT64[0], FLOAT64[0], mean, np.ones(2), True)
    assert not mean.any()


@pytest.mark.parametrize("dtype, other, given", [
    (np.int64, 1.5, "float64"), (np.int64, np.ones(1, np.float32), "float32"), (np.uint8, np.array([300]), "int64"),
    (np.uint8, np.int64(300), "int64"), (np.int8, np.array([300]), "int64"), (np.uint8, [-1], "int64"), (bool, 2, "int64"),
], ids=repr)  # fmt: skip
def test_integers_take_no_constant_that_would_be_cut_to_fit(dtype, other, given):
    t = tn.tensor(np.ones(1), dtype=dtype)
    sentence = f"numbers of {given} do not fit into a tensor of {np.dtype(dtype)}; convert the tensor with .astype"
    for calculate in (lambda: t + other, lambda: other + t):
        with pytest.raises(TypeError, match=f"add: {sentence}"):
            calculate()


@pytest.mark.parametrize("dtype, other", [
    (np.int64, 3), (np.int64, np.int32(3)), (np.uint8, 3), (np.uint8, np.uint8(3)), (np.int16, np.array([3], np.uint8)),
    (np.uint8, True), (bool, True), (np.int64, [3]), (np.int32, np.int64(3)), (np.uint8, [3]), (np.int8, np.array([3])),
], ids=repr)  # fmt: skip
def test_integers_take_constants_that_fit(dtype, other):
    y = tn.tensor(np.full(1, 7), dtype=dtype) * other
    assert y.dtype == dtype and y.numpy() == np.full(1, 7).astype(dtype) * np.asarray(other)


def test_a_python_integer_that_is_too_large_for_the_tensor_is_refused():
    with pytest.raises(OverflowError, match="300 out of bounds for uint8"):
        tn.tensor(np.ones(1, np.uint8)) + 300


@pytest.mark.parametrize("second", [np.float64, "cpu:1", None, 1, [True]], ids=repr)
def test_what_stands_in_the_place_of_requires_grad_is_true_or_false(second):
    with pytest.raises(
        TypeError, match=r"tensor: requires_grad=.*; expected True or False \(a dtype or a device is given by"
    ):
        tn.tensor([1.0], second)
    assert tn.tensor([1.0], np.True_).requires_grad


ARRAY_CALLS = {
    "relu": tn.relu, "tanh": tn.tanh, "sigmoid": tn.sigmoid, "softmax": tn.softmax, "log_softmax": tn.log_softmax,
    "exp": tn.exp, "log": tn.log, "sqrt": tn.sqrt, "dropout": tn.dropout, "local_response_norm": tn.local_response_norm,
    "max_pool2d": lambda a: tn.max_pool2d(a, 2), "avg_pool2d": lambda a: tn.avg_pool2d(a, 2),
    "conv2d": lambda a: tn.conv2d(IMAGE64, a), "linear": tn.nn.Linear(2, 2, dtype=np.float64), "pad": lambda a: tn.pad(a, 1),
    "cross_entropy": lambda a: tn.cross_entropy(a[0, 0], [0, 0]), "concat": lambda a: tn.concat([IMAGE64, a]),
    "stack": lambda a: tn.stack([a]), "transfer": lambda a: tn.transfer(a, "cpu:1"),
    "batch_norm": lambda a: tn.batch_norm(IMAGE64, *[a[0, 0, 0]] * 4, True),
}  # fmt: skip


@pytest.mark.parametrize("op", ARRAY_CALLS)
def test_an_array_instead_of_a_tensor_is_named(op):
    with pytest.raises(TypeError, match=rf"^{op}: expected a Tensor, got ndarray; wrap it in tn.tensor\(...\)$"):
        ARRAY_CALLS[op](np.ones((1, 1, 2, 2)))


FLOAT_CALLS = {
    "dropout": tn.dropout, "softmax": tn.softmax, "log_softmax": tn.log_softmax, "sigmoid": tn.sigmoid,
    "avg_pool2d": lambda x: tn.avg_pool2d(x, 2), "local_response_norm": tn.local_response_norm,
    "cross_entropy": lambda x: tn.cross_entropy(x[0, 0], [0, 0]),
    "batch_norm": lambda x: tn.batch_norm(x, *[x[0, 0, 0, :1]] * 2, np.zeros(1), np.ones(1), True),
}  # fmt: skip


@pytest.mark.parametrize("op", FLOAT_CALLS)
def test_integers_are_refused_where_the_result_would_be_cut_to_whole_numbers(op):
    with pytest.raises(TypeError, match=rf"^{op}: expected floats, got uint8; convert them with .astype\(np.float32\)$"):
        FLOAT_CALLS[op](PIXELS)


def test_backward_takes_a_gradient_of_any_kind_of_number():
    x = leaf([1.0, 2.0])
    for g in ([1, 2], np.array([1.0, 2.0]), tn.tensor([1, 2]), np.array([1, 2], np.uint8)):
        x.grad = None
        (x * 1).backward(g)
        assert x.grad.tolist() == [1, 2] and x.grad.dtype == np.float32
