"""AlexNet, in the order of the paper that it comes from.

A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012.
Section numbers below are the paper's. "The 2012 code" is what the authors ran, published in 2025 as
computerhistory/AlexNet-Source-Code; where it differs from the text, a comment says so.

    python alexnet.py                          train on pictures that the program draws itself
    python alexnet.py --data DIR               train on your own: one sub-folder a class
    python alexnet.py predict IMAGE... --checkpoint FILE
"""

import signal
import sys
from dataclasses import dataclass, field

if __name__ == "__main__":
    interrupts = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports below is no page of traceback

import numpy as np

import tinynet as tn
from tinynet import cli, html, nn
from tinynet.kernels.windows import window_count
from tinynet.nn import init
from tinynet.nn.towers import places

# 3  The Architecture --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A layer with weights: its kernels or neurons (of both towers together), and how a kernel moves over the maps."""

    maps: int
    kernel: int | None = None  # pixels a side; None: fully connected
    stride: int = 1
    padding: int = 0
    crosses: bool = False  # looks at the maps of both towers, and not only at those of its own
    pooled: bool = False  # max pooling follows


LAYERS = {  # 3.5, and figure 2; fc8 comes behind the towers
    "conv1": Layer(96, 11, stride=4, pooled=True),
    "conv2": Layer(256, 5, padding=2, pooled=True),
    "conv3": Layer(384, 3, padding=1, crosses=True),
    "conv4": Layer(384, 3, padding=1),
    "conv5": Layer(256, 3, padding=1, pooled=True),
    "fc6": Layer(4096, crosses=True),
    "fc7": Layer(4096, crosses=True),
}


class AlexNet(nn.Towers):
    """The 2012 network: x (N, 3, image_size, image_size) -> logits (N, classes).

    Two towers that meet in conv3, fc6, fc7 and fc8 and nowhere else. Both are always there: on one device, or on two,
    with the same names and the same initial values. fc8 as a whole lives with the first tower, as in the 2012 code.
    Response normalisation stays inside a tower, as there: a tower's outermost maps have neighbours on one side only.
    (The 2012 code also normalised layer 1 before its ReLU, and layer 2 a second time, over space; the text does neither.)

    classes: number of logits. width: scales the number of kernels and neurons of every layer. devices: None (cpu:0), a
    name such as "cpu:0,cpu:1", a Device, or a list of one or two of these; `to(device)` brings both towers together.
    image_size: pixels a side, from 52. recipe: a name or a `Recipe`, for the initial weights and alpha of the
    normalisation. seed: of the weights and of dropout. dtype: float32 or float64.
    Raises UsageError, naming the layer, when image_size is too small; DeviceError for a device that cannot be used.
    """

    def forward(self, x):
        x = self.both(self.bordered(x))
        x = self.each(lambda tower, x: tower.pool(tower.normalise(tn.relu(tower.conv1(x)))), x)
        x = self.each(lambda tower, x: tower.pool(tower.normalise(tn.relu(tower.conv2(x)))), x)
        x = self.each(lambda tower, x: tn.relu(tower.conv3(x)), self.exchange(x))
        x = self.each(lambda tower, x: tn.relu(tower.conv4(x)), x)
        x = self.each(lambda tower, x: tower.pool(tn.relu(tower.conv5(x))).flatten(1), x)
        x = self.each(lambda tower, x: tower.drop6(tn.relu(tower.fc6(x))), self.exchange(x))
        x = self.each(lambda tower, x: tower.drop7(tn.relu(tower.fc7(x))), self.exchange(x))
        x = self.gather(x)
        with x.device:
            return self.fc8(x)

    def __init__(
        self,
        classes=1000,
        width=1.0,
        devices=None,
        image_size=224,
        *,
        recipe="paper",
        dropout=0.5,
        seed=0,
        dtype=np.float32,
    ):
        devices = places(devices, 2)
        if classes < 1 or not 0 < width <= 100:
            raise tn.UsageError(f"AlexNet: expected classes >= 1 and 0 < width <= 100, got {classes=} and {width=}")
        recipe = find_recipe(recipe)
        half = {name: max(1, round(width * layer.maps / 2)) for name, layer in LAYERS.items()}
        self.sides = map_sides(image_size)
        self.image_size, self.classes, self.width = image_size, classes, width
        # 3.5 and 2012 code: 224 pixels with a stride of 4 give 55 positions (not 54) because windows may hang over the
        # right and lower edge: 55 * 4 + 7 = 227, so three columns and three rows of zeros.
        self.overhang = (self.sides["conv1"] - 1) * 4 + 11 - image_size

        rngs = [np.random.default_rng([seed, 2012, i]) for i in range(6)]
        pixels = self.sides["pool5"] ** 2
        self.towers = [
            Tower(half, pixels, recipe.lrn_alpha, dropout, rngs[i::2], device=device, dtype=dtype)
            for i, device in enumerate(devices)
        ]
        self.fc8 = nn.Linear(2 * half["fc7"], classes, device=devices[0], dtype=dtype, rng=rngs[0])
        recipe.initialise(self, np.random.default_rng(seed))

    def bordered(self, x):
        """The images with zeros where windows of conv1 hang over; raises ValueError for images of another size."""
        if x.ndim != 4 or x.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(f"AlexNet: expected images (N, 3, {self.image_size}, {self.image_size}), got {x.shape}")
        border = (0, self.overhang)
        with x.device:
            return tn.pad(x, ((0, 0), (0, 0), border, border)) if self.overhang else x

    def first_kernels(self):
        """The kernels of conv1, one array (K, 3, 11, 11) a tower: the paper's figure 3."""
        return [tower.conv1.weight.numpy() for tower in self.towers]

    def layers(self):
        """(name, shape of its map or units, parameters of each tower, multiply-adds an image) of every weighted layer."""
        rows = []
        for name in (*LAYERS, "fc8"):
            layers = [getattr(t, name) for t in self.towers] if name != "fc8" else [self.fc8]
            side = self.sides.get(name, 1)
            maps = sum(len(layer.weight) for layer in layers)
            shape = (maps, side, side) if name in self.sides else (maps,)
            counts = [layer.weight.size + layer.bias.size for layer in layers]
            macs = sum(layer.weight.size for layer in layers) * side * side
            rows.append((name, shape, counts if len(counts) == 2 else [*counts, 0], macs))
        return rows

    def table(self):
        """The layers as rows of text: the headings, a row for each, the total."""
        rows = [(name, "x".join(map(str, shape)), *counts, macs) for name, shape, counts, macs in self.layers()]
        rows.append(("total", "", *(sum(row[i] for row in rows) for i in (2, 3, 4))))
        head = ("layer", "output", "parameters, tower 0", "tower 1", "multiply-adds")
        return [head, *((name, shape, *(f"{n:,}" for n in numbers)) for name, shape, *numbers in rows)]

    def __str__(self):
        lines = [f"{name:6}{shape:>12}{one:>21}{two:>12}{macs:>15}" for name, shape, one, two, macs in self.table()]
        return "\n".join([*lines, f"{sum(p.size for p in self.parameters()):,} parameters"])

    def _repr_html_(self):
        head, *rows = self.table()
        return html.table(head, rows, "lrrrr")


class Tower(nn.Module):
    """One of the two GPUs of section 3.2: half of the kernels of every layer, on a device of its own.

    conv2, conv4 and conv5 look at the maps of their own tower only; conv3, fc6 and fc7 look at those of both.
    """

    def __init__(self, half, pixels, lrn_alpha, dropout, rngs, **where):
        maps = 3  # red, green, blue; then those of the layer before
        for name, layer in LAYERS.items():
            maps *= 2 if layer.crosses else 1
            if layer.kernel:
                how = dict(stride=layer.stride, padding=layer.padding, rng=rngs[0])
                setattr(self, name, nn.Conv2d(maps, half[name], layer.kernel, **how, **where))
            else:
                setattr(self, name, nn.Linear(maps * pixels, half[name], rng=rngs[0], **where))
                pixels = 1  # what follows has no maps, only units
            maps = half[name]
        self.normalise = nn.LocalResponseNorm(5, lrn_alpha, 0.75, 2.0)  # 3.3
        # 3.4: z = 3 and s = 2, so that windows overlap; ceil as in the 2012 code, though at 224 pixels they fit exactly.
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        # 4.2: the paper's dropout halves at test time instead of doubling while training.
        self.drop6 = nn.Dropout(dropout, inverted=False, rng=rngs[1])
        self.drop7 = nn.Dropout(dropout, inverted=False, rng=rngs[2])

    @property
    def device(self):
        """Where its weights are, also after `to` has moved them."""
        return self.conv1.weight.device


def map_sides(image_size):
    """Pixels a side of every layer's maps; raises UsageError naming the layer that has too few for one window."""
    sides, side = {}, image_size

    def slide(name, window, stride, padding):
        nonlocal side
        if side + 2 * padding < window:
            raise tn.UsageError(
                f"AlexNet: image_size={image_size} runs out of pixels in {name}, whose {window}x{window} window meets "
                f"{side}x{side} maps; the smallest image_size is 52"
            )
        sides[name] = side = window_count(side, window, stride, padding, ceil_mode=True)

    for name, layer in LAYERS.items():
        if layer.kernel:
            slide(name, layer.kernel, layer.stride, layer.padding)
        if layer.pooled:
            slide(name.replace("conv", "pool"), 3, 2, 0)
    return sides


# 5  Details of learning (and 4.1, data augmentation) ------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """How to start and how to learn. The defaults are the paper's text, to the letter."""

    about: str
    std: dict = field(default_factory=dict)  # layer -> standard deviation of its weights, default 0.01; None: He
    bias: dict = field(default_factory=lambda: dict.fromkeys(("conv2", "conv4", "conv5", "fc6", "fc7"), 1.0))
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    decay: dict = field(default_factory=dict)  # layer -> another weight decay for its weights
    bias_group: dict = field(default_factory=dict)  # what SGD does differently with biases
    input_scale: float = 1.0  # of pixels 0..255 minus the mean
    lrn_alpha: float = 1e-4
    colour: float = 0.1  # 4.1: standard deviation of the shift along the principal components of RGB

    def initialise(self, model, rng):
        layers = [(name, getattr(tower, name)) for tower in model.towers for name in LAYERS] + [("fc8", model.fc8)]
        for name, layer in layers:
            std = self.std.get(name, 0.01)
            if std is None:
                init.kaiming_normal_(layer.weight, rng=rng)
            else:
                init.normal_(layer.weight, 0.0, std, rng=rng)
            init.constant_(layer.bias, self.bias.get(name, 0.0))

    def optimizer(self, model, lr=None):
        named = list(model.named_parameters())
        groups = [{"params": [p for name, p in named if name.endswith("bias")], **self.bias_group}]
        for name in (*LAYERS, "fc8"):
            weights = [p for full, p in named if full.endswith(f"{name}.weight")]
            groups.append({"params": weights, "weight_decay": self.decay.get(name, self.weight_decay)})
        return tn.optim.SGD(groups, self.lr if lr is None else lr, self.momentum, self.weight_decay)


RECIPES = {
    "paper": Recipe("the paper's text, literally: std 0.01 everywhere, so small sets stay at chance for a long time"),
    "source": Recipe(
        "what the 2012 code did: conv3-5 start at 0.03, biases learn twice as fast, never slow down or decay, alpha / 5",
        std=dict(conv3=0.03, conv4=0.03, conv5=0.03),
        bias_group=dict(lr_scale=2.0, weight_decay=0.0, scheduled=False),
        lrn_alpha=1e-4 / 5,
    ),
    "modern": Recipe(
        "what makes small sets train: He initialisation, biases 0, pixels divided by 58",
        std=dict.fromkeys(LAYERS),
        bias={},
        decay=dict(conv1=2e-2),  # so that the noise it starts with fades where nothing is learnt
        bias_group=dict(weight_decay=0.0),
        input_scale=1 / 58,
    ),
}


def find_recipe(recipe):
    """A Recipe from its name, or the Recipe itself; raises UsageError for an unknown name."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise tn.UsageError(f"unknown recipe {recipe!r}; expected {', '.join(RECIPES)}")
    return RECIPES[recipe]


def step(model, optimizer, images, labels):
    """One step of learning: forward, loss, backward, update. Returns (loss, logits)."""
    logits = model(images)
    loss = tn.cross_entropy(logits, labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss, logits


PROGRAM = cli.Program("alexnet", "the AlexNet of 2012, two towers", AlexNet, RECIPES, step)


def main(arguments=None):
    """Run the command line (tinynet/cli); returns its exit code."""
    return cli.main(PROGRAM, arguments)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupts)
    sys.exit(main())
