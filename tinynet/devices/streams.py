"""The order of events on devices that work through a queue of their own while Python goes on: CUDA, and its simulation.

Everything that a device is given waits in its *stream*, and is done in that order. Nothing orders two streams, or a
stream and the host, but *events*: a mark in one stream for which another stream, or the host, waits. And memory is given
back by the host, at once, although a stream may have yet to read it. So there are three rules, and this file is the only
place where they are followed:

1. Work on an array is put into the stream of the array's device: `with device:`.
2. Who reads what another wrote waits for an event that was recorded after the writing.
3. What another stream reads is kept alive until an event after the reading has happened.

`cuda.py` and `sim.py` supply the primitives: record, wait and the copies. The simulation checks every access against
these rules, so what it proves here holds for CUDA as well, as far as CUDA's primitives do what their names say.
"""

from collections import deque

import numpy as np

from tinynet.devices.device import Device
from tinynet.errors import DeviceError

UPLOADS = -1  # the number of a stream that does nothing but bring batches from the host


class Streamed(Device):
    """A device with a stream. Only one is `current`, the innermost `with device:`, and only that one is given work."""

    __slots__ = ("_direct", "_in_flight", "_outer", "_uploads")

    lag = 1  # the host is a step ahead: it queues a step while the device computes the one before
    current = None

    def __init__(self, kind: str, index: int, xp, kernels, number: int):
        stream = {0: "", UPLOADS: " uploads"}.get(number, f" stream {number + 1}")
        super().__init__(kind, index, xp, kernels, f"{kind}:{index}{stream}")
        self.active = False
        self._outer: list[Streamed | None] = []
        self._in_flight: deque = deque()  # (event, what must not be freed before it), in the order of this stream
        self._direct: dict[Device, bool] = {}  # other device -> whether copies from it go straight, or through the host
        self._uploads = None  # the device that is another stream here, for `array_ahead`

    def __enter__(self):
        self._enter()
        outer = Streamed.current
        self._outer.append(outer)
        if outer is not None:
            outer.active = False
        Streamed.current, self.active = self, True
        return self

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        outer, self.active = self._outer.pop(), False
        Streamed.current = outer
        if outer is not None:
            outer.active = True
        self._leave()

    def array(self, host):
        staged = self._stage(np.asarray(host))
        with self:
            array = self._upload(staged)
            self._keep(staged)
        self.observe("upload", "copy", array.shape)
        return array

    def array_ahead(self, host):
        if self._uploads is None:
            self._uploads = self._stream_for_uploads()
            self._direct[self._uploads] = True  # within one memory there is no bridge that could damage it
        # It arrives in memory of the other stream's, while this one computes, and is then copied within the device.
        array = self.fetch(self._uploads.array(host), self._uploads)
        self.observe("upload", "copy", array.shape)
        return array

    def numpy_later(self, array):
        with self:
            staged = self._download(self._gapless(array))
            self._keep(staged)
            ready = self.record()
        self.observe("download", "copy", array.shape)

        def values():
            ready.synchronize()
            return self._read(staged)

        return values

    def numpy(self, array):
        return self.numpy_later(array)()

    def fetch(self, array, source):
        if not isinstance(source, type(self)):
            return self.array(source.numpy(array))
        direct = self.connect(source)
        with source:
            cargo = source._gapless(array)
            if not direct:
                cargo = source._download(cargo)
            ready = source.record()
        with self:
            self.wait(ready)
            self.observe(None, "wait")
            landed = self._copy(cargo) if direct else self._upload(cargo)
            self._keep(cargo)
        return landed

    def connect(self, source: "Streamed") -> bool:
        """Find out, once, how copies from `source` arrive: directly (True), or through the host's memory (False).

        Copies between two GPUs can be silently wrong on machines whose PCIe bridges translate addresses (ACS, IOMMU):
        so a random block goes first. If it arrives damaged, all copies take the long way: a user can seldom do anything
        about a bridge, and slow copies that are right beat no training. Raises DeviceError if it is damaged even so.
        """
        if source in self._direct:
            return self._direct[source]
        block = np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8)
        for direct in (True, False):
            self._direct[source] = direct
            if np.array_equal(self.numpy(self.fetch(source.array(block), source)), block):
                return direct
        del self._direct[source]
        raise DeviceError(
            f"a block copied from {source.name} to {self.name} arrives damaged, even through host memory: this machine "
            "computes wrongly; use one of the two alone, or --device cpu"
        )

    def _gapless(self, array):
        return self.xp.ascontiguousarray(array).reshape(array.shape)  # which would have made (1,) of ()

    def _keep(self, thing):
        """Hold on to `thing` until what is in the stream by now is done."""
        while self._in_flight and self._in_flight[0][0].done:
            self._in_flight.popleft()
        self._in_flight.append((self.record(), thing))

    def synchronize(self):
        self.record().synchronize()
        self._in_flight.clear()

    # what a kind of device supplies; _upload, _download and _copy are called inside `with self:` -----------------------

    def _stream_for_uploads(self):
        """A device that is another stream of this one's GPU, number UPLOADS."""
        raise NotImplementedError

    def _enter(self):
        """Let work go into this stream."""
        raise NotImplementedError

    def _leave(self):
        """Undo the last `_enter`."""
        raise NotImplementedError

    def record(self):
        """An event at the end of what is in the stream: has `done` and `synchronize()`, for which the host waits."""
        raise NotImplementedError

    def wait(self, event):
        """Let what is put into the stream from now on wait for `event`, which may be another device's."""
        raise NotImplementedError

    def _stage(self, host):
        """A copy of `host` in memory of the host that a stream can read: page-locked."""
        raise NotImplementedError

    def _read(self, staged):
        """The values of page-locked memory, as an ordinary NumPy array."""
        raise NotImplementedError

    def _upload(self, staged):
        """A new array with the values of page-locked memory."""
        raise NotImplementedError

    def _download(self, array):
        """New page-locked memory for the values of a contiguous array."""
        raise NotImplementedError

    def _copy(self, cargo):
        """A new array with the values of another device's contiguous array."""
        raise NotImplementedError
