"""The learner's folder: how it comes about, what is remembered in it, and that nothing that a learner wrote is lost."""

import os

import pytest
from learners import RELU, answer, command, known, save

from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.workspace import Workspace

OTHERS = [name for name in exercises() if name != RELU]


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


# solution, reset ------------------------------------------------------------------------------------------------------


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
