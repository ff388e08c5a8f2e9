"""Tensors, modules and devices can be copied and pickled; what was changed after a forward pass does not change backward."""

import copy
import pickle

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from alexnet import AlexNet

WAYS = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.fixture(params=WAYS)
def again(request):
    """A function that makes a thing again."""
    return WAYS[request.param]


@pytest.mark.parametrize("name", ["cpu:0", "cpu:3", "sim:0", "sim:1", "sim:0 stream 2"])
def test_a_device_made_again_is_the_same_device(name, again):
    place, _, second = name.partition(" stream ")
    device = tn.devices(f"{place},{place}" if second else place)[-1]
    assert device.name == name and again(device) is device


def test_a_leaf_made_again_has_values_gradient_and_place_of_its_own(again):
    x = leaf(normal(2, 3), device="cpu:1")
    (x * x).sum().backward()
    y = again(x)
    assert y.requires_grad and y.device is x.device and y.dtype == x.dtype
    assert np.array_equal(y.data, x.data) and np.array_equal(y.grad, x.grad)
    assert not np.shares_memory(y.data, x.data) and not np.shares_memory(y.grad, x.grad)
    (y * 3).sum().backward()
    assert np.array_equal(y.grad, 2 * x.data + 3) and np.array_equal(x.grad, 2 * x.data)


@pytest.mark.parametrize("data", [np.ones(2, np.uint8), np.float64(2), np.zeros((0, 3)), np.ones(1, bool)], ids=repr)
def test_a_constant_made_again_is_a_constant(data, again):
    x = tn.tensor(data)
    y = again(x)
    assert not y.requires_grad and y.grad is None and (y.dtype, y.shape) == (x.dtype, x.shape)


def test_a_tensor_of_a_simulated_device_made_again_is_on_it(again):
    with tn.devices("sim:0")[0]:
        x = tn.tensor([1.0, 2.0], requires_grad=True, device="sim:0")
        y = again(x)
        assert y.device is x.device and y.requires_grad and y.numpy().tolist() == [1, 2]


def test_a_computed_tensor_is_not_made_again(again):
    y = leaf([1.0]) * 2
    with pytest.raises(TypeError, match=r"a computed tensor is neither copied nor pickled, .* use .detach\(\)"):
        again(y)
    assert again(y.detach()).numpy() == 2


def test_a_network_made_again_computes_the_same_and_learns_alone(again):
    net = AlexNet(3, 0.05, image_size=64, devices=tn.devices("cpu:0,cpu:1")).eval()
    x = tn.tensor(normal(2, 3, 64, 64, dtype=np.float32))
    twin = again(net)
    before = net(x).numpy()
    assert np.array_equal(twin(x).numpy(), before)
    assert [(n, t.device) for n, t in twin.named_parameters()] == [(n, t.device) for n, t in net.named_parameters()]
    for parameter in twin.parameters():
        parameter.data += 1
    assert np.array_equal(net(x).numpy(), before)


def test_weights_that_are_shared_stay_shared(again):
    net = tn.nn.Sequential(tn.nn.Linear(2, 2), tn.nn.Linear(2, 2))
    net[1].weight = net[0].weight
    assert len(again(net).parameters()) == 3


REUSED = {
    "mul": (lambda x, a: x * a, np.ones(3)),
    "div": (lambda x, a: x / a, np.ones(3)),
    "matmul": (lambda x, a: x @ a, np.ones(3)),
    "maximum": (tn.maximum, np.zeros(3)),
    "index": (lambda x, a: x[a], np.array([0, 1])),
    "index by a mask": (lambda x, a: x[a], np.array([True, False, True])),
    "index in a tuple": (lambda x, a: x.reshape(1, 3)[0, a], np.array([0, 1])),
    "cross_entropy": (lambda x, a: tn.cross_entropy(x.reshape(1, 3), a), np.array([0])),
    "dropout": (lambda x, a: tn.dropout(x, mask=a), np.array([True, False, True])),
    "dropout by numbers": (lambda x, a: tn.dropout(x, mask=a), np.array([1.0, 0.0, 1.0])),
}


@pytest.mark.parametrize("name", REUSED)
def test_an_array_may_be_used_again_between_forward_and_backward(name):
    f, array = REUSED[name]
    grads = []
    for change in (False, True):
        given, x = array.copy(), leaf([1.0, 2.0, 3.0], np.float64)
        y = f(x, given).sum()
        if change:
            given[...] = ~given if given.dtype == bool else given + 1
        y.backward()
        grads.append(x.grad)
    assert np.array_equal(*grads)


def test_a_list_of_indices_may_be_used_again_too():
    key, x = [0, 1], leaf([1.0, 2.0, 3.0])
    y = x[key].sum()
    key[0] = 2
    y.backward()
    assert np.array_equal(x.grad, [1.0, 1.0, 0.0])
