"""How messages speak."""

from tinynet.exercises.words import listed, plural


def test_lists_have_commas_and_one_and():
    assert [listed(n) for n in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


def test_one_and_many():
    assert [plural(n, "check") for n in (0, 1, 2)] == ["0 checks", "1 check", "2 checks"]
    assert plural(2, "entry", "entries") == "2 entries"
