"""The process that judges a learner's file: `python -m tinynet.exercises.child NAME FILE SEED`, started by runner.py.

What it finds goes to its standard output, one JSON object a line; whatever the learner's code prints goes to standard error.
"""

import ast
import builtins
import importlib
import inspect
import json
import os
import sys
import traceback
from pathlib import Path

from tinynet.exercises.exercise import find
from tinynet.exercises.judge import judge

RULE = "an exercise is to be written with NumPy alone; take the import out (tinynet's own version may be read, not called)"


class Refused(Exception):
    """A learner's file that cannot be judged; the message is the sentence that says why."""


def main(name, path, seed):
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # from here on prints, even those of C code, arrive apart from the findings
    exercise = find(name)

    def tell(**what):
        print(json.dumps(what), file=channel, flush=True)

    tell(event="ready")
    try:
        functions, guard = load(exercise, path)
        judge(exercise, functions, seed, filename=str(path), found=lambda f: tell(event="finding", **f.as_dict()))
        if guard.caught:
            raise Refused(f"your code imports {guard.caught[0]} while it runs: {RULE}")
    except Refused as refused:
        tell(event="refused", sentence=str(refused))
    tell(event="done")
    sys.stdout.flush()
    os._exit(0)  # without waiting for threads that the learner's code may have started


def load(exercise, path):
    """(the functions that a learner's file defines, the guard that watches its imports); raises Refused."""
    path = Path(path)
    tree = parse(path)
    _look_for_imports(tree, path)
    if exercise.lines and exercise.changed(path.read_bytes()) > exercise.lines:
        changed = exercise.changed(path.read_bytes())
        raise Refused(f"{changed} lines of {path.name} are changed, {exercise.lines} are allowed; reset puts them all back")
    guard = Guard()
    space = {"__name__": exercise.name, "__file__": str(path)}
    sys.path.append(str(path.parent))
    with guard:
        try:
            exec(compile(tree, str(path), "exec"), space)
        except SystemExit:
            raise Refused(f"{path.name} calls sys.exit when it is loaded, which ends the program; take it out") from None
        except Exception as error:
            if guard.caught:
                raise Refused(f"{path.name} imports {guard.caught[0]}: {RULE}") from None
            frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
            where = f" in line {frames[-1].lineno}, {frames[-1].line!r}" if frames else ""
            raise Refused(f"{path.name} cannot be loaded: {type(error).__name__}{where}: {error}") from None
    functions = {}
    for name in exercise.functions:
        if not callable(space.get(name)):
            raise Refused(f"{path.name} defines no function {name}; expected def {exercise.signature(name)}")
        code = getattr(inspect.unwrap(space[name]), "__code__", None)
        if code is None or code.co_filename != str(path):
            raise Refused(f"{name} is not defined in {path.name} but comes from elsewhere; write it with def {name}(...)")
        functions[name] = guard.guarded(space[name])
    return functions, guard


def parse(path):
    """The syntax tree of a learner's file; raises Refused."""
    try:
        return ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        line = f": {error.text.strip()}" if error.text else ""
        raise Refused(f"line {error.lineno} is not Python ({error.msg}){line}") from None
    except (ValueError, OSError, RecursionError, MemoryError) as error:
        raise Refused(f"{path.name} cannot be read as Python: {error}") from None


def _look_for_imports(tree, path):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if _ours(name):
                raise Refused(f"line {node.lineno} of {path.name} imports {name}: {RULE}")


def _ours(name):
    return name.split(".")[0] in ("tinynet", "alexnet")


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
            if _ours(name):
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


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
