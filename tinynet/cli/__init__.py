"""The command line of a network: train, resume, predict.

    options.py    every option once: its default, the paper's value, what it means
    train.py      from options to a run, and what is said about it
    predict.py    names for pictures
    advice.py     which option mends an error; the command that goes on with a run
    interrupt.py  Ctrl-C that loses nothing

It is handed the network (`Program`) and knows no layer of it; the library knows none of its options.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinynet import console
from tinynet.cli import options, predict, train
from tinynet.cli.advice import advised
from tinynet.devices import Device
from tinynet.errors import TinynetError, UsageError


@dataclass(frozen=True)
class Program:
    """What a command line is for.

    name: of the program, which is name.py. about: what it trains, for --help. network: class of a Module, called with
    classes, width, image_size, devices, recipe and seed, that has `image_size` and `first_kernels()`. recipes: by name; each
    has `about`, a sentence for --help, and what `training.run.Run` wants. step: see `training.loop.Loop`.
    """

    name: str
    about: str
    network: type
    recipes: Mapping
    step: Callable

    def build(self, options: Mapping, classes: int, devices: Sequence[Device]) -> tuple:
        """(network, recipe) for the options of a run."""
        recipe = self.recipe(options["recipe"])
        sizes = dict(classes=classes, width=options["width"], image_size=options["image_size"])
        return self.network(**sizes, devices=devices, recipe=recipe, seed=options["seed"]), recipe

    def recipe(self, name: str):
        """A recipe by its name; raises UsageError for an unknown one."""
        if name not in self.recipes:
            raise UsageError(f"unknown recipe {name!r}; expected {', '.join(self.recipes)}")
        return self.recipes[name]


def main(program: Program, arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, 2 after a mistake that one sentence explains, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    return console.run(lambda: _main(program, arguments))


def _main(program: Program, arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["predict"]:
            return predict.predict(options.predict_parser(program).parse_args(arguments[1:]), program)
        return train.train(options.train_parser(program).parse_args(arguments), program)
    except BrokenPipeError:
        raise
    except (TinynetError, MemoryError, OSError) as error:  # an OSError is a full disk
        print(f"{program.name}.py: {advised(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\n{program.name}.py: interrupted; there was nothing new to save", file=sys.stderr)
        return 130
