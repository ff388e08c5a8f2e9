"""What the sections of `gpu.py` share: the GPU, the engines on it, and how they are timed."""

import gc
import json
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import tinynet as tn
from benchmarks import nets, tiny_nets

PRECISIONS = ("FP32", "TF32")


@dataclass(frozen=True)
class Plan:
    """Sizes of a run. `one` and `two` name devices: one GPU, and two logical ones that hold a tower each."""

    minutes: float = 8.0  # for everything; training on images gets what the other sections leave
    width: float = 1.0
    image_size: int = 224
    classes: int = 1000
    batches: tuple = (32, 128, 256)
    batch: int = 128  # of what is measured at one batch only
    same_batch: int = 32
    same_steps: int = 5
    rounds: int = 3
    turn_seconds: float = 0.3
    gemm: int = 8192
    copy: int = 1 << 28  # bytes
    workspaces: tuple = (1 << 25, 1 << 27, 1 << 28, 1 << 30)  # bytes
    one: str = "cuda:0"
    two: tuple = ("cuda:0,cuda:0", "cuda:0,cuda:1")  # the second where there are two GPUs
    tests: str = "tests/test_gpu.py"
    train_on: str = "cuda:0"  # what alexnet.py is given as --device
    draw_on: str = "cuda:0,cuda:0"
    draw_sizes: tuple = ("--width", "1", "--image-size", "224", "--batch", "128")
    data_sizes: tuple = ("--width", "0.25")


class NotHere(Exception):
    """Something that a section needs is not on this machine; the message says what."""


class Lab:
    """The GPU and the engines. `torch` may be None, and then tinynet is alone."""

    def __init__(self, plan, cupy, torch, torch_device="cuda", trace_kinds=("kernel", "gpu_memcpy", "gpu_memset")):
        self.plan, self.cp, self.torch = plan, cupy, torch
        self.torch_device, self.trace_kinds = torch_device, trace_kinds
        self.began, self.roofs, self.gpus = time.monotonic(), {}, cupy.cuda.runtime.getDeviceCount()
        self.layers = nets.NETS["2012"](plan.width, plan.image_size, plan.classes)
        self.device = tn.devices(plan.one)[0]
        self.kernels = self.device.kernels
        self._allow_tf32(False)  # PyTorch's convolutions begin with True

    def left(self):
        """Seconds that are left of the run."""
        return 60 * self.plan.minutes - (time.monotonic() - self.began)

    def wait(self):
        """Until everything on the GPU is done, whoever asked for it."""
        for gpu in range(self.gpus):
            self.cp.cuda.Device(gpu).synchronize()

    def pairs(self):
        """The names of two logical devices that this machine has."""
        return [name for name in self.plan.two if self.gpus > 1 or len(set(name.split(","))) == 1]

    @contextmanager
    def precision(self, name):
        """Both engines multiply in FP32 or in TF32."""
        self._allow_tf32(name == "TF32")
        try:
            yield
        finally:
            self._allow_tf32(False)

    def _allow_tf32(self, on):
        self.kernels.tf32(on)
        if self.torch is not None:
            self.torch.backends.cuda.matmul.allow_tf32 = on
            self.torch.backends.cudnn.allow_tf32 = on

    def turns(self, works, seconds=None):
        """name -> (milliseconds of a repetition, those of the host): medians over rounds in which all take turns.

        The host's are what it takes to ask for the work: as long as they are fewer, the GPU always has work.
        """
        seconds, repeats = self.plan.turn_seconds if seconds is None else seconds, {}
        found = {name: [] for name in works}
        for name, work in works.items():
            self.clocked(work, 2)  # compiles kernels, chooses algorithms, fills memory pools
            repeats[name] = max(2, int(1000 * seconds / max(self.clocked(work, 1)[0], 1e-3)))
        for _ in range(self.plan.rounds):
            for name, work in works.items():
                # One repetition tells the host's time: after some 1000 launches CUDA makes the host wait for the GPU.
                found[name].append((self.clocked(work, repeats[name])[0], self.clocked(work, 1)[1]))
        return {name: np.median(rows, axis=0).tolist() for name, rows in found.items()}

    def clocked(self, work, repeats):
        """(milliseconds of a repetition, those of the host) of one turn."""
        self.wait()
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        asked = time.perf_counter()
        self.wait()
        return 1000 * (time.perf_counter() - start) / repeats, 1000 * (asked - start) / repeats

    def product(self, name):
        """TFLOP/s of a large matrix product in a precision."""
        if name not in self.roofs:
            n = self.plan.gemm
            a, b, out = (self.random(n, n) for _ in range(3))
            with self.precision(name):
                ms = self.turns({name: lambda: self.cp.dot(a, b, out=out)})[name][0]
            self.roofs[name] = 2e-9 * n**3 / ms
        return self.roofs[name]

    def random(self, *shape):
        """An array on the GPU: random, because a GPU is faster, being cooler, when all numbers are the same."""
        return self.cp.asarray(np.random.default_rng(0).standard_normal(shape, np.float32))

    def trainer(self, engine):
        """A new network with its optimiser: "PyTorch", or tinynet on the devices that `engine` names."""
        sizes = "2012", self.plan.width, self.plan.image_size, self.plan.classes
        if engine != "PyTorch":
            return tiny_nets.Trainer(*sizes, engine)
        from benchmarks import torch_nets

        return torch_nets.Trainer(*sizes, self.torch_device)

    def engines(self, pairs=True):
        """Who is compared: tinynet on one device and on each pair, and PyTorch if it is there."""
        return [self.plan.one, *(self.pairs() if pairs else []), *(["PyTorch"] if self.torch is not None else [])]

    def traced(self, work, repeats):
        """What the GPU did during some repetitions: a list of dicts with name, ts and dur (microseconds).

        PyTorch's profiler sees the kernels of the whole process, CuPy's too.
        """
        if self.torch is None:
            raise NotHere("there is no PyTorch, whose profiler would have recorded the kernels")
        from torch.profiler import ProfilerActivity, profile

        activity = ProfilerActivity.CUDA if self.torch_device == "cuda" else ProfilerActivity.CPU
        work()
        self.wait()
        with profile(activities=[activity]) as recorder:
            for _ in range(repeats):
                work()
            self.wait()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "trace.json")
            recorder.export_chrome_trace(str(path))
            events = json.loads(path.read_text())["traceEvents"]
        return [event for event in events if event.get("cat") in self.trace_kinds]

    def reserved(self, engine):
        """Bytes of GPU memory that an engine has taken for its arrays, used or not, at most; None if nobody knows."""
        if engine != "PyTorch":
            return sum(pool.total_bytes() for pool in self._pools())
        return self.torch.cuda.max_memory_reserved() if self.torch_device == "cuda" else None

    def _pools(self):
        """CuPy's memory pool on each GPU, which is current meanwhile."""
        for gpu in range(self.gpus):
            with self.cp.cuda.Device(gpu):
                yield self.cp.get_default_memory_pool()

    def free(self):
        """Give the memory that nobody uses back to the GPU."""
        gc.collect()
        for device in {device for names in (self.plan.one, *self.pairs()) for device in tn.devices(names)}:
            device.synchronize()  # lets go of what it kept for copies
        for pool in self._pools():
            pool.free_all_blocks()
        if self.torch is not None and self.torch_device == "cuda":
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats()
