"""What to say when a device runs out of memory: which, in which layer, with which batch, and what to lower."""

from tinynet.errors import DeviceError


def raise_if_out_of_memory(error, model, places, batch):
    """Raises DeviceError, from an `error` that ended the training of `model` on `places`, if memory was the reason.

    The engine has noted in `error.entry` which entry of the tape was played, and a module in `error.module` that it was
    the innermost one that was called.
    """
    layer, place = _where(error, model, places)
    figures = place.out_of_memory(error)
    if figures is not None:
        other = "--workspace" if place.kind == "cuda" else "--width"
        sentence = f"{place.name} is out of memory{figures} in {layer}, batch {batch}: lower --batch or {other}"
        raise DeviceError(sentence) from error


def _where(error, model, places):
    entry, module = getattr(error, "entry", None), getattr(error, "module", None)
    if entry is not None:
        names = {id(t): name for name, t in model.named_parameters()}
        leaves = [parent.leaf() for parent in entry.parents if parent is not None and parent.leaf is not None]
        layers = [names[id(t)].rpartition(".")[0] for t in leaves if id(t) in names]
        return f"the backward pass of {layers[0] if layers else entry.op}", entry.source
    modules = dict(model.named_modules())
    name = owner = next((name for name, m in modules.items() if m is module), "")
    if not name:  # not in a layer, but between two, or in the update
        return "a training step", next((p for p in places if p.active), places[0])
    while not (tensors := list(modules[owner].named_tensors())):  # a pooling has no tensors, but the tower it is in has
        owner = owner.rpartition(".")[0]
    return name, tensors[0][1].device
