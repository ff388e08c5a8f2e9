"""python -m tinynet.notebooks: the chapters, how to start them, and the proof that they hold."""

import argparse
import sys
import time
from pathlib import Path

from tinynet.errors import TinynetError
from tinynet.notebooks import build
from tinynet.notebooks.session import chapter_folder
from tinynet.notebooks.source import Chapter, chapters

_START = """\
Open them:  jupyter lab notebooks/     (pip install -e ".[notebooks]" brings it)
Read them:  on GitHub, which shows them with their figures
Authors:    python -m tinynet.notebooks build [NN ...]    and    check [NN ...]"""


def main(arguments=None) -> int:
    """Exit code 0: done, and all holds; 1: something does not hold; 2: usage."""
    parser = argparse.ArgumentParser(prog="python -m tinynet.notebooks", description=__doc__)
    parser.add_argument("verb", nargs="?", choices=("list", "build", "check"), default="list")
    parser.add_argument("chapter", nargs="*", type=int, help="numbers of chapters; without one, all of them")
    parser.add_argument("--folder", type=Path, help="where the chapters are; default: notebooks/ of the repository")
    options = parser.parse_args(arguments)
    try:
        chosen = chapters(options.folder or chapter_folder(), options.chapter)
        if options.verb == "list":
            return _list(chosen)
        held = [_check(c) if options.verb == "check" else _build(c) for c in chosen]
    except TinynetError as error:
        print(f"tinynet.notebooks: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; notebooks that were not finished are as they were", file=sys.stderr)
        return 130
    return 0 if all(held) else 1


def _list(chosen: list[Chapter]) -> int:
    print(f"{'':4}{'chapter':34}{'minutes':>8}{'exercises':>12}{'minutes':>8}  question")
    for c in chosen:
        which = f"{c.exercises[0].short}-{c.exercises[-1].short}" if c.exercises else ""
        print(f"{c.number:>2}  {c.title:34}{c.reading:8}{which:>12}{c.minutes or '':>8}  {c.question}")
    print(f"\n{_START}")
    return 0


def _build(chapter: Chapter) -> bool:
    print(f"{chapter.number:02}  running ...", end=" ", flush=True)
    start = time.monotonic()
    result = build.run(chapter)
    faults = build.broken_run(chapter, result, solved=False)
    if result.error:
        print(f"FAILS, and {chapter.notebook.name} stays as it was: {result.error}")
        return False
    path = build.write(chapter, result.notebook)
    faults += [fault for fault in build.broken_rules(chapter) if fault not in faults]
    size = f"{path.stat().st_size / 1000:.0f} kB"
    took = f"{result.done.cpu:.0f} s of CPU, {time.monotonic() - start:.0f} s"
    print(f"{path.name}: {len(result.done.claims)} claims, {took}, {size}")
    return _tell(chapter, faults)


def _check(chapter: Chapter) -> bool:
    print(f"{chapter.number:02}  checking ...", end=" ", flush=True)
    faults, files = build.broken_rules(chapter), _files(chapter)
    runs = []
    for solved in (False, True):
        runs.append(build.run(chapter, solved))
        how = "with its exercises solved: " if solved else "run afresh: "
        faults += [how + fault for fault in build.broken_run(chapter, runs[-1], solved)]
    if new := sorted(_files(chapter) - files):
        faults.append(f"leaves {new[0]} behind; write into a temporary folder")
    cpu = " and ".join(f"{result.done.cpu:.0f}" for result in runs)
    print(
        "FAILS"
        if faults
        else f"holds: {len(runs[0].done.claims)} claims, {len(chapter.exercises)} exercises, {cpu} s of CPU"
    )
    return _tell(chapter, faults)


def _tell(chapter, faults):
    for fault in faults:
        print(f"    {chapter.notebook.name}: {fault}")
    return not faults


def _files(chapter):
    folder = chapter.notebook.parent
    return {
        str(p.relative_to(folder)) for p in folder.rglob("*") if not {".ipynb_checkpoints", "__pycache__"} & set(p.parts)
    }


if __name__ == "__main__":
    sys.exit(main())
