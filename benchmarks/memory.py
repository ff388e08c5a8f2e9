"""Section `memory`: how much a training step needs, and whether it grows; each engine in a process of its own."""

import re
import resource
import sys

import numpy as np

from benchmarks import children
from benchmarks.bench import Section, network_module
from benchmarks.report import Column, row_of

ENGINES = ("tinynet", "pytorch")
COLUMNS = [
    Column("what", "what", "text"),
    Column("batch", "batch", "d"),
    Column("tinynet_mb", "tinynet MB", ".1f"),
    Column("pytorch_mb", "PyTorch MB", ".1f"),
    Column("tinynet_percent", "tinynet % of PyTorch", ".0f"),
    Column("tinynet_absolute_mb", "tinynet process, MB", ".0f"),
    Column("pytorch_absolute_mb", "PyTorch process, MB", ".0f"),
]
IMPORTS = ("imports only", 0)
SETTLE = 20  # steps after which a process has all the memory that it wants to keep


def cases(plan):
    """(what, batch): a peak for each batch, and the growth over many small steps."""
    growth = [(f"growth, {plan.growth_steps} steps", 8)] if plan.growth_steps else []
    return [IMPORTS] + [("peak of a step", n) for n in plan.memory_batches] + growth


def measure(bench, case):
    (what, batch), plan = case, bench.plan
    engines = [name for name in ENGINES if name in bench.engines]
    bench.forget()  # the networks of other sections

    def ask(engine, **sizes):
        bench.say(f"{engine}, {what}")
        return children.call("benchmarks.memory", bench.threads, engine=engine, **sizes)

    if case == IMPORTS:
        bench.noted[IMPORTS] = {engine: ask(engine, batch=0, steps=0) for engine in engines}
        absolute = {engine: peak for engine, (peak, _) in bench.noted[IMPORTS].items()}
        used = absolute
    elif what.startswith("peak"):
        sizes = dict(batch=batch, steps=2, width=plan.memory_width, image_size=plan.image_size, classes=plan.classes)
        absolute = {engine: ask(engine, **sizes)[0] for engine in engines}
        used = {engine: peak - bench.noted[IMPORTS][engine][0] for engine, peak in absolute.items()}
    else:
        sizes = dict(width=plan.growth_width, image_size=plan.growth_image_size, classes=plan.classes)
        found = {engine: ask(engine, batch=batch, steps=plan.growth_steps, **sizes) for engine in engines}
        absolute = {engine: peak for engine, (peak, _) in found.items()}
        used = {engine: growth for engine, (_, growth) in found.items()}
    values = {f"{engine}_mb": mb for engine, mb in used.items()}
    values |= {f"{engine}_absolute_mb": mb for engine, mb in absolute.items()}
    if len(used) == 2 and what.startswith("peak"):
        values["tinynet_percent"] = 100 * used["tinynet"] / used["pytorch"]
    return [row_of(COLUMNS, what=what, batch=batch or None, **values)]


def child(engine, batch, steps, width=1.0, image_size=224, classes=1000):
    """Of this process after so many steps: [peak, growth of what is resident since the steps had settled], MB."""
    module = network_module(engine)
    settled = resident()[0]
    if steps:
        rng = np.random.default_rng(0)
        trainer = module.Trainer("2012", width, image_size, classes)
        x = rng.standard_normal((batch, 3, image_size, image_size), np.float32)
        data = trainer.data(x, rng.integers(0, classes, batch))
        del x
        settle = SETTLE if steps > SETTLE else 0
        for number in range(settle + steps):
            if number == settle:
                settled = resident()[0]
            trainer.step(*data)
    now, peak = resident()
    return [peak, now - settled]


def resident():
    """Megabytes of this process in memory: (now, at most so far).

    Not `ru_maxrss` where /proc tells: Linux hands that on to a child, so that a child of a large process starts with
    its parent's peak.
    """
    try:
        with open("/proc/self/status") as file:
            text = file.read()
        return tuple(int(re.search(rf"{key}:\s+(\d+) kB", text)[1]) * 1024 / 1e6 for key in ("VmRSS", "VmHWM"))
    except (OSError, TypeError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6
        return peak, peak


MEMORY = Section(
    "memory",
    "Memory of AlexNet 2012 in training, 1 MB = 10^6 bytes, beyond what the imports need: weights, gradients and\n"
    "velocities (at full width 732 MB), pictures, maps and work space. Growth: at a small size, resident memory after\n"
    "the steps less that after the first few.",
    COLUMNS,
    cases=cases,
    measure=measure,
)

if __name__ == "__main__":
    children.answer(child)
