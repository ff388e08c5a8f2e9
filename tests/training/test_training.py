"""A training run from the command line: what it writes, that it learns, and that it can be repeated."""

import math
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from drawings import pixels
from runs import QUICK, assert_same_run, log, pictures, run, undrawn

import alexnet
import tinynet as tn
from tinynet import data
from tinynet.cli import options
from tinynet.training import checkpoint

FILES = ["checkpoint.safetensors", "curves.png", "kernels.png", "log.jsonl", "predictions.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    """The folder of a run of 6 epochs of 7 steps, the last of 6 images."""
    out = tmp_path_factory.mktemp("run") / "out"
    assert run("--data", folder, *QUICK, "--epochs", 6, "--lr", 0.02, "--out", out) == 0
    return out


def test_a_run_leaves_its_five_files_and_nothing_else(trained):
    assert sorted(p.name for p in trained.iterdir()) == FILES
    for name in FILES:
        if name.endswith(".png"):
            assert min(pixels(trained / name).shape[:2]) > 50


def test_the_log_has_a_line_a_step_and_one_an_epoch(trained):
    records = log(trained, timings=True)
    assert [r["kind"] for r in records] == (["step"] * 7 + ["epoch"]) * 6
    steps, epochs = ([r for r in records if r["kind"] == kind] for kind in ("step", "epoch"))
    assert [r["step"] for r in steps] == list(range(1, 43))
    assert [r["epoch"] for r in steps] == [e for e in range(6) for _ in range(7)]
    assert [(r["epoch"], r["step"]) for r in epochs] == [(e, 7 * e + 7) for e in range(6)]
    assert all(set(r) == {"kind", "step", "epoch", "loss", "lr", "images_per_second"} for r in steps)
    wanted = {"kind", "step", "epoch", "train_loss", "train_error", "train_top5_error", "val_loss", "val_error"}
    assert all(set(r) == wanted | {"val_top5_error", "lr", "seconds"} for r in epochs)
    assert {r["lr"] for r in steps} <= {0.02, 0.02 * 0.1} and steps[0]["lr"] == 0.02
    assert all(r["images_per_second"] > 0 for r in steps)


def test_the_training_loss_of_an_epoch_is_the_mean_over_its_images(trained):
    sizes = [8] * 6 + [6]
    records = log(trained)
    for epoch in range(6):
        losses = [r["loss"] for r in records if r["kind"] == "step" and r["epoch"] == epoch]
        (summary,) = [r for r in records if r["kind"] == "epoch" and r["epoch"] == epoch]
        assert summary["train_loss"] == pytest.approx(np.dot(losses, sizes) / 54, rel=1e-12)


def test_it_learns(trained):
    epochs = [r for r in log(trained) if r["kind"] == "epoch"]
    assert epochs[-1]["train_loss"] < 0.7 * epochs[0]["train_loss"]
    assert epochs[-1]["val_loss"] < 0.7 * epochs[0]["val_loss"]
    assert epochs[-1]["val_error"] <= 1 / 3  # chance is 2 / 3


def test_it_tells_what_it_does_and_ends_with_a_summary(folder, tmp_path, capsys):
    out = tmp_path / "a run"
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", out) == 0
    said, complaints = capsys.readouterr()
    assert complaints == ""
    assert re.search(rf"^training on {folder}: 3 classes, 54 images, .*; validating on 6 images$", said, re.M)
    assert re.search(r"^AlexNet, width 0.05, [\d,]+ parameters, .*batch 8, 1 epoch\b", said, re.M)
    assert re.search(r"^epoch   1/1  loss \d.*training top-1 .*validation top-1 .*top-5 ", said, re.M)
    assert re.search(r"^done: validation top-1 \S+%, top-5 100.0% on 6 images, after 1 epoch in 0 min \d+ s$", said, re.M)
    assert all(name in said.splitlines()[-1] for name in FILES)


def test_without_arguments_it_trains_on_drawn_pictures_and_says_how_to_use_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = dict(epochs=1, batch=32, image_size=56)
    small = [replace(o, default=quick.get(o.name, o.default)) for o in options.TRAINING]
    monkeypatch.setattr(options, "TRAINING", small)
    monkeypatch.setattr(data, "synthetic", partial(data.synthetic, train=64, val=32))
    assert run() == 0
    (out,) = (tmp_path / "runs").iterdir()
    assert sorted(p.name for p in out.iterdir()) == FILES
    assert re.search(r"^to train on your own pictures: .*--data DIR", capsys.readouterr().out, re.M)
    assert checkpoint.load(out)[1]["classes"] == data.CLASSES


@pytest.mark.parametrize(
    "again",
    [
        ("--workers", "0"),
        ("--workers", "1"),
        ("--workers", "3"),
        ("--device", "cpu:0,cpu:1"),
        ("--device", "sim:0,sim:1"),
        ("--seed", "0"),
    ],
    ids=" ".join,
)
def test_the_same_seed_gives_the_same_run_whatever_loads_and_computes(folder, trained, tmp_path, monkeypatch, again):
    undrawn(monkeypatch.setattr)
    assert run("--data", folder, *QUICK, "--epochs", 6, "--lr", 0.02, "--out", tmp_path, *again) == 0
    assert_same_run(tmp_path, trained)


def test_another_seed_gives_another_run(folder, trained, tmp_path):
    assert run("--data", folder, *QUICK, "--epochs", 1, "--lr", 0.02, "--seed", 1, "--out", tmp_path) == 0
    assert log(tmp_path)[0]["loss"] != log(trained)[0]["loss"]


@pytest.mark.parametrize("recipe", ["paper", "source", "modern"])
def test_every_recipe_trains(folder, tmp_path, recipe):
    assert run("--data", folder, *QUICK, "--recipe", recipe, "--epochs", 1, "--out", tmp_path) == 0
    assert all(math.isfinite(r["loss"]) for r in log(tmp_path) if r["kind"] == "step")
    assert checkpoint.load(tmp_path)[1]["options"]["recipe"] == recipe


def test_the_strength_of_the_colour_shift_is_the_recipes(folder, tmp_path, monkeypatch):
    losses = {}
    for colour in (0.0, 0.1, 0.5):
        monkeypatch.setitem(alexnet.RECIPES, "modern", replace(alexnet.find_recipe("modern"), colour=colour))
        assert run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path / str(colour)) == 0
        losses[colour] = [r["loss"] for r in log(tmp_path / str(colour)) if r["kind"] == "step"]
    assert len({tuple(found) for found in losses.values()}) == 3


def test_a_batch_larger_than_the_set_is_the_set(folder, tmp_path):
    assert run("--data", folder, *QUICK, "--batch", 1000, "--epochs", 2, "--out", tmp_path) == 0
    assert [r["kind"] for r in log(tmp_path)] == ["step", "epoch"] * 2


def test_the_learning_rate_drops_by_ten_when_the_validation_error_stalls_at_most_three_times(folder, tmp_path, capsys):
    stuck = ("--lr", 1e-9, "--batch", 64, "--epochs", 14)
    assert run("--data", folder, *QUICK, *stuck, "--out", tmp_path) == 0
    rates = [r["lr"] for r in log(tmp_path) if r["kind"] == "epoch"]
    # The first epoch is the best one; then two are waited for and the third is one too many.
    assert np.allclose(rates, [1e-9] * 4 + [1e-10] * 3 + [1e-11] * 3 + [1e-12] * 4, rtol=1e-9)
    assert capsys.readouterr().out.count("validation error has stalled: learning rate is now") == 3


def test_broken_images_are_named_once_skipped_and_counted(tmp_path, capsys):
    folder = pictures(tmp_path / "pictures")
    broken = [folder / "red" / f"{i:02}.png" for i in (3, 4)] + [folder / "blue" / "05.png"]
    for path in broken:
        path.write_bytes(b"this is no picture")
    _, val = data.folder(folder, 64)
    held_out = {val.name(i) for i in range(len(val))}
    (folder / "green" / "11.png").write_bytes(b"")
    victim = next(p for p in (folder / "red").iterdir() if str(p) in held_out and p not in broken)
    victim.write_bytes(victim.read_bytes()[:300])  # one of the validation images, cut off
    assert run("--data", folder, *QUICK, "--epochs", 2, "--out", tmp_path / "out") == 0
    said, complaints = capsys.readouterr()
    named = [line.removeprefix("skipped, because it cannot be decoded: ") for line in complaints.splitlines()]
    assert sorted(named) == sorted(map(str, [*broken, folder / "green" / "11.png", victim]))
    assert "skipped 5 broken images" in said


def test_a_loss_that_is_not_a_number_is_one_sentence_and_the_last_checkpoint_stays(folder, tmp_path, monkeypatch, capsys):
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path) == 0
    before = (tmp_path / "checkpoint.safetensors").read_bytes()
    capsys.readouterr()
    real = tn.cross_entropy
    monkeypatch.setattr(tn, "cross_entropy", lambda logits, labels: real(logits, labels) * math.nan)
    assert run("--resume", tmp_path, "--epochs", 2) == 2
    complaint = capsys.readouterr().err
    assert re.fullmatch(r"alexnet.py: the loss is nan at step 8: the learning rate 0.01 is .* --lr 0.001\n", complaint)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_a_learning_rate_that_explodes_is_one_sentence(folder, tmp_path, capfd):
    assert run("--data", folder, *QUICK, "--lr", 1e12, "--epochs", 3, "--out", tmp_path) == 2
    assert re.fullmatch(
        r"alexnet.py: the loss is (nan|inf) at step \d: .*start again with --lr 1e\+11\n", capfd.readouterr().err
    )


def test_pictures_of_predictions_decode_no_more_images_than_they_show(tmp_path, monkeypatch):
    folder, out = pictures(tmp_path / "pictures", each=40), tmp_path / "out"
    assert run("--data", folder, *QUICK, "--epochs", 1, "--out", out) == 0
    asked, real = set(), data.ImageFolder.image
    monkeypatch.setattr(data.ImageFolder, "image", lambda self, i: asked.add(self.name(i)) or real(self, i))
    assert run("--resume", out) == 0  # of 12 validation images
    assert len(asked) == 8
