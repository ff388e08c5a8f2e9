"""Programs as people start them: from a notebook's cell, a thread, a service without a terminal, an odd environment."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from runs import QUICK, pictures, run, undrawn

import alexnet
from tinynet import console
from tinynet.cli.interrupt import Interrupt

ROOT = Path(alexnet.__file__).parent
FILES = ["checkpoint.safetensors", "curves.png", "kernels.png", "log.jsonl", "predictions.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("data") / "it's a folder", each=6)


def shell(command, **environment):
    """A command line of a shell in an environment with nothing but PATH and what is given: its exit code."""
    clean = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(["sh", "-c", command], env=clean | environment).returncode


# None of these conditions has to do with another one, so several are tried at once; each start of Python costs a second.
@pytest.mark.parametrize(
    ("streams", "environment"),
    [
        ("<&- >&-", {"MPLBACKEND": "nonsense", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
        (">&- 2>&-", {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "HOME": "/nowhere", "TERM": "dumb"}),
        ("2>/dev/full", {"MPLCONFIGDIR": "/nowhere", "COLUMNS": "5", "PYTHONWARNINGS": "error"}),
    ],
    ids=["no input and output", "a service", "nobody to complain to"],
)
def test_a_run_needs_no_terminal_no_backend_and_no_home(folder, tmp_path, streams, environment):
    out = tmp_path / "a run"
    command = [sys.executable, ROOT / "alexnet.py", "--data", folder, *QUICK, "--epochs", 1, "--out", out]
    assert shell(f"cd / && {shlex.join(map(str, command))} {streams}", **environment) == 0
    assert sorted(p.name for p in out.iterdir()) == FILES


@pytest.mark.parametrize("module", ["alexnet", "tinynet.exercises"])
def test_help_in_a_cell_of_a_notebook_that_this_python_does_not_know(tmp_path, module):
    assert shell(f"{sys.executable} -m {module} --help > {tmp_path}/help", MPLBACKEND="module://nowhere.inline") == 0
    assert (tmp_path / "help").read_text().startswith("usage")


def test_a_backend_that_is_there_is_the_one_of_pyplot_afterwards():
    code = "import tinynet.draw.page, matplotlib.pyplot as plt; print(plt.get_backend())"
    environment = {**os.environ, "MPLBACKEND": "svg", "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout == "svg\n"


def test_a_disk_that_is_full_while_saving_is_one_sentence(folder, tmp_path):
    command = [sys.executable, ROOT / "alexnet.py", "--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path / "out"]
    assert shell(f"ulimit -f 20; {shlex.join(map(str, command))} 2> {tmp_path}/complaint") == 2
    complaint = (tmp_path / "complaint").read_text()
    assert complaint.count("\n") == 1 and "File too large" in complaint and complaint.endswith("folder with --out\n")
    assert list((tmp_path / "out").iterdir()) == []


def in_a_thread(function):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function()))
    thread.start()
    thread.join()
    return answers


def test_a_worker_thread_trains_and_predicts(folder, tmp_path, monkeypatch):
    undrawn(monkeypatch.setattr)
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    assert in_a_thread(lambda: run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path / "out")) == [0]
    assert in_a_thread(lambda: run("predict", folder / "red" / "00.png", "--checkpoint", tmp_path / "out")) == [0]
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == before


def test_signals_that_the_process_was_started_to_ignore_stay_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not interrupt.requested and signal.getsignal(signal.SIGTERM) == interrupt._note
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_written_to_closed_streams_is_swallowed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as under pythonw
    monkeypatch.setattr(sys, "stderr", None)
    assert console.run(lambda: print("x") or print("y", file=sys.stderr) or 3) == 3
    sys.stdout.close()
    sys.stderr.close()
