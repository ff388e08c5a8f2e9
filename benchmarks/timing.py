"""How things are timed: engines take turns, so that whatever else the machine does disturbs all of them alike."""

import gc
import math
import time
from dataclasses import dataclass

import numpy as np

# The threads of NumPy's BLAS go on spinning for some 100 ms after a product, and whoever comes next has to share the
# cores with them: a PyTorch step of 10 ms takes 18. tinynet keeps BLAS to one thread, so it leaves no such thing behind.
SPINNING = ("sgemm", "mygrad", "pydynet")


def clocked(work, *args):
    """A turn: a function that runs work(*args) and returns the seconds it took, as a tuple of one."""

    def turn():
        began = time.perf_counter()
        work(*args)
        return (time.perf_counter() - began,)

    return turn


@dataclass(frozen=True)
class Timings:
    """seconds: name -> array (rounds, parts); a name that took no part has no entry, and its results are None."""

    seconds: dict

    def median(self, name, part=0, scale=1.0):
        """Median over the rounds, times `scale`."""
        return float(np.median(self.seconds[name][:, part])) * scale if name in self.seconds else None

    def quotients(self, name, other, part=0):
        """seconds of `name` / seconds of `other` in each round: how many times faster `other` was. None if one lacks."""
        if name not in self.seconds or other not in self.seconds:
            return None
        return self.seconds[name][:, part] / self.seconds[other][:, part]

    def ratio(self, name, other, part=0):
        """Median of the quotients."""
        quotients = self.quotients(name, other, part)
        return None if quotients is None else float(np.median(quotients))

    def spread(self, name, other, part=0):
        """The lowest and the highest of the quotients."""
        quotients = self.quotients(name, other, part)
        return (None, None) if quotients is None else (float(quotients.min()), float(quotients.max()))


def interleave(turns, plan, say=lambda text: None):
    """Timings of `turns`, name -> function that works once and returns a tuple of seconds, one a part of the work.

    A round is one turn of each, forwards and backwards in turn; a turn is as many repetitions as fill
    `plan.turn_seconds`, and a short one starts with one that does not count. Before the first round everybody runs
    once or twice, which does not count either: that is when memory is allocated and libraries make up their minds.
    """
    repeats, seconds = {}, {name: [] for name in turns}

    def rest(after):
        time.sleep(plan.pause_seconds if after in SPINNING else plan.pause_seconds / 10)

    for name, turn in turns.items():
        say(f"{name}, first run")
        once = sum(turn())
        if once < plan.turn_seconds:
            once = sum(turn())
        rest(name)
        repeats[name] = max(1, math.ceil(plan.turn_seconds / max(once, 1e-6)))
    try:
        for number in range(plan.rounds):
            order = list(turns) if number % 2 == 0 else list(reversed(turns))
            for name in order:
                say(f"{name}, round {number + 1} of {plan.rounds}")
                gc.collect()
                gc.disable()  # as in timeit: one look at all objects of all engines takes longer than a thousand operations
                if repeats[name] > 1:
                    turns[name]()
                seconds[name].append(np.mean([turns[name]() for _ in range(repeats[name])], axis=0))
                rest(name)
    finally:
        gc.enable()
    return Timings({name: np.array(rows) for name, rows in seconds.items()})


def gemm_turn(side):
    """The roof: a turn of one single-precision matrix product by NumPy's BLAS with all its threads, and its operations."""
    a, b = np.random.default_rng(0).standard_normal((2, side, side), dtype=np.float32)
    out = np.empty_like(a)
    return clocked(lambda: np.matmul(a, b, out=out)), 2 * side**3
