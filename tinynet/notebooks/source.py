"""A chapter's source: plain Python in the percent format, and the cells that it stands for."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tinynet.errors import UsageError
from tinynet.exercises.exercise import Exercise, find
from tinynet.exercises.notebook import cell_text

_MARK = re.compile(r"^# %%(?: \[(\w+)\](?: (\w+))?)?$")


class Cell(NamedTuple):
    """A cell of the notebook; `solved` is its text with the exercise done, where it is one."""

    kind: str  # "markdown" or "code"
    text: str
    solved: str | None = None


@dataclass
class Chapter:
    path: Path  # the source
    number: int
    title: str
    question: str
    reading: int  # minutes
    figure: int  # which of its figures stands for it, from 1
    exercises: list[Exercise]
    cells: list[Cell]

    @property
    def notebook(self) -> Path:
        return self.path.parent.parent / f"{self.path.stem}.ipynb"

    @property
    def thumbnail(self) -> Path:
        return self.notebook.parent / "thumbnails" / f"{self.number:02}.png"

    @property
    def minutes(self) -> int:
        """To do its exercises."""
        return sum(exercise.minutes for exercise in self.exercises)


def chapters(folder: Path, numbers=()) -> list[Chapter]:
    """The chapters of a folder, or those of the given numbers, in order; raises UsageError for a number it lacks."""
    paths = sorted((folder / "src").glob("[0-9][0-9]_*.py"))
    have = [int(path.name[:2]) for path in paths]
    for number in numbers:
        if number not in have:
            raise UsageError(f"there is no chapter {number}; expected one of {', '.join(map(str, have))}")
    parsed = [read(path) for path in paths]
    for this, following in zip(parsed, [*parsed[1:], None], strict=True):
        this.cells.append(Cell("markdown", _next(following)))
    return [chapter for chapter in parsed if not numbers or chapter.number in numbers]


def read(path: Path) -> Chapter:
    """Parse one source; raises UsageError, with the line, for what is no chapter."""
    facts: dict[str, str] = {}
    parts: list[tuple[str, str | None, int, list[str]]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        mark = _MARK.match(line)
        if mark:
            parts.append((mark[1] or "code", mark[2], number, []))
        elif parts:
            parts[-1][3].append(line)
        elif fact := re.match(r"^# (\w+): (.+)$", line):
            facts[fact[1]] = fact[2]
        elif line.strip():
            raise UsageError(f"{path.name}:{number}: expected `# question: ...` or `# reading: ...` above the first cell")
    missing = [name for name in ("question", "reading") if name not in facts]
    if missing or not parts or parts[0][0] != "markdown":
        wanted = f"`# {missing[0]}: ...` above the first cell" if missing else "prose in the first cell"
        raise UsageError(f"{path.name}: a chapter needs {wanted}")

    exercises, cells = [], []
    for kind, name, number, lines in parts:
        if kind == "exercise":
            try:
                exercises.append(find(name))
            except KeyError:
                raise UsageError(f"{path.name}:{number}: there is no exercise {name!r}") from None
            cells += _exercise(exercises[-1])
        elif kind == "markdown":
            cells.append(Cell("markdown", _prose(path, number, lines)))
        elif kind == "code":
            cells.append(Cell("code", "\n".join(lines).strip("\n")))
        else:
            raise UsageError(f"{path.name}:{number}: a cell is [markdown], [exercise] eNN or code, not [{kind}]")
    head, _, rest = cells[0].text.partition("\n")
    if not head.startswith("# "):
        raise UsageError(f"{path.name}: the first cell starts with `# # Title`, got {head!r}")
    try:
        reading, figure = int(facts["reading"]), int(facts.get("figure", 1))
    except ValueError as error:
        raise UsageError(f"{path.name}: reading and figure are whole numbers; {error}") from None
    chapter = Chapter(path, int(path.name[:2]), head[2:], facts["question"], reading, figure, exercises, cells)
    cells[0] = Cell("markdown", f"# {chapter.number}. {chapter.title}\n\n{_times(chapter)}\n\n{rest.strip()}")
    return chapter


def _prose(path, number, lines):
    for offset, line in enumerate(lines, 1):
        if line.strip() and not re.match("^#( |$)", line):
            raise UsageError(f"{path.name}:{number + offset}: prose is written as comments, got {line!r}")
    return "\n".join(line[2:] for line in lines).strip("\n")


def _exercise(exercise):
    statement = f"### Exercise {exercise.short}: {exercise.title}\n\n{exercise.statement}"
    call = f'from tinynet.exercises import check\n\ncheck("{exercise.short}", {", ".join(exercise.functions)})'
    texts = [f"{cell_text(exercise, solved)}\n\n\n{call}" for solved in (False, True)]
    return [Cell("markdown", statement), Cell("code", *texts)]


def _times(chapter):
    text = f"*{chapter.question}*\n\nAbout {chapter.reading} minutes to read and run"
    if chapter.exercises:
        names = [exercise.short for exercise in chapter.exercises]
        which = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        text += f"; exercises {which}, about {chapter.minutes} minutes more, are judged here in the notebook"
    return text + "."


def _next(chapter):
    if chapter is None:
        return "This was the last chapter. `python alexnet.py --data DIR` is yours."
    return f"Next: [{chapter.number}. {chapter.title}]({chapter.notebook.name}). {chapter.question}"
