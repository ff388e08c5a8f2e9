"""What the tape costs: microseconds of Python an operation, forward and backward, beside the peers that are installed.

    python -m benchmarks.engine

Tensors of one element, so that next to nothing is computed: a chain of multiplications and its backward.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from benchmarks import machine
from benchmarks.bench import Bench, Section
from benchmarks.plan import FULL
from benchmarks.report import Column, row_of, table

COLUMNS = [
    Column("engine", "engine", "text"),
    Column("forward_us", "forward us/operation", ".2f"),
    Column("backward_us", "backward us/operation", ".2f"),
    Column("tinynet_speedup", "tinynet is times as fast", ".2f"),
]


def chain(start, operations):
    """A turn: seconds of so many multiplications, and of their backward."""

    def turn():
        began = time.perf_counter()
        y = start
        for _ in range(operations):
            y = y * start
        middle = time.perf_counter()
        y.backward()
        return middle - began, time.perf_counter() - middle

    return turn


def one(engine):
    """A tensor of one element, 1.0, that wants its gradient."""
    if engine == "tinynet":
        import tinynet

        return tinynet.tensor(1.0, requires_grad=True)
    if engine == "pytorch":
        import torch

        return torch.tensor(1.0, requires_grad=True)
    if engine == "mygrad":
        import mygrad

        return mygrad.tensor(1.0)
    import pydynet

    return pydynet.Tensor(np.float32(1.0), requires_grad=True)


def measure(bench, _):
    operations = bench.plan.engine_operations
    timings = bench.interleave({engine: chain(one(engine), operations) for engine in bench.engines})
    rows = []
    for engine in bench.engines:
        both = {name: seconds.sum(axis=1) for name, seconds in timings.seconds.items()}
        rows.append(
            row_of(
                COLUMNS,
                engine=engine,
                forward_us=timings.median(engine, 0, 1e6 / operations),
                backward_us=timings.median(engine, 1, 1e6 / operations),
                tinynet_speedup=float(np.median(both[engine] / both["tinynet"])) if "tinynet" in both else None,
            )
        )
    return rows


ENGINE = Section(
    "engine",
    "What one operation costs beyond its arithmetic: a chain of multiplications of one number.",
    COLUMNS,
    cases=lambda plan: ["chain"],
    measure=measure,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="how often each engine takes its turn (default 30)")
    engines, missing = machine.find_engines()
    plan = replace(FULL, rounds=parser.parse_args().rounds, turn_seconds=0.0)
    rows = measure(Bench(plan, engines, machine.set_threads(None, engines)), None)
    print("\n".join([table(ENGINE.title, COLUMNS, rows), *missing.values()]))


if __name__ == "__main__":
    main()
