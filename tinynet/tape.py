"""The engine: every operation leaves an entry; backward plays the entries in reverse.

There is no tape object to open or close. An entry knows the entries it was computed from and carries the number of its
creation, so "the tape of a loss" is what the loss depends on, sorted by that number, and it dies with the loss.
Operations call `record`. `backward` is the only place that sums a gradient over broadcast axes, accumulates, frees and
switches device. So an operation is a forward result and a function from gradient to gradients.
"""

import contextvars
import itertools
import weakref
from collections.abc import Callable
from operator import attrgetter

from tinynet import forks
from tinynet.context import context
from tinynet.errors import DeviceError, check_alike, locate

BORROWED, _NEW, _SUM = range(3)  # whose a gradient is: somebody else's, nobody's yet, this entry's own sum
_numbers = itertools.count()
one_at_a_time = forks.lock(0)  # gradients on their way lie in the entries, and two losses may share some
_recording = contextvars.ContextVar("tinynet recording", default=True)


class Entry:
    """One line of the tape. It never holds the output, only what `backward`, a closure, needs: so there are no cycles."""

    __slots__ = ("backward", "device", "dtype", "gradient", "leaf", "number", "op", "owner", "parents", "retained", "shape",
                 "source")  # fmt: skip

    def __init__(self, op, device, parents, shape, dtype, backward):
        self.number, self.op, self.parents = next(_numbers), op, parents
        self.device = self.source = device  # where the output lives, and where the inputs do: two places in `transfer`
        self.shape, self.dtype, self.backward = shape, dtype, backward
        self.gradient = self.owner = self.leaf = self.retained = None

    def __repr__(self):
        return f"Entry({self.op}, shape={self.shape}, device={self.device.name}, number={self.number})"


def record(op: str, data, inputs: tuple, backward: Callable | None):
    """The Tensor with value `data`, on the tape if any of `inputs` is.

    op: the name that the tape shows. data: array. inputs: tuple of Tensors, of one device and one dtype.
    backward: function from the gradient of `data` to a tuple with one gradient (or None) for each input. It returns new
    arrays, the gradient itself or views of it; it may leave a broadcast input's gradient in the shape of the output.
    Raises DeviceError for inputs of two devices and for a device that is not current, TypeError for inputs of two dtypes.
    """
    first = inputs[0]
    device, dtype = first.device, first.data.dtype
    on_tape = False
    for tensor in inputs:
        if tensor.device is not device or tensor.data.dtype is not dtype:
            check_alike(op, inputs)
        if tensor.entry is not None:
            on_tape = True
    if not device.active:
        raise DeviceError(f"{op}: inputs are on {device.name}, which is not current; write `with device:` around it")
    if not isinstance(data, device.xp.ndarray):  # NumPy turns 0-dimensional results into scalars
        data = device.xp.asarray(data)
    made = first.__class__(data, device)
    if on_tape and _recording.get():
        made.entry = Entry(op, device, tuple([tensor.entry for tensor in inputs]), data.shape, data.dtype, backward)
    if device.observers:
        device.observe(op, "forward", data.shape, inputs, made)
    return made


def leaf(tensor) -> Entry:
    """The entry of a tensor that was made by the user: where its gradient arrives."""
    entry = Entry("leaf", tensor.device, (), tensor.data.shape, tensor.data.dtype, None)
    entry.leaf = weakref.ref(tensor)
    return entry


def backward(entry: Entry, gradient, keep: bool = False) -> None:
    """Play the tape that ends in `entry` backwards; gradients arrive in `.grad` of the leaves, and of what retains it.

    The first gradient that reaches an entry is borrowed and never written to; a second one makes a fresh sum; later
    ones are added to that sum in place. Saved arrays are freed entry by entry, unless `keep`.
    Raises RuntimeError if part of the tape was freed by an earlier call.
    """
    with one_at_a_time:
        order = ready(entry)
        entry.device.observe(None, "wait")
        entry.gradient, entry.owner = gradient, BORROWED
        try:
            # The gradients of an entry's inputs are computed, and summed, where these inputs live.
            for device, run in itertools.groupby(reversed(order), attrgetter("source")):
                with device:
                    for e in run:
                        if e.backward is not None and e.gradient is not None:
                            play(e, keep)
            deliver(order)  # only now: an error halfway leaves every .grad as it was
        finally:
            for e in order:
                e.gradient = None


def ready(entry: Entry) -> list[Entry]:
    """The entries that end in `entry`, to be played; raises RuntimeError if one was freed."""
    order = entries(entry)
    for e in order:
        if e.backward is freed:
            freed(None)
        if e.leaf is not None and (tensor := e.leaf()) is not None:
            e.shape, e.dtype = tensor.data.shape, tensor.data.dtype  # replaced since, by float64 for instance
    return order


def play(e: Entry, keep: bool) -> tuple:
    """Hand the gradient of one entry on to its inputs; returns what its backward function gave, for whoever looks on."""
    g = e.gradient
    if e.retained is None:
        e.gradient = None
    try:
        gradients = e.backward(g)
    except (MemoryError, RuntimeError) as error:
        locate(error, entry=e)
        raise
    if not isinstance(gradients, tuple) or len(gradients) != len(e.parents):
        raise TypeError(f"backward of {e.op}: expected a tuple of {len(e.parents)} gradients, one an input")
    if not keep:
        e.backward = freed
    for parent, grad in zip(e.parents, gradients, strict=True):
        if parent is None or grad is None:
            continue
        if grad.shape != parent.shape:
            grad = sum_to(grad, parent.shape, e.op)
        if grad.dtype != parent.dtype:
            raise TypeError(f"backward of {e.op}: gradient is {grad.dtype}, its input is {parent.dtype}")
        if parent.gradient is None:
            new = parent.leaf is not None and _is_new(grad, g, gradients, e.source)
            parent.gradient, parent.owner = grad, _NEW if new else BORROWED
        elif parent.owner is _SUM:
            parent.gradient += grad
        else:
            parent.gradient, parent.owner = parent.gradient + grad, _SUM
    if e.source.observers:
        e.source.observe(e.op, "backward", e.shape, (), e)
    return gradients


def deliver(order: list[Entry]) -> None:
    """Add the gradients that lie in entries to `.grad` of the tensors that wait for them."""
    for e in order:
        if e.gradient is not None and (tensor := (e.leaf or e.retained)()) is not None:
            g, e.gradient = e.gradient, None
            with e.device:
                if tensor.grad is not None:
                    tensor.grad = e.device.xp.asarray(tensor.grad + g)  # NumPy turns 0-dimensional sums into scalars
                else:
                    tensor.grad = e.device.xp.array(g) if e.owner is BORROWED else e.device.xp.asarray(g)


def _is_new(grad, g, gradients, device):
    # A leaf may keep an array as its own only if nobody else has it: not the output's gradient, not a view, not a twin.
    return device.owns(grad) and grad is not g and sum(other is grad for other in gradients) == 1 and grad.ndim > 0


def freed(_):
    raise RuntimeError(
        "backward: part of this tape was already played and freed; compute the loss again, "
        "or call the first backward(keep=True)"
    )


def sum_to(gradient, shape: tuple[int, ...], op: str = "op"):
    """Sum `gradient` over the axes along which an array of `shape` was broadcast: the adjoint of broadcasting.

    Raises ValueError if no broadcast leads from `shape` to the gradient's shape.
    """
    extra = gradient.ndim - len(shape)
    pairs = list(zip(gradient.shape[max(extra, 0) :], shape, strict=False))
    if extra < 0 or any(have != want and want != 1 for have, want in pairs):
        raise ValueError(f"backward of {op}: gradient has shape {gradient.shape}, its input has shape {shape}")
    axes = tuple(range(extra)) + tuple(extra + i for i, (have, want) in enumerate(pairs) if want == 1 and have != 1)
    return gradient.sum(axis=axes).reshape(shape)


def entries(last: Entry) -> list[Entry]:
    """All entries that `last` depends on, and `last`, in the order of their creation."""
    seen, todo = {last}, [last]
    while todo:
        for parent in todo.pop().parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return sorted(seen, key=attrgetter("number"))


@context
def no_grad():
    """Inside `with no_grad():`, or in the body of a function decorated with `@no_grad`, nothing is put on the tape."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)
