"""What every command owes the terminal, the pipe or the service that it was started from."""

import os
import sys
from collections.abc import Callable


def run(program: Callable[[], int]) -> int:
    """The exit code of `program()`, whatever its standard streams are; 141 when nobody reads them any more.

    A stream that is closed swallows what is written. Names of files leave as they came, and where a terminal lacks a letter
    it shows a "?".
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  (for good)
        elif name == "stdout" and hasattr(stream, "reconfigure"):
            utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if utf8 else "replace")
    try:
        code = program()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # "| head" has read enough; what is left in the buffer must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
