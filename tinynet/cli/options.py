"""Every option of the command line, once: what it means, its default, and the paper's value."""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tinynet.errors import UsageError

SAME = object()  # the default with --data, where it is the same as without


def positive(kind: type, least: int | None = None) -> Callable:
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


@dataclass(frozen=True)
class Option:
    """An option for training.

    default: without --data, and `folder` with it; `said` is how --help puts them, if not as these numbers. paper: its value
    there. saved: it makes the run what it is, so it is kept in the checkpoint, and fixed on --resume unless it `may_change`.
    """

    flag: str
    help: str
    kind: Callable = str
    metavar: str | None = None
    default: object = None
    folder: object = SAME
    said: str | None = None
    paper: str | None = None
    saved: bool = False
    may_change: bool = False

    @property
    def name(self) -> str:
        return self.flag.removeprefix("--").replace("-", "_")

    def text(self) -> str:
        """The help, with the default and the paper's value."""
        default = self.said or f"{self.default}{'' if self.folder is SAME else f', with --data {self.folder}'}"
        return (
            f"{self.help} (default{'' if default[:1] in ':' else ' '}{default}{f'; paper: {self.paper}' * bool(self.paper)})"
        )


TRAINING = (
    Option("--data", "folder of images, one sub-folder a class, perhaps under train/ and val/, or Tiny ImageNet's layout",
           metavar="DIR", said=": pictures drawn by the program", paper="ImageNet", saved=True, may_change=True),
    Option("--epochs", "times through the training images", positive(int), default=22, folder=60, paper="90",
           saved=True, may_change=True),
    Option("--batch", "images a step", positive(int), default=64, folder=128, paper="128", saved=True),
    Option("--lr", "learning rate to start with", positive(float), said=": the recipe's, 0.01", paper="0.01", saved=True),
    Option("--seed", "of the weights, the order of the images and their crops", int, default=0, saved=True),
    Option("--width", "scales every layer", positive(float), default=0.25, paper="1", saved=True),
    Option("--image-size", "side of the crops that the network sees; images are resized to 8/7 of it", positive(int),
           metavar="PIXELS", default=64, folder=None, said="64, with --data what the images have, up to 224", paper="224",
           saved=True),
    Option("--recipe", "how to start and how to learn", default="modern", saved=True),
    Option("--max-pixels", "pixels above which an image is refused, since it may be made to fill the memory; a JPEG "
           "is measured as small as its decoder can make it", positive(int), metavar="N", said="Pillow's, 178,956,970"),
    Option("--device", "cpu, cuda:0, or one for each tower: cuda:0,cuda:1 (cuda:0,cuda:0 is two streams of one GPU), "
           "cpu:0,cpu:1, or sim:0,sim:1, simulated GPUs that check who waits for whom", metavar="DEVICES", default="cpu",
           paper="two GPUs"),
    Option("--tf32", "on CUDA: round the factors of products to 10 bits, which is faster", bool,
           said="off: the numbers of the CPU"),
    Option("--workspace", "on CUDA: bound on the columns of convolutions", positive(int), metavar="BYTES",
           said=": the kernels' own"),
    Option("--timeline", "draw which device did what when in one step, and write FILE.json for Chrome's trace viewer",
           metavar="FILE.png", said="no"),
    Option("--out", "folder for the checkpoint, the log and the pictures", metavar="DIR", said="runs/<date>"),
    Option("--resume", "go on with the run in this folder, with its own options; --epochs may be raised", metavar="DIR",
           said="no: begin a new run"),
    Option("--workers", "threads that load images", positive(int, 0),
           said="2, on CUDA as many as --threads up to 16; 0: load between steps"),
    Option("--threads", "threads that compute", positive(int), said="OMP_NUM_THREADS, or all CPUs"),
)  # fmt: skip


def settings(given: Mapping) -> dict:
    """The saved options of a new run: those that were given, the others at their defaults; raises UsageError."""
    found = {}
    for option in (o for o in TRAINING if o.saved):
        default = option.default if "data" not in given or option.folder is SAME else option.folder
        found[option.name] = given.get(option.name, default)
    found["patience"] = max(2, found["epochs"] // 15)  # epochs that the error may stall before the learning rate drops
    if found["seed"] < 0:
        raise UsageError(f"--seed {found['seed']} is below 0; give 0 or more")
    return found


def resumed(saved: Mapping, given: Mapping) -> dict:
    """The options of a run that goes on: those it was saved with, and of those given what may change."""
    options = {name: saved[name] for name in (*(o.name for o in TRAINING if o.saved), "patience")}
    for option in (o for o in TRAINING if o.saved and o.name in given):
        if option.may_change:
            options[option.name] = given[option.name]
        else:
            fixed(option.flag, given[option.name], saved[option.name])
    return options


def fixed(flag: str, given, kept) -> None:
    """Raises UsageError for an option that is given otherwise than the run has it."""
    if given != kept:
        raise UsageError(f"{flag} {given} cannot change on --resume: this run has {kept}; leave it out")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message}; see {self.prog} --help")


def train_parser(program) -> Parser:
    """The parser for training; what is not given is None."""
    parser = Parser(
        prog=f"{program.name}.py",
        description=f"Train {program.about}, on pictures that this program draws itself or on your own.",
        epilog=f"To name what is in a picture: {program.name}.py predict IMAGE... --checkpoint FILE",
    )
    for option in TRAINING:
        how: dict[str, Any]
        if option.kind is bool:
            how = {"action": argparse.BooleanOptionalAction}
        else:
            how = {"type": option.kind, "metavar": option.metavar}
        text = option.text()
        if option.name == "recipe":
            text = ". ".join([text, *(f"{name}: {recipe.about}" for name, recipe in program.recipes.items())])
            how = {"choices": program.recipes}
        parser.add_argument(option.flag, help=text, **how)
    return parser


def predict_parser(program) -> Parser:
    """The parser for `predict`."""
    parser = Parser(
        prog=f"{program.name}.py predict",
        description="Print the five most probable classes of each picture (average of ten crops).",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="picture files")
    parser.add_argument("--checkpoint", required=True, metavar="FILE", help="checkpoint.safetensors of a run, or its folder")
    for option in (o for o in TRAINING if o.flag in ("--device", "--max-pixels")):
        parser.add_argument(
            option.flag, type=option.kind, metavar=option.metavar, default=option.default, help=option.text()
        )
    return parser
