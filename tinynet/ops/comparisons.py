"""Comparisons: which elements are equal, smaller, larger. A comparison has no slope, so nothing of it goes on the tape."""

import numpy as np

from tinynet.errors import check_alike
from tinynet.ops.arithmetic import broadcast
from tinynet.tape import record
from tinynet.value import Value


def compare(op, function, a, b):
    """function(a, b), elementwise with NumPy's broadcasting, as a Tensor of booleans.

    a: Tensor. b: Tensor of any dtype on the same device, number or array; NotImplemented, as Python wants it, for the rest.
    """
    if isinstance(b, Value):
        if b.device is not a.device:
            check_alike(op, (a, b))
    else:
        b = b if isinstance(b, (int, float, a.device.xp.ndarray)) else np.asarray(b)
        if hasattr(b, "dtype") and b.dtype.kind not in "fiub":
            return NotImplemented
        # A float tensor decides the dtype, as in arithmetic: float32's 0.1 is equal to 0.1. Beside integers NumPy decides.
        b = a.off_tape(a.device.xp.asarray(b, dtype=a.dtype if a.dtype.kind == "f" else None))
    return record(op, broadcast(op, function, a, b), (a.detach(),), None)
