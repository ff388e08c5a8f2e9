"""The errors that a user can cause and mend, each in one sentence: what was given, what was expected, what to do.

They say what is wrong in words of the library; the command line adds which of its options mends it (cli/advice.py).
"""


def locate(error, **where):
    """Note on an error where it happened, as attributes, for whoever explains it: the innermost place stays.

    place: the Device that was given work. module: the Module. entry: the entry of the tape that was played backwards.
    """
    for name, value in where.items():
        if not hasattr(error, name):
            setattr(error, name, value)


class TinynetError(Exception):
    """Base of the errors whose message is written for the user."""


class DeviceError(TinynetError):
    """A device that does not exist, cannot be used, or is not where the data is."""


class UnusableDeviceError(DeviceError):
    """A GPU that this machine does not have, or that CuPy cannot use."""


class OutOfMemoryError(DeviceError):
    """A device has run out of memory. place: the Device. doing: "building", "training" or "predicting"."""

    def __init__(self, message, place, doing):
        super().__init__(message)
        self.place, self.doing = place, doing


class StreamOrderError(DeviceError):
    """Two streams of simulated devices use the same memory, and nothing says in which order."""


class DataError(TinynetError):
    """A folder or an image that cannot be trained on."""


class CheckpointError(TinynetError):
    """A file that is not a checkpoint, or a checkpoint of another network."""


class DivergenceError(TinynetError):
    """A loss that is no number any more. lr: the learning rate at which that happened."""

    def __init__(self, loss, step, lr):
        super().__init__(f"the loss is {loss} at step {step}: the learning rate {lr:g} is too high")
        self.lr = lr


class UsageError(TinynetError, ValueError):
    """A size, a name or an option outside of what is possible."""


class FolderError(TinynetError):
    """A folder that cannot be written, or where something would be lost. run: the folder, if a run in it can go on."""

    def __init__(self, message, run=None):
        super().__init__(message)
        self.run = run


def check_alike(op: str, inputs: tuple) -> None:
    """Raises DeviceError for inputs of two devices, TypeError for inputs of two dtypes.

    `record` calls it; an op calls it earlier if its forward would fail on such a mixture in a less helpful way.
    """
    places = list(dict.fromkeys(t.device.name for t in inputs))
    if any(t.device is not inputs[0].device for t in inputs):
        raise DeviceError(f"{op}: inputs are on {' and '.join(places)}; bring them together with transfer(x, device)")
    types = list(dict.fromkeys(str(t.data.dtype) for t in inputs))
    if len(types) > 1:
        raise TypeError(f"{op}: inputs are {' and '.join(types)}; convert one of them with .astype(...)")
