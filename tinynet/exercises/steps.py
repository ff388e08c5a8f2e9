"""What commands and the keys of `watch` do alike: judge, hint, reset, show a solution, train AlexNet."""

import os
from concurrent.futures import ThreadPoolExecutor

from tinynet.exercises import screen
from tinynet.exercises.exercise import exercises
from tinynet.exercises.runner import end_all, judge_file, spawn
from tinynet.exercises.screen import COMMAND, paint, say


def judge_all(chosen, workspace, seed=0, limit=None):
    """(exercise, verdict) of each in turn; a few are judged at a time."""
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))
    verdicts = [pool.submit(judge_file, e, workspace.path(e), seed, limit) for e in chosen]
    try:
        for exercise, verdict in zip(chosen, verdicts, strict=True):
            screen.passing_words(f"checking {exercise.name} ...")
            done = verdict.result()
            screen.clear_line()
            yield exercise, done
    finally:  # also on Ctrl-C
        pool.shutdown(wait=False, cancel_futures=True)
        end_all()


def judge_one(workspace, exercise):
    """The verdict on one exercise, noted."""
    verdict = judge_file(exercise, workspace.path(exercise))
    workspace.note(exercise, verdict)
    workspace.save()
    return verdict


def next_hint(workspace, exercise):
    """The lines of the hints shown so far and of the next one; that it was shown is noted."""
    known, total = workspace.of(exercise), len(exercise.ladder)
    shown = min(known.get("hints", 0) + 1, total)
    again = known.get("hints", 0) == total
    known["hints"], lines = shown, []
    workspace.save()
    for number, text in enumerate(exercise.ladder[:shown], 1):
        lines += [f"{paint(f'hint {number} of {total}', 'blue')}", *screen.wrap(text, 2)]
    if again:
        lines += screen.wrap(f"these are all hints; a solution: {COMMAND} solution {exercise.short} --give-up")
    return lines


def reset_lines(workspace, exercise):
    """Reset an exercise; the lines that say so."""
    backup = workspace.reset(exercise)
    return [f"{workspace.path(exercise)} is as it was in the beginning" + (f"; yours is in {backup}" if backup else "")]


def may_see(workspace, exercise):
    """Whether the learner has passed the exercise once, or given it up."""
    return "passed" in workspace.of(exercise) or workspace.of(exercise).get("gave_up")


def solution_lines(workspace, exercise, give_up):
    """The solution, or why it is not shown."""
    known = workspace.of(exercise)
    if not may_see(workspace, exercise):
        if not give_up:
            anyway = f"{COMMAND} solution {exercise.short} --give-up"
            return screen.wrap(f"{exercise.name} has not passed yet; {anyway} shows a solution all the same, and notes it")
        known["gave_up"] = True
        workspace.save()
    path = workspace.keep_solution(exercise)
    return [exercise.answer.rstrip(), "", paint(f"kept in {path}", "dim")]


def no_place(exercise):
    """The sentence for an exercise that `try` cannot use."""
    able = ", ".join(e.short for e in exercises().values() if e.place)
    return f"AlexNet cannot be trained with {exercise.name}; try works for {able}"


def try_it(workspace, exercise, steps=60):
    """Train AlexNet with the learner's function; the exit code says whether it learns as with the library's."""
    if exercise.place is None:
        screen.tell(no_place(exercise))
        return 2
    verdict = judge_one(workspace, exercise)
    if verdict.state == "unattempted" or verdict.sentence:
        say(screen.report(exercise, workspace.path(exercise), verdict))
        return 3 if verdict.state == "unattempted" else 1
    if verdict.state != "pass":
        passed = f"{verdict.passed} of {len(exercise.checks)} checks"
        screen.tell(f"{exercise.name} does not pass yet ({passed}); see what that does", "yellow")
    child = spawn("tinynet.exercises.trial", exercise.name, workspace.path(exercise).resolve(), steps)
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
