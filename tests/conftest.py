"""Fixtures that several test files use."""

import gc
import importlib.metadata
import signal
import sys

import pytest
from fake_cupy import FakeCuPy, FakeKernels

from tinynet.devices.sim import Host, Sim
from tinynet.devices.streams import Streamed
from tinynet.exercises.workspace import Workspace
from tinynet.kernels.cpu import parallel

# A shell lets what it starts in the background ignore Ctrl-C, and nohup that the terminal closes; tests want to be heard.
for _name, _usual in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL), ("SIGTERM", signal.SIG_DFL)):
    if signal.getsignal(_signal := getattr(signal, _name, signal.SIGINT)) is signal.SIG_IGN:
        signal.signal(_signal, _usual)


@pytest.fixture(params=[range(3), pytest.param(range(3, 20), marks=pytest.mark.slow)], ids=["3 seeds", "17 more seeds"])
def seeds(request):
    """The seeds that a proof is repeated with: a few by default, twenty with the slow tests."""
    return request.param


@pytest.fixture
def use_threads(monkeypatch):
    """A function that makes the kernels use a given number of threads, however many the machine has."""

    def set_number(n):
        monkeypatch.setattr(parallel, "threads", lambda: n)
        monkeypatch.setattr(parallel, "HANDOVER", 1)  # even for the few numbers of a test

    return set_number


@pytest.fixture
def no_gc():
    """Runs the test without the cyclic garbage collector: what is not freed by reference counts stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def sims(monkeypatch):
    """Two simulated devices of a host of their own, none of them current; no fault of theirs may stay unseen."""
    monkeypatch.setattr(Streamed, "current", None)
    host = Host()
    yield [Sim(0, host=host), Sim(1, host=host)]
    assert host.faults == []


@pytest.fixture
def machine(monkeypatch):
    """A function that gives this Python a fake CuPy with so many GPUs and returns it."""

    def install(*args, **how):
        cupy = FakeCuPy(*args, **how)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "tinynet.kernels.cuda", FakeKernels(cupy))
        monkeypatch.setattr(sys.modules["tinynet.devices"], "_KNOWN", {})
        monkeypatch.setattr(Streamed, "current", None)
        return cupy

    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [])
    return install


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A fresh folder of exercises, and in it."""
    Workspace.init(tmp_path / "course")
    monkeypatch.chdir(tmp_path / "course")
    return tmp_path / "course"
