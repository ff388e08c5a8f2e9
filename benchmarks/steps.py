"""Sections `step` and `inference`: whole networks, tinynet beside PyTorch beside the machine's matrix product."""

import numpy as np

from benchmarks import nets
from benchmarks.bench import Section, compared, same, versus
from benchmarks.report import Column, row_of
from benchmarks.timing import clocked, gemm_turn

COLUMNS = [
    Column("net", "network", "text"),
    Column("batch", "batch", "d"),
    Column("width"),
    Column("threads"),
    *versus(),
    Column("tinynet_images_s", "tinynet images/s", ".1f"),
    Column("pytorch_images_s", "PyTorch images/s", ".1f"),
    Column("tinynet_gflops", "tinynet GFLOP/s", ".1f"),
    Column("gemm_gflops", "sgemm GFLOP/s", ".1f"),
    Column("tinynet_roof_percent", "% of sgemm", ".0f"),
    Column("pytorch_roof_percent", "PyTorch %", ".0f"),
    Column("gflop_image"),
    Column("loss_difference"),
]


def pictures(batch, image_size, classes):
    """Random pictures, as large as pixels less their mean are, and labels; the same every time."""
    rng = np.random.default_rng(batch)
    x = rng.standard_normal((batch, 3, image_size, image_size), np.float32) * np.float32(58)
    return x, rng.integers(0, classes, batch)


def trainers(bench, net, width):
    """name -> Trainer with the same weights in every engine, and how far their losses are apart.

    Two steps without dropout on two pictures: the first loss compares the forward passes, the second, after an update,
    compares backward and the optimisers too.
    """

    def build():
        plan, modules = bench.plan, bench.networks()
        everybody = {}
        for name, module in modules.items():
            bench.say(f"building {name}'s network")
            everybody[name] = module.Trainer(net, width, plan.image_size, plan.classes)
        for name, trainer in everybody.items():
            if name != "tinynet":
                trainer.load(everybody["tinynet"].weights())
            trainer.dropout(0.0)
        batch = pictures(2, plan.image_size, plan.classes)
        difference = None
        for number in ("first", "second"):
            losses = {name: trainer.step(*trainer.data(*batch)) for name, trainer in everybody.items()}
            found = same(f"{nets.TITLES[net]}, {number} step", losses)
            difference = found if difference is None else max(difference, found)
        for trainer in everybody.values():
            trainer.dropout(0.5)
        return everybody, difference

    return bench.keep((net, width), build)


def whole_net(bench, net, batch, width, training=True):
    """The row of one network at one batch, a step or an answer; `gflop_image` are the products' operations."""
    plan = bench.plan
    everybody, difference = trainers(bench, net, width)
    data = pictures(batch, plan.image_size, plan.classes)
    turns = {}
    for name, trainer in everybody.items():
        x, labels = trainer.data(*data)
        turns[name] = clocked(trainer.step, x, labels) if training else clocked(trainer.infer, x)
    turns["sgemm"], gemm_flop = gemm_turn(plan.gemm)
    timings = bench.interleave(turns)
    layers = nets.NETS[net](width, plan.image_size, plan.classes)
    flop = batch * (nets.step_flop(layers) if training else 2 * nets.forward_macs(layers))

    def rate(name, amount, scale=1.0):
        return amount * scale / timings.median(name) if name in timings.seconds else None

    def share(name):
        ratio = timings.ratio("sgemm", name)
        return None if ratio is None else 100 * ratio * flop / gemm_flop

    return row_of(
        COLUMNS,
        net=nets.TITLES[net],
        batch=batch,
        width=width,
        threads=bench.threads,
        **compared(timings),
        tinynet_images_s=rate("tinynet", batch),
        pytorch_images_s=rate("pytorch", batch),
        tinynet_gflops=rate("tinynet", flop, 1e-9),
        gemm_gflops=rate("sgemm", gemm_flop, 1e-9),
        tinynet_roof_percent=share("tinynet"),
        pytorch_roof_percent=share("pytorch"),
        gflop_image=flop / batch / 1e9,
        loss_difference=difference,
    )


STEP = Section(
    "step",
    "One training step: forward, backward, SGD with momentum 0.9 and weight decay, dropout 0.5, float32.\n"
    "% of sgemm: of the rate of a large matrix product by NumPy's BLAS, counting the step's products only.",
    COLUMNS,
    cases=lambda plan: [("2012", n) for n in plan.step_batches] + [("2014", n) for n in plan.plain_batches],
    measure=lambda bench, case: [whole_net(bench, *case, bench.plan.width)],
)

INFERENCE = Section(
    "inference",
    "Answers: forward in test mode, nothing recorded (tinynet's no_grad, PyTorch's inference_mode).",
    COLUMNS,
    cases=lambda plan: [(net, n) for net in reversed(nets.NETS) for n in plan.inference_batches],  # `step` kept the 2014 net
    measure=lambda bench, case: [whole_net(bench, *case, bench.plan.width, training=False)],
)
