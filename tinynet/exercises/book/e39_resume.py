"""Stop, resume, and nothing has happened.

The paper's network trained for five to six days. Machines fail in less. A run that is resumed has to go on as if it had not
stopped, with the same numbers to the last bit: not because the bits matter, but because only then you know that nothing was
forgotten. A forgotten velocity costs a few steps, a forgotten learning rate a day, and neither gives an error.

A run is given; read it. Write `state`, which returns what has to be saved, and `resume`, which makes a new run, on the same
pictures, go on from there. A state is a dict: the name of an attribute -> its value. It goes into a file, so the values may
be arrays, numbers, or what a generator gives of itself: rng.bit_generator.state, which can also be set. Pictures and labels
are on the disk already. And mind that the run goes on after it was saved; what was saved must not change with it.
"""

import tempfile
from pathlib import Path

import numpy as np

from tinynet.exercises.checks import expect_type, require
from tinynet.exercises.exercise import Exercise
from tinynet.exercises.words import a_kind
from tinynet.training import checkpoint

exercise = Exercise(chapter=13, minutes=20, difficulty=3, after=["e38_overfit"], compare="tinynet/training/state.py")


@exercise.given
class Run:
    """Softmax regression with dropout of x, shuffled batches, momentum, and a learning rate that falls if the loss does not.

    x: (N, inputs). labels: (N,) integers. seed: of the weights, the order and the dropout.
    """

    def __init__(self, x, labels, seed):
        self.x, self.labels = x, labels
        self.rng = np.random.default_rng(seed)
        self.w = self.rng.normal(0, 0.1, (x.shape[1], labels.max() + 1))
        self.v = np.zeros_like(self.w)
        self.lr, self.best = 0.1, 1e9
        self.order = self.rng.permutation(len(x))
        self.place, self.total = 0, 0.0

    def step(self):
        """Train on the next four pictures; returns the loss before."""
        chosen = self.order[self.place : self.place + 4]
        x, rows = self.x[chosen], np.arange(len(chosen))
        x = x * (self.rng.random(x.shape) >= 0.2) / 0.8
        z = x @ self.w
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[rows, self.labels[chosen]]).mean()
        p[rows, self.labels[chosen]] -= 1
        self.v *= 0.9
        self.v -= self.lr * (x.T @ p) / len(x)
        self.w += self.v
        self.place, self.total = self.place + len(chosen), self.total + loss * len(chosen)
        if self.place == len(self.x):
            self.end_epoch()
        return loss

    def end_epoch(self):
        """Lower the learning rate if this epoch was not a fifth better than the best, and shuffle for the next."""
        if self.total > 0.8 * self.best:
            self.lr /= 10
        self.best = min(self.best, self.total)
        self.order = self.rng.permutation(len(self.x))
        self.place, self.total = 0, 0.0


@exercise.solution
def state(run):
    """What has to be saved of a run: a dict from names of its attributes to values, "rng" -> that of its generator."""
    arrays = {"w": run.w.copy(), "v": run.v.copy(), "order": run.order.copy()}
    numbers = {"lr": run.lr, "best": run.best, "place": run.place, "total": run.total}
    return {**arrays, **numbers, "rng": run.rng.bit_generator.state}


@exercise.solution
def resume(run, saved):
    """Make `run`, a new one on the same pictures, go on where the run was of which `saved` is the state. Returns it.

    `saved` may be needed again and must not change while the run goes on.
    """
    for name in ("w", "v", "order"):
        setattr(run, name, saved[name].copy())
    for name in ("lr", "best", "place", "total"):
        setattr(run, name, saved[name])
    run.rng.bit_generator.state = saved["rng"]
    return run


def pictures(rng):
    labels = rng.integers(3, size=14)
    labels[0] = 2
    return rng.normal(size=(14, 6)), labels


def losses(run, steps):
    return [run.step() for _ in range(steps)]


def saved_by(state, run):
    saved = state(run)
    expect_type(saved, dict, "a dict")
    for name, value in saved.items():
        require(
            _plain(value),
            f"{name!r} is saved as {a_kind(value)}, which is no array and no number; save what it holds",
        )
    return saved


def _plain(value):
    """Whether a value goes into a file: numbers, strings, arrays of numbers, lists and dicts of those."""
    if isinstance(value, dict):
        return all(map(_plain, value.values()))
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiub"
    return isinstance(value, (np.generic, int, float, str))


def resumed(resume, rng, x, labels, saved):
    run = Run(x, labels, seed=int(rng.integers(1000, 2000)))  # of another seed, so that nothing is right by itself
    require(resume(run, saved) is run, "resume did not return the run that it was given")
    return run


def same(yours, right, stop, how):
    """Each loss after step `stop` has the same bits."""
    for step, (loss, expected) in enumerate(zip(yours, right, strict=True), stop + 1):
        require(loss == expected, f"the loss of step {step} is {loss:.17g}, without the stop it is {expected:.17g}; {how}")


@exercise.check("stopped in the middle of the first epoch")
def _(state, resume, rng):
    (x, labels), seed = pictures(rng), int(rng.integers(1000))
    run = Run(x, labels, seed)
    right = losses(Run(x, labels, seed), 10)[2:]
    losses(run, 2)
    run = resumed(resume, rng, x, labels, saved_by(state, run))
    same(losses(run, 8), right, 2, "stopped after step 2")


@exercise.check("stopped after any step, until the learning rate has fallen")
def _(state, resume, rng):
    (x, labels), seed = pictures(rng), int(rng.integers(1000))
    run, ahead = Run(x, labels, seed), Run(x, labels, seed)
    right = losses(ahead, 6)
    for stop in range(1, 60):
        run.step()
        right = [*right[1:], ahead.step()]
        new = resumed(resume, rng, x, labels, saved_by(state, run))
        same(losses(new, 6), right, stop, f"stopped after step {stop}")
        if run.lr < 0.1:
            break


@exercise.check("the run that was saved goes on meanwhile")
def _(state, resume, rng):
    (x, labels), seed = pictures(rng), int(rng.integers(1000))
    run = Run(x, labels, seed)
    losses(run, 5)
    saved = saved_by(state, run)
    right = losses(run, 8)
    run = resumed(resume, rng, x, labels, saved)
    same(losses(run, 8), right, 5, "saved after step 5, and resumed from that after step 13")


@exercise.check("resumed twice from the same state")
def _(state, resume, rng):
    (x, labels), seed = pictures(rng), int(rng.integers(1000))
    run = Run(x, labels, seed)
    right = losses(Run(x, labels, seed), 14)[6:]
    losses(run, 6)
    saved = saved_by(state, run)
    losses(resumed(resume, rng, x, labels, saved), 8)
    run = resumed(resume, rng, x, labels, saved)
    same(losses(run, 8), right, 6, "saved after step 6, and resumed from that for the second time")


exercise.mistake(
    "the velocity is forgotten: the resumed run starts from rest",
    '"v": run.v.copy(), ',
    "",
    '("w", "v", "order")',
    '("w", "order")',
)
exercise.mistake(
    "the generator is forgotten: the resumed run drops other inputs and shuffles in another way",
    ', "rng": run.rng.bit_generator.state}',
    "}",
    '    run.rng.bit_generator.state = saved["rng"]\n',
    "",
)
exercise.mistake(
    "the order of the pictures is forgotten: the rest of this epoch trains on other pictures than it should",
    ', "order": run.order.copy()',
    "",
    '("w", "v", "order")',
    '("w", "v")',
)
exercise.mistake(
    "the place in the epoch is forgotten: the resumed run starts the epoch again",
    ' "place": run.place,',
    "",
    '"place", ',
    "",
)
exercise.mistake(
    "the learning rate is forgotten: after it has fallen, the resumed run goes back to the one of the beginning",
    '"lr": run.lr, ',
    "",
    '"lr", ',
    "",
)
exercise.mistake(
    "the best loss so far is forgotten: to the resumed run every loss looks good, and its learning rate falls too late",
    '"best": run.best, ',
    "",
    '"best", ',
    "",
)
exercise.mistake(
    "the sum of the losses of this epoch is forgotten: it decides at the end of the epoch whether the learning rate falls",
    ', "total": run.total}',
    "}",
    '"place", "total")',
    '"place")',
)
exercise.mistake(
    "float32 has half of the digits of these weights; save them as they are",
    '"w": run.w.copy()',
    '"w": run.w.astype(np.float32).astype(np.float64)',
)
exercise.mistake(
    "what was saved changes while the run goes on: its steps change w and v in place, so the state needs copies of them",
    '{"w": run.w.copy(), "v": run.v.copy()',
    '{"w": run.w, "v": run.v',
)
exercise.mistake(
    "the resumed run trains on the arrays of the saved state, and changes them; give it copies",
    "setattr(run, name, saved[name].copy())",
    "setattr(run, name, saved[name])",
)

exercise.hints(
    "Go through what __init__ sets: everything that step or end_epoch changes has to be saved. What would the next steps do "
    "differently if it had its first value?",
    "Two runs that should be alike can be compared: for name in vars(a): print(name, vars(a)[name], vars(b)[name]).",
    "There are eight: w, v, order (arrays, to be copied in both functions), lr, best, place, total (numbers), and the "
    "generator's state. A run's w and v are changed in place by every step.",
)


def state_in_a_file(run):
    """Through a checkpoint of tinynet: what it writes is what it reads."""
    numbers = {name: value for name, value in vars(run).items() if isinstance(value, (int, float))}
    arrays = {name: value for name, value in vars(run).items() if isinstance(value, np.ndarray)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / checkpoint.NAME
        checkpoint.save(path, arrays, {**numbers, "rng": run.rng.bit_generator.state})
        arrays, rest = checkpoint.load(path)
    return {**arrays, **rest}


exercise.library(state=state_in_a_file, resume=resume)
