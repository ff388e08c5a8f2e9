"""Tensor: an array, its gradient, its device and its place on the tape."""

import operator
import weakref

import numpy as np

from tinynet import html
from tinynet.devices import Device, as_device
from tinynet.ops import arithmetic, comparisons, reductions, shaping, transfer
from tinynet.tape import backward
from tinynet.value import Value


class Tensor(Value):
    """An n-dimensional array whose history can be differentiated.

    `.data` is the array (NumPy, or CuPy on a GPU), `.grad` the gradient as an array of the same kind, or None before
    the first `backward()`. Tensors made with `requires_grad=True` receive one; computed ones, too, if `retain_grad()` was
    called before: otherwise theirs is passed on, not kept, and `.grad` stays None. Operators are those of NumPy, with
    its broadcasting, and record themselves on the tape (tinynet/tape.py); a Python number or an array takes the dtype
    of the tensor it meets. Make one with `tinynet.tensor`.

    Backward uses the arrays that the forward pass used: whoever writes into `.data` between the two gets the gradient at
    neither point, so update weights after backward.
    """

    __slots__ = ()
    __array_ufunc__ = None  # np.ndarray * Tensor hands over to Tensor.__rmul__ instead of looping over elements

    def backward(self, gradient=None, keep: bool = False) -> None:
        """Put d self / d leaf into `.grad` of every leaf, adding to what is there.

        gradient: array or Tensor of this shape, the gradient of some loss with respect to this tensor; it may be left
        out (and is 1) if this tensor has one element. keep: keep the saved arrays so that backward can be called again.
        Raises ValueError if nothing was recorded or a gradient is missing; RuntimeError if the tape was already played.
        """
        if self.entry is None:
            raise ValueError(
                "backward: this tensor is not on the tape; give an input requires_grad=True and compute it outside no_grad"
            )
        backward(self.entry, self.seed(gradient), keep)

    def seed(self, gradient=None):
        """The array that backward begins with: `gradient`, or 1. Raises ValueError if it is missing or of another shape."""
        if gradient is None:
            if self.data.size != 1:
                raise ValueError(
                    f"backward: a tensor of shape {self.shape} needs a gradient of that shape; "
                    "pass backward(gradient), or reduce it to a scalar loss first"
                )
            with self.device:
                return self.device.xp.ones_like(self.data)
        gradient = gradient.data if isinstance(gradient, Tensor) else gradient
        with self.device:
            gradient = self.device.xp.asarray(gradient, dtype=self.data.dtype)
        if gradient.shape != self.data.shape:
            raise ValueError(f"backward: gradient has shape {gradient.shape}, this tensor has shape {self.shape}")
        return gradient

    def retain_grad(self) -> None:
        """Let backward leave this computed tensor's gradient in its `.grad`, too, as PyTorch's does.

        Leaves keep theirs anyway. Raises RuntimeError for a tensor that is not on the tape.
        """
        if self.entry is None:
            raise RuntimeError(
                "retain_grad: this tensor is not on the tape and gets no gradient; give an input requires_grad=True"
            )
        if self.entry.leaf is None:
            self.entry.retained = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether this is a computed tensor that keeps its gradient, by `retain_grad()`."""
        return self.entry is not None and self.entry.retained is not None and self.entry.retained() is self

    def item(self) -> bool | int | float:
        """The value of a one-element tensor as a Python number; raises ValueError for any other size."""
        if self.data.size != 1:
            raise ValueError(f"item: expected a tensor with one element, got shape {self.shape}; use .numpy()")
        return self.numpy().item()

    def to(self, device: Device | str) -> "Tensor":
        """This tensor on another device: itself if it is there already, else a recorded copy (see `transfer`)."""
        return transfer.transfer(self, device)

    def astype(self, dtype) -> "Tensor":
        """This tensor in another dtype, recorded: its gradient comes back in this tensor's dtype."""
        return arithmetic.astype(self, dtype)

    def __repr__(self):
        values = np.array2string(self.numpy(), separator=", ", prefix="tensor(", threshold=100)
        return f"tensor({values}, dtype={self.dtype}, device={self.device.name}{self._mark()})"

    def _repr_html_(self):
        return html.array(self.numpy(), f"tensor {self.shape}, dtype={self.dtype}, device={self.device.name}{self._mark()}")

    def _mark(self):
        if self.entry is None:
            return ""
        if self.entry.leaf is not None:
            return ", requires_grad=True"
        return f", op={self.entry.op}, retains_grad={self.retains_grad}"  # why .grad is None, or is not

    def __format__(self, spec):
        return format(self.item(), spec) if spec else str(self)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __len__(self):
        if self.data.ndim == 0:
            raise TypeError("len: a tensor without axes has no length")
        return self.data.shape[0]

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.data.dtype.kind not in "iub" or self.data.size != 1:
            raise TypeError(
                f"index: expected an integer tensor with one element, got shape {self.shape} of {self.dtype}; use int(...)"
            )
        return int(self.item())

    def __bool__(self):
        if self.data.size != 1:
            raise ValueError(
                f"bool: expected a tensor with one element, got shape {self.shape}; use .numpy().all() or .numpy().any()"
            )
        return bool(self.item())

    def __reduce__(self):  # for copy.deepcopy and pickle
        if self.entry is not None and self.entry.leaf is None:
            raise TypeError(
                "a computed tensor is neither copied nor pickled, because its history cannot be; use .detach(), or no_grad"
            )
        grad = None if self.grad is None else self.device.numpy(self.grad)
        return _again, (self.numpy(), grad, self.requires_grad, self.device)

    def __array__(self, dtype=None, copy=None):
        if self.requires_grad:
            raise TypeError(
                "a tensor on the tape does not turn into a NumPy array by itself, because NumPy would lose its history; "
                "use tinynet's function of that name, or .detach().numpy()"
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __setitem__(self, index, value):
        raise TypeError(
            "tensors are not assigned into, because backward may need the old values; "
            "build a new one with tn.concat, tn.stack or tn.pad, or write into .data outside the tape"
        )

    def __getitem__(self, index) -> "Tensor":
        return shaping.index(self, index)

    def __contains__(self, value):
        found = self == value
        return isinstance(found, Tensor) and bool(found.numpy().any())

    __hash__ = object.__hash__  # tensors that are equal remain two parameters

    def __eq__(self, other):
        return comparisons.compare("==", operator.eq, self, other)

    def __ne__(self, other):
        return comparisons.compare("!=", operator.ne, self, other)

    def __lt__(self, other):
        return comparisons.compare("<", operator.lt, self, other)

    def __le__(self, other):
        return comparisons.compare("<=", operator.le, self, other)

    def __gt__(self, other):
        return comparisons.compare(">", operator.gt, self, other)

    def __ge__(self, other):
        return comparisons.compare(">=", operator.ge, self, other)

    def __add__(self, other) -> "Tensor":
        return arithmetic.add(self, other)

    def __radd__(self, other) -> "Tensor":
        return arithmetic.add(other, self)

    def __sub__(self, other) -> "Tensor":
        return arithmetic.sub(self, other)

    def __rsub__(self, other) -> "Tensor":
        return arithmetic.sub(other, self)

    def __mul__(self, other) -> "Tensor":
        return arithmetic.mul(self, other)

    def __rmul__(self, other) -> "Tensor":
        return arithmetic.mul(other, self)

    def __truediv__(self, other) -> "Tensor":
        return arithmetic.div(self, other)

    def __rtruediv__(self, other) -> "Tensor":
        return arithmetic.div(other, self)

    def __pow__(self, other) -> "Tensor":
        return arithmetic.pow(self, other)

    def __rpow__(self, other) -> "Tensor":
        return arithmetic.pow(other, self)

    def __matmul__(self, other) -> "Tensor":
        return arithmetic.matmul(self, other)

    def __rmatmul__(self, other) -> "Tensor":
        return arithmetic.matmul(other, self)

    def __neg__(self) -> "Tensor":
        return arithmetic.neg(self)

    def __abs__(self) -> "Tensor":
        return arithmetic.abs(self)

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        return reductions.sum(self, axis, keepdims)

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        return reductions.mean(self, axis, keepdims)

    def max(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        return reductions.max(self, axis, keepdims)

    def min(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> "Tensor":
        return reductions.min(self, axis, keepdims)

    def reshape(self, *shape) -> "Tensor":
        return shaping.reshape(self, *shape)

    def transpose(self, *axes) -> "Tensor":
        return shaping.transpose(self, *axes)

    @property
    def T(self) -> "Tensor":
        return shaping.transpose(self)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Tensor":
        return shaping.flatten(self, start_dim, end_dim)


def tensor(data, requires_grad: bool = False, device: Device | str | None = None, dtype=None) -> Tensor:
    """A new Tensor with a copy of `data`.

    data: number, nested list, array or Tensor. device: Device or name, default cpu:0. dtype: default the array's own;
    Python floats become float32, and a foreign order of bytes this machine's. PyTorch takes all but `data` by name, and
    NumPy has dtype in second place: so write `dtype=`. Raises TypeError for data that are not numbers, for `requires_grad`
    of a dtype other than float32 and float64, and for a `requires_grad` that is neither True nor False.
    """
    if not isinstance(requires_grad, (bool, np.bool_)):
        raise TypeError(
            f"tensor: requires_grad={requires_grad!r}; expected True or False (a dtype or a device is given by name: "
            "tensor(data, dtype=..., device=...))"
        )
    device = as_device(device)
    if isinstance(data, Tensor):
        data = data.numpy()
    if dtype is None and not hasattr(data, "dtype"):
        array = np.array(data)
        dtype = np.float32 if array.dtype == np.float64 else array.dtype
    host = np.array(device.numpy(data) if isinstance(data, device.xp.ndarray) else data, dtype=dtype, order="C")
    if host.dtype.kind not in "fiub":
        raise TypeError(f"tensor: expected numbers, got {type(data).__name__} of dtype {host.dtype}")
    made = Tensor(device.array(host.astype(host.dtype.type, copy=False)), device)
    if requires_grad:
        made.requires_grad = True
    return made


def _again(values, grad, requires_grad, device):
    made = Tensor(device.array(values), device)
    made.requires_grad = requires_grad
    made.grad = None if grad is None else device.array(grad)
    return made
