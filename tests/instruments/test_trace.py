"""The table that a student reads: `print(tn.tape(loss))`."""

import numpy as np
import pytest
from oracles import leaf

import tinynet as tn
from tinynet.instruments.trace import tape


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
