"""Training: the loop, what it writes while it runs, and how it goes on after it was stopped.

A run is its options, and everything random in it comes from generators whose state is saved: stopped at any step and
resumed, it computes the same bits as if it had not been stopped. This module is handed a function that builds the
network; it knows nothing about AlexNet.
"""

import contextlib
import json
import os
import sys
import time
import warnings
from collections import deque
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinynet import checkpoint, data, draw, draw_timeline, out_of_memory, run_folder
from tinynet.devices import devices
from tinynet.errors import DataError, TinynetError, UsageError
from tinynet.evaluation import Score, evaluate, probabilities
from tinynet.interrupt import Interrupt
from tinynet.kernels.cpu.parallel import threads, use_threads
from tinynet.ops.losses import cross_entropy
from tinynet.optim import ReduceLROnPlateau
from tinynet.tensor import Tensor

ALWAYS = dict(data=None, lr=None, seed=0, width=0.25, recipe="modern")
DRAWN = dict(epochs=22, batch=64, image_size=64)  # for the pictures that the program draws itself
FOLDER = dict(epochs=60, batch=128, image_size=None)
OPTIONS = (*ALWAYS, *DRAWN, "patience")
MAY_CHANGE = ("data", "epochs")  # on --resume
WARM_UP = 3  # steps before the one that --timeline draws: kernels are compiled, memory is in the pools
SAVE_EVERY = 600  # seconds between checkpoints inside an epoch
DRAW_EVERY = 60  # seconds between pictures

say = partial(print, flush=True)  # a log file that somebody watches must not lag behind


def train(args, build):
    """Train as the command line `args` say; `build(options, classes, devices)` gives (model, recipe).

    Returns the exit code: 0 when the last epoch is done, 130 when it was stopped and can be resumed.
    Raises TinynetError, before anything is computed where that is possible, for what a user can mend.
    """
    given = {name: value for name, value in vars(args).items() if value is not None}
    for name in ("data", "out", "resume"):
        if given.get(name) == "":
            raise UsageError(f"--{name} is empty; give a folder, or leave it out")
    places = devices(given.get("device", "cpu"))
    use_threads(given.get("threads"))
    # To decode one photograph takes a thread a millisecond or more, and on CUDA the CPU has little else to do.
    workers = given.get("workers", min(max(threads(), 2), 16) if places[0].kind == "cuda" else 2)
    for place in places:
        place.configure(given.get("tf32"), given.get("workspace"))
    if "timeline" in given:
        draw_timeline.claim(given["timeline"])
    with Interrupt() as interrupt:
        run = (Run.resume if "resume" in given else Run.start)(given, build, places, workers)
        run.timeline = given.get("timeline")
        advice = out_of_memory.training(run.model, run.options["batch"])
        try:
            if "resume" not in given:
                run.begin()
            interrupt.patient = True
            with out_of_memory.explained(places, advice):
                done = run.fit(interrupt)
                run.finish(done)
        except KeyboardInterrupt:
            if not run_folder.begun(run.out):
                raise
            go_on = run_folder.how_to_resume(run.out)
            say(f"\nstopped at once; go on from the last checkpoint with: {go_on}", file=sys.stderr)
            return 130
    return 0 if done else 130


class Run:
    """A training run: its options, its data and network, and where it stands."""

    timeline = None  # the file for a picture of one step
    log = None  # the open log

    def __init__(self, options, out, train_set, val_set, build, places, workers):
        self.options, self.out, self.places, self.device = options, Path(out), places, places[0]
        self.train_set, self.val_set, self.workers = train_set, val_set, workers
        self.images = [data.fingerprint(images, options["data"]) for images in (train_set, val_set)]
        with out_of_memory.explained(places, out_of_memory.BUILDING):
            self.model, self.recipe = build(options, len(train_set.classes), places)
            self.optimizer = self.recipe.optimizer(self.model, options["lr"])
        options["lr"] = self.optimizer.lr
        self.schedule = ReduceLROnPlateau(self.optimizer, patience=options["patience"])
        self.mean = self.colour = None
        self.epoch = self.batch_in_epoch = self.step = self.steps_here = 0
        self.score, self.named_broken = Score(), set()
        self.queued = deque()  # steps that a device was given and whose loss has not been looked at
        self.saved = self.drawn = self.looked = time.monotonic()

    @classmethod
    def start(cls, given, build, places, workers):
        options = ALWAYS | (FOLDER if "data" in given else DRAWN)
        options |= {name: given[name] for name in options if name in given}
        options["patience"] = max(2, options["epochs"] // 15)
        if options["seed"] < 0:
            raise UsageError(f"--seed {options['seed']} is below 0; give 0 or more")
        train_set, val_set = _open_data(options)
        out = Path(given.get("out", datetime.now().strftime("runs/%Y-%m-%d-%H%M%S")))
        return cls(options, out, train_set, val_set, build, places, workers)

    def begin(self):
        """What comes before the first step of a new run: its folder, the mean image, the first checkpoint."""
        seed, bar = self.options["seed"], {"desc": "mean image", "unit": "image", "leave": False, "disable": None}
        with run_folder.claimed(self.out):
            data.look_at(self.val_set)
            self.mean = data.mean_image(self.train_set, seed=seed, progress=lambda items: tqdm(items, **bar))
            if self.recipe.colour:
                self.colour = data.pca(self.train_set, seed=seed)
            self.save()  # from here on, a run that is killed at any moment can be resumed
        self.announce(f"training on {self.train_set.source}; validating on {len(self.val_set):,} images")
        if self.options["data"] is None:
            say(f"to train on your own pictures: {run_folder.command()} --data DIR  (one sub-folder a class)")

    @classmethod
    def resume(cls, given, build, places, workers):
        out = Path(given["resume"])
        arrays, state = checkpoint.load(out)
        out = out.parent if out.is_file() else out
        with checkpoint.reading(out):
            options = {name: state["options"][name] for name in OPTIONS}
            classes, done = state["classes"], state["epoch"]
        kept = {"out": str(out), **options}
        if "out" in given and os.path.realpath(given["out"]) == os.path.realpath(out):
            kept["out"] = given["out"]  # the same folder, called otherwise
        for name, value in given.items():
            if name in kept and name not in MAY_CHANGE and value != kept[name]:
                flag = name.replace("_", "-")
                raise UsageError(f"--{flag} {value} cannot change on --resume: this run has {kept[name]}; leave it out")
        options |= {name: given[name] for name in MAY_CHANGE if name in given}
        if options["epochs"] < done:
            raise UsageError(f"--epochs {options['epochs']}: this run has done {done} already; give more, or leave it out")
        train_set, val_set = _open_data(options)
        if train_set.classes != classes:
            raise DataError(f"{train_set.source} has other classes than the run in {out}; give the folder it began with")
        run = cls(options, out, train_set, val_set, build, places, workers)
        if state.get("images", run.images) != run.images:  # older checkpoints do not tell
            raise DataError(
                f"{train_set.source.split(': ')[0]} has other images than when the run in {out} began: files were added, "
                f"removed, renamed or moved to another class; put them back, or start a new run"
            )
        with checkpoint.reading(out):
            run._restore(arrays, state, out)
        if done == options["epochs"]:
            run.announce(f"the run in {out} is complete; --epochs {2 * done} would go on with it, for instance")
        else:
            run.announce(f"going on with {out} in epoch {done + 1} of {options['epochs']}, after step {run.step}")
        return run

    def announce(self, what):
        o = self.options
        say(what)
        say(
            f"AlexNet, width {o['width']:g}, {sum(p.size for p in self.model.parameters()):,} parameters, "
            f"{o['image_size']} px crops, recipe {o['recipe']}, batch {o['batch']}, {_count(o['epochs'], 'epoch')}, "
            f"into {self.out}"
        )

    # the loop ---------------------------------------------------------------------------------------------------------

    def fit(self, interrupt):
        """Train until the last epoch is done (True) or `interrupt.requested` (False); leaves a checkpoint either way."""
        crop, scale, seed = self.options["image_size"], self.recipe.input_scale, self.options["seed"]
        how = dict(crop=crop, mean=self.mean, scale=scale, seed=seed, workers=self.workers)
        train = data.Batches(self.train_set, self.options["batch"], colour=self.colour, stage=self.device.stage, **how)
        val = data.Batches(self.val_set, self.options["batch"], **how)
        with open(self.out / run_folder.LOG, "a", encoding="utf-8") as log, warnings.catch_warnings(), self._kept():
            # NumPy's remarks about a loss that explodes come before ours, and say less.
            warnings.filterwarnings("ignore", "(overflow|invalid value|divide by zero) encountered", RuntimeWarning)
            self.log = log
            while self.epoch < self.options["epochs"]:
                began = time.monotonic()
                if not self._train_epoch(train, interrupt):
                    break
                score = evaluate(self.model, val, self.device, lambda: interrupt.requested)
                self._name_broken()
                if score is None:
                    break
                self._end_epoch(score, time.monotonic() - began)
            self.save()
        return self.epoch >= self.options["epochs"]

    @contextlib.contextmanager
    def _kept(self):
        """What was trained inside is saved when too many images turn out to be broken, in the validation for instance."""
        try:
            yield
        except DataError as error:
            self.save()
            raise DataError(f"{error}; then go on with: {run_folder.how_to_resume(self.out)}") from error

    def _train_epoch(self, batches, interrupt):
        self.model.train()
        bar = tqdm(
            total=len(self.train_set), initial=min(self.batch_in_epoch * self.options["batch"], len(self.train_set)),
            desc=f"epoch {self.epoch + 1}/{self.options['epochs']}", unit="image", leave=False, disable=None,
            bar_format="{l_bar}{bar}| {remaining}, {rate_fmt}{postfix}",  # short, for 80 columns
        )  # fmt: skip
        with bar:
            self.bar = bar
            for x, labels in batches.epoch(self.epoch, self.batch_in_epoch):
                if len(labels):
                    self._train_step(x, labels)
                self.batch_in_epoch += 1
                if interrupt.requested:
                    break
                if time.monotonic() - self.saved > SAVE_EVERY:
                    self.save()
            self._look()
        return not interrupt.requested

    def _train_step(self, x, labels):
        began = time.monotonic()
        with self._drawn():
            with self.device:
                logits = self.model(Tensor(self.device.array_ahead(x), self.device))
                loss = cross_entropy(logits, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.step, self.steps_here = self.step + 1, self.steps_here + 1
            later = [t.device.numpy_later(t.data) for t in (loss, logits)]
            self.queued.append((self.step, began, labels, *later))
            self._look(self.device.lag)

    def _drawn(self):
        """A context for the next step, which draws it if it is the one for --timeline: the first after warm-up."""
        if self.timeline is None or self.steps_here != WARM_UP:
            return contextlib.nullcontext()
        return draw_timeline.drawing(self.places, self.timeline, f"step {self.step + 1}")

    def _look(self, lag=0):
        """Look at the loss of all steps that were queued but the last `lag`: log it and count it, or end the run.

        On a GPU that is the step before the last, whose loss has arrived already, so that the GPU never waits for us.
        """
        while len(self.queued) > lag:
            step, began, labels, loss, logits = self.queued.popleft()
            value = loss().item()
            if not np.isfinite(value):
                raise TinynetError(
                    f"the loss is {value} at step {step}: the learning rate {self.optimizer.lr:g} is too high; "
                    f"start again with --lr {self.optimizer.lr / 10:g}"
                )
            self.score.add(value, logits(), labels)
            began, self.looked = max(began, self.looked), time.monotonic()
            rate = len(labels) / (self.looked - began)
            self._log("step", step=step, loss=value, lr=self.optimizer.lr, images_per_second=round(rate, 1))
            _, wrong1, wrong5 = self.score.means()
            self.bar.set_postfix_str(f"loss {value:.3f}, top-1 {1 - wrong1:.1%}, top-5 {1 - wrong5:.1%}", refresh=False)
            self.bar.update(len(labels))

    def _end_epoch(self, score, seconds):
        (loss, error, top5), (val_loss, val_error, val_top5) = self.score.means(), score.means()
        self._log("epoch", train_loss=loss, train_error=error, train_top5_error=top5, val_loss=val_loss,
                  val_error=val_error, val_top5_error=val_top5, lr=self.optimizer.lr, seconds=round(seconds, 2))  # fmt: skip
        self.epoch, self.batch_in_epoch, self.score = self.epoch + 1, 0, Score()
        stalled = self.schedule.step(val_error)
        self.save()  # before anything is said, because nobody may be listening any more: `| head`
        say(
            f"epoch {self.epoch:3}/{self.options['epochs']}  loss {loss:.3f}  training top-1 {1 - error:6.1%}  |  "
            f"validation top-1 {1 - val_error:6.1%}  top-5 {1 - val_top5:6.1%}  |  {seconds:.0f} s"
        )
        if stalled:
            say(f"validation error has stalled: learning rate is now {self.optimizer.lr:g}")
        if time.monotonic() - self.drawn > DRAW_EVERY:
            self.draw()

    def _log(self, kind, **values):
        line = {"kind": kind, "step": self.step, "epoch": self.epoch, **values}
        print(json.dumps(line), file=self.log, flush=True)

    def _name_broken(self):
        broken = [name for images in (self.train_set, self.val_set) for name in images.broken]
        for name in broken:
            if name not in self.named_broken:
                say(f"skipped, because it cannot be decoded: {name}", file=sys.stderr)
        self.named_broken.update(broken)

    def finish(self, done):
        """Draw the pictures and say what there is."""
        self.draw()
        self._name_broken()
        epochs = [r for r in run_folder.read_log(self.out) if r["kind"] == "epoch"]
        if done and epochs:
            last = epochs[-1]
            minutes, seconds = divmod(round(sum(r["seconds"] for r in epochs)), 60)
            say(
                f"done: validation top-1 {1 - last['val_error']:.1%}, top-5 {1 - last['val_top5_error']:.1%} on "
                f"{len(self.val_set):,} images, after {_count(self.epoch, 'epoch')} in {minutes} min {seconds} s"
            )
        if self.timeline is not None:
            missing = f"no timeline: the run had fewer than {WARM_UP + 1} steps"
            say(f"timeline in {self.timeline}" if os.path.exists(self.timeline) else missing)
        if self.named_broken:
            say(f"skipped {_count(len(self.named_broken), 'broken image')}")
        say(f"in {self.out}: {', '.join(sorted(p.name for p in self.out.iterdir() if not p.name.startswith('.')))}")
        if not done:
            say(f"stopped after step {self.step}; go on with: {run_folder.how_to_resume(self.out)}")

    def draw(self):
        """curves.png, kernels.png and predictions.png, from the state of the moment."""
        draw.curves(run_folder.read_log(self.out), self.out / "curves.png")
        draw.kernels(self.model.first_kernels(), self.out / "kernels.png")
        labels, chosen = self.val_set.labels, np.random.default_rng(0).permutation(len(self.val_set))
        _, first = np.unique(labels[chosen], return_index=True)  # one picture of each class, then any
        chosen = dict.fromkeys([*chosen[np.sort(first)], *chosen])
        chosen = list(islice((i for i in chosen if self.val_set.image(i) is not None), 8))
        images = [self.val_set.image(i) for i in chosen]
        if images:
            p = probabilities(self.model, images, self.mean, self.recipe.input_scale, self.device)
            draw.predictions(np.stack(images), labels[chosen], p, self.train_set.classes, self.out / "predictions.png")
        self.drawn = time.monotonic()

    # what is saved ----------------------------------------------------------------------------------------------------

    def save(self):
        """Write the checkpoint."""
        self._look()
        arrays = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        for name, p in self.model.named_parameters():
            arrays[f"velocity.{name}"] = p.device.numpy(self.optimizer.velocity(p))
        arrays["mean"] = self.mean
        if self.colour is not None:
            arrays["colour.deviations"], arrays["colour.directions"] = self.colour
        state = {
            "options": self.options,
            "classes": self.train_set.classes,
            "images": self.images,
            "epoch": self.epoch,
            "batch_in_epoch": self.batch_in_epoch,
            "step": self.step,
            "score": self.score.state,
            "schedule": self.schedule.state_dict(),
            "generators": [m.rng.bit_generator.state for m in self.model.modules() if hasattr(m, "rng")],
        }
        if self.log is not None:
            os.fsync(self.log.fileno())  # a checkpoint that survives a power cut has its log beside it
        checkpoint.save(self.out / checkpoint.NAME, arrays, state)
        self.saved = time.monotonic()

    def _restore(self, arrays, state, path):
        checkpoint.restore(self.model, arrays, path)
        for name, p in self.model.named_parameters():
            with p.device:
                self.optimizer.velocity(p)[...] = p.device.array(arrays[f"velocity.{name}"])
        self.mean = arrays["mean"]
        if "colour.deviations" in arrays:
            self.colour = arrays["colour.deviations"], arrays["colour.directions"]
        self.epoch, self.batch_in_epoch, self.step = state["epoch"], state["batch_in_epoch"], state["step"]
        self.score = Score(state["score"])
        self.schedule.load_state_dict(state["schedule"])
        generators = (m.rng for m in self.model.modules() if hasattr(m, "rng"))
        for rng, saved in zip(generators, state["generators"], strict=True):
            rng.bit_generator.state = saved
        # What was logged after the checkpoint will be computed, and logged, again.
        step, epoch = self.step, self.epoch
        run_folder.keep_in_log(self.out, lambda r: r["step"] <= step and (r["kind"] == "step" or r["epoch"] < epoch))


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


def _count(n, what):
    return f"{n} {what}{'' if n == 1 else 's'}"
