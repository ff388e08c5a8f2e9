"""Two listed mistakes at once: what is told is one of the two, never a third that they are not."""

import itertools

import pytest

from tinynet.exercises.exercise import exercises
from tinynet.exercises.judge import judge

# e05 looks at where its function was called, not at what is listed.
MEMBERS = [e for e in exercises().values() if e.number <= 21 and e.short != "e05"]
QUICK = ("e01", "e03", "e14", "e16", "e20")


def both(exercise, *mistakes):
    """The functions that have all of these mistakes, or None if their edits do not go together."""
    text = exercise.answer
    for old, new in itertools.chain(*(mistake.edits for mistake in mistakes)):
        if text.count(old) != 1:
            return None
        text = text.replace(old, new)
    return exercise.compiled(text)


@pytest.mark.parametrize(
    "exercise", [pytest.param(e, id=e.name, marks=[] if e.short in QUICK else pytest.mark.slow) for e in MEMBERS]
)
def test_two_mistakes_are_never_told_as_a_third(exercise):
    known = {mistake.sentence: mistake for mistake in exercise.mistakes}
    for pair in itertools.combinations((m for m in exercise.mistakes if m.edits), 2):
        functions = both(exercise, *pair)
        if functions is None:
            continue
        findings = judge(exercise, functions)
        assert any(f.state == "fail" for f in findings), f"these two pass together: {[m.sentence for m in pair]}"
        for third in {f.hint for f in findings} & known.keys() - {m.sentence for m in pair}:
            # Unless they make it up: one order of paddings after another is a third.
            theirs = judge(exercise, exercise.wrong(known[third]))
            assert [f.lines for f in theirs] == [f.lines for f in findings], (
                f"{[m.sentence for m in pair]} told as {third!r}"
            )
