"""Checkpoints: what goes in comes out, a file is whole or the old one, and what is no checkpoint is told so."""

import json
import os
import re
import stat

import numpy as np
import pytest
from runs import QUICK, pictures, run, undrawn
from safetensors.numpy import load_file, save_file

import tinynet as tn
from tinynet import files
from tinynet.errors import FolderError
from tinynet.training import checkpoint

ARRAYS = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array(1.5), "c": np.zeros((0, 3), np.int64)}
STATE = {"list": [1, 2.5, None, "ü"], "big": 2**127, "lr": 0.1 + 0.2, "nested": {"x": True}}


def test_arrays_and_state_come_back_as_they_were(tmp_path):
    turned = {**ARRAYS, "turned": np.arange(6.0).reshape(2, 3).T, "strided": np.arange(10.0)[::3]}
    checkpoint.save(tmp_path / checkpoint.NAME, turned, STATE)
    for path in (tmp_path, tmp_path / checkpoint.NAME, str(tmp_path)):
        arrays, state = checkpoint.load(path)
        assert state == STATE
        assert set(arrays) == set(turned)
        for name, array in turned.items():
            assert arrays[name].dtype == array.dtype and np.array_equal(arrays[name], array), name


def test_it_is_a_safetensors_file_that_others_can_read(tmp_path):
    checkpoint.save(tmp_path / "x.safetensors", ARRAYS, STATE)
    assert set(load_file(tmp_path / "x.safetensors")) == set(ARRAYS)


def test_loaded_arrays_do_not_depend_on_the_file(tmp_path):
    checkpoint.save(tmp_path / "x", ARRAYS, STATE)
    arrays, _ = checkpoint.load(tmp_path / "x")
    checkpoint.save(tmp_path / "x", {"a": np.zeros((2, 3), np.float32)}, {})
    assert np.array_equal(arrays["a"], ARRAYS["a"])


def test_others_may_read_it_as_far_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        checkpoint.save(tmp_path / "x", ARRAYS, STATE)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o640


@pytest.mark.parametrize("moment", ["save_file", "replace"])
def test_a_failure_leaves_the_old_checkpoint_and_no_litter(tmp_path, monkeypatch, moment):
    checkpoint.save(tmp_path / "x", ARRAYS, {"n": 1})

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint if moment == "save_file" else files.os, moment, fail)
    with pytest.raises(FolderError, match=r"x could not be written .*No space left.*choose another folder"):
        checkpoint.save(tmp_path / "x", ARRAYS, {"n": 2})
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / "x")[1] == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


@pytest.fixture
def disk(monkeypatch):
    """What is brought to the disk and what is renamed, in this order: numbers of files and folders, names."""
    events, fsync, replace = [], os.fsync, os.replace

    def synced(file):
        events.append(os.fstat(file).st_ino)
        fsync(file)

    def replaced(old, new):
        events.append(os.path.basename(new))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    return events


def test_a_power_cut_finds_a_whole_checkpoint_because_its_bytes_are_on_the_disk_before_its_name(tmp_path, disk):
    checkpoint.save(tmp_path / "x", ARRAYS, STATE)
    assert disk == [(tmp_path / "x").stat().st_ino, "x", tmp_path.stat().st_ino]


def test_a_power_cut_finds_the_log_that_belongs_to_the_checkpoint(tmp_path, monkeypatch, disk):
    undrawn(monkeypatch.setattr)
    out = tmp_path / "out"
    assert run("--data", pictures(tmp_path / "pictures", each=4), *QUICK, "--epochs", 1, "--out", out) == 0
    name, log = checkpoint.NAME, (out / "log.jsonl").stat().st_ino
    assert disk.count(name) == 3  # before the first step, after the epoch, at the end
    assert [e for e in disk if e in (log, name)] == [name, log, name, log, name]


def test_where_folders_cannot_be_synced_a_checkpoint_is_written_all_the_same(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(22, "Invalid argument")
        fsync(file)

    monkeypatch.setattr(os, "fsync", files_only)
    checkpoint.save(tmp_path / "x", ARRAYS, STATE)
    assert checkpoint.load(tmp_path / "x")[1] == STATE


def test_a_folder_that_does_not_exist_cannot_be_written_to(tmp_path):
    with pytest.raises(FolderError, match="could not be written"):
        checkpoint.save(tmp_path / "nowhere" / "x", ARRAYS, STATE)


# what is no checkpoint of this network --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A complete run of one epoch, and a picture."""
    root = tmp_path_factory.mktemp("checkpoint")
    pictures(root / "pictures", each=4)
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch.setattr)
        assert run("--data", root / "pictures", *QUICK, "--epochs", 1, "--out", root / "done") == 0
    return root / "done"


def without(prefix):
    return lambda arrays, state: ({k: v for k, v in arrays.items() if not k.startswith(prefix)}, state)


def lacking(*path):
    def change(arrays, state):
        inner = state
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        return arrays, state

    return change


def other(**changes):
    return lambda arrays, state: (arrays, {**state, **changes})


OTHER_VERSION = "was written by another version of tinynet, or is damaged"
OTHER_NETWORK = "is the checkpoint of another network"
BOTH = ("resume", "predict")
CHANGES = {
    **{f"no {key}": (lacking(key), OTHER_VERSION, ("resume",))
       for key in ("epoch", "batch_in_epoch", "step", "score", "schedule", "generators")},
    **{f"no {key}": (lacking(key), OTHER_VERSION, BOTH) for key in ("options", "classes")},
    **{f"no option {key}": (lacking("options", key), OTHER_VERSION, BOTH) for key in ("width", "recipe", "image_size")},
    "no option patience": (lacking("options", "patience"), OTHER_VERSION, ("resume",)),
    "fewer generators": (other(generators=[]), OTHER_VERSION, ("resume",)),
    "state is a list": (lambda arrays, state: (arrays, [state]), OTHER_VERSION, BOTH),
    "state is null": (lambda arrays, state: (arrays, None), OTHER_VERSION, BOTH),
    "no mean": (without("mean"), OTHER_VERSION, BOTH),
    "no velocities": (without("velocity"), OTHER_VERSION, ("resume",)),
    "no weights": (without("model"), OTHER_NETWORK + ".* lacks towers.0.conv1.weight", BOTH),
    "one weight less": (without("model.fc8.bias"), OTHER_NETWORK + ".* lacks fc8.bias", BOTH),
    "other width": (lambda a, s: (a, {**s, "options": {**s["options"], "width": 0.1}}), OTHER_NETWORK + ".*has shape", BOTH),
    "more classes": (lambda a, s: (a, {**s, "classes": [*s["classes"], "x"]}), "(another network.*|other classes)", BOTH),
    "unknown recipe": (lambda a, s: (a, {**s, "options": {**s["options"], "recipe": "x"}}), "unknown recipe 'x'", BOTH),
}  # fmt: skip


def refused(root, verb, capsys):
    arguments = {"resume": ["--resume", root, "--epochs", 2],
                 "predict": ["predict", root.parent / "picture.png", "--checkpoint", root]}[verb]  # fmt: skip
    before = {p: p.read_bytes() for p in root.iterdir()}
    capsys.readouterr()
    assert run(*arguments) == 2
    said, complaint = capsys.readouterr()
    assert said == "" and complaint.startswith("alexnet.py: ") and complaint.count("\n") == 1
    assert {p: p.read_bytes() for p in root.iterdir()} == before
    return complaint


@pytest.mark.parametrize("name", CHANGES)
def test_a_checkpoint_with_something_else_inside_is_refused_in_one_sentence(done, tmp_path, capsys, name):
    change, expected, verbs = CHANGES[name]
    arrays, state = change(*checkpoint.load(done))
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / "log.jsonl").write_bytes((done / "log.jsonl").read_bytes())
    checkpoint.save(copy / checkpoint.NAME, arrays, state)
    for verb in verbs:
        message = refused(copy, verb, capsys)
        assert re.search(expected, message), message


DAMAGES = {
    "empty": lambda b: b"",
    "cut in the header": lambda b: b[:50],
    "cut in the arrays": lambda b: b[:-100],
    "longer": lambda b: b + b"x",
    "text": lambda b: b"hello, world\n" * 100,
    "zeros": lambda b: bytes(1000),
}


@pytest.mark.parametrize("verb", BOTH)
@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused_in_one_sentence(done, tmp_path, capsys, name, verb):
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / checkpoint.NAME).write_bytes(DAMAGES[name]((done / checkpoint.NAME).read_bytes()))
    assert "is not a checkpoint, or is damaged" in refused(copy, verb, capsys)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"format": "tinynet-0", "state": "{}"}], ids=str)
def test_safetensors_of_another_program_are_refused(tmp_path, metadata):
    save_file({"a": np.zeros(3)}, tmp_path / "x", metadata)
    with pytest.raises(tn.CheckpointError, match="was not written by tinynet"):
        checkpoint.load(tmp_path / "x")


@pytest.mark.parametrize("metadata", [{}, {"state": "{not json"}], ids=["none", "broken"])
def test_a_state_that_cannot_be_read_is_refused(tmp_path, metadata):
    save_file({"a": np.zeros(3)}, tmp_path / "x", {"format": checkpoint.FORMAT, **metadata})
    with pytest.raises(tn.CheckpointError, match="is not a checkpoint, or is damaged"):
        checkpoint.load(tmp_path / "x")


def test_the_log_of_a_run_may_hold_bytes_that_are_no_text(done, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    (copy / checkpoint.NAME).write_bytes((done / checkpoint.NAME).read_bytes())
    (copy / "log.jsonl").write_bytes((done / "log.jsonl").read_bytes() + b"\x00\xff\xfe")
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch.setattr)
        assert run("--resume", copy, "--epochs", 2) == 0
    assert [json.loads(line)["epoch"] for line in (copy / "log.jsonl").read_text().splitlines()][-1] == 1
