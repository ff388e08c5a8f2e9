"""Stopped at any moment and resumed, a run ends with the same bits as one that was never stopped."""

import re
import shlex
import signal

import pytest
from runs import QUICK, assert_same_run, at, interrupt, log, pictures, run, separate, undrawn

from tinynet import checkpoint, training

OPTIONS = (*QUICK, "--epochs", 3, "--lr", 0.02)  # 3 epochs of 7 steps


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    undrawn(monkeypatch.setattr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="module")  # drawn, other than the runs that are compared with it: pictures change no bit
def uninterrupted(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    assert run("--data", folder, *OPTIONS, "--out", out) == 0
    return out


@pytest.mark.parametrize(
    ("where", "number", "stopped_after"),
    [("step", 1, 1), ("step", 10, 10), ("step", 14, 14), ("validation", 2, 14), ("step", 20, 20), ("step", 21, 21),
     ("validation", 3, 21)],
)  # fmt: skip
def test_ctrl_c_then_resume_gives_the_same_bits(folder, uninterrupted, tmp_path, capsys, where, number, stopped_after):
    with pytest.MonkeyPatch.context() as patch:
        at(where, number, interrupt, patch.setattr)
        assert run("--data", folder, *OPTIONS, "--out", tmp_path) == 130
    said = capsys.readouterr().out
    assert f"stopped after step {stopped_after}; go on with: python alexnet.py --resume {tmp_path}" in said
    assert "done:" not in said
    assert run("--resume", tmp_path) == 0
    assert f"going on with {tmp_path} in epoch {(stopped_after - 1) // 7 + 1} of 3, after step {stopped_after}" in (
        capsys.readouterr().out
    )
    assert_same_run(tmp_path, uninterrupted)


def test_a_run_may_be_stopped_again_and_again(folder, uninterrupted, tmp_path):
    command = ["--data", folder, *OPTIONS, "--out", tmp_path]
    for step in (2, 3, 7, 8, 16):
        with pytest.MonkeyPatch.context() as patch:
            at("step", step, interrupt, patch.setattr)
            assert run(*command) == 130
        command = ["--resume", tmp_path, "--workers", step % 3, "--device", ("cpu", "cpu:0,cpu:1", "sim:0,sim:1")[step % 3]]
    assert run(*command) == 0
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_process_with_130_a_checkpoint_and_how_to_go_on(folder, uninterrupted, tmp_path, name):
    out = tmp_path / "with a space"
    stop = f"runs.at('step', 9, lambda: os.kill(os.getpid(), signal.{name}), setattr)"
    code, said, complaints = separate(stop, "--data", folder, *OPTIONS, "--out", out)
    assert (code, complaints) == (130, "stopping after this step (again: at once) ...\n")
    advice = re.search(r"^stopped after step 9; go on with: python alexnet.py (.*)$", said, re.M)
    assert run(*shlex.split(advice[1])) == 0
    assert_same_run(out, uninterrupted)


@pytest.mark.parametrize(("where", "number"), [("step", 5), ("step", 17), ("save", 2), ("save", 3)])
def test_after_kill_9_the_last_checkpoint_leads_to_the_same_bits(folder, uninterrupted, tmp_path, where, number):
    kill = f"runs.undrawn(setattr); runs.at({where!r}, {number}, lambda: os.kill(os.getpid(), signal.SIGKILL), setattr)"
    code, _, _ = separate(kill, "--data", folder, *OPTIONS, "--out", tmp_path)
    assert code == -signal.SIGKILL
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"kind": "step", "step": 99, "lo')  # a line that was being written
    assert run("--resume", tmp_path) == 0
    assert_same_run(tmp_path, uninterrupted)


def test_a_checkpoint_inside_a_long_epoch_is_written_and_used(folder, uninterrupted, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "SAVE_EVERY", -1)

    def die():
        raise SystemExit("as if killed")

    with pytest.MonkeyPatch.context() as patch:
        at("step", 11, die, patch.setattr)
        with pytest.raises(SystemExit):
            run("--data", folder, *OPTIONS, "--out", tmp_path)
    assert checkpoint.load(tmp_path)[1]["step"] == 10
    assert run("--resume", tmp_path) == 0
    assert_same_run(tmp_path, uninterrupted)


def test_a_second_ctrl_c_stops_at_once_and_says_how_to_go_on(folder, uninterrupted, tmp_path, monkeypatch, capsys):
    with pytest.MonkeyPatch.context() as patch:
        at("step", 9, lambda: (interrupt(), interrupt()), patch.setattr)
        assert run("--data", folder, *OPTIONS, "--out", tmp_path) == 130
    assert f"stopped at once; go on from the last checkpoint with: python alexnet.py --resume {tmp_path}\n" in (
        capsys.readouterr().err
    )
    assert run("--resume", tmp_path) == 0
    assert_same_run(tmp_path, uninterrupted)


def test_the_handlers_of_signals_are_put_back(folder, tmp_path):
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path) == 0
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_the_dropped_learning_rate_survives_a_resume(folder, tmp_path):
    stuck = ("--data", folder, *QUICK, "--batch", 20, "--lr", 1e-9, "--epochs", 9)
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    assert run(*stuck, "--out", whole) == 0
    command = [*stuck, "--out", halves]
    for step in (8, 14, 25):  # while the schedule waits, after its first drop, after its second
        with pytest.MonkeyPatch.context() as patch:
            at("step", step, interrupt, patch.setattr)
            assert run(*command) == 130
        command = ["--resume", halves]
    assert run(*command) == 0
    assert_same_run(halves, whole)
    assert len({r["lr"] for r in log(whole)}) == 3


def test_more_epochs_go_on_as_if_they_had_been_asked_for_at_once(folder, uninterrupted, tmp_path, capsys):
    assert run("--data", folder, *QUICK, "--lr", 0.02, "--epochs", 1, "--out", tmp_path) == 0
    assert run("--resume", tmp_path, "--epochs", 3) == 0
    assert_same_run(tmp_path, uninterrupted)
    capsys.readouterr()
    assert run("--resume", tmp_path) == 0
    assert f"the run in {tmp_path} is complete" in capsys.readouterr().out
    assert_same_run(tmp_path, uninterrupted)


@pytest.mark.parametrize("name", ["", "checkpoint.safetensors"], ids=["folder", "file"])
def test_resume_takes_the_folder_or_the_checkpoint_in_it_and_options_that_agree(folder, tmp_path, name):
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path) == 0
    again = ("--width", 0.05, "--lr", 0.01, "--out", tmp_path, "--recipe", "modern", "--data", folder)
    assert run("--resume", tmp_path / name, "--epochs", 2, *again) == 0
    assert checkpoint.load(tmp_path)[1]["epoch"] == 2


def test_the_data_may_have_moved(folder, uninterrupted, tmp_path):
    moved = pictures(tmp_path / "elsewhere")
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        at("step", 10, interrupt, patch.setattr)
        assert run("--data", folder, *OPTIONS, "--out", out) == 130
    assert run("--resume", out, "--data", moved) == 0
    assert log(out) == log(uninterrupted)
    assert checkpoint.load(out)[1]["options"]["data"] == str(moved)


def test_ctrl_c_before_the_first_step_leaves_a_folder_that_can_be_used_again(folder, tmp_path, monkeypatch, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.data, "pca", lambda *_, **__: interrupt())
        assert run("--data", folder, *OPTIONS, "--out", tmp_path) == 130
    assert capsys.readouterr().err.strip() == "alexnet.py: interrupted before there was anything to save"
    assert list(tmp_path.iterdir()) == []
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path) == 0
