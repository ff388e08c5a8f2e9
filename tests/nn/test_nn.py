"""Modules: what belongs to a network, in which order, and that it can be saved, loaded, moved and switched."""

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from tinynet import nn


class Net(nn.Module):
    """Parameters of its own, a sub-module, a list, a buffer, a frozen layer and things that are none of these."""

    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.scale = leaf([1.0])
        self.first = nn.Conv2d(3, 4, 3, rng=rng)
        self.layers = [nn.BatchNorm2d(4), nn.Sequential(nn.ReLU(), nn.Dropout(rng=np.random.default_rng(1)))]
        self.name, self.sizes, self.nothing = "net", [1, 2], None
        self.head = nn.Linear(4, 2, bias=False, rng=rng)

    def forward(self, x):
        x = self.first(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x.mean(axis=(2, 3))) * self.scale


PARAMETERS = ["scale", "first.weight", "first.bias", "layers.0.weight", "layers.0.bias", "head.weight"]
BUFFERS = ["layers.0.running_mean", "layers.0.running_var"]


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_names_are_in_the_order_of_definition():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == PARAMETERS
    assert list(net.state_dict()) == [*PARAMETERS[:5], *BUFFERS, PARAMETERS[5]]
    assert [t.shape for t in net.parameters()] == [(1,), (4, 3, 3, 3), (4,), (4,), (4,), (2, 4)]


def test_frozen_parameters_are_saved_but_not_trained():
    net = Net()
    net.head.weight.requires_grad = False
    assert [name for name, _ in net.named_parameters()] == PARAMETERS[:-1] and "head.weight" in net.state_dict()


def test_a_shared_layer_has_its_parameters_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert [id(p) for p in net.parameters()] == [id(layer.weight), id(layer.bias)]
    tn.optim.SGD(net.parameters())


def test_state_dict_round_trip():
    source, target = Net(0), Net(1)
    source.layers[0].running_mean.data += 3
    state = source.state_dict()
    assert not same(state, target.state_dict())
    target.load_state_dict(state)
    assert same(state, target.state_dict())
    arrays = [t.data for t in target.parameters()]
    target.load_state_dict(state)
    assert all(t.data is a for t, a in zip(target.parameters(), arrays, strict=True)), "loading writes into the old arrays"


def test_state_dict_is_a_copy_and_keeps_its_dtype_when_loaded():
    net = Net()
    state = net.state_dict()
    net.scale.data += 1
    assert state["scale"][0] == 1
    net.load_state_dict({k: v.astype(np.float64) for k, v in state.items()})
    assert net.scale.data[0] == 1 and all(t.dtype == np.float32 for t in net.parameters())


def test_a_state_of_tensors_is_loaded_too_whatever_their_device_and_even_from_the_network_itself():
    source, target = Net(0).to("sim:0"), Net(1)
    target.load_state_dict(dict(source.named_tensors()))
    assert same(target.state_dict(), source.state_dict())
    net = nn.Sequential(nn.Linear(2, 2, rng=0), nn.Linear(2, 2, rng=1))
    before, own = net.state_dict(), dict(net.named_tensors())
    net.load_state_dict({name: own[f"{1 - int(name[0])}{name[1:]}"] for name in own})  # the two layers swapped
    assert all(np.array_equal(value, before[f"{1 - int(name[0])}{name[1:]}"]) for name, value in net.state_dict().items())
    with pytest.raises(ValueError, match=r"0.bias has shape \(2, 2\), this network wants \(2,\)"):
        net.load_state_dict({**own, "0.bias": own["0.weight"]})


BAD_STATES = {
    "missing": (lambda s: s.pop("first.bias"), "the state lacks first.bias; expected the names of this network"),
    "extra": (lambda s: s.update(other=np.ones(1)), "has the unexpected other"),
    "both": (lambda s: s.update(other=s.pop("scale")), "lacks scale and has the unexpected other"),
    "many": (lambda s: s.update({f"x{i}": 0 for i in range(5)}), r"unexpected x0, x1, x2 \.\.\.;"),
    "shape": (lambda s: s.update({"head.weight": np.ones((4, 2))}),
              r"head.weight has shape \(4, 2\), this network wants \(2, 4\); build the network with the sizes"),
    "last one is no number": (lambda s: s.update({"head.weight": np.full((2, 4), "a")}), "could not convert"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_STATES)
def test_a_state_that_does_not_fit_changes_nothing(fault):
    spoil, sentence = BAD_STATES[fault]
    net, state = Net(0), Net(1).state_dict()
    before = net.state_dict()
    spoil(state)
    with pytest.raises(ValueError, match=sentence):
        net.load_state_dict(state)
    assert same(net.state_dict(), before)


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())
    assert [type(m).__name__ for m in net.modules()] == [
        "Net", "Conv2d", "BatchNorm2d", "Sequential", "ReLU", "Dropout", "Linear",
    ]  # fmt: skip
    assert nn.ReLU().training and nn.Module.training, "one network's eval() must not switch another's"


def test_eval_is_repeatable_and_leaves_the_statistics_alone():
    net, x = Net().eval(), tn.tensor(normal(2, 3, 6, 6, dtype=np.float32))
    before = net.state_dict()
    assert np.array_equal(net(x).data, net(x).data) and same(net.state_dict(), before)
    net.train()(x)
    assert not same(net.state_dict(), before)


def test_training_is_repeatable_with_the_same_generators():
    x = tn.tensor(normal(2, 3, 6, 6, dtype=np.float32))
    assert np.array_equal(Net()(x).data, Net()(x).data)
    net = Net()
    assert not np.array_equal(net(x).data, net(x).data), "each forward draws another mask"


def test_every_parameter_gets_a_gradient_and_zero_grad_forgets_them():
    net = Net()
    (net(tn.tensor(normal(4, 3, 6, 6, dtype=np.float32))) ** 2).sum().backward()
    assert all(p.grad is not None and p.grad.any() for name, p in net.named_parameters() if name != "first.bias")
    assert all(p.grad is None for _, p in net.named_tensors() if not p.requires_grad)
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())


def test_to_moves_everything_and_the_network_still_trains():
    net = Net().eval()
    x = normal(2, 3, 6, 6, dtype=np.float32)
    before, old = net(tn.tensor(x)).numpy(), [t.data for t in net.parameters()]
    state, parameters = net.state_dict(), net.parameters()
    net(tn.tensor(x)).sum().backward()
    assert net.to("cpu:1") is net
    assert all(t.device.name == "cpu:1" and t.grad is None for _, t in net.named_tensors())
    assert net.parameters() == parameters, "the Tensors stay the same objects, as an optimiser expects"
    assert same(net.state_dict(), state) and not any(
        np.shares_memory(t.data, a) for t, a in zip(net.parameters(), old, strict=True)
    )
    y = net(tn.tensor(x, device="cpu:1"))
    assert np.array_equal(y.numpy(), before)
    y.sum().backward()
    assert net.head.weight.grad is not None
    with pytest.raises(tn.DeviceError, match="conv2d: inputs are on cpu:0 and cpu:1"):
        net(tn.tensor(x))


def test_to_another_dtype_for_checks():
    net, x = Net().eval(), normal(2, 3, 6, 6)
    parameters, before = net.parameters(), net(tn.tensor(x, dtype=np.float32)).numpy()
    assert net.to(dtype=np.float64) is net and net.parameters() == parameters
    y = net(tn.tensor(x))
    assert y.dtype == np.float64 and np.allclose(y.numpy(), before, atol=1e-6)
    y.sum().backward()
    assert all(p.grad.dtype == np.float64 for p in parameters)


def test_layers_compute_what_their_functions_do():
    rng = np.random.default_rng(0)
    x = tn.tensor(normal(2, 4, 7, 6, dtype=np.float32))
    conv = nn.Conv2d(4, 6, (3, 2), 2, 1, 1, 2, rng=rng)
    linear = nn.Linear(6, 3, rng=rng)
    bn = nn.BatchNorm2d(4)
    pairs = [
        (conv, tn.conv2d(x, conv.weight, conv.bias, 2, 1, 1, 2)),
        (nn.MaxPool2d(3, 2, 1, True), tn.max_pool2d(x, 3, 2, 1, True)),
        (nn.MaxPool2d(2, 1, dilation=2), tn.max_pool2d(x, 2, 1, dilation=2)),
        (nn.AvgPool2d(3, 2, 1, True, False), tn.avg_pool2d(x, 3, 2, 1, True, False)),
        (nn.LocalResponseNorm(3, 0.5, 0.6, 1.5), tn.local_response_norm(x, 3, 0.5, 0.6, 1.5)),
        (nn.LocalResponseNorm(), tn.local_response_norm(x, 5, 1e-4, 0.75, 2.0)),
        (nn.ReLU(), tn.relu(x)),
        (nn.Tanh(), tn.tanh(x)),
        (nn.Sigmoid(), tn.sigmoid(x)),
        (nn.Flatten(), x.reshape(2, 168)),
        (nn.Dropout(0.3, rng=np.random.default_rng(5)), tn.dropout(x, 0.3, rng=np.random.default_rng(5))),
        (nn.Dropout(0.3, inverted=False).eval(), x * 0.7),
        (bn, tn.batch_norm(x, bn.weight, bn.bias, np.zeros(4, np.float32), np.ones(4, np.float32), True)),
        (nn.Sequential(nn.ReLU(), nn.Flatten(2)), tn.relu(x).reshape(2, 4, 42)),
    ]
    for layer, expected in pairs:
        assert np.array_equal(layer(x).data, expected.data), type(layer).__name__
    assert np.array_equal(linear(x).data, tn.linear(x, linear.weight, linear.bias).data)


def test_layers_start_uniform_within_one_over_the_root_of_fan_in():
    for layer, fan_in in ((nn.Conv2d(8, 64, 5, groups=2, rng=np.random.default_rng(0)), 100),
                          (nn.Linear(100, 64, rng=np.random.default_rng(0)), 100)):  # fmt: skip
        for p in layer.parameters():
            assert p.dtype == np.float32 and 0.07 < np.abs(p.data).max() <= 1 / fan_in**0.5
    again = [nn.Linear(5, 4, rng=np.random.default_rng(3)).state_dict() for _ in range(2)]
    assert same(*again)
    double = nn.Linear(5, 4, rng=np.random.default_rng(3), dtype=np.float64).weight.data
    assert double.dtype == np.float64 and np.array_equal(double.astype(np.float32), again[0]["weight"])


@pytest.mark.parametrize("make", [
    lambda rng: nn.Linear(5, 4, rng=rng), lambda rng: nn.Conv2d(3, 4, 3, rng=rng),
    lambda rng: nn.Sequential(nn.Linear(5, 4, rng=np.random.default_rng(0)), nn.Dropout(rng=rng)),
], ids=["Linear", "Conv2d", "Dropout"])  # fmt: skip
@pytest.mark.parametrize("seed", [0, 5])
def test_a_seed_does_what_its_generator_does(make, seed):
    layers = [make(rng) for rng in (seed, np.random.default_rng(seed), seed + 1)]
    shape = (1, 3, 8, 8) if isinstance(layers[0], nn.Conv2d) else (8, 5)
    first, second, other = (layer(tn.tensor(np.ones(shape, np.float32))).numpy() for layer in layers)
    assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_a_generator_stays_the_one_that_was_given():
    rng = np.random.default_rng(0)
    assert nn.Dropout(rng=rng).rng is rng
    assert not np.array_equal(nn.Linear(3, 3, rng=rng).weight.data, nn.Linear(3, 3, rng=rng).weight.data)


def test_groups_may_be_any_integer_type():
    layer = nn.Conv2d(4, 4, 3, groups=np.int64(2), rng=0)
    x = tn.tensor(normal(1, 4, 5, 5, dtype=np.float32))
    assert np.array_equal(layer(x).data, nn.Conv2d(4, 4, 3, groups=2, rng=0)(x).data)


def test_a_layer_without_bias_has_only_its_weight():
    assert [n for n, _ in nn.Conv2d(2, 2, 1, bias=False).named_parameters()] == ["weight"]


def stack(nn, **how):
    """The same network of tinynet or PyTorch."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, **how), nn.BatchNorm2d(4), nn.Sequential(nn.Sigmoid(), nn.Flatten()),
                         nn.Linear(16, 2, **how))  # fmt: skip


def test_sequential_has_the_names_of_pytorch_and_takes_its_state():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    theirs, ours, x = stack(torch.nn), stack(nn, rng=0), normal(2, 3, 4, 4, dtype=np.float32)
    state = {name: t for name, t in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}
    assert list(ours.state_dict()) == list(state)
    assert [name for name, _ in ours.named_modules()] == [name for name, _ in theirs.named_modules()]
    ours.load_state_dict(state)
    np.testing.assert_allclose(ours(tn.tensor(x)).numpy(), theirs(torch.tensor(x)).detach(), atol=1e-6)


def test_sequential_is_indexed_sliced_and_iterated_like_a_list():
    net = stack(nn, rng=0)
    assert len(net) == 4 and isinstance(net[-1], nn.Linear) and list(net) == [net[0], net[1], net[2], net[3]]
    x = tn.tensor(normal(2, 3, 4, 4, dtype=np.float32))
    head = net[:2]
    assert isinstance(head, nn.Sequential) and len(head) == 2 and head[0] is net[0]
    assert np.array_equal(net.eval()(x).data, net[2:](head(x)).data) and len(net[1:1]) == 0


def test_a_sequential_may_have_more_than_its_layers():
    class Scaled(nn.Sequential):
        def __init__(self):
            self.before = leaf([1.0])
            super().__init__(nn.Linear(2, 2))
            self.after = leaf([1.0])

    assert list(Scaled().state_dict()) == ["before", "0.weight", "0.bias", "after"]


def test_a_module_is_called_with_names_too():
    class Scale(nn.Module):
        def forward(self, x, by=1.0, *, plus):
            return x * by + plus

    assert Scale()(tn.tensor([2.0]), plus=1.0, by=3.0).item() == 7.0
    assert nn.ReLU()(x=tn.tensor([-1.0])).item() == 0.0


@pytest.mark.parametrize("call, error, sentence", [
    (lambda: nn.Module()(1), NotImplementedError, r"Module has no forward\(\)"),
    (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "3 and 4 channels cannot be cut into groups=2"),
    (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "4 and 4 channels cannot be cut into groups=0"),
    (lambda: nn.Conv2d(4, 4, 3, groups=-2), ValueError, "cannot be cut into groups=-2"),
    (lambda: nn.Conv2d(4, 4, 3, groups=2.0), ValueError, r"cannot be cut into groups=2\.0"),
    (lambda: nn.Conv2d(4, 4, 3, groups=True), ValueError, "cannot be cut into groups=True"),
    (lambda: nn.Conv2d(4, 4, 3, groups="2"), ValueError, "cannot be cut into groups='2'"),
    (lambda: nn.Conv2d(3, 4, 0), ValueError, "kernel_size=0; expected an integer >= 1"),
    (lambda: nn.BatchNorm2d(3)(tn.tensor(np.ones((2, 3), np.float32))), ValueError, r"expected x \(N, C, H, W\)"),
    (lambda: nn.MaxPool2d(2, 2, 0, 1)(tn.tensor(np.ones((1, 1, 4, 4)))), ValueError, "ceil_mode=1; expected True or False"),
])  # fmt: skip
def test_error_sentences(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


# initialisers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill, mean, std", [
    (lambda t, rng: nn.init.normal_(t, 2.0, 0.5, rng=rng), 2, 0.5),
    (lambda t, rng: nn.init.uniform_(t, -1, 3, rng=rng), 1, 4 / 12**0.5),
    (lambda t, rng: nn.init.kaiming_normal_(t, rng=rng), 0, (2 / 225) ** 0.5),
    (lambda t, rng: nn.init.xavier_normal_(t, rng=rng), 0, (2 / (225 + 40 * 9)) ** 0.5),
    (lambda t, rng: nn.init.constant_(t, 1.5), 1.5, 0),
])  # fmt: skip
def test_initialisers_fill_in_place_with_the_right_spread(fill, mean, std):
    t = leaf(np.zeros((40, 25, 3, 3), np.float32))
    array = t.data
    assert fill(t, np.random.default_rng(0)) is t and t.data is array and t.requires_grad
    assert abs(array.mean() - mean) < 0.03 * (std or 1) and abs(array.std() - std) < 0.03 * std + 1e-7


def test_fan_in_wants_a_weight():
    assert nn.init.fan_in(tn.tensor(np.zeros((5, 4, 3, 2)))) == 24
    with pytest.raises(ValueError, match=r"a tensor of shape \(3,\) is not a weight"):
        nn.init.fan_in(tn.tensor(np.zeros(3)))
