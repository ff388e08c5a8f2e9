"""Simulated devices: NumPy arrays that know whose they are, and clocks that notice what was not waited for.

`sim:0,sim:1` compute with the CPU's kernels, at once, but account for every access as if each device had a stream that
may be as late as it likes. Each stream and the host has a *vector clock*: for every other one, how many of its acts have
surely happened. Each piece of memory remembers who wrote it last and who has read it since. An access that is not
ordered after these by an event, whatever the timing, raises StreamOrderError and names both sides; so do arrays of two
devices in one operation, work given to a device that is not current, and memory freed while another stream may use it.

An array here is no `np.ndarray`: what is not accounted for does not exist, and whatever would make the host wait in the
middle of a step, such as `float(array)`, raises as well.
"""

import time

import numpy as np

from tinynet.devices.streams import UPLOADS, Streamed
from tinynet.errors import DeviceError, StreamOrderError
from tinynet.kernels import cpu

IN_PLACE = {"sgd": (0, 1), "copyto": (0,), "at": (0,)}  # function -> which arguments it writes to; others write to none


class Actor:
    """Whatever does one thing after the other: a stream, or the host. `seen` says how many acts of others lie behind."""

    __slots__ = ("acts", "name", "seen", "time")

    def __init__(self, name):
        self.name, self.acts, self.seen, self.time = name, 0, {}, 0.0

    def has_seen(self, other, act):
        return other is self or self.seen.get(other, 0) >= act

    def see(self, acts):
        for other, act in acts.items():
            self.seen[other] = max(act, self.seen.get(other, 0))


class Host(Actor):
    """The Python program. `faults` are errors found where nothing can be raised: they are raised at the next act."""

    __slots__ = ("faults",)

    def __init__(self):
        super().__init__("the host")
        self.faults = []

    def act(self):
        if self.faults:
            raise self.faults.pop(0)
        self.acts += 1


class Event:
    """What an actor had seen at some moment. `done` only once the host has waited for it: the latest it could be."""

    __slots__ = ("_host", "acts", "time")

    def __init__(self, actor, host):
        self.acts, self.time, self._host = {**actor.seen, actor: actor.acts}, actor.time, host

    @property
    def done(self):
        return all(self._host.has_seen(actor, act) for actor, act in self.acts.items())

    def synchronize(self):
        self._host.see(self.acts)
        self._host.time = max(self._host.time, self.time)


class Memory:
    """A block of memory: whose pool it returns to, who wrote it last, and who has read it since."""

    __slots__ = ("_home", "_host", "_read", "_written")

    def __init__(self, home, host, writer, op):
        self._home, self._host = home, host
        self._written, self._read = (writer, writer.acts, op), {}

    def _uses(self):
        """(actor, act, op, what it does) of the last write and of all reads since."""
        writer, act, op = self._written
        yield writer, act, op, "writing"
        for reader, (act, op) in self._read.items():
            yield reader, act, op, "reading"

    def read(self, actor, op):
        """Account for a read by the present act of `actor`; raises StreamOrderError if the values may not be there yet."""
        writer, act, what = self._written
        if not actor.has_seen(writer, act):
            raise StreamOrderError(
                f"{op} on {actor.name} reads what {what} on {writer.name} may still be writing: {actor.name} must wait "
                f"for an event that {writer.name} recorded after it"
            )
        self._read[actor] = actor.acts, op

    def write(self, actor, op):
        """Account for a write; raises StreamOrderError if somebody may still be writing or reading."""
        for other, act, what, doing in self._uses():
            if not actor.has_seen(other, act):
                raise StreamOrderError(
                    f"{op} on {actor.name} overwrites what {what} on {other.name} may still be {doing}: {actor.name} must "
                    f"wait for an event that {other.name} recorded after it"
                )
        self._written, self._read = (actor, actor.acts, op), {}

    def __del__(self):
        # The next array of the same pool may get this memory at once, so its owner or the host must have seen all uses.
        for other, act, what, doing in self._uses():
            if not (self._home.has_seen(other, act) or self._host.has_seen(other, act)):
                self._host.faults.append(
                    StreamOrderError(
                        f"memory of {self._home.name} was freed while {what} on {other.name} may still be {doing}: it must "
                        f"be kept until an event that {other.name} recorded after it is done"
                    )
                )
                return


class SimArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array of a simulated device. Views share their owner's memory, as `base` says."""

    __slots__ = ("_values", "base", "device", "memory")

    def __init__(self, values, device, memory, base=None):
        self._values, self.device, self.memory, self.base = values, device, memory, base

    shape = property(lambda self: self._values.shape)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    nbytes = property(lambda self: self._values.nbytes)
    T = property(lambda self: self.transpose())

    def __len__(self):
        return len(self._values)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        function, name = getattr(ufunc, method), ufunc.__name__ if method != "at" else "at"
        return _device_of(name, (inputs, kwargs)).issue(name, function, inputs, kwargs)

    def __array_function__(self, function, types, args, kwargs):
        return _device_of(function.__name__, (args, kwargs)).issue(function.__name__, function, args, kwargs)

    def __getitem__(self, key):
        return self.device.issue("index", lambda values, key: values[key], (self, key), {})

    def __setitem__(self, key, value):
        def assign(values, value, key):
            values[key] = value

        device = _device_of("assignment", (self, value))
        device.issue("assignment", assign, (self, value, key), {}, writes=(0,), host=True)

    def __array__(self, dtype=None, copy=None):
        raise TypeError(f"an array of {self.device.name} is no NumPy array; use device.numpy(array)")

    def __bool__(self):
        raise TypeError(f"the host would have to wait for {self.device.name} to know this; use device.numpy(array)")

    __float__ = __int__ = __index__ = __bool__

    def __repr__(self):
        return f"SimArray({self.shape}, {self.dtype}, {self.device.name})"


def _method(name):
    function = getattr(np.ndarray, name)
    return lambda self, *args, **kwargs: self.device.issue(name, function, (self, *args), kwargs)


for _name in ("all", "any", "argmax", "astype", "copy", "flatten", "max", "mean", "min", "prod", "ravel", "reshape",
              "squeeze", "std", "sum", "swapaxes", "transpose", "var"):  # fmt: skip
    setattr(SimArray, _name, _method(_name))


class Staged:
    """Page-locked memory of the host: streams copy from it and into it while the host goes on."""

    __slots__ = ("memory", "values")

    def __init__(self, values, memory):
        self.values, self.memory = values, memory


class Namespace:
    """The array module of a simulated device: NumPy, but what it makes belongs to the device."""

    ndarray = SimArray

    def __init__(self, device):
        self._device = device

    def __getattr__(self, name):
        found = getattr(np, name)
        if isinstance(found, (type, np.ufunc)) or not callable(found):
            return found
        return lambda *args, **kwargs: self._device.issue(name, found, args, kwargs)

    def asarray(self, values, dtype=None):
        same = isinstance(values, SimArray) and (dtype is None or values.dtype == dtype)
        return values if same else self.array(values, dtype)

    def array(self, values, dtype=None):
        if not isinstance(values, SimArray):
            values = (np.array(values, dtype),)  # in a tuple: an array of the host is welcome here
            return self._device.issue("array", lambda value: value[0].copy(), (values,), {}, host=True)
        return self._device.issue("array", np.array, (values, dtype), {})


class Kernels:
    """The CPU's kernels on simulated arrays. What a kernel is not known to write to, it cannot write to."""

    def __init__(self, device):
        self._device = device

    def __getattr__(self, name):
        function = getattr(cpu, name)
        return lambda *args, **kwargs: self._device.issue(name, function, args, kwargs, locked=True)


class Sim(Streamed):
    """`sim:0`, `sim:1`, ...: written twice in one list, two streams of one device. All share one `Host`."""

    __slots__ = ("_host", "_stream")

    def __init__(self, index, number=0, host=None):
        super().__init__("sim", index, Namespace(self), Kernels(self), number)
        self._host, self._stream = host or HOST, Actor(self.name)

    def issue(self, op, function, args, kwargs, writes=None, locked=False, host=False):
        """Put function(*args, **kwargs) into the stream: check and account for what it reads and writes, and compute it."""
        reads = list(_arrays((args, kwargs), None if host or op == "index" else op))
        writes = IN_PLACE.get(op, ()) if writes is None else writes
        written = [args[i] for i in writes] + list(_arrays(kwargs.get("out"), op))
        stream = self._begin(op, [*reads, *written])
        began = time.perf_counter()
        for a in written:
            a.memory.write(stream, op)
        plain = [_plain(a, locked and i not in writes) for i, a in enumerate(args)]
        result = function(*plain, **{key: _plain(value, False) for key, value in kwargs.items()})
        stream.time += time.perf_counter() - began
        view = isinstance(result, np.ndarray) and not written and any(np.may_share_memory(result, a._values) for a in reads)
        for memory in {a.memory for a in reads if not view} - {a.memory for a in written}:
            memory.read(stream, op)
        return written[0] if kwargs.get("out") is not None else self._own(result, reads, op)

    def _begin(self, op, arrays):
        """Another act of the stream; raises DeviceError for arrays of others, or if work would go to another device."""
        for a in arrays:
            if a.device is not self:
                raise DeviceError(f"{op} mixes arrays of {self.name} and {a.device.name}; bring them together with transfer")
        if Streamed.current is not self:
            where = Streamed.current.name if Streamed.current else "no device"
            raise DeviceError(f"{op} on {self.name} while {where} is current; write `with device:` around it")
        return self._act()

    def _act(self):
        self._host.act()
        self._stream.acts += 1
        self._stream.see({**self._host.seen, self._host: self._host.acts})  # a stream does nothing before it is told to
        self._stream.time = max(self._stream.time, self._host.time)
        return self._stream

    def _own(self, result, reads, op):
        """The result as arrays of this device: views of what they are views of, or new memory."""
        if isinstance(result, (list, tuple)):
            return type(result)(self._own(item, reads, op) for item in result)
        if not isinstance(result, (np.ndarray, np.generic)):
            return result
        result = np.asarray(result)
        for a in reads:
            if np.may_share_memory(result, a._values):
                return SimArray(result, self, a.memory, base=a if a.base is None else a.base)
        return SimArray(result, self, Memory(self._stream, self._host, self._stream, op))

    # the primitives ---------------------------------------------------------------------------------------------------

    def _stream_for_uploads(self):
        return Sim(self.index, UPLOADS, self._host)

    def _enter(self):
        pass

    def _leave(self):
        pass

    def record(self):
        return Event(self._stream, self._host)

    def wait(self, event):
        self._stream.see(event.acts)
        self._stream.time = max(self._stream.time, event.time)

    def _stage(self, host):
        self._host.act()
        return Staged(np.array(host), Memory(self._host, self._host, self._host, "staging"))

    def _read(self, staged):
        self._host.act()
        staged.memory.read(self._host, "numpy")
        return staged.values.copy()

    def _upload(self, staged):
        return self._moved("upload", staged, staged.values)

    def _copy(self, cargo):
        return self._moved("copy", cargo, cargo._values)

    def _moved(self, op, source, values):
        stream, began = self._begin(op, ()), time.perf_counter()
        source.memory.read(stream, op)
        moved = values.copy()
        stream.time += time.perf_counter() - began
        return self._own(moved, (), op)

    def _download(self, array):
        stream = self._begin("download", (array,))
        array.memory.read(stream, "download")
        return Staged(array._values.copy(), Memory(self._host, self._host, stream, "download"))

    def stamp(self):
        return max(self._stream.time, self._host.time)


HOST = Host()


def _arrays(thing, op):
    """All simulated arrays in nested arguments. Given an op, raises TypeError for an array of the host, as CuPy does."""
    if isinstance(thing, SimArray):
        yield thing
    elif isinstance(thing, (list, tuple)):
        for item in thing:
            yield from _arrays(item, op)
    elif isinstance(thing, dict):
        yield from _arrays(list(thing.values()), op)
    elif isinstance(thing, np.ndarray) and op:
        raise TypeError(f"{op}: unsupported type {type(thing)}; bring it over with device.array(...)")


def _device_of(op, things):
    devices = list(dict.fromkeys(a.device for a in _arrays(things, op)))
    if len(devices) > 1:
        names = " and ".join(device.name for device in devices)
        raise DeviceError(f"{op} mixes arrays of {names}; bring them together with transfer")
    return devices[0]


def _plain(thing, locked):
    if isinstance(thing, SimArray):
        plain = thing._values
        if locked:
            plain = plain.view()
            plain.flags.writeable = False
        return plain
    if isinstance(thing, (list, tuple)):
        return type(thing)(_plain(item, locked) for item in thing)
    return thing
