"""The judgement: run an exercise's checks on functions.

In this process and without a time limit; `runner.py` does it in a process of its own.
"""

import inspect
import sys
import traceback
import warnings
from dataclasses import asdict, dataclass, field

import numpy as np

from tinynet.exercises import checks
from tinynet.exercises.checks import Wrong
from tinynet.exercises.recognise import recognise
from tinynet.exercises.words import a_kind
from tinynet.gradcheck.draws import private

MOST = 2000  # results that are remembered of one check


@dataclass
class Finding:
    """What came of one check: state is pass, fail, unattempted or inconclusive."""

    name: str
    state: str
    lines: list = field(default_factory=list)
    hint: str = ""
    rel: float | None = None
    index: tuple | None = None

    def as_dict(self):
        return asdict(self)


class Raised(Exception):
    """The learner's function raised something."""

    def __init__(self, function, error):
        super().__init__(f"{function} raised {type(error).__name__}: {error}".rstrip(": "))
        self.error = error


class NotAttempted(Exception):
    """The learner's function is still a stub."""


def judge(exercise, functions, seed=0, *, until_failure=False, filename=None, found=None):
    """One Finding a check. until_failure: stop at the first that fails, and explain nothing.

    found: a function that is told each as it comes, and again when it is explained; filename: the learner's, to quote from.
    """
    findings, traces = [], []
    for i, check in enumerate(exercise.checks):
        finding, running = _judge(exercise, check, functions, (seed, exercise.number, i), filename)
        findings.append(finding)
        traces.append(running)
        if found:
            found(finding)
        if finding.state == "fail" and until_failure:
            return findings

    def again(mistake, i, seen):
        functions = exercise.wrong(exercise.mistakes[mistake])
        return _run(exercise, exercise.checks[i], functions, (seed, exercise.number, i), seen)

    for i, sentence in recognise(exercise, findings, traces, again).items():
        findings[i].hint = sentence
        if found:
            found(findings[i])
    return findings


def varies(exercise):
    """Whether another seed is another judgement: some check of the right answer draws from its generator."""
    return any(_run(exercise, check, exercise.functions, 0)[1].drew for check in exercise.checks)


def earned(exercise, findings):
    """The part of its points: of the checks that pass, or, if there is a bug to find, of those that fail because of it."""
    passed, given = sum(f.state == "pass" for f in findings), 0
    if exercise.starts:
        start = judge(exercise, exercise.compiled(exercise.stub))
        given = sum(f.state == "pass" for f in start)
    return max(0, passed - given) / (len(exercise.checks) - given)


def state_of(findings):
    """The state of the exercise: the worst of its checks, fail before inconclusive before unattempted."""
    states = {finding.state for finding in findings}
    return next((s for s in ("fail", "inconclusive", "unattempted") if s in states), "pass" if findings else "fail")


def _judge(exercise, check, functions, seed, filename):
    error, running = _run(exercise, check, functions, seed)
    if error is None:
        return Finding(check.title, "pass"), running
    if isinstance(error, NotAttempted):
        return Finding(check.title, "unattempted"), running
    finding = Finding(check.title, "fail", _lines(error, running, filename))
    if isinstance(error, Wrong):
        finding.state, finding.rel, finding.index = error.state, error.rel, error.index
        finding.hint = error.likely or ""
    return finding, running


def _run(exercise, check, functions, seed, seen=None):
    """(what the check raised or None, the `Running` of the check). seen: the list in which it remembers what it sees."""
    running = checks.begin((check, seed))
    running.seen = [] if seen is None else seen
    watched = {name: _watch(name, f, running, exercise.in_place) for name, f in functions.items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of overflows and the like we speak ourselves
        rng = private(seed, check.title)
        untouched = rng.bit_generator.state
        try:
            check(watched, rng)
            error = None
        except (Exception, SystemExit) as problem:
            error = problem
        running.drew = rng.bit_generator.state != untouched
    return error, running


def _watch(name, function, running, in_place):
    """The function, with everything that it gives remembered, and a complaint if it changes its arguments."""

    def watched(*args, **kwargs):
        running.calls += 1
        before = [] if in_place else [_copy(a) for a in args]
        try:
            result = function(*args, **kwargs)
        except NotImplementedError as error:
            raise NotAttempted from error
        except Wrong:  # of a function that the check has handed over
            raise
        except (Exception, SystemExit) as error:
            running.seen.append((name, type(error).__name__))
            # How Python words a RecursionError depends on where it struck.
            running.raised = "" if isinstance(error, RecursionError) else str(error)
            raise Raised(name, error) from error
        running.function, running.result = name, result
        if len(running.seen) < MOST:
            running.seen.append(_copy(result))
        for i, old in enumerate(before):
            if not _same(old, args[i]):
                which = _parameter(function, i)
                running.seen.append(_copy(args[i]))
                raise Wrong(f"{name} changed its argument {which} in place; the caller still needs it, so work on a copy")
        return result

    return watched


def _parameter(function, i):
    try:
        return list(inspect.signature(function).parameters)[i]
    except (ValueError, TypeError, IndexError):
        return f"number {i + 1}"


def _copy(thing):
    """Of arrays and of what holds them; other things are kept as they are."""
    if isinstance(thing, np.ndarray):
        return thing.copy()
    if isinstance(thing, list):
        return [_copy(item) for item in thing]
    if isinstance(thing, tuple):
        return tuple(map(_copy, thing))
    if isinstance(thing, dict):
        return {key: _copy(item) for key, item in thing.items()}
    return set(thing) if isinstance(thing, set) else thing


def _same(old, new):
    """Whether an argument is still what its copy says, to the last digit."""
    if isinstance(old, (np.ndarray, list, tuple, dict)) and not isinstance(new, type(old)):
        return False
    if isinstance(old, np.ndarray):
        return old.dtype == new.dtype and np.array_equal(old, new, equal_nan=old.dtype.kind in "fc")
    if isinstance(old, (list, tuple)):
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    return old is new or (isinstance(old, (int, float, complex, str, set)) and old == new)


def _lines(error, running, filename):
    if isinstance(error, Wrong):
        return error.lines
    if isinstance(error, Raised):
        lines = str(error).split("\n")[:3]
        frames = [f for f in traceback.extract_tb(error.error.__traceback__) if filename and f.filename == filename]
        where = getattr(error.error, "learners_line", None) or next(((f.lineno, f.line) for f in reversed(frames)), None)
        if isinstance(error.error, SystemExit):
            lines = ["your function called sys.exit, which ends the program before it is judged; return the answer instead"]
        if isinstance(error.error, RecursionError):
            deep = f"{lines[0].split(' raised')[0]} called itself too often: RecursionError, {sys.getrecursionlimit()} deep"
            lines = [f"{deep}; no case stops it, or there are too many steps to call itself for each"]
        return lines + ([f"line {where[0]}:  {where[1]}"] if where else [])
    if running.function and running.result is None:
        return [f"{running.function} returned None; {checks.NOTHING}"]
    last = f" from what {running.function} returned, {a_kind(running.result)}" if running.function else ""
    return [f"the check could not go on{last}: {type(error).__name__}: {error}; see in the docstring what to return"]
