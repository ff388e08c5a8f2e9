"""The streams of the CUDA device without a GPU: what it asks CuPy to do, in which of them, and in which order."""

import gc
import threading
import weakref

import numpy as np
import pytest
from fake_cupy import Pointer

import tinynet as tn

ONES = np.ones((2, 3), np.float32)


@pytest.fixture
def pair(machine):
    """(cupy, two devices), which have tried out their copies; nothing is noted yet."""
    cupy = machine()
    a, b = tn.devices("cuda:0,cuda:1")
    a.synchronize()
    b.synchronize()
    cupy.calls.clear()
    return cupy, a, b


def events(cupy):
    """The log with events numbered from 0."""
    numbers = {}
    for line in cupy.calls:
        if line[0] in ("record", "wait", "synchronize"):
            numbers.setdefault(line[-1], len(numbers))
    return [(*line[:-1], numbers[line[-1]]) if line[0] in ("record", "wait", "synchronize") else line for line in cupy.calls]


def test_a_copy_waits_for_its_source_and_runs_on_the_receivers_stream(pair):
    cupy, a, b = pair
    with a:
        source = cupy.ones((2, 3))
    cupy.calls.clear()
    landed = b.fetch(source, a)
    assert events(cupy) == [
        ("record", "stream 0", 0),
        ("wait", "stream 1", 0),
        ("allocate", "stream 1"),
        ("copy", "stream 1"),
        ("record", "stream 1", 1),
    ]
    assert np.array_equal(landed, ONES)


def test_the_source_of_a_copy_lives_until_the_event_after_the_copy_is_done(pair):
    cupy, a, b = pair
    with a:
        source = cupy.ones((2, 3))
    freed = []
    weakref.finalize(source, freed.append, True)
    b.fetch(source, a)
    del source
    gc.collect()
    assert not freed
    b._in_flight[-1][0].done = True
    b.array(ONES)  # whatever is kept next looks at what is done
    gc.collect()
    assert freed


def test_a_source_with_gaps_is_packed_on_its_own_stream(pair):
    cupy, a, b = pair
    with a:
        whole = cupy.array(np.arange(6.0).reshape(2, 3))
    assert np.array_equal(b.fetch(whole[:, 1:], a), [[1, 2], [4, 5]])


def test_a_batch_that_comes_ahead_has_a_stream_of_its_own_and_the_work_waits_for_it(pair):
    cupy, a, _ = pair
    array = a.array_ahead(ONES)
    assert events(cupy) == [
        ("pin", 24),
        ("allocate", "stream 2"),
        ("upload", "stream 2"),
        ("record", "stream 2", 0),  # until then the pinned memory is kept
        ("record", "stream 2", 1),
        ("wait", "stream 0", 1),
        ("allocate", "stream 0"),
        ("copy", "stream 0"),
        ("record", "stream 0", 2),  # until then the memory that it arrived in is kept
    ]
    assert np.array_equal(array, ONES) and a.array_ahead(np.float32(3)).shape == ()


def test_what_the_loading_thread_has_staged_is_not_copied_again(pair):
    cupy, _, b = pair
    staged = []
    thread = threading.Thread(target=lambda: staged.append(b.stage(ONES)))
    thread.start()
    thread.join()
    assert [line for line in cupy.calls if line[0] == "pin"] == [("pin", 24)] and np.array_equal(staged[0], ONES)
    assert np.array_equal(b.array(staged[0]), ONES) and np.array_equal(b.array_ahead(staged[0]), ONES)
    assert np.array_equal(b.array(staged[0][:1] + 1), ONES[:1] + 1), "what was computed from it is ordinary memory"
    assert [line for line in cupy.calls if line[0] == "pin"] == [("pin", 24), ("pin", 12)]


def test_a_batch_goes_through_pinned_memory_that_is_kept_until_its_event(pair):
    cupy, a, _ = pair
    array = a.array(ONES)
    assert events(cupy) == [("pin", 24), ("allocate", "stream 0"), ("upload", "stream 0"), ("record", "stream 0", 0)]
    staged = weakref.ref(a._in_flight[-1][1])
    assert np.array_equal(array, ONES) and staged() is not None
    a.synchronize()
    gc.collect()
    assert staged() is None


def test_values_on_their_way_to_the_host_are_waited_for_only_when_they_are_looked_at(pair):
    cupy, a, _ = pair
    with a:
        loss = cupy.ones(())
    cupy.calls.clear()
    later = a.numpy_later(loss)
    assert [line[0] for line in events(cupy)] == ["pin", "download", "record", "record"]
    assert later() == 1 and cupy.calls[-1][0] == "synchronize"
    assert type(a.numpy(loss)) is np.ndarray


def test_nothing_is_copied_of_an_empty_array(pair):
    cupy, a, b = pair
    empty = a.array(np.empty((0, 3), np.float32))
    assert b.numpy(b.fetch(empty, a)).shape == (0, 3)
    assert not {"upload", "download", "copy"} & {line[0] for line in cupy.calls}


def test_two_streams_of_one_gpu(machine):
    cupy = machine(gpus=1)
    one, two = tn.devices("cuda:0,cuda:0")
    assert (one.name, two.name) == ("cuda:0", "cuda:0 stream 2") and cupy.streams == 2
    x = tn.tensor(ONES, device=one)
    cupy.calls.clear()
    assert np.array_equal(x.to(two).data, ONES)
    assert ("wait", "stream 1") in [line[:2] for line in cupy.calls] and ("copy", "stream 1") in cupy.calls


def test_a_device_is_given_work_in_its_own_stream_even_inside_another(pair):
    cupy, a, b = pair
    with a:
        with b:
            assert cupy.stream() == "stream 1" and cupy.gpu_stack[-1] == 1
            with a:
                assert cupy.stream() == "stream 0" and cupy.gpu_stack[-1] == 0
            assert cupy.stream() == "stream 1"
        assert cupy.stream() == "stream 0"


def test_the_first_device_is_current_from_the_start(machine):
    cupy = machine()
    assert cupy.stream() == "default"
    tn.devices("cuda:1")
    assert (cupy.gpu_stack[-1], cupy.stream()) == (1, "stream 0")


def test_damaged_peer_copies_are_found_and_go_through_pinned_memory(machine, monkeypatch):
    cupy, right = machine(), Pointer.copy_from_device_async

    def damage(self, source, size, stream=None):
        right(self, source, size, stream)
        self.array.view(np.uint8)[..., -1] ^= 1

    monkeypatch.setattr(Pointer, "copy_from_device_async", damage)
    with pytest.warns(UserWarning, match="arrive damaged and go through host memory now"):
        a, b = tn.devices("cuda:0,cuda:1")
    with a:
        source = cupy.array(ONES)
    cupy.calls.clear()
    assert np.array_equal(b.fetch(source, a), ONES)
    assert events(cupy) == [
        ("pin", 24),
        ("download", "stream 0"),
        ("record", "stream 0", 0),
        ("wait", "stream 1", 0),
        ("allocate", "stream 1"),
        ("upload", "stream 1"),
        ("record", "stream 1", 1),
    ]
    monkeypatch.setattr(Pointer, "copy_from_host_async", lambda self, *_: self.array.fill(0))
    machine()
    with pytest.raises(tn.DeviceError, match="copied from cuda:1 to cuda:0 arrives damaged, even through host memory"):
        tn.devices("cuda:0,cuda:1")
