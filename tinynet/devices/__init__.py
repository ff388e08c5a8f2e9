"""Devices: where an array lives and in which order things happen to it.

`devices("cpu:0,cpu:1")` turns what a user types into a list of `Device`. A device is *logical*: `cpu:0` and `cpu:1`
share the host's memory, yet tensors of the two never meet except in `transfer`, so that a network written for two
devices is exercised on any machine.
"""

from tinynet.devices.cpu import CPU
from tinynet.devices.device import Device
from tinynet.errors import DeviceError

__all__ = ["Device", "DeviceError", "as_device", "devices"]

_KNOWN: dict[str, Device] = {}


def devices(names: str) -> list[Device]:
    """The devices named in a comma-separated list, such as "cpu", "cpu:0,cpu:1" or "cuda:0".

    A missing index is 0. The same name always gives the same `Device`. Raises DeviceError, in one sentence, for a name
    that is not a device and for a device that this machine cannot use.
    """
    return [_device(name.strip(), names) for name in str(names).split(",")]


def as_device(device: "Device | str | None") -> Device:
    """A `Device` from a device, a name, or None (which means cpu:0)."""
    if isinstance(device, Device):
        return device
    found = devices("cpu:0" if device is None else device)
    if len(found) != 1:
        raise DeviceError(f"expected one device, got {device!r}; name one, such as 'cpu:0'")
    return found[0]


def _device(name: str, given: str) -> Device:
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or not ((index.isascii() and index.isdecimal()) or name == kind):
        raise DeviceError(f"unknown device {name!r} in {given!r}; expected 'cpu', 'cpu:0,cpu:1' or 'cuda:0'")
    key = f"{kind}:{int(index or 0)}"
    if key not in _KNOWN:
        if kind == "cuda":
            from tinynet.devices.cuda import CUDA as Kind  # late: CuPy is optional and slow to import
        else:
            Kind = CPU
        _KNOWN[key] = Kind(int(index or 0))
    return _KNOWN[key]
