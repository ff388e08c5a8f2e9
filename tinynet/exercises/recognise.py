"""Which listed mistake a learner has made: told only if it is proven."""

import functools
import inspect

import numpy as np


def recognise(exercise, findings, traces, again):
    """{number of a check that failed: the sentence of the mistake that the learner has proven to make}.

    A mistake must do there what the learner does, to nine digits, and pass the checks of the same functions that the learner
    passes. It is proven by doing the same in all checks that fail, or in all of the same functions, or in most of them with
    many different numbers and failing in the others; the best proof counts. An error proves nothing but beside numbers, or
    if it explains everything word for word. Two mistakes with equal proof prove nothing.

    traces: the `Running` of each check; again: a function of the number of a mistake, that of a check and the list in which
    to remember what is seen, to (the error of that mistake in that check, its `Running`).
    """
    failed = [i for i, f in enumerate(findings) if f.state == "fail"]
    passed = [i for i, f in enumerate(findings) if f.state == "pass"]
    about = [set(inspect.signature(check.run).parameters) - {"rng"} for check in exercise.checks]

    @functools.cache
    def does(mistake, i):
        """What a mistake does in a check: it passes, or differs, or like the learner it gives or raises something."""
        seen = _Like(traces[i].seen) if i in failed else None
        error, theirs = again(mistake, i, seen)
        if error is None:
            return "passes"
        if i not in failed or len(seen) < len(traces[i].seen):
            return "differs"
        if theirs.raised is not None:
            return "raises" if theirs.raised == traces[i].raised else "raises otherwise"
        return "gives"

    def same(mistake, checks):
        return all(does(mistake, j) in ("gives", "raises", "raises otherwise") for j in checks)

    def passes(mistake, checks):
        return all(does(mistake, j) == "passes" for j in checks)

    def proof(mistake, i):
        """How well a check that fails proves a mistake, from 0, not at all, to 3."""
        wrong, right = ([j for j in those if about[i] & about[j]] for those in (failed, passed))
        if not same(mistake, [i]) or not passes(mistake, right):
            return 0
        gives = {j for j in failed if does(mistake, j) == "gives"}
        word_for_word = passed and all(does(mistake, j) == "raises" for j in failed)
        if (gives or word_for_word) and same(mistake, failed) and passes(mistake, passed):
            return 3
        if gives & set(wrong) and same(mistake, wrong):
            return 2
        most = 2 * sum(same(mistake, [j]) for j in wrong) > len(wrong)
        many = any(_many_numbers(traces[j].seen) for j in gives & set(wrong))
        return int(most and many and all(again(mistake, j, None)[0] for j in wrong))

    sentences = {}
    for i in failed:
        proofs = [proof(mistake, i) for mistake in range(len(exercise.mistakes))]
        if max(proofs, default=0) > 0 and proofs.count(max(proofs)) == 1:
            sentences[i] = exercise.mistakes[proofs.index(max(proofs))].sentence
    return sentences


def _many_numbers(seen):
    """Whether there are ten different numbers or more, which two mistakes do not share by chance."""
    numbers = set()
    for thing in seen:
        for part in thing if isinstance(thing, (list, tuple)) else [thing]:
            if isinstance(part, (np.ndarray, int, float, np.number)):
                numbers |= set(np.ravel(part)[:1000].tolist())
    return len(numbers) >= 10


class _Unlike(Exception):
    """A mistake does something else than the learner did."""


class _Like(list):
    """What a mistake does, as long as the learner did the same."""

    def __init__(self, learners):
        super().__init__()
        self.learners = learners

    def append(self, thing):
        if len(self) == len(self.learners) or not alike(self.learners[len(self)], thing):
            raise _Unlike
        super().append(thing)


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
