"""The verb `predict`: what a trained network sees in pictures."""

import sys
from argparse import Namespace

import numpy as np

from tinynet import data
from tinynet.cli.advice import advised
from tinynet.devices import devices
from tinynet.errors import DataError
from tinynet.training import checkpoint
from tinynet.training.evaluation import probabilities
from tinynet.training.out_of_memory import explained

SHOWN = 5


def predict(args: Namespace, program) -> int:
    """Print the five most probable classes of each of `args.images`; returns the exit code, 2 if a picture was broken."""
    if args.max_pixels is not None:
        data.allow_pixels(args.max_pixels)
    arrays, state = checkpoint.load(args.checkpoint)
    places = devices(args.device)
    with explained(places, "predicting"):
        with checkpoint.reading(args.checkpoint):
            classes, mean = state["classes"], arrays["mean"]
            model, recipe = program.build(state["options"], len(classes), places)
            checkpoint.restore(model, arrays, args.checkpoint)
        failed = False
        for name in args.images:
            try:
                image = data.image_for_network(name, mean.shape[1])
            except (DataError, OSError) as error:
                print(f"{program.name}.py: {advised(error)}", file=sys.stderr)
                failed = True
                continue
            (p,) = probabilities(model, [image], mean, recipe.input_scale, places[0])
            print(name)
            for c in np.argsort(-p)[:SHOWN]:
                print(f"  {100 * p[c]:5.1f} %  {classes[c]}")
    return 2 if failed else 0
