"""Traces: what a piece of work costs, operation by operation and layer by layer, forward and backward."""

import math
import weakref
from dataclasses import dataclass
from itertools import groupby

from tinynet.devices import Device, known
from tinynet.instruments.costs import Cost, costs, multiply_adds, table
from tinynet.instruments.tape import owner, saved
from tinynet.instruments.timeline import Span, Timeline
from tinynet.nn.module import Module
from tinynet.tape import Entry

OUTSIDE = "(outside)"  # the layer of what is computed outside of all modules


@dataclass(frozen=True)
class Work(Span):
    """A Span, with the layer that it belongs to and what it took.

    multiply_adds: of conv2d, linear and matmul, 0 for others. bytes: of the arrays that it was given and that it gave.
    memory: bytes in use when it was done, beyond what was there at the beginning; None if that was not asked for.
    """

    layer: str
    multiply_adds: int
    bytes: int
    memory: int | None


class Trace(Timeline):
    """What `trace` notes while it is entered: `work`, a Work for every operation, in the order of their ends."""

    def __init__(self, memory: bool = True):
        super().__init__(known())
        self.work: list[Work] = []
        self._memory = _Memory() if memory else None
        self._notes, self._stack, self._details = [], list[str](), list[tuple]()
        self._names: dict[int, str] = {}  # id of a module, or of a parameter -> layer
        self._roots: list[Module] = []  # which also keeps these ids from being used again
        self._began: dict[int, tuple] = {}  # number of an entry -> layer, multiply-adds, bytes of its forward

    def __enter__(self):
        Module.observers.append(self._call)
        return super().__enter__()

    def __exit__(self, *error):
        Module.observers.remove(self._call)
        super().__exit__(*error)
        self._memory = None
        self.work = [Work(*vars(span).values(), *detail) for span, detail in zip(self.spans, self._details, strict=True)]
        self._roots, self._names, self._began, self._details, self._stack = [], {}, {}, [], []

    def _call(self, module, entering):
        if not entering:
            self._stack.pop()
            return
        if not self._stack:
            self._register(module)
        self._stack.append(self._names.get(id(module)) or f"{self._stack[-1]}.{type(module).__name__}")
        self._last = [device.stamp() for device in self.devices]  # what was before is no part of the layer's time

    def _register(self, root):
        if any(root is other for other in self._roots):
            return
        kind = type(root).__name__
        before = sum(type(other).__name__ == kind for other in self._roots)
        name = f"{kind} {before + 1}" if before else kind
        prefix = f"{name}." if self._roots else ""
        self._roots.append(root)
        for path, part in root.named_modules():
            self._names[id(part)] = prefix + path if path else name
        for path, tensor in root.named_tensors():
            layer = path.rpartition(".")[0]
            self._names[id(tensor)] = prefix + layer if layer else name

    def _note(self, device, op, phase, shape, inputs, made):
        if phase != "wait" and device not in self.devices:
            self._join(device)
        noted = len(self._notes)
        super()._note(device, op, phase, shape, inputs, made)
        if len(self._notes) > noted:
            memory = None if self._memory is None else self._memory.used(device, inputs, made)
            self._details.append((*self._cost(op, phase, shape, inputs, made), memory))
            self._last = [device.stamp() for device in self.devices]  # nor is what was done here

    def _join(self, device):
        """A device that was made meanwhile: on the host's clock it was there from the beginning, else it begins now."""
        stamp = device.stamp()
        zero = self._zero[0] if type(device).stamp is Device.stamp and self.devices else stamp
        self.devices.append(device)
        self._zero.append(zero)
        self._last.append(zero if not self._notes else stamp)

    def _cost(self, op, phase, shape, inputs, made):
        """(layer, multiply-adds, bytes) of what was just done."""
        if phase == "backward":
            return self._cost_backward(made)
        if phase == "update":
            (p,) = inputs
            return self._names.get(id(p), OUTSIDE), 0, 5 * p.data.nbytes  # reads w, v and the gradient, writes w and v
        given = sum(x.data.nbytes for x in inputs)
        size = inputs[0].data.dtype.itemsize if inputs else 0
        layer = self._stack[-1] if self._stack else OUTSIDE
        cost = layer, multiply_adds(op, [x.shape for x in inputs], shape), given + size * math.prod(shape)
        if made is not None and made.entry is not None:
            self._began[made.entry.number] = cost
        return cost

    def _cost_backward(self, entry):
        parents = entry.parents
        shapes = [None if parent is None else parent.shape for parent in parents]
        layer, count, moved = self._began.get(entry.number) or (OUTSIDE, multiply_adds(entry.op, shapes, entry.shape), 0)
        # One product as large as the forward's for each of the two factors whose gradient is wanted.
        wanted = [math.prod(parent.shape) * parent.dtype.itemsize for parent in parents if parent is not None]
        return layer, count * sum(parent is not None for parent in parents[:2]), moved + sum(wanted)

    # what came of it --------------------------------------------------------------------------------------------------

    def layers(self) -> list[Cost]:
        """What each layer took, in the order in which they were first called."""
        return costs(self.work, lambda work: work.layer)

    def ops(self) -> list[Cost]:
        """What each operation took, the longest first."""
        return sorted(costs(self.work, lambda work: work.op), key=lambda cost: -cost.seconds)

    def total(self) -> Cost:
        """What everything took."""
        return next(iter(costs(self.work, lambda work: "total")), Cost("total", 0, 0.0, 0.0, 0.0, 0, 0, 0, None))

    def multiply_adds(self, phase: str = "forward") -> int:
        """All multiply-adds of a phase, "forward" or "backward"; a multiply-add is two floating-point operations."""
        return sum(work.multiply_adds for work in self.work if work.phase == phase)

    def events(self) -> list[dict]:
        """The work for Chrome's trace viewer, with a row for the layers of each device, and the memory as a counter."""
        events = super().events()
        rows = [event for event in events if event["ph"] == "X"]
        for event, work in zip(rows, self.work, strict=True):
            event["args"] |= {"layer": work.layer, "multiply_adds": work.multiply_adds, "bytes": work.bytes}
            if work.memory is not None:
                events.append({"ph": "C", "name": "memory in use", "pid": 0, "ts": event["ts"],
                               "args": {"bytes": work.memory}})  # fmt: skip
        for row, device in enumerate(self.devices):
            tid = len(self.devices) + row
            events.append(
                {"ph": "M", "name": "thread_name", "pid": 0, "tid": tid, "args": {"name": f"{device.name} layers"}}
            )
            mine = [work for work in self.work if work.row == row]
            for (layer, phase), run in groupby(mine, lambda work: (work.layer, work.phase)):
                spans = list(run)
                events.append({"ph": "X", "name": layer, "cat": phase, "pid": 0, "tid": tid, "ts": 1e6 * spans[0].start,
                               "dur": 1e6 * (spans[-1].stop - spans[0].start), "args": {}})  # fmt: skip
        return events

    def __str__(self):
        if not self.work:
            return "a trace of nothing: no operation was computed inside of `with tn.trace():`, or it is still open"
        parts = [table("layer", [*self.layers(), self.total()]), table("operation", self.ops())]
        return "\n\n".join(parts)

    __repr__ = __str__


def trace(memory: bool = True) -> Trace:
    """`with tn.trace() as t:` time, multiply-adds, bytes and memory of what is computed inside, by operation and by layer.

        with tn.trace() as t:
            loss = tn.cross_entropy(model(x), labels)
            loss.backward()
        print(t)                a table of the layers and one of the operations
        t.write("step.json")    for ui.perfetto.dev
        draw.trace(t)           bars
        t.multiply_adds()       724_406_816 for AlexNet and one image, forward

    - time: of the device, from the end of what it did before, or the call of the module, to the end of the operation. So it
      holds the Python of an operation, too, and before an operation outside of modules whatever the program did there.
    - multiply-adds: from the shapes, for conv2d, linear and matmul; each is two floating-point operations. A backward has
      as many for each of the two factors whose gradient is wanted. Of other operations none are counted.
    - bytes: of the arrays that an operation is given and gives, each once; a backward has these, and the gradients it makes.
      The least that must go through the memory.
    - memory: bytes in use at the end of an operation, beyond what was there before: on the CPU its results, what the tape
      keeps and gradients, as long as anybody holds them, but no kernel's temporary arrays; on CUDA devices, what CuPy's
      pool has given out. In the tables, the most of all calls.
    - layer: the path of the innermost module that was being called, as in `named_modules`, "(outside)" if none was. What
      the outermost computes itself goes by its class. Backward belongs to the layer of the forward, an update to that of its
      parameter.

    Noting costs some 2 to 9 microseconds an operation, and with the memory 5 to 25 (two cores of a shared machine); on a
    training step of AlexNet with 16 images, 0.4 s, neither can be measured. memory=False leaves the memory out. Other work
    on the machine is in the times.
    """
    return Trace(memory)


class _Memory:
    """What is in use of each device's memory, beyond what was there before: told of every operation, once it is done."""

    def __init__(self) -> None:
        self._alive: dict[int, tuple] = {}  # id of an array that has memory of its own -> weak reference to it, bytes
        self._bytes = 0
        self._pools: dict[Device, int] = {}  # device -> bytes that its pool had given out when it was first seen

    def used(self, device, inputs, made) -> int:
        pool = getattr(device.xp, "get_default_memory_pool", None)
        if pool is not None:
            with device:
                now = pool().used_bytes()
            return now - self._pools.setdefault(device, now)
        for x in inputs:
            self._count(x.data, False)  # what is none of our results was made before, or by the user
        if isinstance(made, Entry):
            for parent in made.parents:
                self._count(None if parent is None else parent.gradient)
        elif made is not None:
            for array in (made.data, *saved(made.entry and made.entry.backward)):
                self._count(array)
        return self._bytes

    def _count(self, array, ours=True):
        if array is None:
            return
        array = owner(getattr(array, "_values", array))  # of simulated devices' arrays, the values
        if (key := id(array)) not in self._alive:
            size = array.nbytes if ours else 0
            self._alive[key] = weakref.ref(array, lambda _: self._free(key)), size
            self._bytes += size

    def _free(self, key):
        _, size = self._alive.pop(key)
        self._bytes -= size
