"""What a unit of conv5 sees of the picture.

A unit of conv1 sees 11 pixels in each direction. A unit of pool1 sees three units of conv1, which start 4 pixels apart and
overlap; and so on. The deeper the layer, the larger the part of the picture that one of its numbers depends on: that is its
receptive field. No convolution of AlexNet sees more than 11 x 11 numbers of a map, and yet a unit of conv5 sees most of the
picture.

Rows and columns behave alike, so think of one direction only. A layer is (window, stride, zeros). Its unit i is computed
from the units i s - p to i s - p + k - 1 of the layer below, where k, s and p are window, stride and the number of zeros
before the first unit. So there may be pixels with negative numbers, which stand for zeros: do not cut them off.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_parts
from tinynet.exercises.exercise import Exercise
from tinynet.ops.convolution import conv2d
from tinynet.tensor import tensor

exercise = Exercise(chapter=11, minutes=20, difficulty=3, after=["e32_shapes"])


@exercise.given
def up_to_conv5():
    """The layers of AlexNet from the picture to conv5 as (window, stride, zeros)."""
    return [(11, 4, 0), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1)]


@exercise.solution
def pixels_seen(layers, i):
    """The pair (first, last): the pixels that unit i of the last layer depends on, in one direction.

    layers: a list of (window, stride, zeros), from the picture upwards. i: an integer.
    """
    first = last = i
    for window, stride, zeros in reversed(layers):
        first, last = first * stride - zeros, last * stride - zeros + window - 1
    return first, last


@exercise.solution
def receptive_field(layers):
    """The pair (size, step): how many pixels a unit spans, and how many pixels the fields of neighbours are apart."""
    size = step = 1
    for window, stride, _ in layers:
        size, step = size + (window - 1) * step, step * stride
    return size, step


def judge_seen(pixels_seen, layers, i, right):
    first, last = expect_parts(pixels_seen(layers, i), "first", "last")
    name = "up_to_conv5()" if layers == up_to_conv5() else layers
    expect(first, right[0], f"the first pixel that unit {i} behind {name} sees", rtol=0)
    expect(last, right[1], f"the last pixel that unit {i} behind {name} sees", rtol=0)


def judge_field(receptive_field, layers, right):
    size, step = expect_parts(receptive_field(layers), "size", "step")
    name = "up_to_conv5()" if layers == up_to_conv5() else layers
    expect(size, right[0], f"the size of the field of a unit behind {name}", rtol=0)
    expect(step, right[1], f"how far the fields of neighbours behind {name} are apart", rtol=0)


def spread(layers, i):
    """The pixels that unit i depends on, by collecting all the units on the way."""
    units = {i}
    for window, stride, zeros in layers[::-1]:
        units = {unit * stride - zeros + u for unit in units for u in range(window)}
    return min(units), max(units)


def drawn(rng):
    return [(int(rng.integers(2, 6)), int(rng.integers(1, 4)), int(rng.integers(0, 3))) for _ in range(4)]


@exercise.check("pixels of one and of two layers by hand")
def _(pixels_seen, rng):
    judge_seen(pixels_seen, [(11, 4, 0)], 2, (8, 18))
    judge_seen(pixels_seen, [(4, 3, 1), (3, 2, 0)], 5, (29, 38))


@exercise.check("pixels of a unit of conv5 in the middle and in the corner")
def _(pixels_seen, rng):
    judge_seen(pixels_seen, up_to_conv5(), 6, (32, 194))
    judge_seen(pixels_seen, up_to_conv5(), 0, (-64, 98))


@exercise.check("pixels of other layers")
def _(pixels_seen, rng):
    for _ in range(3):
        layers, i = drawn(rng), int(rng.integers(1, 9))
        judge_seen(pixels_seen, layers, i, spread(layers, i))


@exercise.check("fields of one and of two layers by hand")
def _(receptive_field, rng):
    judge_field(receptive_field, [(11, 4, 0)], (11, 4))
    judge_field(receptive_field, [(4, 3, 1), (3, 2, 0)], (10, 6))


@exercise.check("the field of a unit of conv5")
def _(receptive_field, rng):
    judge_field(receptive_field, up_to_conv5(), (163, 16))


@exercise.check("fields of other layers")
def _(receptive_field, rng):
    for _ in range(3):
        layers = drawn(rng)
        (first, last), (after, _) = spread(layers, 10), spread(layers, 11)
        judge_field(receptive_field, layers, (last - first + 1, after - first))


exercise.mistake(
    "the layers are taken from the picture upwards; to find what a unit sees, go down from it, the last layer first",
    "in reversed(layers):",
    "in layers:",
)
exercise.mistake("the last unit of a window of k is the first plus k - 1", "- zeros + window - 1", "- zeros + window")
exercise.mistake(
    "the zeros are forgotten: the first window starts on them, `zeros` before the first unit",
    "first * stride - zeros, last * stride - zeros",
    "first * stride, last * stride",
)
exercise.mistake(
    "the zeros shift the window to the wrong side: they lie before the first unit, so it starts earlier",
    "first * stride - zeros, last * stride - zeros",
    "first * stride + zeros, last * stride + zeros",
)
exercise.mistake(
    "pixels outside of the picture are cut off, and with the layers between cut off too early: keep negative numbers",
    "first * stride - zeros,",
    "max(0, first * stride - zeros),",
)
exercise.mistake(
    "the last pixel is found from the first; but the windows of the first and of the last unit of a layer are strides apart",
    "last * stride - zeros + window - 1",
    "first * stride - zeros + window - 1",
)
exercise.mistake(
    "each layer adds window - 1 of ITS units, and these are `step` pixels apart; here they are taken for pixels",
    "(window - 1) * step",
    "(window - 1)",
)
exercise.mistake(
    "the field grows by steps of the layer below; the stride of this layer counts from the next one on",
    "(window - 1) * step",
    "(window - 1) * step * stride",
)
exercise.mistake("a window of k units spans k - 1 steps between them, not k", "(window - 1) * step", "window * step")
exercise.hints(
    "pixels_seen: from which units of the layer below is unit i computed? And from which the first and the last of those?",
    "Begin with first = last = i, and go through reversed(layers): first becomes first * stride - zeros, last becomes "
    "last * stride - zeros + window - 1.",
    "receptive_field: go upwards, with size = step = 1 for a pixel. A layer lets the size grow by (window - 1) * step; "
    "after that its stride multiplies the step.",
)


def seen_by_the_library(layers, i):
    """From a gradient: convolve a long row of pixels, and see where that of one output is not 0.

    The row begins so far to the left of pixel 0 that no window needs zeros.
    """
    beyond, step, first = 40, 1, 0
    for _, stride, zeros in layers:
        first -= zeros * step
        step *= stride
    first -= beyond * step
    row = tensor(np.zeros((1, 1, 1, 4 * beyond * step)), requires_grad=True)
    x = row
    for window, stride, _ in layers:
        x = conv2d(x, tensor(np.ones((1, 1, 1, window))), None, (1, stride))
    x[0, 0, 0, beyond + i].backward()
    pixels = np.flatnonzero(row.grad) + first
    return int(pixels[0]), int(pixels[-1])


def field_by_the_library(layers):
    (first, last), (after, _) = seen_by_the_library(layers, 10), seen_by_the_library(layers, 11)
    return last - first + 1, after - first


exercise.library(pixels_seen=seen_by_the_library, receptive_field=field_by_the_library)
