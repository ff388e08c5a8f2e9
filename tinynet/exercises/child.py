"""The process that judges a learner's file: `python -m tinynet.exercises.child NAME FILE`, started by runner.py.

It holds the author's file and the seed, and never the learner's code: that runs in a process of its own (hand.py), to which
inputs go out and from which values come back (wire.py). The seed comes over standard input, with a token that each finding
carries: one JSON object a line on standard output. What the learner's code prints goes to standard error.
"""

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

from tinynet.exercises import hand
from tinynet.exercises.exercise import find
from tinynet.exercises.hand import RULE, Refused
from tinynet.exercises.judge import judge
from tinynet.exercises.wire import Gone, Wire


def main(name, path):
    secrets = json.loads(sys.stdin.readline())
    exercise = find(name)

    def tell(**what):
        print(json.dumps({**what, "token": secrets["token"]}), flush=True)

    tell(event="ready")
    process = None
    try:
        look(exercise, path)
        process = start(path)
        end, functions = connect(process, exercise, path)
        found = lambda f: tell(event="finding", **f.as_dict())  # noqa: E731
        judge(exercise, functions, secrets["seed"], filename=str(path), found=found)
        end.send(kind="caught")
        if caught := end.receive()["names"]:
            raise Refused(f"your code imports {caught[0]} while it runs: {RULE}")
    except Refused as refused:
        tell(event="refused", sentence=str(refused))
    except Gone:
        process.stdin.close()
        tell(event="gone", code=_code(process))
        return
    tell(event="done")


def start(path):
    """The process for the learner's file; it knows nothing but NumPy."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-P", hand.__file__]
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=path.parent)
    return subprocess.Popen(command, env=environment, **pipes)


def connect(process, exercise, path):
    """(the wire to the process, the learner's functions as they are called over it); raises Refused, Gone."""
    given = {name: thing for name in exercise.kept if isinstance(thing := getattr(exercise.module, name), type)}
    end = Wire(process.stdout, process.stdin, 0, given)
    wanted = {name: exercise.signature(name) for name in exercise.functions}
    end.send(path=str(path), name=exercise.name, wanted=wanted, given=list(given))
    answer = end.receive()
    if answer["kind"] == "refused":
        raise Refused(str(answer["sentence"]))
    functions = {}
    for name, (number, parameters) in answer["functions"].items():
        functions[name] = end.proxy(number)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        functions[name].__signature__ = inspect.Signature([inspect.Parameter(p, kind) for p in parameters])
    return end, functions


def _code(process):
    """How the process ended, or that it had to be ended because it made no sense."""
    try:
        return process.wait(2)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def load(exercise, path):
    """(the functions that a learner's file defines, the guard that watches its imports), in this process; raises Refused."""
    look(exercise, Path(path))
    wanted = {name: exercise.signature(name) for name in exercise.functions}
    functions, _, guard = hand.run(path, exercise.name, wanted)
    return functions, guard


def look(exercise, path):
    """What can be seen of a learner's file without running it; raises Refused."""
    _look_for_imports(parse(path), path)
    if exercise.lines and exercise.changed(path.read_bytes()) > exercise.lines:
        changed = exercise.changed(path.read_bytes())
        raise Refused(f"{changed} lines of {path.name} are changed, {exercise.lines} are allowed; reset puts them all back")


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
            if hand.ours(name):
                raise Refused(f"line {node.lineno} of {path.name} imports {name}: {RULE}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)
