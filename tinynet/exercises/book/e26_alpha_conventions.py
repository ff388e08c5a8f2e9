"""One alpha, four conventions.

Copy the paper's constants into another framework, and local response normalisation runs without a complaint and computes
something else. With S for the sum of the squares in the window of n maps, the functions below compute x divided by the
power beta of

    the paper      k + alpha S             n = 5, k = 2, alpha = 0.0001 in AlexNet
    PyTorch        k + alpha/size S        size maps in a window
    TensorFlow     bias + alpha S          depth_radius maps on each side of the one in the middle
    Caffe          1 + alpha/local_size S  in AlexNet's file, which leaves k at 1

Even the authors' own code divides by n, which their text does not say: what was trained in 2012 had a fifth of the paper's
alpha. Write what has to be given to each framework so that it computes the paper's formula for given constants. Caffe's
needs some algebra: no alpha makes 1 + alpha S equal to k + alpha S, but pull k out of the power, and a constant factor in
front of the result sets things right.
"""

import numpy as np

from tinynet.exercises.checks import expect, expect_parts, expect_type, require
from tinynet.exercises.exercise import Exercise
from tinynet.exercises.words import listed
from tinynet.kernels import reference

exercise = Exercise(
    chapter=8, minutes=20, difficulty=2, after=["e24_lrn_forward"],
    no_library="tinynet computes the paper's formula and has nothing to convert",
)  # fmt: skip


@exercise.given
def window_sum(a, n):
    """The sum over the window of every map, n maps around it, as far as they exist. a: (N, C, H, W), n odd."""
    padded = np.pad(a, ((0, 0), (n // 2, n // 2), (0, 0), (0, 0)))
    return sum(padded[:, j : j + a.shape[1]] for j in range(n))


@exercise.given
def torch_lrn(x, size, alpha, beta, k):
    """What torch.nn.functional.local_response_norm computes."""
    return x / (k + alpha / size * window_sum(x**2, size)) ** beta


@exercise.given
def tensorflow_lrn(x, depth_radius, bias, alpha, beta):
    """What tf.nn.local_response_normalization computes, with the maps on axis 1."""
    return x / (bias + alpha * window_sum(x**2, 2 * depth_radius + 1)) ** beta


@exercise.given
def caffe_lrn(x, local_size, alpha, beta):
    """What Caffe's LRN layer computes while nobody sets its k."""
    return x / (1 + alpha / local_size * window_sum(x**2, local_size)) ** beta


@exercise.solution
def for_torch(n, alpha, beta, k):
    """A dict of size, alpha, beta and k, with which torch_lrn computes the paper's formula with n, alpha, beta and k."""
    return dict(size=n, alpha=alpha * n, beta=beta, k=k)


@exercise.solution
def for_tensorflow(n, alpha, beta, k):
    """A dict of depth_radius, bias, alpha and beta, with which tensorflow_lrn computes the same."""
    return dict(depth_radius=n // 2, bias=k, alpha=alpha, beta=beta)


@exercise.solution
def for_caffe(n, alpha, beta, k):
    """A dict of local_size, alpha and beta, and a number: the number times caffe_lrn computes the same. Returns both."""
    return dict(local_size=n, alpha=alpha * n / k, beta=beta), k**-beta


# What they are called, the constants, and how large the activities are to be for all of them to count.
CASES = [
    ("the paper's constants", (5, 1e-4, 0.75, 2.0), 100),
    ("n = 3, alpha = 0.5, beta = 0.6, k = 1.3", (3, 0.5, 0.6, 1.3), 1),
]


def judge(framework, keys, answer, rng):
    """The framework's function with the learner's constants, against the paper's formula."""
    answers = [answer(*ours) for _, ours, _ in CASES]
    for (what, ours, scale), (constants, factor) in zip(CASES, answers, strict=True):
        expect_type(constants, dict, f"a dict of {listed(keys)}")
        given = listed([str(key) for key in constants] or ["no keys"])
        require(constants.keys() == set(keys), f"for {what} you gave {given}; expected {listed(keys)}")
        require(
            all(isinstance(v, (int, float, np.number)) for v in (*constants.values(), factor)),
            f"for {what} you gave {constants} and {factor}; expected numbers",
        )
        width = constants[keys[0]]
        whole = isinstance(width, (int, np.integer)) and width >= 1
        require(whole, f"for {what} you gave {keys[0]}={width}; it counts maps, so it is a whole number from 1")
        x = scale * rng.normal(size=(2, 7, 2, 3))
        y = reference.local_response_norm(x, *ours)[0]
        said = ", ".join(f"{name}={value:.6g}" for name, value in constants.items())
        expect(factor * framework(x, **constants), y, f"with {said} for {what}, y")


@exercise.check("PyTorch")
def _(for_torch, rng):
    judge(torch_lrn, ("size", "alpha", "beta", "k"), lambda *a: (for_torch(*a), 1), rng)


@exercise.check("TensorFlow")
def _(for_tensorflow, rng):
    judge(tensorflow_lrn, ("depth_radius", "bias", "alpha", "beta"), lambda *a: (for_tensorflow(*a), 1), rng)


@exercise.check("Caffe")
def _(for_caffe, rng):
    def both(*constants):
        return expect_parts(for_caffe(*constants), "dict", "number")

    judge(caffe_lrn, ("local_size", "alpha", "beta"), both, rng)


exercise.mistake(
    "PyTorch divides alpha by size, so the paper's alpha arrives as a fifth of itself: give it size times as much",
    "alpha=alpha * n, beta=beta, k=k",
    "alpha=alpha, beta=beta, k=k",
)
exercise.mistake(
    "PyTorch divides alpha by size; here it is divided once more instead of multiplied",
    "alpha=alpha * n, beta=beta, k=k",
    "alpha=alpha / n, beta=beta, k=k",
)
exercise.mistake(
    "depth_radius is not n: it counts the maps on one side, without the one in the middle",
    "depth_radius=n // 2",
    "depth_radius=n",
)
exercise.mistake(
    "depth_radius counts maps, and n is odd: half of n without the one in the middle is n // 2",
    "depth_radius=n // 2",
    "depth_radius=n / 2",
)
exercise.mistake(
    "TensorFlow does not divide alpha by the window, so it gets the paper's alpha as it is",
    "bias=k, alpha=alpha",
    "bias=k, alpha=alpha * n",
)
exercise.mistake("TensorFlow's bias is the paper's k, not 1", "bias=k", "bias=1.0")
exercise.mistake("Caffe divides alpha by local_size, so it needs n times as much", "alpha=alpha * n / k", "alpha=alpha / k")
exercise.mistake(
    "with k pulled out of the power, k + alpha S = k (1 + alpha/k S): alpha has to be divided by k",
    "alpha=alpha * n / k",
    "alpha=alpha * n",
)
exercise.mistake(
    "the factor is missing: (k d)^beta is k^beta d^beta, so Caffe's result is k^beta times too large", "k**-beta", "1.0"
)
exercise.mistake("the factor is k^-beta, not k^beta: the power stands below the line", "k**-beta", "k**beta")
exercise.mistake("the factor is 1/k; but k was pulled out of a power: it is k^-beta", "k**-beta", "1 / k")

exercise.hints(
    "Set the two expressions in the table equal, for every S. For PyTorch: k + a/size S = k + alpha S. What is a?",
    "TensorFlow: a window has 2 * depth_radius + 1 maps, and n is odd. For Caffe write k + alpha S = k (1 + alpha/k S) "
    "and raise it to the power beta.",
    "1 / (k (1 + alpha/k S))^beta = k^-beta / (1 + alpha/k S)^beta. Then alpha/k is Caffe's alpha/local_size.",
)
