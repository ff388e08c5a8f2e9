"""A run: a loop with its pictures and its options, in a folder from which it goes on wherever it was stopped.

Everything random in it comes from generators whose state is saved: stopped at any step and resumed, it computes the same
bits as if it had not been stopped.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from tinynet import data
from tinynet.data import Dataset
from tinynet.devices import Device
from tinynet.errors import DataError
from tinynet.nn import Module
from tinynet.optim import ReduceLROnPlateau
from tinynet.training import checkpoint, log, run_folder, state
from tinynet.training.loop import Listener, Loop

SAVE_EVERY = 600  # seconds between checkpoints inside an epoch


class Run(Listener):
    """A training run.

    out: its folder, a Path. options: what it was asked for, which the checkpoint keeps; seed, batch, epochs, patience, data
    and image_size, the side of the crops, are used here. train_set, val_set: `data.Dataset`s. model, recipe: the network,
    and how it learns (its `optimizer(model, lr)`, `input_scale` and `colour`). step: see `Loop`. device: where the images
    go. workers: threads that load images. watching: see `Loop`.
    """

    mean: np.ndarray  # of the training images; there once the run has begun, or is resumed

    def __init__(
        self, out: Path, options: dict, train_set: Dataset, val_set: Dataset, model: Module, recipe, step: Callable,
        device: Device, workers: int, **watching,
    ):  # fmt: skip
        self.out, self.options, self.recipe, self.device, self.workers = out, options, recipe, device, workers
        self.train_set, self.val_set = train_set, val_set
        self.images = [data.fingerprint(images, options["data"]) for images in (train_set, val_set)]
        optimizer = recipe.optimizer(model, options["lr"])
        options["lr"] = optimizer.lr
        schedule = ReduceLROnPlateau(optimizer, patience=options["patience"])
        self.loop = Loop(model, optimizer, schedule, step, device, **watching)
        self.colour: tuple | None = None  # what `data.pca` says of theirs
        self.log = log.Log(out / run_folder.LOG)
        self._saved = time.monotonic()

    @property
    def model(self) -> Module:
        return self.loop.model

    @property
    def epochs(self) -> int:
        return self.options["epochs"]

    @property
    def done(self) -> bool:
        """Whether the last epoch is."""
        return self.loop.epoch >= self.epochs

    def begin(self, progress: Callable[[Iterable], Iterable] = iter) -> None:
        """Claim the folder, look at the images and save what it starts from; `progress` wraps the images looked at.

        Raises FolderError, DataError.
        """
        with run_folder.claimed(self.out):
            data.look_at(self.val_set)
            self.mean = data.mean_image(self.train_set, seed=self.options["seed"], progress=progress)
            if self.recipe.colour:
                self.colour = data.pca(self.train_set, seed=self.options["seed"])
            self.save()  # from here on, a run that is killed at any moment can be resumed

    def resume(self, arrays: Mapping[str, np.ndarray], saved: dict) -> None:
        """Go on from what was saved; raises DataError for other images than it began with, CheckpointError."""
        if saved.get("images", self.images) != self.images:  # older checkpoints do not tell
            raise DataError(
                f"{self.train_set.source.split(': ')[0]} has other images than when the run in {self.out} began: files were "
                f"added, removed, renamed or moved to another class; put them back, or start a new run"
            )
        with checkpoint.reading(self.out):
            state.restore(self.loop, arrays, saved, self.out)
            self.mean = arrays["mean"]
            if "colour.deviations" in arrays:
                self.colour = arrays["colour.deviations"], arrays["colour.directions"]
        log.cut(self.out / run_folder.LOG, self.loop.steps, self.loop.epoch)

    def fit(self, listeners: Iterable[Listener] = (), stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until the last epoch is done (True) or `stop()` comes true (False); leaves a checkpoint either way.

        Of `listeners` each hears of a step or an epoch when it is logged, and of an epoch when it is saved.
        """
        batch, colour = self.options["batch"], None if self.colour is None else (*self.colour, self.recipe.colour)
        how = dict(crop=self.options["image_size"], mean=self.mean, scale=self.recipe.input_scale,
                   seed=self.options["seed"], workers=self.workers)  # fmt: skip
        train = data.Batches(self.train_set, batch, colour=colour, stage=self.device.stage, **how)
        validation = data.Batches(self.val_set, batch, **how)
        self.loop.listeners = [self.log, self, *listeners]
        with self.log:
            try:
                self.loop.fit(train, validation, self.epochs, stop)
            except DataError:  # too many images have turned out to be broken, in the validation for instance
                self.save()
                raise
            self.save()
        return self.done

    def on_batch(self, loop):
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def on_epoch(self, loop, epoch):
        self.save()  # before anything is said, because nobody may be listening any more: `| head`

    def save(self) -> None:
        """Write the checkpoint."""
        self.loop.look()
        arrays, where = state.snapshot(self.loop)
        arrays["mean"] = self.mean
        if self.colour is not None:
            arrays["colour.deviations"], arrays["colour.directions"] = self.colour
        about = {"options": self.options, "classes": self.train_set.classes, "images": self.images}
        self.log.sync()
        checkpoint.save(self.out / checkpoint.NAME, arrays, about | where)
        self._saved = time.monotonic()
