"""The gradient of a matrix product.

A fully connected layer is one matrix product: the activities of N images, (N, K), times the weights, (K, M). AlexNet's last
three layers are such products, and hold 96 % of its parameters; its convolutions will become such products, too.

    y_ij = sum over k of a_ik b_kj

Derive it for one number: a_ik is part of every y in row i, and there it is multiplied by b_kj. So its gradient is the sum
over j of dy_ij b_kj. Read that sum as a matrix product. The same for b_kj, which is part of every y in column j.

The shapes are a good check: with N, K and M all different there is only one way to make an (N, K) of an (N, M) and a (K, M).
But mind that with square matrices every order fits, and only one is right.
"""

import numpy as np

from tinynet.exercises.checks import by_the_tape, expect, expect_parts, gradients
from tinynet.exercises.exercise import Exercise
from tinynet.nn import layers
from tinynet.ops.arithmetic import matmul
from tinynet.ops.shaping import transpose
from tinynet.tape import record

exercise = Exercise(chapter=3, minutes=20, difficulty=2, compare="tinynet/ops/arithmetic.py")


@exercise.solution
def matmul_backward(dy, a, b):
    """The gradients (da, db) of y = a @ b. dy: (N, M), the gradient of y. a: (N, K). b: (K, M)."""
    return dy @ b.T, a.T @ dy


@exercise.check("2 x 2 by hand")
def _(matmul_backward, rng):
    # only y_00 = 1 * 5 + 2 * 7 counts
    found = matmul_backward(np.array([[10.0, 0], [0, 0]]), np.array([[1.0, 2], [3, 4]]), np.array([[5.0, 6], [7, 8]]))
    da, db = expect_parts(found, "da", "db")
    expect(da, [[50.0, 70.0], [0.0, 0.0]], "da for a = [[1 2] [3 4]], b = [[5 6] [7 8]], dy = [[10 0] [0 0]]")
    expect(db, [[10.0, 0.0], [20.0, 0.0]], "db for the same")


@exercise.check("three sizes, all different")
def _(matmul_backward, rng):
    n, k, m = (int(size) for size in rng.permutation([3, 4, 5]))
    judge(matmul_backward, rng, n, k, m)


@exercise.check("square matrices, where every order fits")
def _(matmul_backward, rng):
    judge(matmul_backward, rng, 3, 3, 3)


@exercise.check("one image, one class")
def _(matmul_backward, rng):
    judge(matmul_backward, rng, 1, 4, 3)
    judge(matmul_backward, rng, 3, 4, 1)


def judge(matmul_backward, rng, n, k, m):
    gradients(lambda a, b: a @ b, [rng.normal(size=(n, k)), rng.normal(size=(k, m))], matmul_backward, rng)


exercise.mistake("da has b where it needs its transpose: a_ik meets b_kj, with j summed over", "dy @ b.T", "dy @ b")
exercise.mistake("db has a where it needs its transpose: b_kj meets a_ik, with i summed over", "a.T @ dy", "a @ dy")
exercise.mistake("da has its factors in the wrong order: dy first, so that row i stays row i", "dy @ b.T", "b.T @ dy")
exercise.mistake("db has its factors in the wrong order: a first, so that column j stays column j", "a.T @ dy", "dy @ a.T")
exercise.mistake(
    "db is transposed: it must have the shape of b, (K, M)", "return dy @ b.T, a.T @ dy", "return dy @ b.T, dy.T @ a"
)
exercise.mistake(
    "da is transposed: it must have the shape of a, (N, K)", "return dy @ b.T, a.T @ dy", "return b @ dy.T, a.T @ dy"
)
exercise.mistake(
    "the two are returned in the wrong order: first da, then db", "return dy @ b.T, a.T @ dy", "return a.T @ dy, dy @ b.T"
)
exercise.mistake(
    "a and b are exchanged: the gradient of a is made of b, and that of b of a",
    "return dy @ b.T, a.T @ dy",
    "return dy @ a.T, b.T @ dy",
)
exercise.mistake(
    "db is divided by the number of images; every image adds its gradient in full, and 1/N comes in with dy if it is wanted",
    "a.T @ dy",
    "a.T @ dy / len(a)",
)
exercise.mistake(
    "both are divided by the number of images; every image adds its gradient in full, and 1/N comes in with dy",
    "return dy @ b.T, a.T @ dy",
    "return dy @ b.T / len(a), a.T @ dy / len(a)",
)
exercise.mistake(
    "dy is not multiplied in: this is right only where dy is 1 everywhere",
    "return dy @ b.T, a.T @ dy",
    "return np.ones_like(dy) @ b.T, a.T @ np.ones_like(dy)",
)

exercise.hints(
    "Write down the shapes: da is (N, K). You have dy, (N, M), and b, (K, M). Which of them has to be turned?",
    "sum over j of dy_ij b_kj: j is the second index of both. In a product the summed index is the second of the first "
    "factor "
    "and the first of the second; so b must be transposed.",
    "da = dy @ b.T. For b_kj the sum is over i: a_ik dy_ij, where a must be transposed and comes first.",
)

exercise.library(matmul_backward=lambda dy, a, b: by_the_tape(matmul, dy, a, b))


@exercise.takes_the_place
def _(matmul_backward):
    def linear(x, weight, bias):  # the library's is one operation
        w = transpose(weight)
        y = record("matmul", x.data @ w.data, (x, w), lambda g: tuple(matmul_backward(g, x.data, w.data)))
        return y + bias

    return [(layers, "linear", linear)]
