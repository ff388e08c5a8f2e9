"""What must hold for every exercise before a learner sees it: the tests and `dev check` both run these.

Each proof takes an exercise and raises AssertionError with a sentence that says what does not hold.
"""

import ast
import re
import sys
from itertools import islice

import numpy as np

from tinynet.exercises import trial
from tinynet.exercises.exercise import exercises
from tinynet.exercises.judge import judge, state_of
from tinynet.exercises.runner import same_program

SEEDS = range(20)
SENTENCES = range(2)  # seeds for which also the sentence of a mistake is asked for; it costs a run of every mistake


def the_parts_are_there(exercise):
    """Title, statement, docstrings, hints, times: nothing is forgotten."""
    assert re.fullmatch(r"e\d\d_[a-z0-9_]+", exercise.name), "the file is to be called eNN_name.py"
    assert exercise.title and exercise.statement, "the docstring needs a title, an empty line and a statement"
    assert exercise.functions and exercise.checks, "there must be a solution and a check"
    assert all(f.__doc__ for f in exercise.functions.values()), "a solution needs a docstring: shapes and what to return"
    assert 2 <= len(exercise.ladder) <= 4 and all(exercise.ladder), "give two to four hints"
    assert len(exercise.mistakes) >= 2, "give at least two mistakes"
    assert len({m.sentence for m in exercise.mistakes}) == len(exercise.mistakes), "two mistakes have the same sentence"
    assert 1 <= exercise.difficulty <= 5 and exercise.minutes > 0 and 1 <= exercise.chapter <= 14
    assert exercise.adapters or exercise.no_library, "give the library's function, or say with no_library why there is none"
    titles = [c.title for c in exercise.checks]
    assert len(set(titles)) == len(titles), "two checks have the same title"


def the_solution_passes(exercise):
    """The solution as a file of its own passes with every seed."""
    functions = exercise.compiled(exercise.answer)
    for seed in SEEDS:
        findings = judge(exercise, functions, seed)
        bad = next((f for f in findings if f.state != "pass"), None)
        assert bad is None, f"seed {seed}: the solution fails {bad.name!r}: {' '.join(bad.lines)}"


def the_stub_is_not_attempted(exercise):
    """What the learner is given is a program, unlike the solution, and counts as not attempted."""
    assert same_program(exercise.stub, exercise.stub) and not same_program(exercise.answer, exercise.stub)
    if not exercise.starts:
        findings = judge(exercise, exercise.compiled(exercise.stub))
        assert state_of(findings) == "unattempted", f"the stub is {state_of(findings)}"
    assert "### BEGIN" not in exercise.stub and "tinynet.exercises.checks" not in exercise.stub


def the_bug_to_find_fails(exercise):
    """The start of a find-the-bug exercise is wrong."""
    if exercise.starts:
        for seed in SEEDS:
            findings = judge(exercise, exercise.compiled(exercise.stub), seed)
            assert state_of(findings) == "fail", f"seed {seed}: what the learner starts with is {state_of(findings)}"
    if exercise.lines:
        changed = exercise.changed(exercise.answer)
        assert 0 < changed <= exercise.lines, f"the solution changes {changed} lines, {exercise.lines} are allowed"


def no_answer_fails(exercise):
    """None, an empty function and zeros fail, each with a sentence, for each function alone."""
    for name in exercise.functions:
        for what, make in (("None", _nothing), ("zeros", _zeros)):
            functions = {**exercise.functions, name: make(exercise.functions[name])}
            for seed in SENTENCES:
                findings = judge(exercise, functions, seed)
                assert state_of(findings) == "fail", f"seed {seed}: {name} that gives {what} is {state_of(findings)}"
                assert all(f.lines for f in findings if f.state == "fail")


def _nothing(function):
    return lambda *args, **kwargs: None


def _zeros(function):
    return lambda *args, **kwargs: _zero(function(*args, **kwargs))


def _zero(thing):
    if isinstance(thing, np.ndarray):
        return np.zeros_like(thing)
    if isinstance(thing, tuple):
        return tuple(map(_zero, thing))
    if isinstance(thing, (list, dict, str)):
        return type(thing)()
    return type(thing)(0) if isinstance(thing, (int, float, np.number)) else None


def every_mistake_fails_with_its_sentence(exercise):
    """Each mistake fails with every seed, and is told apart from the others."""
    for mistake in exercise.mistakes:
        functions = exercise.wrong(mistake)
        for seed in SEEDS:
            findings = judge(exercise, functions, seed, until_failure=True)
            assert state_of(findings) == "fail", f"seed {seed}: passes though {mistake.sentence!r}"
        for seed in SENTENCES:
            hints = {f.hint for f in judge(exercise, functions, seed) if f.state == "fail"}
            assert hints == {mistake.sentence}, f"seed {seed}: {mistake.sentence!r} is told as {hints}"


def the_library_passes(exercise):
    """tinynet's own function passes: the exercises test the library as well."""
    if exercise.adapters:
        assert set(exercise.adapters) == set(exercise.functions), "the library must stand for every solution"
        for seed in SEEDS:
            findings = judge(exercise, exercise.adapters, seed)
            bad = next((f for f in findings if f.state != "pass"), None)
            assert bad is None, f"seed {seed}: the library fails {bad.name!r}: {' '.join(bad.lines)}"


def only_earlier_chapters_are_needed(exercise):
    """The learner's file stands by itself, and speaks of nothing that comes later."""
    for text in (exercise.stub, exercise.answer):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                module = getattr(node, "module", None) or node.names[0].name
                root = module.split(".")[0]
                assert root == "numpy" or root in sys.stdlib_module_names, f"a learner's file must not import {module}"
    for name in exercise.after:
        other = exercises().get(name)
        assert other, f"builds on {name}, which does not exist"
        assert other.number < exercise.number and other.chapter <= exercise.chapter, f"builds on {name}, which comes later"
    told = "\n".join([exercise.stub, *exercise.ladder, *(m.sentence for m in exercise.mistakes)])
    for number in map(int, re.findall(r"\be(\d\d)\b", told)):
        assert number <= exercise.number, f"speaks of e{number:02}, which comes later"
    for chapter in map(int, re.findall(r"\b[Cc]hapter (\d+)", told)):
        assert chapter <= exercise.chapter, f"speaks of chapter {chapter}, which comes later"


def alexnet_learns_with_it(exercise):
    """In tinynet's place the solution gives AlexNet the losses of the library, and is really used."""
    if exercise.place is None:
        return
    called = set()
    place = trial.placed(exercise, exercise.functions, called)
    library, replaced = trial.Trainer(), trial.Trainer()
    for x, labels in islice(trial.pictures(count=8, batch=4), 2):
        theirs, ours = library.step(x, labels), replaced.step(x, labels, place)
        assert abs(theirs - ours) < 1e-3 * theirs, f"with the solution in its place AlexNet's loss is {ours}, not {theirs}"
    assert called, "AlexNet trains without calling the solution"


PROOFS = (
    the_parts_are_there,
    the_solution_passes,
    the_stub_is_not_attempted,
    the_bug_to_find_fails,
    no_answer_fails,
    every_mistake_fails_with_its_sentence,
    the_library_passes,
    only_earlier_chapters_are_needed,
    alexnet_learns_with_it,
)
