"""Transfer: the one operation whose input and output are on different devices."""

from tinynet.devices import as_device
from tinynet.ops.inputs import expect
from tinynet.tape import record


def transfer(x, device):
    """x on another device; the gradient travels back to where x came from. x itself if it is there already.

    device: Device or name. This is how the paper's two GPUs meet in conv3 and in the fully connected layers, section 3.2.
    """
    expect("transfer", x)
    here, there = x.device, as_device(device)
    if there is here:
        return x
    landed = x.__class__(there.fetch(x.data, here), there, x.entry)
    with there:
        out = record("transfer", landed.data, (landed,), lambda g: (here.fetch(g, there),))
    if out.entry is not None:
        out.entry.source = here
    return out
