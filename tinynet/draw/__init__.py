"""Pictures, a file each: arrays and plain records in, a Figure out, or a PNG. All are drawn on the same page (page.py).

    from tinynet import draw
    draw.kernels(model.first_kernels())                  a Matplotlib Figure, which a notebook shows
    draw.kernels(model.first_kernels(), "kernels.png")   the Path of the PNG that was written

A Figure's `alt` says in words what is to be seen. The functions are called like the modules that they come from: write
`from tinynet.draw.kernels import kernels`, and `tinynet.draw.kernels` is the function.
"""

import contextlib
import os
import sys

if "matplotlib" not in sys.modules:
    # Matplotlib refuses to be imported where MPLBACKEND names a backend that is not installed, as for a program that is
    # started from a notebook's cell. Pictures need none; so it is set afterwards, as Matplotlib would, if there is one.
    _backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend
        with contextlib.suppress(ValueError):
            matplotlib.rcParams["backend"] = _backend

from tinynet.draw.activations import activations
from tinynet.draw.confusion import confusion
from tinynet.draw.curves import curves
from tinynet.draw.dead_units import dead_units
from tinynet.draw.histograms import histograms
from tinynet.draw.kernels import kernels
from tinynet.draw.neighbours import neighbours
from tinynet.draw.predictions import predictions
from tinynet.draw.saliency import saliency
from tinynet.draw.tape import tape
from tinynet.draw.timeline import timeline
from tinynet.draw.trace import trace

__all__ = [
    "activations",
    "confusion",
    "curves",
    "dead_units",
    "histograms",
    "kernels",
    "neighbours",
    "predictions",
    "saliency",
    "tape",
    "timeline",
    "trace",
]
