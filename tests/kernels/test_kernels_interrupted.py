"""Ctrl-C in a notebook may come between any two lines: afterwards everything computes, and computes the same."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import random, signal, time
import numpy as np
import tinynet as tn
from alexnet import AlexNet
from tinynet.kernels.cpu import memory, parallel

parallel.threads = lambda: 2
parallel.HANDOVER, memory.WORTH = 1, 1000  # threads and kept memory even for a small network
model = AlexNet(5, 0.05, image_size=52, recipe="modern", dropout=0.0)
x = tn.tensor(np.random.default_rng(0).normal(size=(5, 3, 52, 52)).astype(np.float32))

def gradients():
    for p in model.parameters():
        p.grad = None
    tn.cross_entropy(model(x), [0, 1, 2, 3, 4]).backward()
    return [p.grad.copy() for p in model.parameters()]

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
expected, began = gradients(), time.perf_counter()
gradients()
step, rng, hits, end = time.perf_counter() - began, random.Random(0), 0, time.monotonic() + 3
while time.monotonic() < end:
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-5, 1.2 * step))
            gradients()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        hits += 1
    assert all(np.array_equal(a, b) for a, b in zip(gradients(), expected, strict=True))
print(hits)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer that interrupts")
def test_a_network_computes_the_same_after_interrupts_at_any_moment():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 10
