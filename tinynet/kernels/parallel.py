"""Parallelism, all of it: a function is called on contiguous pieces of a range, one thread a piece.

NumPy lets go of the interpreter lock inside its loops and inside BLAS, so threads run in parallel. While they do, BLAS
itself is held to one thread: two threads with a matrix product each are faster than one product on two threads,
because small products lose up to half of their speed when they are split. The pieces depend on the number of threads
alone, so results are the same, bit for bit, on every run with that number.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
from threadpoolctl import ThreadpoolController

CHUNK = 1 << 17  # numbers that a kernel without matrix products works on at a time: its temporaries stay in the cache

_chosen = None


def threads():
    """How many threads kernels use: what `use_threads` chose, else OMP_NUM_THREADS, else the CPUs of this process."""
    return _chosen or _default()


def use_threads(count):
    """Compute with `count` threads from now on, in the kernels and in BLAS; None goes back to the default."""
    global _chosen
    _chosen = count
    _blas().limit(limits=threads())


@cache
def _default():
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    wish = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return min(int(wish), cpus) if wish.isdecimal() and int(wish) > 0 else cpus


@cache
def _pool(workers):
    return ThreadPoolExecutor(workers, thread_name_prefix="tinynet")


@cache
def _blas():
    return ThreadpoolController().select(user_api="blas")


def pieces(n, work):
    """Call work(start, stop) on pieces that cover range(n), in parallel; the results in order.

    An exception in any piece is raised here, after all of them have ended.
    """
    count = min(threads(), n)
    if count <= 1:
        return [work(0, n)] if n else []
    ends = [n * i // count for i in range(count + 1)]
    with _blas().limit(limits=1):
        others = [_pool(threads() - 1).submit(work, a, b) for a, b in pairwise(ends[1:])]
        try:
            first = work(0, ends[1])
        finally:
            for other in others:
                other.exception()  # waits: nobody may write into the caller's arrays after an error
        return [first, *(other.result() for other in others)]


def chunks(start, stop, x):
    """Slices that cover the images start to stop of x, each of about CHUNK numbers."""
    step = max(1, CHUNK * len(x) // max(x.size, 1))
    return (slice(n, min(n + step, stop)) for n in range(start, stop, step))


_own = threading.local()


def scratch(name, shape, dtype):
    """An array with unknown contents that this thread gets again, the next time it asks for `name`.

    Fresh memory of some megabytes costs more than what is computed in it, because the system hands it out page by page.
    Each thread keeps one buffer a name, as large as the largest that was asked for.
    """
    buffers = _own.__dict__
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if name not in buffers or buffers[name].size < count:
        buffers[name] = np.empty(count, np.uint8)
    return buffers[name][:count].view(dtype).reshape(shape)
