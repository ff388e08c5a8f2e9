"""Devices: where an array lives and in which order things happen to it.

`devices("cpu:0,cpu:1")` turns what a user types into a list of `Device`. A device is *logical*: `cpu:0` and `cpu:1`
share the host's memory, `cuda:0,cuda:0` are two streams of one GPU, and yet tensors of the two never meet except in
`transfer`, so that a network written for two devices is exercised on any machine. `sim:0,sim:1` are simulated GPUs: NumPy
arrays, and an account of what must be waited for.
"""

import warnings
from itertools import permutations

from tinynet.devices.cpu import CPU
from tinynet.devices.device import Device
from tinynet.devices.sim import Sim
from tinynet.devices.streams import Streamed
from tinynet.errors import DeviceError

__all__ = ["Device", "DeviceError", "as_device", "devices"]

_KNOWN: dict[tuple, Device] = {}


def devices(names: str) -> list[Device]:
    """The devices named in a comma-separated list, such as "cpu", "cpu:0,cpu:1", "cuda:0,cuda:1" or "sim:0,sim:1".

    A missing index is 0. The same list always gives the same `Device`s. A CUDA or simulated device that is named twice is
    two streams of it, and two `Device`s: "cuda:0" and "cuda:0 stream 2"; a CPU that is named twice is one `Device`. Of
    CUDA and simulated devices, the first one ever named is current outside of any `with device:`.
    Raises DeviceError, in one sentence, for a name that is not a device and for a device that this machine cannot use.
    Warns if copies between two GPUs arrive damaged and therefore take the way through the host's memory.
    """
    found: list[Device] = []
    for name in str(names).split(","):
        kind, index = _parse(name.strip(), names)
        found.append(_device(kind, index, [(d.kind, d.index) for d in found].count((kind, index))))
    for here, there in permutations([d for d in dict.fromkeys(found) if isinstance(d, Streamed)], 2):
        if here.kind == there.kind and not here.connect(there):
            warnings.warn(
                f"copies from {there.name} to {here.name} arrive damaged and go through host memory now, which is slower; "
                "switching off ACS or the IOMMU in the BIOS mends this on many machines",
                stacklevel=2,
            )
    return found


def known() -> list[Device]:
    """All devices that were ever named, in that order."""
    return list(_KNOWN.values())


def named(name: str) -> Device:
    """The `Device` that calls itself `name`, such as "cuda:0 stream 2": what a copied or an unpickled one is."""
    place, _, number = name.partition(" stream ")
    return devices(",".join([place] * int(number or 1)))[-1]


def as_device(device: "Device | str | None") -> Device:
    """A `Device` from a device, a name, or None (which means cpu:0)."""
    if isinstance(device, Device):
        return device
    found = devices("cpu:0" if device is None else device)
    if len(found) != 1:
        raise DeviceError(f"expected one device, got {device!r}; name one, such as 'cpu:0'")
    return found[0]


def _parse(name: str, given: str) -> tuple[str, int]:
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "sim") or not ((index.isascii() and index.isdecimal()) or name == kind):
        raise DeviceError(
            f"unknown device {name!r} in {given!r}; expected 'cpu', 'cuda:0', 'cuda:0,cuda:1' or 'sim:0,sim:1'"
        )
    return kind, int(index or 0)


def _device(kind: str, index: int, number: int) -> Device:
    key = kind, index, 0 if kind == "cpu" else number
    if key not in _KNOWN:
        made: Device
        if kind == "cpu":
            made = CPU(index)
        elif kind == "sim":
            made = Sim(index, number)
        else:
            from tinynet.devices.cuda import CUDA  # late: CuPy is optional and slow to import

            made = CUDA(index, number)
        if isinstance(made, Streamed) and Streamed.current is None:
            made.__enter__()  # for good: a program with one device need not say where
        _KNOWN[key] = made
    return _KNOWN[key]
