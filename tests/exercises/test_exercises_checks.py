"""The words that authors say checks with: what each lets pass, and the sentence of what it does not."""

import numpy as np
import pytest
from learners import author

from tinynet.exercises.checks import Wrong, expect, expect_all, expect_parts, expect_shape, expect_type, gradients
from tinynet.exercises.judge import judge

WORDS = ", ".join(w.__name__ for w in (expect, expect_all, expect_parts, expect_shape, expect_type, gradients))


def authored(tmp_path, check):
    """An exercise about a function f, with this check, written as in an author file."""
    return author(
        tmp_path,
        f'"""T.\n\nS.\n"""\nimport numpy as np\nfrom tinynet.exercises.checks import {WORDS}\n'
        "from tinynet.exercises.exercise import Exercise\nexercise = Exercise(chapter=1, minutes=1, difficulty=1)\n"
        f'@exercise.solution\ndef f(*args):\n    """D."""\n@exercise.check("c")\ndef _(f, rng):\n    {check}\n',
    )


def told(tmp_path, check, function):
    """The lines of a check of f for this function; [] if it passes."""
    (finding,) = judge(authored(tmp_path, check), {"f": function})
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


# a cause is told only if it is proven -------------------------------------------------------------------------------------

AUTHOR = '''
"""T.

S.
"""
import numpy as np
from tinynet.exercises.checks import expect, gradients
from tinynet.exercises.exercise import Exercise
exercise = Exercise(chapter=1, minutes=1, difficulty=1)
@exercise.solution
def f(x):
    """D."""
    return 3 * x + 1
@exercise.check("ones")
def _(f, rng):
    expect(f(np.ones(3)), np.full(3, 4.0))
@exercise.check("one")
def _(f, rng):
    expect(f(np.array([0.0])), [1.0])
@exercise.check("drawn")
def _(f, rng):
    x = rng.normal(size=4)
    expect(f(x), 3 * x + 1)
exercise.mistake("times four", "3 * x + 1", "4 * x + (x == 0)")
exercise.mistake("no 1", "3 * x + 1", "3 * x")
exercise.mistake("too long", "3 * x + 1", "3 * x + 1 + np.zeros(3)")
'''


@pytest.mark.parametrize(
    "body, hints",
    [
        ("return 4 * x + (x == 0)", ["", "", "times four"]),  # the others it passes
        ("return x * 3.0", ["no 1"] * 3),
        ("return np.full(3, 4.0) if x[0] == 1 else 3 * x + 1 - (len(x) > 1)", [""] * 3),  # 3 * x + 1 of ones by chance
        ("return 4 * x", ["", "", ""]),  # as `times four` where x is not 0, and as `no 1` where it is
        ("raise ValueError('xyz')", [""] * 3),
        ("return 3 * x + 1 if len(x) == 1 else 0 * x", [""] * 3),
    ],
)
def test_a_mistake_must_explain_all_that_fails_and_nothing_that_passes(tmp_path, body, hints):
    exercise = author(tmp_path, AUTHOR)
    space = {"np": np}
    exec(f"def f(x):\n    {body}", space)
    assert [finding.hint for finding in judge(exercise, {"f": space["f"]})] == hints


@pytest.mark.parametrize(
    "change, argument",
    [("things.reverse()", "[1, 2]"), ("things['a'].append(1)", "{'a': []}"), ("things.add(1)", "set()"),
     ("things[0][0] = 9.0", "[np.zeros(2)]"), ("things[0] = None", "[np.zeros(2)]"), ("things[:] = 1", "np.zeros(2)")],
)  # fmt: skip
def test_an_argument_of_any_kind_may_not_be_changed(tmp_path, change, argument):
    space = {}
    exec(f"def f(things):\n    {change}\n    return 1.0", space)
    (line,) = told(tmp_path, f"expect(f({argument}), 1.0)", space["f"])
    assert line.startswith("f changed its argument things in place")


@pytest.mark.parametrize(
    "argument", ["[1, np.nan, 'a', None]", "{'a': np.array([np.nan])}", "np.array(['a', None])", "{2, 1}"]
)
def test_an_argument_that_is_only_read_is_not_changed(tmp_path, argument):
    assert told(tmp_path, f"expect(f({argument}), 1.0)", lambda things: 1.0) == []


def test_numbers_that_differ_look_different(tmp_path):
    lines = told(tmp_path, "expect(f(), 2.5)", lambda: 2.5 + 1e-8)
    assert lines[-1].split() == ["2.5000000099999999", "2.5"]


GRADIENTS = "gradients(lambda a, b: a @ b, [np.ones((2, 3)), np.ones((3, 4))], f, rng)"
ONE = "gradients(lambda a: 2 * a, [np.ones((2, 3))], f, rng)"


@pytest.mark.parametrize(
    "check, answer, lines",
    [
        (GRADIENTS, lambda dy, a, b: None, [NOTHING]),
        (GRADIENTS, lambda dy, a, b: dy @ b.T, ["f returned an array; expected the gradients of a and b"]),
        (GRADIENTS, lambda dy, a, b: (dy, dy, dy), ["f returned a tuple of 3; expected the gradients of a and b"]),
        (GRADIENTS, lambda dy, a, b: (None, a.T @ dy), [f"the gradient of a: {NOTHING.partition('returned ')[2]}"]),
        (GRADIENTS, lambda dy, a, b: ("x", a.T @ dy), ["the gradient of a: a str; expected an array"]),
        (ONE, lambda dy, a: None, [f"the gradient of a: {NOTHING.partition('returned ')[2]}"]),
        (ONE, lambda dy, a: [[1.0], [1.0, 2.0]], ["the gradient of a: a list; expected an array"]),
        (ONE, lambda dy, a: (2 * dy).tolist(), []),
        (ONE, lambda dy, a: (2 * dy,), []),
        (ONE, lambda dy, a: (dy, dy), ["gradient of a: the gradient has shape (2, 2, 3), the argument has (2, 3)"]),
    ],
)
def test_what_a_backward_may_return(tmp_path, check, answer, lines):
    assert told(tmp_path, check, answer) == lines


def test_gradients_in_another_order_are_known_by_their_shapes(tmp_path):
    exercise = authored(tmp_path, GRADIENTS)
    (finding,) = judge(exercise, {"f": lambda dy, a, b: (a.T @ dy, dy @ b.T)})
    assert finding.hint == "these are the shapes of b and a: return the gradients in the order a and b"


def test_a_shape_alone_proves_no_cause(tmp_path):
    exercise = authored(tmp_path, "gradients(lambda a: a.sum(0), [np.ones((2, 3))], f, rng)")
    (finding,) = judge(exercise, {"f": lambda dy, a: dy})
    assert finding.hint == "" and "shape (3,), the argument has (2, 3)" in finding.lines[0]
