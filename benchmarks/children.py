"""Work in a process of its own: for memory, so that engines do not share any, and for other numbers of threads."""

import json
import os
import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[1]


def call(module, threads, **what):
    """Run `python -m module`, which reads `what` as JSON from its argument and prints its answer, JSON, as last line.

    Every library in it computes with `threads` threads. Raises RuntimeError with the child's last line if it fails.
    """
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    command = [sys.executable, "-m", module, json.dumps(what)]
    done = subprocess.run(command, cwd=HOME, env=os.environ | numbers, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{module} in a process of its own failed with {done.returncode}: {last}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def answer(work):
    """What the child does: print work(**what) as JSON."""
    try:
        print(json.dumps(work(**json.loads(sys.argv[1]))))
    except KeyboardInterrupt:
        sys.exit(130)  # the parent has it too, and says what was measured so far
