"""The training loop: epochs of steps, each epoch ended by a look at the validation set.

What a step is, it is handed (`alexnet.step`: forward, loss, backward, update). What comes of it, it tells its listeners, in
their order: they log, save, show and draw. All that is random comes from generators of the data and the model.
"""

import contextlib
import time
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinynet.data import Batches
from tinynet.devices import Device
from tinynet.errors import DivergenceError
from tinynet.nn import Module
from tinynet.optim import SGD, ReduceLROnPlateau
from tinynet.tensor import Tensor
from tinynet.training.evaluation import Score, evaluate


@dataclass(frozen=True)
class Step:
    """One step: its number from 1, the mean loss of its batch, the learning rate, images, and images a second."""

    number: int
    loss: float
    lr: float
    images: int
    rate: float


@dataclass(frozen=True)
class Epoch:
    """One epoch: its number from 1, what training and validation gave, the learning rate in it and the next, seconds."""

    number: int
    train: Score
    validation: Score
    lr: float
    next_lr: float
    seconds: float


class Listener:
    """Somebody who hears what a loop does; a listener defines what it wants to hear."""

    def on_epoch_begin(self, loop: "Loop") -> None: ...

    def on_step(self, loop: "Loop", step: Step) -> None: ...

    def on_batch(self, loop: "Loop") -> None:
        """Between two batches: the moment to save."""

    def on_epoch(self, loop: "Loop", epoch: Epoch) -> None: ...


class Loop:
    """A model in training, and where it stands: `epoch` epochs, `batch` batches of the next one and `steps` steps are done.

    step: function (model, optimizer, Tensor of images, labels) to (loss, logits). device: where the images go to, and the
    logits come from. `watching(n)` is a context for step n of this process, from 0: a timeline, for instance.
    """

    def __init__(
        self,
        model: Module,
        optimizer: SGD,
        schedule: ReduceLROnPlateau,
        step: Callable[[Module, SGD, Tensor, np.ndarray], tuple[Tensor, Tensor]],
        device: Device,
        watching: Callable[[int], contextlib.AbstractContextManager] = lambda n: contextlib.nullcontext(),
    ):
        self.model, self.optimizer, self.schedule = model, optimizer, schedule
        self.step, self.device, self.watching = step, device, watching
        self.epoch = self.batch = self.steps = 0
        self.score = Score()  # of the training images of this epoch, each as it was when it was trained on
        self.listeners: list[Listener] = []
        self._queued: deque = deque()  # steps that the device was given and whose loss has not been looked at
        self._steps_here, self._looked = 0, time.monotonic()

    def fit(self, train: Batches, validation: Batches, epochs: int, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train until so many epochs are done (True), or until `stop()` comes true (False).

        train, validation: `data.Batches`. Raises DivergenceError when the loss is no number any more.
        """
        with warnings.catch_warnings():
            # NumPy's remarks about a loss that explodes come before ours, and say less.
            warnings.filterwarnings("ignore", "(overflow|invalid value|divide by zero) encountered", RuntimeWarning)
            while self.epoch < epochs:
                began = time.monotonic()
                if not self._train(train, stop):
                    return False
                score = evaluate(self.model, validation, self.device, stop)
                if score is None:
                    return False
                self._end_epoch(score, time.monotonic() - began)
        return True

    def _train(self, batches: Batches, stop: Callable[[], bool]) -> bool:
        """The rest of an epoch; False if it was stopped."""
        self.model.train()
        self._tell("on_epoch_begin")
        for x, labels in batches.epoch(self.epoch, self.batch):
            if len(labels):
                self._step(x, labels)
            self.batch += 1
            if stop():
                break
            self._tell("on_batch")
        self.look()
        return not stop()

    def _step(self, x: np.ndarray, labels: np.ndarray) -> None:
        began = time.monotonic()
        with self.watching(self._steps_here):
            with self.device:
                images = Tensor(self.device.array_ahead(x), self.device)
                loss, logits = self.step(self.model, self.optimizer, images, labels)
            self.steps, self._steps_here = self.steps + 1, self._steps_here + 1
            later = [t.device.numpy_later(t.data) for t in (loss, logits)]
            self._queued.append((self.steps, began, labels, *later))
            self.look(self.device.lag)

    def look(self, lag: int = 0) -> None:
        """Look at the loss of all steps that were queued but the last `lag`.

        On a GPU that is the step before the last, whose loss has arrived already, so that the GPU never waits for us.
        """
        while len(self._queued) > lag:
            number, began, labels, loss, logits = self._queued.popleft()
            value = loss().item()
            if not np.isfinite(value):
                raise DivergenceError(value, number, self.optimizer.lr)
            self.score.add(value, logits(), labels)
            began, self._looked = max(began, self._looked), time.monotonic()
            rate = len(labels) / (self._looked - began)
            self._tell("on_step", Step(number, value, self.optimizer.lr, len(labels), rate))

    def _end_epoch(self, score: Score, seconds: float) -> None:
        train, self.score = self.score, Score()
        self.epoch, self.batch, lr = self.epoch + 1, 0, self.optimizer.lr
        self.schedule.step(score.error)
        self._tell("on_epoch", Epoch(self.epoch, train, score, lr, self.optimizer.lr, seconds))

    def _tell(self, what: str, *about) -> None:
        for listener in self.listeners:
            getattr(listener, what)(self, *about)
