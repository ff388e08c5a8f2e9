"""Which Tensors and modules belong to a module, and what is said of those that cannot."""

import weakref

import numpy as np
import pytest
from oracles import leaf

import tinynet as tn
from tinynet import nn


class Keeper(nn.Module):
    """Keeps its activations: in an attribute that is new, in one that was None, and in a list of its forward's making."""

    def __init__(self):
        self.l, self.seen, self.calls = nn.Linear(2, 2), None, 0

    def forward(self, x):
        self.h = tn.relu(self.l(x))
        self.seen, self.maps = self.h * 2, []
        self.maps.append(self.h)
        self.calls += 1
        return self.h


def test_an_activation_that_forward_keeps_is_neither_parameter_nor_buffer():
    net, x = Keeper(), tn.tensor([[1.0, 2.0]])
    for _ in range(2):
        y = net(x)
        assert net.h is y is net.maps[0] and net.calls > 0 and net.seen is not None
        assert list(net.state_dict()) == [name for name, _ in net.named_parameters()] == ["l.weight", "l.bias"]
        net.load_state_dict(Keeper().state_dict())
        net.to(dtype=np.float32)


def test_an_attribute_that_forward_left_empty_may_become_a_buffer():
    net = Keeper()
    net.mask = None
    net(tn.tensor([[1.0, 2.0]]))
    net.mask = tn.tensor([1.0])
    assert "mask" in net.state_dict()


def test_a_computed_tensor_that_is_put_into_a_list_or_set_from_outside_is_no_parameter():
    net, w = nn.Module(), leaf([1.0])
    net.w, net.seen, net.doubled = w, [w * 2, {"deep": w * 3}], w * 2
    assert [name for name, _ in net.named_tensors()] == ["w"]


def test_what_forward_makes_to_be_trained_is_trained_and_the_buffers_of_a_layer_made_there_are_saved():
    class Lazy(nn.Module):
        def __init__(self):
            self.scale = self.bn = None

        def forward(self, x):
            if self.scale is None:
                self.scale, self.bn = leaf([1.0]), nn.BatchNorm2d(1)
            return self.bn(x) * self.scale

    net = Lazy()
    net(tn.tensor(np.ones((2, 1, 2, 2), np.float32)))
    assert list(net.state_dict()) == ["scale", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]


def test_a_buffer_that_forward_replaces_stays_one():
    class Average(nn.Module):
        def __init__(self):
            self.mean = tn.tensor([0.0])

        def forward(self, x):
            self.mean = self.mean * 0.5 + x.detach() * 0.5
            return x - self.mean

    net = Average()
    net(tn.tensor([4.0], requires_grad=True))
    assert net.state_dict() == {"mean": [2.0]}


@pytest.mark.parametrize("old, new, sentence", [
    (leaf([1.0]), lambda old: old - 0.1, r"w is a parameter .* write into w.data, .* tn.tensor\(..., requires_grad=True\)$"),
    (leaf([1.0]), lambda old: old.detach(), "w is a parameter and would no longer be one"),
])  # fmt: skip
def test_a_parameter_is_not_lost_by_being_replaced(old, new, sentence):
    net = nn.Module()
    net.w = old
    with pytest.raises(TypeError, match=sentence):
        net.w = new(old)
    assert net.w is old
    net.w = leaf([3.0])
    assert net.parameters() == [net.w]
    net.w = None
    assert net.parameters() == []


class Nested(nn.Module):
    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.heads = {"left": nn.Linear(2, 1, rng=rng), "right": [nn.Dropout(), (nn.Linear(2, 1, bias=False, rng=rng),)]}
        self.grid = [[leaf(rng.normal(size=1)), leaf(rng.normal(size=1))], {}, {3: leaf([0.0])}]
        self.settings = {"sizes": [1, 2], 3: {"x"}, None: {"a.b": 1}}


def test_data_that_contain_themselves_are_no_obstacle():
    net = nn.Module()
    net.tree = {"weight": leaf([1.0]), "children": []}
    net.tree["children"].append({"parent": net.tree})
    assert list(net.state_dict()) == ["tree.weight"]


def test_state_that_forward_replaces_again_and_again_is_no_obstacle():
    class Recurrent(nn.Module):
        def __init__(self):
            self.cell, self.h = nn.Linear(2, 2), None

        def forward(self, xs):
            self.h = tn.tensor(np.zeros((1, 2), np.float32))
            for x in xs:
                self.h = tn.tanh(self.cell(x) + self.h)
            return self.h

    net = Recurrent()
    for _ in range(2):
        net([tn.tensor([[1.0, 2.0]])] * 3)
        assert list(net.state_dict()) == ["cell.weight", "cell.bias"]


def test_modules_and_tensors_in_dicts_and_nested_lists_are_trained_moved_saved_and_switched():
    net, other = Nested(0), Nested(1)
    names = ["heads.left.weight", "heads.left.bias", "heads.right.1.0.weight", "grid.0.0", "grid.0.1", "grid.2.3"]
    assert [name for name, _ in net.named_parameters()] == names == list(net.state_dict())
    assert [name for name, _ in net.named_modules("net")] == [
        "net", "net.heads.left", "net.heads.right.0", "net.heads.right.1.0",
    ]  # fmt: skip
    assert not net.eval().heads["right"][0].training
    other.load_state_dict(net.state_dict())
    assert all(np.array_equal(other.state_dict()[name], net.state_dict()[name]) for name in names)
    assert {t.device.name for t in net.to("cpu:1").parameters()} == {"cpu:1"}


def _parent():
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    net[1].network = net
    return net


def _holding(value):
    net = nn.Module()
    net.things = value
    return net


@pytest.mark.parametrize("net, error, sentence", [
    (_parent(), ValueError, r"^Sequential: \S*1.network is the Sequential that it is inside of; keep a weakref.ref to it"),
    (_holding({nn.ReLU()}), TypeError, "^Module: things is a set, which has no order; use a list$"),
    (_holding([frozenset({leaf([1.0])})]), TypeError, "^Module: things.0 is a set"),
    (_holding({"a.b": leaf([1.0]), "a": {"b": leaf([2.0])}}), ValueError, "^Module: two Tensors are called things.a.b"),
])  # fmt: skip
def test_what_cannot_be_named_or_ordered_is_refused_in_a_sentence(net, error, sentence):
    with pytest.raises(error, match=sentence):
        net.state_dict()
    with pytest.raises(error, match=sentence):
        tn.optim.SGD(net.parameters())


def test_a_module_may_know_its_parent_through_a_weak_reference():
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    net[1].network = weakref.ref(net)
    assert len(net.eval().parameters()) == 2 and not net[1].training
