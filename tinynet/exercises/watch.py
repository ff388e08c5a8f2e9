"""`watch`: judge a file whenever it is saved. It never goes on to another exercise by itself."""

import contextlib
import select
import sys
import threading
import time

from tinynet.exercises import steps
from tinynet.exercises.exercise import exercises
from tinynet.exercises.screen import WORDS, clear_line, count, paint, passing_words, progress, report, say, table, tell, wrap

POLL = 0.5  # seconds between looks at the files
PATIENCE = 1.0  # seconds of a judgement until the screen says how to stop it
KEYS = {"r": "run again", "h": "hint", "n": "next", "l": "list", "s": "solution", "t": "try", "x": "reset", "q": "quit"}


class Watch:
    """What `watch` does with a key or a saved file."""

    def __init__(self, workspace, exercise):
        self.workspace = workspace
        self.exercise = exercise or workspace.current() or next(iter(exercises().values()))
        self.times = {e.name: self._time(e) for e in exercises().values()}

    def _time(self, exercise):
        try:
            return self.workspace.path(exercise).stat().st_mtime_ns
        except OSError:  # some editors take a file away for a moment while they save it
            return None

    def saved(self):
        """The exercise whose file was saved since the last call, or None."""
        found = None
        for exercise in exercises().values():
            now = self._time(exercise)
            if now is not None and now != self.times[exercise.name]:
                self.times[exercise.name], found = now, exercise
        return found

    def judge(self):
        """Judge the exercise at hand and say how it stands."""
        words = f"checking {self.exercise.name} ..."
        passing_words(words)
        later = threading.Timer(PATIENCE, passing_words, [f"{words} keys wait; Ctrl-C stops it"])
        later.start()
        try:
            verdict = steps.judge_one(self.workspace, self.exercise)
        except KeyboardInterrupt:
            verdict = None
        finally:
            later.cancel()
            later.join()  # so that it cannot speak after clear_line
        clear_line()
        if verdict is None:
            tell(f"{self.exercise.name} was not judged to the end; save it again, or press r")
            self.prompt()
            return
        say(report(self.exercise, self.workspace.path(self.exercise), verdict))
        if verdict.state == "pass":
            after = self.next()
            say("  all exercises are done" if after is None else paint(f"  go on to {after.name}: n", "dim"))
        self.prompt()

    def next(self):
        """The next exercise that is not done, from here on and then from the beginning; None if all are."""
        order = list(exercises().values())
        here = order.index(self.exercise)
        open_ones = [e for e in order[here + 1 :] + order[: here + 1] if self.workspace.state(e) not in ("pass", "gave_up")]
        return open_ones[0] if open_ones else None

    def prompt(self):
        """The line of progress and the keys."""
        say()
        say(progress(*count(self.workspace)))
        keys = "   ".join(f"{key}: {what}".replace(" ", "\xa0") for key, what in KEYS.items())  # broken between keys only
        say("\n".join(wrap(keys, colour="dim")).replace("\xa0", " "))

    def show(self):
        """The exercise at hand."""
        say(f"{paint(self.exercise.name, 'bold')}  {self.exercise.title}  ({WORDS[self.workspace.state(self.exercise)]})")
        say(f"  {self.workspace.path(self.exercise).resolve()}")
        self.prompt()

    def key(self, key):
        """Do what a key asks for; False for quit."""
        if key == "q":
            return False
        if key in ("", "r"):
            self.judge()
        elif key == "h":
            say("\n".join(steps.next_hint(self.workspace, self.exercise)))
        elif key == "n":
            after = self.next()
            if after is None:
                say("all exercises are done")
            else:
                self.exercise = after
                self.show()
        elif key == "l":
            say(table(self.workspace))
        elif key == "s":
            say("\n".join(steps.solution_lines(self.workspace, self.exercise, give_up=False)))
        elif key == "t":
            steps.try_it(self.workspace, self.exercise)
        elif key == "x":
            tell(f"reset puts {self.exercise.name} back to its beginning and keeps yours as a .bak file: y or n?")
            self.waiting = True
        else:
            tell(f"{key!r} is not a key; " + ", ".join(f"{k}: {what}" for k, what in KEYS.items()))
        return True

    waiting = False  # for the answer to x

    def press(self, key):
        """A key, or the answer to a question; False for quit."""
        if not self.waiting:
            return self.key(key)
        self.waiting = False
        if key == "y":
            say("\n".join(steps.reset_lines(self.workspace, self.exercise)))
            self.times[self.exercise.name] = self._time(self.exercise)
        else:
            say("nothing was changed")
        return True


def watch(workspace, exercise, manual=False):
    """Watch until q, Ctrl-C or the end of the input; without a terminal, or manual, a line of input instead of a key."""
    watcher = Watch(workspace, exercise)
    watcher.show()
    if manual or not sys.stdin.isatty():
        say("Enter judges the file; a letter and Enter does what the letter says.")
        for line in sys.stdin:
            if not watcher.press(line.strip()[:1].lower()):
                return
        return
    with _keys() as key:
        while True:
            pressed = key(POLL)
            if pressed and not watcher.press(pressed.lower().strip()):
                return
            saved = watcher.saved()
            if saved:
                watcher.exercise = saved
                say()
                watcher.judge()


@contextlib.contextmanager
def _keys():
    """A function that waits some seconds for a key, and gives it or "": single keys without Enter, where there are any."""
    try:
        import termios
        import tty
    except ImportError:
        import msvcrt

        def windows(seconds):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if msvcrt.kbhit():
                    return msvcrt.getwch()
                time.sleep(0.02)
            return ""

        yield windows
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def posix(seconds):
        ready, _, _ = select.select([descriptor], [], [], seconds)
        return sys.stdin.buffer.raw.read(1).decode("latin-1") if ready else ""

    try:
        tty.setcbreak(descriptor)
        yield posix
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
