"""The words that authors say checks with: what each lets pass, and the sentence of what it does not."""

import numpy as np
import pytest
from learners import author

from tinynet.exercises.checks import Wrong, expect, expect_all, expect_parts, expect_shape, expect_type
from tinynet.exercises.judge import judge


def told(tmp_path, check, function):
    """The lines of a check, written as in an author file, of a function f; [] if it passes."""
    words = ", ".join(w.__name__ for w in (expect, expect_all, expect_parts, expect_shape, expect_type))
    exercise = author(
        tmp_path,
        f'"""T.\n\nS.\n"""\nimport numpy as np\nfrom tinynet.exercises.checks import {words}\n'
        "from tinynet.exercises.exercise import Exercise\nexercise = Exercise(chapter=1, minutes=1, difficulty=1)\n"
        f'@exercise.solution\ndef f(*args):\n    """D."""\n@exercise.check("c")\ndef _(f, rng):\n    {check}\n',
    )
    (finding,) = judge(exercise, {"f": function})
    assert (finding.state == "pass") == (not finding.lines)
    return finding.lines


NOTHING = "f returned None; a function that never reaches `return` gives None"


@pytest.mark.parametrize(
    "answer, lines",
    [
        ((1.0, 2.0), []),
        ([1.0, 2.0], []),
        (None, [NOTHING]),
        (np.zeros((2, 3)), ["f returned an array; expected (w, v)"]),
        (1, ["f returned an int; expected (w, v)"]),
        ((1.0,), ["f returned a tuple of 1; expected (w, v)"]),
        ([1.0, 2.0, 3.0], ["f returned a list of 3; expected (w, v)"]),
    ],
)
def test_expect_parts(tmp_path, answer, lines):
    assert told(tmp_path, "w, v = expect_parts(f(), 'w', 'v'); assert (w, v) == (1.0, 2.0)", lambda: answer) == lines


@pytest.mark.parametrize(
    "answer, lines", [({}, []), (None, [NOTHING]), (0.5, ["f returned a float; expected a dictionary"])]
)
def test_expect_type(tmp_path, answer, lines):
    assert told(tmp_path, "assert expect_type(f(), dict, 'a dictionary') == {}", lambda: answer) == lines


@pytest.mark.parametrize(
    "answer, line",
    [
        (np.ones((2, 3)), None),
        ([[7, 8, 9], [1, 2, 3]], None),
        (None, "y: None; a function that never reaches `return` gives None"),
        (np.zeros((3, 2)), "y: shape (3, 2), expected (2, 3)"),
        ([[1], [2, 3]], "y: a list; expected numbers of shape (2, 3)"),
        (np.full((2, 3), "a"), "y: an array of objects; expected numbers of shape (2, 3)"),
    ],
)
def test_expect_shape(answer, line):
    """Of numbers whose values something else judges."""
    if line is None:
        assert np.array_equal(expect_shape(answer, (2, 3), "y"), answer)
        return
    for judged in (lambda: expect_shape(answer, (2, 3), "y"), lambda: expect(answer, np.ones((2, 3)), "y")):
        with pytest.raises(Wrong) as wrong:
            judged()
        assert wrong.value.lines == [line]


def test_expect_all_calls_everything_before_it_compares_anything(tmp_path):
    calls = []

    def double(n):
        calls.append(n)
        return 2 * n + (n == 1)

    lines = told(tmp_path, "expect_all(f, [((1,), 2), ((5,), 10)])", double)
    assert calls == [1, 5] and lines[0] == "f(1)" and lines[2].split() == ["3", "2"]
    assert told(tmp_path, "expect_all(f, [((1, 2), 3), ((5, 6), 11)])", lambda a, b: a + b) == []
