"""What the tests of training share: small pictures to train on, quick runs, and what is read back from them."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
from PIL import Image

import alexnet
from tinynet import files
from tinynet.training import checkpoint, loop, reporter
from tinynet.training.log import Log

CLASSES = ("blue", "green", "red")
QUICK = ("--width", "0.05", "--image-size", "56", "--batch", "8")
TIMINGS = ("images_per_second", "seconds")


def pictures(folder, each=20, classes=CLASSES, side=64):
    """A folder of noisy PNGs, `each` a class, that differ in their colour and in nothing else. Returns the folder."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(each):
            pixels = rng.integers(0, 90, (side, side + 6, 3), np.uint8)
            pixels[..., label % 3] += 130
            Image.fromarray(pixels).save(folder / name / f"{i:02}.png")
    return folder


def run(*arguments):
    """`alexnet.py` with these arguments, in this process; returns its exit code."""
    return alexnet.main([str(a) for a in arguments])


def log(out, timings=False):
    """The records of a run's log.jsonl, without what depends on the clock."""
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if timings or k not in TIMINGS} for r in records]


def assert_same_run(out, other):
    """Both runs ended with the same bits: weights, velocities, generators, position, and everything logged."""
    (arrays, state), (others, other_state) = checkpoint.load(out), checkpoint.load(other)
    assert state == other_state
    assert list(arrays) == list(others)
    for name, array in arrays.items():
        assert np.array_equal(array, others[name]), name
    assert log(out) == log(other)


def at(where, number, act, patch):
    """Let a run call `act()` at a moment: where = "step" n (once it is logged), "validation" of epoch n, "save" n.

    `patch(object, name, value)` is monkeypatch.setattr, or setattr in a process of its own.
    """
    count = 0
    if where == "step":
        before = Log.on_step

        def hooked(self, loop, step):
            before(self, loop, step)
            if step.number == number:
                act()

        patch(Log, "on_step", hooked)
        return
    owner, name = (loop, "evaluate") if where == "validation" else (files.os, "replace")
    before = getattr(owner, name)

    def counted(*args, **how):
        nonlocal count
        if where == "validation" or str(args[1]).endswith(checkpoint.NAME):
            count += 1
            if count == number:
                act()
        return before(*args, **how)

    patch(owner, name, counted)


def undrawn(patch):
    """Make runs quick by leaving out their pictures."""
    patch(reporter.Pictures, "draw", lambda self: None)


def interrupt():
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def separate(code, *arguments, timeout=60):
    """`alexnet.py` with these arguments in a process of its own, after `code`: (exit code, stdout, stderr)."""
    here = os.path.dirname(__file__)
    script = f"import os, signal, sys; sys.path.insert(0, {here!r}); import runs, alexnet\n{code}\nsys.exit(alexnet.main())"
    path = os.pathsep.join([os.path.dirname(alexnet.__file__), here])
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr
