"""Work in pieces: spread over threads, ended by whatever may end it, and the same in a child process or at the end."""

import os
import signal
import subprocess
import sys
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_calls import CONVOLUTIONS, conv_calls, results
from oracles import assert_close

from tinynet.kernels import cpu
from tinynet.kernels.cpu import parallel


@pytest.mark.parametrize("number", [1, 2, 3, 8])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 100])
def test_pieces_cover_the_range_once_and_in_order(use_threads, number, n):
    use_threads(number)
    ranges = parallel.pieces(n, lambda start, stop: (start, stop), np.inf)
    assert [i for start, stop in ranges for i in range(start, stop)] == list(range(n))
    assert len(ranges) == min(number, n) and all(stop > start for start, stop in ranges)


def test_a_little_work_is_done_by_the_caller_and_more_by_as_many_threads_as_it_is_worth(use_threads):
    use_threads(8)

    def pieces(handovers):
        return len(parallel.pieces(100, lambda start, stop: None, handovers * parallel.HANDOVER))

    assert [pieces(handovers) for handovers in (0, 0.9, 1.1, 2.1, 100)] == [1, 1, 2, 3, 8]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_an_exception_in_any_piece_reaches_the_caller_when_nobody_is_at_work_any_more(use_threads, bad):
    use_threads(3)
    begun, ended = [], []

    def work(start, stop):
        begun.append(start)
        if start == bad:
            raise ZeroDivisionError(f"piece {bad}")
        time.sleep(0.02)
        ended.append(start)

    with pytest.raises(ZeroDivisionError, match=f"piece {bad}"):
        parallel.pieces(3, work, np.inf)
    assert sorted(begun) == sorted([*ended, bad])
    time.sleep(0.05)
    assert sorted(begun) == sorted([*ended, bad]), "a piece was begun after the error"


def test_all_pieces_do_what_the_caller_wants_on_overflow(use_threads):
    use_threads(2)
    for place in 0, 1:
        x = np.ones((2, 3, 4, 4), np.float32)
        x[place] = 3e38
        with np.errstate(over="ignore"):
            assert not cpu.local_response_norm(x, 5, 1e-4, 0.75, 2.0)[0][place].any()
        with np.errstate(over="raise"), pytest.raises(FloatingPointError, match="overflow"):
            cpu.local_response_norm(x, 5, 1e-4, 0.75, 2.0)


def test_ctrl_c_reaches_the_caller_after_all_pieces_have_ended(use_threads):
    use_threads(3)
    ended = []

    def work(start, stop):
        if start:
            time.sleep(0.3)
            ended.append(start)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)  # again and again, as an impatient user does
    try:
        with pytest.raises(KeyboardInterrupt):
            try:
                parallel.pieces(3, work, np.inf)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert sorted(ended) == [1, 2]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_what_an_exception_in_a_piece_held_is_gone_with_it(use_threads, no_gc, bad):
    use_threads(3)

    def fail():
        array = np.empty(10)
        reference = weakref.ref(array)

        def work(start, stop):
            array[start] = 1 / (start - bad)

        with pytest.raises(ZeroDivisionError):
            parallel.pieces(3, work, np.inf)
        return reference

    reference, patience = fail(), time.monotonic() + 10
    while reference() is not None and time.monotonic() < patience:
        time.sleep(0.01)  # the thread lets go of its work a moment after it has said that it is done
    assert reference() is None


@pytest.mark.parametrize("there", [0, 1])
def test_where_no_thread_can_be_started_the_work_is_done_all_the_same(use_threads, monkeypatch, there):
    use_threads(1 + there)
    parallel.pieces(1 + there, lambda start, stop: None, np.inf)  # so many helpers are there
    monkeypatch.setattr(parallel, "_helpers", parallel._helpers[:there])
    use_threads(4)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(parallel.threading.Thread, "start", refuse)
    assert parallel.pieces(4, lambda start, stop: start, np.inf) == [0, 1, 2, 3]


def test_callers_in_several_threads_do_not_share_scratch_memory(use_threads):
    use_threads(2)
    cases = [list(conv_calls(case, np.float64)) for case in (CONVOLUTIONS[1], CONVOLUTIONS[7])]

    def wrong(case):
        for name, arguments in case * 20:
            assert_close(results(name, arguments)[0], expected[name, id(arguments)], 1e-13, name)

    expected = {(name, id(a)): results(name, a)[0] for case in cases for name, a in case}
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(wrong, case) for case in cases]:
            done.result()


@pytest.mark.parametrize("wish, expected", [("1", 1), ("1,4", 1), ("", None), ("0", None), ("-3", None), ("many", None),
                                            ("1000000", None)])  # fmt: skip
def test_the_number_of_threads_follows_the_environment(wish, expected):
    """OMP_NUM_THREADS if that is a number, and never more than there are CPUs; asked in a fresh process."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    code = "from tinynet.kernels.cpu import parallel; print(parallel.threads())"
    environment = {**os.environ, "OMP_NUM_THREADS": wish}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    assert int(found) == (expected or cpus)


def test_use_threads_limits_the_kernels_and_blas_until_it_is_taken_back():
    blas = parallel._blas()
    default = parallel.threads()
    try:
        parallel.use_threads(1)
        assert parallel.threads() == 1
        assert {library["num_threads"] for library in blas.info()} == {1}
    finally:
        parallel.use_threads(None)
    assert parallel.threads() == default


@pytest.mark.parametrize("count", [0, -1, 2.0, "2"])
def test_use_threads_refuses_what_is_no_number_of_threads(count):
    default = parallel.threads()
    with pytest.raises(ValueError, match="expected an integer >= 1, or None"):
        parallel.use_threads(count)
    assert parallel.threads() == default


def test_blas_has_one_thread_in_every_piece_whoever_calls_and_gets_its_own_back():
    """Asked in a fresh process, where use_threads was called in another thread than the kernels."""
    code = """
import threading, numpy as np
from tinynet.kernels.cpu import parallel

def call():
    for _ in range(100):
        parallel.pieces(4, lambda start, stop: seen.update(found()), np.inf)

def found():
    return [library["num_threads"] for library in parallel._blas().info()]

seen, parallel._default = set(), lambda: 2
parallel.use_threads(2)
before = found()
callers = [threading.Thread(target=call) for _ in range(3)]
for action in threading.Thread.start, threading.Thread.join:
    for caller in callers:
        action(caller)
print(before == found(), *seen)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "1"]


IN_A_PROCESS = """
import atexit, os, signal, threading
import numpy as np
from tinynet.kernels import cpu
from tinynet.kernels.cpu import memory, parallel

def total():
    return float(cpu.local_response_norm(np.ones((2, 3, 400, 400), np.float32), 5, 1e-4, 0.75, 2.0)[0].sum())

parallel.use_threads(2)
parallel.HANDOVER = 1
expected = total()
"""


FORKED = {
    "a kernel": ("total()", "expected"),
    "a backward": ("gradient()", "1024"),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.parametrize("what", FORKED)
def test_a_forked_child_computes_while_its_parent_does(what):
    value, expected = FORKED[what]
    code = f"""
import tinynet as tn

def gradient():
    w = tn.tensor(np.ones((8, 8), np.float32), requires_grad=True)
    (w @ w).sum().backward()
    return w.grad.sum()

def work():
    while not stop.is_set():
        {value}

stop = threading.Event()
other = threading.Thread(target=work)
other.start()
for _ in range(20):
    child = os.fork()
    if not child:
        signal.alarm(30)
        os._exit(int({value} != {expected}))
    print(os.waitpid(child, 0)[1])
stop.set()
other.join()
print({value} == {expected})
"""
    assert in_a_process(code) == ["0"] * 20 + ["True"]


def test_threads_and_exit_functions_compute_after_the_program_has_ended():
    code = """
atexit.register(lambda: print(total() == expected))

def late():
    threading.main_thread().join()
    print(total() == expected)

threading.Thread(target=late).start()
"""
    assert in_a_process(code) == ["True", "True"]


def in_a_process(code):
    """The words that the code prints in a fresh process; it must end within a minute."""
    # Python warns of a fork beside threads, which is what is tried here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", IN_A_PROCESS + code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    return done.stdout.split()
