"""A class with the real nbgrader: what students see, and what right, wrong and dishonest submissions earn."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from learners import environment

from tinynet.exercises.exercise import find
from tinynet.exercises.notebook import export

pytest.importorskip("nbgrader", reason="nbgrader is not installed; for these tests: pip install nbgrader==0.9.6")
from nbgrader.api import Gradebook

CHAPTER = "chapter_09.ipynb"  # e27, e28, and e29, a bug to find
SEED = 123456789


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with one assignment of one chapter, released."""
    root = tmp_path_factory.mktemp("course")
    export(root / "source" / "ps1", seed=SEED)
    for path in (root / "source" / "ps1").glob("*.ipynb"):
        if path.name != CHAPTER:
            path.unlink()
    (root / "nbgrader_config.py").write_text('c = get_config()\nc.CourseDirectory.course_id = "alexnet"\n')
    nbgrader(root, "generate_assignment", "ps1")
    return root


def nbgrader(root, *arguments):
    command = [sys.executable, "-m", "nbgrader", *arguments]
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])  # nbgrader calls alembic
    home = environment(HOME=str(root), PATH=path, JUPYTER_PLATFORM_DIRS="0", IPYTHONDIR=str(root / "ipython"))
    done = subprocess.run(command, cwd=root, env=home, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def released(root):
    return json.loads((root / "release" / "ps1" / CHAPTER).read_text())


def source(notebook, name):
    return next("".join(cell["source"]) for cell in notebook["cells"] if cell["id"] == name or name in str(cell["metadata"]))


def answered(root, **answers):
    """The released notebook with these texts in the answer cells, by number of the exercise."""
    notebook = released(root)
    texts = [find(name) for name in answers]
    for exercise in texts:
        first = next(i for i, cell in enumerate(notebook["cells"]) if f"## {exercise.short}:" in "".join(cell["source"]))
        notebook["cells"][first + 1]["source"] = answers[exercise.short]
    return notebook


def right(name):
    return find(name).answer


def test_students_see_the_bug_the_stubs_and_no_seed(course):
    text = json.dumps(released(course))
    assert str(SEED) not in text and "HIDDEN" not in text and "BEGIN SOLUTION" not in text
    cells = ["".join(cell["source"]) for cell in released(course)["cells"]]
    assert any("batch = np.empty_like(images)" in cell for cell in cells), "the bug that is to be found"
    assert sum("raise NotImplementedError()" in cell for cell in cells) == 2


def test_submissions_earn_what_they_are_worth(course):
    loud = "import sys\nreally = prepare\ndef prepare(*a):\n    sys.stderr.write('x')\n    return really(*a)\n"
    points = {name: find(name).points for name in ("e27", "e28", "e29")}
    submissions = {
        "right": answered(course, **{name: right(name) for name in points}),
        "stub": answered(course),
        "talking": answered(course, e29=f"{right('e29')}\n\n{loud}"),
        "shadow": answered(course, e28="grade = lambda *a, points, **k: points\n" + right("e28").replace("mean", "max")),
    }
    for student, notebook in submissions.items():
        folder = course / "submitted" / student / "ps1"
        folder.mkdir(parents=True)
        (folder / CHAPTER).write_text(json.dumps(notebook))
    nbgrader(course, "autograde", "ps1")
    with Gradebook(f"sqlite:///{course}/gradebook.db") as book:
        scores = {student: book.find_submission("ps1", student).score for student in submissions}
    assert scores["right"] == sum(points.values())
    assert scores["stub"] == 0
    assert scores["talking"] == points["e29"]
    assert scores["shadow"] < points["e28"]
    graded = (course / "autograded" / "right" / "ps1" / CHAPTER).read_text()
    assert f"seed = {SEED}" in graded, "graded with the hidden variant"
    shutil.rmtree(course / "autograded")
