"""How messages speak."""

import re

import numpy as np
import pytest

from tinynet.exercises.exercise import exercises
from tinynet.exercises.judge import judge
from tinynet.exercises.words import a_kind, listed, plural


def test_lists_have_commas_and_one_and():
    assert [listed(n) for n in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_one_and_many():
    assert [plural(n, "check") for n in (0, 1, 2)] == ["0 checks", "1 check", "2 checks"]
    assert plural(2, "entry", "entries") == "2 entries"


def test_what_a_value_is_has_the_right_article():
    values = (1.0, 1, np.zeros(2), np.uint8(3), OSError(), True, "a", None)
    told = ["a float", "an int", "an array", "a uint8", "an OSError", "a bool", "a str", "None"]
    assert [a_kind(value) for value in values] == told


@pytest.mark.parametrize("name", [e.name for e in exercises().values()])
def test_every_exercise_uses_the_right_article(name):
    exercise = exercises()[name]
    for value in (1, np.zeros(2), OSError()):
        wrong = {key: lambda *args, value=value, **kwargs: value for key in exercise.functions}
        for finding in judge(exercise, wrong):
            assert not re.search(r"\ba (int|ndarray|OSError)\b", "\n".join(finding.lines)), finding.lines
