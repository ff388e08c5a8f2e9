"""tinynet on a GPU: whether its numbers are the CPU's, and how fast it is beside PyTorch and beside the GPU's limits.

    python -m benchmarks.gpu --json result.json    everything, in under eight minutes
    python -m benchmarks.gpu --data DIR            and train the quarter-size network on images while time is left
    python -m benchmarks.gpu steps profile         some sections only
    python -m benchmarks.gpu --rehearse            all of it at tiny sizes on a machine without a GPU

Every section stands alone: if one fails, its error is kept and the next begins; the file is written after each.
Both engines compute in the same precision, FP32 or TF32, and PyTorch may try out cuDNN's algorithms before it is timed.
"""

import argparse
import contextlib
import importlib.metadata
import json
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict
from pathlib import Path

import tinynet as tn
from benchmarks import gpu_sections, machine, report
from benchmarks.gpu_lab import Lab, NotHere, Plan
from benchmarks.report import Column, row_of

ROOT = Path(__file__).parents[1]

TESTS = [
    Column("what", "tests", "text"),
    Column("result", "result", "text"),
    Column("seconds", "seconds", ".0f"),
    Column("output"),
]


def tests(lab):
    """The tests that want a GPU, and a few training steps under compute-sanitizer, which notices illegal accesses."""
    rows = [_told(lab.plan.tests, [sys.executable, "-m", "pytest", "-q", "-rs", lab.plan.tests], min(90, lab.left()))]
    yield rows[0]
    if shutil.which("compute-sanitizer"):
        # Without CuPy's memory pool every array is an allocation of its own, whose ends the sanitizer knows.
        code = (
            "import cupy; cupy.cuda.set_allocator(None)\n"
            "from benchmarks.steps import pictures\nfrom benchmarks.tiny_nets import Trainer\n"
            "trainer = Trainer('2012', 0.05, 64, 10, 'cuda:0')\ndata = trainer.data(*pictures(3, 64, 10))\n"
            "print(*(trainer.step(*data) for _ in range(2)))"
        )
        check = ["compute-sanitizer", "--tool", "memcheck", "--error-exitcode", "9"]
        rows.append(_told("memcheck", [*check, sys.executable, "-c", code], min(90, lab.left())))
        yield rows[1]
    else:
        yield row_of(TESTS, what="memcheck", result="compute-sanitizer is not installed")
    failed = [row["output"] for row in rows if not row["result"].startswith("passed")]
    if failed:
        raise RuntimeError("\n".join(failed))


def _told(what, command, limit):
    """A row with the last line that a command prints, and whether it ended well."""
    code, output, seconds = _run(command, limit)
    lines = output.strip().splitlines() or [""]
    result = {0: "passed", None: f"stopped after {limit:.0f} s"}.get(code, f"FAILED with exit code {code}")
    return row_of(TESTS, what=what, result=f"{result}: {lines[-1][-70:]}", seconds=seconds, output="\n".join(lines[-60:]))


def _run(command, limit):
    """(exit code, or None if it took too long and was interrupted; what it printed; seconds)."""
    began = time.monotonic()
    # A shell that starts this script in the background makes it ignore SIGINT, and what it starts would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    signal.signal(signal.SIGINT, before)
    try:
        output, code = process.communicate(timeout=max(limit, 1))[0], process.returncode
    except subprocess.TimeoutExpired:
        code = None
        process.send_signal(signal.SIGINT)  # as Ctrl-C: a training run saves what it has
        try:
            output = process.communicate(timeout=20)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            output = process.communicate()[0]
    return code, output, time.monotonic() - began


TIMELINE = [Column("device", "devices", "text"), Column("file", "picture", "text"), Column("seconds", "seconds", ".0f")]


def timeline(lab):
    """A picture of one training step: which device did what, and when."""
    device, picture = lab.plan.draw_on, lab.pictures / "timeline.png"
    with tempfile.TemporaryDirectory() as out:
        run = ["--device", device, *lab.plan.draw_sizes, "--epochs", "1", "--out", f"{out}/run"]
        code, output, seconds = _run([sys.executable, "alexnet.py", *run, "--timeline", str(picture)], min(60, lab.left()))
    if not picture.exists():  # a run that takes too long has drawn it long before it is interrupted
        raise RuntimeError(f"alexnet.py ended with exit code {code} and without a picture:\n{output[-2000:]}")
    yield row_of(TIMELINE, device=device, file=str(picture), seconds=seconds)


LEARN = [
    Column("epoch", "epoch", "d"),
    Column("seconds", "seconds", ".1f"),
    Column("lr", "learning rate", "g"),
    Column("train_loss", "training loss", ".3f"),
    Column("train_error", "training top-1 error", ".3f"),
    Column("val_loss", "validation loss", ".3f"),
    Column("val_error", "validation top-1 error", ".3f"),
    Column("val_top5_error", "top-5 error", ".3f"),
]


def learn(lab):
    """The quarter-size network on images, until time is up: what it has learnt, epoch by epoch."""
    if lab.data is None:
        raise NotHere("there are no images to train on; give a folder with --data DIR")
    with tempfile.TemporaryDirectory() as out:
        options = ["--data", lab.data, "--device", lab.plan.train_on, *lab.plan.data_sizes, "--out", f"{out}/run"]
        code, output, _ = _run([sys.executable, "alexnet.py", *options], lab.left() - 25)
        log = Path(out, "run", "log.jsonl")
        records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        curves = Path(out, "run", "curves.png")
        if curves.exists():
            shutil.copy(curves, lab.pictures / "learn-curves.png")
    epochs = [record for record in records if record["kind"] == "epoch"]
    if not epochs:
        raise RuntimeError(f"alexnet.py ended with exit code {code} and without an epoch:\n{output[-2000:]}")
    for record in epochs:
        yield row_of(LEARN, **{column.key: record[column.key] for column in LEARN})


# Whatever a short run must not lose comes first; training on images takes the time that is left.
SECTIONS = {
    "limits": (gpu_sections.LIMITS, gpu_sections.limits),
    "same": (gpu_sections.SAME, gpu_sections.same),
    "steps": (gpu_sections.STEPS, gpu_sections.steps),
    "profile": (gpu_sections.PROFILE, gpu_sections.profile),
    "memory": (gpu_sections.MEMORY, gpu_sections.memory),
    "layers": (gpu_sections.LAYERS, gpu_sections.layers),
    "products": (gpu_sections.PRODUCTS, gpu_sections.products),
    "feed": (gpu_sections.FEED, gpu_sections.feed),
    "workspace": (gpu_sections.WORKSPACE, gpu_sections.workspace),
    "tests": (TESTS, tests),
    "timeline": (TIMELINE, timeline),
    "learn": (LEARN, learn),
}


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{' '.join(SECTIONS)} (default: all)")
    parser.add_argument("--json", metavar="FILE", help="write all numbers; pictures go into its folder (default: this one)")
    parser.add_argument("--data", metavar="DIR", help="folder of images to learn from, as for alexnet.py")
    parser.add_argument("--minutes", type=float, default=Plan.minutes, help="for everything (default %(default)s)")
    parser.add_argument("--rehearse", action="store_true", help="tiny, on the CPU: to see that the script works")
    options = parser.parse_args(arguments)
    for section in options.sections:
        if section not in SECTIONS:
            parser.error(f"unknown section {section!r}; expected {', '.join(SECTIONS)}")
    if not options.minutes > 0:
        parser.error(f"--minutes: expected a number above 0, got {options.minutes}")
    return options


@contextlib.contextmanager
def laboratory(options):
    """The Lab of this machine, or that of a rehearsal; raises DeviceError, in one sentence, where there is no GPU."""
    if options.rehearse:
        from benchmarks.gpu_rehearsal import rehearsal

        with rehearsal(options.minutes) as lab:
            yield lab
        return
    tn.devices("cuda:0")
    import cupy

    torch = None
    if "pytorch" in machine.find_engines(["pytorch"])[0]:
        import torch

        torch.backends.cudnn.benchmark = True
    yield Lab(Plan(minutes=options.minutes), cupy, torch if torch is not None and torch.cuda.is_available() else None)


def describe(lab):
    """The GPU and the software on it."""
    runtime, gpu = lab.cp.cuda.runtime, lab.cp.cuda.runtime.getDeviceProperties(0)
    wheels = {d.metadata["Name"] or "": d.version for d in importlib.metadata.distributions()}
    wanted = re.compile("cupy|numpy$|torch$|nvidia-(cublas|cudnn)")
    return {
        "gpu": gpu["name"].decode(),
        "gpus": lab.gpus,
        "memory_gib": round(gpu["totalGlobalMem"] / 2**30, 1),
        "compute_capability": f"{gpu['major']}.{gpu['minor']}",
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "cpus": machine.usable_cores(),
        "python": platform.python_version(),
        "packages": {name: version for name, version in sorted(wheels.items()) if wanted.match(name)},
    }


def main(arguments=None):
    """Run the command line; returns the exit code: 0, 1 if a section failed, 2 without a GPU, 130 after Ctrl-C."""
    options = parse(arguments)
    try:
        with laboratory(options) as lab:
            return measure(lab, options)
    except tn.DeviceError as error:
        print(f"benchmarks.gpu: {error}; python -m benchmarks.gpu --rehearse runs without a GPU", file=sys.stderr)
        return 2


def measure(lab, options):
    """Run the sections one after the other; returns the exit code."""
    lab.data, lab.pictures = options.data, Path(options.json).parent if options.json else Path.cwd()
    lab.pictures.mkdir(parents=True, exist_ok=True)
    about = describe(lab)
    print(json.dumps(about, indent=1), flush=True)
    document = {"schema": 1, "rehearsal": options.rehearse, "machine": about, "plan": asdict(lab.plan), "sections": {}}
    for name in options.sections or SECTIONS:
        columns, section = SECTIONS[name]
        result = document["sections"][name] = {"seconds": None, "left_out": None, "error": None, "rows": []}
        began, interrupted = time.monotonic(), False
        try:
            if lab.left() < 20:
                raise TimeoutError(f"the {lab.plan.minutes:g} minutes are over; --minutes gives more")
            for row in section(lab):
                result["rows"].append(row)
        except KeyboardInterrupt:
            result["error"], interrupted = "interrupted", True
        except NotHere as error:
            result["left_out"] = str(error)
        except Exception as error:  # whatever it is, the other sections are still measured
            result["error"] = f"{type(error).__name__}: {error}"
            result["traceback"] = traceback.format_exc()
        result["seconds"] = round(time.monotonic() - began, 1)
        with contextlib.suppress(Exception):  # after an error of CUDA even this may fail
            lab.free()
        if options.json:
            report.write(options.json, document)
        title = f"{name}, {result['seconds']} s: {section.__doc__.strip()}"
        print(report.table(title, columns, result["rows"]) if result["rows"] else title, flush=True)
        if result["left_out"]:
            print(f"{name} was left out: {result['left_out']}", flush=True)
        if result["error"]:
            print(f"{name} FAILED: {result.get('traceback') or result['error']}", flush=True)
        if interrupted:
            return 130
    return int(any(result["error"] for result in document["sections"].values()))


if __name__ == "__main__":
    sys.exit(main())
