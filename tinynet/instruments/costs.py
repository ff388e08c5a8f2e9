"""Costs: how many multiply-adds an operation takes, and what many operations took together."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tinynet import text


@dataclass(frozen=True)
class Cost:
    """What all calls of an operation, or of a layer, took together; times in seconds, memory the most of any.

    other: updates, and copies between devices. calls: of the forward, or of whatever there is instead.
    """

    name: str
    calls: int
    forward: float
    backward: float
    other: float
    multiply_adds: int
    backward_multiply_adds: int
    bytes: int
    memory: int | None

    @property
    def seconds(self) -> float:
        return self.forward + self.backward + self.other


def multiply_adds(op: str, inputs: list, output: tuple) -> int:
    """The multiply-adds of an operation's forward, from the shapes of its inputs (None: not known) and of its output.

    conv2d: every number of the output is a sum over the weights of one kernel, linear: over all inputs, matmul: over the
    axis that disappears. The bias and all other operations count as 0.
    """
    if op in ("conv2d", "linear") and inputs[1] is not None:
        return math.prod(output) * math.prod(inputs[1][1:])
    if op == "matmul" and inputs[0] is not None:
        return math.prod(output) * inputs[0][-1]
    return 0


def costs(work: Iterable, key: Callable) -> list[Cost]:
    """The Costs of groups of Work, in the order in which they begin: those with the same key(work), which is their name."""
    groups: dict[str, list] = {}
    for item in work:
        groups.setdefault(key(item), []).append(item)
    return [_sum(name, items) for name, items in groups.items()]


def _sum(name, items):
    def seconds(*phases):
        return sum(work.stop - work.start for work in items if work.phase in phases)

    def count(phase):
        return sum(work.multiply_adds for work in items if work.phase == phase)

    first = "forward" if any(work.phase == "forward" for work in items) else items[0].phase
    memory = [work.memory for work in items if work.memory is not None]
    return Cost(
        name,
        sum(work.phase == first for work in items),
        seconds("forward"),
        seconds("backward"),
        seconds("update", "copy"),
        count("forward"),
        count("backward"),
        sum(work.bytes for work in items),
        max(memory, default=None),
    )


def table(what: str, costs: Iterable[Cost]) -> str:
    """The Costs as a table with a line each. what: the heading of their names."""
    times, counts = ("forward ms", "backward ms", "other ms"), ("multiply-adds", "backward")
    rows: list[tuple[str, ...]] = [(what, "calls", *times, *counts, "G/s", "MB", "peak MB")]
    for c in costs:
        products = c.multiply_adds + c.backward_multiply_adds
        rate = products / (c.forward + c.backward) / 1e9 if products and c.forward + c.backward else 0
        spent = (f"{1e3 * seconds:.2f}" if seconds else "" for seconds in (c.forward, c.backward, c.other))
        done = (f"{n:,}" if n else "" for n in (c.multiply_adds, c.backward_multiply_adds))
        peak = "" if c.memory is None else f"{c.memory / 1e6:.1f}"
        rows.append((c.name, f"{c.calls:,}", *spent, *done, f"{rate:.1f}" if rate else "", f"{c.bytes / 1e6:.1f}", peak))
    return text.table(rows, "l" + "r" * (len(rows[0]) - 1))
