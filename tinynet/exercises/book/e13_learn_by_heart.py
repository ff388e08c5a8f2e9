"""Two tests before the long training: ln C, and a handful by heart.

Before AlexNet is trained for days, two tests of a second each find most bugs.

The first loss. A network that knows nothing gives each of C classes the probability 1/C, and its loss is -ln(1/C) = ln C:
6.9 for the 1000 classes of AlexNet. If the first loss is larger, the network begins with a firm belief in nonsense.

A handful by heart. A network that is right can learn twenty pictures by heart, even with labels drawn by lot. If it cannot,
something is broken, and more pictures will not mend it.

Write the smallest network that passes both, all by yourself: one layer, z = x @ w + b, from the zeros, trained by plain
gradient descent, w <- w - lr * dw and b <- b - lr * db, on the mean of the cross-entropy over all N examples. With more
numbers to an example than there are examples, it can learn any labels.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_parts, require
from tinynet.exercises.exercise import Exercise
from tinynet.ops.arithmetic import matmul
from tinynet.ops.losses import cross_entropy
from tinynet.optim import SGD
from tinynet.tensor import tensor

exercise = Exercise(
    chapter=4, minutes=25, difficulty=3, compare="tinynet/optim.py",
    after=["e08_matmul_backward", "e09_softmax_cross_entropy", "e11_sgd"],
)  # fmt: skip


@exercise.solution
def learn_by_heart(x, labels, classes, lr=1.0, steps=50):
    """Train from zeros on the same N examples in every step; returns (losses, w, b).

    x: (N, F). labels: (N,) integers from 0 to classes - 1. losses: list of `steps` numbers, each the mean loss before its
    step. w: (F, classes) and b: (classes,) after the last step.
    """
    n = len(x)
    w, b = np.zeros((x.shape[1], classes)), np.zeros(classes)
    losses = []
    for _ in range(steps):
        z = x @ w + b
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        losses.append(-np.log(p[np.arange(n), labels]).mean())
        dz = p / n
        dz[np.arange(n), labels] -= 1 / n
        w = w - lr * (x.T @ dz)
        b = b - lr * dz.sum(axis=0)
    return losses, w, b


def parts(result):
    return expect_parts(result, "losses", "w", "b")


@exercise.check("from the zeros: the first loss is ln C")
def _(learn_by_heart, rng):
    _, w, b = parts(learn_by_heart(rng.normal(size=(3, 4)), np.array([0, 1, 0]), 2, 0.5, 0))
    require(
        not np.any(w) and not np.any(b), "w or b is not 0 after 0 steps; begin with zeros, no random numbers are needed here"
    )
    for classes in (2, 7, 1000):
        losses, _, _ = parts(learn_by_heart(rng.normal(size=(3, 4)), rng.integers(classes, size=3), classes, 0.5, 1))
        expect(
            losses, [np.log(classes)], f"the list of one loss, for {classes} classes (ln {classes} = {np.log(classes):.4f})"
        )


@exercise.check("one step by hand")
def _(learn_by_heart, rng):
    # p = 1/2 everywhere, so dz = [[-1/4 1/4] [1/4 -1/4]]
    _, w, b = parts(learn_by_heart(np.array([[1.0, 0.0, 2.0], [0.0, 4.0, 2.0]]), np.array([0, 1]), 2, 4.0, 1))
    expect(w, [[1.0, -1.0], [-4.0, 4.0], [0.0, 0.0]], "w after one step, x = [[1 0 2] [0 4 2]], labels 0 and 1, lr = 4")
    expect(b, [0.0, 0.0], "b after the same step")


@exercise.check("three steps, more examples of one class than of the other")
def _(learn_by_heart, rng):
    x, labels = rng.normal(size=(5, 4)), np.array([2, 2, 0, 2, 1])
    losses, w, b = parts(learn_by_heart(x, labels, 3, 0.7, 3))
    right_w, right_b, right_losses = np.zeros((4, 3)), np.zeros(3), []
    for _ in range(3):
        loss, dw, db = by_hand(x, labels, right_w, right_b)
        right_losses.append(loss)
        right_w, right_b = right_w - 0.7 * dw, right_b - 0.7 * db
    expect(losses, right_losses, "the losses")
    expect(w, right_w, "w")
    expect(b, right_b, "b")


def by_hand(x, labels, w, b):
    """(loss, dw, db), an example at a time."""
    loss, dw, db = 0.0, np.zeros_like(w), np.zeros_like(b)
    for row, label in zip(x, labels, strict=True):
        e = np.exp(row @ w + b)
        slope = e / e.sum() - np.eye(len(b))[label]
        loss, dw, db = loss - np.log(e[label] / e.sum()), dw + np.outer(row, slope), db + slope
    return loss / len(x), dw / len(x), db / len(x)


@exercise.check("twenty examples with labels drawn by lot, by heart")
def _(learn_by_heart, rng):
    x, labels = rng.normal(size=(20, 40)), rng.integers(5, size=20)
    losses, w, b = parts(learn_by_heart(x, labels, 5))
    expect(len(losses), 50, "the number of losses")
    right = int(((x @ np.asarray(w) + b).argmax(axis=1) == labels).sum())
    require(right == 20, f"{right} of 20 labels are right after 50 steps; a network that works learns all of them by heart")
    require(losses[-1] < 0.1, f"the loss is {losses[-1]:.4g} after 50 steps; it should be below 0.1")


@exercise.check("bright pictures: finite losses")
def _(learn_by_heart, rng):
    x = np.array([[1000.0, 0.0], [0.0, 1000.0], [-1000.0, 0.0]])
    losses, _, _ = parts(learn_by_heart(x, np.array([0, 1, 2]), 3, 1.0, 2))
    expect(losses, [np.log(3), 0.0], "the two losses for numbers of 1000")


@exercise.check("two bright pictures, whose largest logits are alike: finite losses")
def _(learn_by_heart, rng):
    losses, _, _ = parts(learn_by_heart(np.array([[1000.0, 0.0], [0.0, 1000.0]]), np.array([0, 1]), 2, 1.0, 2))
    expect(losses, [np.log(2), 0.0], "the two losses for [1000 0] and [0 1000]")


exercise.mistake(
    "the loss is the sum over the examples; the mean of them is N times smaller, and begins at ln C", ".mean())", ".sum())"
)
exercise.mistake(
    "the gradient is that of the sum of the losses; that of the mean has 1/N in it",
    "dz = p / n\n",
    "dz = p.copy()\n",
    "-= 1 / n",
    "-= 1",
)
exercise.mistake("the loss is climbed: the step goes against the gradient", "w - lr *", "w + lr *", "b - lr *", "b + lr *")
exercise.mistake(
    "one number is subtracted from all rows, and rows far below it become 0 / 0; each row has a largest logit of its own",
    "z - z.max(axis=1, keepdims=True)",
    "z - z.max()",
)
exercise.mistake(
    "db is divided by N twice: 1/N is in dz already, so it is the sum over the examples", "dz.sum(axis=0)", "dz.mean(axis=0)"
)
exercise.mistake("b is forgotten in the logits: z = x @ w + b", "z = x @ w + b", "z = x @ w")
exercise.mistake("b is never trained", "b = b - lr * dz.sum(axis=0)", "pass")
exercise.mistake(
    "the loss is that after the step; the first one, before any step, is the one that tells ln C",
    "        losses.append(-np.log(p[np.arange(n), labels]).mean())\n",
    "",
    "        b = b - lr * dz.sum(axis=0)\n",
    "        b = b - lr * dz.sum(axis=0)\n"
    "        z = x @ w + b\n"
    "        m = z.max(axis=1, keepdims=True)\n"
    "        losses.append((np.log(np.exp(z - m).sum(axis=1)) + m[:, 0] - z[np.arange(n), labels]).mean())\n",
)
exercise.mistake(
    "the weights begin with large numbers: a belief in nonsense before anything was seen, and the first loss is not ln C",
    "np.zeros((x.shape[1], classes)),",
    "3 * np.random.default_rng(0).normal(size=(x.shape[1], classes)),",
)
exercise.mistake(
    "the probabilities are divided by the sum over the examples; each example has its own, so sum along axis 1",
    "p.sum(axis=1, keepdims=True)",
    "p.sum(axis=0, keepdims=True)",
)
exercise.mistake(
    "the 1 of the right class is not taken off: dz is p minus one-hot", "        dz[np.arange(n), labels] -= 1 / n\n", ""
)
exercise.mistake("lr is not used: the steps have a size of their own", "w - lr *", "w - 1.0 *", "b - lr *", "b - 1.0 *")
exercise.mistake(
    "e^1000 is infinite: subtract the largest logit of each row before exp, which changes no probability",
    "np.exp(z - z.max(axis=1, keepdims=True))",
    "np.exp(z)",
)

exercise.hints(
    "Each step is what you have written before: logits, probabilities and loss (e09), the gradient of the logits "
    "(e09), that "
    "of w (e08), and an update (e11, without momentum and decay). The mean over N puts 1/N into the gradient.",
    "dz = (p - onehot) / N, dw = x.T @ dz, db = the sum of dz over the examples. The loss is appended before w and b "
    "change.",
    "p = np.exp(z - z.max(axis=1, keepdims=True)); p /= p.sum(axis=1, keepdims=True); p[np.arange(n), labels] are the "
    "probabilities of the right classes: the mean of minus their logarithms is the loss, and 1 comes off there for dz.",
)


def _by_the_library(x, labels, classes, lr=1.0, steps=50):
    w, b = tensor(np.zeros((x.shape[1], classes)), requires_grad=True), tensor(np.zeros(classes), requires_grad=True)
    optimizer, losses = SGD([w, b], lr, momentum=0.0, weight_decay=0.0), []
    for _ in range(steps):
        loss = cross_entropy(matmul(tensor(x), w) + b, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, w.data, b.data


exercise.library(learn_by_heart=_by_the_library)
