"""Fixtures that several test files use."""

import gc

import pytest

from tinynet.kernels import parallel


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
