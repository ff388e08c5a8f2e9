"""Section `layers`: each layer of the paper's network alone, to see where the time goes and who is faster at what."""

import time

import numpy as np

from benchmarks import nets
from benchmarks.bench import Section, compared, versus
from benchmarks.report import Column, row_of
from benchmarks.timing import clocked

COLUMNS = [
    Column("layer", "layer", "text"),
    Column("batch", "batch", "d"),
    *versus("forward ", spread=""),
    Column("forward_tinynet_gflops", "GFLOP/s", ".0f"),
    Column("forward_pytorch_gflops", "PyTorch GFLOP/s", ".0f"),
    *versus("backward ", spread=""),
    Column("backward_tinynet_gflops", "GFLOP/s", ".0f"),
    Column("backward_pytorch_gflops", "PyTorch GFLOP/s", ".0f"),
    Column("tinynet_lead_ms", "tinynet saves, ms", "+.1f"),
]
DIRECTIONS = ("forward", "backward")


def layer_names(plan):
    """The layers that cost something, and the optimiser."""
    layers = nets.alexnet_2012(plan.width, plan.image_size, plan.classes)
    return [layer.name for layer in layers if layer.kind not in ("pad", "flatten")] + ["sgd"]


def both_ways(forward, backward):
    """A turn of two parts: seconds of forward, seconds of backward."""

    def turn():
        began = time.perf_counter()
        y = forward()
        middle = time.perf_counter()
        backward(y)
        return middle - began, time.perf_counter() - middle

    return turn


def measure(bench, name):
    plan, modules = bench.plan, bench.networks()
    bench.forget()  # the networks of other sections
    layers = nets.alexnet_2012(plan.width, plan.image_size, plan.classes)
    if name == "sgd":
        timings = bench.interleave({engine: clocked(module.sgd_turn(layers)) for engine, module in modules.items()})
        values = compared(timings, prefix="forward_")
        return [row_of(COLUMNS, layer=name, **values, tinynet_lead_ms=_lead(values))]
    layer = next(layer for layer in layers if layer.name == name)
    rng = np.random.default_rng(0)
    turns = {e: both_ways(*module.layer_turn(layer, plan.layer_batch, rng)) for e, module in modules.items()}
    timings, values = bench.interleave(turns), {}
    products = {"forward": 1, "backward": 1 if name == "conv1" else 2}
    for part, direction in enumerate(DIRECTIONS):
        values |= compared(timings, part, f"{direction}_")
        for engine in turns:
            flop = 2e-9 * layer.macs * plan.layer_batch * products[direction]
            if flop:
                values[f"{direction}_{engine}_gflops"] = flop / timings.median(engine, part)
    return [row_of(COLUMNS, layer=name, batch=plan.layer_batch, **values, tinynet_lead_ms=_lead(values))]


def total(columns, rows):
    """The sum of all layers: what a step would take if nothing lay between them."""
    sums = {}
    for direction in DIRECTIONS:
        for engine in ("tinynet", "pytorch"):
            known = [row[f"{direction}_{engine}_ms"] for row in rows]
            sums[f"{direction}_{engine}_ms"] = sum(ms for ms in known if ms is not None) if any(known) else None
        mine, theirs = sums[f"{direction}_tinynet_ms"], sums[f"{direction}_pytorch_ms"]
        sums[f"{direction}_speedup"] = theirs / mine if mine and theirs else None
    return [row_of(columns, layer="sum", batch=rows[0]["batch"], **sums, tinynet_lead_ms=_lead(sums))]


def _lead(values):
    """Milliseconds that tinynet saves over PyTorch in this row, both ways; negative if it is slower."""
    pairs = [(values.get(f"{d}_pytorch_ms"), values.get(f"{d}_tinynet_ms")) for d in DIRECTIONS]
    known = [theirs - mine for theirs, mine in pairs if theirs is not None and mine is not None]
    return sum(known) if known else None


LAYERS = Section(
    "layers",
    "Each layer of AlexNet 2012 alone, as the network runs it: tinynet tower by tower, PyTorch in groups. sgd: the\n"
    "optimiser's step for all weights, under forward. conv1 has no gradient of its input.",
    COLUMNS,
    cases=layer_names,
    measure=measure,
    whole=total,
)
