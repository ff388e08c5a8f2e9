"""The errors that a user can cause and mend: the command line prints their one sentence and exits with code 2."""


class TinynetError(Exception):
    """Base of the errors whose message is written for the user: what was given, what was expected, what to do."""


class DeviceError(TinynetError):
    """A device that does not exist, cannot be used, or is not where the data is."""


class StreamOrderError(DeviceError):
    """Two streams of simulated devices use the same memory, and nothing says in which order."""


class DataError(TinynetError):
    """A folder or an image that cannot be trained on."""


class CheckpointError(TinynetError):
    """A file that is not a checkpoint, or a checkpoint of another network."""


class UsageError(TinynetError, ValueError):
    """A size, a name or an option outside of what is possible."""
