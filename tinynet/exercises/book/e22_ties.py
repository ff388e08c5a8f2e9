"""A test for ties.

Which pixel of a window gets the gradient of max pooling if two are equally large? After a ReLU that is no rare case: whole
windows are 0. Frameworks choose differently, and that is all right as long as one rule holds:

    every window gives all of its gradient to exactly one of its largest pixels

and a pixel that several windows have chosen gets the sum. Comparing with differences does not help here. A tie is a kink of
the maximum, where a step up and a step down disagree, and there is no right number to compare with. What helps is a
property.

So this time the pooling is somebody else's, and you write the test. It is given a function `backward`, may call it as often
as it likes with x and dy of its own choice, and says whether the rule holds. It will meet right functions and wrong ones. A
test is worth something only if it can fail: choose an x on which every mistake that you can think of shows.
"""

import numpy as np

from tinynet.exercises.checks import Wrong, by_the_tape, expect_type, note
from tinynet.exercises.exercise import Exercise
from tinynet.ops.pooling import max_pool2d

exercise = Exercise(
    chapter=7, minutes=25, difficulty=4, after=["e21_max_pool_backward"],
    no_library="the answer is a test; it is the library that has to pass it",
)  # fmt: skip


@exercise.solution
def one_winner_each(backward):
    """True if `backward` gives all of a window's gradient to exactly one of its largest pixels; False otherwise.

    backward: called as backward(dy, x, size, stride), gives dx, as in e21. x: floats (N, C, H, W), dy: (N, C, OH, OW).
    """
    rng = np.random.default_rng(0)
    ties = rng.integers(-2, 0, (5, 5)).astype(float)  # only -2 and -1
    peak = rng.normal(size=(5, 5))
    peak[2, 2] = 9.0  # the largest of all four windows
    for x in (ties, peak):
        for i, j in np.ndindex(2, 2):
            dy = np.zeros((1, 1, 2, 2))
            dy[0, 0, i, j] = 3.0
            dx = backward(dy, x[None, None], 3, 2)[0, 0]
            window = x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            got = dx[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            if np.count_nonzero(dx) != 1 or got.sum() != 3.0:
                return False
            if window[got != 0] != window.max():
                return False
    return True


def pooling(share, overwrite=False):
    """A backward in which a window's pixels get `share(window)` of its gradient."""

    def backward(dy, x, size, stride):
        x, dx = np.asarray(x, float), np.zeros(np.shape(x))
        fits = x.ndim == 4 and np.shape(dy) == (*x.shape[:2], *((side - size) // stride + 1 for side in x.shape[2:]))
        if not fits:
            raise ValueError(
                f"backward was given dy {np.shape(dy)} and x {x.shape}, size {size} and stride {stride}; "
                "expected dy (N, C, OH, OW) and x (N, C, H, W) that fit together"
            )
        for n, c, i, j in np.ndindex(np.shape(dy)):
            part = n, c, slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)
            shares = share(x[part])
            dx[part] = np.where(shares > 0, shares * dy[n, c, i, j] + (0 if overwrite else dx[part]), dx[part])
        return dx

    return backward


def first(window):
    return one(window, window.argmax())


def last(window):
    return one(window, window.size - 1 - window.ravel()[::-1].argmax())


def middle(window):
    largest = np.flatnonzero(window == window.max())
    return one(window, largest[len(largest) // 2])


def all_of_them(window):
    return (window == window.max()).astype(float)


def shared(window):
    return all_of_them(window) / all_of_them(window).sum()


def positive(window):
    return first(window) * (window.max() > 0)


def corner(window):
    return one(window, 0)


def one(window, place):
    shares = np.zeros(window.size)
    shares[place] = 1.0
    return shares.reshape(window.shape)


RIGHT = {
    "gives it to the first of the largest": pooling(first),
    "gives it to the last of the largest": pooling(last),
    "gives it to one in the middle of the largest": pooling(middle),
    "is tinynet's own": lambda dy, x, size, stride: by_the_tape(lambda x: max_pool2d(x, size, stride), dy, x)[0],
}
WRONG = {
    "gives all of it to each of the largest": pooling(all_of_them),
    "shares it among the largest": pooling(shared),
    "gives it to the upper left pixel, whether that is one of the largest or not": pooling(corner),
    "starts its search for the largest at 0, and finds none where all are below": pooling(positive),
    "has `=` where `+=` is needed: of the windows with one winner only the last counts": pooling(first, True),
}


def judge(one_winner_each, candidates, right):
    verdicts = [one_winner_each(backward) for backward in candidates.values()]
    for verdict in verdicts:
        expect_type(verdict, (bool, np.bool_), "True or False")
    note([int(v) for v in verdicts])
    lines = [f"it is {v} of one that {what}" for what, v in zip(candidates, verdicts, strict=True) if bool(v) != right]
    if lines:
        raise Wrong(f"your test is wrong about {len(lines)} of {len(candidates)} functions", *lines)


@exercise.check("four right functions, one of them tinynet's: True")
def _(one_winner_each, rng):
    judge(one_winner_each, RIGHT, True)


@exercise.check("five wrong functions: False")
def _(one_winner_each, rng):
    judge(one_winner_each, WRONG, False)


exercise.mistake(
    "the x of your test has no ties, so nobody's way with them shows; draw it from few different numbers",
    "rng.integers(-2, 0, (5, 5)).astype(float)",
    "rng.normal(size=(5, 5)) - 3",
)
exercise.mistake(
    "there must be one winner, but any of the largest may be it; your test wants the first",
    "window[got != 0] != window.max()",
    "got.argmax() != window.argmax()",
)
exercise.mistake(
    "your test counts winners, but does not ask whether the winner is one of the largest",
    "            if window[got != 0] != window.max():\n                return False\n",
    "",
)
exercise.mistake(
    "your x has no window in which all pixels are below 0; a search that starts at 0 finds nothing there",
    "rng.integers(-2, 0, (5, 5))",
    "rng.integers(1, 3, (5, 5))",
    "peak = rng.normal(size=(5, 5))",
    "peak = rng.random((5, 5))",
)


@exercise.mistake("in your test no pixel is chosen by two windows: let windows overlap, and put a peak where they do")
def _(backward):
    x = np.array([[-2.0, -1.0, -2.0, -2.0], [-1.0, -2.0, -1.0, -1.0], [-2.0, -2.0, -1.0, -1.0], [-1.0, -1.0, -2.0, -1.0]])
    for i, j in np.ndindex(2, 2):
        dy = np.zeros((1, 1, 2, 2))
        dy[0, 0, i, j] = 3.0
        dx = backward(dy, x[None, None], 2, 2)[0, 0]
        if np.count_nonzero(dx) != 1 or dx.sum() != 3.0 or x[dx != 0] != -1.0:
            return False
    return True


@exercise.mistake(
    "equal sums prove little: sharing, or giving to the wrong pixel, keeps the sum; look where the gradient goes"
)
def _(backward):
    rng = np.random.default_rng(0)
    x, dy = rng.integers(-2, 0, (1, 1, 5, 5)).astype(float), rng.normal(size=(1, 1, 2, 2))
    x[0, 0, 2, 2] = 0
    return bool(np.isclose(backward(dy, x, 3, 2).sum(), dy.sum()))


@exercise.mistake("one x that is the same everywhere makes every pixel a largest one, and no two windows choose the same")
def _(backward):
    dy = np.zeros((1, 1, 2, 2))
    dy[0, 0, 0, 0] = 3.0
    dx = backward(dy, np.full((1, 1, 5, 5), -1.0), 3, 2)
    return bool(np.count_nonzero(dx) == 1 and dx.sum() == 3)


@exercise.mistake("your test says True of everything: a test that cannot fail proves nothing")
def _(backward):
    backward(np.ones((1, 1, 2, 2)), np.zeros((1, 1, 5, 5)), 3, 2)
    return True


exercise.hints(
    "Give a gradient to one window only: dy is 0 except for one number. What must dx look like then, for each of these "
    "windows?",
    "One entry of dx is not 0; it lies in the window, is all of the gradient, and stands at one of the window's largest "
    "pixels. For ties, draw x from the numbers -2 and -1: there are equal ones in every window, and none is above 0.",
    "To see `=` for `+=`, two windows must choose the same pixel: 3x3 windows, 2 apart, on 5x5 pixels all have the "
    "middle one. Make it the largest in a second x.",
)
