"""The networks of `nets.py` in PyTorch: same layers, same weights, same interface as `tiny_nets.py`.

PyTorch gets what is best for it: LRN over both towers at once by looking at their maps as twice as many images, which
copies nothing, and SGD's fused form, twice as fast as the default. channels_last made no difference on a CPU.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks import nets

LR = 0.001  # as in tiny_nets.py


class TowerNorm(nn.Module):
    """Response normalisation within each of two groups of maps; alpha * size, because PyTorch divides it by size."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

    def forward(self, x):
        n, c, h, w = x.shape
        return self.norm(x.reshape(2 * n, c // 2, h, w)).reshape(x.shape)


class Trainer:
    """A network with its optimiser, on "cpu" or "cuda"."""

    def __init__(self, net, width=1.0, image_size=224, classes=1000, device="cpu"):
        self.layers, self.device = nets.NETS[net](width, image_size, classes), device
        self.net = nn.Sequential(*[module(layer) for layer in self.layers]).to(device)
        self.optimizer = optimizer(self.net.parameters())

    def data(self, x, labels):
        """Pictures and labels as this engine takes them."""
        return torch.from_numpy(x).to(self.device), torch.from_numpy(labels).to(self.device)

    def advance(self, x, labels):
        """One training step, without waiting for it; returns the loss before it as a tensor."""
        self.optimizer.zero_grad()
        loss = functional.cross_entropy(self.net(x), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self, x, labels):
        """One training step; returns the loss before it."""
        return self.advance(x, labels).item()

    def infer(self, x):
        """Logits in test mode, nothing recorded."""
        self.net.eval()
        with torch.inference_mode():
            logits = self.net(x).cpu().numpy()
        self.net.train()
        return logits

    def dropout(self, p):
        """Set the probability of all dropouts."""
        for part in self.net.modules():
            if isinstance(part, nn.Dropout):
                part.p = p

    def load(self, weights):
        """Take the weights that another engine's `weights` gives."""
        for part, layer in zip(self.net, self.layers, strict=True):
            if layer.macs:
                for mine, value in zip((part.weight, part.bias), weights[layer.name], strict=True):
                    mine.data.copy_(torch.from_numpy(value))


def module(layer):
    """One layer, of both towers at once, as a module."""
    outputs, inputs = layer.y_shape[0], layer.x_shape[0]
    return {
        "pad": lambda: nn.ZeroPad2d((0, layer.size, 0, layer.size)),
        "conv": lambda: nn.Conv2d(inputs, outputs, layer.size, layer.stride, layer.padding, groups=layer.groups),
        "relu": nn.ReLU,
        "lrn": TowerNorm,
        "pool": lambda: nn.MaxPool2d(layer.size, layer.stride, ceil_mode=True),
        "flatten": nn.Flatten,
        "dropout": nn.Dropout,
        "fc": lambda: nn.Linear(inputs, outputs),
    }[layer.kind]()


def optimizer(parameters):
    """PyTorch's SGD, its fastest form."""
    return torch.optim.SGD(parameters, LR, momentum=0.9, weight_decay=5e-4, fused=True)


def layer_turn(layer, batch, rng, device="cpu"):
    """One layer alone, (forward, backward); every input but conv1's wants its gradient."""
    part = module(layer).to(device)
    x, gradient = (rng.standard_normal((batch, *shape), np.float32) for shape in (layer.x_shape, layer.y_shape))
    x = torch.from_numpy(x).to(device).requires_grad_(layer.name != "conv1")
    gradient = torch.from_numpy(gradient).to(device)

    def backward(y):
        part.zero_grad()
        x.grad = None
        y.backward(gradient)

    return lambda: part(x), backward


def sgd_turn(layers, device="cpu"):
    """The optimiser's step alone, for all weights of a network."""
    shapes = [shape for layer in layers if layer.macs for shape in (layer.weight_shape, layer.weight_shape[:1])]
    parameters = [nn.Parameter(torch.full(shape, 0.01, device=device)) for shape in shapes]
    for p in parameters:
        p.grad = p.data.clone()
    return optimizer(parameters).step
