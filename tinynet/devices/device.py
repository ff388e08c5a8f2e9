"""What every kind of device offers to the rest of tinynet."""


class Device:
    """A place for arrays.

    `xp` is the array module (numpy or cupy), `kernels` the module with the fast inner loops, `name` is like "cpu:0".
    Two tensors may meet in an operation only if their device is the same object.
    """

    __slots__ = ("index", "kernels", "kind", "name", "xp")

    def __init__(self, kind: str, index: int, xp, kernels):
        self.kind, self.index, self.name = kind, index, f"{kind}:{index}"
        self.xp, self.kernels = xp, kernels

    def array(self, host):
        """An array of this device with the values of the NumPy array `host` (shared, where the memory is the same)."""
        raise NotImplementedError

    def numpy(self, array):
        """A NumPy array with the values of `array`, an array of this device (shared, where the memory is the same)."""
        raise NotImplementedError

    def fetch(self, array, source: "Device"):
        """A copy on this device of `array`, which lives on `source`."""
        raise NotImplementedError

    def __repr__(self):
        return f"Device({self.name!r})"
