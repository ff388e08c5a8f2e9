"""What is measured, and how often: every size of every section, for a full run, a quick one and the tests."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Sizes of one run. The defaults are the full run; `--quick` and the tests replace some of them."""

    rounds: int = 5
    turn_seconds: float = 0.3  # a short piece of work is repeated until its turn lasts about so long
    pause_seconds: float = 0.2  # after whoever leaves spinning threads behind; a tenth of it after the others
    gemm: int = 4096  # side of the matrices whose product is the roof

    width: float = 1.0
    image_size: int = 224
    classes: int = 1000
    step_batches: tuple = (1, 32, 128)
    inference_batches: tuple = (1, 32)
    plain_batches: tuple = (32,)  # the step of the 2014 net
    layer_batch: int = 32
    engine_operations: int = 2000
    memory_width: float = 1.0
    memory_batches: tuple = (32, 128)
    growth_steps: int = 200  # 0: no such row
    growth_width: float = 0.25
    growth_image_size: int = 64
    scaling_width: float = 1.0  # of the runs that vary threads or batch
    scaling_batch: int = 32
    scaling_batches: tuple = (1, 4, 16, 64, 256)
    scaling_widths: tuple = (0.25, 0.5, 1.0)
    scaling_threads: int = 64  # at most; and not more than the machine has
    peers_batch: int = 16


FULL = Plan()

QUICK = Plan(
    rounds=2,
    turn_seconds=0.05,
    pause_seconds=0.15,
    gemm=2048,
    step_batches=(1, 8),
    inference_batches=(1,),
    plain_batches=(8,),
    layer_batch=8,
    engine_operations=1000,
    memory_width=0.5,
    memory_batches=(8,),
    growth_steps=0,
    scaling_width=0.25,
    scaling_batch=8,
    scaling_batches=(1,),
    scaling_widths=(0.25, 0.5),
)

TINY = Plan(
    rounds=2,
    turn_seconds=0.0,
    pause_seconds=0.0,
    gemm=64,
    width=0.05,
    image_size=64,
    classes=10,
    step_batches=(2,),
    inference_batches=(1,),
    plain_batches=(2,),
    layer_batch=2,
    engine_operations=20,
    memory_width=0.05,
    memory_batches=(2,),
    growth_steps=2,
    growth_width=0.05,
    scaling_width=0.05,
    scaling_batch=2,
    scaling_batches=(1,),
    scaling_widths=(0.05,),
    scaling_threads=1,
    peers_batch=2,
)
