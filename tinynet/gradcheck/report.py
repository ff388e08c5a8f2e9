"""What a check found, as numbers and as a text that a student can act on."""

import textwrap
from dataclasses import dataclass, field

import numpy as np

from tinynet import html

_TALL, _WIDE = 8, 16  # the largest slice that is drawn


@dataclass(repr=False)
class Result:
    """What was found about one gradient.

    status: "pass", "fail" or "inconclusive"; reason says in one sentence why, hints what the cause may be, likeliest first.
    index, analytic, numeric: the worst entry and its two values (None where there is nothing to compare); rel: their
    difference over the largest numeric value of this argument. checked, wrong, kinks: how many entries were compared,
    how many of them differ, and how many more were left out because the function has a kink there. noise: the largest
    rounding error that a numeric value may have. worst: (index, analytic, numeric, rel) of the worst few entries.
    known: where no hint could be given, what is known. picture: lines of text that show where the wrong entries are.
    """

    op: str
    name: str
    status: str
    reason: str
    index: tuple | None = None
    analytic: float | None = None
    numeric: float | None = None
    rel: float = float("inf")
    checked: int = 0
    size: int = 0
    wrong: int = 0
    kinks: int = 0
    noise: float = 0.0
    hints: list[str] = field(default_factory=list)
    worst: list[tuple] = field(default_factory=list)
    known: str = ""
    picture: list[str] = field(default_factory=list)
    title: str = ""

    def __post_init__(self):
        self.title = self.title or f"d {self.op} / d {self.name}"

    def __str__(self):
        lines = [f"{self.status.upper():12}  {self.title}   {self.reason}"]
        if self.status != "pass" and self.worst:
            lines.append(f"{'':14}{'index':20}{'analytic':>16}{'numeric':>16}{'rel err':>10}")
            for index, analytic, numeric, rel in self.worst:
                lines.append(f"{'':14}{index!s:20}{analytic:16.8g}{numeric:16.8g}{rel:10.1e}")
        lines += [f"{'':14}hint: {hint}" for hint in self.hints]
        lines += [f"{'':14}{line}" for line in textwrap.wrap(self.known, 96)]
        lines += [f"{'':14}{line}" for line in self.picture]
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def _repr_html_(self):
        parts = [html.line(self.status.upper(), self.title, self.reason, alarm=self.status == "fail")]
        if self.status != "pass" and self.worst:
            rows = [(str(i), f"{a:.8g}", f"{n:.8g}", f"{rel:.1e}") for i, a, n, rel in self.worst]
            parts.append(html.table(("index", "analytic", "numeric", "rel err"), rows, "lrrr"))
        parts += [
            html.line("", "", text) for text in [f"hint: {hint}" for hint in self.hints] + [self.known] * bool(self.known)
        ]
        return "".join([*parts, html.picture(self.picture) if self.picture else ""])


class Report(list):
    """The results of one check; `print(report)` shows them all, and it is true if each of them is a pass.

    taylor, slopes: of `directional_check`, the (t, remainder) arrays of each direction and the exponents read from them.
    """

    def __init__(self, results, heading, taylor=(), slopes=()):
        super().__init__(results)
        self.heading, self.taylor, self.slopes = heading, list(taylor), list(slopes)

    @property
    def status(self):
        """The worst of the results' statuses: "fail" before "inconclusive" before "pass"."""
        return max((r.status for r in self), key=["pass", "inconclusive", "fail"].index, default="inconclusive")

    def __bool__(self):
        return self.status == "pass"

    def __str__(self):
        return "\n".join([self.heading, *("  " + line for r in self for line in str(r).splitlines())])

    __repr__ = __str__

    def _repr_html_(self):
        return html.line("", self.heading, "") + "".join(result._repr_html_() for result in self)


class GradientError(AssertionError):
    """A gradient that is wrong or could not be judged; its text is the report, `results` holds the numbers."""

    def __init__(self, results):
        super().__init__(str(results))
        self.results = results


def demand(report):
    """The report, if every result of it is a pass; raises GradientError otherwise."""
    if not report:
        raise GradientError(report)
    return report


def first_bad(array):
    """The first entry of an array that is not finite, and where it is, as text."""
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
    return f"{array[index]} at {index}"


def draw(name, shape, index, marks):
    """The slice through `index` along the last two axes, as lines of text.

    marks: {index: "#", "." or "k"} for wrong, right and kink; entries that were not checked are blank.
    """
    seen = [[marks.get(i, " ") for i in row] for row in _rows(shape, index)]
    axes = [*map(str, index[:-2]), *(":" if len(r) == n else f"{r.start}:{r.stop}" for r, n in _windows(shape, index))]
    key = {"#": "# wrong", ".": ". right", "k": "k kink", " ": "blank: not checked"}
    used = [text for mark, text in key.items() if any(mark in row for row in seen)]
    return [f"{name}[{', '.join(axes)}]   {', '.join(used)}", *("  " + " ".join(row) for row in seen)]


def around(shape, index):
    """The indices that `draw` shows for this index."""
    return [i for row in _rows(shape, index) for i in row]


def _rows(shape, index):
    *rows, columns = [r for r, _ in _windows(shape, index)] or [()]
    lead = index[:-2]
    return [[(*lead, i, j) for j in columns] for i in rows[0]] if rows else [[(j,) for j in columns] or [()]]


def _windows(shape, index):
    """(the range that is shown, the length) of the last two axes, or of the only one."""
    windows = []
    for i, n, most in zip(index[-2:], shape[-2:], (_TALL, _WIDE)[-len(shape) :], strict=False):
        start = min(max(i - most // 2, 0), max(n - most, 0))
        windows.append((range(start, min(start + most, n)), n))
    return windows
