"""The two networks as lists of layers, and their arithmetic; no engine in sight.

`alexnet_2012` is the paper's: two groups, response normalisation, overlapping pooling, dropout. `alexnet_2014` is the
one-tower net without normalisation of "One weird trick for parallelizing convolutional neural networks", as torchvision
has it.
"""

import math
from dataclasses import dataclass, replace

from tinynet.kernels.windows import window_count


@dataclass(frozen=True)
class Layer:
    """One layer for one image: kind, sizes, and what it costs. `size` is that of a kernel, pool or border."""

    name: str
    kind: str  # pad, conv, relu, lrn, pool, flatten, dropout, fc
    x_shape: tuple
    y_shape: tuple
    size: int = 0
    stride: int = 1
    padding: int = 0
    groups: int = 1

    @property
    def weight_shape(self):
        """Of a layer with weights, else None."""
        if self.kind == "conv":
            return (self.y_shape[0], self.x_shape[0] // self.groups, self.size, self.size)
        return (self.y_shape[0], self.x_shape[0]) if self.kind == "fc" else None

    @property
    def macs(self):
        """Multiply-adds of the forward product, an image."""
        return math.prod(self.weight_shape) * math.prod(self.y_shape[1:]) if self.weight_shape else 0

    def tower(self):
        """The half of this layer that one of the two towers computes; a layer of one group looks at both halves' maps."""
        split_input = self.kind not in ("conv", "fc") or self.groups == 2
        x_shape = (self.x_shape[0] // 2, *self.x_shape[1:]) if split_input else self.x_shape
        return replace(self, x_shape=x_shape, y_shape=(self.y_shape[0] // 2, *self.y_shape[1:]), groups=1)


def alexnet_2012(width=1.0, image_size=224, classes=1000):
    """The layers of the paper's network, both towers together."""

    def even(count):
        return 2 * max(1, round(width * count / 2))

    hang = math.ceil((image_size - 11) / 4) * 4 + 11 - image_size  # 3 at 224: windows hang over the right and lower edge
    return _walk(
        (3, image_size, image_size),
        [
            ("pad", "pad", dict(size=hang)),
            ("conv1", "conv", dict(out=even(96), size=11, stride=4)),
            *_activated("1"), ("lrn1", "lrn", {}), _pool("1"),
            ("conv2", "conv", dict(out=even(256), size=5, padding=2, groups=2)),
            *_activated("2"), ("lrn2", "lrn", {}), _pool("2"),
            ("conv3", "conv", dict(out=even(384), size=3, padding=1)), *_activated("3"),
            ("conv4", "conv", dict(out=even(384), size=3, padding=1, groups=2)), *_activated("4"),
            ("conv5", "conv", dict(out=even(256), size=3, padding=1, groups=2)), *_activated("5"), _pool("5"),
            ("flatten", "flatten", {}),
            ("fc6", "fc", dict(out=even(4096))), *_activated("6"), ("dropout6", "dropout", {}),
            ("fc7", "fc", dict(out=even(4096))), *_activated("7"), ("dropout7", "dropout", {}),
            ("fc8", "fc", dict(out=classes)),
        ],
    )  # fmt: skip


def alexnet_2014(width=1.0, image_size=224, classes=1000):
    """The layers of the one-tower network; its input has a border of two pixels instead of three on one side."""

    def some(count):
        return max(1, round(width * count))

    return _walk(
        (3, image_size, image_size),
        [
            ("conv1", "conv", dict(out=some(64), size=11, stride=4, padding=2)), *_activated("1"), _pool("1"),
            ("conv2", "conv", dict(out=some(192), size=5, padding=2)), *_activated("2"), _pool("2"),
            ("conv3", "conv", dict(out=some(384), size=3, padding=1)), *_activated("3"),
            ("conv4", "conv", dict(out=some(256), size=3, padding=1)), *_activated("4"),
            ("conv5", "conv", dict(out=some(256), size=3, padding=1)), *_activated("5"), _pool("5"),
            ("flatten", "flatten", {}), ("dropout6", "dropout", {}),
            ("fc6", "fc", dict(out=some(4096))), *_activated("6"), ("dropout7", "dropout", {}),
            ("fc7", "fc", dict(out=some(4096))), *_activated("7"),
            ("fc8", "fc", dict(out=classes)),
        ],
    )  # fmt: skip


NETS = {"2012": alexnet_2012, "2014": alexnet_2014}
TITLES = {"2012": "AlexNet 2012: two groups, LRN", "2014": "AlexNet 2014: one tower, no LRN"}


def forward_macs(layers):
    """Multiply-adds of the forward products, an image: 724,406,816 for the paper's network."""
    return sum(layer.macs for layer in layers)


def step_flop(layers):
    """Operations of the products of a training step, an image: a multiply-add is two.

    Forward, gradients of weights, gradients of inputs; nobody asks for the gradient of the image, conv1's input.
    """
    weighted = [layer for layer in layers if layer.macs]
    return 2 * (3 * forward_macs(layers) - weighted[0].macs)


def _activated(number):
    return [(f"relu{number}", "relu", {})]


def _pool(number):
    return (f"pool{number}", "pool", dict(size=3, stride=2))


def _walk(shape, rows):
    layers = []
    for name, kind, row in rows:
        row = dict(row)
        out = row.pop("out", shape[0])
        layer = Layer(name, kind, shape, (out,), **row)
        layers.append(replace(layer, y_shape=_y_shape(layer, out)))
        shape = layers[-1].y_shape
    return layers


def _y_shape(layer, out):
    channels, *sides = layer.x_shape
    if layer.kind == "pad":
        return (channels, *(side + layer.size for side in sides))
    if layer.kind == "flatten":
        return (math.prod(layer.x_shape),)
    if layer.kind in ("conv", "pool"):
        # Pools count a last window that hangs over the edge, as AlexNet's do; at 224 pixels there is none.
        counts = [window_count(n, layer.size, layer.stride, layer.padding, ceil_mode=layer.kind == "pool") for n in sides]
        return (out, *counts)
    return (out, *sides)
