"""What the tests of the exercises share: a learner's folder, answers to put into it, and author files of our own."""

import importlib.util
import inspect
import json
import os
import sys

from tinynet.exercises import __main__ as door
from tinynet.exercises.exercise import find, load
from tinynet.exercises.judge import judge

RELU = "e19_relu_backward"
PROGRAM = [sys.executable, "-m", "tinynet.exercises"]


def answer(name):
    """The solution of an exercise, as a learner would save it."""
    return find(name).answer


def edited(name, *edits):
    """A solution with some text replaced."""
    text = answer(name)
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    return text


def attempt(name, source, seed=0):
    """The findings on a learner's file; functions that `source` does not define are the solution's."""
    exercise = find(name)
    return judge(exercise, exercise.compiled(f"{exercise.answer}\n\n{source}"), seed)


def said(findings):
    """All that a learner is told, as one text."""
    return "\n".join(line for f in findings for line in (f.name, *f.lines, f.hint) if f.state != "pass")


def command(*arguments):
    """`python -m tinynet.exercises` with these arguments, in this process; returns its exit code."""
    return door.main([str(a) for a in arguments])


def environment(**more):
    """What PROGRAM needs in a folder from which tinynet cannot be imported, and `more`."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **more}


def save(name, text):
    """Write the file of an exercise in the current folder."""
    with open(f"{name}.py", "w", encoding="utf-8") as file:
        file.write(text)


def known(name=RELU):
    """What the state file in the current folder holds about an exercise."""
    with open("state.json", encoding="utf-8") as file:
        return json.load(file)["exercises"][name]


def author(folder, text, name="e50_square"):
    """The exercise of an author file with this text."""
    path = folder / f"{name}.py"
    path.write_text(inspect.cleandoc(text) + "\n")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return load(module)
