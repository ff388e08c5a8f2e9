"""A chapter's source becomes the cells that it stands for, and says what is wrong with it by line."""

import json

import pytest

from tinynet.errors import DataError, UsageError
from tinynet.exercises.exercise import find
from tinynet.notebooks import begin, claim, photo, session
from tinynet.notebooks.source import chapters, read

SOURCE = """\
# question: Why?
# reading: 12
# %% [markdown]
# # A title
#
# Some prose.
# %%
x = 1


# a comment of the code
y = 2
# %% [exercise] e19
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "src").mkdir()

    def write(text, name="03_a_title.py"):
        (tmp_path / "src" / name).write_text(text, encoding="utf-8")
        return tmp_path / "src" / name

    write.root = tmp_path
    return write


def test_cells_are_the_prose_the_code_and_the_exercise_with_what_the_learner_starts_with(folder):
    chapter = read(folder(SOURCE))
    title, code, statement, exercise = chapter.cells
    assert (chapter.number, chapter.title, chapter.question, chapter.reading) == (3, "A title", "Why?", 12)
    assert title.text.startswith("# 3. A title\n\n*Why?*\n\n") and title.text.endswith("\n\nSome prose.")
    assert code == ("code", "x = 1\n\n\n# a comment of the code\ny = 2", None)
    assert find("e19").title in statement.text
    assert exercise.text.endswith('check("e19", relu_backward, tanh_backward)')
    assert "NotImplementedError" in exercise.text and "NotImplementedError" not in exercise.solved


def test_the_last_cell_leads_to_the_next_chapter(folder):
    folder(SOURCE)
    folder(SOURCE.replace("A title", "Another"), "04_another.py")
    first, second = chapters(folder.root)
    assert first.cells[-1].text == "Next: [4. Another](04_another.ipynb). Why?"
    assert "last chapter" in second.cells[-1].text


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# question: Why?\n", "", r"03_a_title.py: a chapter needs `# question: ...` above"),
        ("# # A title", "# A title", "starts with `# # Title`, got 'A title'"),
        ("# Some prose.", "Some prose.", r"03_a_title.py:6: prose is written as comments, got 'Some prose.'"),
        ("e19", "e99", r"03_a_title.py:13: there is no exercise 'e99'"),
        ("[markdown]", "[raw]", r"needs prose in the first cell"),
        ("# %%\nx", "# %% [raw]\nx", r"03_a_title.py:7: a cell is \[markdown\], \[exercise\] eNN or code, not \[raw\]"),
        ("# reading: 12", "reading = 12", r"03_a_title.py:2: expected `# question: ...`"),
        ("# reading: 12", "# reading: soon", r"03_a_title.py: reading and figure are whole numbers; .*'soon'"),
    ],
)
def test_a_fault_of_the_author_is_named_with_its_line(folder, old, new, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(folder(SOURCE.replace(old, new)))


def test_an_unknown_chapter_is_named_with_those_there_are(folder):
    folder(SOURCE)
    with pytest.raises(UsageError, match="there is no chapter 7; expected one of 3"):
        chapters(folder.root, [7])


def test_a_claim_that_does_not_hold_stops_the_chapter(capsys):
    begin(3)
    claim("two is two", True)
    with pytest.raises(AssertionError, match="this does not hold here: one is two"):
        claim("one is two", False)
    with pytest.raises(TypeError, match="expected True or False beside the sentence, got int"):
        claim("a number is no verdict", 1)
    session.outcome()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["claims"] == ["two is two"]


def test_the_generator_is_seeded_by_the_chapter(capsys):
    assert begin(3).random() == begin(3).random() != begin(4).random()


def test_the_photograph_is_matplotlibs_or_of_the_readers_folder(tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.delenv("TINYNET_DATA", raising=False)
    assert photo(64).shape == (3, 64, 64)
    Image.new("RGB", (90, 60), (200, 10, 30)).save(tmp_path / "one.png")
    monkeypatch.setenv("TINYNET_DATA", str(tmp_path))
    assert (photo(32) == [[[200]], [[10]], [[30]]]).all()
    (tmp_path / "one.png").unlink()
    with pytest.raises(DataError, match="holds no pictures; name a folder that does"):
        photo()
