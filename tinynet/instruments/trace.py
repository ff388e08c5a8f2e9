"""What the tape holds: one line an entry, with the bytes that it keeps alive for backward."""

import numpy as np

from tinynet.tape import entries
from tinynet.value import Value


class Tape(list):
    """The entries of a loss in the order of their creation; `print(tape(loss))` shows one aligned line for each."""

    def kept(self) -> list[int]:
        """The bytes that each entry keeps alive for backward and that no earlier entry (nor a leaf) keeps already."""
        seen = {id(owner(e.leaf().data)) for e in self if e.leaf is not None and e.leaf() is not None}
        sizes = []
        for e in self:
            new = {id(a): a for a in map(owner, saved(e.backward)) if id(a) not in seen}
            seen.update(new)
            sizes.append(sum(a.nbytes for a in new.values()))
        return sizes

    def __str__(self):
        line = {e: str(i) for i, e in enumerate(self)}
        kept = self.kept()
        rows = [("", "op", "inputs", "output", "device", "bytes kept")]
        for e, size in zip(self, kept, strict=True):
            inputs = ", ".join("constant" if p is None else f"{line[p]} {p.shape}" for p in e.parents)
            rows.append((line[e], e.op, inputs, str(e.shape), e.device.name, f"{size:,}"))
        rows.append(("", "", "", "", "", f"{sum(kept):,}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        align = (str.rjust, str.ljust, str.ljust, str.ljust, str.ljust, str.rjust)
        return "\n".join(
            "  ".join(put(cell, width) for put, cell, width in zip(align, row, widths, strict=True)).rstrip() for row in rows
        )


def tape(loss: Value) -> Tape:
    """The tape of `loss`: all that it depends on, in the order it was computed. Raises ValueError if nothing is."""
    if loss.entry is None:
        raise ValueError("tape: this tensor is not on the tape; none of its inputs has requires_grad=True")
    return Tape(entries(loss.entry))


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
