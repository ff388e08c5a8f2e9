"""Section `peers`: one step of a small AlexNet in every engine that is installed."""

import numpy as np

from benchmarks import peer_nets
from benchmarks.bench import Section, same
from benchmarks.report import Column, row_of
from benchmarks.timing import clocked

STEPS_COMPARED = 3  # losses: the first compares forward, the others backward and the optimiser

COLUMNS = [
    Column("engine", "engine", "text"),
    Column("batch", "batch", "d"),
    Column("ms", "ms", ".2f"),
    Column("tinynet_speedup", "tinynet is times as fast", ".2f"),
    Column("lowest", "lowest", ".2f"),
    Column("highest", "highest", ".2f"),
    Column("images_s", "images/s", ".0f"),
    Column("first_loss", "first loss", ".4f"),
    Column("loss_difference"),
]


def measure(bench, _):
    x, labels = peer_nets.batch_of(bench.plan.peers_batch)
    steps = {}
    for name in bench.engines:
        bench.say(f"building {name}'s network")
        # A peer that computes in float32 only by accident gets float32 to start from, and copies of its own.
        steps[name] = peer_nets.STEPS[name](peer_nets.weights(), x.copy(), labels.copy())
    first, difference = None, None
    for number in range(STEPS_COMPARED):
        losses = {name: step() for name, step in steps.items()}
        difference = same(f"small AlexNet, step {number + 1}", losses)
        first = first or losses
    timings = bench.interleave({name: clocked(step) for name, step in steps.items()})
    rows = []
    for name in steps:
        low, high = timings.spread(name, "tinynet")
        rows.append(
            row_of(
                COLUMNS,
                engine=name,
                batch=len(x),
                ms=timings.median(name, scale=1e3),
                tinynet_speedup=timings.ratio(name, "tinynet"),
                lowest=low,
                highest=high,
                images_s=float(np.median(len(x) / timings.seconds[name])),
                first_loss=first[name],
                loss_difference=difference,
            )
        )
    return rows


PEERS = Section(
    "peers",
    "One training step of a small AlexNet in every engine: 67x67 pictures, four convolutions, two linear layers.",
    COLUMNS,
    cases=lambda plan: ["small AlexNet"],
    measure=measure,
)
