"""When to lower the learning rate.

The authors of AlexNet divided the learning rate by 10 whenever the validation error stopped improving, which they saw with
their own eyes: 0.01 at first, and three divisions in some 90 epochs (section 5). Write the rule that does it for them.

An epoch improves if its error is lower than the best so far by more than 1 % of that best: a smaller difference is noise.
The very first epoch always improves. An epoch that improves sets the best and ends the waiting. Any other leaves the best as
it is, and is one epoch of waiting; `patience` of them in a row are allowed. One more, and the learning rate is divided by
10. Then the waiting begins anew, but the best is kept. After `drops` divisions the rate stays as it is.

With patience 2, the errors 60, 50, 51, 52, 49.8 are an improvement, another one, and three epochs of waiting: 49.8 is lower
than 50, but not by 1 %. So the rate is divided after the fifth.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_type, require
from tinynet.exercises.exercise import Exercise
from tinynet.exercises.words import plural
from tinynet.optim import SGD, ReduceLROnPlateau
from tinynet.tensor import tensor

exercise = Exercise(chapter=4, minutes=20, difficulty=2, compare="tinynet/optim.py")


@exercise.solution
def learning_rates(errors, lr=0.01, patience=5, drops=3):
    """The learning rate that each epoch leaves to the next one: a list of numbers, as long as errors.

    errors: the validation error after every epoch, in %, above 0. lr: the rate of the first epoch. patience: how many epochs
    in a row may pass without improvement before the rate is divided by 10. drops: how often it may be divided.
    """
    best, waited, rates = np.inf, 0, []
    for error in errors:
        if error < 0.99 * best:
            best, waited = error, 0
        else:
            waited += 1
            if waited > patience and drops > 0:
                lr, waited, drops = lr / 10, 0, drops - 1
        rates.append(lr)
    return rates


def judge(learning_rates, errors, *how, divided, lr=0.01):
    """divided: the epochs, counted from 1, after which the rate is divided."""
    right = [lr / 10 ** sum(epoch <= k for epoch in divided) for k in range(1, len(errors) + 1)]
    found = learning_rates(errors, lr, *how)
    shown = "errors " + " ".join(f"{error:g}" for error in errors) if len(errors) < 15 else f"{len(errors)} errors"
    expect_type(found, (list, tuple, np.ndarray), "a list of numbers")
    require(len(found) == len(errors), f"{plural(len(found), 'rate')} for {len(errors)} errors; expected one for each")
    expect(found, right, f"the rates after the {shown}" + (f", patience {how[0]}" if how else ""))


@exercise.check("the errors of the statement")
def _(learning_rates, rng):
    judge(learning_rates, [60.0, 50.0, 51.0, 52.0, 49.8], 2, divided=[5])


@exercise.check("waiting in a row: an improvement begins it anew")
def _(learning_rates, rng):
    judge(learning_rates, [60.0, 60, 60, 50, 50, 50, 40, 40, 40, 40, 30, 30, 30, 30], 2, divided=[10, 14])


@exercise.check("the best so far, not the epoch before")
def _(learning_rates, rng):
    judge(learning_rates, [50.0, 60.0, 58.0, 56.0, 54.0, 52.0, 51.0, 50.5, 49.9, 49.8, 49.7], 3, divided=[5, 9])


@exercise.check("a slow and steady fall is an improvement, once it comes to 1 %")
def _(learning_rates, rng):
    errors = 80 * 0.996 ** np.arange(30)
    errors[2::3] *= 1.05  # and every third epoch is a bad one
    judge(learning_rates, errors.tolist(), 2, divided=[])


@exercise.check("lower by a hair, by a little less than 1 %, and by exactly 1 %: no improvement")
def _(learning_rates, rng):
    judge(learning_rates, [50.0, 49.9999, 49.9998, 49.9997, 49.9996], 2, divided=[4])
    judge(learning_rates, [100.0, 99.005, 99.004], 1, divided=[3])
    judge(learning_rates, [100.0, 99.0, 99.0], 1, divided=[3])


@exercise.check("1 % of a small error is a small step")
def _(learning_rates, rng):
    judge(learning_rates, [20.0, 19.7, 19.4, 19.1, 18.8, 18.5], 1, divided=[])


@exercise.check("three divisions and no more, from any rate")
def _(learning_rates, rng):
    lr = float(rng.uniform(0.1, 0.9))
    judge(learning_rates, [45.0] * 30, 4, divided=[6, 11, 16], lr=lr)
    judge(learning_rates, [45.0] * 9, 0, 5, divided=[2, 3, 4, 5, 6], lr=lr)


@exercise.check("without being told: patience 5, three divisions")
def _(learning_rates, rng):
    noise = rng.uniform(-0.2, 0.2, size=40)
    judge(learning_rates, [70.0, 60.0, *(50 + noise)], divided=[9, 15, 21])


exercise.mistake(
    "the error is compared with that of the epoch before; compare it with the best so far",
    "best, waited = error, 0",
    "waited = 0",
    "        rates.append(lr)",
    "        best = error\n        rates.append(lr)",
)
exercise.mistake("every lower error counts, even by a hair; only one that is lower by 1 % does", "0.99 * best", "best")
exercise.mistake(
    "1 % of the best is meant, not one percentage point",
    "error < 0.99 * best",
    "error < best - 1",
)
exercise.mistake(
    "the best is lowered by epochs that do not improve, too; then a slow fall never comes to 1 %",
    "            waited += 1\n",
    "            best = min(best, error)\n            waited += 1\n",
)
exercise.mistake(
    "the waiting is not begun anew after a division, so that the very next epoch divides again",
    "lr, waited, drops = lr / 10, 0, drops - 1",
    "lr, drops = lr / 10, drops - 1",
)
exercise.mistake(
    "the waiting is not begun anew after an improvement; only epochs in a row count",
    "best, waited = error, 0",
    "best = error",
)
exercise.mistake(
    "one epoch too early: `patience` epochs of waiting are allowed, the next one divides",
    "waited > patience",
    "waited >= patience",
)
exercise.mistake("one division too many: `drops` of them are allowed", "drops > 0", "drops >= 0")
exercise.mistake("the patience is fixed; take the one that the caller gives", "waited > patience", "waited > 5")
exercise.mistake(
    "after a division the error at hand becomes the best, though it is none; the best is kept",
    "lr, waited, drops = lr / 10, 0, drops - 1",
    "lr, waited, drops, best = lr / 10, 0, drops - 1, error",
)
exercise.mistake(
    "1 % of the error at hand is taken; the margin is 1 % of the best", "error < 0.99 * best", "best - error > 0.01 * error"
)
exercise.mistake("exactly 1 % is not more than 1 %", "error < 0.99 * best", "error <= 0.99 * best")
exercise.mistake("the rate is divided without end; after `drops` divisions it stays", " and drops > 0", "")
exercise.mistake(
    "these are the rates that the epochs had; asked for is what each leaves to the next",
    "    for error in errors:\n",
    "    for error in errors:\n        rates.append(lr)\n",
    "        rates.append(lr)\n    return",
    "    return",
)
exercise.mistake(
    "the best is forgotten after a division, so that any error counts as an improvement then",
    "lr, waited, drops = lr / 10, 0, drops - 1",
    "lr, waited, drops, best = lr / 10, 0, drops - 1, np.inf",
)

exercise.mistake(
    "the first epoch is counted as waiting; whatever its error, it improves: begin with a best that anything is below, "
    "np.inf",
    "best, waited, rates = np.inf",
    "best, waited, rates = errors[0]",
)

exercise.hints(
    "Three things must be remembered from epoch to epoch: the best error, for how many epochs one has waited, and the "
    "rate. With "
    "which best does the first epoch improve, whatever its error?",
    "best = np.inf, waited = 0. An epoch improves if error < 0.99 * best: then best = error and waited = 0. Otherwise "
    "waited "
    "grows by 1.",
    "After waited has grown: if waited > patience and drops > 0, divide lr by 10, set waited to 0 and take 1 from drops. In "
    "every epoch append lr to the list, at the end.",
)


def _by_the_schedule(errors, lr=0.01, patience=5, drops=3):
    optimizer, rates = SGD([tensor(np.zeros(1), requires_grad=True)], lr), []
    schedule = ReduceLROnPlateau(optimizer, patience=patience, drops=drops)
    for error in errors:
        schedule.step(error)
        rates.append(optimizer.lr)
    return rates


exercise.library(learning_rates=_by_the_schedule)
