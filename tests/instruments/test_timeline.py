"""Timelines: every operation is in them, where and when it ran, and they can be read by people and by Chrome."""

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from drawings import pixels
from runs import QUICK, log, pictures, run, undrawn

import tinynet as tn
from alexnet import AlexNet
from tinynet.devices.device import Device
from tinynet.draw.timeline import drawing
from tinynet.draw.timeline import timeline as drawn
from tinynet.instruments.timeline import Span, Timeline

PICTURE = sys.modules[drawn.__module__]


def step(devices):
    """A timeline of one training step of the two-tower network, and the ops on its tape."""
    model = AlexNet(classes=3, width=0.05, image_size=56, devices=devices, recipe="modern")
    sgd, x = tn.optim.SGD(model.parameters()), np.ones((2, 3, 56, 56), np.float32)
    with Timeline(devices) as timeline:
        with devices[0]:
            loss = tn.cross_entropy(model(tn.Tensor(devices[0].array(x), devices[0])), [0, 1])
        entries = [e for e in tn.tape(loss) if e.op != "leaf"]
        loss.backward()
        sgd.step()
    return timeline, entries, len(model.parameters())


@pytest.mark.parametrize("kind", ["cpu", "sim"])
def test_every_operation_is_on_the_row_of_its_device_forward_and_backward(sims, kind):
    devices = sims if kind == "sim" else tn.devices("cpu:0,cpu:1")
    timeline, entries, parameters = step(devices)
    spans = timeline.spans
    forward = [(s.row, s.op, s.shape) for s in spans if s.phase == "forward"]
    assert set(forward) >= {(devices.index(e.device), e.op, e.shape) for e in entries if e.op != "transfer"}
    backward = [(s.row, s.op) for s in spans if s.phase == "backward"]
    assert sorted(backward) == sorted((devices.index(e.device), e.op) for e in entries if e.op != "transfer")
    assert sum(s.phase == "update" for s in spans) == parameters
    copies = [s for s in spans if s.op == "transfer"]
    # conv3, fc6 and fc7 fetch the other tower's half, both ways, and fc8 one half; there, and their gradients back;
    # the image goes to the second tower, and needs no gradient.
    assert len(copies) == 2 * (3 * 2 + 1) + 1 and all(s.phase == "copy" for s in copies)
    assert Device.observers == []


@pytest.mark.parametrize("kind", ["cpu", "sim"])
def test_a_device_does_one_thing_at_a_time(sims, kind):
    devices = sims if kind == "sim" else tn.devices("cpu:0,cpu:1")
    timeline, _, _ = step(devices)
    for row in range(2):
        mine = [s for s in timeline.spans if s.row == row]
        assert all(0 <= s.start <= s.stop for s in mine)
        assert all(a.stop <= b.start for a, b in pairwise(mine))
        assert 0 < timeline.busy(row) <= 1
    together = sum(timeline.busy(row) for row in range(2))
    if kind == "cpu":
        assert together <= 1.001, "one thread works for both"


def test_waiting_for_the_other_device_is_not_drawn_as_work(sims):
    a, b = sims
    with Timeline(sims) as timeline:
        with a:
            x = tn.Tensor(a.array(np.ones(4, np.float32)), a)
            a._stream.time += 10.0  # a long computation
            y = x * 2.0
        z = tn.transfer(y, b)
    assert z.shape == (4,)
    (copy,) = [s for s in timeline.spans if s.op == "transfer"]
    assert copy.start >= 10 and copy.stop - copy.start < 1
    assert timeline.busy(1) < 0.1 and timeline.busy(0) > 0.9


def test_two_simulated_devices_work_at_the_same_time(sims):
    with Timeline(sims) as timeline:
        for device in sims:
            with device:
                x = tn.Tensor(device.array(np.ones((200, 200), np.float32)), device)
                for _ in range(3):
                    x = x @ x * 0.001
    first, second = ([s for s in timeline.spans if s.row == row] for row in range(2))
    assert second[0].start < first[-1].stop


def test_an_error_inside_leaves_no_observer_and_no_files(tmp_path):
    path = tmp_path / "a.png"
    with pytest.raises(ZeroDivisionError), drawing(tn.devices("cpu"), path, "step"):
        1 / 0  # noqa: B018
    assert Device.observers == [] and list(tmp_path.iterdir()) == []


def test_stamps_of_cuda_are_events_in_the_streams_of_all_devices(machine):
    machine()
    devices = tn.devices("cuda:0,cuda:1")
    timeline, entries, _ = step(devices)
    assert {s.row for s in timeline.spans} == {0, 1} and all(s.stop > s.start for s in timeline.spans)
    assert sum(s.phase == "backward" for s in timeline.spans) == sum(e.op != "transfer" for e in entries)


SPANS = [Span(0, "conv2d", "forward", (2, 3), 0.0, 0.5), Span(1, "transfer", "copy", (), 0.5, 0.6),
         Span(1, "conv2d", "backward", (2, 3), 0.6, 1.0)]  # fmt: skip


def test_the_trace_is_what_chrome_reads(tmp_path):
    timeline = Timeline(tn.devices("cpu:0,cpu:1"))
    timeline.spans = SPANS
    events = json.loads(timeline.write(tmp_path / "trace.json").read_text())["traceEvents"]
    assert [e["args"]["name"] for e in events if e["ph"] == "M"] == ["cpu:0", "cpu:1"]
    work = [e for e in events if e["ph"] == "X"]
    assert work[2] == {"ph": "X", "name": "conv2d", "cat": "backward", "pid": 0, "tid": 1, "ts": 0.6e6, "dur": 0.4e6,
                       "args": {"shape": [2, 3]}}  # fmt: skip
    assert timeline.seconds() == 1.0 and timeline.busy(0) == 0.5 and timeline.busy(1) == pytest.approx(0.5)


def test_the_picture_shows_each_span_in_its_colour(tmp_path):
    timeline = Timeline(tn.devices("cpu:0,cpu:1"))
    timeline.spans = SPANS
    picture = pixels(drawn(timeline, "step 4", tmp_path / "a.png"))
    d = PICTURE
    inner = picture.shape[1] - d.LEFT - d.RIGHT

    def colour(row, moment):
        y, x = d.HEAD + row * (d.LANE + d.GAP) + 10, d.LEFT + round(inner * moment)
        return "#{:02x}{:02x}{:02x}".format(*picture[y, x])

    assert (colour(0, 0.1), colour(1, 0.55), colour(1, 0.9)) == tuple(d.PHASES[p] for p in ("forward", "copy", "backward"))
    assert colour(0, 0.75) == colour(1, 0.2) == d.TRACK
    timeline.spans = []
    drawn(timeline, "step 4", tmp_path / "nothing.png")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("data") / "pictures", each=14)


@pytest.mark.parametrize("device", ["cpu", "cpu:0,cpu:1", "sim:0,sim:1"])
def test_a_run_draws_the_first_step_after_warm_up_and_goes_on_as_without(folder, tmp_path, monkeypatch, capsys, device):
    undrawn(monkeypatch.setattr)
    common = ("--data", folder, *QUICK, "--epochs", 1, "--device", device)
    assert run(*common, "--out", tmp_path / "a", "--timeline", tmp_path / "t.png") == 0
    assert f"timeline in {tmp_path / 't.png'}" in capsys.readouterr().out
    assert run(*common, "--out", tmp_path / "b") == 0
    assert log(tmp_path / "a") == log(tmp_path / "b")
    names = [e["args"]["name"] for e in json.loads((tmp_path / "t.json").read_text())["traceEvents"] if e["ph"] == "M"]
    assert ",".join(names) == device.replace("cpu", "cpu:0") if device == "cpu" else ",".join(names) == device
    assert pixels(tmp_path / "t.png").shape[1] == 1560


def test_a_run_too_short_to_warm_up_says_so(folder, tmp_path, monkeypatch, capsys):
    undrawn(monkeypatch.setattr)
    common = ("--data", folder, *QUICK, "--batch", 100, "--epochs", 2, "--out", tmp_path / "a")
    assert run(*common, "--timeline", tmp_path / "t.png") == 0
    assert "no timeline: the run had fewer than 4 steps" in capsys.readouterr().out


@pytest.mark.parametrize("name, sentence", [
    ("t.pdf", "should end in .png; the trace goes to the same name with .json"),
    ("nowhere/t.png", "cannot be written; give a file in a folder that exists"),
    ("old.png", r"old.json exists already; choose another name, or remove it"),
])  # fmt: skip
def test_a_timeline_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch, capsys, name, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.json").write_text("precious")
    assert run("--timeline", name) == 2
    assert sentence in capsys.readouterr().err
    assert (tmp_path / "old.json").read_text() == "precious" and not (tmp_path / "runs").exists()
