"""What the answer depends on.

So far gradients went to the weights. They can go on, to the picture: the gradient of one class's score with respect to the
pixels says how the score would change if a pixel did. Where it is large, a small change changes the score most.

The score is the class's logit, the number before softmax. (The probability of a class also rises when the others fall, and
is flat where the network is sure; its gradient shows less.) For a picture to look at, take at each pixel the largest
magnitude of its three colours: Simonyan and others, who did this in 2013, call that a saliency map.

The network is small: logits = w2 relu(conv(x, w1) + b1) + b2, where the maps behind relu are laid out in a row. The backward
pass of its convolution with respect to x is given.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.ops.activations import relu
from tinynet.ops.arithmetic import linear
from tinynet.ops.convolution import conv2d
from tinynet.tensor import tensor

exercise = Exercise(chapter=14, minutes=20, difficulty=3, compare="tinynet/tape.py")


@exercise.given
def conv(x, w):
    """x (C, H, W), w (F, C, K, K) -> (F, H - K + 1, W - K + 1)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(1, 2))
    return np.tensordot(w, windows, axes=((1, 2, 3), (0, 3, 4)))


@exercise.given
def conv_input_gradient(dy, w):
    """The gradient with respect to x of conv(x, w), for the gradient dy of its result."""
    k = w.shape[2]
    return conv(np.pad(dy, ((0, 0), (k - 1, k - 1), (k - 1, k - 1))), w.swapaxes(0, 1)[:, :, ::-1, ::-1])


@exercise.solution
def class_gradient(x, w1, b1, w2, c):
    """The gradient of logit c with respect to the picture. b2 is not needed.

    x: (3, H, W). w1: (F, 3, K, K). b1: (F,). w2: (classes, F (H - K + 1) (W - K + 1)). c: a class, an integer.
    Returns (3, H, W).
    """
    z = conv(x, w1) + b1[:, None, None]
    dz = w2[c].reshape(z.shape) * (z > 0)
    return conv_input_gradient(dz, w1)


@exercise.solution
def saliency(dx):
    """At each pixel the largest magnitude of its three colours. dx: (3, H, W). Returns (H, W)."""
    return np.abs(dx).max(axis=0)


def logits(x, w1, b1, w2):
    return w2 @ np.maximum(conv(x, w1) + b1[:, None, None], 0).ravel()


def drawn(rng):
    """Picture, weights, and biases: the first turns the most negative unit of its map on, the second turns weak ones off."""
    x, w1 = rng.normal(size=(3, 4, 5)), rng.normal(size=(2, 3, 3, 3))
    first, second = conv(x, w1)
    return x, w1, np.array([-1.2 * first.min(), -0.5 * second.max()]), 0.1 * rng.normal(size=(4, 2 * 2 * 3))


@exercise.check("one pixel by hand")
def _(class_gradient, rng):
    x, w1 = np.array([1.0, 2.0, 3.0]).reshape(3, 1, 1), np.array([[1.0, 0.0, -0.25], [-1.0, 1.0, -1.0]]).reshape(2, 3, 1, 1)
    dx = class_gradient(x, w1, np.zeros(2), np.array([[10.0, 100.0], [20.0, 500.0], [0.0, 0.0]]), 1)
    what = "dx of logit 1 for one pixel (1 2 3), whose maps before relu are 0.25 and -2, with weights 20 and 500 for logit 1"
    expect(dx, np.array([20.0, 0.0, -5.0]).reshape(3, 1, 1), what)


@exercise.check("gradient of a class")
def _(class_gradient, rng):
    x, w1, b1, w2 = drawn(rng)
    c = int(rng.integers(1, 4))

    def score(x):
        return logits(x, w1, b1, w2)[c : c + 1]

    gradients(score, [x], lambda dy, x: dy * class_gradient(x, w1, b1, w2, c), rng, ["x"])


@exercise.check("saliency by hand")
def _(saliency, rng):
    dx = np.array([[[1.0, -5.0]], [[-3.0, 4.0]], [[2.0, 0.0]]])
    expect(saliency(dx), [[3.0, 5.0]], "saliency for two pixels, red [1 -5], green [-3 4], blue [2 0]")


@exercise.check("saliency of a picture")
def _(saliency, rng):
    dx = rng.normal(size=(3, 4, 5))
    right = [[max(abs(float(v)) for v in dx[:, y, x]) for x in range(5)] for y in range(4)]
    expect(saliency(dx), right, "saliency for dx (3, 4, 5)")


exercise.mistake(
    "this is the gradient of a probability; asked is that of the logit itself, before softmax",
    "    dz = w2[c].reshape(z.shape)",
    "    p = w2 @ np.maximum(z, 0).ravel()\n    p = np.exp(p - p.max()) / np.exp(p - p.max()).sum()\n"
    "    dz = (p[c] * (w2[c] - p @ w2)).reshape(z.shape)",
)
exercise.mistake(
    "this is the gradient of the loss for class c; asked is that of its logit alone",
    "    dz = w2[c].reshape(z.shape)",
    "    p = w2 @ np.maximum(z, 0).ravel()\n    p = np.exp(p - p.max()) / np.exp(p - p.max()).sum()\n"
    "    dz = (p @ w2 - w2[c]).reshape(z.shape)",
)
exercise.mistake(
    "relu is forgotten on the way back: where its input was negative, nothing of the picture gets through", " * (z > 0)", ""
)
exercise.mistake(
    "this asks for the sign of the gradient; relu lets through what was positive on the way forward",
    " * (z > 0)",
    " * (w2[c].reshape(z.shape) > 0)",
)
exercise.mistake(
    "the biases are forgotten: they decide with the convolution which units of relu are on", " + b1[:, None, None]", ""
)
exercise.mistake(
    "this is the gradient of the sum of all logits; only class c counts",
    "w2[c].reshape(z.shape)",
    "w2.sum(axis=0).reshape(z.shape)",
)
exercise.mistake(
    "the magnitudes are missing: a pixel whose change would lower the score is looked at as well", "np.abs(dx)", "dx"
)
exercise.mistake("this is the mean of the three colours; take the largest", ".max(axis=0)", ".mean(axis=0)")
exercise.mistake("this is the sum of the three colours; take the largest", ".max(axis=0)", ".sum(axis=0)")

exercise.hints(
    "Write the forward pass in three steps: z = conv(x, w1) + b1; h = relu(z); logit c = w2[c] times h laid out in a row. "
    "Then go back through them, beginning with d logit / d h, which is w2[c].",
    "dh is w2[c] in the shape of h; dz is dh where z > 0 and 0 elsewhere; dx is conv_input_gradient(dz, w1).",
)


def by_the_library(x, w1, b1, w2, c):
    def logit(x):
        maps = relu(conv2d(x, tensor(w1), tensor(b1)))
        return linear(maps.flatten(1), tensor(w2))[:, c]

    return by_the_tape(logit, np.ones(1), x[None])[0][0]


exercise.library(class_gradient=by_the_library, saliency=lambda dx: abs_of(dx).max(axis=0).numpy())


def abs_of(dx):
    """The magnitude as relu(x) + relu(-x)."""
    return relu(tensor(dx)) + relu(tensor(-dx))
