"""What every kind of device offers to the rest of tinynet."""

import time
from typing import ClassVar

from tinynet.errors import UsageError, locate


class Device:
    """A place for arrays, and an order in which things happen to them.

    `xp` is the array module (numpy or cupy), `kernels` the module with the fast inner loops, `name` is like "cpu:0".
    Two tensors may meet in an operation only if their device is the same object. Work on arrays of a device is given to
    it inside `with device:`; `active` says whether it may be given work at the moment.
    """

    __slots__ = ("active", "index", "kernels", "kind", "name", "xp")

    observers: ClassVar[list] = []  # functions, told of all work that any device is given, as `observe` is
    lag = 0  # how many training steps the host may be ahead of what it has seen the result of

    def __init__(self, kind: str, index: int, xp, kernels, name: str | None = None):
        self.kind, self.index, self.name = kind, index, name or f"{kind}:{index}"
        self.xp, self.kernels, self.active = xp, kernels, True

    def __enter__(self):
        """Make this the device that is given work. One that works at once, as a CPU does, may always be given some."""
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            locate(error, place=self)

    def observe(self, op: str | None, phase: str, shape: tuple = (), inputs: tuple = (), made=None) -> None:
        """Tell the observers that this device was just given `op`; without an op, that until now it was waiting.

        inputs: the Tensors that a forward or an update was given. made: the Tensor that a forward gave; the entry of the
        tape that a backward played.
        """
        for observer in self.observers:
            observer(self, op, phase, shape, inputs, made)

    def owns(self, array) -> bool:
        """Whether an array's memory is its own: it is no view of another one."""
        return array.base is None

    def array(self, host):
        """An array of this device with the values of the NumPy array `host` (shared, where the memory is the same)."""
        raise NotImplementedError

    def stage(self, host):
        """`host`, or a copy of it from which `array` and `array_ahead` take less time: for the thread that loaded it."""
        return host

    def array_ahead(self, host):
        """As `array`, but without waiting for work that this device was given before."""
        return self.array(host)

    def numpy(self, array):
        """A NumPy array with the values of `array`, an array of this device (shared, where the memory is the same)."""
        raise NotImplementedError

    def numpy_later(self, array):
        """A function that gives what `numpy(array)` would give now, without waiting for work that is queued after now."""
        return lambda: self.numpy(array)

    def fetch(self, array, source: "Device"):
        """A copy on this device of `array`, which lives on `source`."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait until everything that this device was given to do is done."""

    def configure(self, tf32: bool | None = None, workspace: int | None = None) -> None:
        """Choose how matrix products are rounded, and bound the bytes of kernels' columns: only CUDA has the choice.

        Raises UsageError elsewhere, if anything is chosen; its text begins with the name of the argument.
        """
        chosen = [name for name, value in (("tf32", tf32), ("workspace", workspace)) if value is not None]
        if chosen:
            raise UsageError(f"{chosen[0]} is for CUDA devices and means nothing on {self.name}; leave it out")

    def out_of_memory(self, error: Exception) -> str | None:
        """What is known about the memory, in parentheses, if `error` says that this device has run out of it, else None."""
        return f" ({error})" if isinstance(error, MemoryError) else None

    def stamp(self):
        """This moment in the order of this device's work, for `seconds`."""
        return time.perf_counter()

    def seconds(self, start, stop) -> float:
        """The time from one `stamp` to a later one, once the device is synchronized."""
        return stop - start

    def __reduce__(self):
        from tinynet.devices import named  # late: it knows the kinds of devices, which are made from this one

        return named, (self.name,)

    def __repr__(self):
        return f"Device({self.name!r})"
