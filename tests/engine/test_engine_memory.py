"""Memory is exact: what nobody needs any more is gone at once, without the garbage collector."""

import importlib
import threading
import tracemalloc
import weakref

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from tinynet.kernels.cpu import memory, parallel
from tinynet.tape import Entry, entries

MiB = 1 << 20


@pytest.fixture
def traced(monkeypatch):
    """A function: (MiB now, MiB at the peak since the last call), beyond what was there at the start.

    Nothing is kept for later, so that what is there is what somebody holds; and one thread computes, because each keeps some
    scratch memory, and how many there are by now depends on the tests that ran before.
    """
    monkeypatch.setattr(memory, "WORTH", np.inf)
    monkeypatch.setattr(parallel, "threads", lambda: 1)
    tracemalloc.start()
    base = tracemalloc.get_traced_memory()[0]

    def look():
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return (now - base) / MiB, (peak - base) / MiB

    yield look
    tracemalloc.stop()


def network(x, w, v):
    h = tn.local_response_norm(tn.max_pool2d(tn.relu(tn.conv2d(x, w, padding=1)), 3, 2), alpha=0.5)
    h = tn.dropout(h.flatten(1), rng=np.random.default_rng(0))
    h = tn.concat([tn.linear(h, v), tn.linear(h, v).to("cpu:1").to("cpu:0")], axis=1)
    return tn.cross_entropy(h - h.mean(axis=1, keepdims=True), [0, 1])


def alive():
    """How many entries exist. Counted by weak references, which Entry itself does not offer, so by a subclass."""
    return sum(reference() is not None for reference in _made)


_made = []


@pytest.fixture
def counted(monkeypatch):
    class Counted(Entry):
        __slots__ = ("__weakref__",)

        def __init__(self, *args):
            super().__init__(*args)
            _made.append(weakref.ref(self))

    _made.clear()
    monkeypatch.setattr(importlib.import_module("tinynet.tape"), "Entry", Counted)  # tn.tape is the function
    yield
    _made.clear()


@pytest.mark.parametrize("play", [True, False], ids=["with backward", "forward only"])
def test_a_dropped_step_leaves_nothing_behind(no_gc, counted, play):
    x, w, v = leaf(normal(2, 3, 9, 9)), leaf(normal(4, 3, 3, 3)), leaf(normal(3, 64))
    leaves = alive()
    for _ in range(20):
        loss = network(x, w, v)
        if play:
            loss.backward()
    assert alive() > leaves + 10
    del loss
    assert alive() == leaves == 3


def test_arrays_die_with_the_loss(no_gc):
    x = leaf(normal(3, 3))
    y = tn.exp(x)
    array = weakref.ref(y.data)
    loss = y.sum()
    del y
    assert array() is not None, "exp needs its output for backward"
    del loss
    assert array() is None


def test_a_failed_backward_leaves_nothing_behind(no_gc, counted):
    x = leaf(normal(3))
    y = x * 2
    with pytest.raises(ValueError, match="gradient has shape"):
        y.backward(np.ones(4))
    loss = y.sum()
    loss.backward()
    with pytest.raises(RuntimeError):
        loss.backward()
    del y, loss
    assert alive() == 1


def test_saved_arrays_die_one_by_one_during_backward(no_gc):
    x = leaf(normal(4))
    tensors = [x]
    for _ in range(5):
        tensors.append(tn.tanh(tensors[-1]))
    saved = [weakref.ref(t.data) for t in tensors[1:]]
    loss = tensors[-1].sum()
    del tensors
    seen = []
    for i, e in enumerate(entries(loss.entry)):
        if e.op == "tanh":
            rule = e.backward
            e.backward = lambda g, rule=rule, i=i: (seen.append([r() is not None for r in saved]), rule(g))[1]
            del rule
    del e
    loss.backward()
    # When the i-th tanh is played, all later ones have been freed and all earlier ones are still there.
    assert seen == [[j <= i for j in range(5)] for i in reversed(range(5))]
    assert not any(r() for r in saved)


def test_inference_keeps_only_the_current_activation(traced):
    x = leaf(np.ones(MiB, np.float32))  # 4 MiB
    with tn.no_grad():
        tn.relu(x)  # what the kernels keep for ever, they keep now
        start = traced()[0]
        y = x
        for _ in range(10):
            y = tn.relu(y)
    now, peak = traced()
    assert now - start < 4.1 and peak - start < 8.6, "the output, and for a moment the one before it"


def test_ten_relus_keep_ten_outputs_and_backward_frees_each(traced):
    x = leaf(np.ones(MiB, np.float32))
    tn.relu(x).sum().backward()  # what the kernels keep for ever, they keep now
    x.grad = None
    start = traced()[0]
    y = x
    for _ in range(10):
        y = tn.relu(y)
    assert 40 <= traced()[0] - start < 40.5, "each relu keeps its output and nothing else"
    loss = y.sum()
    del y
    loss.backward()
    now, peak = traced()
    # At the first step 40 saved, a gradient coming and one going; from then on each step frees what it makes.
    assert peak - start < 48.5, "each saved array is freed as soon as it was used"
    assert now - start < 4.5, "the leaf's gradient"


def test_backward_of_skip_connections_holds_no_gradient_longer_than_needed(traced):
    x = leaf(np.ones(MiB, np.float32))
    y = x
    for _ in range(3):
        y = y + tn.relu(y)
    loss = y.sum()
    del y
    start = traced()[0]
    loss.backward()
    # Beside the three kept outputs: the gradient on its way, that of the relu, and their sum.
    assert traced()[1] - start < 8.5


def test_adds_keep_nothing(traced):
    x = leaf(np.ones(MiB, np.float32))
    start = traced()[0]
    y = x
    for _ in range(10):
        y = y + 1.0
    assert traced()[0] - start < 4.5, "the output only"


@pytest.mark.parametrize("op", [lambda a, b: a * b, lambda a, b: a @ b, tn.linear], ids=["mul", "matmul", "linear"])
def test_an_operand_is_kept_only_if_the_other_one_needs_it(op):
    a, b = normal(3, 3, dtype=np.float32), normal(3, 3, seed=1, dtype=np.float32)
    x, constant = leaf(a), tn.tensor(b)
    assert tn.tape(op(x, constant)).kept() == [0, 36]  # the constant; x itself is held by its leaf
    x_data = weakref.ref(x.data)
    y = op(x * 1.0, tn.tensor(b))
    x.data = np.zeros((3, 3), np.float32)
    assert x_data() is None, "nobody needs the input's values"
    y.sum().backward()


def test_conv2d_keeps_no_columns(traced):
    x, w = leaf(np.ones((4, 8, 64, 64), np.float32)), leaf(np.ones((8, 8, 5, 5), np.float32))
    tn.conv2d(x, w, padding=2)  # the first call starts the threads
    start = traced()[0]
    y = tn.conv2d(x, w, padding=2)
    assert traced()[0] - start < y.data.nbytes / MiB + 0.2  # the columns of the batch would be 25 times x


def test_no_grad_in_one_thread_does_not_reach_another():
    x = leaf([1.0])
    inside, seen, go = threading.Event(), [], threading.Event()

    @tn.no_grad()
    def evaluate():
        inside.set()
        go.wait(10)
        return (x * 2).requires_grad

    def other():
        inside.wait(10)
        seen.append((x * 2).requires_grad)
        go.set()

    threads = [threading.Thread(target=lambda: seen.append(evaluate())), threading.Thread(target=other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(10)
    assert seen == [True, False] and (x * 2).requires_grad


def test_a_function_decorated_with_no_grad_can_run_in_two_threads_at_once():
    errors, gate = [], threading.Barrier(2, timeout=10)

    @tn.no_grad()
    def evaluate(wait):
        gate.wait()
        if wait:
            gate.wait()

    def run(wait):
        try:
            evaluate(wait)
            if not wait:
                gate.wait()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(wait,)) for wait in (True, False)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(10)
    assert not errors
