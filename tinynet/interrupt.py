"""Ctrl-C that loses nothing."""

import signal
import sys

from tqdm import tqdm


class Interrupt:
    """While entered, Ctrl-C (or a polite kill) only sets `requested`; a second one stops the program at once."""

    def __init__(self):
        self.requested = False

    def __enter__(self):
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, *_):
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        tqdm.write("stopping after this step (again: at once) ...", file=sys.stderr)

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
