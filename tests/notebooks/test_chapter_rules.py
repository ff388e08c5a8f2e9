"""Every rule of a chapter fails for a notebook that breaks it, and a notebook that keeps them all passes."""

import os
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

nbformat = pytest.importorskip("nbformat", reason="chapters want jupyter: pip install -e '.[notebooks]'")
pytest.importorskip("nbclient", reason="chapters want jupyter: pip install -e '.[notebooks]'")

import tinynet  # noqa: E402
from tinynet.notebooks import build  # noqa: E402
from tinynet.notebooks.__main__ import main  # noqa: E402
from tinynet.notebooks.source import chapters  # noqa: E402

SOURCE = """\
# question: Why?
# reading: 1
# %% [markdown]
# # A title
# %%
from tinynet.notebooks import begin, claim

rng = begin(1)
claim("one is one", True)
# %%
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()
# %% [markdown]
# **Figure.** A line that rises.
# %% [exercise] e14
"""


def write(folder, source=SOURCE):
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "01_a_title.py").write_text(source, encoding="utf-8")
    return chapters(folder)[0]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The bytes of a built notebook; building takes two seconds."""
    folder = tmp_path_factory.mktemp("chapter")
    write(folder)
    assert main(["build", "--folder", str(folder)]) == 0
    return (folder / "01_a_title.ipynb").read_bytes()


@pytest.fixture
def chapter(tmp_path, built):
    (tmp_path / "01_a_title.ipynb").write_bytes(built)
    (tmp_path / "thumbnails").mkdir()
    (tmp_path / "thumbnails" / "01.png").touch()
    return write(tmp_path)


def test_a_built_chapter_keeps_the_rules_and_is_the_same_when_built_again(chapter, built):
    assert build.broken_rules(chapter) == []
    assert main(["build", "--folder", str(chapter.path.parents[1])]) == 0
    assert chapter.notebook.read_bytes() == built


def test_check_holds_as_shipped_and_solved(chapter, capsys):
    assert main(["check", "--folder", str(chapter.path.parents[1])]) == 0
    assert "holds: 1 claims, 1 exercises" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('claim("one is one", True)', "", "claims nothing"),
        ('"one is one", True', '"one is two", False', "AssertionError: this does not hold here: one is two"),
        ("plt.show()", "plt.show()\nimport sys\nprint('oh', file=sys.stderr)", "wrote to standard error: oh"),
        ("**Figure.** A line that rises.", "A line.", "says what is to be seen"),
        ("plt.plot([1, 2])", "plt.figure(figsize=(9, 9))\nplt.imshow(rng.random((900, 900, 3)))", "a figure of"),
        ("plt.show()", "plt.show()\nopen('left.txt', 'w').close()", "leaves left.txt behind"),
        ("plt.show()", "plt.show()\n1 / 0", "ZeroDivisionError"),
        ("# reading: 1\n", "# reading: 1\n# figure: 2\n", "its picture is to be its figure 2, and it draws 1"),
        ("plt.show()", "plt.show()\nimport os\nos._exit(1)", "died"),
        ("# %% [exercise]", "# %%\nimport tinynet.exercises as e\ne.check = print\n# %% [exercise]", "e14 as it starts"),
    ],
)  # fmt: skip
def test_a_chapter_that_breaks_a_rule_fails_its_check(tmp_path, capsys, old, new, sentence):
    write(tmp_path, SOURCE.replace(old, new))
    main(["build", "--folder", str(tmp_path)])
    (tmp_path / "left.txt").unlink(missing_ok=True)
    capsys.readouterr()
    assert main(["check", "--folder", str(tmp_path)]) == 1
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda nb: nb.cells[1].update(source="other = 1"), "its cells are not those of src/01_a_title.py"),
        (lambda nb: nb.cells[1].update(id="random"), "its cells are not those of src/01_a_title.py"),
        (lambda nb: nb.cells[1].update(execution_count=7), "not executed once each from top to bottom"),
        (lambda nb: nb.metadata.update(tinynet="0.0.0"), "its metadata are"),
        (lambda nb: nb.metadata.update(widgets={}), "its metadata are"),
        (lambda nb: nb.cells[1].metadata.update(execution={}), "a cell has no metadata"),
        (lambda nb: nb.cells[1].outputs[0].update(text="x" * 1_100_000), "bytes, at most 1,000,000 are allowed"),
        (
            lambda nb: nb.cells[1].outputs.append(
                nbformat.v4.new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}})
            ),
            "is not shown on GitHub",
        ),
    ],
)
def test_a_notebook_that_was_changed_by_hand_breaks_a_rule(chapter, change, sentence):
    notebook = nbformat.read(chapter.notebook, as_version=4)
    change(notebook)
    chapter.notebook.write_text(nbformat.writes(notebook), encoding="utf-8")
    assert any(sentence in fault for fault in build.broken_rules(chapter))


def test_a_chapter_runs_on_two_threads_whatever_the_machine_has(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    two = 'claim("two", [os.environ[n] for n in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")] == ["2", "2"])'
    chapter = write(tmp_path, SOURCE.replace("rng = begin(1)\n", f"import os\n\nrng = begin(1)\n{two}\n"))
    assert build.run(chapter).error is None
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_without_the_repository_one_sentence_says_where_the_chapters_are(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tinynet, "__file__", str(tmp_path / "tinynet" / "__init__.py"))
    assert main([]) == 2
    assert "they are in tinynet's repository, not in the installed package" in capsys.readouterr().err


def test_a_missing_picture_of_a_chapter_is_a_fault_and_building_draws_it_small(chapter):
    chapter.thumbnail.unlink()
    assert any("thumbnails/01.png is missing" in fault for fault in build.broken_rules(chapter))
    build.write(chapter, nbformat.read(chapter.notebook, as_version=4))
    with Image.open(chapter.thumbnail) as picture:
        assert max(picture.width / 280, picture.height / 160) == 1


def test_an_error_leaves_the_notebook_as_it_was(chapter, built):
    write(chapter.path.parents[1], SOURCE.replace("plt.show()", "1 / 0"))
    assert main(["build", "--folder", str(chapter.path.parents[1])]) == 1
    assert chapter.notebook.read_bytes() == built


def test_ctrl_c_ends_the_kernel_and_leaves_the_notebook_as_it_was(chapter, built):
    folder = chapter.path.parents[1]
    wait = "import os, pathlib, time\n\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(120)\n"
    write(folder, SOURCE.replace("import matplotlib.pyplot as plt\n", f"{wait}import matplotlib.pyplot as plt\n"))
    command = [sys.executable, "-m", "tinynet.notebooks", "build", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while not (folder / "pid").exists() or not (folder / "pid").read_text():
            assert running.poll() is None
            time.sleep(0.1)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert said == "\nstopped; notebooks that were not finished are as they were\n"
    assert chapter.notebook.read_bytes() == built
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)


def test_without_jupyter_one_sentence_says_what_to_install(chapter):
    program = "import sys; sys.modules['nbformat'] = None; from tinynet.notebooks.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "check", "--folder", str(chapter.path.parents[1])]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr == 'tinynet.notebooks: nbformat is missing; chapters want: pip install -e ".[notebooks]"\n'


def test_the_table_names_every_chapter_with_its_question(chapter, capsys):
    assert main(["--folder", str(chapter.path.parents[1])]) == 0
    assert "A title" in (out := capsys.readouterr().out) and "Why?" in out and "jupyter lab" in out
