"""For exercises whose answer has two parts."""

from tinynet.exercises.checks import expect, require


def pair(result, what):
    """The two parts of an answer that should be `what`, such as "the pair (w, v)"; raises Wrong if there are not two."""
    if result is None:
        expect(result, 0, f"what should be {what}")
    good = isinstance(result, (tuple, list)) and len(result) == 2
    require(good, f"{what} was expected, and one {type(result).__name__} was returned")
    return result
