"""The folder of a run: whose it is, the log in it, and the command that goes on with it."""

import json
import os
import shlex
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

from tinynet import checkpoint
from tinynet.errors import UsageError

LOG = "log.jsonl"
PICTURES = ("curves.png", "kernels.png", "predictions.png")


@contextmanager
def claimed(out):
    """Make the folder and its log, for a new run that writes its first checkpoint inside; without one, the log goes again.

    Raises UsageError if something would be lost, or the folder cannot be written.
    """
    if begun(out):
        raise UsageError(f"{out} holds a run already; go on with it by --resume {quoted(out)}, or choose another --out")
    for name in (LOG, *PICTURES):
        if os.path.exists(out / name):
            raise UsageError(f"{out} holds {name} already; choose another --out, or remove what is there")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / LOG).touch(exist_ok=False)
    except OSError as error:
        raise UsageError(f"{out} cannot be written ({error.strerror}); choose another --out") from error
    try:
        yield
    except BaseException:
        if not begun(out):
            (out / LOG).unlink(missing_ok=True)
        raise


def begun(out):
    """Whether there is a checkpoint to go on from."""
    return os.path.exists(out / checkpoint.NAME)


def read_log(out):
    """The records of the log; a line that a killed run left unfinished is left out."""
    records = []
    for line in (out / LOG).read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def keep_in_log(out, wanted):
    """Leave the records in the log that `wanted(record)` is true of; a missing log, which only pictures need, is made."""
    if not os.path.exists(out / LOG):
        print(f"{out / LOG} is missing; a new one begins here, and so will the curves", file=sys.stderr)
        (out / LOG).touch()
    kept = [record for record in read_log(out) if wanted(record)]
    with checkpoint.replacing(out / LOG) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")


def command():
    """How this program was started, to be pasted into a shell; the usual way, where it is part of another program."""
    script = sys.argv[0]
    if Path(script).stem != "alexnet":
        return "python alexnet.py"
    if script.endswith(".py"):
        return shlex.join(sys.orig_argv[: len(sys.orig_argv) - len(sys.argv[1:])])
    name = os.path.basename(script)
    return quoted(name if shutil.which(name) == script else script)


def how_to_resume(out):
    """The command that goes on with the run."""
    return f"{command()} --resume {quoted(out)}"


def quoted(path):
    return shlex.quote(str(path))
