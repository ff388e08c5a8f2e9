"""A training loop, and the first thing to do with it.

Before you train on a million pictures for a week, train on twenty, until the network knows them by heart. Even labels that
were drawn at random can be learnt by heart. So if the loss does not go to zero, the program is wrong, and it took seconds to
find that out. Do this with a loop of your own.

In each epoch go once through all examples in a new order, rng.permutation(len(x)), in batches of `batch`; the last may be
smaller, and counts. After each batch do the paper's step without weight decay (which is against learning by heart):

    v <- momentum v - lr g         w <- w + v          with v = 0 in the beginning, for every parameter

A network is given. network.gradients(x, labels) returns its mean loss over these examples, and a dict with the gradient for
each name in network.parameters, also a dict, whose arrays you are to change.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_type, note, require
from tinynet.exercises.exercise import Exercise
from tinynet.optim import SGD
from tinynet.tensor import tensor

exercise = Exercise(chapter=13, minutes=25, difficulty=3, compare="tinynet/training/loop.py")


@exercise.given
class Network:
    """relu(x w1 + b1) w2 + b2 -> softmax cross-entropy. x: (N, inputs), labels: (N,) integers."""

    def __init__(self, inputs, hidden, classes, rng):
        self.parameters = {
            "w1": rng.normal(0, (2 / inputs) ** 0.5, (inputs, hidden)),
            "b1": np.zeros(hidden),
            "w2": rng.normal(0, (2 / hidden) ** 0.5, (hidden, classes)),
            "b2": np.zeros(classes),
        }

    def gradients(self, x, labels):
        """The pair of the mean loss and a dict: the name of each parameter -> its gradient."""
        p, rows = self.parameters, np.arange(len(x))
        hidden = np.maximum(x @ p["w1"] + p["b1"], 0)
        logits = hidden @ p["w2"] + p["b2"]
        softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
        softmax /= softmax.sum(axis=1, keepdims=True)
        loss = -np.log(softmax[rows, labels]).mean()
        softmax[rows, labels] -= 1
        dlogits = softmax / len(x)
        dhidden = dlogits @ p["w2"].T * (hidden > 0)
        return loss, {
            "w1": x.T @ dhidden,
            "b1": dhidden.sum(axis=0),
            "w2": hidden.T @ dlogits,
            "b2": dlogits.sum(axis=0),
        }


@exercise.solution
def fit(network, x, labels, epochs, batch, lr, rng, momentum=0.9):
    """Train the network, whose parameters change. Returns a list: the mean loss of the examples of each epoch.

    network: see above. x: (N, inputs). labels: (N,) integers. epochs: how often to go through all of them. batch: examples
    in a step. lr, momentum: numbers. rng: a numpy.random.Generator. An example's loss is the one before its step.
    """
    velocity = {name: np.zeros_like(w) for name, w in network.parameters.items()}
    history = []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        total = 0.0
        for start in range(0, len(x), batch):
            chosen = order[start : start + batch]
            loss, gradients = network.gradients(x[chosen], labels[chosen])
            for name, g in gradients.items():
                velocity[name] = momentum * velocity[name] - lr * g
                network.parameters[name] = network.parameters[name] + velocity[name]
            total += loss * len(chosen)
        history.append(total / len(x))
    return history


class Watched(Network):
    """A network that remembers what it is shown."""

    def __init__(self, *args):
        super().__init__(*args)
        self.shown, self.losses = [], []

    def gradients(self, x, labels):
        self.shown.append((np.array(x), np.array(labels)))
        loss, gradients = super().gradients(x, labels)
        self.losses.append(loss)
        return loss, gradients


N, BATCH, EPOCHS = 20, 6, 2


def trained(fit, rng, epochs=EPOCHS, batch=BATCH, lr=0.05, **how):
    """20 examples with labels drawn at random; the first number of each example tells which it is."""
    x, labels = rng.normal(size=(N, 24)), rng.integers(4, size=N)
    x[:, 0] = np.arange(N) / N
    network = Watched(24, 16, 4, np.random.default_rng(int(rng.integers(1000))))
    before = {name: w.copy() for name, w in network.parameters.items()}
    history = fit(network, x, labels, epochs, batch, lr, np.random.default_rng(int(rng.integers(1000))), **how)
    note([[round(float(row[0] * N)) for row in part] for part, _ in network.shown])
    note(dict(network.parameters))
    expect_type(history, (list, np.ndarray), "a list")
    expect(len(history), epochs, "the number of losses in the list, one an epoch", rtol=0)
    return network, history, before, labels


def _few(sizes):
    return ", ".join(map(str, sizes[:12])) + (", ..." if len(sizes) > 12 else "") if sizes else "(none)"


def _twice(order):
    return next((i for i in order if order.count(i) > 1), "")


@exercise.check("every epoch shows each example once, with its label")
def _(fit, rng):
    network, _, _, labels = trained(fit, rng)
    sizes = [len(part) for part, _ in network.shown]
    require(
        sizes == EPOCHS * [6, 6, 6, 2],
        f"the batches of {EPOCHS} epochs have the sizes {_few(sizes)}; expected 6, 6, 6, 2 in each",
    )
    orders = []
    for epoch in range(EPOCHS):
        parts = network.shown[4 * epoch : 4 * epoch + 4]
        order = [round(float(row[0] * N)) for part, _ in parts for row in part]
        require(
            len(set(order)) == N, f"epoch {epoch + 1} shows example {_twice(order)} more than once, and so misses others"
        )
        told = np.concatenate([label for _, label in parts])
        require(np.array_equal(told, labels[order]), "examples are shown with the labels of other examples")
        orders.append(order)
    require(orders[0] != list(range(N)), "the examples are shown in the order in which they are given")
    require(orders[0] != orders[1], "every epoch shows the examples in the same order")


@exercise.check("every step changes all parameters by the rule")
def _(fit, rng):
    momentum = float(rng.uniform(0.4, 0.6))
    network, _, w, _ = trained(fit, rng, momentum=momentum)
    model, v = Network(1, 1, 1, rng), dict.fromkeys(w, 0.0)
    for part, told in network.shown:  # what the learner's loop did, done again
        model.parameters = w
        _, g = model.gradients(part, told)
        v = {name: momentum * v[name] - 0.05 * g[name] for name in w}
        w = {name: w[name] + v[name] for name in w}
    require(set(w) == set(network.parameters), "network.parameters has other names than before")
    for name in w:
        expect(network.parameters[name], w[name], f"network.parameters[{name!r}] after {len(network.shown)} steps")


@exercise.check("the losses that are returned")
def _(fit, rng):
    network, history, _, _ = trained(fit, rng)
    sums = np.array([loss * len(part) for (part, _), loss in zip(network.shown, network.losses, strict=True)])
    require(
        len(sums) == 4 * EPOCHS,
        f"{EPOCHS} epochs of 20 examples in batches of 6 are {4 * EPOCHS} steps; these are {len(sums)}",
    )
    expect(history, sums.reshape(EPOCHS, 4).sum(axis=1) / N, "the list, the mean loss of the 20 examples of each epoch")


@exercise.check("twenty random labels are learnt by heart")
def _(fit, rng):
    _, history, _, _ = trained(fit, rng, epochs=20, batch=10, lr=0.1)
    require(
        float(history[-1]) < 0.2,
        f"the loss is still {float(history[-1]):.3f} after 20 epochs, where below 0.2 was possible",
    )


exercise.mistake(
    "the labels are taken in the order in which they are given, the examples in another: they do not belong together",
    "labels[chosen])",
    "labels[start : start + batch])",
)
exercise.mistake(
    "the order is drawn only once; draw it inside the loop over the epochs, so that each has another",
    "    for _ in range(epochs):\n        order = rng.permutation(len(x))\n",
    "    order = rng.permutation(len(x))\n    for _ in range(epochs):\n",
)
exercise.mistake(
    "the examples are not shuffled: each epoch begins with the same ones",
    "rng.permutation(len(x))",
    "np.arange(len(x))",
)
exercise.mistake(
    "this draws examples with repetition: an epoch shows some twice and others never; rng.permutation shows each once",
    "rng.permutation(len(x))",
    "rng.integers(len(x), size=len(x))",
)
exercise.mistake(
    "the last batch is left out because it is smaller; its examples count as well",
    "range(0, len(x), batch)",
    "range(0, len(x) - batch + 1, batch)",
)
exercise.mistake(
    "the velocity starts from 0 in every epoch; it goes on from one epoch to the next",
    "        total = 0.0\n",
    "        total = 0.0\n        velocity = {name: np.zeros_like(w) for name, w in network.parameters.items()}\n",
)
exercise.mistake(
    "the learning rate is in the velocity already; here it is multiplied in for a second time",
    "network.parameters[name] + velocity[name]",
    "network.parameters[name] + lr * velocity[name]",
)
exercise.mistake(
    "there is no momentum: the velocity is forgotten at each step", "momentum * velocity[name] - lr * g", "-lr * g"
)
exercise.mistake("this climbs: the step goes against the gradient", "- lr * g", "+ lr * g")
exercise.mistake(
    "the network never changes: w + v makes a new array, which has to be put into network.parameters",
    "                network.parameters[name] = network.parameters[name] + velocity[name]\n",
    "                w = network.parameters[name]\n                w = w + velocity[name]\n",
)
exercise.mistake(
    "this is the mean of the batches' losses; the last batch is smaller, so its loss must count less",
    "            total += loss * len(chosen)\n        history.append(total / len(x))",
    "            total += loss\n        history.append(total / -(-len(x) // batch))",
)
exercise.mistake(
    "this is the loss of the last batch of each epoch, not the mean of all examples",
    "history.append(total / len(x))",
    "history.append(loss)",
)

exercise.hints(
    "Three loops: over the epochs; over the starts of the batches, range(0, len(x), batch); over the parameters. What has "
    "to be made before the first loop, and what at the start of each?",
    "A batch is chosen = order[start : start + batch], and then x[chosen] and labels[chosen]. The last one becomes shorter "
    "by itself.",
    "velocity = {name: np.zeros_like(w) for name, w in network.parameters.items()} before the loops. For the mean over the "
    "examples, add loss * len(chosen) up and divide by len(x).",
)


def by_the_optimiser(network, x, labels, epochs, batch, lr, rng, momentum=0.9):
    weights = {name: tensor(w, requires_grad=True) for name, w in network.parameters.items()}
    network.parameters = {name: w.data for name, w in weights.items()}
    optimizer, history = SGD(weights.values(), lr, momentum, weight_decay=0), []
    for _ in range(epochs):
        losses, order = [], rng.permutation(len(x))
        for chosen in np.split(order, range(batch, len(x), batch)):
            loss, gradients = network.gradients(x[chosen], labels[chosen])
            losses += len(chosen) * [loss]
            for name, w in weights.items():
                w.grad = gradients[name]
            optimizer.step()
        history.append(np.mean(losses))
    return history


exercise.library(fit=by_the_optimiser)
