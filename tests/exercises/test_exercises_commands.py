"""The commands of the learner: what they say, and their exit codes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from learners import PROGRAM, RELU, answer, command, edited, environment, known, save

from tinynet.exercises import steps, trial
from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.workspace import Workspace

OTHERS = [name for name in exercises() if name != RELU]


# check ----------------------------------------------------------------------------------------------------------------


def test_exit_codes_of_check(course, capsys):
    assert command("check", RELU) == 3
    save(RELU, answer(RELU))
    assert command("check", "e19") == 0
    assert command("check", "19", OTHERS[0]) == 3
    save(OTHERS[0], answer(OTHERS[0]).replace("return", "return None #"))
    assert command("check", "relu", OTHERS[0]) == 1
    assert command("check") == 1  # all
    assert command("check", "--all") == 1
    out = capsys.readouterr()
    assert "passed: all 3 public checks" in out.out and "1 of" in out.out
    assert out.err == ""


@pytest.mark.parametrize("name", ["e99", "nonsense", "", "e", "../e19_relu_backwards.py"])
def test_unknown_names_are_a_usage_error(course, capsys, name):
    assert command("check", name) == 2
    assert "there is no exercise" in capsys.readouterr().err


USAGE = ["chekc", "check --timeout -1", "check --frobnicate", "hint", "try e19 --steps 0", "try e29", "dev new", "export"]


@pytest.mark.parametrize("line", USAGE)
def test_usage_errors(course, capsys, line):
    assert command(*line.split()) == 2
    err = capsys.readouterr().err
    assert err.startswith("tinynet.exercises: ") and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["list"], ["check"], ["hint", "e19"], ["watch"], ["reset", "e19"], ["report"]])
def test_outside_of_a_course_they_say_how_to_begin(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    assert command(*arguments) == 2
    assert "exercises" in capsys.readouterr().err


def test_a_file_is_judged_from_its_folder_and_by_its_path(course):
    save(RELU, answer(RELU))
    assert command("check", str(course / f"{RELU}.py")) == 0


def test_the_failing_report_says_where_how_and_why(course, capsys):
    save(RELU, edited(RELU, "dy * (x > 0)", "1.0 * (x > 0)"))
    assert command("check", RELU) == 1
    out = capsys.readouterr().out
    for text in (
        "FAIL",
        "relu: four numbers by hand",
        "yours",
        "expected",
        "numeric",
        "# wrong",
        "PASS    tanh",
        "likely cause: dy is not multiplied in: this is only the slope of relu",
        "1 of 3 checks passed",
        "hint e19",
    ):
        assert text in out  # fmt: skip
    assert "\x1b" not in out


def test_a_cause_is_told_once(course, capsys):
    save(RELU, edited(RELU, "(x > 0)", "(dy > 0)"))
    command("check", RELU)
    out = capsys.readouterr().out
    assert out.count("it is x that decides") == 1 and out.count("likely cause: as above") == 1


def test_the_file_to_compare_with_is_where_it_is_said_to_be(course, capsys):
    save(RELU, answer(RELU))
    command("check", RELU)
    path = capsys.readouterr().out.partition("compare with ")[2].split("\n")[0]
    assert "def relu(" in Path(path).read_text(encoding="utf-8")


def test_a_bug_to_find_is_shown_before_the_first_edit(course, capsys):
    """Find-the-bug files fail some checks as they are given, but count as not attempted."""
    for name, task in (("e06", "find the bugs in divide_backward, sigmoid_backward,"), ("e29", "find the bug in prepare")):
        assert command("check", name) == 3
        out = capsys.readouterr().out
        told = " ".join(out.split())
        assert "TO DO" in out and task in told and "FAIL" in out
        assert "checks pass as it stands" in out and "write" not in told and "likely cause" not in out
        assert "tries" not in known(find(name).name)
    assert command("check", "e06", "e29", RELU) == 3
    assert "FAIL" not in capsys.readouterr().out
    assert command("check", RELU) == 3
    assert "write relu_backward and tanh_backward" in " ".join(capsys.readouterr().out.split())


# list -----------------------------------------------------------------------------------------------------------------


def test_bare_call_and_list_show_where_the_learner_stands(course, capsys):
    assert command() == 0
    assert f"0 of {len(exercises())} done" in capsys.readouterr().out
    for name in list(exercises())[:1]:
        save(name, answer(name))
        assert command("check", name) == 0
    capsys.readouterr()
    assert command() == 0
    out = capsys.readouterr().out
    assert f"1 of {len(exercises())} done" in out and list(exercises())[1] in out
    assert command("list") == 0
    assert "done" in capsys.readouterr().out
    assert command("list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [e["state"] for e in listed["exercises"]][:2] == ["pass", "unattempted"]


def test_bare_call_outside_of_a_course_is_an_invitation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command() == 0 and "init DIR" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


# hint, solution -------------------------------------------------------------------------------------------------------


def test_hints_are_a_ladder(course, capsys):
    ladder = find(RELU).ladder
    for shown in range(1, len(ladder) + 1):
        assert command("hint", RELU) == 0
        assert capsys.readouterr().out.count("hint ") == shown
    assert known()["hints"] == len(ladder)
    assert command("hint", RELU) == 0
    assert "these are all hints" in capsys.readouterr().out.rpartition("hint ")[2] and known()["hints"] == len(ladder)


def test_the_solution_is_shown_after_passing_or_on_giving_up_which_is_noted(course, capsys):
    assert command("solution", RELU) == 1
    assert "not passed yet" in capsys.readouterr().out and not (course / "solutions").exists()
    assert command("solution", RELU, "--give-up") == 0
    assert "return dy * (x > 0)" in capsys.readouterr().out
    assert (course / "solutions" / f"{RELU}.py").read_text() == answer(RELU)
    assert known()["gave_up"] and Workspace.open(course).state(find(RELU)) == "gave_up"
    save(OTHERS[0], answer(OTHERS[0]))
    command("check", OTHERS[0])
    assert command("solution", OTHERS[0]) == 0 and "gave_up" not in known(OTHERS[0])


# try ------------------------------------------------------------------------------------------------------------------


def tried(name, text, capfd, steps=4):
    save(name, text)
    code = command("try", name, "--steps", steps)
    return code, capfd.readouterr().out


def test_try_trains_alexnet_with_the_learners_function(course, capfd):
    code, out = tried(RELU, answer(RELU), capfd)
    assert code == 0 and "AlexNet learns with your relu_backward" in out and "library" in out
    code, out = tried(RELU, edited(RELU, "(x > 0)", "(x < 0)"), capfd, 12)
    assert code == 1 and "does not pass yet" in out and "the losses part" in out


def test_try_names_the_functions_that_ran(course, capfd):
    text = edited("e18_groups", "    parts = zip(", "    helper()\n    parts = zip(") + "\n\ndef helper():\n    {}\n"
    code, out = tried("e18_groups", text.format("pass"), capfd, 1)
    assert code == 0 and "AlexNet learns with your grouped_conv: the losses" in out
    calling = "full_kernels(np.ones((2, 1, 1, 1)), 2)"  # by its name in the file
    code, out = tried("e18_groups", text.format(calling), capfd, 1)
    assert code == 0 and "AlexNet learns with your grouped_conv and full_kernels: the losses" in out


def test_try_of_a_stub_and_of_a_broken_file(course, capfd):
    code, out = tried(RELU, find(RELU).stub, capfd)
    assert code == 3 and "not attempted" in out
    code, out = tried(RELU, "def relu_backward(", capfd)
    assert code == 1 and "is not Python" in out


def test_try_stops_where_the_losses_are_no_numbers():
    assert "nan" in trial.line(3, 1.0, float("nan"), 1.4)


# dev ------------------------------------------------------------------------------------------------------------------


def test_dev_new_writes_a_skeleton_once(course, capsys):
    assert command("dev", "new", "e43_square") == 0 and (course / "e43_square.py").exists()
    assert command("dev", "new", "e43_square") == 2


def test_dev_check_names_the_proof_that_fails(course, capsys, monkeypatch):
    assert command("dev", "check", "e11") == 0 and "all proofs hold" in capsys.readouterr().out
    monkeypatch.setattr(find("e11"), "minutes", 0)
    assert command("dev", "check", "e11") == 1 and "the parts are there" in capsys.readouterr().out


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_ctrl_c_does_not_wait_for_an_endless_loop(course):
    save(RELU, edited(RELU, "return dy * (x > 0)", f"open({str(course / 'begun')!r}, 'w')\n    while True: pass"))
    program = subprocess.Popen(
        [*PROGRAM, "check", RELU], env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while not (course / "begun").exists():
        assert program.poll() is None
        time.sleep(0.02)
    began = time.monotonic()
    program.send_signal(signal.SIGINT)
    assert program.communicate(timeout=60)[1] == b"" and program.returncode == 130
    assert time.monotonic() - began < 18  # the time limit is 20


def test_ctrl_c_ends_with_130(course, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(steps, "judge_all", interrupted)
    assert command("check") == 130
