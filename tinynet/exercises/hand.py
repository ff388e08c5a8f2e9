"""The process in which a learner's file runs, started by child.py: with NumPy and the file, and nothing of tinynet.

It is run by its path, `python hand.py`, gets everything over its standard input, and answers calls of the functions that the
file defines until nobody asks any more. What the file prints goes to standard error.
"""

import builtins
import importlib
import importlib.util
import inspect
import os
import sys
import traceback
import warnings
from pathlib import Path

RULE = "an exercise is to be written with NumPy alone; take the import out (tinynet's own version may be read, not called)"


class Refused(Exception):
    """A learner's file that cannot be judged; the message is the sentence that says why."""


def ours(name):
    """Whether a module is tinynet's."""
    return name.split(".")[0] in ("tinynet", "alexnet")


def run(path, name, wanted, given=()):
    """(functions, classes, guard) of a learner's file: what it defines, and who watches its imports; raises Refused.

    name: of the exercise. wanted: function -> how it is to be defined, for messages. given: names of classes.
    """
    path, guard = Path(path), Guard()
    space = {"__name__": name, "__file__": str(path)}
    sys.path.append(str(path.parent))
    with guard:
        try:
            exec(compile(path.read_bytes(), str(path), "exec"), space)
        except SystemExit:
            raise Refused(f"{path.name} calls sys.exit when it is loaded, which ends the program; take it out") from None
        except Exception as error:
            if guard.caught:
                raise Refused(f"{path.name} imports {guard.caught[0]}: {RULE}") from None
            frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
            where = f" in line {frames[-1].lineno}, {frames[-1].line!r}" if frames else ""
            raise Refused(f"{path.name} cannot be loaded: {type(error).__name__}{where}: {error}") from None
    functions = {}
    for function, signature in wanted.items():
        if not callable(space.get(function)):
            raise Refused(f"{path.name} defines no function {function}; expected def {signature}")
        code = getattr(inspect.unwrap(space[function]), "__code__", None)
        if code is None or code.co_filename != str(path):
            raise Refused(
                f"{function} is not defined in {path.name} but comes from elsewhere; write it with def {function}(...)"
            )
        functions[function] = guard.guarded(space[function])
    return functions, {key: space[key] for key in given if isinstance(space.get(key), type)}, guard


class Guard:
    """While the learner's code runs, imports of tinynet fail, and are remembered in case the code catches that."""

    def __init__(self):
        self.caught, self._before = [], None

    def __enter__(self):
        self._before = builtins.__import__, importlib.import_module
        builtins.__import__ = self._watch(builtins.__import__)
        importlib.import_module = self._watch(importlib.import_module)

    def __exit__(self, *_):
        builtins.__import__, importlib.import_module = self._before

    def _watch(self, function):
        def guarded_import(name, *args, **kwargs):
            if ours(name):
                self.caught.append(name)
                raise ImportError(f"{name}: {RULE}")
            return function(name, *args, **kwargs)

        return guarded_import

    def guarded(self, function):
        """The function, under guard whenever it is called from outside."""

        def call(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        call.__wrapped__ = function  # so that messages show its parameters
        return call


def main():
    import numpy as np

    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what is printed, even by C code, arrives apart from the answers
    np.seterr(all="ignore")
    warnings.simplefilter("ignore")  # of overflows and the like the judge speaks itself
    wire = _neighbour("wire")
    end = wire.Wire(incoming, outgoing, 1)
    task = end.receive()
    path = task["path"]

    def line(error):
        """Where in the learner's file an error was raised: (number, text), or None."""
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
        return (frames[-1].lineno, frames[-1].line) if frames else None

    end.line = line
    try:
        functions, end.classes, guard = run(path, task["name"], task["wanted"], task["given"])
    except Refused as refused:
        end.send(kind="refused", sentence=str(refused))
        return
    numbers = {name: [end.offer(f), list(inspect.signature(f).parameters)] for name, f in functions.items()}
    end.send(kind="loaded", functions=numbers)
    try:
        while True:
            frame = end.receive()
            if frame["kind"] == "caught":
                end.send(kind="caught", names=guard.caught)
            else:
                end.serve(frame)
    except wire.Gone:
        pass


def _neighbour(name):
    """A module beside this file, which is no package here."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads that the learner's code may have started
