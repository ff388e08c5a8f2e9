"""What the learner sees: reports, lists and a line of progress, in colour where there is a terminal that has it."""

import os
import re
import shutil
import sys
import textwrap
from pathlib import Path

import tinynet
from tinynet.exercises.exercise import exercises
from tinynet.exercises.words import listed

COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "36"}
MARKS = {
    "pass": ("green", "PASS"),
    "fail": ("red", "FAIL"),
    "inconclusive": ("yellow", "UNSURE"),
    "unattempted": ("dim", "TO DO"),
    "gave_up": ("yellow", "SHOWN"),
}
WORDS = {"pass": "done", "fail": "tried", "inconclusive": "tried", "unattempted": "new", "gave_up": "gave up"}
COMMAND = "python -m tinynet.exercises"


def colourful(stream):
    """Whether a stream is a terminal that shows colours, and the user has not asked for none (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text, colour):
    """The text in a colour, or as it is where there are none."""
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if colourful(sys.stdout) else text


def plain(text):
    """The text without colours, for files."""
    return re.sub(r"\x1b\[\d+m", "", text)


def say(text="", **how):
    """print, at once."""
    print(text, flush=True, **how)


def tell(text, colour=None):
    """Print a sentence, broken where the terminal ends."""
    say("\n".join(wrap(text, colour=colour)))


def passing_words(text, on="dim"):
    """Show a line for as long as something runs: only in a terminal."""
    if sys.stdout.isatty():
        say(paint(text, on), end="\r")


def clear_line():
    """Take away what `passing_words` showed."""
    if sys.stdout.isatty():
        say(" " * (width() - 1), end="\r")


def width():
    """Columns to write in."""
    return max(40, min(shutil.get_terminal_size().columns, 120))


def progress(done, total):
    """A bar: `[########............] 12 of 42`."""
    size = min(40, width() - 16)
    full = round(size * done / total) if total else 0
    solid, hollow = ("█", "░") if _unicode() else ("#", ".")
    return f"{paint(solid * full, 'green')}{paint(hollow * (size - full), 'dim')}  {done} of {total} done"


def _unicode():
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def report(exercise, path, verdict):
    """The judgement of one exercise, in full."""
    head = f"{paint(exercise.name, 'bold')}   {path}" + (
        f"  {paint(f'({verdict.sha256[:6]})', 'dim')}" if verdict.sha256 else ""
    )
    lines = [head]
    if verdict.state == "unattempted" and (verdict.untouched or not verdict.findings):
        task = f"not attempted yet; open {Path(path).name} and {_task(exercise)}"
        if not verdict.findings:
            return "\n".join([*lines, *_entry("unattempted", verdict.sentence or task)])
        lines += _entry("unattempted", task)
    told = set()
    for finding in verdict.findings:
        lines += _entry(finding.state, finding.name)
        for i, line in enumerate(finding.lines):
            table = "  " in line  # and code is left alone as well
            lines += [" " * 10 + line] if table else wrap(line, 10, None if i else "red")
        if finding.hint:
            lines += wrap(f"likely cause: {'as above' if finding.hint in told else finding.hint}", 10, "yellow")
            told.add(finding.hint)
    if verdict.sentence:
        lines += _entry("fail", verdict.sentence, "red")
    if verdict.printed:
        lines.append(paint("  your code printed:", "dim"))
        lines += [paint(f"    {line}", "dim") for line in verdict.printed]
    return "\n".join([*lines, _outcome(exercise, verdict)])


def _outcome(exercise, verdict):
    total = len(exercise.checks)
    if verdict.state == "pass":
        lines = [paint(f"  passed: all {total} public checks in {verdict.seconds:.1f} s", "green")]
        if exercise.compare:
            lines.append(paint(f"  compare with {Path(tinynet.__file__).parents[1] / exercise.compare}", "dim"))
        if exercise.place:
            lines.append(paint(f"  train AlexNet with it: {COMMAND} try {exercise.short}", "dim"))
        return "\n".join(lines)
    if verdict.untouched:
        return f"  {verdict.passed} of {total} checks pass as it stands"
    if verdict.state == "unattempted":
        return f"  {verdict.passed} of {total} checks passed; the rest is not attempted yet"
    if verdict.sentence:
        return paint(f"  not judged to the end: {verdict.passed} of {total} checks passed", "red")
    return paint(f"  {verdict.passed} of {total} checks passed", "red")


def _task(exercise):
    """What there is to do, as part of a sentence."""
    bugs, others = list(exercise.starts), [name for name in exercise.functions if name not in exercise.starts]
    parts = [f"find the {'bug' if len(bugs) == 1 else 'bugs'} in {listed(bugs)}"] if bugs else []
    return " and ".join([*parts, f"write {listed(others)}"] if others else parts)


def _marked(state, text):
    colour, word = MARKS[state]
    return f"  {paint(f'{word:6}', colour)}  {text}"


def _entry(state, text, colour=None):
    """A mark, and beside it a text of as many lines as the terminal needs."""
    first, *rest = wrap(text, 10, colour)
    return [_marked(state, first.strip()), *rest]


def wrap(text, indent=0, colour=None):
    """Lines of a sentence that fit the terminal."""
    lines = textwrap.wrap(text, width() - indent, break_long_words=False) or [""]
    return [" " * indent + (paint(line, colour) if colour else line) for line in lines]


def short_report(exercise, verdict):
    """The judgement of one exercise, as one line."""
    facts = (
        ""
        if verdict.state == "unattempted"
        else f"{verdict.passed} of {len(exercise.checks)} checks, {verdict.seconds:.1f} s"
    )
    return _marked(verdict.state, f"{exercise.name:34}{paint(facts, 'dim')}".rstrip())


def table(workspace):
    """All exercises by chapter, with how each stands."""
    lines, chapter = [], None
    current = workspace.current()
    for exercise in exercises().values():
        if exercise.chapter != chapter:
            chapter = exercise.chapter
            lines.append(paint(f"chapter {chapter}", "bold"))
        state = workspace.state(exercise)
        here = paint(">", "blue") if exercise is current else " "
        facts = f"{exercise.minutes:3} min  {'*' * exercise.difficulty:5}"
        word = paint(f"{WORDS[state]:8}", MARKS[state][0])
        lines.append(f"{here} {word} {exercise.name:28} {paint(facts, 'dim')}  {_cut(exercise.title, 56)}")
    return "\n".join([*lines, "", progress(*count(workspace))])


def _cut(text, used):
    """The text, or in a terminal as much of it as there are columns left."""
    room = shutil.get_terminal_size().columns - used
    return text if len(text) <= room or not sys.stdout.isatty() else text[: max(room - 3, 0)] + "..."


def count(workspace):
    """(exercises that are done, exercises)."""
    states = [workspace.state(e) for e in exercises().values()]
    return sum(s in ("pass", "gave_up") for s in states), len(states)


def welcome(workspace):
    """What the bare command shows inside of a folder of exercises."""
    current = workspace.current()
    lines = [progress(*count(workspace)), ""]
    if current is None:
        return "\n".join([*lines, "All exercises are done.", "", f"  {COMMAND} list", f"  {COMMAND} try NAME"])
    lines += [
        f"{paint(current.name, 'bold')}  {current.title}",
        f"  chapter {current.chapter}, about {current.minutes} minutes, difficulty {current.difficulty} of 5",
        f"  {workspace.path(current).resolve()}",
        "",
        f"  {COMMAND} watch" + paint("       judges every save", "dim"),
        f"  {COMMAND} check {current.short}" + paint("   judges it once", "dim"),
        f"  {COMMAND} hint {current.short}" + paint("    a hint", "dim"),
        f"  {COMMAND} list" + paint("        all exercises", "dim"),
    ]
    return "\n".join(lines)


def doorstep():
    """What the bare command shows where there are no exercises."""
    everything = exercises().values()
    hours = sum(e.minutes for e in everything) / 60
    return "\n".join(
        [
            f"{paint('tinynet exercises', 'bold')}: write the pieces of AlexNet yourself, and learn whether they are right.",
            f"{len(everything)} exercises, about {hours:.0f} hours in all.",
            "",
            f"  {COMMAND} init DIR" + paint("   writes them into a folder of yours", "dim"),
            f"  {COMMAND} --help" + paint("     all commands", "dim"),
        ]
    )
