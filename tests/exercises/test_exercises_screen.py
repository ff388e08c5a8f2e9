"""What the commands print: in colour where that is wanted, in 64 columns, and in a pipe."""

import io
import subprocess

import pytest
from learners import PROGRAM, RELU, answer, command, edited, environment, save

from tinynet.exercises import screen, steps, watch
from tinynet.exercises.exercise import find
from tinynet.exercises.workspace import Workspace


class Terminal:
    encoding = "utf-8"

    def isatty(self):
        return True


def test_colour_only_in_a_terminal_that_has_it_and_whose_user_wants_it(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert screen.colourful(Terminal()) and not screen.colourful(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not screen.colourful(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not screen.colourful(Terminal())


def test_it_fits_into_64_columns(course, monkeypatch, capsys):
    """All but the paths, the list, whose titles a terminal cuts, and what other programs make of their errors."""
    monkeypatch.setenv("COLUMNS", "64")
    save(RELU, edited(RELU, "(x > 0)", "(x > 0) * -1.2345678e-7"))
    with open("e29_find_the_bug.py", "a", encoding="utf-8") as file:
        file.write("\n\nfound = False\n")
    save("e18_groups", answer("e18_groups").replace("full = np", "raise ValueError('a ' * 90)\n    full = np"))
    for arguments in (
        ["check", "e18"],
        ["check", RELU],
        ["check", "e06"],
        ["check", "e29"],
        *[["hint", "e06"]] * 4,
        ["solution", "e06"],
        [],
    ):
        command(*arguments)
    steps.try_it(Workspace.open(), find("e06"))
    watch.Watch(Workspace.open(), None).prompt()
    long = [line for line in capsys.readouterr().out.split("\n") if len(line) > 64 and not line.endswith(".py")]
    assert not long


def test_the_help_fits_into_80_columns(capsys):
    with pytest.raises(SystemExit):
        command("--help")
    assert max(map(len, capsys.readouterr().out.split("\n"))) <= 80


def test_as_a_program_in_a_pipe(course):
    ascii_only = environment(PYTHONIOENCODING="ascii")
    done = subprocess.run([*PROGRAM, "list"], capture_output=True, text=True, env=ascii_only, timeout=60)
    assert done.returncode == 0 and done.stderr == "" and "\x1b" not in done.stdout and "...." in done.stdout
    done = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, env=ascii_only, timeout=60)
    assert done.returncode == 0 and "for teachers" in done.stdout
