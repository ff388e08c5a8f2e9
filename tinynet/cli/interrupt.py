"""Ctrl-C that loses nothing."""

import signal
import sys

from tqdm import tqdm


class Interrupt:
    """While entered, a polite kill is Ctrl-C, and stops the program at once by a KeyboardInterrupt.

    Once it is `patient`, the first one only sets `requested`.
    """

    def __init__(self):
        self.requested = self.patient = False

    def __enter__(self):
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, *_):
        if self.requested or not self.patient:
            raise KeyboardInterrupt
        self.requested = True
        tqdm.write("stopping as soon as all is saved (again: at once) ...", file=sys.stderr)

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
