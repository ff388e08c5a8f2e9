"""Judge a learner's file in a process of its own, with a time limit, whatever the file does."""

import ast
import contextlib
import hashlib
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import tinynet
from tinynet.exercises.exercise import program
from tinynet.exercises.judge import Finding, state_of

START = 120  # seconds for the child to import NumPy, on the slowest of machines
FLOOD = 1_000_000  # characters that a judged file may print
SHOWN = 20  # lines of them that are shown

_children: set = set()  # that run


@dataclass
class Verdict:
    """What came of a file. state: pass, fail, unattempted or inconclusive; sentence: what kept it from being judged.

    untouched: the file is as it was given, which in find-the-bug exercises has findings all the same.
    """

    state: str
    findings: list = field(default_factory=list)
    sentence: str = ""
    printed: list = field(default_factory=list)
    seconds: float = 0.0
    sha256: str = ""
    untouched: bool = False

    @property
    def passed(self):
        return sum(f.state == "pass" for f in self.findings)


def judge_file(exercise, path, seed=0, limit=None):
    """The Verdict on a learner's file; limit: seconds, instead of the exercise's own."""
    path, began = Path(path).resolve(), time.monotonic()
    try:
        content = path.read_bytes()
    except OSError as error:
        return Verdict("unattempted", sentence=f"{path} cannot be read ({error.strerror}); init --update writes it anew")
    verdict = Verdict("unattempted", sha256=hashlib.sha256(content).hexdigest())
    verdict.untouched = same_program(content, exercise.stub)
    if exercise.starts or not verdict.untouched:
        _run(exercise, path, seed, limit or exercise.seconds, verdict)
    if verdict.untouched:
        verdict.state = "unattempted"
        for finding in verdict.findings:  # to tell the bug is what the hints are for
            finding.hint = ""
    verdict.seconds = round(time.monotonic() - began, 2)
    return verdict


def same_program(content, stub):
    """Whether a file does nothing that the stub does not do: comments, docstrings and blank lines aside."""
    try:
        return ast.dump(program(content)) == ast.dump(program(stub))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def spawn(module, *arguments, **how):
    """Start `python -m module` with the tinynet that runs here, one thread, and no file of the current folder in its way."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tinynet.__file__).parents[1]), "PYTHONIOENCODING": "utf-8"}
    how = {"stdin": subprocess.DEVNULL, **how}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **how)


def _run(exercise, path, seed, limit, verdict):
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=path.parent, start_new_session=True)
    child = spawn("tinynet.exercises.child", exercise.name, path, stdin=subprocess.PIPE, **pipes)
    _children.add(child)
    token = secrets.token_hex(16)
    with contextlib.suppress(BrokenPipeError), child.stdin:  # not as arguments, which any process may read
        child.stdin.write(json.dumps({"seed": seed, "token": token}).encode() + b"\n")
    events, printed = queue.SimpleQueue(), Printed(child.stderr, lambda: events.put({"event": "flood"}))
    threading.Thread(target=_forward, args=(child.stdout, events, token), daemon=True).start()
    threading.Thread(target=printed.read, daemon=True).start()
    deadline, done = time.monotonic() + START, False
    try:
        while not done and not verdict.sentence:
            try:
                event = events.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                event = {"event": "timeout"}
            kind = event.pop("event")
            if kind == "ready":
                deadline = time.monotonic() + limit
            elif kind == "finding":
                finding = Finding(**event)
                verdict.findings = [f for f in verdict.findings if f.name != finding.name] + [finding]
            elif kind == "refused":
                verdict.sentence = event["sentence"]
            elif kind == "done":
                done = True
            else:
                code = child.wait() if kind == "end" else event.get("code")
                verdict.sentence = _cut_short(kind, exercise, verdict, limit, code)
    finally:
        _end(child)
    order = [check.title for check in exercise.checks]
    verdict.findings.sort(key=lambda finding: order.index(finding.name))
    verdict.printed = printed.lines()
    if verdict.sentence or len(verdict.findings) < len(exercise.checks):
        verdict.state = "fail"
    else:
        verdict.state = state_of(verdict.findings)


def _cut_short(kind, exercise, verdict, limit, code):
    check = exercise.checks[min(len(verdict.findings), len(exercise.checks) - 1)].title
    if kind == "timeout":
        return f"no answer after {limit:g} seconds, in the check {check!r}: is there a loop that never ends?"
    if kind == "flood":
        return f"more than {FLOOD:,} characters printed, in the check {check!r}: take the print out of the loop"
    how = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended by itself with code {code}"
    return f"the program {how} in the check {check!r}, before it was judged: does your code end it, or need too much memory?"


def _forward(pipe, events, token):
    with pipe:
        for line in pipe:
            with contextlib.suppress(ValueError, TypeError, AttributeError):  # half a line, of a child that was killed
                event = json.loads(line)
                if event.pop("token", None) == token:  # or it is somebody else who writes into this pipe
                    events.put(event)
    events.put({"event": "end"})


def end_all():
    """End every judgement that runs in another thread, so that Ctrl-C does not wait for their time limits."""
    for child in list(_children):
        _end(child)


def _end(child):
    """Kill the child and all that it has started."""
    _children.discard(child)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
    child.wait()


class Printed:
    """What the learner's code prints: the beginning is kept, all is counted, and too much is reported."""

    def __init__(self, pipe, flood):
        self.pipe, self.flood, self.text, self.count = pipe, flood, b"", 0
        self.over = threading.Event()

    def read(self):
        with self.pipe:
            while part := self.pipe.read1(65536):
                self.count += len(part)
                self.text += part[: max(0, 4000 - len(self.text))]
                if self.count > FLOOD:
                    self.flood()
                    break
        self.over.set()

    def lines(self):
        self.over.wait(1)
        lines = self.text.decode("utf-8", "replace").splitlines()
        more = len(lines) > SHOWN or self.count > len(self.text)
        return [line[:200] for line in lines[:SHOWN]] + ["..."] * more
