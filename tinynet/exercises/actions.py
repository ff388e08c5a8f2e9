"""The commands, one function each: from parsed options to an exit code."""

import json
import shutil
from difflib import get_close_matches
from pathlib import Path

from tinynet.errors import UsageError
from tinynet.exercises import book, notebook, screen, steps, watch
from tinynet.exercises import report as reports
from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.screen import COMMAND, paint, say
from tinynet.exercises.words import listed, plural
from tinynet.exercises.workspace import STATE, Workspace

SKELETON = Path(book.__file__).with_name("skeleton.py")


def bare():
    """Where the learner stands, and what to type next."""
    say(screen.welcome(Workspace.open()) if Path(STATE).exists() else screen.doorstep())
    return 0


def init(options):
    if options.update:
        folder = options.folder or "."
        workspace = Workspace.open(folder) if (Path(folder) / STATE).exists() else Workspace.at(folder)
        new, renewed, kept = workspace.update()
        counts = f"{plural(len(new), 'exercise')} added, {plural(len(renewed), 'unedited file')} renewed"
        say(f"{counts}, {len(kept)} that you have edited left alone")
        for exercise in new:
            say(f"  new: {exercise.name}  {exercise.title}")
        return 0
    workspace = Workspace.init(options.folder or "tinynet-exercises")
    say(f"{plural(len(exercises()), 'exercise')} are in {workspace.folder.resolve()}")
    say()
    say(f"  cd {workspace.folder}")
    say(f"  {COMMAND} watch")
    return 0


def show_list(options):
    workspace = Workspace.open()
    if not options.json:
        say(screen.table(workspace))
        return 0
    facts = [
        {"name": e.name, "title": e.title, "chapter": e.chapter, "minutes": e.minutes, "difficulty": e.difficulty,
         "state": workspace.state(e), "hints_used": workspace.of(e).get("hints", 0),
         "path": str(workspace.path(e).resolve())}
        for e in exercises().values()
    ]  # fmt: skip
    say(json.dumps({"schema": 1, "exercises": facts}, indent=1))
    return 0


def check(options):
    workspace = Workspace.open()
    _positive("--timeout", options.timeout)
    chosen = [_find(name) for name in dict.fromkeys(options.names)] or list(exercises().values())
    verdicts = []
    for exercise, verdict in steps.judge_all(chosen, workspace, limit=options.timeout):
        workspace.note(exercise, verdict)
        verdicts.append(verdict)
        full = verdict.state not in ("pass", "unattempted") or len(chosen) == 1
        say(screen.report(exercise, workspace.path(exercise), verdict) if full else screen.short_report(exercise, verdict))
        if verdict.state not in ("pass", "unattempted") or (full and verdict.state == "unattempted"):
            say(paint(f"  hint: {COMMAND} hint {exercise.short}", "dim"))
    workspace.save()
    if len(chosen) > 1:
        say()
        say(screen.progress(*screen.count(workspace)))
    states = {v.state for v in verdicts}
    return 1 if states & {"fail", "inconclusive"} else 3 if "unattempted" in states else 0


def watching(options):
    workspace = Workspace.open()
    exercise = _find(options.name) if options.name else None
    watch.watch(workspace, exercise, options.manual)
    return 0


def hint(options):
    workspace, exercise = Workspace.open(), _find(options.name)
    say("\n".join(steps.next_hint(workspace, exercise)))
    return 0


def reset(options):
    workspace, exercise = Workspace.open(), _find(options.name)
    if not options.yes:
        question = f"put {exercise.name} back to its beginning? yours is kept as a .bak file [y/N] "
        try:
            answer = input(question)
        except EOFError:
            say()
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            say("nothing was changed; --yes does it without asking")
            return 0
    say("\n".join(steps.reset_lines(workspace, exercise)))
    return 0


def solution(options):
    workspace, exercise = Workspace.open(), _find(options.name)
    say("\n".join(steps.solution_lines(workspace, exercise, options.give_up)))
    return 0 if options.give_up or steps.may_see(workspace, exercise) else 1


def trial(options):
    workspace, exercise = Workspace.open(), _find(options.name)
    _positive("--steps", options.steps)
    if exercise.place is None:
        raise UsageError(steps.no_place(exercise))
    return steps.try_it(workspace, exercise, options.steps)


def report(options):
    seed = reports.seed_from(options.seed_file)
    workspace = Workspace.at(options.folder)
    judged_all = list(steps.judge_all(list(exercises().values()), workspace, seed))
    content = reports.record(judged_all, workspace)
    if options.gradescope:
        reports.write_json(options.gradescope, reports.gradescope(judged_all, workspace))
    if options.json:
        say(json.dumps(content, indent=1, allow_nan=False))
        return 0
    for exercise, verdict in judged_all:
        say(screen.short_report(exercise, verdict))
    say()
    same = [e["name"] for e in content["exercises"] if e["same_for_everybody"]]
    if options.seed_file and same:
        screen.tell(f"same for everybody, since nothing is drawn there: {listed(same)}")
    say(
        f"{content['points']:g} of {content['max']:g} points"
        + (f", written to {options.gradescope}" if options.gradescope else "")
    )
    return 0


def export(options):
    for path in notebook.export(options.nbgrader, reports.seed_from(options.seed_file)):
        say(path)
    return 0


def dev(options):
    from tinynet.exercises.proofs import PROOFS

    if options.what == "new":
        return _new(options.names)
    failed = 0
    for exercise in [_find(name) for name in options.names] or exercises().values():
        for proof in PROOFS:
            try:
                proof(exercise)
            except Exception as error:
                failed += 1
                say(f"{paint('FAIL', 'red')}  {exercise.name}: {proof.__name__.replace('_', ' ')}: {error}")
        say(f"{paint('done', 'dim')}  {exercise.name}: {len(exercise.checks)} checks, {len(exercise.mistakes)} mistakes")
    say(f"{plural(failed, 'proof')} failed" if failed else paint("all proofs hold", "green"))
    return 1 if failed else 0


def _new(names):
    for name in names:
        path = Path(name).with_suffix(".py")
        if path.exists():
            raise UsageError(f"{path} exists already and it will not be overwritten; choose another name")
        shutil.copyfile(SKELETON, path)
        say(f"{path}; it belongs into tinynet/exercises/book/")
    if not names:
        raise UsageError("dev new: give a name such as e43_average_pool")
    return 0


def _find(word):
    try:
        return find(word)
    except KeyError:
        near = get_close_matches(word, [*exercises(), *(e.short for e in exercises().values())], 1, 0.4)
        guess = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"there is no exercise {word!r}; {guess}{COMMAND} list shows all") from None


def _positive(flag, value):
    if value is not None and not 0 < value < float("inf"):
        raise UsageError(f"{flag} {value:g} makes no sense; give a number above 0")
