"""Memory that is used again, because fresh memory is slow: the system hands it out page by page and writes zeros into it.

A training step at batch 128 asks for 2 GB of results; getting them fresh took a tenth of its processor time. `empty` is
`np.empty` in the memory of a result that nobody holds any more; `scratch` is for what a kernel needs only while it runs.
"""

import math
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from tinynet import forks

WORTH = 1 << 20  # bytes of a result from which on its memory is kept for the next one of the same size

_own = threading.local()


def scratch(name: str, shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array with unknown contents that this thread gets again, the next time it asks for `name`.

    Each thread keeps one buffer a name, as large as the largest that was asked for.
    """
    buffers, count = _own.__dict__, math.prod(shape) * np.dtype(dtype).itemsize
    if name not in buffers or buffers[name].size < count:
        buffers[name] = np.empty(count, np.uint8)
    return buffers[name][:count].view(dtype).reshape(shape)


def empty(shape: Sequence[int], dtype: DTypeLike) -> np.ndarray:
    """An array with unknown contents, which belongs to the caller for as long as anybody holds it or a view of it."""
    dtype = np.dtype(dtype)
    if math.prod(shape) * dtype.itemsize < WORTH:
        return np.empty(shape, dtype)
    return np.asarray(Lease(shape, dtype))


def empty_like(x: np.ndarray) -> np.ndarray:
    """An array with unknown contents, of the shape and dtype of x."""
    return empty(x.shape, x.dtype)


class Lease:
    """The owner of an array's memory: the array and its views keep it alive, and when the last one is gone it dies too.

    That is how the memory comes back, at once and without anybody having to say so.
    """

    def __init__(self, shape, dtype):
        self.store = _store  # for __del__, which may run at Python's end, when this module has no names any more
        self.memory = None  # what __del__ finds if the next line raises: nothing to give back
        self.memory = self.store.take(math.prod(shape) * dtype.itemsize)
        address = self.memory.__array_interface__["data"]
        self.__array_interface__ = {"version": 3, "shape": tuple(shape), "typestr": dtype.str, "data": address}

    def __del__(self):
        if self.memory is not None:
            self.store.give_back(self.memory)


class _Store:
    """Memory that nobody uses at the moment, by size; with what is in use, never more than was once in use at a time."""

    def __init__(self):
        self.idle, self.used_bytes, self.most_used = {}, 0, 0  # size -> memory of that size, least recently used first
        self.lock = forks.lock(2)  # the garbage collector may give memory back while this thread takes some

    @property
    def idle_bytes(self):
        return sum(size * len(memory) for size, memory in self.idle.items())

    def take(self, size):
        with self.lock:
            most = self.most_used
            self.used_bytes += size
            self.most_used = max(self.most_used, self.used_bytes)
            try:
                return self.idle[size].pop() if self.idle.get(size) else self._new(size)
            except BaseException:
                self.used_bytes, self.most_used = self.used_bytes - size, most
                raise

    def _new(self, size):
        self.drop()
        try:
            return np.empty(size, np.uint8)
        except MemoryError:
            self.drop(all_of_it=True)
            return np.empty(size, np.uint8)

    def give_back(self, memory):
        with self.lock:
            self.used_bytes -= memory.size
            self.idle[memory.size] = [*self.idle.pop(memory.size, ()), memory]  # now the last in the dict

    def drop(self, all_of_it=False):
        """Let go of what has been idle for longest, as far as the bound demands."""
        with self.lock:
            while self.idle and (all_of_it or self.idle_bytes + self.used_bytes > self.most_used):
                size = next(iter(self.idle))
                if self.idle[size]:
                    self.idle[size].pop()
                else:
                    del self.idle[size]


_store = _Store()
