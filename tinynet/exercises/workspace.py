"""The learner's folder: their files, which are never overwritten, and state.json, which remembers the rest."""

import contextlib
import copy
import hashlib
import json
import os
from datetime import datetime
from pathlib import Path

import tinynet
from tinynet.errors import UsageError
from tinynet.exercises.exercise import exercises

STATE = "state.json"
SCHEMA = 1


class Workspace:
    """A folder made by `init`, and what is known about each exercise in it.

    What is known: stub (the hash of the file as it was written), state (of the last judgement), sha256 (of the file that was
    judged), tries, hints (how many were shown) and gave_up (the solution was shown before the file passed).
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        self.known, self._read_as = {}, {}

    @classmethod
    def open(cls, folder="."):
        """The workspace in a folder; raises UsageError if there is none."""
        self = cls(folder)
        if not (self.folder / STATE).exists():
            where = "this folder" if self.folder == Path() else str(self.folder)
            raise UsageError(
                f"{where} holds no exercises; make some with: python -m tinynet.exercises init DIR, then cd DIR"
            )
        self._read()
        return self

    @classmethod
    def at(cls, folder):
        """The files in a folder that may have no state.json, as teachers receive them."""
        self = cls(folder)
        if not self.folder.is_dir():
            raise UsageError(f"{folder} is not a folder; give the one that holds the exercises")
        if (self.folder / STATE).exists():
            self._read()
        elif not any(self.path(e).exists() for e in exercises().values()):
            raise UsageError(f"{folder} holds no exercises; expected files such as {next(iter(exercises()))}.py")
        return self

    @classmethod
    def init(cls, folder):
        """A new workspace with every exercise; raises UsageError, before anything is written, if files are in the way."""
        self = cls(folder)
        if (self.folder / STATE).exists():
            raise UsageError(f"{folder} holds exercises already; init {folder} --update adds those that are new")
        taken = [p.name for p in map(self.path, exercises().values()) if p.exists()]
        if taken:
            raise UsageError(f"{folder} holds {taken[0]} already and it will not be overwritten; choose an empty folder")
        with _writing(folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for exercise in exercises().values():
                self._write_stub(exercise)
        self.save()
        return self

    def update(self):
        """Write exercises that are missing, and renew those that are as they were written; returns (new, renewed, kept)."""
        new, renewed, kept = [], [], []
        with _writing(self.folder):
            for exercise in exercises().values():
                path = self.path(exercise)
                if not path.exists():
                    self._write_stub(exercise)
                    new.append(exercise)
                elif _hash(path.read_bytes()) == _hash(exercise.stub.encode()):
                    pass
                elif self.of(exercise).get("stub") == _hash(path.read_bytes()):
                    path.unlink()
                    self._write_stub(exercise)
                    renewed.append(exercise)
                else:
                    kept.append(exercise)
        self.save()
        return new, renewed, kept

    def path(self, exercise):
        """The learner's file of an exercise."""
        return self.folder / f"{exercise.name}.py"

    def of(self, exercise):
        """What is known about an exercise: a dict to be changed, then saved."""
        return self.known.setdefault(exercise.name, {})

    def state(self, exercise):
        """pass, fail, inconclusive, unattempted or gave_up, as of the last judgement."""
        known = self.of(exercise)
        return "gave_up" if known.get("gave_up") else known.get("state", "unattempted")

    def current(self):
        """The first exercise that is not done, or None."""
        return next((e for e in exercises().values() if self.state(e) not in ("pass", "gave_up")), None)

    def note(self, exercise, verdict):
        """Remember a judgement."""
        known = self.of(exercise)
        if verdict.state != "unattempted" and known.get("sha256") != verdict.sha256:
            known["tries"] = known.get("tries", 0) + 1
        known |= {"state": verdict.state, "sha256": verdict.sha256}
        if verdict.state == "pass" and "passed" not in known:
            known["passed"] = datetime.now().astimezone().isoformat(timespec="seconds")

    def reset(self, exercise):
        """Put the stub back; what was there is kept in a file whose path is returned, or None if nothing was."""
        path, backup = self.path(exercise), None
        with _writing(self.folder):
            if path.exists() and path.read_bytes() == exercise.stub.encode():
                path.unlink()
            elif path.exists():
                backup = _free(path.with_suffix(".bak"))
                os.replace(path, backup)
            self._write_stub(exercise)
        self.of(exercise).pop("state", None)
        self.save()
        return backup

    def keep_solution(self, exercise):
        """Put the solution into solutions/; returns its path."""
        path = self.folder / "solutions" / f"{exercise.name}.py"
        with _writing(self.folder):
            path.parent.mkdir(exist_ok=True)
            if not path.exists():
                path.write_text(exercise.answer, encoding="utf-8")
        return path

    def save(self):
        """Write state.json with what is new; a process that is killed meanwhile leaves the old one.

        What another process, a `watch` perhaps, has written since about other exercises is kept.
        """
        new = {name: known for name, known in self.known.items() if known != self._read_as.get(name)}
        if (self.folder / STATE).exists():
            self._read()
        self.known |= new
        self._read_as = copy.deepcopy(self.known)
        text = json.dumps({"schema": SCHEMA, "tinynet": tinynet.__version__, "exercises": self.known}, indent=1)
        path = self.folder / STATE
        with _writing(self.folder):
            temporary = path.with_name(f".{STATE}.{os.getpid()}")
            temporary.write_text(text + "\n", encoding="utf-8")
            os.replace(temporary, path)

    def _read(self):
        path = self.folder / STATE
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            if state["schema"] > SCHEMA:
                raise UsageError(f"{path} was written by tinynet {state['tinynet']}; update tinynet to go on with it")
            self.known = {name: dict(known) for name, known in state["exercises"].items()}
            self._read_as = copy.deepcopy(self.known)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            backup = path.with_name(f"{STATE}.broken")
            raise UsageError(
                f"{path} is damaged ({error}); move it away, for instance to {backup.name}, and run init . --update: your "
                "answers are in their own files and stay"
            ) from None

    def _write_stub(self, exercise):
        with open(self.path(exercise), "xb") as file:  # x: never over something that is there
            file.write(exercise.stub.encode())
        self.of(exercise)["stub"] = _hash(exercise.stub.encode())


def _hash(content):
    return hashlib.sha256(content).hexdigest()


def _free(path):
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}{number}")
    return free


@contextlib.contextmanager
def _writing(folder):
    try:
        yield
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror}); choose another folder, or make room") from error
