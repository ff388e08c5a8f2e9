"""The table that a student reads: `print(tn.tape(loss))`."""

import numpy as np
import pytest
from hypertext import cells
from oracles import leaf, normal

import tinynet as tn
from alexnet import AlexNet
from tinynet.instruments.tape import tape


def test_table_is_aligned_and_numbers_its_lines():
    x, w = leaf(np.ones((2, 3), np.float32)), leaf(np.ones((10, 3), np.float32))
    h = tn.relu(tn.linear(x, w))
    loss = (h * 2.0).sum()
    assert str(tn.tape(loss)).splitlines() == [
        "   op      inputs               output   device  bytes kept",
        "0  leaf                         (2, 3)   cpu:0            0",
        "1  leaf                         (10, 3)  cpu:0            0",
        "2  linear  0 (2, 3), 1 (10, 3)  (2, 10)  cpu:0            0",
        "3  relu    2 (2, 10)            (2, 10)  cpu:0           80",
        "4  mul     3 (2, 10), constant  (2, 10)  cpu:0            4",
        "5  sum     4 (2, 10)            ()       cpu:0            0",
        "                                                         84",
    ]
    loss.backward()
    assert tn.tape(loss).kept() == [0] * 6, "backward has freed everything"


def test_names_the_device_of_each_entry():
    x = leaf([1.0])
    assert [e.device.name for e in tn.tape(x.to("cpu:1").to("cpu:0"))] == ["cpu:0", "cpu:1", "cpu:0"]


KEPT = {
    "add": (lambda x: x + 1.0, [0, 0]),
    "exp keeps its output": (tn.exp, [0, 48]),
    "log keeps its input, which the leaf has": (tn.log, [0, 0]),
    "log of a temporary": (lambda x: tn.log(x + 1.0), [0, 0, 48]),
    "square of a temporary, once": (lambda x: (x + 1.0) * (x + 1.0), [0, 0, 0, 96]),
    "one array kept by two": (lambda x: tn.log(tn.exp(x)), [0, 48, 0]),
    "a view counts its whole array": (lambda x: tn.log((x + 1.0)[:, :1]), [0, 0, 0, 48]),
    "reshape": (lambda x: x.reshape(4, 3).T, [0, 0, 0]),
    "max pool keeps one byte an output": (lambda x: tn.max_pool2d(x.reshape(1, 1, 3, 4), (3, 2), 1), [0, 0, 3]),
    "lrn keeps its scale": (lambda x: tn.local_response_norm(x), [0, 48]),
    "dropout keeps a mask of bytes": (lambda x: tn.dropout(x, 0.0, mask=np.ones((3, 4), bool)), [0, 12]),
    "cross entropy keeps probabilities and labels": (lambda x: tn.cross_entropy(x, [0, 1, 2]), [0, 48 + 24]),
    "transfer": (lambda x: x.to("cpu:1"), [0, 0]),
}


@pytest.mark.parametrize("case", KEPT)
def test_bytes_kept(case):
    f, expected = KEPT[case]
    x = leaf(np.ones((3, 4), np.float32))
    assert tape(f(x)).kept() == expected


def test_kept_bytes_of_a_dead_leaf_are_counted_where_they_are_kept():
    loss = tn.log(leaf(np.ones(3, np.float32)))
    assert tn.tape(loss).kept() == [0, 12]


def test_a_tensor_off_the_tape_has_none():
    with pytest.raises(ValueError, match="none of its inputs has requires_grad=True"):
        tn.tape(tn.tensor(1.0) * 2)
    with tn.no_grad(), pytest.raises(ValueError, match="not on the tape"):
        tn.tape(leaf(1.0) * 2)


# names ----------------------------------------------------------------------------------------------------------------


def test_with_a_model_its_parameters_have_their_names():
    net = tn.nn.Sequential(tn.nn.Linear(3, 2, bias=False), tn.nn.ReLU())
    loss = net(tn.tensor(np.ones((4, 3), np.float32))).sum()
    assert str(tn.tape(loss, net)).splitlines() == [
        "   op      name      inputs              output  device  bytes kept",
        "0  leaf    0.weight                      (2, 3)  cpu:0            0",
        "1  linear            constant, 0 (2, 3)  (4, 2)  cpu:0           48",
        "2  relu              1 (4, 2)            (4, 2)  cpu:0           32",
        "3  sum               2 (4, 2)            ()      cpu:0            0",
        "                                                                 80",
    ]
    assert repr(tn.tape(loss, net)) == str(tn.tape(loss, net))


def test_alexnets_tape_names_every_leaf_as_its_state_does():
    model = AlexNet(3, 0.05, image_size=56)
    tape = tn.tape(model(tn.tensor(normal(1, 3, 56, 56, dtype=np.float32))).sum(), model)
    assert [tape.names[e] for e in tape if e.op == "leaf"] == list(model.state_dict())
    assert "towers.0.conv1.weight" in str(tape)


def test_a_dict_such_as_locals_names_tensors_computed_ones_too_and_what_modules_hold():
    net, x = tn.nn.Linear(1, 1), leaf([[2.0]])
    y = net(x)
    _hidden = loss = y.sum()
    also_x, other, nothing = x, leaf(1.0), None
    tape = tn.tape(loss, locals())
    assert [tape.names[e] for e in tape] == ["net.weight", "net.bias", "x", "y", "loss"]
    assert [tape.tensor(e) for e in tape] == [net.weight, net.bias, x, y, loss]


def test_values_of_computed_tensors_that_nobody_holds_are_not_known():
    x = leaf(2.0)
    tape = tn.tape(x * 2 + 1)
    assert [t is not None for t in map(tape.tensor, tape)] == [True, False, True]


def test_a_model_that_is_none_is_refused():
    with pytest.raises(TypeError, match=r"tape: model is of type list; expected a Module, or a dict such as locals\(\)"):
        tn.tape(leaf(1.0) * 2, [leaf(1.0)])


def test_the_table_is_html_too():
    x = leaf(2.0)
    rows = cells(tn.tape(x * x, {"<x>": x})._repr_html_())
    assert rows == [
        ["", "op", "name", "inputs", "output", "device", "bytes kept"],
        ["0", "leaf", "<x>", "", "()", "cpu:0", "0"],
        ["1", "mul", "", "0 (), 0 ()", "()", "cpu:0", "0"],
        ["", "", "", "", "", "", "0"],
    ]
