"""Streams: what the simulated devices refuse, what is kept and for how long, and copies that arrive damaged."""

import sys
import warnings

import numpy as np
import pytest

import tinynet as tn
from tinynet.devices.sim import Sim
from tinynet.devices.streams import Streamed
from tinynet.errors import StreamOrderError
from tinynet.tape import record

ONES = np.ones((2, 3), np.float32)


# What is refused ------------------------------------------------------------------------------------------------------


def test_arrays_of_two_devices_do_not_mix(sims):
    a, b = (device.array(ONES) for device in sims)
    for mix in (lambda: a + b, lambda: np.concatenate([a, b]), lambda: sims[0].kernels.matmul(a, b)):
        with sims[0], pytest.raises(tn.DeviceError, match="mixes arrays of sim:0 and sim:1; bring them together"):
            mix()
    with sims[0], pytest.raises(tn.DeviceError, match="assignment mixes arrays of sim:0 and sim:1"):
        a[...] = b
    with pytest.raises(tn.DeviceError, match="sim:0 and sim:1; bring them together"):
        tn.tensor(ONES, device=sims[0]) + tn.tensor(ONES, device=sims[1])


def test_arrays_of_the_host_do_not_mix_either(sims):
    a = sims[0].array(ONES)
    for mix in (lambda: a + ONES, lambda: np.concatenate([a, ONES]), lambda: sims[0].kernels.matmul(a, ONES.T)):
        with sims[0], pytest.raises(TypeError, match=r"unsupported type .*ndarray.*device\.array"):
            mix()
    with sims[0], pytest.raises(TypeError, match="assignment: unsupported type"):
        a[...] = ONES


@pytest.mark.parametrize("look", [np.asarray, bool, float, int, lambda a: [1, 2][a]], ids=range(5))
def test_nothing_makes_the_host_wait_by_accident(sims, look):
    a = sims[0].array(np.array(1))
    with sims[0], pytest.raises(TypeError, match=r"device\.numpy|not supported|must be"):
        look(a)


@pytest.mark.parametrize("key", [
    np.array([1, 0, 1]), (slice(None), np.array([2, 2])), np.array([[True, False, True], [False, True, True]]),
    (0, np.array([1, 1])), (np.array([0, 1]), [1, 1]), np.array(1), [1, 1],
], ids=repr)  # fmt: skip
def test_an_array_of_the_host_picks_from_a_device_and_its_gradient_comes_back(sims, key):
    x, y = (tn.tensor(ONES * [1, 2, 3], requires_grad=True, device=device) for device in (sims[0], "cpu"))
    for t in (x, y):
        with t.device:
            (t[key] * t[key]).sum().backward()
    with sims[0]:
        assert np.array_equal(sims[0].numpy(x.grad), y.grad)


def test_work_goes_to_the_current_device_only(sims):
    x = tn.tensor(ONES, device=sims[0])
    with pytest.raises(tn.DeviceError, match="array on sim:0 while no device is current; write `with device:`"):
        x * 2.0
    with sims[1], pytest.raises(tn.DeviceError, match="multiply on sim:0 while sim:1 is current"):
        x * x
    with sims[1], pytest.raises(tn.DeviceError, match="op: inputs are on sim:0, which is not current; write `with device:`"):
        record("op", x.data, (x,), None)  # what an operation that did its work without looking is told


def test_current_is_the_innermost_device_and_comes_back(sims):
    a, b = sims
    with a:
        with b, a:
            assert (a.active, b.active) == (True, False)
        assert (a.active, b.active) == (True, False)
        with b:
            assert (a.active, b.active) == (False, True)
        assert Streamed.current is a and a.active
    assert Streamed.current is None and not a.active


def test_reading_what_the_other_stream_may_still_be_writing(sims):
    a, b = sims
    with a:
        made = a.array(ONES) * 2
    with (
        b,
        pytest.raises(
            StreamOrderError, match=r"copy on sim:1 reads what multiply on sim:0 may still be writing: sim:1 must wait"
        ),
    ):
        b._copy(made)
    with a:
        event = a.record()
        later = made * 2
    with b:
        b.wait(event)
        b._copy(made)
        with pytest.raises(StreamOrderError, match="reads what multiply on sim:0"):
            b._copy(later)  # the event was recorded before
    b.synchronize()


def test_overwriting_what_the_other_stream_may_still_be_reading(sims):
    a, b = sims
    source = a.array(ONES)
    kept = b.fetch(source, a)
    with (
        a,
        pytest.raises(
            StreamOrderError, match="add on sim:0 overwrites what copy on sim:1 may still be reading: sim:0 must wait"
        ),
    ):
        source += 1
    with b:
        event = b.record()
    with a:
        a.wait(event)
        source += 1
    assert (b.numpy(kept) == 1).all() and (a.numpy(source) == 2).all()


def test_freeing_what_the_other_stream_may_still_be_reading(sims):
    a, b = sims
    with a:
        source = a.array(ONES)
        event = a.record()
    with b:
        b.wait(event)
        landed = b._copy(source)
    del source
    with (
        b,
        pytest.raises(
            StreamOrderError,
            match="memory of sim:0 was freed while copy on sim:1 may still be reading: it must be kept until",
        ),
    ):
        landed + 1


def test_memory_is_free_once_the_host_has_waited(sims):
    a, b = sims
    source = a.array(ONES)
    landed = b.fetch(source, a)
    del source
    assert len(b._in_flight) == 1, "the array is kept although nobody else has it"
    b.synchronize()
    assert len(b._in_flight) == 0
    b.numpy(landed)


def test_what_is_kept_is_let_go_when_its_event_is_done(sims):
    a, b = sims
    for _ in range(50):
        landed = b.fetch(a.array(ONES), a)
        b.numpy(landed)
    assert len(a._in_flight) <= 2 and len(b._in_flight) <= 3


def test_a_kernel_cannot_write_to_what_it_is_not_known_to_write_to(sims, monkeypatch):
    from tinynet.kernels import cpu

    monkeypatch.setattr(cpu, "relu", lambda x: np.maximum(x, 0, out=x))
    with sims[0], pytest.raises(ValueError, match="read-only"):
        sims[0].kernels.relu(sims[0].array(ONES))


def test_what_numpy_does_in_place_is_a_write(sims):
    a, b = sims
    source = a.array(ONES)
    b.fetch(source, a)
    rows = [0, 1]
    for write in (
        lambda: np.copyto(source, source * 2),
        lambda: np.add.at(source, rows, source[rows]),
        lambda: a.kernels.sgd(source, a.xp.zeros_like(source), a.xp.zeros_like(source), 0.1, 0.9, 0.0),
        lambda: source.__setitem__(0, 5.0),
        lambda: np.negative(source[:1], out=source[1:]),
    ):
        with a, pytest.raises(StreamOrderError, match="overwrites what copy on sim:1 may still be reading"):
            write()


def test_views_share_the_account_of_their_memory(sims):
    a, b = sims
    with a:
        whole = a.array(ONES)
        view = whole.reshape(3, 2).T[:1]
        assert view.base is whole and a.xp.broadcast_to(whole, (4, 2, 3)).base is whole
        whole += 1
    with b, pytest.raises(StreamOrderError, match="reads what add on sim:0"):
        b._copy(view)
    with a:
        assert (whole * 2).base is None and whole[[0, 1]].base is None and whole.sum().shape == ()


def test_two_streams_of_one_device_are_two_devices():
    one, two = tn.devices("sim:3,sim:3")
    assert (one.name, two.name) == ("sim:3", "sim:3 stream 2") and (one.index, two.index) == (3, 3)
    assert tn.devices("sim:3")[0] is one and tn.devices("sim:3,sim:3")[1] is two and one is not two
    with pytest.raises(tn.DeviceError, match="sim:3 and sim:3 stream 2"), one:
        tn.tensor(1.0, device=one) + tn.tensor(1.0, device=two)


def test_a_single_number_keeps_its_shape_on_every_way(sims, monkeypatch):
    a, b = sims
    number = tn.tensor(3.0, device=a)
    assert number.numpy().shape == () == number.to(b).numpy().shape
    monkeypatch.setitem(b._direct, a, False)  # the way through the host
    assert number.to(b).numpy().shape == () and number.to(b).item() == 3.0


def test_the_first_device_of_a_program_needs_no_with(monkeypatch):
    from tinynet import devices

    monkeypatch.setattr(Streamed, "current", None)
    monkeypatch.setattr(sys.modules["tinynet.devices"], "_KNOWN", {})
    assert devices
    x = tn.tensor([1.0, -2.0], requires_grad=True, device="sim:0")
    y = (tn.relu(x) * 3 + x[0]).sum()
    y.backward()
    assert y.item() == 5 and x.device.numpy(x.grad).tolist() == [5, 0]


def test_the_entries_of_the_tape_know_where_their_inputs_live(sims):
    a, b = sims
    x = tn.tensor(ONES, requires_grad=True, device=a)
    y = tn.transfer(x, b)
    assert (y.entry.device, y.entry.source) == (b, a)


# Damaged copies -------------------------------------------------------------------------------------------------------


def test_copies_that_arrive_damaged_go_through_the_host(sims, monkeypatch):
    a, b = sims
    right = Sim._copy

    def damage(self, cargo):
        landed = right(self, cargo)
        landed[-1:] = 0
        return landed

    monkeypatch.setattr(Sim, "_copy", damage)
    assert b.connect(a) is False
    with a:
        source = a.array(ONES) * 2
        landed = b.fetch(source.T, a)
    del source
    assert np.array_equal(b.numpy(landed), 2 * ONES.T) and b.connect(a) is False


def test_a_damaged_pair_of_devices_is_named_with_what_may_mend_it(monkeypatch):
    right = Sim._copy
    monkeypatch.setattr(Sim, "_copy", lambda self, cargo: right(self, cargo)[::-1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tn.devices("sim:8,sim:9")
    first, second = (str(w.message) for w in caught)
    assert first.startswith("copies from sim:9 to sim:8 arrive damaged and go through host memory now, which is slower; ")
    assert second.startswith("copies from sim:8 to sim:9 arrive damaged") and "IOMMU" in second


def test_a_machine_whose_memory_is_damaged_is_refused(sims, monkeypatch):
    right = Sim._read
    monkeypatch.setattr(Sim, "_read", lambda self, staged: right(self, staged) * 0)
    with pytest.raises(tn.DeviceError, match="a block copied from sim:0 to sim:1 arrives damaged, even through host memory"):
        sims[1].connect(sims[0])
