"""The commands of the learner: what they write, what they keep, and their exit codes."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from learners import RELU, answer, command, edited

from tinynet.exercises import screen, steps, trial, watch
from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.workspace import Workspace

OTHERS = [name for name in exercises() if name != RELU]


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A fresh folder of exercises, and in it."""
    Workspace.init(tmp_path / "course")
    monkeypatch.chdir(tmp_path / "course")
    return tmp_path / "course"


def save(name, text):
    with open(f"{name}.py", "w", encoding="utf-8") as file:
        file.write(text)


def known(name=RELU):
    with open("state.json", encoding="utf-8") as file:
        return json.load(file)["exercises"][name]


# init -----------------------------------------------------------------------------------------------------------------


def test_init_writes_every_exercise_and_says_what_to_do_next(tmp_path, capsys):
    assert command("init", tmp_path / "new" / "course") == 0
    assert sorted(p.stem for p in (tmp_path / "new" / "course").glob("e*.py")) == list(exercises())
    assert "watch" in capsys.readouterr().out


@pytest.mark.parametrize("there", ["an earlier course", "a file of that name"])
def test_init_overwrites_nothing(tmp_path, capsys, there):
    if there == "an earlier course":
        command("init", tmp_path)
        (tmp_path / f"{RELU}.py").write_text("mine")
    else:
        (tmp_path / f"{RELU}.py").write_text("mine")
    before = sorted(tmp_path.iterdir())
    assert command("init", tmp_path) == 2
    assert (tmp_path / f"{RELU}.py").read_text() == "mine" and sorted(tmp_path.iterdir()) == before
    assert "already" in capsys.readouterr().err


def test_update_adds_what_is_missing_renews_what_nobody_edited_and_keeps_the_rest(course, capsys, monkeypatch):
    save(RELU, "mine")
    os.remove(f"{OTHERS[0]}.py")
    monkeypatch.setitem(find(OTHERS[1]).__dict__, "stub", "# a new version\n")
    assert command("init", "--update") == 0
    assert (course / f"{RELU}.py").read_text() == "mine"
    assert (course / f"{OTHERS[0]}.py").read_text() == find(OTHERS[0]).stub
    assert (course / f"{OTHERS[1]}.py").read_text() == "# a new version\n"
    assert "1 exercise added, 1 unedited file renewed, 1 that you have edited" in capsys.readouterr().out


def test_update_from_outside(course, monkeypatch):
    monkeypatch.chdir(course.parent)
    os.remove(course / f"{RELU}.py")
    assert command("init", "course", "--update") == 0 and (course / f"{RELU}.py").exists()


def test_a_folder_that_cannot_be_made(tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert command("init", tmp_path / "file" / "course") == 2
    assert "cannot be written" in capsys.readouterr().err


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


# what is remembered ---------------------------------------------------------------------------------------------------


def test_state_is_kept_and_a_later_failure_does_not_hide_the_solution(course):
    save(RELU, answer(RELU))
    command("check", RELU)
    assert known()["state"] == "pass" and known()["tries"] == 1 and "passed" in known()
    save(RELU, "broken(")
    command("check", RELU)
    assert known()["state"] == "fail" and known()["tries"] == 2
    assert command("solution", RELU) == 0


def test_what_another_process_notes_meanwhile_is_kept(course):
    mine, other = Workspace.open(course), Workspace.open(course)
    other.of(find(OTHERS[0]))["hints"] = 2
    other.save()
    mine.of(find(RELU))["hints"] = 1
    mine.save()
    assert known(OTHERS[0])["hints"] == 2 and known()["hints"] == 1
    assert mine.of(find(OTHERS[0]))["hints"] == 2


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


def test_a_damaged_state_file_is_named_and_answers_stay(course, capsys):
    save(RELU, "mine")
    (course / "state.json").write_text('{"schema": 1, "exer')
    assert command("check") == 2
    assert "state.json is damaged" in capsys.readouterr().err
    os.rename("state.json", "state.json.broken")
    assert command("init", "--update") == 0
    assert (course / f"{RELU}.py").read_text() == "mine"


def test_a_state_file_of_a_later_tinynet_is_refused(course, capsys):
    (course / "state.json").write_text('{"schema": 99, "tinynet": "9", "exercises": {}}')
    assert command("list") == 2 and "update tinynet" in capsys.readouterr().err


# hint, solution, reset ------------------------------------------------------------------------------------------------


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


def test_a_solution_that_was_kept_and_edited_is_not_overwritten(course):
    command("solution", RELU, "--give-up")
    (course / "solutions" / f"{RELU}.py").write_text("my notes")
    command("solution", RELU)
    assert (course / "solutions" / f"{RELU}.py").read_text() == "my notes"


def test_reset_asks_and_keeps_every_earlier_answer(course, monkeypatch, capsys):
    for text in ("first", "second"):
        save(RELU, text)
        monkeypatch.setattr("builtins.input", lambda question: "no")
        assert command("reset", RELU) == 0 and (course / f"{RELU}.py").read_text() == text
        assert command("reset", RELU, "--yes") == 0 and (course / f"{RELU}.py").read_text() == find(RELU).stub
    assert (course / f"{RELU}.bak").read_text() == "first"
    assert (course / f"{RELU}.bak2").read_text() == "second"
    monkeypatch.setattr("builtins.input", _end_of_input)
    save(RELU, "third")
    assert command("reset", RELU) == 0 and (course / f"{RELU}.py").read_text() == "third"
    assert "nothing was changed" in capsys.readouterr().out


def _end_of_input(question):
    raise EOFError


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


# the screen -----------------------------------------------------------------------------------------------------------


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


def test_the_file_to_compare_with_is_where_it_is_said_to_be(course, capsys):
    save(RELU, answer(RELU))
    command("check", RELU)
    path = capsys.readouterr().out.partition("compare with ")[2].split("\n")[0]
    assert "def relu(" in Path(path).read_text(encoding="utf-8")


def test_as_a_program_in_a_pipe(course):
    run = [sys.executable, "-m", "tinynet.exercises"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*run, "list"], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0 and done.stderr == "" and "\x1b" not in done.stdout and "...." in done.stdout
    done = subprocess.run([*run, "--help"], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0 and "for teachers" in done.stdout


def test_dev_new_writes_a_skeleton_once(course, capsys):
    assert command("dev", "new", "e43_square") == 0 and (course / "e43_square.py").exists()
    assert command("dev", "new", "e43_square") == 2


def test_dev_check_names_the_proof_that_fails(course, capsys, monkeypatch):
    assert command("dev", "check", "e11") == 0 and "all proofs hold" in capsys.readouterr().out
    monkeypatch.setattr(find("e11"), "minutes", 0)
    assert command("dev", "check", "e11") == 1 and "the parts are there" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
def test_ctrl_c_does_not_wait_for_an_endless_loop(course):
    save(RELU, edited(RELU, "return dy * (x > 0)", f"open({str(course / 'begun')!r}, 'w')\n    while True: pass"))
    command_line = [sys.executable, "-m", "tinynet.exercises", "check", RELU]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    program = subprocess.Popen(command_line, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
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
