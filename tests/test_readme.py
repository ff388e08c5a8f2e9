"""The README's examples do what it prints."""

import doctest
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def test_every_example_gives_what_the_readme_shows():
    failed, tried = doctest.testfile(str(README), module_relative=False)
    assert failed == 0 and tried >= 10
