"""The networks of `nets.py` in tinynet, with what the sections ask of every engine: a step, an answer, a layer alone."""

import numpy as np

import tinynet as tn
from alexnet import AlexNet
from benchmarks import nets
from tinynet.devices import as_device

LR = 0.001  # small, so that a run on random pictures stays finite for as long as it is measured


class Trainer:
    """A network with its optimiser; `devices` is one device, or two for the two towers, as a list or by name."""

    def __init__(self, net, width=1.0, image_size=224, classes=1000, devices="cpu"):
        self.layers = nets.NETS[net](width, image_size, classes)
        self.devices = tn.devices(devices) if isinstance(devices, str) else devices
        if net == "2012":
            self.net = AlexNet(classes, width, self.devices, image_size=image_size)
        else:
            self.net = tn.nn.Sequential(*[module(layer) for layer in self.layers]).to(self.devices[0])
        self.optimizer = tn.optim.SGD(self.net.parameters(), LR, momentum=0.9, weight_decay=5e-4)

    def data(self, x, labels):
        """Pictures and labels as this engine takes them."""
        return tn.tensor(x, device=self.devices[0]), labels

    def advance(self, x, labels):
        """One training step, without waiting for it; returns the loss before it as a tensor."""
        self.optimizer.zero_grad()
        loss = tn.cross_entropy(self.net(x), labels)
        loss.backward()
        self.optimizer.step()
        return loss

    def step(self, x, labels):
        """One training step; returns the loss before it."""
        return self.advance(x, labels).item()

    def infer(self, x):
        """Logits in test mode, nothing recorded."""
        self.net.eval()
        with tn.no_grad():
            logits = self.net(x).numpy()
        self.net.train()
        return logits

    def dropout(self, p):
        """Set the probability of all dropouts."""
        for part in self.net.modules():
            if isinstance(part, tn.nn.Dropout):
                part.p = p

    def weights(self):
        """name of the layer -> (weight, bias), those of two towers joined along their outputs."""
        values, towers = {}, getattr(self.net, "towers", None)
        for i, layer in enumerate(self.layers):
            if layer.macs:
                if towers is None:
                    parts = [self.net[i]]
                else:
                    parts = [self.net.fc8] if layer.name == "fc8" else [getattr(tower, layer.name) for tower in towers]
                values[layer.name] = [
                    np.concatenate([getattr(part, what).numpy() for part in parts]) for what in ("weight", "bias")
                ]
        return values


def module(layer):
    """One layer as a module."""
    outputs, inputs = layer.y_shape[0], layer.x_shape[0]
    return {
        "conv": lambda: tn.nn.Conv2d(inputs, outputs, layer.size, layer.stride, layer.padding, groups=layer.groups),
        "relu": tn.nn.ReLU,
        "lrn": tn.nn.LocalResponseNorm,
        "pool": lambda: tn.nn.MaxPool2d(layer.size, layer.stride),
        "flatten": tn.nn.Flatten,
        "dropout": tn.nn.Dropout,
        "fc": lambda: tn.nn.Linear(inputs, outputs),
    }[layer.kind]()


def layer_turn(layer, batch, rng, device=None):
    """A turn of one layer alone, (forward, backward) as `AlexNet` runs it: tower by tower; only fc8 has one.

    Every input but conv1's wants its gradient.
    """
    device = as_device(device)
    halves = [layer] if layer.name == "fc8" else [layer.tower()] * 2
    work = []
    for half in halves:
        x = tn.tensor(rng.standard_normal((batch, *half.x_shape), np.float32), layer.name != "conv1", device)
        gradient = tn.tensor(rng.standard_normal((batch, *half.y_shape), np.float32), device=device)

        work.append((module(half).to(device), x, gradient))

    def forward():
        return [part(x) for part, x, _ in work]

    def backward(outputs):
        for y, (part, x, gradient) in zip(outputs, work, strict=True):
            part.zero_grad()
            x.grad = None
            y.backward(gradient)

    return forward, backward


def sgd_turn(layers, device=None):
    """The optimiser's step alone, for all weights of a network."""
    shapes = [shape for layer in layers if layer.macs for shape in (layer.weight_shape, layer.weight_shape[:1])]
    parameters = [tn.tensor(np.full(shape, 0.01, np.float32), True, device) for shape in shapes]
    for p in parameters:
        p.grad = p.device.array(np.full(p.shape, 0.01, np.float32))
    return tn.optim.SGD(parameters, LR, momentum=0.9, weight_decay=5e-4).step
