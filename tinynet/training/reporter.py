"""What is seen of a run while it goes on: a bar that moves, a line an epoch, pictures every minute."""

import sys
import time
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from tqdm import tqdm

from tinynet.draw.curves import curves
from tinynet.draw.kernels import kernels
from tinynet.draw.predictions import predictions
from tinynet.training import log, run_folder
from tinynet.training.evaluation import probabilities
from tinynet.training.loop import Listener
from tinynet.training.run import Run

DRAW_EVERY = 60  # seconds between pictures
SHOWN = 8  # validation images in predictions.png

say = partial(print, flush=True)  # a log file that somebody watches must not lag behind


class Screen(Listener):
    """While entered, shows the progress of an epoch, and says what came of it and which images are broken."""

    def __init__(self, run: Run):
        self.run = run
        self._named: set[str] = set()
        self._bar = tqdm(disable=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def on_epoch_begin(self, loop):
        images = len(self.run.train_set)
        self._bar = tqdm(
            total=images, initial=min(loop.batch * self.run.options["batch"], images),
            desc=f"epoch {loop.epoch + 1}/{self.run.epochs}", unit="image", leave=False, disable=None,
            bar_format="{l_bar}{bar}| {remaining}, {rate_fmt}{postfix}",  # short, for 80 columns
        )  # fmt: skip

    def on_step(self, loop, step):
        _, wrong1, wrong5 = loop.score.means()
        said = f"loss {step.loss:.3f}, top-1 {1 - wrong1:.1%}, top-5 {1 - wrong5:.1%}"
        self._bar.set_postfix_str(said, refresh=False)
        self._bar.update(step.images)

    def on_epoch(self, loop, epoch):
        self._bar.close()
        self.name_broken()
        (loss, error, _), (_, val_error, val_top5) = epoch.train.means(), epoch.validation.means()
        say(
            f"epoch {epoch.number:3}/{self.run.epochs}  loss {loss:.3f}  training top-1 {1 - error:6.1%}  |  "
            f"validation top-1 {1 - val_error:6.1%}  top-5 {1 - val_top5:6.1%}  |  {epoch.seconds:.0f} s"
        )
        if epoch.next_lr != epoch.lr:
            say(f"validation error has stalled: learning rate is now {epoch.next_lr:g}")

    def name_broken(self) -> int:
        """Say which images could not be decoded, each once; returns how many."""
        for name in (name for images in (self.run.train_set, self.run.val_set) for name in images.broken):
            if name not in self._named:
                say(f"skipped, because it cannot be decoded: {name}", file=sys.stderr)
                self._named.add(name)
        return len(self._named)


class Pictures(Listener):
    """curves.png, kernels.png and predictions.png in the folder of a run."""

    def __init__(self, run: Run):
        self.run, self._drawn = run, time.monotonic()

    def on_epoch(self, loop, epoch):
        if time.monotonic() - self._drawn > DRAW_EVERY:
            self.draw()

    def draw(self) -> None:
        """Draw them, from the state of the moment."""
        run = self.run
        model: Any = run.model  # with first_kernels(), see cli.Program
        curves(log.read(run.out / run_folder.LOG), run.out / "curves.png")
        kernels(model.first_kernels(), run.out / "kernels.png")
        labels, order = run.val_set.labels, np.random.default_rng(0).permutation(len(run.val_set))
        _, first = np.unique(labels[order], return_index=True)  # one picture of each class, then any
        numbers = dict.fromkeys([*order[np.sort(first)].tolist(), *order.tolist()])
        found = islice(((i, image) for i in numbers if (image := run.val_set.image(i)) is not None), SHOWN)
        shown = dict(found)
        if shown:
            images = np.stack(list(shown.values()))
            p = probabilities(model, images, run.mean, run.recipe.input_scale, run.device)
            predictions(images, labels[list(shown)], p, run.train_set.classes, run.out / "predictions.png")
        self._drawn = time.monotonic()
