"""The shapes of AlexNet.

From 3 x 224 x 224 pixels to 1000 numbers: compute the shape behind every layer. A convolution or pooling window of side k
that moves by stride s over a map of side n, with p rows of zeros around it, has

    ceil((n + 2 p - k) / s) + 1

positions. You may know the formula with floor, where the last window has to end inside. The authors' program rounds up: the
last window may hang over the right and the lower edge, as if there were zeros. In the first layer (224 - 11) / 4 is 53.25,
and that makes 55 positions, as in the paper's figure 2, where the other formula gives 54; many have stumbled over this.

A convolution has a map for each of its kernels; pooling and normalisation keep the number of maps; a fully connected layer
takes all numbers in one row and has one output for each of its neurons. Pictures need not be square.
"""

import numpy as np

from alexnet import map_sides
from tinynet.exercises.checks import expect_type, require
from tinynet.exercises.exercise import Exercise
from tinynet.ops.windows import map_size

exercise = Exercise(chapter=11, minutes=15, difficulty=2, compare="alexnet.py")


@exercise.given
def layers_of_alexnet():
    """The layers in their order: kind, kernels or neurons, side of the window, stride, rows of zeros (0 where not asked)."""
    return [
        ("conv", 96, 11, 4, 0), ("norm", 0, 0, 0, 0), ("pool", 0, 3, 2, 0),
        ("conv", 256, 5, 1, 2), ("norm", 0, 0, 0, 0), ("pool", 0, 3, 2, 0),
        ("conv", 384, 3, 1, 1), ("conv", 384, 3, 1, 1), ("conv", 256, 3, 1, 1), ("pool", 0, 3, 2, 0),
        ("fc", 4096, 0, 0, 0), ("fc", 4096, 0, 0, 0), ("fc", 1000, 0, 0, 0),
    ]  # fmt: skip


@exercise.solution
def shapes(layers, shape):
    """The shape behind every layer, a list of tuples: (maps, height, width), or (neurons,) behind a fully connected one.

    layers: a list such as layers_of_alexnet() returns. shape: of the picture, (3, height, width).
    """
    behind = []
    for kind, kernels, window, stride, zeros in layers:
        if kind == "fc":
            shape = (kernels,)
        elif kind in ("conv", "pool"):
            sides = [-(-(side + 2 * zeros - window) // stride) + 1 for side in shape[1:]]
            shape = (kernels if kind == "conv" else shape[0], *sides)
        behind.append(shape)
    return behind


def judge(shapes, layers, shape, right):
    answer = shapes(layers, shape)
    expect_type(answer, (list, tuple), "a list of shapes")
    require(
        len(answer) == len(layers), f"{len(answer)} shapes were returned for {len(layers)} layers; expected one behind each"
    )
    for i, (kind, *_) in enumerate(layers):
        yours = tuple(answer[i]) if isinstance(answer[i], (list, tuple)) else answer[i]
        before = " x ".join(map(str, right[i - 1] if i else shape))
        require(yours == right[i], f"layer {i} ({kind}) makes of {before} numbers the shape {yours}, expected {right[i]}")


def positions(side, window, stride, zeros):
    """How many positions there are, by moving the window until it sees the last pixel."""
    n, start = 1, -zeros
    while start + window < side + zeros:
        n, start = n + 1, start + stride
    return n


def oracle(layers, shape):
    behind = []
    for kind, kernels, *window in layers:
        if kind == "fc":
            shape = (kernels,)
        elif kind != "norm":
            maps = kernels if kind == "conv" else shape[0]
            shape = (maps, positions(shape[1], *window), positions(shape[2], *window))
        behind.append(shape)
    return behind


@exercise.check("one convolution and one pooling by hand")
def _(shapes, rng):
    layers = [("conv", 7, 5, 2, 1), ("pool", 0, 3, 2, 0)]
    judge(shapes, layers, (3, 9, 13), [(7, 4, 6), (7, 2, 3)])


@exercise.check("AlexNet, 224 x 224 pixels")
def _(shapes, rng):
    maps = [(96, 55, 55)] * 2 + [(96, 27, 27)] + [(256, 27, 27)] * 2 + [(256, 13, 13)]
    maps += [(384, 13, 13)] * 2 + [(256, 13, 13), (256, 6, 6)]
    judge(shapes, layers_of_alexnet(), (3, 224, 224), [*maps, (4096,), (4096,), (1000,)])


@exercise.check("AlexNet, pictures of other sizes")
def _(shapes, rng):
    for shape in ((3, 227, 230), (3, int(rng.integers(64, 180)), int(rng.integers(180, 300)))):
        judge(shapes, layers_of_alexnet(), shape, oracle(layers_of_alexnet(), shape))


@exercise.check("another network")
def _(shapes, rng):
    a, b, c = (int(n) for n in rng.permutation(np.arange(5, 12))[:3])
    layers = [("conv", a, 4, 3, 1), ("pool", 0, 2, 2, 0), ("conv", b, 3, 2, 1), ("norm", 0, 0, 0, 0), ("fc", c, 0, 0, 0)]
    shape = (3, int(rng.integers(30, 40)), int(rng.integers(41, 60)))
    judge(shapes, layers, shape, oracle(layers, shape))


exercise.mistake(
    "this rounds down, so a window that would hang over the edge is lost: 54 positions in the first layer instead of 55",
    "-(-(side + 2 * zeros - window) // stride) + 1",
    "(side + 2 * zeros - window) // stride + 1",
)
exercise.mistake("the zeros are counted once; they lie on both sides of the map", "2 * zeros", "zeros")
exercise.mistake("the zeros around the map are forgotten", " + 2 * zeros", "")
exercise.mistake(
    "one position is missing: a window has a first place before it moves for the first time",
    " // stride) + 1",
    " // stride)",
)
exercise.mistake(
    "the size of the window is forgotten: it has to end where the map does",
    "(side + 2 * zeros - window)",
    "(side + 2 * zeros)",
)
exercise.mistake(
    "the width is computed from the height; pictures need not be square",
    "for side in shape[1:]",
    "for side in 2 * [shape[1]]",
)
exercise.mistake(
    "pooling has no kernels of its own; it keeps the number of maps", '(kernels if kind == "conv" else shape[0], *sides)',
    "(kernels, *sides)",
)  # fmt: skip
exercise.mistake(
    "this keeps the number of maps; a convolution has one for each of its kernels",
    '(kernels if kind == "conv" else shape[0], *sides)',
    "(shape[0], *sides)",
)

exercise.hints(
    "Go through the layers with the shape of what comes in, and replace it by the shape of what comes out. Normalisation "
    "changes nothing.",
    "Python's // rounds down. To round up, use math.ceil(a / b), or -(-a // b).",
    'For "conv" and "pool": sides = [-(-(side + 2 * zeros - window) // stride) + 1 for side in shape[1:]].',
)


def by_the_library(layers, shape):
    behind, picture = [], shape
    for kind, kernels, window, stride, zeros in layers:
        if kind == "fc":
            shape = (kernels,)
        elif kind != "norm":
            sides = map_size(kind, (1, *shape), *((n, n) for n in (window, stride, zeros, 1)), ceil_mode=True)
            shape = (kernels if kind == "conv" else shape[0], *sides)
        behind.append(shape)
    if layers == layers_of_alexnet() and picture[1] == picture[2]:
        sides = map_sides(picture[1])
        behind[:10] = [(maps, sides[f"{kind}{i}"], sides[f"{kind}{i}"]) for kind, i, maps in PLACES]
    return behind


PLACES = [("conv", 1, 96), ("conv", 1, 96), ("pool", 1, 96), ("conv", 2, 256), ("conv", 2, 256), ("pool", 2, 256),
          ("conv", 3, 384), ("conv", 4, 384), ("conv", 5, 256), ("pool", 5, 256)]  # fmt: skip

exercise.library(shapes=by_the_library)
