"""Watching: the outputs and gradients that are seen are the network's own; it changes nothing and keeps nothing."""

import gc
import weakref

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from alexnet import AlexNet
from tinynet import nn


def small(devices=None):
    return AlexNet(classes=3, width=0.05, image_size=56, devices=devices, recipe="modern")


IMAGES = normal(2, 3, 56, 56, dtype=np.float32)


def step(model):
    with model.towers[0].device as device:
        loss = tn.cross_entropy(model(tn.Tensor(device.array(IMAGES), device)), [0, 1])
    loss.backward()
    return loss


def test_a_linear_layers_output_and_gradient_by_hand():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    net[0].weight.data[...] = [[1, 2], [3, -4]]
    with tn.watch(net, "0") as seen:
        (net(tn.tensor([[1.0, 1.0]])) * tn.tensor([[5.0, 7.0]])).sum().backward()
    assert seen["0"].output.tolist() == [[3, -1]] and seen["0"].gradient.tolist() == [[5, 0]] and seen["0"].reason is None


@pytest.mark.parametrize("devices", ["cpu", "cpu:0,cpu:1", "sim:0,sim:1"])
def test_gradients_are_those_of_a_leaf_in_the_outputs_place(devices):
    """Summed over images and places it is the gradient of the bias; and fc8's is what a leaf with its values gets."""
    model = small(devices)
    model.eval()
    with tn.watch(model, "towers.*.conv[12]", "fc8") as seen:
        step(model)
    assert list(seen) == ["towers.0.conv1", "towers.0.conv2", "towers.1.conv1", "towers.1.conv2", "fc8"]
    for name in ("towers.0.conv2", "towers.1.conv2", "fc8"):
        layer = dict(model.named_modules())[name]
        assert type(seen[name].output) is type(seen[name].gradient) is np.ndarray
        axes = (0, 2, 3) if seen[name].gradient.ndim == 4 else 0
        np.testing.assert_allclose(
            seen[name].gradient.sum(axes), layer.bias.device.numpy(layer.bias.grad), rtol=1e-4, atol=1e-6
        )
    logits = leaf(seen["fc8"].output)
    tn.cross_entropy(logits, [0, 1]).backward()
    np.testing.assert_allclose(seen["fc8"].gradient, logits.grad, rtol=1e-6)


def test_watching_changes_no_number_and_no_line_of_the_tape():
    plain, watched = small(), small()
    table = str(tn.tape(tn.cross_entropy(plain(tn.tensor(IMAGES)), [0, 1])))
    plain, watched = small(), small()
    step(plain)
    with tn.watch(watched, "*") as seen:
        loss = tn.cross_entropy(watched(tn.tensor(IMAGES)), [0, 1])
        assert str(tn.tape(loss)) == table
        loss.backward()
    for (name, a), (_, b) in zip(plain.named_parameters(), watched.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.grad, b.grad, err_msg=name)
    assert seen[""].output.shape == (2, 3)


def test_a_value_that_is_used_twice_has_the_sum_of_both_gradients():
    net = nn.Sequential(nn.Linear(1, 1, bias=False))
    with tn.watch(net, "0") as seen:
        y = net(tn.tensor([[1.0]]))
        (y * 2.0 + y * 3.0).sum().backward()
    assert seen["0"].gradient.tolist() == [[5]]


def test_there_is_no_gradient_and_a_reason_until_backward_and_where_none_arrives():
    net = nn.Sequential(nn.Linear(1, 1), nn.Dropout(), nn.ReLU())
    x = tn.tensor([[1.0]])
    with tn.watch(net, "0", "2") as seen:
        assert seen["0"].output is None and seen["0"].reason == "the layer has not been called"
        y = net(x)
        assert seen["0"].output is not None and seen["0"].gradient is None
        assert seen["0"].reason == "backward has not been called since"
        y.sum().backward()
        assert seen["0"].reason is None
        with tn.no_grad():
            net(x)
        assert seen["0"].gradient is None and "off the tape" in seen["0"].reason
        late = net(x).sum()
    late.backward()
    assert seen["0"].gradient is None and seen["0"].reason == "the watch was left before backward reached this layer"
    net.eval()
    with tn.watch(net[1:], "0") as seen:
        net[1:](leaf([[1.0]])).sum().backward()
    assert seen["0"].gradient is None and "arrives in that Tensor's .grad" in seen["0"].reason


def test_arrays_are_copies_that_later_steps_and_users_do_not_change():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, rng=0))
    x = tn.tensor(np.ones((1, 2), np.float32), requires_grad=True)
    with tn.watch(net, "0") as seen:
        net(x).sum().backward()
    first = seen["0"]
    x.data += 1
    assert first.output.tolist() == [[1, 1]] and first.output.base is None


def test_the_last_call_of_a_layer_that_is_called_twice_counts():
    layer = nn.ReLU()
    net = nn.Sequential(layer, nn.Linear(1, 1), layer)
    with tn.watch(net, "2") as seen:
        y = net(tn.tensor([[-1.0]]))
    assert seen["2"].output.tolist() == y.numpy().tolist()


def test_nothing_is_kept_after_leaving_but_what_was_seen(no_gc):
    net = small()
    with tn.watch(net, "*") as seen:
        loss = tn.cross_entropy(net(tn.tensor(IMAGES)), [0, 1])
    dead = [weakref.ref(layer) for layer in net.modules()]
    assert not any(module._hooks for module in net.modules())
    tape = weakref.ref(loss)
    del net, loss
    assert tape() is None and all(ref() is None for ref in dead), "without the garbage collector"
    kept = weakref.ref(seen["fc8"])
    del seen
    assert kept() is None
    gc.collect()


def test_the_tape_does_not_keep_what_was_seen(no_gc):
    net = nn.Sequential(nn.Linear(1, 1))
    with tn.watch(net, "0") as seen:
        loss = net(tn.tensor([[1.0]])).sum()
        gone = weakref.ref(seen["0"])
    del seen
    assert gone() is None
    loss.backward()


def test_an_error_inside_takes_the_hooks_away():
    net = nn.Sequential(nn.ReLU())
    with pytest.raises(ZeroDivisionError), tn.watch(net, "*"):
        1 / 0  # noqa: B018
    assert not net._hooks and not net[0]._hooks


@pytest.mark.parametrize("patterns, sentence", [
    (["towers.*.conv9"], r"'towers.\*.conv9' matches no module of AlexNet; did you mean 'towers.1.conv5', "),
    (["tower.0.conv1"], r"did you mean 'towers.0.conv1'"),
    (["fc8", "FC8"], r"'FC8' matches no module"),
    (["zzzzzz"], r"'zzzzzz' matches no module of AlexNet; there are 'towers.0', 'towers.0.conv1', 'towers.0.conv2' \.\.\."),
    ([], r"which layers\? give their names, or patterns of them, such as 'towers.0', "),
])  # fmt: skip
def test_a_pattern_that_matches_nothing_is_refused_with_close_names(patterns, sentence):
    with pytest.raises(tn.UsageError, match=f"^watch: .*{sentence}"):
        tn.watch(small(), *patterns)


def test_a_layer_that_is_not_watched_and_one_that_returns_no_tensor():
    class Two(nn.Module):
        def forward(self, x):
            return [x, x]

    net = nn.Sequential(Two())
    with tn.watch(net, "0") as seen:
        with pytest.raises(TypeError, match="watch: 0 returns a list, not a Tensor; watch the layers inside it"):
            net(tn.tensor([1.0]))
        with pytest.raises(KeyError, match="'1' is not watched; watched are '0'"):
            seen["1"]


def test_printed_it_is_a_table_with_a_line_a_layer():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Sequential())
    net[0].weight.data[...] = [[1, 0], [0, -1]]
    with tn.watch(net, "0", "1", "2*") as seen:
        net[:2](tn.tensor([[1.0, 1.0]])).sum().backward()
    assert str(seen).splitlines() == [
        "layer  output  mean  std   zero  gradient's std",
        "0      (1, 2)     0    1   0.0%  0.5",
        "1      (1, 2)   0.5  0.5  50.0%  0",
        "2                                (the layer has not been called)",
    ]
