"""AlexNet, in the order of the paper that it comes from.

A. Krizhevsky, I. Sutskever, G. E. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012.
Section numbers below are the paper's. "The 2012 code" is what the authors ran, published in 2025 as
computerhistory/AlexNet-Source-Code; where it differs from the text, a comment says so.

    python alexnet.py                          train on pictures that the program draws itself
    python alexnet.py --data DIR               train on your own: one sub-folder a class
    python alexnet.py predict IMAGE... --checkpoint FILE
"""

import argparse
import math
import os
import signal
import sys
from dataclasses import dataclass, field

if __name__ == "__main__":
    interrupts = signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C during the imports below is no page of traceback

import numpy as np

import tinynet as tn
from tinynet import evaluation, nn, training
from tinynet.devices import as_device
from tinynet.kernels.windows import window_count
from tinynet.nn import init

# 3  The Architecture --------------------------------------------------------------------------------------------------

SIZES = dict(conv1=96, conv2=256, conv3=384, conv4=384, conv5=256, fc6=4096, fc7=4096)  # both towers together


class Tower(nn.Module):
    """One of the two GPUs of section 3.2: half of the kernels of every layer, on a device of its own.

    conv2, conv4 and conv5 look at the maps of their own tower only; conv3, fc6 and fc7 look at those of both.
    """

    def __init__(self, half, pixels, device, lrn_alpha, dropout, rngs, dtype):
        # 3.5: 11x11 kernels on the image, then 5x5x48, 3x3x256, 3x3x192, 3x3x192; 3.4: pooling overlaps, z=3 and s=2.
        how = dict(device=device, dtype=dtype, rng=rngs[0])
        self.conv1 = nn.Conv2d(3, half["conv1"], 11, stride=4, **how)
        self.conv2 = nn.Conv2d(half["conv1"], half["conv2"], 5, padding=2, **how)
        self.conv3 = nn.Conv2d(2 * half["conv2"], half["conv3"], 3, padding=1, **how)
        self.conv4 = nn.Conv2d(half["conv3"], half["conv4"], 3, padding=1, **how)
        self.conv5 = nn.Conv2d(half["conv4"], half["conv5"], 3, padding=1, **how)
        self.fc6 = nn.Linear(2 * half["conv5"] * pixels, half["fc6"], **how)
        self.fc7 = nn.Linear(2 * half["fc6"], half["fc7"], **how)
        self.normalise = nn.LocalResponseNorm(5, lrn_alpha, 0.75, 2.0)  # 3.3
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)  # ceil as in the 2012 code; at 224 the windows fit exactly
        # 4.2: the paper's dropout halves at test time instead of doubling while training.
        self.drop6 = nn.Dropout(dropout, inverted=False, rng=rngs[1])
        self.drop7 = nn.Dropout(dropout, inverted=False, rng=rngs[2])

    @property
    def device(self):
        """Where its weights are, also after `to` has moved them."""
        return self.conv1.weight.device

    def layer1(self, x):
        return self.pool(self.normalise(tn.relu(self.conv1(x))))

    def layer2(self, x):
        return self.pool(self.normalise(tn.relu(self.conv2(x))))

    def layer3(self, x):
        return tn.relu(self.conv3(x))

    def layer4(self, x):
        return tn.relu(self.conv4(x))

    def layer5(self, x):
        return self.pool(tn.relu(self.conv5(x))).flatten(1)

    def layer6(self, x):
        return self.drop6(tn.relu(self.fc6(x)))

    def layer7(self, x):
        return self.drop7(tn.relu(self.fc7(x)))


class AlexNet(nn.Module):
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
        devices = [devices or "cpu:0"] if devices is None or isinstance(devices, (str, tn.Device)) else list(devices)
        if devices and all(isinstance(device, str) for device in devices):
            devices = tn.devices(",".join(devices))  # all at once: the second "cuda:0" is another stream
        devices = [as_device(device) for device in devices]
        if len(devices) not in (1, 2):
            raise tn.DeviceError(f"AlexNet has two towers and runs on one device or two; got {len(devices)}")
        if classes < 1 or not 0 < width <= 100:
            raise tn.UsageError(f"AlexNet: expected classes >= 1 and 0 < width <= 100, got {classes=} and {width=}")
        recipe = find_recipe(recipe)
        half = {name: max(1, round(width * size / 2)) for name, size in SIZES.items()}
        self.sides = map_sides(image_size)
        self.image_size, self.classes, self.width = image_size, classes, width
        # 3.5 and 2012 code: 224 pixels with a stride of 4 give 55 positions (not 54) because windows may hang over the
        # right and lower edge: 55 * 4 + 7 = 227, so three columns and three rows of zeros.
        self.overhang = (self.sides["conv1"] - 1) * 4 + 11 - image_size

        rngs = [np.random.default_rng([seed, 2012, i]) for i in range(6)]
        pixels = self.sides["pool5"] ** 2
        self.towers = [
            Tower(half, pixels, device, recipe.lrn_alpha, dropout, rngs[i::2], dtype)
            for i, device in enumerate((devices[0], devices[-1]))
        ]
        first = self.towers[0].device
        self.fc8 = nn.Linear(2 * half["fc7"], classes, device=first, dtype=dtype, rng=rngs[0])
        recipe.initialise(self, np.random.default_rng(seed))

    def forward(self, x):
        if x.ndim != 4 or x.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(f"AlexNet: expected images (N, 3, {self.image_size}, {self.image_size}), got {x.shape}")
        border, first = (0, self.overhang), self.towers[0].device
        with x.device:
            x = tn.pad(x, ((0, 0), (0, 0), border, border)) if self.overhang else x
        maps = [x.to(tower.device) for tower in self.towers]
        maps = self.each(Tower.layer1, maps)
        maps = self.each(Tower.layer2, maps)
        maps = self.each(Tower.layer3, self.exchange(maps))
        maps = self.each(Tower.layer4, maps)
        units = self.each(Tower.layer5, maps)
        units = self.each(Tower.layer6, self.exchange(units))
        units = self.each(Tower.layer7, self.exchange(units))
        units = self.gather(units, first)
        with first:
            return self.fc8(units)

    def each(self, layer, halves):
        """One layer of both towers. Layer by layer, not tower by tower: both devices have work all the time."""
        out = []
        for tower, half in zip(self.towers, halves, strict=True):
            with tower.device:
                out.append(layer(tower, half))
        return out

    def exchange(self, halves):
        """The outputs of both towers, on the device of each: where the columns of the paper's figure 2 cross."""
        devices = [tower.device for tower in self.towers]
        gathered = {device: self.gather(halves, device) for device in dict.fromkeys(devices)}
        return [gathered[device] for device in devices]

    def gather(self, halves, device):
        with device:
            return tn.concat([tn.transfer(half, device) for half in halves], axis=1)

    def first_kernels(self):
        """The kernels of conv1, one array (K, 3, 11, 11) a tower: the paper's figure 3."""
        return [tower.conv1.weight.numpy() for tower in self.towers]

    def layers(self):
        """(name, shape of its map or units, parameters of each tower, multiply-adds an image) of every weighted layer."""
        rows = []
        for name in (*SIZES, "fc8"):
            layers = [getattr(t, name) for t in self.towers] if name != "fc8" else [self.fc8]
            side = self.sides.get(name, 1)
            maps = sum(len(layer.weight) for layer in layers)
            shape = (maps, side, side) if name in self.sides else (maps,)
            counts = [layer.weight.size + layer.bias.size for layer in layers]
            macs = sum(layer.weight.size for layer in layers) * side * side
            rows.append((name, shape, counts if len(counts) == 2 else [*counts, 0], macs))
        return rows

    def __str__(self):
        rows = [(name, "x".join(map(str, shape)), *counts, macs) for name, shape, counts, macs in self.layers()]
        rows.append(("total", "", *(sum(row[i] for row in rows) for i in (2, 3, 4))))
        lines = [f"{'layer':6}{'output':>12}{'parameters, tower 0':>21}{'tower 1':>12}{'multiply-adds':>15}"]
        lines += [f"{name:6}{shape:>12}{one:>21,}{two:>12,}{macs:>15,}" for name, shape, one, two, macs in rows]
        return "\n".join([*lines, f"{rows[-1][2] + rows[-1][3]:,} parameters"])


def map_sides(image_size):
    """Pixels a side of every layer's maps; raises UsageError naming the layer that has too few for one window."""
    sides, side = {}, image_size
    for layer, window, stride, padding in (
        ("conv1", 11, 4, 0), ("pool1", 3, 2, 0), ("conv2", 5, 1, 2), ("pool2", 3, 2, 0),
        ("conv3", 3, 1, 1), ("conv4", 3, 1, 1), ("conv5", 3, 1, 1), ("pool5", 3, 2, 0),
    ):  # fmt: skip
        if side + 2 * padding < window:
            raise tn.UsageError(
                f"AlexNet: image_size={image_size} runs out of pixels in {layer}, whose {window}x{window} window meets "
                f"{side}x{side} maps; the smallest image_size is 52"
            )
        sides[layer] = side = window_count(side, window, stride, padding, ceil_mode=True)
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
        layers = [(name, getattr(tower, name)) for tower in model.towers for name in SIZES] + [("fc8", model.fc8)]
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
        for name in (*SIZES, "fc8"):
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
        std=dict.fromkeys(SIZES),
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


def build(options, classes, devices):
    """The network and the recipe of a run, from its options: what tinynet.training is handed."""
    recipe = find_recipe(options["recipe"])
    sizes = dict(classes=classes, width=options["width"], image_size=options["image_size"])
    return AlexNet(**sizes, devices=devices, recipe=recipe, seed=options["seed"]), recipe


# The command line -----------------------------------------------------------------------------------------------------


def main(arguments=None):
    """Run the command line; returns the exit code: 0, 2 after a mistake that one sentence explains, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if hasattr(sys.stdout, "reconfigure"):  # names of files leave as they came; a terminal that lacks a letter shows a "?"
        sys.stdout.reconfigure(errors="surrogateescape" if sys.stdout.encoding.lower() == "utf-8" else "replace")
    try:
        if arguments[:1] == ["predict"]:
            return evaluation.predict(predict_parser().parse_args(arguments[1:]), build)
        return training.train(train_parser().parse_args(arguments), build)
    except tn.TinynetError as error:
        print(f"alexnet.py: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # "| head" has read enough; what is left in the buffer must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:  # a full disk
        print(f"alexnet.py: {error}", file=sys.stderr)
        return 2
    except MemoryError as error:  # outside of the network: images, what is saved
        print(f"alexnet.py: the memory is full ({error}): lower --width, --batch or --image-size", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nalexnet.py: interrupted; there was nothing new to save", file=sys.stderr)
        return 130


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise tn.UsageError(f"{message}; see {self.prog} --help")


def train_parser():
    parser = Parser(
        prog="alexnet.py",
        description="Train the AlexNet of 2012: two towers, on pictures that this program draws itself or on your own.",
        epilog="To name what is in a picture: alexnet.py predict IMAGE... --checkpoint FILE",
    )
    add = parser.add_argument
    add(
        "--data",
        metavar="DIR",
        help="folder of images, one sub-folder a class, perhaps under train/ and val/, or Tiny "
        "ImageNet's layout (default: pictures drawn by the program; paper: ImageNet)",
    )
    add("--epochs", type=positive(int), help="times through the training images (default 22, with --data 60; paper: 90)")
    add("--batch", type=positive(int), help="images a step (default 64, with --data 128; paper: 128)")
    add("--lr", type=positive(float), help="learning rate to start with (default: the recipe's, 0.01; paper: 0.01)")
    add("--seed", type=int, help="of the weights, the order of the images and their crops (default 0)")
    add("--width", type=positive(float), help="scales every layer (default 0.25; paper: 1)")
    add(
        "--image-size",
        type=positive(int),
        metavar="PIXELS",
        help="side of the crops that the network sees; images are "
        "resized to 8/7 of it (default 64, with --data what the images have, up to 224; paper: 224)",
    )
    add("--recipe", choices=RECIPES, help="default modern. " + ". ".join(f"{k}: {r.about}" for k, r in RECIPES.items()))
    add(
        "--device",
        metavar="DEVICES",
        help="cpu, cuda:0, or one for each tower: cuda:0,cuda:1 (cuda:0,cuda:0 is two streams of one GPU), cpu:0,cpu:1, or "
        "sim:0,sim:1, simulated GPUs that check who waits for whom (default cpu; paper: two GPUs)",
    )
    tf32 = "on CUDA: round the factors of products to 10 bits, which is faster (default off: the numbers of the CPU)"
    add("--tf32", action=argparse.BooleanOptionalAction, help=tf32)
    add("--workspace", type=positive(int), metavar="BYTES", help="on CUDA: bound on the columns of convolutions (default: "
        "the kernels' own)")  # fmt: skip
    add("--timeline", metavar="FILE.png", help="draw which device did what when in one step, and write FILE.json for "
        "Chrome's trace viewer (default: no)")  # fmt: skip
    add("--out", metavar="DIR", help="folder for the checkpoint, the log and the pictures (default runs/<date>)")
    add("--resume", metavar="DIR", help="go on with the run in this folder, with its own options; --epochs may be raised")
    add("--workers", type=positive(int, 0), help="threads that load images (default 2, on CUDA as many as "
        "--threads up to 16; 0: load between steps)")  # fmt: skip
    add("--threads", type=positive(int), help="threads that compute (default: OMP_NUM_THREADS, or all CPUs)")
    return parser


def predict_parser():
    parser = Parser(
        prog="alexnet.py predict", description="Print the five most probable classes of each picture (average of ten crops)."
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files")
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="checkpoint.safetensors of a run, or its folder")
    parser.add_argument("--device", default="cpu", metavar="DEVICES", help="where to compute (default cpu)")
    return parser


def positive(kind, least=None):
    """An argparse type: a finite number above zero, or an integer from `least`."""

    def parse(text):
        number = kind(text)
        if not math.isfinite(number):
            raise argparse.ArgumentTypeError(f"{text} is not a finite number")
        if not (number > 0 if least is None else number >= least):
            raise argparse.ArgumentTypeError(f"{text} is not {'above 0' if least is None else f'{least} or more'}")
        return number

    parse.__name__ = kind.__name__  # what argparse says when `text` is no number at all
    return parse


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupts)
    sys.exit(main())
