"""Timelines: which device did what when, as Chrome's trace viewer reads it.

The host tells a timeline about every piece of work after it has queued it (`Device.observers`). It then sets a
stamp into the stream of *every* device. So whatever a device does next lies between its last stamp and the one that
follows: not even a device that has run out of work, and waits for the host, is drawn as busy.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet.devices.device import Device


@dataclass(frozen=True)
class Span:
    """Device number `row` did `op` (phase: forward, backward, update or copy) from `start` to `stop`, in seconds."""

    row: int
    op: str
    phase: str
    shape: tuple
    start: float
    stop: float


class Timeline:
    """While entered, notes what each of `devices` is given; on leaving, waits for them and makes `spans` of it.

    Stamps are events on CUDA, clocks on the CPU. Simulated devices compute one after the other, but their stamps are as if
    each had a stream of its own: what they would do at the same time, if they computed like this CPU.
    """

    def __init__(self, devices: Sequence[Device]):
        self.devices = list(dict.fromkeys(devices))
        self.spans: list[Span] = []

    def __enter__(self):
        for device in self.devices:
            device.synchronize()  # so that clocks of two GPUs, which have nothing in common, start together
        self._zero = [device.stamp() for device in self.devices]
        self._last, self._notes = list(self._zero), []
        Device.observers.append(self._note)
        return self

    def _note(self, device, op, phase, shape, inputs, made):
        stamps = [d.stamp() for d in self.devices]
        if phase != "wait" and device in self.devices:
            row = self.devices.index(device)
            self._notes.append((row, op, "copy" if op == "transfer" else phase, shape, self._last[row], stamps[row]))
        self._last = stamps

    def __exit__(self, *_):
        Device.observers.remove(self._note)
        for device in self.devices:
            device.synchronize()
        for row, op, phase, shape, start, stop in self._notes:
            since = [self.devices[row].seconds(self._zero[row], stamp) for stamp in (start, stop)]
            self.spans.append(Span(row, op, phase, tuple(shape), *since))

    def seconds(self) -> float:
        """From the beginning to the end of all work."""
        return max((span.stop for span in self.spans), default=0.0)

    def busy(self, row: int) -> float:
        """The fraction of that time in which device number `row` had something to do."""
        return sum(span.stop - span.start for span in self.spans if span.row == row) / (self.seconds() or 1.0)

    def events(self) -> list[dict]:
        """The spans as Chrome's trace viewer wants them: dicts, times in microseconds."""
        events: list[dict] = [
            {"ph": "M", "name": "thread_name", "pid": 0, "tid": row, "args": {"name": device.name}}
            for row, device in enumerate(self.devices)
        ]
        events += [
            {"ph": "X", "name": span.op, "cat": span.phase, "pid": 0, "tid": span.row, "ts": 1e6 * span.start,
             "dur": 1e6 * (span.stop - span.start), "args": {"shape": list(span.shape)}}
            for span in self.spans
        ]  # fmt: skip
        return events

    def write(self, path: str | Path) -> Path:
        """Write the events for chrome://tracing or ui.perfetto.dev, as JSON; returns the Path."""
        path = Path(path)
        path.write_text(json.dumps({"traceEvents": self.events(), "displayTimeUnit": "ms"}), encoding="utf-8")
        return path
