"""Bad input: one clear sentence, exit code 2, no traceback, and nothing lost; and what --help says."""

import os
import re
import signal
import subprocess
import sys

import pytest
from PIL import Image
from runs import QUICK, at, log, pictures, run, separate, undrawn

import alexnet
from tinynet.cli.options import TRAINING, predict_parser, train_parser
from tinynet.training import checkpoint


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with everything that can be mistaken for something else, and a complete run in `done`."""
    root = tmp_path_factory.mktemp("place")
    pictures(root / "pictures")
    pictures(root / "others", each=4, classes=("cat", "dog", "fox"))
    pictures(root / "one", each=4, classes=("cat",))
    pictures(root / "broken", each=6)
    for path in sorted((root / "broken").rglob("*.png"))[:11]:
        path.write_bytes(b"this is no picture")
    (root / "empty").mkdir()
    (root / "loose").mkdir()
    Image.new("RGB", (64, 64)).save(root / "loose" / "a.png")
    (root / "file").write_text("some text")
    (root / "pictures.tar").write_bytes(b"")
    (root / "shelf").mkdir()
    (root / "shelf" / "curves.png").write_bytes(b"somebody's own")
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch.setattr)
        assert run("--data", root / "pictures", *QUICK, "--epochs", 2, "--out", root / "done") == 0
    return root


def contents(root):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))}


def sentence(capsys):
    """What was said on stderr, which must be one line that a person can read."""
    complaint = capsys.readouterr().err
    assert complaint.startswith("alexnet.py: ") and complaint.endswith("\n") and complaint.count("\n") == 1, complaint
    assert "Traceback" not in complaint and "Error(" not in complaint
    return complaint.removeprefix("alexnet.py: ").rstrip("\n")


TRAIN = "--data pictures --width 0.05 --image-size 56 --epochs 1"
MISTAKES = {
    # the data
    "--data nowhere": r"nowhere does not exist: give a folder",
    "--data empty": r"empty has no images",
    "--data one": r"one has images of only one class, 'cat', and at least two are needed",
    "--data loose": r"loose has 1 images lying directly in it, one sub-folder per class was expected",
    "--data file": r"file is a file, a folder .* was expected",
    "--data pictures.tar": r"unpack it first \(tar -xf pictures.tar\)",
    "--data=": r"--data is empty; give a folder",
    "--out=": r"--out is empty; give a folder",
    "--resume=": r"--resume is empty; give a folder",
    f"{TRAIN} --data broken --out new": r"\d+ of the \d+ images looked at in .*broken cannot be decoded, for instance .*png",
    # the device
    "--device tpu": r"unknown device 'tpu'",
    "--device=": r"unknown device ''",
    "--device cpu:": r"unknown device 'cpu:'",
    f"{TRAIN} --device cpu,cpu:1,cpu:2": r"one device or 2; got 3",
    # where it goes
    f"{TRAIN} --out file/run": r"file/run cannot be written \(Not a directory\); choose another folder with --out",
    f"{TRAIN} --out file": r"file cannot be written",
    f"{TRAIN} --out {'x' * 300}": r"x cannot be written \(File name too long\)",
    f"{TRAIN} --out done": r"done holds a run already; choose another folder with --out, or --resume .*done$",
    f"{TRAIN} --out shelf": r"shelf holds curves.png already; remove what is there, or choose another folder with --out",
    # sizes
    "--image-size 40": r"image_size=40 runs out of pixels in pool5",
    "--image-size 0": r"argument --image-size: 0 is not above 0",
    "--image-size 64.5": r"argument --image-size: invalid int value: '64.5'",
    "--image-size -64": r"--image-size: -64 is not above 0",
    "--width 0": r"argument --width: 0 is not above 0",
    "--width nan": r"--width: nan is not a finite number",
    "--width inf": r"--width: inf is not a finite number",
    "--width wide": r"--width: invalid float value: 'wide'",
    f"{TRAIN} --width 1e300": r"width <= 100, got .*1e\+300",
    f"{TRAIN} --image-size 10000000": r"(?i)unable to allocate|memory",
    "--batch 0": r"--batch: 0 is not above 0",
    "--batch -8": r"--batch: -8 is not above 0",
    "--epochs 0": r"--epochs: 0 is not above 0",
    "--lr -0.1": r"--lr: -0.1 is not above 0",
    "--lr nan": r"--lr: nan is not a finite number",
    "--lr inf": r"--lr: inf is not a finite number",
    "--workers -1": r"--workers: -1 is not 0 or more",
    "--seed -1": r"--seed -1 is below 0; give 0 or more",
    "--seed one": r"--seed: invalid int value: 'one'",
    "--recipe caffe": r"--recipe: invalid choice: 'caffe' \(choose from .*paper.*, .*source.*, .*modern.*\)",
    # words
    "--frobnicate": r"unrecognized arguments: --frobnicate; see alexnet.py --help",
    "train": r"unrecognized arguments: train",
    # resuming
    "--resume nowhere": r"there is no checkpoint at nowhere",
    "--resume empty": r"there is no checkpoint at empty/checkpoint.safetensors",
    "--resume file": r"file is not a checkpoint, or is damaged",
    f"--resume {'x' * 300}": r"File name too long",
    "--resume done --width 0.1": r"--width 0.1 cannot change on --resume: this run has 0.05; leave it out",
    "--resume done --lr 0.5": r"--lr 0.5 cannot change on --resume: this run has 0.01; leave it out",
    "--resume done --image-size 64": r"--image-size 64 cannot change on --resume: this run has 56; leave it out",
    "--resume done --batch 9": r"--batch 9 cannot change",
    "--resume done --seed 1": r"--seed 1 cannot change on --resume: this run has 0; leave it out",
    "--resume done --recipe paper": r"--recipe paper cannot change on --resume: this run has modern; leave it out",
    "--resume done --out new": r"--out new cannot change on --resume: this run has done; leave it out",
    "--resume done --epochs 1": r"--epochs 1: this run has done 2 already; give more, or leave it out",
    "--resume done --data others": r"others: .* has other classes than the run in done; give the folder it began with",
    "--resume done --data nowhere": r"nowhere does not exist",
    # predicting
    "predict": r"the following arguments are required: IMAGE, --checkpoint; see alexnet.py predict --help",
    "predict a.png": r"the following arguments are required: --checkpoint",
    "predict loose/a.png --checkpoint nowhere": r"there is no checkpoint at nowhere",
    "predict loose/a.png --checkpoint empty": r"there is no checkpoint at empty/checkpoint.safetensors",
    "predict loose/a.png --checkpoint loose/a.png": r"loose/a.png is not a checkpoint, or is damaged",
    "predict loose/a.png --checkpoint done --device tpu": r"unknown device 'tpu'",
    "predict nowhere.png --checkpoint done": r"nowhere.png does not exist",
    "predict file --checkpoint done": r"file cannot be decoded as an image",
    "predict loose --checkpoint done": r"loose is a folder, an image file was expected",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=[line[:60] for line in MISTAKES])
def test_a_mistake_is_one_sentence_and_exit_code_2_and_nothing_is_lost(place, monkeypatch, capsys, arguments):
    monkeypatch.chdir(place)
    before = contents(place)
    assert run(*arguments.split(" ")) == 2
    assert re.search(MISTAKES[arguments], sentence(capsys))
    after = contents(place)
    if (place / "new").is_dir():  # a folder that was claimed before the images turned out to be broken
        assert list((place / "new").iterdir()) == []
        (place / "new").rmdir()
        del after[place / "new"]
    assert after == before


def test_cuda_without_cupy_is_one_sentence(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert run("--device", "cuda:0,cuda:1") == 2
    assert re.search(r"cuda:0 needs CuPy.*pip install 'tinynet\[cuda12\]'.*--device cpu", sentence(capsys))


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_stays(place, tmp_path, monkeypatch, capsys):
    undrawn(monkeypatch.setattr)

    def full():
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        at("save", 3, full, patch.setattr)
        assert run("--data", place / "pictures", *QUICK, "--epochs", 3, "--out", tmp_path) == 2
    assert "No space left on device" in sentence(capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.safetensors", "log.jsonl"]
    assert run("--resume", tmp_path) == 0
    assert [r["epoch"] for r in log(tmp_path) if r["kind"] == "epoch"] == [0, 1, 2]


def test_memory_that_is_full_outside_of_the_network_is_one_sentence(place, tmp_path, monkeypatch, capsys):
    def full(*_):
        raise MemoryError("Unable to allocate 72.0 MiB")

    monkeypatch.setattr(checkpoint, "save", full)
    assert run("--data", place / "pictures", *QUICK, "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "alexnet.py: the memory is full (Unable to allocate 72.0 MiB): lower --width, --batch or --image-size\n"
    )


def test_a_run_without_its_checkpoint_can_neither_be_overwritten_nor_resumed(place, tmp_path, monkeypatch, capsys):
    undrawn(monkeypatch.setattr)
    start = ("--data", place / "pictures", *QUICK, "--epochs", 1, "--out", tmp_path)
    assert run(*start) == 0
    (tmp_path / "checkpoint.safetensors").unlink()
    before = contents(tmp_path)
    capsys.readouterr()
    assert run("--resume", tmp_path) == 2
    assert "checkpoint.safetensors" in sentence(capsys)
    assert run(*start) == 2
    assert str(tmp_path) in sentence(capsys)
    assert contents(tmp_path) == before


def test_ctrl_c_while_it_starts_is_one_sentence_and_130(place, tmp_path):
    stop = "from tinynet import data; data.mean_image = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)"
    code, _, complaint = separate(stop, "--data", place / "pictures", *QUICK, "--out", tmp_path / "out")
    assert (code, complaint.strip()) == (130, "alexnet.py: interrupted; there was nothing new to save")


def test_ctrl_c_while_it_imports_is_no_traceback(tmp_path, monkeypatch):
    (tmp_path / "safetensors.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = subprocess.run([sys.executable, alexnet.__file__], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_reader_that_goes_away_is_no_traceback(place, tmp_path):
    # As in `alexnet.py predict ... | head -1`, made certain: stdout is a pipe that nobody reads.
    close = "r, w = os.pipe(); os.dup2(w, 1); os.close(r)"
    code, _, complaint = separate(close, "predict", *[place / "loose" / "a.png"] * 3, "--checkpoint", place / "done")
    assert (code, complaint) in [(141, ""), (120, "")]


NAMES = ("chat 🐈", os.fsdecode(b"caf\xe9"))  # the second is no UTF-8: an old archive, unpacked


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Pictures in folders whose names not every terminal can show."""
    root = tmp_path_factory.mktemp("odd")
    try:
        return pictures(root / "pictures", each=4, classes=NAMES)
    except OSError:
        pytest.skip("this file system has only names that are text")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", NAMES), ("ascii", ("chat ?", "caf?")), ("latin-1", ("chat ?", "caf?"))]
)
def test_names_that_a_terminal_cannot_show_stop_nothing(odd, tmp_path, monkeypatch, encoding, shown):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    program = [sys.executable, alexnet.__file__]
    train = ["--data", odd, *QUICK, "--epochs", "1", "--out", tmp_path / NAMES[1]]
    done = subprocess.run([*program, *train], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / NAMES[1] / "predictions.png").exists()
    predict = ["predict", odd / NAMES[1] / "00.png", "--checkpoint", tmp_path / NAMES[1]]
    done = subprocess.run([*program, *predict], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    path, *rows = done.stdout.decode(encoding, "surrogateescape").splitlines()
    assert path.endswith(f"{shown[1]}/00.png")
    assert {row.split("%  ")[1] for row in rows} == set(shown)


# help -----------------------------------------------------------------------------------------------------------------


def helps(parser):
    return {a.option_strings[-1]: a.help for a in parser._actions if a.option_strings and a.dest != "help"}


def test_every_option_that_people_expect_is_there():
    wanted = "--data --epochs --batch --lr --seed --width --image-size --recipe --device --out --resume --workers "
    wanted += "--threads --no-tf32 --workspace --timeline"
    assert set(wanted.split()) <= set(helps(train_parser(alexnet.PROGRAM)))


@pytest.mark.parametrize("flag", sorted(set(helps(train_parser(alexnet.PROGRAM))) - {"--resume"}))
def test_help_says_the_default_and_the_papers_value(flag):
    text = helps(train_parser(alexnet.PROGRAM))[flag]
    assert "default" in text
    if flag in ("--data", "--epochs", "--batch", "--lr", "--width", "--image-size", "--device"):
        assert "paper: " in text
    (option,) = (o for o in TRAINING if flag in (o.flag, o.flag.replace("--", "--no-")))
    for default in (option.default, option.folder):
        if isinstance(default, (int, float)):
            assert re.search(rf"(default|--data) {re.escape(str(default))}\b", text), f"{flag}: not the real default"


@pytest.mark.parametrize("columns", ["40", "80", "200"])
@pytest.mark.parametrize("verb", [[], ["predict"]], ids=["train", "predict"])
def test_help_is_printed_for_any_width_of_terminal(verb, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as exit:
        run(*verb, "--help")
    said, complaint = capsys.readouterr()
    assert exit.value.code == 0 and complaint == ""
    assert max(map(len, said.splitlines())) <= max(int(columns), 55)  # argparse's own least
    assert all(flag in said for flag in helps(predict_parser(alexnet.PROGRAM) if verb else train_parser(alexnet.PROGRAM)))


def test_the_state_of_a_run_holds_the_options_that_it_was_given(place):
    options = checkpoint.load(place / "done")[1]["options"]
    assert options == dict(
        data=str(place / "pictures"),
        lr=0.01,
        seed=0,
        width=0.05,
        recipe="modern",
        epochs=2,
        batch=8,
        image_size=56,
        patience=2,
    )
