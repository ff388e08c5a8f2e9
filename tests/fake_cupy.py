"""A CuPy that computes with NumPy and notes, in order, what CUDA would have been asked to do.

It refuses what CUDA and CuPy refuse: the stream of another GPU than the current one, an event recorded in a stream of
another GPU, arrays of the host in the middle of arrays of a GPU. Names, signatures and exceptions are those of CuPy 14.2;
`test_the_real_cupy_has_what_the_device_asks_for` compares them with the real package where it is installed.
"""

import ctypes
import threading
import types

import numpy as np

from tinynet.kernels import cpu


class CUDARuntimeError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


def answer(value):
    """The value; an exception is raised."""
    if isinstance(value, Exception):
        raise value
    return value


class FakeCuPy(types.ModuleType):
    """The module `cupy` where there are so many GPUs; of the numbers, an exception is raised when somebody asks.

    `calls` is what was asked of CUDA, `fail` maps calls to exceptions.
    """

    def __init__(self, gpus=2, driver=12090, runtime=12090, capability="90"):
        super().__init__("cupy")
        self.capability = capability
        self.calls, self.fail = [], {}
        self.threads, self.stream_stacks = threading.local(), [[None] for _ in range(gpus if isinstance(gpus, int) else 0)]
        self.streams = self.events = 0
        self.ndarray = type("ndarray", (Array,), {"cupy": self})

        self.cuda = types.SimpleNamespace(
            runtime=types.SimpleNamespace(
                getDeviceCount=lambda: answer(gpus),
                driverGetVersion=lambda: answer(driver),
                runtimeGetVersion=lambda: answer(runtime),
            ),
            Device=lambda index: Gpu(self, index),
            Stream=lambda non_blocking=False: Stream(self, non_blocking),
            Event=lambda block=False, disable_timing=False: Event(self, disable_timing),
            alloc_pinned_memory=self.alloc_pinned_memory,
            PinnedMemoryPointer=PinnedMemoryPointer,
            memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            get_elapsed_time=lambda start, stop: float(stop.number - start.number),
        )

    @property
    def gpu_stack(self):
        """The GPUs that were made current by this thread."""
        return self.threads.__dict__.setdefault("gpus", [0])

    def __getattr__(self, name):
        found = getattr(np, name)
        if isinstance(found, (type, np.ufunc)) or not callable(found):
            return found

        def function(*args, **kwargs):
            self.maybe_fail(name)
            if name in ("empty", "zeros", "ones"):
                self.calls.append(("allocate", self.stream()))
            result = found(*args, **kwargs)
            return result.view(self.ndarray) if isinstance(result, np.ndarray) else result

        return function

    def ascontiguousarray(self, array):
        return array if array.flags.c_contiguous else np.ascontiguousarray(array).view(self.ndarray)

    def maybe_fail(self, call):
        if call in self.fail:
            raise type(self.fail[call])(*self.fail[call].args)  # a new one each time, as from CuPy

    def stream(self):
        """The name of the current stream."""
        stream = self.stream_stacks[self.gpu_stack[-1]][-1]
        return stream.name if stream else "default"

    def alloc_pinned_memory(self, size):
        self.calls.append(("pin", size))
        return PinnedMemoryPointer(size)


class PinnedMemoryPointer(bytearray):
    pass


class Gpu:
    compute_capability = property(lambda self: self.cupy.capability)
    mem_info = (10 * 2**30, 80 * 2**30)

    def __init__(self, cupy, index):
        self.cupy, self.id = cupy, index

    def __enter__(self):
        self.cupy.gpu_stack.append(self.id)

    def __exit__(self, *_):
        self.cupy.gpu_stack.pop()


class Stream:
    def __init__(self, cupy, non_blocking):
        cupy.maybe_fail("Stream")
        assert non_blocking, "the default stream would wait for it, and it for the default stream"
        self.cupy, self.device_id, self.name = cupy, cupy.gpu_stack[-1], f"stream {cupy.streams}"
        cupy.streams += 1

    def __enter__(self):
        if self.cupy.gpu_stack[-1] != self.device_id:
            raise RuntimeError(f"The device that the stream is created on ({self.device_id}) does not match")
        self.cupy.stream_stacks[self.device_id].append(self)

    def __exit__(self, *_):
        assert self.cupy.stream_stacks[self.device_id].pop() is self

    def record(self, event):
        if event.device_id != self.device_id:
            raise CUDARuntimeError("cudaErrorInvalidResourceHandle: invalid resource handle")
        self.cupy.calls.append(("record", self.name, event.number))
        return event

    def wait_event(self, event):
        self.cupy.calls.append(("wait", self.name, event.number))


class Event:
    def __init__(self, cupy, disable_timing):
        self.cupy, self.device_id, self.number, self.done = cupy, cupy.gpu_stack[-1], cupy.events, False
        cupy.events += 1

    def synchronize(self):
        self.cupy.calls.append(("synchronize", self.number))
        self.done = True


class Pointer:
    """`array.data`: copies are done at once, and noted with the stream they were put into."""

    def __init__(self, array):
        self.array, self.cupy = array, array.cupy

    def _copy(self, kind, to, source, size, stream):
        assert self.array.flags.c_contiguous and size == self.array.nbytes
        self.cupy.calls.append((kind, stream.name))
        ctypes.memmove(to, source, size)

    def copy_from_host_async(self, pointer, size, stream=None):
        self._copy("upload", self.array.ctypes.data, pointer, size, stream)

    def copy_to_host_async(self, pointer, size, stream=None):
        self._copy("download", pointer, self.array.ctypes.data, size, stream)

    def copy_from_device_async(self, source, size, stream=None):
        assert source.array.flags.c_contiguous
        self._copy("copy", self.array.ctypes.data, source.array.ctypes.data, size, stream)


class Array(np.ndarray):
    cupy = None
    data = property(lambda self: Pointer(self))

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if any(type(x) is np.ndarray and x.ndim for x in inputs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        self.cupy.maybe_fail(ufunc.__name__)
        out = kwargs.pop("out", ())
        plain = [x.view(np.ndarray) if isinstance(x, Array) else x for x in inputs]
        where = {"out": tuple(x.view(np.ndarray) for x in out)} if out else {}
        result = getattr(ufunc, method)(*plain, **kwargs, **where)
        if out:
            return out[0]
        return None if method == "at" else np.asarray(result).view(type(self))


class FakeKernels(types.ModuleType):
    """The module `tinynet.kernels.cuda`: the CPU's kernels, noted with the stream that is current."""

    def __init__(self, cupy):
        super().__init__("tinynet.kernels.cuda")
        self.cupy, self.workspace = cupy, None

    def use_workspace(self, count):
        self.workspace = count

    def tf32(self, on):
        self.cupy.calls.append(("tf32", on, self.cupy.gpu_stack[-1]))

    def __getattr__(self, name):
        kernel = getattr(cpu, name)

        def launch(*args):
            self.cupy.calls.append((name, self.cupy.stream()))
            self.cupy.maybe_fail(name)
            in_place = name == "sgd"
            plain = [a.view(np.ndarray) if isinstance(a, np.ndarray) else a for a in args]
            result = kernel(*plain)
            if in_place:
                return None
            wrap = lambda r: r.view(self.cupy.ndarray) if isinstance(r, np.ndarray) else r  # noqa: E731
            return tuple(map(wrap, result)) if isinstance(result, tuple) else wrap(result)

        return launch
