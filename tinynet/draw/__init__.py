"""Pictures, a file each: arrays and plain records in, a PNG out. All are drawn on the same page (page.py)."""

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

from tinynet.draw.tape import tape  # `draw.tape(loss)`: called like the module that it comes from

__all__ = ["tape"]
