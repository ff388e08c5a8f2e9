"""One layer on two GPUs.

The authors' GPUs had 3 GB each, too little for AlexNet. So they cut it in two (section 3.2): each GPU holds a tower, with
one half of the maps and of the kernels of every layer but the last. conv2, conv4 and conv5 look at the maps of their own
tower only, and nothing has to travel; conv3 and the fully connected layers look at the maps of both.

The first tower has the first half of the maps, and the first half of the kernels; the second has the rest. weight is the
weight of the whole layer, both towers together. Compute, for each tower, what it computes:

    own_maps   a kernel has C/2 maps, those of its tower     (conv2, conv4, conv5)
    all_maps   a kernel has C maps, those of both towers     (conv3)

Frameworks call the first a convolution with two groups. It is an ordinary convolution in which half of the weights are zero
and stay so, those between the towers: write as_one, which gives these weights.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_parts
from tinynet.exercises.exercise import Exercise
from tinynet.ops.convolution import conv2d
from tinynet.ops.shaping import concat
from tinynet.tensor import tensor

exercise = Exercise(chapter=12, minutes=20, difficulty=2, after=["e33_parameters"], compare="alexnet.py")


@exercise.given
def conv(x, weight, bias, padding):
    """An ordinary convolution at stride 1: x (N, C, H, W), weight (F, C, K, K), bias (F,) -> (N, F, OH, OW)."""
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"x has {x.shape[1]} maps, but these kernels want {weight.shape[1]}; x {x.shape}, weight {weight.shape}"
        )
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.tensordot(windows, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2) + bias[:, None, None]


@exercise.solution
def own_maps(x0, x1, weight, bias, padding):
    """The pair (y0, y1): the maps that the first and the second tower make of their own maps.

    x0, x1: the maps of the first and of the second tower, each (N, C/2, H, W). weight: (F, C/2, K, K), F kernels of which
    each tower has half. bias: (F,). Returns two arrays (N, F/2, OH, OW).
    """
    half = len(weight) // 2
    return conv(x0, weight[:half], bias[:half], padding), conv(x1, weight[half:], bias[half:], padding)


@exercise.solution
def all_maps(x0, x1, weight, bias, padding):
    """The pair (y0, y1): the maps that the first and the second tower make of the maps of both.

    As own_maps, but weight is (F, C, K, K): a kernel's first C/2 maps belong to the first tower, its others to the second.
    """
    half, x = len(weight) // 2, np.concatenate([x0, x1], axis=1)
    return conv(x, weight[:half], bias[:half], padding), conv(x, weight[half:], bias[half:], padding)


@exercise.solution
def as_one(weight):
    """The weight (F, C, K, K) with which one ordinary convolution does what own_maps does with weight (F, C/2, K, K)."""
    f, c = len(weight) // 2, weight.shape[1]
    whole = np.zeros((2 * f, 2 * c, *weight.shape[2:]), weight.dtype)
    whole[:f, :c] = weight[:f]
    whole[f:, c:] = weight[f:]
    return whole


def drawn(rng, groups):
    """Maps of both towers, weight and bias of a layer: 2 maps and 3 kernels a tower."""
    x = rng.normal(size=(2, 4, 5, 6))
    return x[:, :2], x[:, 2:], rng.normal(size=(6, 4 // groups, 3, 3)), rng.normal(size=6)


def oracle(x, weight, bias, padding, groups):
    """Kernel by kernel: the maps that it sees, times its weights."""
    maps, kernels, padded = weight.shape[1], len(weight) // groups, np.pad(x, ((0, 0), (0, 0), *2 * [(padding, padding)]))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    seen = [windows[:, f // kernels * maps :][:, :maps] for f in range(len(weight))]
    return np.stack([(s * w[:, None, None]).sum(axis=(1, 4, 5)) + b for s, w, b in zip(seen, weight, bias, strict=True)], 1)


def judge(function, rng, groups, padding):
    x0, x1, weight, bias = drawn(rng, groups)
    whole = np.concatenate([x0, x1], axis=1)
    right = oracle(whole, weight, bias, padding, groups)
    y0, y1 = expect_parts(function(x0, x1, weight, bias, padding), "y0", "y1")
    expect(y0, right[:, :3], "y0, the maps of the first tower")
    expect(y1, right[:, 3:], "y1, the maps of the second tower")


@exercise.check("own maps: one pixel by hand")
def _(own_maps, rng):
    x0, x1 = np.full((1, 1, 1, 1), 2.0), np.full((1, 1, 1, 1), 3.0)
    y0, y1 = expect_parts(own_maps(x0, x1, np.array([10.0, 20.0]).reshape(2, 1, 1, 1), np.array([1.0, 5.0]), 0), "y0", "y1")
    expect(y0, [[[[21.0]]]], "y0 for x0 = 2, x1 = 3, w = [10 20] and b = [1 5]")
    expect(y1, [[[[65.0]]]], "y1 for x0 = 2, x1 = 3, w = [10 20] and b = [1 5]")


@exercise.check("own maps: two maps and three kernels a tower")
def _(own_maps, rng):
    judge(own_maps, rng, 2, 1)


@exercise.check("all maps: one pixel by hand")
def _(all_maps, rng):
    x0, x1 = np.full((1, 1, 1, 1), 2.0), np.full((1, 1, 1, 1), 3.0)
    weight = np.array([[10.0, 100.0], [20.0, 400.0]]).reshape(2, 2, 1, 1)
    y0, y1 = expect_parts(all_maps(x0, x1, weight, np.array([1.0, 5.0]), 0), "y0", "y1")
    expect(y0, [[[[321.0]]]], "y0 for x0 = 2, x1 = 3, w = [[10 100] [20 400]] and b = [1 5]")
    expect(y1, [[[[1245.0]]]], "y1 for x0 = 2, x1 = 3, w = [[10 100] [20 400]] and b = [1 5]")


@exercise.check("all maps: two maps and three kernels a tower")
def _(all_maps, rng):
    judge(all_maps, rng, 1, 0)


@exercise.check("as one: the same maps from an ordinary convolution")
def _(as_one, rng):
    x0, x1, weight, bias = drawn(rng, 2)
    whole = as_one(weight)
    expect(np.shape(whole), (6, 4, 3, 3), "the shape of the weight of both towers", rtol=0)
    x = np.concatenate([x0, x1], axis=1)
    right = oracle(x, weight, bias, 1, 2)
    expect(conv(x, whole, bias, 1), right, "the maps of both towers, by one convolution with your weight")
    zeros = int((np.asarray(whole) == 0).sum())
    expect(zeros, 6 * 2 * 9, "how many weights are zero, those between the towers", rtol=0)


exercise.mistake(
    "both towers look at the maps of the first; each has its own",
    "conv(x1, weight[half:], bias[half:], padding)",
    "conv(x0, weight[half:], bias[half:], padding)",
)
exercise.mistake(
    "the towers have each other's kernels: the first half of them belongs to the first",
    "return conv(x0, weight[:half], bias[:half], padding), conv(x1, weight[half:], bias[half:], padding)",
    "return conv(x0, weight[half:], bias[half:], padding), conv(x1, weight[:half], bias[:half], padding)",
)
exercise.mistake(
    "the kernels are dealt out in turn; the first tower has the first half of them, not every other one",
    "conv(x0, weight[:half], bias[:half], padding), conv(x1, weight[half:], bias[half:], padding)",
    "conv(x0, weight[::2], bias[::2], padding), conv(x1, weight[1::2], bias[1::2], padding)",
)
exercise.mistake(
    "both towers add the first half of the biases; a bias belongs to its kernel, and so to its tower",
    "conv(x1, weight[half:], bias[half:], padding)",
    "conv(x1, weight[half:], bias[:half], padding)",
)
exercise.mistake(
    "the second tower puts its own maps first; a kernel's first maps are those of the first tower, wherever the kernel lies",
    "conv(x, weight[half:], bias[half:], padding)",
    "conv(np.concatenate([x1, x0], axis=1), weight[half:], bias[half:], padding)",
)
exercise.mistake(
    "the maps of the towers are put together in the wrong order: the first tower's come first", "[x0, x1]", "[x1, x0]"
)
exercise.mistake(
    "the maps of the towers are added; they stand side by side, and a kernel has weights of its own for each",
    "np.concatenate([x0, x1], axis=1)",
    "np.concatenate([x0 + x1, x0 + x1], axis=1)",
)
exercise.mistake(
    "the weights stand where the towers see each other, and the zeros where each sees itself",
    "    whole[:f, :c] = weight[:f]\n    whole[f:, c:] = weight[f:]\n",
    "    whole[:f, c:] = weight[:f]\n    whole[f:, :c] = weight[f:]\n",
)
exercise.mistake(
    "there are no zeros: the kernels have been repeated for the maps of the other tower, which they are not to see",
    "    whole[:f, :c] = weight[:f]\n    whole[f:, c:] = weight[f:]\n",
    "    whole[:, :c] = weight\n    whole[:, c:] = weight\n",
)

exercise.hints(
    "own_maps is two convolutions, each with its maps, its half of the kernels, weight[:half] or weight[half:], and the "
    "biases of these.",
    "all_maps: np.concatenate([x0, x1], axis=1) is what travels between the GPUs; each tower needs it, with the maps in the "
    "same order. Then again two convolutions, each with half of the kernels.",
    "as_one: begin with np.zeros((F, C, K, K)). Its rows are kernels, its columns are maps: which two of the four quarters "
    "belong to a kernel and a map of the same tower?",
)


def halves(y):
    y = y.numpy()
    return y[:, : y.shape[1] // 2], y[:, y.shape[1] // 2 :]


def grouped(x0, x1, weight, bias, padding, groups):
    x = concat([tensor(x0), tensor(x1)], axis=1)
    return halves(conv2d(x, tensor(weight), tensor(bias), padding=padding, groups=groups))


def ordinary(weight):
    """What the grouped convolution answers to pictures in which one number is 1."""
    impulses = np.eye(2 * weight[0].size).reshape(-1, 2 * weight.shape[1], *weight.shape[2:])
    answers = conv2d(tensor(impulses), tensor(weight), groups=2).numpy()
    return answers[:, :, 0, 0].T.reshape(len(weight), *impulses.shape[1:])


exercise.library(
    own_maps=lambda *args: grouped(*args, groups=2), all_maps=lambda *args: grouped(*args, groups=1), as_one=ordinary
)
