"""What is checked, in one shape for both kinds: a function of arrays with a vjp, and a function of Tensors with a tape.

Both are called with copies, so that whatever they write into can be seen and harms nothing, and without NumPy's warnings:
a value that is not finite is reported by the check.
"""

import inspect

import numpy as np

from tinynet.tape import no_grad
from tinynet.tensor import Tensor, tensor


class BackwardError(Exception):
    """A backward pass that gave nothing that could be compared."""


class ArrayFunction:
    """f and vjp on float64 arrays; both get copies, so that whatever they do to them shows."""

    tape = False

    def __init__(self, f, args, vjp):
        self.f, self.vjp, self.arrays, self.op = f, vjp, float64(args), title(f)

    @np.errstate(all="ignore")
    def __call__(self, *arrays):
        return np.array(plain(self.f(*(a.copy() for a in arrays))))

    @np.errstate(all="ignore")
    def first(self):
        """f(x), and which arguments f wrote to."""
        given = [a.copy() for a in self.arrays]
        y = plain(self.f(*given))
        # A copy before the comparison: y may be one of the arguments.
        return np.array(y), {k for k, a in enumerate(given) if not same(a, self.arrays[k])}

    @np.errstate(all="ignore")
    def gradients(self, dy):
        """The gradients, which arguments were written to, and whether dy was."""
        given, cotangent = [a.copy() for a in self.arrays], dy.copy()
        found = self.vjp(cotangent, *given)
        if found is None:
            raise BackwardError("vjp returned None; expected one gradient for each argument")
        if not isinstance(found, (tuple, list)):
            found = (found,)
        if len(found) != len(given):
            raise BackwardError(f"vjp returned {len(found)} gradients for {len(given)} arguments; expected one for each")
        found = [None if g is None else np.array(plain(g)) for g in found]
        return found, {k for k, a in enumerate(given) if not same(a, self.arrays[k])}, not same(cotangent, dy)


class TapeFunction:
    """f on Tensors, differentiated by the tape."""

    tape = True

    def __init__(self, f, args):
        args = listed(args)
        self.devices = [a.device if isinstance(a, Tensor) else None for a in args]
        self.f, self.arrays, self.op = f, float64(args), title(f)

    def _tensors(self, arrays, on_tape):
        return [
            tensor(a, requires_grad=on_tape(k), device=d) for k, (a, d) in enumerate(zip(arrays, self.devices, strict=True))
        ]

    @np.errstate(all="ignore")
    def __call__(self, *arrays):
        with no_grad():
            return np.array(_result(self.f(*self._tensors(arrays, lambda k: False))).numpy())

    @np.errstate(all="ignore")
    def first(self):
        given = self._tensors(self.arrays, lambda k: True)
        y = _result(self.f(*given))
        if y.entry is not None and y.entry.leaf is None and self.op == "f":
            self.op = y.entry.op
        return np.array(y.numpy()), self._written(given)

    @np.errstate(all="ignore")
    def gradients(self, dy, only=None):
        """As above; `only`: the one argument that is on the tape, default all."""
        given = self._tensors(self.arrays, lambda k: only in (None, k))
        y, cotangent = _result(self.f(*given)), dy.copy()
        if y.requires_grad:
            try:
                y.backward(cotangent)
            except (TypeError, ValueError) as error:
                if not str(error).startswith("backward of "):  # the sentences of the tape; all others are the user's
                    raise
                raise BackwardError(str(error)) from error
        found = [None if t.grad is None else np.array(t.device.numpy(t.grad)) for t in given]
        return found, self._written(given), not same(cotangent, dy)

    def _written(self, given):
        return {k for k, t in enumerate(given) if not same(t.numpy(), self.arrays[k])}


def float64(args):
    """The arguments as float64 arrays of our own; raises TypeError for any that are not floats."""
    arrays = []
    for k, a in enumerate(listed(args)):
        array = np.asarray(a.numpy() if isinstance(a, Tensor) else a)
        if array.dtype.kind != "f" or array.dtype.itemsize > 8:
            raise TypeError(
                f"gradcheck: argument {k} is {array.dtype}, which has no slope to check; pass floats, "
                "and what is not to be differentiated (labels, sizes) inside f: lambda x: f(x, labels)"
            )
        arrays.append(np.array(array, np.float64))
    return arrays


def listed(args):
    """The arguments as a list; a single array or Tensor is a list of one."""
    return [args] if isinstance(args, (np.ndarray, np.floating, float, Tensor)) else list(args)


def plain(value):
    """The array of what a function returned; raises TypeError if that is not numbers."""
    array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"gradcheck: expected an array of numbers, got {type(value).__name__} of dtype {array.dtype}")
    return array


def same(a, b):
    return np.array_equal(a, b, equal_nan=True)


def title(f):
    """The name of the function, or "f" if it has none worth showing."""
    name = getattr(getattr(f, "func", f), "__name__", "f")
    return "f" if name == "<lambda>" else name


def names_of(f, names, count):
    if names is not None:
        names = [names] if isinstance(names, str) else list(names)
        if len(names) != count:
            raise ValueError(f"gradcheck: {len(names)} names for {count} arguments; give one for each")
        return names
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    if len(parameters) < count or any(p.kind is p.VAR_POSITIONAL for p in parameters[:count]):
        return [f"argument {k}" for k in range(count)]
    return [p.name for p in parameters[:count]]


def _result(y):
    if not isinstance(y, Tensor):
        raise TypeError(f"gradcheck: without a vjp, f must return a Tensor; got {type(y).__name__}")
    return y
