"""The judgement: run an exercise's checks on functions, and recognise known mistakes.

In this process and without a time limit; `runner.py` does it in a process of its own.
"""

import inspect
import traceback
import warnings
from collections import Counter
from dataclasses import asdict, dataclass, field

import numpy as np

from tinynet.exercises import checks
from tinynet.exercises.checks import Wrong
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
    findings, known = [], []
    for i, check in enumerate(exercise.checks):
        start = seed, exercise.number, i
        finding, trace = _judge(exercise, check, functions, start, filename)
        findings.append(finding)
        if found:
            found(finding)
        if finding.state == "fail":
            if until_failure:
                break
            known.append((finding, _recognise(exercise, check, start, trace)))
    counts = Counter(sentence for _, sentences in known for sentence in sentences)
    for finding, sentences in known:  # two mistakes may do the same in one check; the likelier explains more of them
        if sentences:
            finding.hint = max(sentences, key=counts.__getitem__)
            if found:
                found(finding)
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
        return Finding(check.title, "pass"), running.seen
    if isinstance(error, NotAttempted):
        return Finding(check.title, "unattempted"), running.seen
    finding = Finding(check.title, "fail", _lines(error, running, filename))
    if isinstance(error, Wrong):
        finding.state, finding.rel, finding.index = error.state, error.rel, error.index
        finding.hint = error.likely or ""
    return finding, running.seen


def _run(exercise, check, functions, seed):
    """(what the check raised or None, the `Running` of the check)."""
    running = checks.begin((exercise.name, check.title, seed))
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
        before = None if in_place else [a.copy() if isinstance(a, np.ndarray) else None for a in args]
        try:
            result = function(*args, **kwargs)
        except NotImplementedError as error:
            raise NotAttempted from error
        except (Exception, SystemExit) as error:
            running.seen.append((name, type(error).__name__))
            raise Raised(name, error) from error
        running.function, running.result = name, result
        if len(running.seen) < MOST:
            running.seen.append(_copy(result))
        for i, old in enumerate(before or ()):
            if old is not None and not np.array_equal(old, args[i], equal_nan=True):
                which = _parameter(function, i)
                raise Wrong(f"{name} changed its argument {which} in place; the caller still needs it, so make a new array")
        return result

    return watched


def _parameter(function, i):
    try:
        return list(inspect.signature(function).parameters)[i]
    except (ValueError, TypeError, IndexError):
        return f"number {i + 1}"


def _copy(thing):
    if isinstance(thing, np.ndarray):
        return thing.copy()
    if isinstance(thing, (list, tuple)):
        return [_copy(item) for item in thing]
    if isinstance(thing, dict):
        return {key: _copy(item) for key, item in thing.items()}
    return thing if thing is None or isinstance(thing, (int, float, complex, str, np.generic)) else type(thing)


def _lines(error, running, filename):
    if isinstance(error, Wrong):
        return error.lines
    if isinstance(error, Raised):
        lines = str(error).split("\n")[:3]
        frames = [f for f in traceback.extract_tb(error.error.__traceback__) if filename and f.filename == filename]
        if isinstance(error.error, SystemExit):
            lines = ["your function called sys.exit, which ends the program before it is judged; return the answer instead"]
        if isinstance(error.error, RecursionError):
            lines = [f"{lines[0].split(' raised')[0]} called itself too often: RecursionError; it needs a case that stops"]
        return lines + [f"line {f.lineno}:  {f.line}" for f in frames[-1:]]
    if running.function and running.result is None:
        return [f"{running.function} returned None; {checks.NOTHING}"]
    last = f" from what {running.function} returned, {a_kind(running.result)}" if running.function else ""
    return [f"the check could not go on{last}: {type(error).__name__}: {error}; see in the docstring what to return"]


def _recognise(exercise, check, seed, trace):
    """The sentences of the mistakes that do in this check exactly what the learner's functions did."""
    sentences = []
    for mistake in exercise.mistakes:
        error, theirs = _run(exercise, check, exercise.wrong(mistake), seed)
        if error is not None and len(theirs.seen) == len(trace) and all(map(alike, trace, theirs.seen)):
            sentences.append(mistake.sentence)
    return sentences


def alike(a, b):
    """Whether two results are the same to nine digits, whatever they are made of."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, str) or isinstance(b, str):
        return type(a) is type(b) and a == b
    try:
        x, y = np.asarray(a), np.asarray(b)
    except ValueError:  # a list of arrays of several shapes, beside something that is no list
        return False
    if x.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        return type(a) is type(b)  # objects of the exercise: what counts in them, the check compares
    scale = max(np.abs(x).max(initial=0, where=np.isfinite(x)), 1e-300)
    return x.shape == y.shape and np.allclose(x, y, rtol=0, atol=1e-9 * scale, equal_nan=True)
