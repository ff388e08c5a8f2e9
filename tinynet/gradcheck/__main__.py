"""Check every operation of tinynet, or those that are named, and print a table.

python -m tinynet.gradcheck             all
python -m tinynet.gradcheck conv2d      one, with a line for each of its configurations
"""

import argparse
import sys
import time

from tinynet import console
from tinynet.gradcheck.cases import CASES
from tinynet.gradcheck.check import gradcheck


def main(argv=None):
    """The command line; returns the exit code: 0 all pass, 1 a check failed or was inconclusive, 2 an unknown name."""
    operations = list(dict.fromkeys(case.op for case in CASES))
    parser = argparse.ArgumentParser(
        prog="python -m tinynet.gradcheck",
        description="Check the gradients of tinynet's operations numerically, in float64.",
    )
    parser.add_argument("op", nargs="*", metavar="OP", help=f"which: {', '.join(operations)} (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the arguments and of the gradient from above (default 0)")
    args = parser.parse_args(argv)
    unknown = [op for op in args.op if op not in operations]
    if unknown:
        parser.error(f"no operation is called {unknown[0]!r}; there are {', '.join(operations)}")
    if args.seed < 0:
        parser.error(f"--seed {args.seed}; expected 0 or more")
    single = len(args.op) == 1
    width = max(len(case.name if single else case.op) for case in CASES)
    print(f"{'':{width}}  {'worst error':>11}  {'entries':>7}  {'kinks':>5}  {'ms':>6}")
    bad = []
    for op in args.op or operations:
        cases = [case for case in CASES if case.op == op]
        for group in [[case] for case in cases] if single else [cases]:
            bad += _row(group, group[0].name if single else op, width, args.seed)
    for report in bad:
        print(f"\n{report}")
    return 1 if bad else 0


def _row(cases, name, width, seed):
    """Print the line of some configurations; the reports of those that did not pass."""
    start = time.perf_counter()
    reports = [gradcheck(case.f, case.args(seed), seed=seed) for case in cases]
    milliseconds = 1000 * (time.perf_counter() - start)
    results = [r for report in reports for r in report]
    checked, kinks = sum(r.checked for r in results), sum(r.kinks for r in results)
    bad = [report for report in reports if not report]
    for report, case in zip(reports, cases, strict=True):
        report.heading = f"{case}: {report.heading}"
    mark = f"  {max((r.status for r in bad), key=len).upper()}" if bad else ""
    print(
        f"{name:{width}}  {max(r.rel for r in results):11.1e}  {checked:7}  {kinks:5}  {milliseconds:6.0f}{mark}", flush=True
    )
    return bad


if __name__ == "__main__":
    try:
        sys.exit(console.run(main))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # a full disk
        print(f"tinynet.gradcheck: {error}", file=sys.stderr)
        sys.exit(2)
