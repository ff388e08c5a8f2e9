"""60 965 224 parameters.

The paper says 60 million. Count them. A convolution has one weight for every element of every kernel, and one bias for every
kernel; where the kernel is applied costs nothing. A fully connected layer is the case of a window of 1 x 1, whose inputs are
single numbers: 256 maps of 6 x 6 give 9216 of them.

What many counts get wrong is section 3.2. The network lies on two GPUs, two towers with half of the kernels each, and conv2,
conv4 and conv5 see only the maps of their own tower: a kernel of conv2 is 5 x 5 x 48, not 5 x 5 x 96. That is called two
groups. Without them one arrives at 62 378 344, a number that is all over the web and belongs to another network.

Then count tower by tower. Each holds half of the kernels of every layer, and what belongs to them; but the last layer, fc8,
lies on the first GPU as a whole. (The authors' program does that; the paper does not say.)
"""

import functools

import numpy as np

from tinynet import nn
from tinynet.exercises.checks import expect, expect_parts
from tinynet.exercises.exercise import Exercise

exercise = Exercise(chapter=11, minutes=15, difficulty=2, after=["e32_shapes"], compare="alexnet.py")


@exercise.given
def weights_of_alexnet():
    """The layers with weights: name, input maps of both towers, kernels of both, side of the window, groups."""
    return [
        ("conv1", 3, 96, 11, 1),
        ("conv2", 96, 256, 5, 2),
        ("conv3", 256, 384, 3, 1),
        ("conv4", 384, 384, 3, 2),
        ("conv5", 384, 256, 3, 2),
        ("fc6", 256 * 6 * 6, 4096, 1, 1),
        ("fc7", 4096, 4096, 1, 1),
        ("fc8", 4096, 1000, 1, 1),
    ]


@exercise.solution
def parameters(inputs, kernels, window, groups):
    """The number of weights and biases of a layer.

    inputs: maps that come in. kernels: maps that go out. window: side of the kernels. groups: maps in and out are cut into
    that many parts, and a kernel sees only the maps of its own part.
    """
    return kernels * (inputs // groups) * window**2 + kernels


@exercise.solution
def towers(layers):
    """The pair (first, second): how many parameters lie on each of the two GPUs.

    layers: a list such as weights_of_alexnet() returns.
    """
    total = [parameters(*sizes) for _, *sizes in layers]
    second = sum(count // 2 for count in total[:-1])
    return sum(total) - second, second


def oracle(inputs, kernels, window, groups):
    """Counted in an array: a kernel has an element for each map and place that it sees, and its bias."""
    return kernels * (np.zeros((inputs // groups, window, window)).size + 1)


@exercise.check("small layers by hand")
def _(parameters, rng):
    expect(parameters(3, 5, 2, 1), 65, "3 maps, 5 kernels of 2 x 2: the number of parameters", rtol=0)
    expect(parameters(6, 4, 1, 1), 28, "6 inputs, 4 neurons: the number of parameters", rtol=0)
    expect(parameters(6, 4, 3, 2), 112, "6 maps, 4 kernels of 3 x 3, 2 groups: the number of parameters", rtol=0)


@exercise.check("other layers, up to three groups")
def _(parameters, rng):
    for groups in (1, 2, 3):
        inputs, kernels = groups * int(rng.integers(4, 9)), groups * int(rng.integers(10, 20))
        window = int(rng.integers(2, 6))
        what = f"{inputs} maps, {kernels} kernels of {window} x {window}, {groups} groups: the number of parameters"
        expect(parameters(inputs, kernels, window, groups), oracle(inputs, kernels, window, groups), what, rtol=0)


@exercise.check("AlexNet")
def _(parameters, rng):
    right = [34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000]
    yours = [parameters(*sizes) for _, *sizes in weights_of_alexnet()]
    for (name, *_), count, expected in zip(weights_of_alexnet(), yours, right, strict=True):
        expect(count, expected, f"{name}: the number of parameters", rtol=0)
    expect(sum(yours), 60_965_224, "AlexNet: the number of parameters", rtol=0)


@exercise.check("the two GPUs")
def _(towers, rng):
    first, second = expect_parts(towers(weights_of_alexnet()), "first", "second")
    expect(first, 32_531_112, "the first GPU: the number of parameters", rtol=0)
    expect(second, 28_434_112, "the second GPU: the number of parameters", rtol=0)


@exercise.check("the two GPUs, half as wide, ten classes")
def _(towers, rng):
    layers = [("conv1", 3, 48, 11, 1), ("conv2", 48, 128, 5, 2), ("conv3", 128, 192, 3, 1), ("conv4", 192, 192, 3, 2)]
    layers += [("conv5", 192, 128, 3, 2), ("fc6", 128 * 36, 2048, 1, 1), ("fc7", 2048, 2048, 1, 1), ("fc8", 2048, 10, 1, 1)]
    halves = [oracle(*sizes) // 2 for _, *sizes in layers[:-1]]
    first, second = expect_parts(towers(layers), "first", "second")
    expect(first, sum(halves) + 20_490, "the first GPU: the number of parameters", rtol=0)
    expect(second, sum(halves), "the second GPU: the number of parameters", rtol=0)


exercise.mistake(
    "the groups are forgotten: a kernel sees only the maps of its own group. That is the web's 62 378 344",
    "(inputs // groups)",
    "inputs",
)
exercise.mistake(
    "the groups are taken out twice; a kernel sees fewer maps, but there are still as many kernels",
    "return kernels * (inputs",
    "return kernels // groups * (inputs",
)
exercise.mistake("the biases are forgotten, one for each kernel", " * window**2 + kernels", " * window**2")
exercise.mistake("there is one bias for each kernel, not for each of its weights or maps", "+ kernels", "+ kernels * inputs")
exercise.mistake("a kernel has window times window elements for each map", "window**2", "window")
exercise.mistake("the last layer is cut in two; fc8 lies on the first GPU as a whole", "in total[:-1])", "in total)")
exercise.mistake(
    "the first and the second are swapped: fc8 lies on the first GPU", "return sum(total) - second, second",
    "return second, sum(total) - second",
)  # fmt: skip
exercise.mistake(
    "fc8 is left out: it lies on the first GPU",
    "return sum(total) - second, second",
    "return second, second",
)

exercise.hints(
    "One kernel of a layer with groups: how many maps does it see, and how many numbers has it for each? And how many "
    "kernels are there?",
    "weights = kernels * (inputs // groups) * window * window. Add one bias a kernel.",
    "A tower has half of the kernels of a layer, and so half of its parameters: all layers but the last are cut in two "
    "equal parts.",
)


class Still(np.random.Generator):
    """A generator that draws zeros: only how many numbers a layer has is asked."""

    def uniform(self, low, high, shape):
        return np.zeros(())


@functools.cache
def by_the_library(inputs, kernels, window, groups):
    still = Still(np.random.PCG64())
    layer = (
        nn.Conv2d(inputs, kernels, window, groups=groups, rng=still) if window > 1 else nn.Linear(inputs, kernels, rng=still)
    )
    return sum(p.size for p in layer.parameters())


def towers_by_the_library(layers):
    """Every layer as its towers have it: half of the kernels, and the maps of the tower itself where there are groups."""
    halves = [
        by_the_library(inputs // groups, kernels // 2, window, 1) for _, inputs, kernels, window, groups in layers[:-1]
    ]
    return sum(halves) + by_the_library(*layers[-1][1:]), sum(halves)


exercise.library(parameters=by_the_library, towers=towers_by_the_library)
