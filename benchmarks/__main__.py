"""tinynet beside PyTorch, beside its NumPy peers and beside the machine's matrix product, in one run.

    python -m benchmarks                        everything: some ten minutes on two cores
    python -m benchmarks --quick                everything, small: under a minute
    python -m benchmarks step layers            some sections only
    python -m benchmarks --json result.json     also for machines

Peers are optional: `pip install torch==2.13.0 mygrad pydynet`. Who is missing is said, and left out.
"""

import argparse
import os
import sys
import time
from contextlib import closing
from dataclasses import asdict, replace

from tqdm import tqdm

from benchmarks import machine, report
from benchmarks.bench import Bench, Disagreement
from benchmarks.engine import ENGINE
from benchmarks.layers import LAYERS
from benchmarks.memory import MEMORY
from benchmarks.peers import PEERS
from benchmarks.plan import FULL, QUICK
from benchmarks.scaling import SCALING
from benchmarks.steps import INFERENCE, STEP

SECTIONS = {s.name: s for s in (STEP, INFERENCE, LAYERS, ENGINE, PEERS, MEMORY, SCALING)}


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{' '.join(SECTIONS)} (default: all)")
    parser.add_argument("--rounds", type=int, help=f"turns of each engine (default {FULL.rounds}; quick {QUICK.rounds})")
    parser.add_argument("--quick", action="store_true", help="small batches and few rounds: to see that it works")
    parser.add_argument("--threads", type=int, help="of every engine (default: OMP_NUM_THREADS, or all CPUs)")
    parser.add_argument("--engines", default=",".join(machine.ENGINES), help="who takes part (default %(default)s)")
    parser.add_argument("--json", metavar="FILE", help="write all numbers, also those that the tables leave out")
    options = parser.parse_args(arguments)
    for section in options.sections:
        if section not in SECTIONS:
            parser.error(f"unknown section {section!r}; expected {', '.join(SECTIONS)}")
    options.engines = options.engines.split(",")
    for engine in options.engines:
        if engine not in machine.ENGINES:
            parser.error(f"unknown engine {engine!r}; expected {', '.join(machine.ENGINES)}")
    if "tinynet" not in options.engines:
        options.engines.insert(0, "tinynet")
    if options.json and not os.access(os.path.dirname(os.path.abspath(options.json)), os.W_OK):
        parser.error(f"--json: {options.json} cannot be written; name a file in a folder that exists and is yours")
    for name in ("rounds", "threads"):
        if getattr(options, name) is not None and getattr(options, name) < 1:
            parser.error(f"--{name}: expected a number from 1, got {getattr(options, name)}")
    return options


def main(arguments=None, plan=None):
    """Run the command line; returns the exit code: 0, 1 if a section could not be measured, 130 after Ctrl-C."""
    options = parse(arguments)
    plan = plan or (QUICK if options.quick else FULL)
    plan = replace(plan, rounds=options.rounds or plan.rounds)
    engines, missing = machine.find_engines(options.engines)
    bench = Bench(plan, engines, machine.set_threads(options.threads, engines))
    about = machine.describe(engines, bench.threads)
    print(report.heading(about, missing), flush=True)

    measured, seconds, failures, interrupted = {}, {}, [], False
    for name in options.sections or SECTIONS:
        measured[name], began = (rows := []), time.monotonic()
        try:
            run(SECTIONS[name], bench, rows)
        except KeyboardInterrupt:
            interrupted = True
        except (Disagreement, RuntimeError, MemoryError) as error:
            failures.append(f"{name}: {error}")
        seconds[name] = round(time.monotonic() - began, 1)
        if rows:
            print(report.table(SECTIONS[name].title, SECTIONS[name].columns, rows), flush=True)
        if interrupted:
            print("interrupted; above is what was measured so far")
            break
    if options.json:
        settings = asdict(plan) | {"sections": list(measured), "seconds": seconds}
        report.write(options.json, report.document(about, engines, missing, settings, measured, interrupted))
    for failure in failures:
        print(f"benchmarks: {failure}", file=sys.stderr)
    return 130 if interrupted else int(bool(failures))


def run(section, bench, rows):
    """Add the section's rows to `rows` as they come: after Ctrl-C, those that are there are shown."""
    cases = section.cases(bench.plan)
    with closing(tqdm(cases, desc=section.name, unit="case", leave=False, disable=None)) as progress:
        bench.say = progress.set_postfix_str
        for case in progress:
            rows += section.measure(bench, case)
    rows += section.whole(section.columns, rows)


if __name__ == "__main__":
    sys.exit(main())
