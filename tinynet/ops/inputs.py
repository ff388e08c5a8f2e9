"""What an operation is given: Tensors, or numbers and arrays beside a Tensor. What does not fit gets one sentence."""

import numpy as np

from tinynet.errors import check_alike
from tinynet.value import Value


def plain(number):
    """The Python number in a NumPy scalar, or in an array or a Tensor of one element; what else stands there, as it is."""
    return number.item() if hasattr(number, "item") else number


def expect(op, *inputs):
    """Raises TypeError for what is no Tensor and for two dtypes, DeviceError for two devices."""
    for x in inputs:
        if not isinstance(x, Value):  # NumPy's arrays have a .data and a .device too, which mean something else
            raise TypeError(f"{op}: expected a Tensor, got {type(x).__name__}; wrap it in tn.tensor(...)")
    if len(inputs) > 1:
        check_alike(op, inputs)


def expect_floats(op, *inputs):
    """As `expect`; raises TypeError for integers too, whose results would be cut to whole numbers."""
    expect(op, *inputs)
    if inputs[0].data.dtype.kind != "f":
        raise TypeError(f"{op}: expected floats, got {inputs[0].data.dtype}; convert them with .astype(np.float32)")


def operands(op, a, b):
    """Both arguments of a binary op as Tensors; a number or an array becomes a constant like the tensor it meets."""
    if isinstance(a, Value):
        return (a, b) if isinstance(b, Value) else (a, _constant(op, b, a))
    return (_constant(op, a, b), b) if isinstance(b, Value) else (_not_tensors(op, a, b))


def _constant(op, value, like):
    # The tensor decides the dtype: neither a Python float nor a float64 array widens float32.
    xp, dtype, number = like.device.xp, like.data.dtype, isinstance(value, (int, float))
    array = value if number or isinstance(value, xp.ndarray) else np.asarray(value)
    if not number and array.dtype.kind not in "fiub":
        raise TypeError(f"{op}: expected a Tensor, a number or an array of numbers, got {type(value).__name__}")
    if dtype.kind != "f":  # floats can take any number; integers take none that would be cut to fit
        given = np.asarray(value).dtype if number else array.dtype
        fits = np.can_cast(given, dtype) or (isinstance(value, int) and dtype.kind in "iu")  # its size NumPy checks
        if given.kind in "iu" and dtype.kind in "iu" and isinstance(array, np.ndarray):
            fits = np.array_equal(array.astype(dtype), array)
        if not fits:
            raise TypeError(
                f"{op}: numbers of {given} do not fit into a tensor of {dtype}; convert the tensor with .astype(...)"
            )
    return like.off_tape(xp.array(array, dtype=dtype))  # a copy, because backward must find it as it is now


def _not_tensors(op, a, b):
    raise TypeError(f"{op}: expected at least one Tensor, got {type(a).__name__} and {type(b).__name__}")


def kept(array, tensor):
    """`array`, if the gradient of `tensor` needs it, else None, so that the tape keeps no more than it must."""
    return array if tensor.entry is not None else None
