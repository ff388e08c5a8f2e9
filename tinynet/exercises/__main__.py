"""The learner's command line: `python -m tinynet.exercises`.

Exit codes: 0 fine, for check: all pass; 1 some fail; 3 none fails but some are not attempted; 2 a command that makes no
sense; 130 Ctrl-C.
"""

import argparse
import sys
from difflib import get_close_matches

from tinynet import console
from tinynet.errors import TinynetError, UsageError
from tinynet.exercises import actions
from tinynet.exercises.screen import COMMAND, say

USAGE = """\
  init [DIR]           write the exercises into DIR; --update: add new ones
  list                 all exercises and how they stand (--json)
  watch [NAME]         judge a file at every save; --manual: at every Enter
  check [NAME ...]     judge these exercises, or all
  hint NAME            the next hint
  solution NAME        a solution, once yours has passed; --give-up: before
  reset NAME           start again; yours is kept as a .bak file
  try NAME             train AlexNet with your function in the library's place

for teachers
  report [DIR]         judge a folder; --json, --gradescope FILE;
                       --seed-file FILE: hidden variants
  export               --nbgrader DIR: one notebook a chapter
  dev check [NAME ...] prove exercises
  dev new NAME         write the skeleton of one

NAME is e17, 17 or the whole name. Commands run in init's folder."""


COMMANDS = ("init", "list", "watch", "check", "hint", "reset", "solution", "try", "report", "export", "dev")


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise UsageError(f"{message}; see {COMMAND} --help")


def parser():
    root = Parser(prog=COMMAND, description="Write the pieces of AlexNet yourself, and learn whether they are right.",
                  usage=f"{COMMAND} [COMMAND]", epilog=USAGE,
                  formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = root.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)

    def command(name, act):
        made = commands.add_parser(name, prog=f"{COMMAND} {name}")
        made.set_defaults(act=act)
        return made

    init = command("init", actions.init)
    init.add_argument("folder", nargs="?", metavar="DIR", help="where to (default: tinynet-exercises; with --update: here)")
    init.add_argument("--update", action="store_true", help="add exercises that are new, renew those that nobody edited")
    command("list", actions.show_list).add_argument("--json", action="store_true", help="for programs")
    watch = command("watch", actions.watching)
    watch.add_argument("name", nargs="?", metavar="NAME", help="where to begin (default: the first that is not done)")
    watch.add_argument("--manual", action="store_true", help="judge on Enter, not on save")
    check = command("check", actions.check)
    check.add_argument("names", nargs="*", metavar="NAME", help="(default: all)")
    check.add_argument("--all", action="store_true", help="all, which is the default")
    check.add_argument("--timeout", type=float, metavar="SECONDS", help="time limit of each (default: the exercise's, 20)")
    command("hint", actions.hint).add_argument("name", metavar="NAME")
    reset = command("reset", actions.reset)
    reset.add_argument("name", metavar="NAME")
    reset.add_argument("--yes", action="store_true", help="do not ask")
    solution = command("solution", actions.solution)
    solution.add_argument("name", metavar="NAME")
    solution.add_argument("--give-up", action="store_true", help="show it before yours has passed; it is noted")
    trial = command("try", actions.trial)
    trial.add_argument("name", metavar="NAME")
    trial.add_argument("--steps", type=int, default=60, metavar="N", help="of training (default 60)")
    report = command("report", actions.report)
    report.add_argument("folder", nargs="?", default=".", metavar="DIR", help="(default: this one)")
    report.add_argument("--json", action="store_true", help="print schema 1 as JSON")
    report.add_argument("--gradescope", metavar="FILE", help="write what Gradescope reads")
    report.add_argument("--seed-file", metavar="FILE", help="a secret text that draws other shapes and values")
    export = command("export", actions.export)
    export.add_argument("--nbgrader", required=True, metavar="DIR", help="where the notebooks go")
    export.add_argument("--seed-file", metavar="FILE", help="a secret text that draws other values when they are graded")
    dev = command("dev", actions.dev)
    dev.add_argument("what", choices=["check", "new"])
    dev.add_argument("names", nargs="*", metavar="NAME")
    return root


def main(arguments=None):
    """Run a command; returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    return console.run(lambda: _main(arguments))


def _main(arguments):
    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            near = get_close_matches(arguments[0], COMMANDS, 1)
            guess = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"there is no command {arguments[0]!r}; {guess}{COMMAND} --help shows all")
        options = parser().parse_args(arguments)
        return options.act(options) if options.command else actions.bare()
    except BrokenPipeError:
        raise
    except (TinynetError, OSError, MemoryError) as error:  # an OSError is a full disk, for instance
        print(f"tinynet.exercises: {str(error) or 'out of memory'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say()
        return 130


if __name__ == "__main__":
    sys.exit(main())
