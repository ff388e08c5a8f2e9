"""The CPU: NumPy arrays in host memory, in program order."""

import numpy as np

from tinynet.devices.device import Device
from tinynet.kernels import cpu
from tinynet.kernels.cpu.memory import Lease


class CPU(Device):
    """`cpu:0`, `cpu:1`, ...: logical devices that share the host's memory and never each other's arrays."""

    __slots__ = ()

    def __init__(self, index: int):
        super().__init__("cpu", index, np, cpu)

    def owns(self, array):
        return array.base is None or isinstance(array.base, Lease)

    def array(self, host):
        return np.asarray(host)

    def numpy(self, array):
        return array

    def fetch(self, array, source):
        # A copy even though the memory is shared: what one device overwrites, the other must not see change.
        return np.array(source.numpy(array))
