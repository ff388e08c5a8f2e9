"""What teachers collect: every exercise of a folder judged, as text, as JSON or for Gradescope."""

import hashlib
import json
from pathlib import Path

import tinynet
from tinynet.errors import UsageError
from tinynet.exercises.judge import earned, varies
from tinynet.exercises.screen import plain
from tinynet.exercises.screen import report as as_text

SCHEMA = 1


def record(judged, workspace):
    """The report as a dict, schema 1; `judged` is [(exercise, verdict)].

    {"schema": 1, "tinynet": version, "points": total, "max": total, "exercises": [{"name", "chapter", "state", "points",
    "max", "checks": [{"name", "state", "rel", "index"}], "sentence", "same_for_everybody", "hints_used", "sha256",
    "seconds"}]}. state: pass, fail, inconclusive, unattempted, or gave_up for a file that passes after its solution was
    shown. A check that was not reached is missing; rel and index are those of the worst entry, or null. points: max times
    the part of the checks that passed, without those that pass before a bug is found, and 0 once the solution was shown.
    same_for_everybody: no check draws anything, so a seed file makes no variant. The same files and seed give the same
    report, but for "seconds".
    """
    entries = [_entry(exercise, verdict, workspace.of(exercise)) for exercise, verdict in judged]
    return {
        "schema": SCHEMA,
        "tinynet": tinynet.__version__,
        "points": round(sum(e["points"] for e in entries), 2),
        "max": round(sum(e["max"] for e in entries), 2),
        "exercises": entries,
    }


def _entry(exercise, verdict, known):
    shown = known.get("gave_up", False)
    # Cut short: what passed before the file misbehaved earns nothing.
    part = 0 if shown or verdict.sentence else earned(exercise, verdict.findings)
    checks = [
        {"name": f.name, "state": f.state, "rel": f.rel, "index": None if f.index is None else list(f.index)}
        for f in verdict.findings
    ]
    return {
        "name": exercise.name,
        "chapter": exercise.chapter,
        "state": "gave_up" if shown and verdict.state == "pass" else verdict.state,
        "points": round(exercise.points * part, 2),
        "max": exercise.points,
        "checks": checks,
        "sentence": verdict.sentence,
        "same_for_everybody": not varies(exercise),
        "hints_used": known.get("hints", 0),
        "sha256": verdict.sha256,
        "seconds": verdict.seconds,
    }


def gradescope(judged, workspace):
    """What Gradescope's autograder reads from /autograder/results/results.json."""
    tests = []
    for (exercise, verdict), entry in zip(judged, record(judged, workspace)["exercises"], strict=True):
        tests.append(
            {
                "name": f"{exercise.name}: {exercise.title}",
                "number": str(exercise.number),
                "score": entry["points"],
                "max_score": entry["max"],
                "status": "passed" if entry["state"] == "pass" else "failed",
                "output": plain(as_text(exercise, workspace.path(exercise).name, verdict)),
                "visibility": "visible",
            }
        )
    return {"score": round(sum(t["score"] for t in tests), 2), "output": "checks by tinynet.exercises", "tests": tests}


def write_json(path, content):
    """Write a dict as JSON; raises UsageError if that is not possible."""
    try:
        Path(path).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); choose another file") from error


def seed_from(path):
    """The seed of hidden variants: from the content of a file that only the teacher has. 0 without one."""
    if path is None:
        return 0
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"--seed-file {path} cannot be read ({error.strerror}); give a file with any secret text"
        ) from error
    if not content.strip():
        raise UsageError(f"--seed-file {path} is empty; put any secret text into it")
    return int.from_bytes(hashlib.sha256(content.strip()).digest()[:6])
