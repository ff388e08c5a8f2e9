"""What the tape holds: one line an entry, with the bytes that it keeps alive for backward."""

import weakref
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from tinynet import html, text
from tinynet.instruments.rewind import Step, rewind
from tinynet.nn.module import Module
from tinynet.tape import Entry, entries
from tinynet.tensor import Tensor


class Tape(list):
    """The entries of a loss in the order of their creation; `print(tape(loss))` shows one aligned line for each.

    loss: the Tensor. names: {entry: its name} of those that have one. arrived: {entry: gradient, None if it is large} of
    those that the last `rewind` has reached; None before.
    """

    def __init__(self, entries: Iterable[Entry], loss: Tensor, named: Iterable[tuple[str, Tensor]] = ()):
        super().__init__(entries)
        self.loss, self.names = loss, dict[Entry, str]()
        self.arrived: dict[Entry, np.ndarray | None] | None = None
        self._tensors = {loss.entry: weakref.ref(loss)}
        here = set(self)
        for name, t in named:
            if t.entry is not None and t.entry in here and t.entry not in self.names:
                self.names[t.entry], self._tensors[t.entry] = name, weakref.ref(t)

    def tensor(self, entry: Entry) -> Tensor | None:
        """The Tensor of an entry if it is a leaf, the loss, named or retained, and still there: entries hold no values."""
        reference = entry.leaf or entry.retained or self._tensors.get(entry)
        return None if reference is None else reference()

    def rewind(self, gradient=None, keep: bool = False) -> Iterator[Step]:
        """Play backward one entry at a time: see `rewind` in tinynet/instruments/rewind.py.

        `for step in tn.tape(loss).rewind(): print(step)`
        """
        return rewind(self, gradient, keep)

    def kept(self) -> list[int]:
        """The bytes that each entry keeps alive for backward and that no earlier entry (nor a leaf) keeps already."""
        seen = {id(owner(e.leaf().data)) for e in self if e.leaf is not None and e.leaf() is not None}
        sizes = []
        for e in self:
            new = {id(a): a for a in map(owner, saved(e.backward)) if id(a) not in seen}
            seen.update(new)
            sizes.append(sum(a.nbytes for a in new.values()))
        return sizes

    def _rows(self):
        """The table, as rows of text: the headings, one row an entry, the sum."""
        line = {e: str(i) for i, e in enumerate(self)}
        kept = self.kept()
        rows = [("", "op", "name", "inputs", "output", "device", "bytes kept")]
        for e, size in zip(self, kept, strict=True):
            inputs = ", ".join("constant" if p is None else f"{line[p]} {p.shape}" for p in e.parents)
            rows.append((line[e], e.op, self.names.get(e, ""), inputs, str(e.shape), e.device.name, f"{size:,}"))
        rows.append(("", "", "", "", "", "", f"{sum(kept):,}"))
        return rows if self.names else [(*row[:2], *row[3:]) for row in rows]

    def __str__(self):
        rows = self._rows()
        return text.table(rows, _align(rows))

    __repr__ = __str__

    def _repr_html_(self):
        head, *rows = self._rows()
        return html.table(head, rows, _align([head]))


def _align(rows):
    return "r" + "l" * (len(rows[0]) - 2) + "r"


def tape(loss: Tensor, model: Module | Mapping | None = None) -> Tape:
    """The tape of `loss`: all that it depends on, in the order it was computed.

    model: a Module, whose parameters then have their names in the table; or a dict with Tensors and Modules, such as
    `locals()`, where a name that begins with an underscore does not count.
    Raises ValueError if nothing is on the tape, TypeError for a model that is none.
    """
    if loss.entry is None:
        raise ValueError("tape: this tensor is not on the tape; none of its inputs has requires_grad=True")
    return Tape(entries(loss.entry), loss, _named(model))


def _named(model):
    """(name, Tensor) of all that `model` names."""
    if isinstance(model, Module):
        yield from model.named_tensors()
    elif isinstance(model, Mapping):
        for name, part in model.items():
            if isinstance(part, Tensor) and not str(name).startswith("_"):
                yield str(name), part
        for name, part in model.items():
            if isinstance(part, Module) and not str(name).startswith("_"):
                yield from ((f"{name}.{inner}", t) for inner, t in part.named_tensors())
    elif model is not None:
        raise TypeError(f"tape: model is of type {type(model).__name__}; expected a Module, or a dict such as locals()")


def saved(thing):
    """The arrays that a backward function holds, found where Python keeps them: in the cells of its closure."""
    if isinstance(thing, np.generic):
        return  # a number, not an array
    if hasattr(thing, "nbytes") and hasattr(thing, "shape"):
        yield thing
    elif isinstance(thing, (tuple, list)):
        for item in thing:
            yield from saved(item)
    else:
        for cell in getattr(thing, "__closure__", None) or ():
            yield from saved(cell.cell_contents)


def owner(array):
    """The array that has the memory of this one."""
    while getattr(array, "base", None) is not None and hasattr(array.base, "nbytes"):
        array = array.base
    return array
