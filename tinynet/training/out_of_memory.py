"""Which device ran out of memory, how full it is, and in which layer that was."""

import contextlib
from collections.abc import Iterator, Sequence

from tinynet.devices import Device
from tinynet.errors import OutOfMemoryError
from tinynet.nn import Module

DOING = {"building": "while the network is built", "predicting": "with this network and ten crops of a picture"}


@contextlib.contextmanager
def explained(places: Sequence[Device], doing: str, model: Module | None = None, batch: int | None = None) -> Iterator[None]:
    """Raises OutOfMemoryError in place of an error that says that a device, one of `places`, has run out of memory.

    doing: "building", "predicting", or "training", of `model` with batches of `batch` images. The innermost device notes
    itself in `error.place`, the innermost module in `error.module`, the engine in `error.entry` which entry of the tape was
    played.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        place = getattr(error, "place", places[0])
        figures = place.out_of_memory(error)
        if figures is None:
            raise
        where = DOING.get(doing) or f"in {_layer(error, model)}, batch {batch}"
        raise OutOfMemoryError(f"{place.name} is out of memory{figures} {where}", place, doing) from error


def _layer(error, model):
    """The layer whose forward or backward asked for the memory, or what else it was."""
    entry, module = getattr(error, "entry", None), getattr(error, "module", None)
    if entry is not None:
        names = {id(t): name for name, t in model.named_parameters()}
        leaves = [parent.leaf() for parent in entry.parents if parent is not None and parent.leaf is not None]
        layers = [names[id(t)].rpartition(".")[0] for t in leaves if id(t) in names]
        return f"the backward pass of {layers[0] if layers else entry.op}"
    # The network as a whole (whose name is "") was between two layers; where no module was at work, it was the update.
    return next((name for name, m in model.named_modules() if m is module and name), "a training step")
