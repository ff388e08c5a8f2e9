"""Pictures that the network finds alike.

Take the 4096 numbers of fc7, the last hidden layer, as the address of a picture: two pictures with addresses close to one
another are alike for the network, even if no pixel of them agrees. Figure 4 of the paper shows test pictures, each with the
six training pictures nearest to it, by Euclidean distance: elephants in any pose find elephants.

A subtraction of all pairs would need an array of queries x pictures x 4096 numbers. Multiply the square out instead,

    |q - f|^2 = |q|^2 - 2 q f + |f|^2

which makes one matrix product of all pairs at once. Its price: for equal pictures, rounding may leave a number a little
below 0, which has no root.
"""

import numpy as np

from tinynet.exercises.checks import expect
from tinynet.exercises.exercise import Exercise
from tinynet.ops.arithmetic import sqrt
from tinynet.tensor import tensor

exercise = Exercise(chapter=14, minutes=15, difficulty=2)


@exercise.solution
def distances(queries, features):
    """The Euclidean distance of every query from every picture. queries: (Q, D). features: (N, D). Returns (Q, N)."""
    squares = (queries**2).sum(axis=1)[:, None] - 2 * queries @ features.T + (features**2).sum(axis=1)
    return np.sqrt(np.maximum(squares, 0))


@exercise.solution
def nearest(queries, features, k):
    """The numbers of the k pictures nearest to each query, the nearest first. Returns integers (Q, k).

    queries: (Q, D). features: (N, D), N >= k. Of pictures that are equally far, the one with the lower number comes first.
    """
    return np.argsort(distances(queries, features), axis=1, kind="stable")[:, :k]


def drawn(rng, q=4, n=9, d=6):
    """Queries and pictures of different length, so that near is not the same as in the same direction."""
    return rng.normal(size=(q, d)), rng.normal(size=(n, d)) * rng.uniform(0.3, 3, size=(n, 1))


def oracle(queries, features):
    return np.linalg.norm(queries[:, None] - features, axis=2)


@exercise.check("distances in a plane")
def _(distances, rng):
    features = np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]])
    expect(
        distances(np.array([[0.0, 0.0]]), features), [[5.0, 1.0, 0.0]], "the distances of (0, 0) from (3, 4), (0, 1), (0, 0)"
    )


@exercise.check("distances of random features")
def _(distances, rng):
    queries, features = drawn(rng)
    expect(distances(queries, features), oracle(queries, features), "the distances, queries (4, 6), features (9, 6)")


@exercise.check("distances of pictures from themselves")
def _(distances, rng):
    features = rng.normal(size=(60, 200))
    expect(distances(features, features).diagonal(), np.zeros(60), "the distances of 60 pictures from themselves", atol=1e-5)


@exercise.check("nearest in a plane")
def _(nearest, rng):
    features = np.array([[9.0, 0.0], [1.0, 0.0], [4.0, 0.0], [0.0, 2.0]])
    expect(
        nearest(np.array([[0.0, 0.0], [8.0, 0.0]]), features, 3), [[1, 3, 2], [0, 2, 1]], "the three nearest of four points"
    )


@exercise.check("nearest of random features")
def _(nearest, rng):
    queries, features = drawn(rng, n=60)
    order = [sorted(range(60), key=row.__getitem__)[:20] for row in oracle(queries, features)]
    expect(nearest(queries, features, 20), order, "the twenty nearest, queries (4, 6), features (60, 6)", rtol=0)


@exercise.check("equally far: the lower number first")
def _(nearest, rng):
    features = np.zeros((40, 2))
    features[rng.permutation(40)[:20]] = [3.0, 0.0]
    near = np.flatnonzero(features[:, 0] == 0)
    expect(
        nearest(np.zeros((1, 2)), features, 6), near[None, :6], "the six nearest of forty, of which twenty are equal", rtol=0
    )


exercise.mistake(
    "these are the squares of the distances; the root is missing", "return np.sqrt(np.maximum(squares, 0))", "return squares"
)
exercise.mistake(
    "the root of a number a little below 0 is not a number: for equal pictures rounding leaves one; take np.maximum(..., 0)",
    "np.sqrt(np.maximum(squares, 0))",
    "np.sqrt(squares)",
)
exercise.mistake("the middle term is twice the product: (q - f)^2 = q^2 - 2 q f + f^2", "- 2 * queries", "- queries")
exercise.mistake(
    "this adds up the differences without squaring them, as if one could walk along the axes only",
    "np.sqrt(np.maximum(squares, 0))",
    "np.abs(queries[:, None] - features).sum(axis=2)",
)
exercise.mistake(
    "the largest product comes first here: that prefers long addresses; the smallest distance is asked for",
    "np.argsort(distances(queries, features)",
    "np.argsort(-queries @ features.T",
)
exercise.mistake("these are the farthest: sort from small to large", "np.argsort(distances", "np.argsort(-distances")
exercise.mistake(
    "these are the nearest, but in the order of their numbers; the nearest comes first",
    'return np.argsort(distances(queries, features), axis=1, kind="stable")[:, :k]',
    'return np.sort(np.argsort(distances(queries, features), axis=1, kind="stable")[:, :k], axis=1)',
)
exercise.mistake(
    "this sorts the queries for each picture; each query has its own order of pictures, along axis 1",
    'axis=1, kind="stable"',
    'axis=0, kind="stable"',
)
exercise.mistake(
    "these are distances; asked are the numbers of the pictures, which np.argsort gives",
    'np.argsort(distances(queries, features), axis=1, kind="stable")',
    "np.sort(distances(queries, features), axis=1)",
)

exercise.hints(
    "(queries**2).sum(axis=1)[:, None] is a column, (features**2).sum(axis=1) a row, and queries @ features.T has a number "
    "for each pair: broadcasting adds them up.",
    "np.argsort gives the places of the smallest number, the next, and so on. Sort along axis 1 and keep the first k "
    'columns; with kind="stable" equal ones stay in order.',
)


def by_the_library(queries, features):
    difference = tensor(queries[:, None]) - tensor(features[None])
    return sqrt((difference**2).sum(axis=2)).numpy()


exercise.library(
    distances=by_the_library,
    nearest=lambda queries, features, k: np.argsort(by_the_library(queries, features), axis=1, kind="stable")[:, :k],
)
