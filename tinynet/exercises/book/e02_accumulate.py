"""A value that is used twice.

In y = x * x + x, the value x is used three times: twice in the product and once in the sum. If x grows a little, y changes
for three reasons, and the changes add up. So does the gradient of x: it is the sum over all of its uses.

A tape is the list of all values in the order in which they were computed. Each has a name and its uses of earlier values:
pairs of a name and the slope of the new value with respect to it. For x = 3 the tape is

    [("x", []),                            x = 3 was given
     ("p", [("x", 3.0), ("x", 3.0)]),      p = x * x, with slope 3 for either factor
     ("y", [("p", 1.0), ("x", 1.0)])]      y = p + x

Play it backwards: every value hands its gradient, times the slope, to each value that it has used. The last value is the
loss, and its gradient with respect to itself is 1. These few lines are the engine of every deep learning framework.
"""

import importlib

import numpy as np

from tinynet.exercises.checks import expect, expect_type, note, require
from tinynet.exercises.exercise import Exercise
from tinynet.tape import entries, record, sum_to
from tinynet.tensor import tensor

exercise = Exercise(chapter=1, minutes=20, difficulty=2, after=["e01_three_slopes"], compare="tinynet/tape.py")


@exercise.solution
def backward(tape):
    """The gradient of the last value with respect to every value: a dictionary from its name to a number.

    tape: list of (name, uses), in the order of computation; uses: list of (name of an earlier value, slope). A value that
    the last one does not depend on has the gradient 0.
    """
    gradient = {name: 0.0 for name, uses in tape}
    gradient[tape[-1][0]] = 1.0
    for name, uses in reversed(tape):
        for used, slope in uses:
            gradient[used] += slope * gradient[name]
    return gradient


def judge(found, expected):
    expect_type(found, dict, "a dictionary, name: gradient")
    note([str(name) for name in found])
    for name in expected:
        require(name in found, f"the dictionary has no gradient of {name!r}; give one for every value, the last one as well")
    for name in reversed(expected):
        expect(found[name], expected[name], f"the gradient of {name!r}")


@exercise.check("a chain: y = 5 * (2 * x)")
def _(backward, rng):
    judge(backward([("x", []), ("p", [("x", 2.0)]), ("y", [("p", 5.0)])]), {"x": 10.0, "p": 5.0, "y": 1.0})


@exercise.check("the tape of the statement: y = x * x + x at x = 3")
def _(backward, rng):
    tape = [("x", []), ("p", [("x", 3.0), ("x", 3.0)]), ("y", [("p", 1.0), ("x", 1.0)])]
    judge(backward(tape), {"x": 7.0, "p": 1.0, "y": 1.0})


@exercise.check("x + x, and a value that the loss does not depend on")
def _(backward, rng):
    tape = [("x", []), ("z", []), ("q", [("z", 4.0), ("x", 2.0)]), ("y", [("x", 1.0), ("x", 1.0)])]
    judge(backward(tape), {"x": 2.0, "z": 0.0, "q": 0.0, "y": 1.0})


@exercise.check("twice the same tape: twice the same gradients")
def _(backward, rng):
    tape = [("a", []), ("b", [("a", 2.0), ("a", -5.0)]), ("y", [("b", 10.0), ("a", 1.0)])]
    for _ in range(2):
        judge(backward(tape), {"a": -29.0, "b": 10.0, "y": 1.0})


@exercise.check("a random computation of twelve values, against its slopes")
def _(backward, rng):
    steps = [(rng.random() < 0.5, *(int(k) for k in rng.integers(max(0, i - 4), i, size=2))) for i in range(3, 12)]

    x = rng.uniform(0.5, 1.2, size=3)
    values, tape = compute(x, steps), [(f"v{i}", []) for i in range(3)]
    for i, (product, a, b) in enumerate(steps, 3):
        slopes = (values[b], values[a]) if product else (1.0, 1.0)
        tape.append((f"v{i}", [(f"v{a}", slopes[0]), (f"v{b}", slopes[1])]))
    # A step into the complex plane: nothing is subtracted, so the slope is right to the last digits.
    right = {f"v{i}": compute(x + 1e-30j * np.eye(3)[i], steps)[-1].imag / 1e-30 for i in range(3)}
    judge(backward(tape), right)


@exercise.check("forty diamonds, one upon the other: a trillion ways, but each use is played once")
def _(backward, rng):
    slopes = [float(slope) for slope in rng.choice([0.25, 0.5, 1.5], size=40)]
    tape = [("x0", [])]
    for i, slope in enumerate(slopes):
        tape += [(f"a{i}", [(f"x{i}", slope)]), (f"b{i}", [(f"x{i}", 2 * slope)])]
        tape.append((f"x{i + 1}", [(f"a{i}", 1.0), (f"b{i}", -0.25)]))
    found = backward(tape)
    judge(found, {f"x{i}": float(np.prod(slopes[i:])) / 2 ** (40 - i) for i in range(41)})


def compute(x, steps):
    values = list(x)
    for product, a, b in steps:
        values.append(values[a] * values[b] if product else values[a] + values[b])
    return values


exercise.mistake(
    "`=` where `+=` is needed: a value that is used several times keeps only the last of its gradients; they add up",
    "gradient[used] += slope",
    "gradient[used] = slope",
)
exercise.mistake(
    "the tape is played forwards: a value hands its gradient on before it has got it; begin with the last value",
    "in reversed(tape)",
    "in tape",
)
exercise.mistake(
    "only the slope of the last step arrives: multiply it by the gradient of the value that used it (the chain rule)",
    "slope * gradient[name]",
    "slope",
)
exercise.mistake(
    "a value that the loss does not depend on has no gradient when its turn comes; begin with 0.0 for every name on "
    "the tape",
    "{name: 0.0 for name, uses in tape}",
    "{}",
    "gradient[used] += slope * gradient[name]",
    "gradient[used] = gradient.get(used, 0.0) + slope * gradient[name]",
)
exercise.mistake(
    "every value begins with the gradient 1; only the last one does, the others begin with 0",
    "{name: 0.0 for",
    "{name: 1.0 for",
)
exercise.mistake(
    "x * x uses x twice in one line; this counts only one of the two",
    "in uses:\n",
    "in dict(uses).items():\n",
)
exercise.mistake(
    "a value passes its slope on instead of its gradient times the slope, added where it should be multiplied",
    "slope * gradient[name]",
    "slope + gradient[name]",
)
exercise.mistake(
    "tape.reverse() turns the caller's own list around; reversed(tape) reads it backwards and leaves it as it is",
    "    gradient[tape[-1][0]] = 1.0\n    for name, uses in reversed(tape):\n",
    "    gradient[tape[-1][0]] = 1.0\n    tape.reverse()\n    for name, uses in tape:\n",
)
exercise.mistake(
    "this tells how every value changes with the first one; asked is how the last one changes with every value",
    "gradient[tape[-1][0]] = 1.0\n    for name, uses in reversed(tape)",
    "gradient[tape[0][0]] = 1.0\n    for name, uses in tape",
    "gradient[used] += slope * gradient[name]",
    "gradient[name] += slope * gradient[used]",
)
exercise.mistake(
    "no gradient to begin with: the last value is the loss, and its gradient with respect to itself is 1",
    "    gradient[tape[-1][0]] = 1.0\n",
    "",
)
exercise.mistake(
    "the tape is emptied while it is played; it is the caller's, who may want to play it again",
    "    for name, uses in reversed(tape):\n",
    "    while tape:\n        name, uses = tape.pop()\n",
)

exercise.hints(
    "Play the tape of the statement with a pencil: three gradients, at first 0, 0 and 1. Begin with y, in the last line. "
    "What does it add to the gradient of p, what to that of x?",
    "A dictionary with 0.0 for every name and 1.0 for the last; then two loops, over reversed(tape) and over the uses.",
    "In the inner loop: gradient[used] += slope * gradient[name]. When a name has its turn, all its uses have been played.",
)


def _by_the_tape(tape):
    """The engine on the same tape: each line becomes one operation, whose backward multiplies by the slopes."""
    leaves, values = {}, {}
    for name, uses in tape:
        leaves[name] = tensor(np.zeros(()), requires_grad=True)  # an extra input of every value: its gradient is the value's
        inputs = (leaves[name], *(values[used] for used, _ in uses))
        slopes = [1.0] + [slope for _, slope in uses]
        values[name] = record(
            "line", np.zeros(()), inputs, lambda g, slopes=slopes: tuple(np.asarray(g * s) for s in slopes)
        )
    values[tape[-1][0]].backward()
    return {name: 0.0 if leaf.grad is None else float(leaf.grad) for name, leaf in leaves.items()}


exercise.library(backward=_by_the_tape)


class Slope:
    """Of an operation on arrays with respect to one of its inputs: what `slope * gradient` means there."""

    __array_ufunc__ = None  # `array * slope` comes here, too

    def __init__(self, entry, k, found):
        self.entry, self.k, self.found = entry, k, found

    def __mul__(self, gradient):
        if not self.found:  # one call gives the gradients of all inputs
            self.found += self.entry.backward(np.asarray(gradient, self.entry.dtype))
        return sum_to(self.found[self.k], self.entry.parents[self.k].shape)

    __rmul__ = __mul__


@exercise.takes_the_place
def _(backward):
    def play(entry, gradient, keep=False):
        order = entries(entry)
        tape = [
            (e, [(p, Slope(e, k, found)) for k, p in enumerate(e.parents) if p is not None])
            for e, found in ((e, []) for e in order)
        ]
        arrived = backward(tape)
        for e in order:
            if e.leaf is not None:
                e.leaf().grad = np.asarray(arrived[e], e.dtype)

    return [(importlib.import_module("tinynet.tensor"), "backward", play)]
