"""What a trained network says: its error on a validation set, and its probabilities for pictures."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tinynet import data
from tinynet.data import Batches
from tinynet.devices import Device
from tinynet.nn import Module
from tinynet.ops.activations import softmax
from tinynet.ops.losses import cross_entropy
from tinynet.tape import no_grad
from tinynet.tensor import Tensor


def ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes got a higher score than the right one, (N,): 0 is a top-1 success, below 5 a top-5 success.

    logits: array (N, C). labels: integers (N,). A tie counts against the network, and so does a score that is not a number.
    """
    right = logits[np.arange(len(labels)), labels][:, None]
    return (~(logits < right)).sum(axis=1) - 1


class Score:
    """Sums over images that become a loss and two error rates; `state` is the sums, as a list."""

    def __init__(self, state: Sequence[float] = (0, 0.0, 0, 0)):
        self.images, self.loss, self.wrong1, self.wrong5 = state

    def add(self, loss: float, logits: np.ndarray, labels: np.ndarray) -> None:
        rank = ranks(logits, labels)
        self.images += len(labels)
        self.loss += loss * len(labels)
        self.wrong1 += int((rank >= 1).sum())
        self.wrong5 += int((rank >= 5).sum())

    @property
    def state(self) -> list[float]:
        return [self.images, self.loss, self.wrong1, self.wrong5]

    @property
    def error(self) -> float:
        """The top-1 error, a fraction."""
        return self.means()[1]

    def means(self) -> tuple[float, ...]:
        """(mean loss, top-1 error, top-5 error), errors as fractions; nan without images."""
        return tuple(total / self.images if self.images else float("nan") for total in self.state[1:])


def evaluate(model: Module, batches: Batches, device: Device, stop: Callable[[], bool] = lambda: False) -> Score | None:
    """The `Score` of the model, at test time, on the central crops; None if `stop()` came true."""
    score = Score()
    model.eval()
    with no_grad():
        for x, labels in batches.centre():
            if stop():
                return None
            with device:
                logits = model(Tensor(device.array(x), device))
                loss = cross_entropy(logits, labels)
            score.add(loss.item(), logits.numpy(), labels)
    return score


def probabilities(model, images: Iterable[np.ndarray], mean: np.ndarray, scale: float, device: Device) -> np.ndarray:
    """Softmax averaged over the ten crops of section 4.1 (corners and centre, and their mirror images), (N, classes).

    model: a Module with its `image_size`. images: uint8 (N, 3, S, S). mean: (3, S, S).
    """
    model.eval()
    rows = []
    with no_grad():
        for image in images:
            crops = data.ten_crops(image, model.image_size)
            x = data.subtract_mean(crops, mean, model.image_size, scale)
            with device:
                p = softmax(model(Tensor(device.array(x), device)))
            rows.append(p.numpy().mean(axis=0))
    return np.stack(rows)
