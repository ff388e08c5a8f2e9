"""Memory that is used again: never while somebody can still see it, never more of it than was once needed."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from oracles import normal

import tinynet as tn
from alexnet import AlexNet
from tinynet.kernels.cpu import memory

SHAPE = 512, 600  # of float32: 1.2 MB, which is worth keeping


@pytest.fixture(autouse=True)
def store(monkeypatch):
    """A store of the test's own."""
    own = memory._Store()
    monkeypatch.setattr(memory, "_store", own)
    return own


def new(shape=SHAPE, dtype=np.float32):
    return memory.empty(shape, dtype)


def address(array):
    return array.__array_interface__["data"][0]


def test_the_memory_of_an_array_that_nobody_holds_is_used_again_at_once(no_gc):
    a = new()
    place = address(a)
    del a
    assert address(new((600, 512))) == place
    b = new(dtype=np.int32)
    assert address(b) == place and b.dtype == np.int32 and b.shape == SHAPE and b.flags.writeable


VIEWS = {
    "itself": lambda a: a,
    "a row": lambda a: a[3],
    "a view of a view": lambda a: a[3:].T[2:],
    "reshaped": lambda a: a.reshape(-1),
    "other dtype": lambda a: a.view(np.uint8),
    "memoryview": memoryview,
    "broadcast": lambda a: np.broadcast_to(a[:1], SHAPE),
    "strided": lambda a: np.lib.stride_tricks.sliding_window_view(a, 3, axis=1),
    "from buffer": lambda a: np.frombuffer(a, np.float32),
    "subclass": lambda a: a.view(np.recarray),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_whoever_holds_a_view_keeps_the_memory(view):
    a = new()
    a[...] = 7
    place, held = address(a), view(a)
    del a
    others = [new() for _ in range(3)]
    for other in others:
        other[...] = 0
        assert address(other) != place
    assert np.array(held).any(), "still what was written there"
    del held, others
    gc.collect()
    assert place in {address(a) for a in [new(), new(), new(), new()]}, "and gives it back"


def test_small_arrays_are_numpys_own(store):
    a = new((10, 10))
    assert a.base is None and store.used_bytes == 0


def test_no_more_is_kept_than_was_once_in_use_at_a_time(store, no_gc):
    rng = np.random.default_rng(0)
    held, most = [], 0
    for _ in range(400):
        if held and rng.random() < 0.5:
            held.pop(rng.integers(len(held)))
        else:
            held.append(new((int(rng.integers(300, 320)), 1024)))
        used = sum(a.nbytes for a in held)
        most = max(most, used)
        idle = sum(m.nbytes for many in store.idle.values() for m in many)
        assert store.used_bytes == used and store.idle_bytes == idle and used + idle <= most
    held.clear()
    store.drop(all_of_it=True)
    assert not store.idle and store.idle_bytes == store.used_bytes == 0


def test_when_memory_is_short_what_is_kept_is_given_back_first(store, monkeypatch):
    del (kept := [new(), new((700, 700))])[:]
    real, calls = np.empty, []

    def full(size, dtype):
        calls.append(store.idle_bytes)
        if store.idle_bytes:
            raise MemoryError
        return real(size, dtype)

    monkeypatch.setattr(memory.np, "empty", full)
    a = memory.empty((512, 599), np.float32)
    assert a.shape == (512, 599) and calls[0] > 0 == calls[-1] and not kept


def test_memory_that_could_not_be_had_is_not_counted(store, no_gc):
    held, kept = new(), new((700, 700))
    del kept
    before = store.used_bytes, store.most_used
    with pytest.raises(MemoryError):
        memory.empty((1 << 60,), np.uint8)
    assert (store.used_bytes, store.most_used) == before and store.used_bytes == held.nbytes


def test_threads_never_get_the_same_memory():
    def work(number):
        for _ in range(200):
            a, b = new(), new()
            a[0], b[0] = number, -number
            assert (a[0] == number).all() and (b[0] == -number).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(1, 5)))


def test_training_is_the_same_with_and_without_and_what_the_user_holds_stays(monkeypatch):
    def train(worth):
        monkeypatch.setattr(memory, "WORTH", worth)
        model, held = AlexNet(5, 0.05, image_size=52, recipe="modern", seed=3), []
        optimizer = tn.optim.SGD(model.parameters(), 0.01)
        for step in range(4):
            logits = model(tn.tensor(normal(3, 3, 52, 52, seed=step, dtype=np.float32)))
            loss = tn.cross_entropy(logits, [0, 1, 2])
            optimizer.zero_grad()
            loss.backward()
            held.append([logits.numpy(), *(p.grad for p in model.parameters())])
            kept = [a.copy() for a in held[-1]]
            optimizer.step()
            yield kept
        for kept, arrays in zip(everything, held, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(kept, arrays, strict=True)), "overwritten while it was held"

    everything = []
    for kept in train(1):
        everything.append(kept)
    for again, kept in zip(train(np.inf), everything, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(again, kept, strict=True))
