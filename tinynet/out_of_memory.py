"""What to say when a device runs out of memory: which, where, and what would help."""

import contextlib

from tinynet.errors import DeviceError

BUILDING = "while the network is built: lower --width or give another --device"
PREDICTING = "with this network and ten crops of a picture: give another --device"


@contextlib.contextmanager
def explained(places, advice):
    """Raises DeviceError in place of an error that says that a device, one of `places`, has run out of memory.

    advice: what was done and what would help, or a function of the error and the device that says it. The innermost
    device notes itself in `error.place`, the innermost module in `error.module`, the engine in `error.entry` which entry
    of the tape was played.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        place = getattr(error, "place", places[0])
        figures = place.out_of_memory(error)
        if figures is None:
            raise
        said = advice if isinstance(advice, str) else advice(error, place)
        raise DeviceError(f"{place.name} is out of memory{figures} {said}") from error


def training(model, batch):
    """Advice for the training of a model: the layer, the batch, and what to lower."""
    return lambda error, place: (
        f"in {_layer(error, model)}, batch {batch}: lower --batch or {'--workspace' if place.kind == 'cuda' else '--width'}"
    )


def _layer(error, model):
    entry, module = getattr(error, "entry", None), getattr(error, "module", None)
    if entry is not None:
        names = {id(t): name for name, t in model.named_parameters()}
        leaves = [parent.leaf() for parent in entry.parents if parent is not None and parent.leaf is not None]
        layers = [names[id(t)].rpartition(".")[0] for t in leaves if id(t) in names]
        return f"the backward pass of {layers[0] if layers else entry.op}"
    # The network itself means not in a layer, but between two; no module at all, in the update.
    return next((name for name, m in model.named_modules() if m is module and name), "a training step")
