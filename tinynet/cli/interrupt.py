"""Ctrl-C that loses nothing."""

import signal
import sys
import threading

from tqdm import tqdm

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupt:
    """While entered, a polite kill, or a terminal that closes, is Ctrl-C, and stops the program by a KeyboardInterrupt.

    Once it is `patient`, the first one only sets `requested`. A signal that this process was started to ignore (`nohup`) is
    ignored. Only the main thread is told of signals: in another one there are none, and the program around decides.
    """

    def __init__(self):
        self.requested = self.patient = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            heard = [s for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN]
            self._before = {s: signal.signal(s, self._note) for s in heard}
        return self

    def _note(self, *_):
        if self.requested or not self.patient:
            raise KeyboardInterrupt
        self.requested = True
        tqdm.write("stopping as soon as all is saved (again: at once) ...", file=sys.stderr)

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)
