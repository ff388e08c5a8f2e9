"""What a network says of itself: PyTorch's words, where it means the same."""

import pytest
from oracles import leaf

import tinynet as tn
from alexnet import AlexNet
from tinynet import nn


def layers(nn):
    return nn.Sequential(
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(6, 6, (3, 5), 2, 1, 2, 3, bias=False),
        nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh(), nn.Sigmoid()), nn.Flatten()),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.MaxPool2d((2, 3)),
        nn.AvgPool2d(3),
        nn.Linear(3, 2),
        nn.Linear(3, 2, bias=False),
        nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0),
        nn.Sequential(),
    )


def test_a_tree_reads_as_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    assert repr(layers(nn)) == repr(layers(torch.nn))


def test_a_module_of_ones_own_reads_as_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

    def net(nn):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Linear(2, 3)
                self.second = nn.Sequential(nn.ReLU(), nn.Linear(3, 1))

            def extra_repr(self):
                return "two layers"

        return Net()

    assert repr(net(nn)) == repr(net(torch.nn))


def test_what_pytorch_has_not_is_said_too():
    assert repr(nn.Dropout(0.3)) == "Dropout(p=0.3)" and repr(nn.Dropout(inverted=False)) == "Dropout(p=0.5, inverted=False)"
    assert repr(nn.BatchNorm2d(4)) == "BatchNorm2d(4, eps=1e-05, momentum=0.1)"
    pool = nn.AvgPool2d(3, 2, 1, True, False)
    assert repr(pool) == "AvgPool2d(kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False)"
    assert repr(tn.optim.SGD([leaf([1.0])], 0.1)) == "SGD(lr=0.1, momentum=0.9, 1 parameters)"


def test_modules_in_lists_and_dicts_are_children_with_their_path():
    class Net(nn.Module):
        def __init__(self):
            self.blocks, self.heads = [nn.ReLU(), [nn.Tanh()]], {"left": nn.Sequential(nn.ReLU())}

    assert repr(Net()) == (
        "Net(\n  (blocks.0): ReLU()\n  (blocks.1.0): Tanh()\n  (heads.left): Sequential(\n    (0): ReLU()\n  )\n)"
    )


def test_alexnet_shows_both_towers_and_prints_its_table():
    model = AlexNet(10, 0.1, image_size=64)
    lines = repr(model).splitlines()
    assert lines[:3] == [
        "AlexNet(",
        "  (towers.0): Tower(",
        "    (conv1): Conv2d(3, 5, kernel_size=(11, 11), stride=(4, 4))",
    ]
    assert "  (towers.1): Tower(" in lines and lines[-2].startswith("  (fc8): Linear(in_features=410")
    assert str(model).startswith("layer ")


def test_a_module_inside_itself_still_has_a_repr():
    net = nn.Sequential(nn.ReLU())
    net[0].network = net
    assert repr(net) == "Sequential(...)"
