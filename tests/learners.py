"""What the tests of the exercises share: a learner's folder, answers to put into it, and author files of our own."""

import importlib.util
import inspect

from tinynet.exercises import __main__ as door
from tinynet.exercises.exercise import find, load

RELU = "e19_relu_backward"


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


def command(*arguments):
    """`python -m tinynet.exercises` with these arguments, in this process; returns its exit code."""
    return door.main([str(a) for a in arguments])


def author(folder, text, name="e50_square"):
    """The exercise of an author file with this text."""
    path = folder / f"{name}.py"
    path.write_text(inspect.cleandoc(text) + "\n")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return load(module)
