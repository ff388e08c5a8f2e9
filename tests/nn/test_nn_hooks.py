"""Hooks: functions that see what a module was given and what it computed, as in PyTorch."""

import copy
import pickle

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn


@pytest.fixture
def layer():
    return nn.Linear(3, 2, rng=0)


X = tn.tensor(np.ones((1, 3), np.float32))


def test_a_hook_is_called_after_forward_with_module_arguments_and_output_until_it_is_removed(layer):
    calls = []
    handle = layer.register_forward_hook(lambda *given: calls.append(given))
    y = layer(X)
    ((module, args, output),) = calls
    assert module is layer and args == (X,) and args[0] is X and output is y
    handle.remove()
    handle.remove()
    layer(X)
    layer.forward(X)
    assert len(calls) == 1


def test_hooks_are_called_in_order_and_what_they_return_takes_the_place_of_the_output(layer):
    plain = layer(X).numpy()
    layer.register_forward_hook(lambda module, args, output: output + 1)
    layer.register_forward_hook(lambda module, args, output: output * 2)
    layer.register_forward_hook(lambda module, args, output: None)
    np.testing.assert_array_equal(layer(X).numpy(), (plain + 1) * 2)


def test_a_hook_may_remove_itself_and_a_handle_is_a_context(layer):
    calls = []

    def once(module, args, output):
        calls.append("once")
        handle.remove()

    handle = layer.register_forward_hook(once)
    with layer.register_forward_hook(lambda *_: calls.append("with")):
        layer(X), layer(X)
    layer(X)
    assert calls == ["once", "with", "with"]


def test_hooks_of_inner_layers_are_called_inside_those_of_outer_ones():
    net, calls = nn.Sequential(nn.Linear(3, 2, rng=0), nn.ReLU()), []
    for name, module in net.named_modules():
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
    net(X)
    assert calls == ["0", "1", ""]


def test_a_hook_that_is_a_module_does_not_belong_to_the_network_and_neither_does_what_it_holds(layer):
    class Probe(nn.Module):
        def __init__(self):
            self.weight = tn.tensor([1.0], requires_grad=True)

        def forward(self, module, args, output):
            self.seen = output

    before = [name for name, _ in layer.named_tensors()]
    probe = Probe()
    layer.register_forward_hook(probe)
    layer(X)
    assert probe.seen is not None
    assert [name for name, _ in layer.named_tensors()] == before and list(layer.modules()) == [layer]


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["copy", "pickle"])
def test_a_copy_has_no_hooks(layer, twin):
    calls = []
    layer.register_forward_hook(lambda *_: calls.append(1))
    other = twin(layer)
    other(X)
    assert calls == []
    other.register_forward_hook(lambda *_: calls.append(2))
    layer(X), other(X)
    assert calls == [1, 2]


def test_what_cannot_be_called_is_refused(layer):
    with pytest.raises(TypeError, match=r"register_forward_hook: expected a function \(module, args, output\), got list"):
        layer.register_forward_hook([])


def test_an_error_in_forward_calls_no_hook_and_is_located_as_without(layer):
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    calls, broken = [], Broken()
    broken.register_forward_hook(lambda *_: calls.append(1))
    with pytest.raises(RuntimeError) as caught:
        broken(X)
    assert calls == [] and caught.value.module is broken


def test_a_module_without_hooks_calls_its_forward_itself(layer):
    """Not through anything that hooks need: so they cost a look at two attributes."""
    import inspect

    class Depth(nn.Module):
        def forward(self):
            return inspect.currentframe().f_back.f_code

    assert Depth()() is nn.Module.__call__.__code__
