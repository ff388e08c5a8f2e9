"""The paper's update rule.

Section 5 of the paper updates a weight w and its velocity v in every step like this, with learning rate lr and gradient g:

    v <- 0.9 v - 0.0005 lr w - lr g
    w <- w + v

The learning rate is inside of the velocity. Many frameworks keep it outside, v <- 0.9 v + g and w <- w - lr v, which is the
same until somebody lowers the learning rate: then the paper's velocity goes on at its old speed for some ten steps.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_parts
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.optim import SGD
from tinynet.tensor import tensor

exercise = Exercise(chapter=4, minutes=10, difficulty=1, compare="tinynet/optim.py")


@exercise.solution
def sgd_step(w, v, g, lr, momentum=0.9, weight_decay=0.0005):
    """One step: returns the new (w, v), two new arrays.

    w, v, g: weight, velocity and gradient, arrays of one shape. lr, momentum, weight_decay: numbers.
    """
    v = momentum * v - weight_decay * lr * w - lr * g
    return w + v, v


@exercise.check("one step by hand")
def _(sgd_step, rng):
    w, v = expect_parts(sgd_step(np.array([2.0]), np.array([1.0]), np.array([3.0]), 0.1, 0.5, 0.25), "w", "v")
    expect(v, [0.5 - 0.05 - 0.3], "the velocity for w = 2, v = 1, g = 3, lr = 0.1, momentum 0.5, decay 0.25")
    expect(w, [2.15], "the weight for w = 2, v = 1, g = 3, lr = 0.1, momentum 0.5, decay 0.25")


@exercise.check("three steps with the paper's numbers, the learning rate lowered before the last")
def _(sgd_step, rng):
    w, v = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    right_w, right_v = w.copy(), v.copy()
    for step, lr in enumerate((0.01, 0.01, 0.001), 1):
        g = rng.normal(size=w.shape)
        w, v = expect_parts(sgd_step(w, v, g, lr), "w", "v")
        right_v = 0.9 * right_v - 0.0005 * lr * right_w - lr * g
        right_w = right_w + right_v
        expect(v, right_v, f"the velocity after step {step}", rtol=1e-12)
        expect(w, right_w, f"the weight after step {step}", rtol=1e-12)


@exercise.check("weight decay alone, and momentum alone")
def _(sgd_step, rng):
    w, zero = rng.normal(size=4), np.zeros(4)
    shrunk, _ = expect_parts(sgd_step(w, zero, zero, 0.1, 0.9, 0.5), "w", "v")
    expect(shrunk, 0.95 * w, "without a gradient the weight shrinks by lr * decay: w")
    moved, _ = expect_parts(sgd_step(w, w, zero, 0.1, 0.9, 0.0), "w", "v")
    expect(moved, 1.9 * w, "without gradient and decay the weight coasts: w")


exercise.mistake(
    "this is the form of other frameworks, with lr outside of the velocity; the paper's lr is in the velocity",
    "momentum * v - weight_decay * lr * w - lr * g\n    return w + v, v",
    "momentum * v + weight_decay * w + g\n    return w - lr * v, v",
)
exercise.mistake(
    "lr is outside of the velocity, which the paper's is not: there a lower lr slows only what is added from then on",
    "momentum * v - weight_decay * lr * w - lr * g\n    return w + v, v",
    "momentum * v - weight_decay * w - g\n    return w + lr * v, v",
)
exercise.mistake(
    "the velocity has the other sign; in the paper the gradient is subtracted in it, and it is added to the weight",
    "momentum * v - weight_decay * lr * w - lr * g\n    return w + v, v",
    "momentum * v + weight_decay * lr * w + lr * g\n    return w - v, v",
)
exercise.mistake(
    "the weight decay is taken from the weight itself; the paper's is a part of the velocity",
    "momentum * v - weight_decay * lr * w - lr * g\n    return w + v, v",
    "momentum * v - lr * g\n    return w - weight_decay * lr * w + v, v",
)
exercise.mistake(
    "the weight decays after the update; the decay is a part of the velocity, and made of the weight before it",
    "momentum * v - weight_decay * lr * w - lr * g\n    return w + v, v",
    "momentum * v - lr * g\n    return (w + v) * (1 - weight_decay * lr), v",
)
exercise.mistake("the weight decay is forgotten", "momentum * v - weight_decay * lr * w - lr * g", "momentum * v - lr * g")
exercise.mistake("the gradient is not multiplied by lr", "- lr * g", "- g")
exercise.mistake(
    "the gradient is averaged into the velocity; the paper adds all of it", "- lr * g", "- (1 - momentum) * lr * g"
)
exercise.mistake(
    "the weight moves against its velocity; the minus signs are in the velocity", "return w + v, v", "return w - v, v"
)
exercise.mistake(
    "momentum and decay are fixed; take those that the caller gives", "momentum * v - weight_decay *", "0.9 * v - 0.0005 *"
)
exercise.mistake("the weight decay is not multiplied by lr", "weight_decay * lr * w", "weight_decay * w")
exercise.mistake(
    "the weight decay has the wrong sign: it must pull the weight towards zero",
    "- weight_decay * lr * w",
    "+ weight_decay * lr * w",
)
exercise.mistake(
    "the weight moves by the velocity of the step before; it moves by the new one",
    "v = momentum",
    "old, v = v, momentum",
    "return w + v, v",
    "return w + old, v",
)
exercise.mistake("the gradient is followed uphill: its sign is wrong", "- lr * g", "+ lr * g")
exercise.mistake("the results are in the other order: the new weight comes first", "return w + v, v", "return v, w + v")

exercise.hints(
    "Two lines, as in the statement. The second uses the velocity that the first has made.",
    "v_new = momentum * v - ... - ...; then return w + v_new and v_new. Make new arrays: += would change the caller's.",
)


def by_the_optimiser(w, v, g, lr, momentum=0.9, weight_decay=0.0005):
    parameter = tensor(w, requires_grad=True)
    optimizer = SGD([parameter], lr, momentum, weight_decay)
    optimizer.velocity(parameter)[...] = v
    parameter.grad = g
    optimizer.step()
    return parameter.data, optimizer.velocity(parameter)


exercise.library(sgd_step=by_the_optimiser)


@exercise.takes_the_place
def _(sgd_step):
    def sgd(weight, velocity, gradient, lr, momentum, weight_decay):
        weight[...], velocity[...] = sgd_step(weight, velocity, gradient, lr, momentum, weight_decay)

    return [(cpu, "sgd", sgd)]
