"""The sections of `gpu.py` that measure in this process: each is a generator of rows, with the columns before it."""

import math
import re
from collections import defaultdict
from functools import partial
from itertools import product

import numpy as np

import tinynet as tn
from benchmarks import nets, tiny_nets
from benchmarks.gpu_lab import PRECISIONS
from benchmarks.report import Column, row_of
from benchmarks.steps import pictures

LIMITS = [
    Column("what", "limit", "text"),
    Column("size", "size", "text"),
    Column("rate", "rate", ",.1f"),
    Column("unit", "unit", "text"),
]


def limits(lab):
    """What the GPU can do: matrix products, and copies within its memory (bytes read and bytes written)."""
    cp = lab.cp
    for name in PRECISIONS:
        yield row_of(LIMITS, what=f"product {name}", size=f"{lab.plan.gemm}^3", rate=lab.product(name), unit="TFLOP/s")
    source, target = (lab.random(lab.plan.copy // 4) for _ in range(2))
    ms = lab.turns({"copy": lambda: cp.copyto(target, source)})["copy"][0]
    yield row_of(LIMITS, what="copy", size=f"{lab.plan.copy >> 20} MiB", rate=2e-6 * lab.plan.copy / ms, unit="GB/s")


SAME = [
    Column("device", "devices", "text"),
    Column("steps", "steps", "d"),
    Column("first", "first loss", ".6f"),
    Column("last", "last loss", ".6f"),
    Column("difference", "relative difference", ".1e"),
    Column("losses"),
]


def same(lab):
    """The same training steps on the CPU and on every device, dropout included: how far their losses are apart."""
    plan, expected, wrong = lab.plan, None, []
    data = pictures(plan.same_batch, plan.image_size, plan.classes)
    for name in ("cpu", *(engine for engine in lab.engines() if engine != "PyTorch")):
        trainer = lab.trainer(name)
        x, labels = trainer.data(*data)
        losses = np.array([trainer.step(x, labels) for _ in range(plan.same_steps)])
        expected = losses if expected is None else expected
        difference = float(np.abs(losses / expected - 1).max())
        if not difference <= 1e-4:
            wrong.append(name)
        values = dict(first=float(losses[0]), last=float(losses[-1]), difference=difference, losses=losses.tolist())
        yield row_of(SAME, device=name, steps=plan.same_steps, **values)
    if wrong:
        raise ArithmeticError(f"losses on {', '.join(wrong)} differ from the CPU's by more than 1e-4")


STEPS = [
    Column("precision", "precision", "text"),
    Column("batch", "batch", "d"),
    Column("engine", "engine", "text"),
    Column("ms", "ms a step", ".2f"),
    Column("host_ms", "host ms", ".2f"),
    Column("images_s", "images/s", ",.0f"),
    Column("gflops", "GFLOP/s", ",.0f"),
    Column("roof_percent", "% of product", ".0f"),
    Column("speed", "times PyTorch", ".2f"),
    Column("loss_difference", "loss difference", ".1e"),
]


def steps(lab):
    """One training step: forward, backward, SGD with momentum 0.9 and weight decay, dropout 0.5."""
    plan = lab.plan
    everybody = {engine: lab.trainer(engine) for engine in lab.engines()}
    weights = everybody[plan.one].weights()
    if "PyTorch" in everybody:
        everybody["PyTorch"].load(weights)
    apart, few = {}, pictures(2, plan.image_size, plan.classes)
    for engine, trainer in everybody.items():  # the second of two losses tells whether the first step was the same
        trainer.dropout(0.0)
        x, labels = trainer.data(*few)
        losses = [trainer.step(x, labels) for _ in range(2)]
        expected = apart.setdefault("expected", losses)
        apart[engine] = max(abs(a / b - 1) for a, b in zip(losses, expected, strict=True))
        trainer.dropout(0.5)
    for name in PRECISIONS:
        roof = lab.product(name)
        with lab.precision(name):
            for batch in plan.batches:
                data = pictures(batch, plan.image_size, plan.classes)
                given = {engine: trainer.data(*data) for engine, trainer in everybody.items()}
                times = lab.turns({e: (lambda t=t, d=given[e]: t.advance(*d)) for e, t in everybody.items()})
                for engine, (ms, host_ms) in times.items():
                    gflops = batch * nets.step_flop(lab.layers) / ms / 1e6
                    values = dict(images_s=1000 * batch / ms, gflops=gflops, roof_percent=gflops / roof / 10)
                    values["speed"] = times["PyTorch"][0] / ms if "PyTorch" in times else None
                    values["loss_difference"] = apart[engine]
                    yield row_of(STEPS, precision=name, batch=batch, engine=engine, ms=ms, host_ms=host_ms, **values)
                del given
                lab.free()


PROFILE = [
    Column("precision", "precision", "text"),
    Column("engine", "engine", "text"),
    Column("kernel", "kernel", "text"),
    Column("launches", "launches a step", ".1f"),
    Column("ms", "ms a step", ".3f"),
    Column("percent", "% of all", ".0f"),
    Column("busy_ms", "busy ms", ".3f"),
]


def profile(lab):
    """What the GPU does in a step, by kernel: all of it, then the twelve that take longest. Busy: at least one runs."""
    plan, repeats = lab.plan, 3
    data = pictures(plan.batch, plan.image_size, plan.classes)
    for engine, name in product(lab.engines(), PRECISIONS):
        trainer = lab.trainer(engine)
        step = partial(trainer.advance, *trainer.data(*data))
        with lab.precision(name):
            events = lab.traced(step, repeats)
        del trainer, step
        lab.free()
        who, total = dict(precision=name, engine=engine), sum(event["dur"] for event in events)
        busy = covered((event["ts"], event["ts"] + event["dur"]) for event in events)
        rest = dict(launches=len(events) / repeats, ms=total / repeats / 1e3, busy_ms=busy / repeats / 1e3)
        yield row_of(PROFILE, **who, kernel="all", percent=100.0, **rest)
        kernels = defaultdict(list)
        for event in events:
            kernels[short(event["name"])].append(event["dur"])
        for kernel, durations in sorted(kernels.items(), key=lambda item: -sum(item[1]))[:12]:
            share = dict(ms=sum(durations) / repeats / 1e3, percent=100 * sum(durations) / total)
            yield row_of(PROFILE, **who, kernel=kernel, launches=len(durations) / repeats, **share)


def covered(intervals):
    """The length of the union of intervals."""
    total, reached = 0.0, -np.inf
    for start, stop in sorted(intervals):
        total += max(0.0, stop - max(start, reached))
        reached = max(reached, stop)
    return total


def short(name):
    """A kernel's name without its types and arguments."""
    return re.sub(r"^void\s+|[<(].*", "", name)[-60:] or name[:60]


LAYERS = [
    Column("precision", "precision", "text"),
    Column("layer", "layer", "text"),
    Column("tinynet_forward_ms", "forward ms", ".3f"),
    Column("pytorch_forward_ms", "PyTorch", ".3f"),
    Column("tinynet_backward_ms", "backward ms", ".3f"),
    Column("pytorch_backward_ms", "PyTorch", ".3f"),
    Column("lead_ms", "tinynet saves, ms", "+.3f"),
]


def layers(lab):
    """Each layer alone at one batch, both towers; backward is the time of both directions less that of forward.

    In TF32 only the layers that multiply matrices, since it changes no others.
    """
    engines = {"tinynet": (tiny_nets, lab.device)}
    if lab.torch is not None:
        from benchmarks import torch_nets

        engines["pytorch"] = torch_nets, lab.torch_device
    for name in PRECISIONS:
        with lab.precision(name):
            for layer in lab.layers:
                if layer.kind in ("pad", "flatten") or (name == "TF32" and not layer.macs):
                    continue
                works, rng = {}, np.random.default_rng(0)
                for engine, (module, device) in engines.items():
                    forward, backward = module.layer_turn(layer, lab.plan.batch, rng, device)
                    works[engine, "forward"] = forward
                    works[engine, "both"] = lambda forward=forward, backward=backward: backward(forward())
                ms = {key: value[0] for key, value in lab.turns(works, lab.plan.turn_seconds / 6).items()}
                yield row_of(LAYERS, precision=name, layer=layer.name, **_columns(ms, engines))
                del works
                lab.free()
    updates = {e: module.sgd_turn(lab.layers, device) for e, (module, device) in engines.items()}
    ms = {(e, "both"): value[0] for e, value in lab.turns(updates).items()} | {(e, "forward"): 0.0 for e in updates}
    yield row_of(LAYERS, precision="FP32", layer="sgd", **_columns(ms, engines))


def _columns(ms, engines):
    values = {f"{e}_forward_ms": ms[e, "forward"] for e in engines}
    values |= {f"{e}_backward_ms": ms[e, "both"] - ms[e, "forward"] for e in engines}
    return values | {"lead_ms": ms["pytorch", "both"] - ms["tinynet", "both"] if "pytorch" in engines else None}


PRODUCTS = [
    Column("precision", "precision", "text"),
    Column("layer", "layer", "text"),
    Column("shape", "rows x inner x columns", "text"),
    Column("forward", "forward TFLOP/s", ".1f"),
    Column("weight", "weight gradient", ".1f"),
    Column("input", "input gradient", ".1f"),
]


def products(lab):
    """The matrix products of convolutions alone, as many images at once as the workspace holds.

    Those of one tower; those of both at once, where both see the same columns; and with rows of numbers that start at
    multiples of 16 bytes, as tensor cores like them, where they do not.
    """
    for title, rows, inner, area in _shapes(lab.layers):
        images = min(lab.plan.batch, max(1, lab.kernels.WORKSPACE // (4 * (inner + rows) * area)))
        columns = (images - images % 4 or images) * area
        weight, pixels, maps = lab.random(rows, inner), lab.random(inner, columns), lab.random(rows, columns)
        # The results are read by nobody, so that numbers do not grow from one repetition to the next.
        works = {
            "forward": partial(lab.cp.dot, weight, pixels, out=lab.cp.empty_like(maps)),
            "weight": partial(lab.cp.dot, maps, pixels.T, out=lab.cp.empty_like(weight)),
            "input": partial(lab.cp.dot, weight.T, maps, out=lab.cp.empty_like(pixels)),
        }
        for name in PRECISIONS:
            with lab.precision(name):
                times = lab.turns(works, lab.plan.turn_seconds / 6)
            rates = {key: 2e-9 * rows * inner * columns / ms for key, (ms, _) in times.items()}
            shape = f"{rows} x {inner} x {columns}"
            yield row_of(PRODUCTS, precision=name, layer=title, shape=shape, **rates)
        del weight, pixels, maps, works
        lab.free()


def _shapes(layers):
    """(title, maps, numbers in a column, columns of an image) of the products that are worth measuring."""
    for layer in (layer for layer in layers if layer.kind == "conv"):
        (rows, *kernel), area = layer.tower().weight_shape, math.prod(layer.y_shape[1:])
        inner = math.prod(kernel)
        yield layer.name, rows, inner, area
        if layer.groups == 1:
            yield f"{layer.name}, both towers", layer.y_shape[0], inner, area
        if inner % 4:
            yield f"{layer.name}, longer rows", rows, inner + -inner % 4, area


FEED = [
    Column("precision", "precision", "text"),
    Column("images", "images come", "text"),
    Column("ms", "ms a step", ".2f"),
    Column("host_ms", "host ms", ".2f"),
]


def feed(lab):
    """One training step on one device, whose images are there already, or come from the host as those of a run do."""
    plan = lab.plan
    trainer = lab.trainer(plan.one)
    images, labels = pictures(plan.batch, plan.image_size, plan.classes)
    there, _ = trainer.data(images, labels)
    staged = lab.device.stage(images)
    ways = {
        "are on the GPU": lambda: there,
        "come ahead, staged by another thread": lambda: tn.Tensor(lab.device.array_ahead(staged), lab.device),
        "come ahead": lambda: tn.Tensor(lab.device.array_ahead(images), lab.device),
        "come with the step": lambda: tn.tensor(images, device=lab.device),
    }
    for name in PRECISIONS:
        with lab.precision(name):
            times = lab.turns({way: lambda x=x: trainer.advance(x(), labels) for way, x in ways.items()})
        for way, (ms, host_ms) in times.items():
            yield row_of(FEED, precision=name, images=way, ms=ms, host_ms=host_ms)


WORKSPACE = [
    Column("precision", "precision", "text"),
    Column("mib", "workspace MiB", ",.0f"),
    Column("ms", "ms a step", ".2f"),
    Column("host_ms", "host ms", ".2f"),
    Column("mb", "peak MB", ",.0f"),
]


def workspace(lab):
    """One training step on one device, with less room and more for the columns of convolutions: what --workspace buys."""
    plan = lab.plan
    trainer = lab.trainer(plan.one)
    data = trainer.data(*pictures(plan.batch, plan.image_size, plan.classes))

    def step(size):
        lab.kernels.use_workspace(size)
        trainer.advance(*data)

    try:
        for name in PRECISIONS:
            reserved = {}
            with lab.precision(name):
                for size in plan.workspaces:
                    lab.free()
                    step(size)
                    lab.wait()
                    reserved[size] = lab.reserved(plan.one)
                times = lab.turns({size: partial(step, size) for size in plan.workspaces})
            for size, (ms, host_ms) in times.items():
                room = dict(mib=size / 2**20, mb=reserved[size] / 1e6)
                yield row_of(WORKSPACE, precision=name, ms=ms, host_ms=host_ms, **room)
    finally:
        lab.kernels.use_workspace(None)


MEMORY = [
    Column("batch", "batch", "d"),
    Column("engine", "engine", "text"),
    Column("mb", "peak MB", ",.0f"),
    Column("later_mb", "after more steps", ",.0f"),
]


def memory(lab):
    """GPU memory that each engine reserves for a training step, alone; again after twenty more steps."""
    for batch in lab.plan.batches:
        data = pictures(batch, lab.plan.image_size, lab.plan.classes)
        for engine in lab.engines():
            lab.free()
            trainer = lab.trainer(engine)
            given, found = trainer.data(*data), []
            for count in (3, 20):
                for _ in range(count):
                    trainer.advance(*given)
                    lab.wait()  # as in training, where the host is not many steps ahead: what is in flight is memory too
                reserved = lab.reserved(engine)
                found.append(None if reserved is None else reserved / 1e6)
            yield row_of(MEMORY, batch=batch, engine=engine, mb=found[0], later_mb=found[1])
            del trainer, given
