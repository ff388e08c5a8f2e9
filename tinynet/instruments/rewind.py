"""Backward, one entry at a time: which gradient arrives at each, and what it hands on to its inputs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from tinynet.tape import BORROWED, deliver, freed, one_at_a_time, play, ready, sum_to

SMALL = 8  # the most numbers that are shown one by one


@dataclass(frozen=True, repr=False)
class Step:
    """One entry of a tape, played: `print(step)` shows it as a line.

    number: of its line in the table of the tape. op: its operation. gradient: NumPy array, of the loss with respect to its
    output, complete. inputs: the line of each of its inputs, None for a constant. gradients: what it adds to the gradient
    of each input, a NumPy array, or None where it adds nothing. The arrays are copies. name, names: of output and inputs,
    "" where the tape was given none.
    """

    number: int
    op: str
    gradient: np.ndarray
    inputs: tuple[int | None, ...]
    gradients: tuple[np.ndarray | None, ...]
    name: str = ""
    names: tuple[str, ...] = ()
    widths: tuple[int, int] = field(default=(0, 0), compare=False)  # of the number and the operation, so that lines align

    def __str__(self):
        label = f"{self.op} {self.name}".rstrip()
        parts = [
            f"{line}{name and ' ' + name}: {'nothing' if g is None else brief(g)}"
            for line, name, g in zip(self.inputs, self.names or [""] * len(self.inputs), self.gradients, strict=True)
            if line is not None
        ]
        number = str(self.number).rjust(self.widths[0])
        return f"{number}  {label.ljust(self.widths[1])}  gradient {brief(self.gradient)} -> {', '.join(parts)}"

    __repr__ = __str__


def rewind(tape, gradient=None, keep: bool = False) -> Iterator[Step]:
    """Play a Tape as `loss.backward(gradient, keep)` does, but stop after each entry and show it: an iterator of Steps.

    Up to the end nothing has happened: `.grad` of all leaves is as before and nothing is freed, so who leaves early may
    call backward, or rewind again. At the end all is as after backward: the same bits in `.grad`, the saved arrays freed,
    unless `keep`. Meanwhile `tape.arrived` knows which gradients have arrived, for pictures.
    Raises ValueError for a gradient that is missing or does not fit, RuntimeError if the tape was already played.
    """
    last, line = tape.loss.entry, {e: i for i, e in enumerate(tape)}
    labels = [f"{e.op} {tape.names.get(e, '')}".rstrip() for e in tape if e.parents]
    widths = len(str(len(tape) - 1)), max(map(len, labels), default=0)
    waiting = {last: tape.loss.seed(gradient)}
    with one_at_a_time:
        order = ready(last)
    tape.arrived = {last: _shown(last, waiting[last])}
    played = []
    for e in reversed(order):
        if e.backward is None or e not in waiting:
            continue
        parents = [p for p in e.parents if p is not None]
        with _laid_out(waiting, parents):
            arrived = on_host(e.device, e.gradient)
            with e.source:
                given = play(e, True)
                gradients = tuple(_handed(e, p, g) for p, g in zip(e.parents, given, strict=True))
            tape.arrived.update((p, _shown(p, p.gradient)) for p in parents if p.gradient is not None)
        played.append(e)
        name, *names = (tape.names.get(x, "") for x in (e, *e.parents))
        inputs = tuple(line.get(p) for p in e.parents)
        yield Step(line[e], e.op, arrived, inputs, gradients, name, tuple(names), widths)
    with _laid_out(waiting):
        deliver(order)
        for e in played:
            e.backward = e.backward if keep else freed


@contextmanager
def _laid_out(waiting, others=()):
    """Inside, gradients on their way lie in the entries, where the tape wants them; outside, nothing of them is seen."""
    touched = list(dict.fromkeys([*waiting, *others]))
    with one_at_a_time:
        for e, gradient in waiting.items():
            e.gradient, e.owner = gradient, BORROWED
        try:
            yield
        finally:
            waiting.clear()
            waiting.update((e, e.gradient) for e in touched if e.gradient is not None)
            for e in touched:
                e.gradient = None


def _handed(entry, parent, gradient):
    """What an input was given: as its own shape has it, and not the output's, to which it may have been broadcast."""
    if parent is None or gradient is None:
        return None
    return on_host(entry.source, sum_to(gradient, parent.shape) if gradient.shape != parent.shape else gradient)


def on_host(device, array) -> np.ndarray:
    """A copy of a device's array: whoever looks at it later sees what was there."""
    return np.array(device.numpy(array))


def _shown(entry, gradient):
    return on_host(entry.device, gradient) if gradient.size <= SMALL else None


def brief(array: np.ndarray) -> str:
    """The numbers of a small array, to six digits, and its shape: `6.0 ()`, `[1.0, 2.0] (2,)`; of a larger one its shape."""
    return f"{_nested(array.tolist())} {array.shape}" if 0 < array.size <= SMALL else str(array.shape)


def number(value: float) -> str:
    """A number to six digits, short: `6.0`, `0.333333`, `1e-07`."""
    return str(float(f"{value:.6g}"))


def _nested(values):
    return f"[{', '.join(map(_nested, values))}]" if isinstance(values, list) else number(values)
