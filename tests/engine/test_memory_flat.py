"""Training keeps nothing: memory is flat over many steps."""

import tracemalloc

import numpy as np
import pytest

import alexnet
import tinynet as tn
from tinynet.kernels.cpu import memory


@pytest.mark.parametrize("worth", [memory.WORTH, 1])
@pytest.mark.parametrize("steps", [50, pytest.param(200, marks=pytest.mark.slow)])
def test_memory_stays_flat_over_many_training_steps(no_gc, monkeypatch, worth, steps):
    """Also if the memory of every result is used again, however small it is."""
    monkeypatch.setattr(memory, "WORTH", worth)
    model = alexnet.AlexNet(classes=5, width=0.05, image_size=52, recipe="modern")
    optimizer = alexnet.RECIPES["modern"].optimizer(model)
    x = np.random.default_rng(0).normal(size=(2, 3, 52, 52)).astype(np.float32)

    def train(n):
        for _ in range(n):
            loss = tn.cross_entropy(model(tn.tensor(x)), [0, 1])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = train(20)
        after = train(steps)
    finally:
        tracemalloc.stop()
    # A step's arrays are 156 kB; Python itself keeps a few thousand small tuples for later use.
    assert after - before < 1_000_000, "a step keeps something alive"
