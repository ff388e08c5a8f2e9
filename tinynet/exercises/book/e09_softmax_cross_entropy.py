"""Softmax cross-entropy and its gradient.

The last layer gives a number, a logit, for each class. Softmax turns a row z of logits into probabilities,
p_c = e^(z_c) / sum_k e^(z_k), and the loss of that row is -log p of the right class. The paper averages the logarithms over
all training cases (section 3.5); here each row keeps its own loss, so that its gradient dy has one number a row.

The gradient with respect to z turns out to be as simple as a gradient can be. Derive it before you look it up. And mind
logits of 1000: e^1000 is infinite, but the loss is not.
"""

import numpy as np

import tinynet
from tinynet.exercises.checks import by_the_tape, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.ops.losses import cross_entropy
from tinynet.tape import record
from tinynet.tensor import tensor

exercise = Exercise(chapter=3, minutes=30, difficulty=3, compare="tinynet/ops/losses.py")


@exercise.solution
def cross_entropy_forward(z, labels):
    """The loss of each row: -log softmax(z)[row, labels[row]].

    z: (N, C) logits. labels: (N,) integers, the right class of each row. Returns (N,).
    """
    shifted = z - z.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(z)), labels]


@exercise.solution
def cross_entropy_backward(dy, z, labels):
    """The gradient with respect to z, for the gradient dy (N,) of the losses. Returns (N, C)."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(z)), labels] -= 1
    return p * dy[:, None]


def losses(z, labels):
    """The formula, in the most direct way."""
    return np.array([np.log(np.exp(row).sum()) - row[label] for row, label in zip(z, labels, strict=True)])


def drawn(rng):
    n, c = int(rng.integers(3, 6)), int(rng.integers(6, 9))
    return 2 * rng.normal(size=(n, c)), rng.integers(c, size=n)


@exercise.check("two rows by hand")
def _(cross_entropy_forward, rng):
    z = np.array([[0.0, 0.0, 0.0, 0.0], [np.log(3.0), 0.0, 0.0, 0.0]])
    expect(
        cross_entropy_forward(z, np.array([2, 0])), [np.log(4.0), np.log(2.0)], "losses of z = [0 0 0 0] and [log 3, 0 0 0]"
    )


@exercise.check("losses of random logits")
def _(cross_entropy_forward, rng):
    z, labels = drawn(rng)
    expect(cross_entropy_forward(z, labels), losses(z, labels), "losses")


@exercise.check("large logits: finite losses")
def _(cross_entropy_forward, rng):
    z = np.array([[1000.0, 999, 0, 0, 0], [-1000, -1000, -1000, -1000, -1000], [1000, 0, 0, 0, 0], [1000, 0, 0, 0, 0]])
    losses = cross_entropy_forward(z, np.array([2, 0, 0, 1]))
    expect(losses, [1000 + np.log1p(np.exp(-1)), np.log(5.0), 0.0, 1000.0], "losses of logits of 1000 and less")


@exercise.check("gradient")
def _(cross_entropy_backward, rng):
    z, labels = drawn(rng)
    answer = cross_entropy_backward
    gradients(lambda z: losses(z, labels), [z], lambda dy, z: answer(dy, z, labels), rng, ["z"])


@exercise.check("large logits: finite gradient")
def _(cross_entropy_backward, rng):
    z = np.array([[1000.0, 0, 0, 0, 0], [-1000, -1000, -1000, -1000, -1000], [0, 0, 0, 0, 0]])
    dz = cross_entropy_backward(np.array([2.0, 5.0, 10.0]), z, np.array([1, 2, 3]))
    right = [[2.0, -2.0, 0.0, 0.0, 0.0], [1.0, 1.0, -4.0, 1.0, 1.0], [2.0, 2.0, 2.0, -8.0, 2.0]]
    expect(dz, right, "gradient for logits of 1000, -1000 and 0, dy = [2 5 10]")


exercise.mistake(
    "e^1000 is infinite, and so is this loss: subtract the largest logit of the row first, which changes no probability",
    "shifted = z - z.max(axis=1, keepdims=True)",
    "shifted = z",
)
exercise.mistake(
    "one number is subtracted from all rows, and rows far below it become e^-2000 = 0; each row has a largest of its own",
    "shifted = z - z.max(axis=1, keepdims=True)",
    "shifted = z - z.max()",
)
exercise.mistake(
    "the probability of the right class is rounded to 0 before its logarithm is taken; log(e^a / s) is a - log(s), "
    "without e^a",
    "    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(z)), labels]",
    "    p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)\n    return -np.log(p[np.arange(len(z)), labels])",
)
exercise.mistake(
    "the softmax is taken over the batch, axis 0; the probabilities of a row are those of its classes, so along axis 1",
    "    shifted = z - z.max(axis=1, keepdims=True)\n"
    "    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(z)), labels]",
    "    p = np.exp(z - z.max(axis=0))\n    p /= p.sum(axis=0)\n    return -np.log(p[np.arange(len(z)), labels])",
)
exercise.mistake(
    "this is one mean over the batch; here every row keeps its own loss",
    "return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(z)), labels]",
    "return (np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(z)), labels]).mean()",
)
exercise.mistake(
    "the logarithm of a probability is negative, the loss is minus that",
    "return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(z)), labels]",
    "return shifted[np.arange(len(z)), labels] - np.log(np.exp(shifted).sum(axis=1))",
)
exercise.mistake(
    "e^1000 is infinite, and infinite / infinite no gradient: subtract the largest logit of the row before exp",
    "np.exp(z - z.max(axis=1, keepdims=True))",
    "np.exp(z)",
)
exercise.mistake(
    "one number is subtracted from all rows, and rows far below it become 0 / 0; each row has a largest logit of its own",
    "np.exp(z - z.max(axis=1, keepdims=True))",
    "np.exp(z - z.max())",
)
exercise.mistake(
    "this softmax is taken over the batch, axis 0; a row's probabilities are its own, so maximum and sum are along axis 1",
    "np.exp(z - z.max(axis=1, keepdims=True))",
    "np.exp(z - z.max(axis=0))",
    "p /= p.sum(axis=1, keepdims=True)",
    "p /= p.sum(axis=0)",
)
exercise.mistake(
    "the sum of the exponentials runs over the batch; a row's probabilities are its own, so sum over the classes, axis 1",
    "p /= p.sum(axis=1, keepdims=True)",
    "p /= p.sum(axis=0, keepdims=True)",
)
exercise.mistake(
    "the sum of the exponentials runs over everything; each row has a sum of its own, along axis 1",
    "p /= p.sum(axis=1, keepdims=True)",
    "p /= p.sum()",
)
exercise.mistake(
    "these are the probabilities; the gradient is 1 lower at the right class of each row",
    "    p[np.arange(len(z)), labels] -= 1\n",
    "",
)
exercise.mistake("dy is not multiplied in: each row's loss is weighted by what comes from above", "p * dy[:, None]", "p")
exercise.mistake(
    "this is the average over the batch; here every row keeps its own loss, and 1/N comes in with dy",
    "p * dy[:, None]",
    "p * dy[:, None] / len(z)",
)
exercise.mistake(
    "1 is taken from every class; only the right class of each row is one in the one-hot vector",
    "p[np.arange(len(z)), labels] -= 1",
    "p -= 1",
)
exercise.mistake(
    "p[:, labels] is every row at the labels of all rows; pair each row with its own: p[np.arange(N), labels]",
    "p[np.arange(len(z)), labels] -= 1",
    "p[:, labels] -= 1",
)
exercise.mistake("the sign is wrong: the loss falls where the right logit grows", "p * dy[:, None]", "-p * dy[:, None]")

exercise.hints(
    "-log p_y = log(sum_k e^(z_k)) - z_y. Differentiate the two terms one by one.",
    "The first term gives p_c for every class, the second -1 for the right class: dz = (p - onehot) times dy of "
    "the row. For "
    "the loss, subtract each row's largest logit before exp.",
    "p = np.exp(z - z.max(axis=1, keepdims=True)); p /= p.sum(axis=1, keepdims=True); then 1 comes off at "
    "[np.arange(N), labels], and each row is multiplied by its dy.",
)

exercise.library(
    cross_entropy_forward=lambda z, labels: cross_entropy(tensor(z), labels, "none").numpy(),
    cross_entropy_backward=lambda dy, z, labels: by_the_tape(lambda z: cross_entropy(z, labels, "none"), dy, z)[0],
)


@exercise.takes_the_place
def _(cross_entropy_forward, cross_entropy_backward):
    def mean_loss(logits, labels):
        z, n = logits.data, len(labels)
        share = np.full(n, 1 / n, z.dtype)

        def backward(g):
            return (cross_entropy_backward(g * share, z, labels),)

        return record("cross_entropy", cross_entropy_forward(z, labels).mean(), (logits,), backward)

    return [(tinynet, "cross_entropy", mean_loss)]
