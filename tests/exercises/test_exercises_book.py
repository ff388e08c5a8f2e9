"""Every exercise is proven before a learner sees it; and each proof can fail."""

import numpy as np
import pytest
from learners import author

from tinynet.exercises import proofs
from tinynet.exercises.book import skeleton
from tinynet.exercises.exercise import exercises
from tinynet.exercises.judge import judge
from tinynet.exercises.recognise import alike

TITLES = [proof.__name__ for proof in proofs.PROOFS]


@pytest.mark.parametrize("name", exercises())
@pytest.mark.parametrize("proof", proofs.PROOFS, ids=TITLES)
def test_exercise(name, proof, seeds, monkeypatch):
    monkeypatch.setattr(proofs, "SEEDS", seeds)
    proof(exercises()[name])


def test_numbers_and_chapters_rise_together():
    members = list(exercises().values())
    assert len({e.number for e in members}) == len(members)
    assert [e.chapter for e in members] == sorted(e.chapter for e in members)
    titles = [e.title for e in members]
    assert len(set(titles)) == len(titles)


# what `dev new` writes is an exercise, and a start for bad ones ---------------------------------------------------------


@pytest.fixture
def text():
    with open(skeleton.__file__, encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("proof", proofs.PROOFS, ids=TITLES)
def test_the_skeleton_is_proven_like_any_exercise(tmp_path, text, proof):
    proof(author(tmp_path, text))


SOLUTION, FIRST, SECOND = "return 2 * x * dy", '"2 * x * dy", "x * dy"', '"2 * x * dy", "2 * x")'
BAD = {
    "no statement": (proofs.the_parts_are_there, '"""Title, a few words.\n', '"""Title, a few words."""\nOTHER = """\n'),
    "a single hint": (proofs.the_parts_are_there, '    "Where to look.",\n', ""),
    "a wrong solution": (proofs.the_solution_passes, SOLUTION, "return 2.0000001 * x * dy"),
    "a solution that needs the author's names": (proofs.the_solution_passes, SOLUTION, f"{SOLUTION} + 0 * exercise.chapter"),
    "checks that zeros pass": (
        proofs.no_answer_fails,
        '"dx for x = [3 -2], dy = [1 10]")',
        "atol=100)",
        "    gradients(lambda",
        "    return\n    gradients(lambda",
    ),
    "a mistake that is right": (proofs.every_mistake_fails_with_its_sentence, FIRST, '"2 * x * dy", "x * dy * 2"'),
    "two mistakes that are one": (proofs.every_mistake_fails_with_its_sentence, SECOND, '"2 * x * dy", "1 * x * dy")'),
    "a mistake that edits nothing": (proofs.every_mistake_fails_with_its_sentence, FIRST, '"3 * x * dy", "x * dy"'),
    "a library that differs": (proofs.the_library_passes, "mul(x, x), dy", "mul(x, mul(x, 1.5)), dy"),
    "tinynet in a learner's file": (
        proofs.only_earlier_chapters_are_needed,
        "    return 2",
        "    import tinynet\n    return 2",
    ),
    "a hint about what comes later": (proofs.only_earlier_chapters_are_needed, "Nearly the answer.", "As in e51."),
    "building on what is not there": (
        proofs.only_earlier_chapters_are_needed,
        "difficulty=1,",
        "difficulty=1, after=['e49'],",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_the_proofs_reject(tmp_path, text, bad):
    proof, *edits = BAD[bad]
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        assert old in text
        text = text.replace(old, new, 1)
    exercise = author(tmp_path, text)
    with pytest.raises((AssertionError, ValueError, NameError)):
        proof(exercise)


def test_a_bug_to_find_that_is_none_is_rejected(tmp_path, text):
    bug = "@exercise.starts_as\ndef _(dy, x):\n    return x * 2 * dy\n\n\n@exercise.check"
    exercise = author(tmp_path, text.replace("@exercise.check", bug, 1))
    with pytest.raises(AssertionError, match="what the learner starts with is pass"):
        proofs.the_bug_to_find_fails(exercise)


def test_a_place_that_is_never_used_is_rejected(tmp_path, text):
    text += "\n\n@exercise.takes_the_place\ndef _(square_backward):\n    return []\n"
    with pytest.raises(AssertionError, match="without calling"):
        proofs.alexnet_learns_with_it(author(tmp_path, text))


@pytest.mark.parametrize("title, headline", [("A square.", "A square."), ("A square", "A square."), ("Why?", "Why?")])
def test_a_title_keeps_its_own_end(tmp_path, text, title, headline):
    exercise = author(tmp_path, text.replace("Title, a few words.", title))
    assert exercise.stub.startswith(f'"""e50: {headline}\n')
    assert exercise.answer.startswith(f'"""e50: {headline} A solution."""')


# recognising mistakes -------------------------------------------------------------------------------------------------


def test_a_mistake_is_recognised_by_what_it_does_not_by_how_it_is_written(tmp_path, text):
    exercise = author(tmp_path, text)
    findings = judge(exercise, {"square_backward": lambda dy, x: np.exp(np.log(np.abs(x))) * np.sign(x) * dy})
    assert {f.hint for f in findings} == {"the factor 2 is missing: x is used twice"}


def test_an_unknown_mistake_gets_the_gradient_checkers_diagnosis(tmp_path, text):
    exercise = author(tmp_path, text)
    by_hand, gradient = judge(exercise, {"square_backward": lambda dy, x: -2 * x * dy})
    assert by_hand.hint == "" and "sign is wrong" in gradient.hint


def test_results_are_alike_to_nine_digits():
    a = np.array([1.0, 2e6])
    assert alike([a, (1, "x")], (a * (1 + 1e-11), [1, "x"]))
    assert not alike(a, a * (1 + 1e-7))
    assert not alike(a, a[:1]) and not alike("a", "b") and not alike({"a": 1}, {"b": 1})
    assert alike(np.array([np.nan, np.inf]), np.array([np.nan, np.inf]))
    assert not alike(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))
    assert not alike(a, [np.zeros((2, 1)), np.zeros((2, 2))]) and not alike(None, [np.zeros((2, 1)), np.zeros((2, 2))])


@pytest.mark.parametrize(
    "answer, told",
    [
        ("None", "square_backward returned None; a function that never reaches `return` gives None"),
        ("1.0", "the check could not go on from what square_backward returned, a float: TypeError: "),
    ],
)
def test_a_check_that_crashes_says_from_which_answer(tmp_path, text, answer, told):
    """Also if the check has required something before; what it required is not the answer."""
    call = "found = square_backward(np.array([1.0, 10.0]), np.array([3.0, -2.0]))"
    new = f'@exercise.check("crash")\ndef _(square_backward, rng):\n    {call}\n    require(True, "")\n    found[0]\n\n\n'
    text = text.replace("expect, gradients", "expect, gradients, require")
    exercise = author(tmp_path, text.replace("exercise.mistake(", new + "exercise.mistake(", 1))
    finding = judge(exercise, {"square_backward": lambda dy, x: eval(answer)})[-1]
    assert finding.state == "fail" and finding.lines[0].startswith(told)
