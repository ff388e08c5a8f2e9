"""Value: what a Tensor is made of, and all that the operations know of it."""

from typing import Self

import numpy as np

from tinynet.devices.device import Device
from tinynet.tape import Entry, leaf


class Value:
    """An array, its device, its place on the tape (None: off it), and the gradient that backward left.

    Operations check that what they are given is a Value, and their results are of the class of their inputs. That class is
    Tensor, which has the operations as methods and operators; so operations need not know it.
    """

    __slots__ = {
        "__weakref__": "",
        "data": "The array: NumPy's, or CuPy's on a GPU.",
        "device": "Where the array lives.",
        "entry": "The place on the tape, or None.",
        "grad": "The gradient that backward left here, an array or None; of a computed tensor only after retain_grad().",
    }

    def __init__(self, data, device: Device, entry: Entry | None = None):
        self.data, self.device, self.entry, self.grad = data, device, entry, None

    def off_tape(self, data) -> Self:
        """Another array of the same device as a constant."""
        return self.__class__(data, self.device)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def requires_grad(self) -> bool:
        """Whether this tensor is on the tape: made with `requires_grad=True`, or computed from such a tensor."""
        return self.entry is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self.entry is not None and self.entry.leaf is None:
            raise ValueError("requires_grad of a computed tensor cannot be set; use .detach() to cut it off the tape")
        if not value:
            self.entry = None
        elif self.entry is None:
            if self.data.dtype not in (np.float32, np.float64):
                raise TypeError(f"requires_grad: {self.data.dtype} has no gradient; expected float32 or float64")
            self.entry = leaf(self)

    def detach(self) -> Self:
        """A tensor with the same data that is not on the tape."""
        return self.off_tape(self.data)

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array on the host (on the CPU the array itself, not a copy)."""
        return self.device.numpy(self.data)
