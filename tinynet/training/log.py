"""The log of a run: log.jsonl, a line of JSON for every step and every epoch."""

import json
import os
import sys
from pathlib import Path

from tinynet.files import replacing
from tinynet.training.loop import Listener


class Log(Listener):
    """While entered, adds a line for each step and epoch; `sync` waits until all lines are on the disk."""

    def __init__(self, path: Path):
        self.path, self._file = path, None

    def __enter__(self):
        self._file = open(self.path, "a", encoding="utf-8")
        return self

    def __exit__(self, *_):
        self._file.close()
        self._file = None

    def on_step(self, loop, step):
        rate = round(step.rate, 1)
        self._write("step", step.number, loop.epoch, loss=step.loss, lr=step.lr, images_per_second=rate)

    def on_epoch(self, loop, epoch):
        values = {
            f"{part}_{name}": value
            for part, score in (("train", epoch.train), ("val", epoch.validation))
            for name, value in zip(("loss", "error", "top5_error"), score.means(), strict=True)
        }
        self._write("epoch", loop.steps, epoch.number - 1, **values, lr=epoch.lr, seconds=round(epoch.seconds, 2))

    def _write(self, kind, step, epoch, **values):
        print(json.dumps({"kind": kind, "step": step, "epoch": epoch, **values}), file=self._file, flush=True)

    def sync(self) -> None:
        if self._file is not None:
            os.fsync(self._file.fileno())


def read(path: Path) -> list[dict]:
    """The records of a log; a line that a killed run left unfinished is left out."""
    records = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def cut(path: Path, step: int, epoch: int) -> None:
    """Take out what was logged after a moment, because it will be computed, and logged, again.

    A missing log, which only pictures need, is made.
    """
    if not path.exists():
        print(f"{path} is missing; a new one begins here, and so will the curves", file=sys.stderr)
        path.touch()
    kept = [r for r in read(path) if r["step"] <= step and (r["kind"] == "step" or r["epoch"] < epoch)]
    with replacing(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
