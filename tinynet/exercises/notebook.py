"""Judging from a notebook cell, and the export to nbgrader.

nbgrader gives full marks for a cell that returns anything but a number, and none for one that writes to standard error: so
`grade` returns a float or raises, and whatever is written meanwhile, by whomever, goes to standard output.
"""

import ast
import contextlib
import json
import sys
from pathlib import Path

import tinynet
from tinynet.errors import UsageError
from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.judge import earned, judge, state_of
from tinynet.exercises.screen import report

states: dict[str, str] = {}  # exercise -> how it was judged last, in this process


def check(name, *functions, seed=0):
    """Judge functions in this process, for notebooks: prints the report, returns None.

    name: "e19" or longer. functions: as many as the exercise has, in their order. Raises UsageError for an unknown name,
    for tinynet's own functions and for another number of them.
    """
    _judged(name, functions, seed)


def grade(name, *functions, points, seed=0):
    """Judge functions in a graded cell: prints the report, returns the points earned, a float from 0 to `points`.

    Raises UsageError as `check` does. seed: another one draws other shapes and values.
    """
    with _nothing_on_stderr():
        return float(points) * earned(*_judged(name, functions, seed))


@contextlib.contextmanager
def _nothing_on_stderr():
    """What is written to standard error inside goes to standard output, also by those who hold the stream, as loggers do."""
    stream = sys.stderr
    with contextlib.redirect_stderr(sys.stdout), contextlib.ExitStack() as later:
        with contextlib.suppress(AttributeError, TypeError):  # not every stream lets itself be changed
            stream.write = sys.stdout.write
            later.callback(delattr, stream, "write")
        yield


def _judged(name, functions, seed):
    from tinynet.exercises.runner import Verdict

    try:
        exercise = find(name)
    except KeyError:
        raise UsageError(f"there is no exercise {name!r}; expected one of {', '.join(e for e in exercises())}") from None
    if len(functions) != len(exercise.functions):
        wanted = ", ".join(exercise.functions)
        raise UsageError(f"{exercise.name} is about {len(exercise.functions)} functions ({wanted}); got {len(functions)}")
    for function in functions:
        if _is_ours(function):
            raise UsageError(f"{exercise.name}: this is tinynet's own function; give the one that you wrote")
    findings = judge(exercise, dict(zip(exercise.functions, functions, strict=True)), seed)
    states[exercise.name] = state_of(findings)
    print(report(exercise, "in this notebook", Verdict(states[exercise.name], findings)))
    return exercise, findings


def _is_ours(function):
    code = getattr(function, "__code__", None)
    return code is not None and Path(code.co_filename).is_relative_to(Path(tinynet.__file__).parent)


def export(folder, seed=0):
    """Write one notebook a chapter into `folder`, as an nbgrader source; returns the paths.

    seed: of the values that are judged when the notebooks are graded; the students' version has seed 0. Raises UsageError if
    one of the notebooks exists.
    """
    folder, chapters = Path(folder), {}
    for exercise in exercises().values():
        chapters.setdefault(exercise.chapter, []).append(exercise)
    paths = {chapter: folder / f"chapter_{chapter:02}.ipynb" for chapter in chapters}
    taken = [path for path in paths.values() if path.exists()]
    if taken:
        raise UsageError(f"{taken[0]} exists already and it will not be overwritten; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for chapter, path in paths.items():
            path.write_text(json.dumps(_notebook(chapter, chapters[chapter], seed), indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}); choose another folder") from error
    return list(paths.values())


def cell_text(exercise, solved=False):
    """What stands in an exercise's cell: what the learner starts with, or the solution."""
    return _without_docstring(exercise.answer if solved else exercise.stub)


def _notebook(chapter, members, seed):
    cells = [_cell("markdown", f"c{chapter:02}", f"# Exercises of chapter {chapter}")]
    cells.append(_cell("code", f"c{chapter:02}-start", "import numpy as np"))
    for exercise in members:
        names = ", ".join(exercise.functions)
        about = f"## {exercise.short}: {exercise.title}\n\n{exercise.statement}"
        task = f'grade("{exercise.name}", {names}, points={exercise.points:g}, seed=seed)'
        # A find-the-bug exercise is an ordinary cell: nbgrader would put a stub in the place of the bug.
        answer = {} if exercise.starts else dict(solution=True, task=False, locked=False, grade=False)
        graded = dict(solution=False, task=False, locked=True, grade=True, points=exercise.points)
        cells += [
            _cell("markdown", f"{exercise.short}-text", about),
            _cell("code", f"{exercise.short}-answer", _answer(exercise), **answer),
            _cell("code", f"{exercise.short}-grade", f"{_before_grading(seed)}\n{task}", **graded),
        ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _before_grading(seed):
    """The names that a graded cell uses, set in the cell itself: whatever an answer calls `grade` is not called."""
    hidden = f"### BEGIN HIDDEN TESTS\nseed = {seed}\n### END HIDDEN TESTS\n" if seed else ""
    return f"from tinynet.exercises import grade\n\nseed = 0\n{hidden}"


def _answer(exercise):
    """The solution between the marks that nbgrader cuts at; for find-the-bug exercises what the learner starts with."""
    if exercise.starts:
        return cell_text(exercise)
    lines = exercise.answer.split("\n")
    for node in reversed(ast.parse(exercise.answer).body):
        if isinstance(node, ast.FunctionDef) and node.name in exercise.functions:
            lines.insert(node.end_lineno, "    ### END SOLUTION")
            lines.insert(node.body[0].end_lineno, "    ### BEGIN SOLUTION")  # below the docstring
    return _without_docstring("\n".join(lines))


def _without_docstring(text):
    return "\n".join(text.split("\n")[ast.parse(text).body[0].end_lineno :]).strip("\n")


def _cell(kind, name, source, **nbgrader):
    cell = {"cell_type": kind, "id": name, "metadata": {}, "source": source.splitlines(keepends=True)}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    if nbgrader:
        cell["metadata"] = {"nbgrader": {"grade_id": name, "schema_version": 3, **nbgrader}}
    return cell
