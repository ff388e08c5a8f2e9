"""The verb that is the default: train, or go on with a run, and say what happens."""

import os
import sys
from argparse import Namespace
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from tqdm import tqdm

from tinynet import data
from tinynet.cli import options as opt
from tinynet.cli.advice import command, how_to_resume
from tinynet.cli.interrupt import Interrupt
from tinynet.devices import devices
from tinynet.draw.timeline import drawing
from tinynet.errors import DataError, UsageError
from tinynet.kernels.cpu.parallel import threads, use_threads
from tinynet.training import checkpoint, log, run_folder
from tinynet.training.out_of_memory import explained
from tinynet.training.reporter import Pictures, Screen, say
from tinynet.training.run import Run

WARM_UP = 3  # steps before the one that --timeline draws: kernels are compiled, memory is in the pools


def train(args: Namespace, program) -> int:
    """Train as the command line `args` say; returns the exit code: 0 when the last epoch is done, 130 when it was stopped.

    Raises TinynetError, before anything is computed where that is possible, for what a user can mend.
    """
    given = {name: value for name, value in vars(args).items() if value is not None}
    for name in ("data", "out", "resume"):
        if given.get(name) == "":
            raise UsageError(f"--{name} is empty; give a folder, or leave it out")
    places = _places(given)
    if "max_pixels" in given:
        data.allow_pixels(given["max_pixels"])
    if "timeline" in given:
        _check_timeline(Path(given["timeline"]))
    with Interrupt() as interrupt:
        run = (_resumed if "resume" in given else _started)(given, program, places)
        screen, pictures = Screen(run), Pictures(run)
        try:
            if "resume" not in given:
                run.begin(lambda items: tqdm(items, desc="mean image", unit="image", leave=False, disable=None))
            _announce(run, program, given)
            interrupt.patient = True
            with explained(places, "training", run.model, run.options["batch"]), screen:
                done = run.fit([screen, pictures], lambda: interrupt.requested)
                pictures.draw()
            _conclude(run, screen, given)
        except DataError as error:
            if not run_folder.begun(run.out):
                raise
            raise DataError(f"{error}; then go on with: {how_to_resume(program.name, run.out)}") from error
        except KeyboardInterrupt:
            if not run_folder.begun(run.out):
                raise
            go_on = how_to_resume(program.name, run.out)
            say(f"\nstopped at once; go on from the last checkpoint with: {go_on}", file=sys.stderr)
            return 130
    if not done:
        say(f"stopped after step {run.loop.steps}; go on with: {how_to_resume(program.name, run.out)}")
    return 0 if done else 130


def _places(given):
    """The devices, set up as the options say."""
    places = devices(given.get("device", "cpu"))
    use_threads(given.get("threads"))
    for place in places:
        try:
            place.configure(given.get("tf32"), given.get("workspace"))
        except UsageError as error:
            raise UsageError(f"--{error}") from error  # it begins with the name of the argument
    return places


def _workers(given, places):
    # To decode one photograph takes a thread a millisecond or more, and on CUDA the CPU has little else to do.
    return given.get("workers", min(max(threads(), 2), 16) if places[0].kind == "cuda" else 2)


def _started(given, program, places):
    """A new run."""
    options = opt.settings(given)
    sets = _open_data(options)
    out = Path(given.get("out", datetime.now().strftime("runs/%Y-%m-%d-%H%M%S")))
    return _run(out, options, sets, given, program, places)


def _resumed(given, program, places):
    """The run in a folder, where it was stopped."""
    out = Path(given["resume"])
    arrays, state = checkpoint.load(out)
    out = out.parent if out.is_file() else out
    with checkpoint.reading(out):
        options, classes, done = opt.resumed(state["options"], given), state["classes"], state["epoch"]
    if "out" in given and os.path.realpath(given["out"]) != os.path.realpath(out):
        opt.fixed("--out", given["out"], out)
    if options["epochs"] < done:
        raise UsageError(f"--epochs {options['epochs']}: this run has done {done} already; give more, or leave it out")
    sets = _open_data(options)
    if sets[0].classes != classes:
        raise DataError(f"{sets[0].source} has other classes than the run in {out}; give the folder it began with")
    run = _run(out, options, sets, given, program, places)
    run.resume(arrays, state)
    return run


def _run(out, options, sets, given, program, places):
    def watching(n):
        """A context for step n of this process, which draws it if it is the one for --timeline."""
        if n != WARM_UP or "timeline" not in given:
            return nullcontext()
        return drawing(places, given["timeline"], f"step {run.loop.steps + 1}")

    with explained(places, "building"):
        model, recipe = program.build(options, len(sets[0].classes), places)
        run = Run(out, options, *sets, model, recipe, program.step, places[0], _workers(given, places), watching=watching)
    return run


def _open_data(options):
    """(training set, validation set); settles options["image_size"] if it is open."""
    if options["data"] is None:
        return data.synthetic(size=_stored(options["image_size"]), seed=options["seed"])
    options["data"] = os.path.abspath(options["data"])
    if options["image_size"] is None:
        options["image_size"] = data.fitting_crop(options["data"])
    return data.folder(options["data"], _stored(options["image_size"]), seed=options["seed"])


def _stored(crop):
    """The side of the stored images for a side of the crops, in the paper's proportion: 256 for 224."""
    return round(crop * 256 / 224)


def _check_timeline(path):
    """Raises UsageError if the picture, or the JSON beside it, could not be written or something would be lost."""
    if path.suffix.lower() != ".png":
        raise UsageError(f"--timeline {path} should end in .png; the trace goes to the same name with .json")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--timeline {path} cannot be written; give a file in a folder that exists")
    for file in (path, path.with_suffix(".json")):
        if file.exists():
            raise UsageError(f"--timeline: {file} exists already; choose another name, or remove it")


def _announce(run, program, given):
    """Say what is about to be trained, on what, and how."""
    o, loop, count = run.options, run.loop, sum(p.size for p in run.model.parameters())
    if "resume" not in given:
        say(f"training on {run.train_set.source}; validating on {len(run.val_set):,} images")
    elif run.done:
        say(f"the run in {run.out} is complete; --epochs {2 * run.epochs} would go on with it, for instance")
    else:
        say(f"going on with {run.out} in epoch {loop.epoch + 1} of {run.epochs}, after step {loop.steps}")
    say(
        f"{type(run.model).__name__}, width {o['width']:g}, {count:,} parameters, {o['image_size']} px crops, "
        f"recipe {o['recipe']}, batch {o['batch']}, {_count(run.epochs, 'epoch')}, into {run.out}"
    )
    if "resume" not in given and o["data"] is None:
        say(f"to train on your own pictures: {command(program.name)} --data DIR  (one sub-folder a class)")


def _conclude(run, screen, given):
    """Say what came of it, and what lies where."""
    broken = screen.name_broken()
    epochs = [r for r in log.read(run.out / run_folder.LOG) if r["kind"] == "epoch"]
    if run.done and epochs:
        last = epochs[-1]
        minutes, seconds = divmod(round(sum(r["seconds"] for r in epochs)), 60)
        say(
            f"done: validation top-1 {1 - last['val_error']:.1%}, top-5 {1 - last['val_top5_error']:.1%} on "
            f"{len(run.val_set):,} images, after {_count(run.loop.epoch, 'epoch')} in {minutes} min {seconds} s"
        )
    if "timeline" in given:
        missing = f"no timeline: the run had fewer than {WARM_UP + 1} steps"
        say(f"timeline in {given['timeline']}" if os.path.exists(given["timeline"]) else missing)
    if broken:
        say(f"skipped {_count(broken, 'broken image')}")
    say(f"in {run.out}: {', '.join(sorted(p.name for p in run.out.iterdir() if not p.name.startswith('.')))}")


def _count(n, what):
    return f"{n} {what}{'' if n == 1 else 's'}"
