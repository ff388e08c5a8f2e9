"""Parallelism, all of it: a function is called on contiguous pieces of a range, one thread a piece.

NumPy lets go of the interpreter lock inside its loops and inside BLAS, so threads run in parallel. While they do, BLAS
itself is held to one thread: two threads with a matrix product each are faster than one product on two threads,
because small products lose up to half of their speed when they are split. The pieces depend on the number of threads
and on the amount of work alone, so results are the same, bit for bit, on every run with that number.
"""

import os
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import cache, partial
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

from threadpoolctl import ThreadpoolController

from tinynet import forks

# Numbers that a kernel without matrix products works on at a time. Few enough for the cache, and so many that threads
# seldom meet at the interpreter's lock: with 16,000, two threads updated the weights more slowly than one.
CHUNK = 1 << 19
HANDOVER = 100_000  # nanoseconds of work that are worth giving to another thread, which costs some 20,000

_chosen = None
# Held by whoever computes in pieces. BLAS has one limit for the whole process: of two callers, the first to end would take
# it back for the other one, too. And whoever has all threads needs nobody beside it.
_busy = forks.lock(1)
_helpers: list[threading.Thread] = []
_handed_over: "SimpleQueue[_Piece]" = SimpleQueue()  # the pieces that wait for a helper


def threads() -> int:
    """How many threads kernels use: what `use_threads` chose, else OMP_NUM_THREADS, else the CPUs of this process."""
    return _chosen or _default()


def use_threads(count: int | None) -> None:
    """Compute with `count` threads from now on, in the kernels and in BLAS; None goes back to the default.

    Raises ValueError for anything but None and integers from 1.
    """
    global _chosen
    if count is not None and not (isinstance(count, int) and count >= 1):
        raise ValueError(f"use_threads: {count!r}; expected an integer >= 1, or None for the default")
    with _busy:
        _chosen = count
        # By a thread that ends: threadpoolctl lets nobody else set OpenBLAS's limit as long as the first who did is alive.
        setter = threading.Thread(target=lambda: _blas().limit(limits=threads()))
        setter.start()
        setter.join()


@cache
def _default():
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(int(wish), cpus) if wish.isdecimal() and int(wish) > 0 else cpus


@cache
def _blas():
    return ThreadpoolController().select(user_api="blas")


def pieces(n: int, work: Callable[[int, int], Any], nanoseconds: float) -> list:
    """Call work(start, stop) on pieces that cover range(n), in parallel; the results in order.

    nanoseconds: about how long it would take alone; so little work that it is not worth a thread is done right here.
    An exception in any piece is raised here, when nobody is at work on the others any more.
    """
    count = int(min(threads(), n, 1 + nanoseconds / HANDOVER))
    ends = [n * i // count for i in range(count + 1)] if n else []
    if threads() == 1:  # BLAS has no more than one either, and callers in several threads need not wait for each other
        return [work(0, n)] if n else []
    with _busy, _blas().limit(limits=1):
        if count <= 1:
            return [work(0, n)] if n else []
        others = [_Piece(work, start, stop) for start, stop in pairwise(ends[1:])]
        try:
            _hand_over(others)
            results = [work(0, ends[1])]
            for piece in others:
                piece.wait()
        finally:
            _end(others)
        return results + [piece.take() for piece in others]


class _Piece:
    """A piece for another thread. It is begun once at most: by that thread, or by nobody after it was called off.

    Its locks are Python's own and nothing built from them, because Ctrl-C may come between any two lines of Python, and a
    thread pool or a Future that is left in the middle of a method waits for ever the next time.
    """

    __slots__ = ("begun", "done", "ended", "error", "result", "run")

    def __init__(self, work, start, stop):
        # In the caller's context, where NumPy keeps what the caller wants to happen on overflow (np.errstate).
        self.run = partial(copy_context().run, work, start, stop)
        self.begun, self.ended, self.done = threading.Lock(), threading.Lock(), False
        self.ended.acquire()
        self.result = self.error = None

    def __call__(self):
        if self.begun.acquire(blocking=False):
            try:
                self.result = self.run()
            except BaseException as error:
                self.error = error
            self.run, self.done = None, True
            self.ended.release()

    def wait(self):
        while not self.done:
            self.ended.acquire(timeout=1)

    def call_off(self):
        """Nobody is at work on it any more, or will be."""
        if self.begun.acquire(blocking=False):
            self.done = True
        self.wait()

    def take(self):
        """The result; raises what the work raised."""
        if self.error is None:
            return self.result
        error, self.error = self.error, None
        try:
            raise error
        finally:
            del error  # whose traceback holds this frame: a cycle would keep the caller's arrays


def _end(pieces):
    """Wait for all pieces, even if Ctrl-C comes meanwhile: nobody may write into the caller's arrays after an error."""
    try:
        for piece in pieces:
            piece.call_off()
    except BaseException:
        _end(pieces)
        raise


def _hand_over(pieces):
    try:
        while len(_helpers) < len(pieces):
            # Daemons: they must not keep a program alive that has come to its end.
            helper = threading.Thread(target=_help, args=(_handed_over,), name="tinynet", daemon=True)
            helper.start()
            _helpers.append(helper)
    except RuntimeError:  # at its end Python starts no more threads, and a system may have no more
        if not _helpers:
            for piece in pieces:
                piece()
            return
    for piece in pieces:
        _handed_over.put(piece)


def _help(handed_over):
    while True:
        handed_over.get()()


def chunks(start: int, stop: int, x) -> Iterator[slice]:
    """Slices that cover the images start to stop of x, each of about CHUNK numbers."""
    step = max(1, CHUNK * len(x) // max(x.size, 1))
    return (slice(n, min(n + step, stop)) for n in range(start, stop, step))


def _after_fork():
    global _handed_over
    _handed_over = SimpleQueue()
    _helpers.clear()  # a child process has none of its parent's threads


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
