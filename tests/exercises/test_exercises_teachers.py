"""What teachers get: reports with a stable schema, points, hidden variants, and cells that nbgrader grades as it should."""

import ast
import json
import logging
import sys

import numpy as np
import pytest
from learners import RELU, answer, command, edited

import tinynet
from tinynet.errors import UsageError
from tinynet.exercises import check, grade
from tinynet.exercises import report as reports
from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.judge import Finding
from tinynet.exercises.runner import Verdict
from tinynet.exercises.workspace import Workspace

OTHER = "e11_sgd"


@pytest.fixture
def handed_in(tmp_path, monkeypatch):
    """A folder as a teacher receives it: two files, one of them partly right, and nothing else."""
    (tmp_path / f"{RELU}.py").write_text(edited(RELU, "np.tanh(x) ** 2", "np.tanh(x)"))
    (tmp_path / f"{OTHER}.py").write_text(answer(OTHER))
    monkeypatch.chdir(tmp_path.parent)
    return tmp_path


def report(capsys, *arguments):
    assert command("report", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def without_seconds(content):
    return {**content, "exercises": [{k: v for k, v in e.items() if k != "seconds"} for e in content["exercises"]]}


# report ---------------------------------------------------------------------------------------------------------------


def test_the_json_report_has_schema_1(handed_in, capsys):
    content = report(capsys, handed_in)
    assert list(content) == ["schema", "tinynet", "points", "max", "exercises"]
    assert (content["schema"], content["tinynet"]) == (1, tinynet.__version__)
    assert [e["name"] for e in content["exercises"]] == list(exercises())
    for entry in content["exercises"]:
        assert list(entry) == ["name", "chapter", "state", "points", "max", "checks", "sentence", "same_for_everybody",
                               "hints_used", "sha256", "seconds"]  # fmt: skip
        assert all(list(c) == ["name", "state", "rel", "index"] for c in entry["checks"])
    entry = next(e for e in content["exercises"] if e["name"] == RELU)
    assert (entry["state"], entry["max"]) == ("fail", find(RELU).points)
    assert [c["state"] for c in entry["checks"]] == ["pass", "pass", "fail"]
    assert entry["points"] == round(entry["max"] * 2 / 3, 2)
    assert entry["checks"][2]["rel"] > 0.01 and len(entry["checks"][2]["index"]) == 2
    states = {e["name"]: e["state"] for e in content["exercises"]}
    assert states[OTHER] == "pass" and states["e07_sum_to"] == "unattempted"
    assert content["points"] == round(entry["points"] + find(OTHER).points, 2)


def test_the_report_is_the_same_on_every_run_and_changes_no_file(handed_in, capsys):
    before = sorted(p.name for p in handed_in.iterdir())
    assert without_seconds(report(capsys, handed_in)) == without_seconds(report(capsys, handed_in))
    assert sorted(p.name for p in handed_in.iterdir()) == before


def test_a_file_that_misbehaves_after_some_checks_earns_nothing():
    exercise = find(RELU)
    verdict = Verdict("fail", [Finding(exercise.checks[0].title, "pass")], sentence="no answer after 20 seconds")
    assert reports.record([(exercise, verdict)], Workspace("."))["points"] == 0


def test_a_bug_to_find_earns_what_is_found_and_not_what_passes_from_the_start(tmp_path, capsys):
    for exercise in (find("e06"), find("e29")):
        (tmp_path / f"{exercise.name}.py").write_text(f"# my name\n{exercise.stub}")
    entries = {e["name"]: e for e in report(capsys, tmp_path)["exercises"]}
    entry = entries["e06_three_of_five"]
    assert (entry["state"], entry["points"]) == ("unattempted", 0)
    assert {c["state"] for c in entry["checks"]} == {"pass", "fail"}
    assert entries["e29_find_the_bug"]["points"] == 0
    e06, entry_of = find("e06"), lambda: report(capsys, tmp_path)["exercises"][list(exercises()).index("e06_three_of_five")]
    path = tmp_path / f"{e06.name}.py"
    path.write_text(e06.stub.replace("-dy * a / b", "-dy * a / b**2"))
    assert entry_of()["points"] == round(e06.points / 3, 2)
    assert grade("e06", *e06.compiled(path.read_text()).values(), points=3) == 1
    assert grade("e06", *e06.compiled(e06.stub).values(), points=3) == 0
    assert grade("e06", *e06.compiled(e06.answer).values(), points=3) == 3
    capsys.readouterr()
    path.write_text(e06.stub.replace("dy * y - dy * y**2", "dy"))
    assert entry_of()["points"] == 0


def test_a_solution_that_was_shown_first_earns_nothing(tmp_path, monkeypatch, capsys):
    Workspace.init(tmp_path)
    monkeypatch.chdir(tmp_path)
    command("solution", RELU, "--give-up")
    (tmp_path / f"{RELU}.py").write_text(answer(RELU))
    capsys.readouterr()
    entry = next(e for e in report(capsys)["exercises"] if e["name"] == RELU)
    assert (entry["state"], entry["points"]) == ("gave_up", 0)
    (tmp_path / f"{RELU}.py").write_text(edited(RELU, "dy * (x > 0)", "dy * (x >= 0)"))
    entry = next(e for e in report(capsys)["exercises"] if e["name"] == RELU)
    assert (entry["state"], entry["points"]) == ("fail", 0), "breaking a check again earns nothing"


def test_hidden_variants_draw_other_values_and_are_repeatable(handed_in, capsys):
    secret = handed_in / "secret"
    secret.write_text("autumn 2026\n")
    public = without_seconds(report(capsys, handed_in))
    hidden, again = (without_seconds(report(capsys, handed_in, "--seed-file", secret)) for _ in range(2))
    assert hidden == again and hidden != public
    assert [e["state"] for e in hidden["exercises"]] == [e["state"] for e in public["exercises"]]


def test_exercises_of_which_there_are_no_variants_are_named(handed_in, capsys):
    """Exercise 22 judges tests by given functions: there is nothing to draw."""
    (handed_in / "e22_ties.py").write_text(answer("e22_ties"))
    entries = {e["name"]: e["same_for_everybody"] for e in report(capsys, handed_in)["exercises"]}
    assert entries["e22_ties"] and not entries[RELU] and not entries[OTHER]
    secret = handed_in / "secret"
    secret.write_text("autumn 2026\n")
    command("report", handed_in)
    assert "same for everybody" not in capsys.readouterr().out
    command("report", handed_in, "--seed-file", secret)
    named = capsys.readouterr().out.partition("same for everybody")[2]
    assert "e22_ties" in named and RELU not in named and OTHER not in named


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_a_seed_file_that_is_missing_or_empty_is_refused(handed_in, capsys, content):
    secret = handed_in / "secret"
    if content is not None:
        secret.write_text(content)
    assert command("report", handed_in, "--seed-file", secret) == 2
    assert "--seed-file" in capsys.readouterr().err


def test_a_folder_without_exercises_is_refused(tmp_path, capsys):
    assert command("report", tmp_path) == 2 and "holds no exercises" in capsys.readouterr().err
    assert command("report", tmp_path / "nowhere") == 2 and "is not a folder" in capsys.readouterr().err


def test_gradescope(handed_in, capsys):
    out = handed_in / "results.json"
    (handed_in / "e01_three_slopes.py").write_text(find("e01").stub)
    assert command("report", handed_in, "--gradescope", out) == 0
    content = json.loads(out.read_text())
    assert content["score"] == round(sum(t["score"] for t in content["tests"]), 2) > 0
    assert len(content["tests"]) == len(exercises())
    for test in content["tests"]:
        assert set(test) == {"name", "number", "score", "max_score", "status", "output", "visibility"}
        assert test["status"] in ("passed", "failed") and 0 <= test["score"] <= test["max_score"]
    assert "not attempted yet; open e01_three_slopes.py" in content["tests"][0]["output"]
    assert "the square is missing" in next(t["output"] for t in content["tests"] if t["name"].startswith(RELU))
    assert "points" in capsys.readouterr().out
    assert command("report", handed_in, "--gradescope", handed_in / "no" / "results.json") == 2


# cells ----------------------------------------------------------------------------------------------------------------


def relu_backward(dy, x):
    return dy * (x > 0)


def tanh_backward(dy, x):
    return dy * (1 - np.tanh(x) ** 2)


def unfinished(dy, x):
    raise NotImplementedError


def test_grade_returns_a_float_and_writes_to_stdout_only(capfd):
    for second, points in ((tanh_backward, 5.0), (unfinished, 10 / 3), (relu_backward, 10 / 3)):
        earned = grade("e19", relu_backward, second, points=5)
        assert type(earned) is float and earned == pytest.approx(points)
    out = capfd.readouterr()
    assert "PASS" in out.out and "TO DO" in out.out and "FAIL" in out.out and out.err == ""


def test_numpy_warnings_of_a_learner_do_not_reach_stderr(capfd):
    def overflowing(z, labels):
        return np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), labels]

    earned = grade("e09", overflowing, lambda dy, z, labels: overflowing(z, labels)[:, None] * z, points=5)
    assert 0 < earned < 5
    assert capfd.readouterr().err == ""


def test_nothing_that_is_written_while_a_cell_is_graded_reaches_stderr(capfd):
    log = logging.Logger("a learner's")
    log.addHandler(logging.StreamHandler(sys.stderr))  # which holds the stream

    def talking(dy, x):
        print("here", file=sys.stderr)
        log.warning("there")
        return relu_backward(dy, x)

    assert grade("e19", talking, tanh_backward, points=5) == 5
    out = capfd.readouterr()
    assert "here" in out.out and "there" in out.out and out.err == ""
    print("again", file=sys.stderr)
    assert capfd.readouterr().err == "again\n"


def test_check_prints_and_returns_none(capsys):
    assert check("e19", relu_backward, tanh_backward) is None
    assert "passed" in capsys.readouterr().out


def test_cells_refuse_what_is_not_the_learners(capsys):
    with pytest.raises(UsageError, match="own function"):
        grade("e11", find("e11").adapters["sgd_step"], points=5)
    with pytest.raises(UsageError, match="2 functions"):
        grade("e19", relu_backward, points=5)
    with pytest.raises(UsageError, match="no exercise"):
        grade("e99", relu_backward, points=5)


# nbgrader -------------------------------------------------------------------------------------------------------------


def notebooks(folder):
    assert command("export", "--nbgrader", folder) == 0
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.ipynb"))}


def test_the_export_has_a_notebook_a_chapter_with_unique_grade_ids(tmp_path):
    made = notebooks(tmp_path / "source")
    assert list(made) == [f"chapter_{c:02}.ipynb" for c in dict.fromkeys(e.chapter for e in exercises().values())]
    cells = [cell for notebook in made.values() for cell in notebook["cells"]]
    marks = [cell["metadata"]["nbgrader"] for cell in cells if "nbgrader" in cell["metadata"]]
    bugs = sum(bool(e.starts) for e in exercises().values())  # nbgrader would put a stub in the place of a bug to find
    assert len({m["grade_id"] for m in marks}) == len(marks) == 2 * len(exercises()) - bugs and bugs == 2
    assert all(m["schema_version"] == 3 for m in marks)
    graded = [m for m in marks if m["grade"]]
    assert sum(m["points"] for m in graded) == sum(e.points for e in exercises().values())
    assert all(m["locked"] and not m["solution"] for m in graded)
    assert command("export", "--nbgrader", tmp_path / "source") == 2  # never overwrites


@pytest.mark.parametrize("version", ["instructor", "student"])
def test_exported_cells_run_and_their_last_value_is_the_grade(tmp_path, version, capfd):
    for notebook in notebooks(tmp_path / version).values():
        space = {}
        for cell in notebook["cells"]:
            text = "".join(cell["source"])
            if cell["cell_type"] != "code":
                continue
            mark = cell["metadata"].get("nbgrader", {})
            if mark.get("grade"):
                *before, last = ast.parse(text).body
                exec(ast.unparse(before), space)
                earned = eval(ast.unparse(last), space)
                bug = find(mark["grade_id"].split("-")[0]).starts
                full = mark["points"] if version == "instructor" and not bug else 0
                assert type(earned) is float
                assert earned == full if full or not bug else earned < mark["points"]
                continue
            exec(_student(text) if version == "student" else text, space)
    assert capfd.readouterr().err == ""


def _student(text):
    """What nbgrader's ClearSolutions makes of a cell."""
    lines, inside = [], False
    for line in text.split("\n"):
        if "### BEGIN SOLUTION" in line:
            inside = True
            lines.append("    raise NotImplementedError()")
        elif "### END SOLUTION" in line:
            inside = False
        elif not inside:
            lines.append(line)
    ast.parse("\n".join(lines))
    return "\n".join(lines)
