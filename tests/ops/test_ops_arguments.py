"""Numbers as people have them: NumPy's scalars, arrays and Tensors of one number where one is documented; and none."""

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from tinynet import nn

IMAGES, WEIGHT = (normal(*shape, dtype=np.float32) for shape in ((2, 4, 6, 6), (4, 2, 3, 3)))


def statistics():
    return leaf(np.ones(4, np.float32)), leaf(np.ones(4, np.float32)), np.zeros(4, np.float32), np.ones(4, np.float32)


# op: function of x, of i, which makes an integer, and of f, which makes a float
CALLS = {
    "conv2d": lambda x, i, f: tn.conv2d(x, tn.tensor(WEIGHT), None, i(2), (i(1), i(0)), [i(1), i(2)], i(2)),
    "max_pool2d": lambda x, i, f: tn.max_pool2d(x, i(3), (i(2), i(1)), i(1), np.True_, dilation=i(2)),
    "avg_pool2d": lambda x, i, f: tn.avg_pool2d(x, (i(3), i(2)), i(2), i(1)),
    "local_response_norm": lambda x, i, f: tn.local_response_norm(x, i(5), f(0.3), f(0.75), f(2)),
    "batch_norm": lambda x, i, f: tn.batch_norm(x, *statistics(), True, f(0.3), f(1e-3)),
    "dropout": lambda x, i, f: tn.dropout(x, f(0.3), rng=0),
    "dropout, paper": lambda x, i, f: tn.dropout(x, f(0.3), False, inverted=False),
    "softmax": lambda x, i, f: tn.softmax(x, i(1)), "log_softmax": lambda x, i, f: tn.log_softmax(x, axis=i(-1)),
    "sum": lambda x, i, f: x.sum(i(1)), "mean": lambda x, i, f: x.mean(i(-1)), "max": lambda x, i, f: x.max((i(1), i(-1))),
    "reshape": lambda x, i, f: x.reshape(i(8), i(-1)), "flatten": lambda x, i, f: x.flatten(i(1), i(-1)),
    "transpose": lambda x, i, f: x.transpose(i(0), i(2), i(3), i(1)),
    "concat": lambda x, i, f: tn.concat([x, x], i(1)), "stack": lambda x, i, f: tn.stack([x, x], i(-1)),
    "index": lambda x, i, f: x[i(1), :, i(1) : i(4), :: i(2)],
    "pad": lambda x, i, f: tn.pad(x, ((i(1), i(2)), (0, 0), [i(0), i(1)], (1, 1)), f(3)),
    "pad: one": lambda x, i, f: tn.pad(x, i(1)),
    "arithmetic": lambda x, i, f: (f(2) * x - i(1)) / f(4) + i(3),
    "pow": lambda x, i, f: abs(x) ** f(1.5) + x ** i(2) + f(2) ** x,
    "nn.Conv2d": lambda x, i, f: nn.Conv2d(i(4), i(6), i(3), i(2), i(1), i(1), i(2), rng=0)(x),
    "nn.Linear": lambda x, i, f: nn.Linear(i(6), i(3), rng=0)(x),
    "nn.BatchNorm2d": lambda x, i, f: nn.BatchNorm2d(i(4), f(1 / 1024), f(0.25))(x),
    "nn.Dropout": lambda x, i, f: nn.Dropout(f(0.5), rng=0)(x),
    "nn.LocalResponseNorm": lambda x, i, f: nn.LocalResponseNorm(i(5), f(0.125), f(0.75), f(2))(x),
    "nn.MaxPool2d": lambda x, i, f: nn.MaxPool2d(i(3), i(2), i(1))(x),
    "nn.Flatten": lambda x, i, f: nn.Flatten(i(1), i(-1))(x),
}  # fmt: skip
KINDS = {
    "float32, int32": (np.int32, np.float32),
    "float64, int64": (np.int64, np.float64),
    "float16, int8": (np.int8, np.float16),
    "arrays": (np.array, lambda number: np.array(number, np.float64)),
    "foreign arrays": (lambda number: np.array(number, ">i4"), lambda number: np.array(number, ">f4")),
}
TENSORS_COUNT = [name for name in CALLS if name not in ("arithmetic", "pow", "nn.Conv2d")]  # there dtypes do not mix


@pytest.mark.parametrize("name, kind", [(name, kind) for name in CALLS for kind in KINDS] + [
    (name, "tensors") for name in TENSORS_COUNT])  # fmt: skip
def test_a_number_of_any_kind_means_what_pythons_does(name, kind):
    results, kinds = [], KINDS.get(kind, (tn.tensor, tn.tensor))
    for integer, number in ((int, lambda value: float(kinds[1](value))), kinds):
        x = leaf(IMAGES)
        y = CALLS[name](x, integer, number)
        y.backward(normal(*y.shape, seed=1))
        assert y.dtype == x.grad.dtype == np.float32
        results.append((y.numpy(), x.grad))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("pair", [np.array([3, 2]), np.array([3, 2], np.uint8), (np.int8(3), 2)], ids=repr)
def test_a_pair_may_be_an_array(pair):
    assert np.array_equal(tn.avg_pool2d(tn.tensor(IMAGES), pair).numpy(), tn.avg_pool2d(tn.tensor(IMAGES), (3, 2)).numpy())


@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float32(2), "2", None, np.array(2.0), np.ones((1, 2), int),
                                   np.array([2]), tn.tensor(2.0), (2, 2, 2), (2, (2, 2))], ids=repr)  # fmt: skip
def test_what_is_no_integer_or_pair_of_them_is_refused(value):
    with pytest.raises(ValueError, match=r"padding=.*; expected an integer >= 0, or a \(rows, columns\) pair of them"):
        tn.avg_pool2d(tn.tensor(IMAGES), 4, padding=value)


def test_a_number_without_axes_has_no_border():
    for width in (1, (1, 2), [np.int8(1), 2]):
        assert tn.pad(tn.tensor(3.0), width).numpy() == 3


# nothing at all -------------------------------------------------------------------------------------------------------

EMPTY = {  # op: tinynet's, PyTorch's from the modules tn, torch and F, and the shapes
    **{name: (lambda m, t, x, name=name: getattr(m, name)(x), (0, 3)) for name in ("exp", "log", "sqrt", "tanh", "relu")},
    "abs": (lambda m, t, x: abs(-x), (0,)), "add, mul, div": (lambda m, t, x, y: (x + y) * y / y, (0, 3), (3,)),
    "pow": (lambda m, t, x, y: (x**2) ** y, (0, 3), (1, 3)), "maximum": (lambda m, t, x, y: m.maximum(x, y), (0, 3), (3,)),
    "sum": (lambda m, t, x: x.sum() + x.sum(0).sum() + x.sum(1).sum(), (0, 3)), "mean": (lambda m, t, x: x.mean(1), (0, 3)),
    "max": (lambda m, t, x: x.max(1) if m is tn else x.amax(1), (0, 3)),
    "softmax": (lambda m, t, x: t.softmax(x, -1) + t.log_softmax(x, -1), (0, 3)),
    "cross_entropy": (lambda m, t, x: t.cross_entropy(x, m.tensor(np.zeros(0, int)), reduction="sum"), (0, 3)),
    "matmul": (lambda m, t, x, y: x @ y, (0, 3), (3, 4)), "matmul: no columns": (lambda m, t, x, y: x @ y, (2, 0), (0, 4)),
    "linear": (lambda m, t, *a: t.linear(*a), (0, 3), (4, 3), (4,)),
    "linear: no inputs": (lambda m, t, *a: t.linear(*a), (2, 0), (4, 0), (4,)),
    "linear: no outputs": (lambda m, t, *a: t.linear(*a), (2, 3), (0, 3), (0,)),
    "conv2d": (lambda m, t, *a: t.conv2d(*a), (0, 2, 5, 5), (3, 2, 3, 3), (3,)),
    "max_pool2d": (lambda m, t, x: t.max_pool2d(x, 2), (0, 2, 5, 5)),
    "avg_pool2d": (lambda m, t, x: t.avg_pool2d(x, 2), (0, 2, 5, 5)),
    "local_response_norm": (lambda m, t, x: t.local_response_norm(x, 3), (0, 2, 5, 5)),
    "dropout": (lambda m, t, x: t.dropout(x, 0.5), (0, 2)), "reshape": (lambda m, t, x: x.reshape(3, 0).reshape(-1), (0, 3)),
    "index": (lambda m, t, x: x[1:1, 2], (3, 4)), "transpose, flatten": (lambda m, t, x: x.T.flatten(1), (0, 3)),
    "concat": (lambda m, t, x, y: (m.concat if m is tn else m.cat)([x, y]), (0, 3), (2, 3)),
    "stack": (lambda m, t, x, y: m.stack([x, y]), (0, 3), (0, 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_a_batch_of_nothing_gives_what_pytorch_gives(name):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    f, *shapes = EMPTY[name]
    found = []
    for module, functions in ((tn, tn), (torch, torch.nn.functional)):
        inputs = [module.tensor(np.ones(shape), requires_grad=True) for shape in shapes]
        y = f(module, functions, *inputs)
        y.backward(module.tensor(np.ones(y.shape)))
        found.append([np.asarray(a) for a in (y.detach().numpy(), *(t.grad for t in inputs))])
    for one, other in zip(*found, strict=True):
        assert one.shape == other.shape and np.array_equal(one, other)


@pytest.mark.parametrize("call, sentence", [
    (lambda x: tn.softmax(x), r"softmax: expected at least one value along axis -1, got shape \(3, 0\)"),
    (lambda x: tn.log_softmax(x, 1), r"log_softmax: expected at least one value along axis 1, got shape \(3, 0\)"),
    (lambda x: x.max(1), r"max: a tensor of shape \(3, 0\) has no values to choose from; expected at least one element"),
    (lambda x: x.min(), "min: a tensor of shape"),
    (lambda x: tn.batch_norm(tn.tensor(np.ones((0, 4), np.float32)), *statistics(), True),
     r"batch_norm: x \(0, 4\) has no values a channel; a variance needs more"),
], ids=["softmax", "log_softmax", "max", "min", "batch_norm"])  # fmt: skip
def test_the_best_of_nothing_is_refused(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(tn.tensor(np.ones((3, 0), np.float32)))
