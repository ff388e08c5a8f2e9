"""The command that goes on with a run is the one that began it, whatever it was called."""

import os
import re
import signal
import subprocess
import sys

import pytest
from runs import QUICK, pictures

import alexnet
from tinynet.cli.advice import command
from tinynet.training import checkpoint


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("python alexnet.py", "python alexnet.py"),
        (".venv/bin/python ../tinynet/alexnet.py", ".venv/bin/python ../tinynet/alexnet.py"),
        ("python3 -u -X|dev /my code/alexnet.py", "python3 -u '-X|dev' '/my code/alexnet.py'"),
        ("python -m alexnet", "python -m alexnet"),
        ("python -m pdb alexnet.py", "python -m pdb alexnet.py"),
    ],
)
@pytest.mark.parametrize("arguments", [[], ["--data", "my pictures", "--epochs", "1"]], ids=["bare", "with arguments"])
def test_the_command_is_repeated_without_its_arguments(monkeypatch, started, expected, arguments):
    words = started.replace("my code", "my_code").split()
    words = [word.replace("my_code", "my code") for word in words]
    monkeypatch.setattr(sys, "orig_argv", words + arguments)
    monkeypatch.setattr(sys, "argv", ["/somewhere/alexnet.py" if "-m" in words else words[-1], *arguments])
    assert command("alexnet") == expected


@pytest.mark.parametrize(("on_path", "expected"), [(True, "alexnet"), (False, "{}/alexnet")])
def test_the_console_command_is_repeated_as_it_was_found(tmp_path, monkeypatch, on_path, expected):
    script = tmp_path / "alexnet"
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path) if on_path else "/nowhere")
    monkeypatch.setattr(sys, "orig_argv", ["/venv/bin/python", str(script), "--epochs", "1"])
    monkeypatch.setattr(sys, "argv", [str(script), "--epochs", "1"])
    assert command("alexnet") == expected.format(tmp_path)


@pytest.mark.parametrize("program", ["-c", "", "/venv/bin/pytest", "train_all.py"])
def test_in_another_program_it_is_the_usual_command(monkeypatch, program):
    monkeypatch.setattr(sys, "argv", [program, "x"])
    assert command("alexnet") == "python alexnet.py"


def test_what_is_said_after_ctrl_c_can_be_pasted_into_a_shell(tmp_path):
    folder, out = pictures(tmp_path / "pictures", each=8), tmp_path / "it's mine"
    # A link, so that neither the folder nor the path of the program is one that could be guessed.
    program = tmp_path / "another place" / "alexnet.py"
    program.parent.mkdir()
    program.symlink_to(alexnet.__file__)
    command = [sys.executable, "-u", program, "--data", folder, *QUICK, "--epochs", "200", "--out", out.name]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    with subprocess.Popen(command, **pipes) as running:
        while not running.stdout.readline().startswith("epoch   1/"):
            pass
        running.send_signal(signal.SIGINT)
        said, complaint = running.communicate()
    assert (running.returncode, complaint) == (130, "stopping as soon as all is saved (again: at once) ...\n")
    step, advice = re.search(r"^stopped after step (\d+); go on with: (.*)$", said, re.M).groups()
    epochs = int(step) // 3 + 2
    env = {"PATH": "/nowhere", "PYTHONPATH": os.path.dirname(alexnet.__file__)}
    done = subprocess.run(f"{advice} --epochs {epochs}", shell=True, env=env, **pipes)
    assert (done.returncode, done.stderr) == (0, "")
    assert checkpoint.load(out)[1]["epoch"] == epochs
