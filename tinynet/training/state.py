"""The state of a loop: all that decides how it goes on, as named arrays and as numbers for JSON."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tinynet.training import checkpoint
from tinynet.training.evaluation import Score
from tinynet.training.loop import Loop


def snapshot(loop: Loop) -> tuple[dict[str, np.ndarray], dict]:
    """(arrays, state) of a loop whose steps have all been looked at.

    arrays: `model.<name>` and `velocity.<name>`. state: the position, the score so far, the schedule, the generators.
    """
    arrays = {f"model.{name}": value for name, value in loop.model.state_dict().items()}
    velocities = loop.optimizer.state_dict()["velocity"]
    arrays |= {f"velocity.{name}": v for name, v in zip(_names(loop), velocities, strict=True)}
    state = {
        "epoch": loop.epoch,
        "batch_in_epoch": loop.batch,
        "step": loop.steps,
        "score": loop.score.state,
        "schedule": loop.schedule.state_dict(),
        "generators": [rng.bit_generator.state for rng in _generators(loop.model)],
    }
    return arrays, state


def restore(loop: Loop, arrays: Mapping[str, np.ndarray], state: dict, path: str | Path) -> None:
    """Bring a loop to where another one was; path: of the checkpoint, for messages."""
    checkpoint.restore(loop.model, arrays, path)
    velocities = [arrays[f"velocity.{name}"] for name in _names(loop)]
    loop.optimizer.load_state_dict(loop.optimizer.state_dict() | {"velocity": velocities})
    loop.schedule.load_state_dict(state["schedule"])  # the learning rate, too
    loop.epoch, loop.batch, loop.steps = state["epoch"], state["batch_in_epoch"], state["step"]
    loop.score = Score(state["score"])
    for rng, saved in zip(_generators(loop.model), state["generators"], strict=True):
        rng.bit_generator.state = saved


def _names(loop):
    """The names of the parameters in the order of the optimizer."""
    names = {p: name for name, p in loop.model.named_parameters()}
    return [names[p] for group in loop.optimizer.groups for p in group["params"]]


def _generators(model):
    return (module.rng for module in model.modules() if hasattr(module, "rng"))
