"""Two groups, which do not see each other.

One graphics card of 2012 was too small for AlexNet, so the paper laid it over two (section 3.2): each holds half of the
kernels of every layer. In layers 2, 4 and 5 a kernel sees only the maps that are on its own card. A single convolution can
say the same with `groups`: the input maps and the kernels are cut into that many parts, in their order, and part g of the
kernels is applied to part g of the maps. The outputs stand one group after the other.

    x       (N, C, H, W)              C = 96 in AlexNet's layer 2, 48 on each card
    weight  (F, C/groups, KH, KW)     F = 256; a kernel is 48 maps deep, as section 3.5 of the paper has it: 5x5x48

The second function shows what that costs a network. Grouped kernels compute what a plain convolution computes whose kernels
are zero wherever a kernel meets a map of another group. Write these full kernels down, and you see the connections, and half
of the weights, that AlexNet does without.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_shape, require
from tinynet.exercises.exercise import Exercise
from tinynet.kernels import cpu
from tinynet.nn import Towers
from tinynet.ops.activations import relu
from tinynet.ops.convolution import conv2d
from tinynet.ops.shaping import concat
from tinynet.tensor import tensor

exercise = Exercise(chapter=5, minutes=20, difficulty=2, after=["e15_im2col"], compare="tinynet/kernels/textbook.py")


@exercise.given
def conv(x, weight, bias, stride, padding):
    """A plain convolution: x (N, C, H, W), weight (F, C, KH, KW), bias (F,). Returns (N, F, OH, OW)."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("ncijuv,fcuv->nfij", windows, weight) + bias[:, None, None]


@exercise.solution
def grouped_conv(x, weight, bias, stride, padding, groups):
    """A convolution in groups. x: (N, C, H, W). weight: (F, C / groups, KH, KW). bias: (F,). Returns (N, F, OH, OW)."""
    parts = zip(np.split(x, groups, axis=1), np.split(weight, groups), np.split(bias, groups), strict=True)
    return np.concatenate([conv(maps, w, b, stride, padding) for maps, w, b in parts], axis=1)


@exercise.solution
def full_kernels(weight, groups):
    """The kernels (F, C, KH, KW) of the plain convolution that computes the same as weight (F, C / groups, KH, KW)."""
    f, c = weight.shape[0] // groups, weight.shape[1]
    full = np.zeros((groups * f, groups * c, *weight.shape[2:]))
    for g in range(groups):
        full[g * f : (g + 1) * f, g * c : (g + 1) * c] = weight[g * f : (g + 1) * f]
    return full


def oracle(x, weight, bias, stride, padding, groups):
    """The definition, kernel by kernel."""
    f, c = len(weight) // groups, weight.shape[1]
    y = [
        conv(x[:, o // f * c : (o // f + 1) * c], weight[o : o + 1], bias[o : o + 1], stride, padding)
        for o in range(len(weight))
    ]
    return np.concatenate(y, axis=1)


def layer(rng, x, weight):
    return rng.normal(size=x), rng.normal(size=weight), rng.normal(size=weight[:1])


@exercise.check("grouped_conv: four maps of one pixel by hand")
def _(grouped_conv, rng):
    x, weight = np.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1, 1), np.array([10.0, 1.0, 20.0, 2.0]).reshape(2, 2, 1, 1)
    y = grouped_conv(x, weight, np.array([0.1, 0.2]), 1, 0, 2)
    expect(
        y, np.array([12.1, 68.2]).reshape(1, 2, 1, 1), "y for maps 1 2 3 4, kernels [10 1] and [20 2], biases 0.1 and 0.2"
    )


@exercise.check("grouped_conv: two groups, 5x6 images, 3x2 kernels, stride 2, padding 1")
def _(grouped_conv, rng):
    arrays = layer(rng, (2, 4, 5, 6), (6, 2, 3, 2))
    expect(grouped_conv(*arrays, 2, 1, 2), oracle(*arrays, 2, 1, 2), "y")


@exercise.check("grouped_conv: three groups; and one, which is a plain convolution")
def _(grouped_conv, rng):
    arrays, plain = layer(rng, (2, 6, 3, 5), (12, 2, 2, 3)), layer(rng, (2, 4, 3, 5), (3, 4, 2, 3))
    expect(grouped_conv(*arrays, 1, 0, 3), oracle(*arrays, 1, 0, 3), "y of three groups")
    expect(grouped_conv(*plain, 1, 0, 1), conv(*plain, 1, 0), "y of one group")


@exercise.check("grouped_conv: what happens on one card does not change the other")
def _(grouped_conv, rng):
    x, weight, bias = layer(rng, (1, 4, 4, 4), (6, 2, 3, 3))
    other = x.copy()
    other[:, 2:] = rng.normal(size=(1, 2, 4, 4))
    before, after = grouped_conv(x, weight, bias, 1, 1, 2), grouped_conv(other, weight, bias, 1, 1, 2)
    expect(before, oracle(x, weight, bias, 1, 1, 2), "y")
    require(np.array_equal(before[:, :3], after[:, :3]), "new values in the maps of group 1 changed the outputs of group 0")
    expect(after, oracle(other, weight, bias, 1, 1, 2), "y after the maps of group 1 have changed")


@exercise.check("full_kernels: two kernels of one pixel by hand")
def _(full_kernels, rng):
    weight = np.array([10.0, 1.0, 20.0, 2.0]).reshape(2, 2, 1, 1)
    right = np.array([[10.0, 1.0, 0.0, 0.0], [0.0, 0.0, 20.0, 2.0]])
    expect(full_kernels(weight, 2), right.reshape(2, 4, 1, 1), "full_kernels of [10 1] and [20 2]")


@exercise.check("full_kernels: a plain convolution with them computes the same, for two and three groups")
def _(full_kernels, rng):
    for groups in (2, 3):
        x, weight, bias = layer(rng, (1, 2 * groups, 4, 5), (5 * groups, 2, 3, 2))
        shape = 5 * groups, 2 * groups, 3, 2
        full = expect_shape(full_kernels(weight, groups), shape, f"full_kernels of {weight.shape} with {groups} groups")
        expect(conv(x, full, bias, 1, 1), oracle(x, weight, bias, 1, 1, groups), "y with the full kernels")


exercise.mistake(
    "the maps are dealt out in turn, every second one to a group; a group holds maps that stand side by side",
    "np.split(x, groups, axis=1)",
    "[x[:, g::groups] for g in range(groups)]",
)
exercise.mistake(
    "the outputs of the groups are dealt out in turn; they stand one group after the other",
    "np.concatenate([conv(maps, w, b, stride, padding) for maps, w, b in parts], axis=1)",
    "(lambda y: y.reshape(y.shape[0], -1, *y.shape[3:]))(\n"
    "        np.stack([conv(maps, w, b, stride, padding) for maps, w, b in parts], axis=2)\n    )",
)
exercise.mistake(
    "the groups are crossed: part g of the kernels belongs to part g of the maps, its own card",
    "np.split(x, groups, axis=1)",
    "np.split(x, groups, axis=1)[::-1]",
)
exercise.mistake(
    "the groups' outputs are added up; that would let every kernel see every card. They stand one after the other",
    "np.concatenate([conv(maps, w, b, stride, padding) for maps, w, b in parts], axis=1)",
    "sum(conv(maps, w, b, stride, padding) for maps, w, b in parts)",
)
exercise.mistake(
    "every group of maps meets all kernels, which gives too many outputs; the kernels and biases are cut into groups, too",
    "np.split(weight, groups), np.split(bias, groups)",
    "[weight] * groups, [bias] * groups",
)
exercise.mistake(
    "the maps of the outputs are axis 1; this puts the groups one after the other along the batch, axis 0",
    "for maps, w, b in parts], axis=1)",
    "for maps, w, b in parts], axis=0)",
)
exercise.mistake(
    "all groups use the kernels of the first group; each has its own part of them",
    "np.split(weight, groups)",
    "[weight[: len(weight) // groups]] * groups",
)
exercise.mistake(
    "all groups use the biases of the first group; every kernel has its own",
    "np.split(bias, groups)",
    "[bias[: len(bias) // groups]] * groups",
)
exercise.mistake(
    "a kernel is repeated for the maps of every group; those of other groups it must not see, so there it is 0",
    "    full = np.zeros((groups * f, groups * c, *weight.shape[2:]))",
    "    return np.tile(weight, (1, groups, 1, 1))\n    full = np.zeros((groups * f, groups * c, *weight.shape[2:]))",
)
exercise.mistake(
    "all kernels stand at the first maps; those of group g belong at the maps of group g",
    "g * c : (g + 1) * c] =",
    ":c] =",
)
exercise.mistake(
    "the full kernels of the groups are crossed: group g sees the maps of group g",
    "g * c : (g + 1) * c] =",
    "(groups - 1 - g) * c : (groups - g) * c] =",
)

exercise.hints(
    "Cut x along its maps, and weight and bias along the kernels; call conv for every group; put the results together "
    "again. Which axis of the output are the maps?",
    "np.split(a, groups, axis=1) cuts into equal parts, np.concatenate(parts, axis=1) is its opposite. The kernels are "
    "axis 0 of weight; a kernel has the depth of one group already.",
    "full_kernels: start with zeros of shape (F, C, KH, KW), where C = groups * weight.shape[1]. Group g has the "
    "kernels from g * F // groups to (g + 1) * F // groups, and they go to the maps from g * C // groups to (g + 1) * C "
    "// groups.",
)


def by_impulses(weight, groups):
    """The full kernels as what tinynet's convolution answers to a single 1, at every map and place."""
    _, c, kh, kw = weight.shape
    impulses = np.eye(groups * c * kh * kw).reshape(-1, groups * c, kh, kw)
    return (
        conv2d(tensor(impulses), tensor(weight), groups=groups).numpy().reshape(groups * c, kh, kw, -1).transpose(3, 0, 1, 2)
    )


exercise.library(
    grouped_conv=lambda x, weight, bias, stride, padding, groups: conv2d(
        tensor(x), tensor(weight), tensor(bias), stride, padding, groups=groups
    ).numpy(),
    full_kernels=by_impulses,
)


@exercise.takes_the_place
def _(grouped_conv, full_kernels):
    # Layer 4 of both towers at once, as one convolution in two groups.
    def each(model, layer, halves):
        if "conv4" not in layer.__code__.co_names:
            return original_each(model, layer, halves)
        layers = [tower.conv4 for tower in model.towers]
        weight, bias = concat([conv4.weight for conv4 in layers]), concat([conv4.bias for conv4 in layers])
        y = relu(conv2d(concat(halves, axis=1), weight, bias, padding=1, groups=2))
        return [y[:, : y.shape[1] // 2], y[:, y.shape[1] // 2 :]]

    def conv(x, weight, bias, stride, padding, dilation, groups):
        if groups == 1:
            return original_conv(x, weight, bias, stride, padding, dilation, groups)
        bias = np.zeros(len(weight), x.dtype) if bias is None else bias
        return grouped_conv(x, weight, bias, stride[0], padding[0], groups)

    original_each, original_conv = Towers.each, cpu.conv2d
    return [(Towers, "each", each), (cpu, "conv2d", conv)]
