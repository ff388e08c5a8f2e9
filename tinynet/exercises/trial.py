"""`try`: train a small AlexNet with the learner's function in place of the library's, and show both losses.

A process of its own: `python -m tinynet.exercises.trial NAME FILE STEPS`.
"""

import contextlib
import inspect
import sys
from functools import partial, wraps
from itertools import count as naturals
from itertools import islice
from pathlib import Path

import numpy as np

import tinynet as tn
from alexnet import AlexNet, find_recipe
from tinynet import data
from tinynet.exercises.child import Refused, load
from tinynet.exercises.exercise import find
from tinynet.exercises.screen import paint, say, tell
from tinynet.exercises.screen import width as columns
from tinynet.exercises.words import listed

SIZES = dict(classes=4, width=0.1, image_size=56, dropout=0.0)  # without dropout it learns in seconds
BATCH, LINES = 16, 12


def main(name, path, steps):
    """Train; returns the exit code: 0 if both losses stay together, 1 if not, 3 for a stub."""
    exercise, called = find(name), set()
    try:
        functions, guard = load(exercise, path)
    except Refused as refused:
        tell(str(refused), "red")
        return 1
    for key, function in functions.items():  # they may call each other by their names in the file
        space = inspect.unwrap(function).__globals__
        space[key] = noted(key, space[key], called)
    place = placed(exercise, functions, called)
    names = ", ".join(f"{module.__name__}.{what}" for module, what, _ in place)
    sizes = f"{SIZES['image_size']} px pictures, {steps} steps of {BATCH}"
    tell(f"AlexNet, two towers, {sizes}; {names} replaced by yours")
    mine, theirs = Trainer(), Trainer()
    say(f"{'step':>4}  {'library':>9}  {'yours':>9}  {'difference':>10}")
    far, first, yours = 0.0, None, None
    try:
        for step, (x, labels) in enumerate(islice(pictures(), steps), 1):
            library = theirs.step(x, labels)
            yours = mine.step(x, labels, place)
            first = first or library
            far = max(far, abs(yours - library)) if np.isfinite(yours) else np.inf
            if step in (1, steps) or step % max(1, steps // LINES) == 0:
                say(line(step, library, yours, first))
            if not np.isfinite(yours):
                break
    except NotImplementedError:
        say(f"{exercise.name} is not attempted yet; write it first")
        return 3
    except (Exception, SystemExit) as error:
        tell(f"AlexNet stopped in your function: {type(error).__name__}: {error}", "red")
        return 1
    if guard.caught:
        tell(f"your code imports {guard.caught[0]}, so what ran was not yours", "red")
        return 1
    if far < 1e-3 * first:
        alike = f"differ by {far:.1g} at most" if far else "are the same"
        ran = listed([key for key in functions if key in called])
        tell(f"AlexNet learns with your {ran}: the losses {alike}.", "green")
        return 0
    tell(f"the losses part by {far:.2g}: with yours, AlexNet does not learn what it learns with the library's.", "red")
    return 1


def line(step, library, yours, first):
    """A row of the table, with the two losses as bars."""
    room = max(8, columns() - 44)
    numbers = f"{step:4}  {library:9.4f}  {yours:9.4f}  {abs(yours - library):10.1e}  "
    long = 0 if not np.isfinite(yours) else min(room, round(room * yours / (1.25 * first)))
    mark = min(room - 1, round(room * library / (1.25 * first)))
    bar = ("=" * long).ljust(room)
    return numbers + paint(bar[:mark], "blue") + "|" + paint(bar[mark + 1 :].rstrip(), "blue")


class Trainer:
    """A small AlexNet and its optimiser; all start alike."""

    def __init__(self):
        recipe = find_recipe("modern")
        self.model = AlexNet(**SIZES, recipe=recipe, seed=1)
        self.optimizer = recipe.optimizer(self.model)

    def step(self, x, labels, place=()):
        """One step, with the library or with what is put in its place; returns the loss."""
        with replaced(place):
            return self._step(x, labels)

    def _step(self, x, labels):
        loss = tn.cross_entropy(self.model(tn.tensor(x)), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


def pictures(count=320, batch=BATCH):
    """Batches of the pictures that the program draws itself, without end."""
    train, _ = data.synthetic(count, 4, size=64, classes=SIZES["classes"])
    scale = find_recipe("modern").input_scale
    batches = data.Batches(train, batch, SIZES["image_size"], data.mean_image(train), scale)
    for epoch in naturals():
        yield from batches.epoch(epoch)


def placed(exercise, functions, called):
    """[(module, name, what to put there)]; the names of the functions that tinynet then calls go into `called`."""
    return exercise.place(**{name: fitting(noted(name, f, called)) for name, f in functions.items()})


def noted(name, function, called):
    """The function; once it is called, its name is in `called`."""

    @wraps(function)
    def call(*args, **kwargs):
        called.add(name)
        return function(*args, **kwargs)

    return call


def fitting(function):
    """The learner's function, its results in the dtype of its first array: AlexNet computes in float32."""

    @wraps(function)
    def call(*args, **kwargs):
        kind = next((a.dtype for a in args if isinstance(a, np.ndarray) and a.dtype.kind == "f"), None)
        return _cast(function(*args, **kwargs), kind)

    return call


def _cast(result, kind):
    if isinstance(result, (tuple, list)):
        return type(result)(map(partial(_cast, kind=kind), result))
    if kind is not None and isinstance(result, (np.ndarray, np.floating)) and result.dtype.kind == "f":
        return result.astype(kind)
    return result


@contextlib.contextmanager
def replaced(place):
    """Inside, tinynet works with what is in `place`: [(module, name, function)]."""
    before = [(module, name, getattr(module, name)) for module, name, _ in place]
    try:
        for module, name, function in place:
            setattr(module, name, function)
        yield
    finally:
        for module, name, function in before:
            setattr(module, name, function)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
    except KeyboardInterrupt:
        sys.exit(130)
