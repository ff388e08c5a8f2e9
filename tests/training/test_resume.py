"""Stopped at any moment and resumed, a run ends with the same bits as one that was never stopped."""

import os
import re
import shlex
import shutil
import signal

import pytest
from runs import QUICK, assert_same_run, at, interrupt, log, pictures, run, separate, undrawn

from tinynet import data
from tinynet.training import checkpoint
from tinynet.training import run as run_module

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


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_process_with_130_a_checkpoint_and_how_to_go_on(folder, uninterrupted, tmp_path, name):
    out = tmp_path / "with a space"
    stop = f"runs.at('step', 9, lambda: os.kill(os.getpid(), signal.{name}), setattr)"
    code, said, complaints = separate(stop, "--data", folder, *OPTIONS, "--out", out)
    assert (code, complaints) == (130, "stopping as soon as all is saved (again: at once) ...\n")
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
    monkeypatch.setattr(run_module, "SAVE_EVERY", -1)

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
    out = f"{os.path.relpath(tmp_path)}/"  # the same folder, written otherwise
    again = ("--width", 0.05, "--lr", 0.01, "--out", out, "--recipe", "modern", "--data", folder)
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


def another(data):
    shutil.copy(data / "red" / "03.png", data / "red" / "03b.png")


def one_less(data):
    (data / "red" / "03.png").unlink()


def renamed(data):
    (data / "red" / "03.png").rename(data / "red" / "99.png")


def in_another_class(data):
    (data / "red" / "03.png").rename(data / "blue" / "03r.png")


@pytest.mark.parametrize("change", [another, one_less, renamed, in_another_class])
def test_other_pictures_are_refused_because_training_images_might_become_validation_images(tmp_path, capsys, change):
    folder, out = pictures(tmp_path / "data"), tmp_path / "out"
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", out) == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    shutil.copytree(folder, tmp_path / "changed")
    change(tmp_path / "changed")
    capsys.readouterr()
    assert run("--resume", out, "--epochs", 2, "--data", tmp_path / "changed") == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1 and f"changed has other images than when the run in {out} began" in complaint
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    assert run("--resume", out, "--epochs", 2) == 0


def test_validation_images_that_have_another_class_than_before_are_other_images(tmp_path, capsys):
    folder, out = pictures(tmp_path / "data" / "train", each=6).parent, tmp_path / "out"
    shutil.copytree(folder / "train" / "red", folder / "val" / "images")
    annotations = folder / "val" / "val_annotations.txt"
    annotations.write_text("".join(f"{i:02}.png\tred\n" for i in range(6)))
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", out) == 0
    annotations.write_text("".join(f"{i:02}.png\tgreen\n" for i in range(6)))
    assert run("--resume", out, "--epochs", 2) == 2
    assert "has other images than when the run" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_say_which_pictures_is_gone_on_with(folder, uninterrupted, tmp_path):
    assert run("--data", folder, *QUICK, "--lr", 0.02, "--epochs", 1, "--out", tmp_path) == 0
    arrays, state = checkpoint.load(tmp_path)
    del state["images"]
    checkpoint.save(tmp_path / checkpoint.NAME, arrays, state)
    assert run("--resume", tmp_path, "--epochs", 3) == 0
    assert_same_run(tmp_path, uninterrupted)


def test_ctrl_c_before_the_first_step_leaves_a_folder_that_can_be_used_again(folder, tmp_path, monkeypatch, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "pca", lambda *_, **__: interrupt())
        assert run("--data", folder, *OPTIONS, "--out", tmp_path) == 130
    assert capsys.readouterr().err.strip() == "alexnet.py: interrupted; there was nothing new to save"
    assert list(tmp_path.iterdir()) == []
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path) == 0


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("moment", ["the mean image", "the first checkpoint"])
def test_a_signal_before_the_first_checkpoint_leaves_a_folder_that_can_be_used_again(folder, tmp_path, moment, signal_name):
    stop = f"lambda *_, **__: os.kill(os.getpid(), signal.{signal_name})"
    code = f"runs.at('save', 1, {stop}, setattr)"
    if moment == "the mean image":
        code = f"from tinynet import data; data.mean_image = {stop}"
    done = separate(code, "--data", folder, *OPTIONS, "--out", tmp_path)
    assert done == (130, "", "\nalexnet.py: interrupted; there was nothing new to save\n")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_just_after_the_first_checkpoint_leaves_a_run_that_goes_on(
    folder, uninterrupted, tmp_path, monkeypatch, capsys
):
    def saved(*args, save=checkpoint.save):
        save(*args)
        interrupt()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save", saved)
        assert run("--data", folder, *OPTIONS, "--out", tmp_path) == 130
    assert "stopped at once; go on from the last checkpoint with" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.safetensors", "log.jsonl"]
    assert run("--resume", tmp_path) == 0
    assert_same_run(tmp_path, uninterrupted)


def test_a_run_whose_log_is_lost_goes_on_and_says_so(folder, uninterrupted, tmp_path, capsys):
    assert run("--data", folder, *QUICK, "--lr", 0.02, "--epochs", 1, "--out", tmp_path) == 0
    (tmp_path / "log.jsonl").unlink()
    capsys.readouterr()
    assert run("--resume", tmp_path, "--epochs", 3) == 0
    said, complaint = capsys.readouterr()
    assert complaint == f"{tmp_path / 'log.jsonl'} is missing; a new one begins here, and so will the curves\n"
    assert "after 3 epochs" in said
    assert log(tmp_path) == log(uninterrupted)[8:]


@pytest.mark.parametrize("line", ["training on", "epoch   2/3"])
def test_a_reader_that_goes_away_costs_nothing_that_was_done(folder, uninterrupted, tmp_path, line):
    # As in `alexnet.py | head -3`, made certain.
    gone = f"""
import builtins
def say(text="", *more, before=print, **how):
    if text.startswith({line!r}):
        raise BrokenPipeError
    before(text, *more, **how)
from tinynet.cli import train
from tinynet.training import reporter
train.say = reporter.say = say
"""
    assert separate(gone, "--data", folder, *OPTIONS, "--out", tmp_path)[::2] == (141, "")
    epochs = [r for r in log(tmp_path) if r["kind"] == "epoch"]
    assert checkpoint.load(tmp_path)[1]["epoch"] == len(epochs) == (2 if "epoch" in line else 0)
    assert run("--resume", tmp_path) == 0
    assert_same_run(tmp_path, uninterrupted)


def test_validation_images_that_are_mostly_broken_do_not_cost_the_epoch(folder, tmp_path, capsys):
    for name in ("train", "val"):
        pictures(tmp_path / "data" / name, each=8)
    command = ("--data", tmp_path / "data", *QUICK, "--epochs", 2)
    assert run(*command, "--out", tmp_path / "whole") == 0
    whole = {path: path.read_bytes() for path in sorted((tmp_path / "data" / "val").rglob("*.png"))}
    for path in list(whole)[1:]:
        path.write_bytes(b"this is no picture")
    capsys.readouterr()
    assert run(*command, "--out", tmp_path / "out") == 2
    advice = re.search(r"cannot be decoded.*; then go on with: python alexnet.py (.*)\n$", capsys.readouterr().err)
    assert checkpoint.load(tmp_path / "out")[1]["step"] == 3
    for path, content in whole.items():
        path.write_bytes(content)
    assert run(*shlex.split(advice[1])) == 0
    assert_same_run(tmp_path / "out", tmp_path / "whole")


def test_validation_images_that_are_all_broken_are_noticed_before_anything_is_computed(tmp_path, monkeypatch, capsys):
    for name in ("train", "val"):
        pictures(tmp_path / "data" / name, each=8)
    for path in (tmp_path / "data" / "val").rglob("*.png"):
        path.write_bytes(b"this is no picture")
    monkeypatch.setattr(data, "mean_image", lambda *_, **__: pytest.fail("computed something"))
    assert run("--data", tmp_path / "data", *QUICK, "--out", tmp_path / "out") == 2
    assert "cannot be decoded" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []
