"""Natural wrong answers never pass, and what the learner is told of them is true: e01 to e21."""

import textwrap

import numpy as np
import pytest
from learners import attempt, edited, said

from tinynet.exercises.exercise import exercises, find
from tinynet.exercises.judge import judge
from tinynet.exercises.runner import judge_file


def function(signature, body):
    return f"def {signature}:\n{textwrap.indent(textwrap.dedent(body).strip(), '    ')}"


def told(name, source, *must, never=()):
    """The answer fails, and what is said of it has all of `must` and nothing of `never`."""
    findings = attempt(name, source)
    assert any(f.state == "fail" for f in findings), "it passes"
    text = said(findings)
    missing, lies = [m for m in must if m not in text], [n for n in never if n in text]
    assert not missing and not lies, f"missing {missing}, said {lies}:\n{text}"


SOFTMAX = """
p = np.exp(z - z.max(axis=1, keepdims=True))
p /= p.sum(axis=1, keepdims=True)
"""
FORWARD, BACKWARD = "cross_entropy_forward(z, labels)", "cross_entropy_backward(dy, z, labels)"
ROWS, SGD = "np.arange(len(z)), labels", "sgd_step(w, v, g, lr, momentum=0.9, weight_decay=0.0005)"
POOL = "max_pool_backward(dy, x, size, stride)"
WON = "won = x == x.max(axis, keepdims=True)\n"
PLACED = "dx[n, c, i * stride + first // size, j * stride + first % size]"
WINDOWS = """
dx = np.zeros_like(x)
for i, j in np.ndindex(dy.shape[2:]):
    part = np.s_[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
    won = x[part] == x[part].max(axis=(2, 3), keepdims=True)
    dx[part] += won {} * dy[:, :, i, j][:, :, None, None]
return dx
"""
SPREAD, TWO, AVERAGE = "spread it out", "as in d(a^2)", "as in average pooling"
GRADIENT = "{n: 0.0 for n, _ in tape}"

CASES = {
    # what used to pass
    "e09 -log of a softmax": (
        "e09",
        function(FORWARD, SOFTMAX + f"return -np.log(p[{ROWS}])"),
        "rounded to 0 before its logarithm",
    ),
    "e09 the mean as the shift": (
        "e09",
        function(FORWARD, f"s = z - z.mean(1, keepdims=True)\nreturn np.log(np.exp(s).sum(1)) - s[{ROWS}]"),
        "inf at",
    ),
    "e10 mean: the axis at the end": (
        "e10",
        function("mean_backward(dy, x, axis)", "return dy[..., None] * (dy.size / x.size) + np.zeros_like(x)"),
        "puts the lost axis of the mean at the end",
    ),
    "e10 max: the axis at the end": (
        "e10",
        edited(
            "e10", "won.sum(axis, keepdims=True) * np.expand_dims(dy, axis)", "won.sum(axis, keepdims=True) * dy[..., None]"
        ),
        "puts the lost axis of the maximum at the end",
    ),
    "e03 seen by name": (
        "e03",
        edited("e03", "not in seen", "not in {s.name for s in seen}", "elif node not", "elif node.name not"),
        "told apart by their names",
    ),
    "e04 a step of its own": (
        "e04",
        edited(
            "e04",
            "+= h",
            "+= h * max(1, abs(x[i]))",
            "-= h",
            "-= h * max(1, abs(x[i]))",
            "2 * h",
            "2 * h * max(1, abs(x[i]))",
        ),
        "the step grows with x",
    ),
    "e05 a step for positive numbers": ("e05", edited("e05", "np.abs(x)", "x"), "not where x is negative"),
    "e07 lengths instead of places": (
        "e07",
        function(
            "sum_to(dy, shape)",
            "gone = tuple(i for i, n in enumerate(dy.shape) if n not in shape)\nreturn dy.sum(axis=gone).reshape(shape)",
        ),
        "the lengths are compared, not the places",
    ),
    "e12 the best after a division": (
        "e12",
        edited("e12", "0, drops - 1", "0, drops - 1\n                best = error"),
        "the best is kept",
    ),
    "e12 a first best of 100": ("e12", edited("e12", "np.inf", "100"), "100 99.005"),
    "e12 1 % of the error": ("e12", edited("e12", "error < 0.99 * best", "best - error > 0.01 * error"), "1 % of the best"),
    "e20 nearly 0": ("e20", edited("e20", "(y == 0).mean()", "(y < 1e-6).mean()"), "compare with 0 itself"),
    "e21 as many windows as strides": ("e21", edited("e21", "dy.shape[2]", "x.shape[2] // stride"), "IndexError"),
    # false sentences
    "e01 None": ("e01", function("mul_backward(dy, a, b)", "pass"), "never reaches `return`"),
    "e01 lists of rows": ("e01", function("exp_backward(dy, y)", "return dy.tolist()"), "this multiplied by the result"),
    "e02 reverse in place": (
        "e02",
        edited("e02", "for name, uses in reversed(tape)", "tape.reverse()\n    for name, uses in tape"),
        "changed its argument tape in place",
        "reversed(tape) reads it backwards",
    ),
    "e02 from the first value on": (
        "e02",
        function(
            "backward(tape)",
            f"g = {GRADIENT}\ng[tape[0][0]] = 1.0\nfor n, uses in tape:\n    for u, s in uses:\n"
            "        g[n] += s * g[u]\nreturn g",
        ),
        "how every value changes with the first",
    ),
    "e03 a right recursion": (
        "e03",
        function(
            "topological_order(last)",
            "order = []\ndef visit(n):\n    if n not in order:\n        for p in n.parents:\n"
            "            visit(p)\n        order.append(n)\nvisit(last)\nreturn order",
        ),
        "too many steps",
        "keep a list of what to do",
    ),
    "e07 the first row": ("e07", function("sum_to(dy, shape)", "return dy[0]"), "shape (5,)"),
    "e07 resize": ("e07", function("sum_to(dy, shape)", "return np.resize(dy, shape)"), "expected"),
    "e07 max": ("e07", function("sum_to(dy, shape)", "return np.full(shape, dy.max())"), "expected"),
    "e05 twice the distance": ("e05", edited("e05", "(above - below)", "(2 * (above - below))"), "twice the distance"),
    "e05 a step of nothing": (
        "e05",
        edited("e05", "np.finfo(x.dtype).eps ** (1 / 3) * np.maximum(1, np.abs(x))", "x.dtype.type(1e-6)"),
        "x + h is x itself",
    ),
    "e08 both averaged": (
        "e08",
        edited("e08", "dy @ b.T", "dy @ b.T / len(a)", "a.T @ dy", "a.T @ dy / len(a)"),
        "both are divided by the number of images",
    ),
    "e09 log(p + 1e-9)": ("e09", function(FORWARD, SOFTMAX + f"return -np.log(p[{ROWS}] + 1e-9)"), "1.3862943571198"),
    "e09 dy": ("e09", function(BACKWARD, "return dy"), "shape ("),
    "e09 p[:, labels]": ("e09", edited("e09", f"p[{ROWS}]", "p[:, labels]"), "every row at the labels of all rows"),
    "e10 dy": ("e10", function("max_backward(dy, x, axis)", "return dy"), "shape ("),
    "e10 ties counted over all": (
        "e10",
        edited("e10", "won.sum(axis, keepdims=True)", "won.sum()"),
        "each result shares only",
    ),
    "e10 dy.size": ("e10", edited("e10", "(dy.size / x.size)", "(1 / dy.size)"), "dy.size is how many results there are"),
    "e11 the decay of v": ("e11", edited("e11", "weight_decay * lr * w", "weight_decay * lr * v"), "expected"),
    "e12 a margin of 0.01": ("e12", edited("e12", "0.99 * best", "best - 0.01"), "expected"),
    "e13 one shift for all": ("e13", edited("e13", "z.max(axis=1, keepdims=True)", "z.max()"), "become 0 / 0"),
    "e15 no end": (
        "e15",
        edited("e15", "(padding, padding), (padding, padding)", "(0, padding), (0, padding)"),
        "below and on the",
    ),
    "e15 a column too few": ("e15", edited("e15", "(w - kw) // stride + 1", "(w - kw) // stride"), "expected"),
    "e17 dw first": (
        "e17",
        edited("e17", "return dx[:, :, p : p + h, p : p + w], dw,", "return dw, dx[:, :, p : p + h, p : p + w],"),
        "dw comes before dx",
    ),
    "e17 db first": (
        "e17",
        edited(
            "e17",
            "return dx[:, :, p : p + h, p : p + w], dw, dy.sum(axis=(0, 2, 3))",
            "return dy.sum(axis=(0, 2, 3)), dx[:, :, p : p + h, p : p + w], dw",
        ),
        "these are the shapes of bias, x and weight",
    ),
    "e17 [p:-p]": ("e17", edited("e17", "p : p + h, p : p + w", "p:-p, p:-p"), "empty where p is 0"),
    "e17 db averaged": (
        "e17",
        edited("e17", "dy.sum(axis=(0, 2, 3))", "dy.sum(axis=(2, 3)).mean(axis=0)"),
        "db is averaged over",
    ),
    "e20 dark in some image": (
        "e20",
        function("dead_units(y)", "return (y == 0).reshape(*y.shape[:2], -1).all(axis=2).any(axis=0)"),
        "expected",
    ),
    "e20 nine in ten": (
        "e20",
        function("dead_units(y)", "return (y == 0).mean(axis=(0, *range(2, y.ndim))) > 0.9"),
        "expected",
    ),
    "e21 dy": ("e21", function(POOL, "return dy"), "shape ("),
    "e21 ties share": (
        "e21",
        function(POOL, WINDOWS.format("/ won.sum(axis=(2, 3), keepdims=True)")),
        "that is the max of e10",
    ),
    # natural mistakes
    "e04 down only": ("e04", edited("e04", "f(above) - f(below)", "f(x) - f(below)", "(2 * h)", "h"), "steps down only"),
    "e09 axis 0, forward": (
        "e09",
        function(FORWARD, f"p = np.exp(z - z.max(0)) / np.exp(z - z.max(0)).sum(0)\nreturn -np.log(p[{ROWS}])"),
        "axis 0",
    ),
    "e09 axis 0, backward": (
        "e09",
        function(BACKWARD, f"p = np.exp(z - z.max(0))\np /= p.sum(0)\np[{ROWS}] -= 1\nreturn p * dy[:, None]"),
        "axis 0",
    ),
    "e09 no shift": (
        "e09",
        function(FORWARD, f"return np.log(np.exp(z).sum(1)) - z[{ROWS}]"),
        "e^1000 is infinite, and so is this loss",
    ),
    "e09 one shift, forward": (
        "e09",
        function(FORWARD, f"s = z - z.max()\nreturn np.log(np.exp(s).sum(1)) - s[{ROWS}]"),
        "subtracted from all rows",
    ),
    "e09 one shift, backward": (
        "e09",
        function(BACKWARD, f"p = np.exp(z - z.max())\np /= p.sum(1, keepdims=True)\np[{ROWS}] -= 1\nreturn p * dy[:, None]"),
        "subtracted from all rows",
    ),
    "e10 the first of ties": (
        "e10",
        function(
            "max_backward(dy, x, axis)",
            "dx = np.zeros_like(x)\nat = np.expand_dims(x.argmax(axis), axis)\n"
            "np.put_along_axis(dx, at, np.expand_dims(dy, axis), axis)\nreturn dx",
        ),
        "only the first of equally",
    ),
    "e10 all of ties": (
        "e10",
        function("max_backward(dy, x, axis)", WON + "return won * np.expand_dims(dy, axis)"),
        "whole gradient",
    ),
    "e11 rate outside": (
        "e11",
        function(SGD, "v = momentum * v - weight_decay * w - g\nreturn w + lr * v, v"),
        "lr is outside",
    ),
    "e11 decay after": (
        "e11",
        function(SGD, "v = momentum * v - lr * g\nw = w + v\nreturn w - weight_decay * lr * w, v"),
        "decays after the update",
    ),
    "e14 no + 1, nor max": (
        "e14",
        function("map_size(size, kernel, stride, padding)", "return (size + 2 * padding - kernel) // stride"),
        "the first window is not counted",
    ),
    "e15 no + 1": (
        "e15",
        edited("e15", "(h - kh) // stride + 1, (w - kw) // stride + 1", "(h - kh) // stride, (w - kw) // stride"),
        "the first window is not counted",
    ),
    "e15 transposed": ("e15", edited("e15", "(c * kh * kw, oh * ow)", "(c * kh * kw, oh * ow).T"), "this is transposed"),
    "e15 integers": ("e15", edited("e15", "x.dtype", "int"), "the columns are integers"),
    "e16 another order": (
        "e16",
        edited("e16", "top, bottom, left, right =", "top, left, bottom, right ="),
        "the order of the paddings",
    ),
    "e16 clockwise": ("e16", edited("e16", "top, bottom, left, right =", "top, right, bottom, left ="), "clockwise"),
    "e21 no offset": (
        "e21",
        edited("e21", PLACED, "dx[n, c, first // size, first % size]"),
        "the window's own place is forgotten",
    ),
    "e21 stride = size": (
        "e21",
        function(
            POOL,
            "dx = np.zeros_like(x)\nfor n, c, i, j in np.ndindex(dy.shape):\n    a, b = i * size, j * size\n"
            "    window = x[n, c, a : a + size, b : b + size]\n"
            "    u, v = np.unravel_index(window.argmax(), window.shape)\n"
            "    dx[n, c, a + u, b + v] += dy[n, c, i, j]\nreturn dx",
        ),
        "taken `size` apart",
    ),
    "e21 the last of ties": (
        "e21",
        edited(
            "e21",
            ".argmax(axis=2)",
            "[:, :, ::-1].argmax(axis=2)",
            "dx[n, c, i",
            "first = size**2 - 1 - first\n            dx[n, c, i",
        ),
        "the last gets all",
    ),
}

NEVER = {
    "e01": ("gradients returned", "gradient returned"),
    "e03 a right recursion": ("needs a case that stops",),
    "e05 twice the distance": ("not 2 h apart",),
    "e05 a step of nothing": ("one side only",),
    "e07": ("mean over the uses",),
    "e09": (SPREAD, "infinite / infinite"),
    "e09 the mean as the shift": ("rounded to 0 before",),
    "e10": (SPREAD, TWO, "len(x) is"),
    "e11 the decay of v": ("is forgotten",),
    "e12 a margin of 0.01": ("even by a hair; only one",),
    "e15 no end": ("is forgotten",),
    "e15 a column too few": ("above and on the left",),
    "e17": (SPREAD, TWO),
    "e20": ("one place that is always 0", "the first image only"),
    "e21": (SPREAD, AVERAGE),
}


@pytest.mark.parametrize("case", CASES)
def test_it_fails_and_what_is_said_is_true(case):
    told(*CASES[case], never=NEVER.get(case, NEVER.get(case[:3], ())))


def test_a_walk_along_every_way_does_not_come_to_an_end(tmp_path):
    source = function("backward(tape)", """
        last = tape[-1][0]
        def gradient(name):
            if name == last:
                return 1.0
            return float(sum(slope * gradient(n) for n, uses in tape for used, slope in uses if used == name))
        return {name: gradient(name) for name, uses in tape}
    """)  # fmt: skip
    exercise = find("e02")
    path = tmp_path / f"{exercise.name}.py"
    path.write_text(source)
    verdict = judge_file(exercise, path, limit=3)
    assert verdict.state == "fail" and verdict.passed == len(exercise.checks) - 1
    assert "no answer after 3 seconds" in verdict.sentence and "each use is played once" in verdict.sentence


def test_who_shares_and_who_gives_all_to_the_first_is_said_with_the_reason():
    assert "Why share?" in find("e10").statement
    assert "the first in reading order gets all. That is what" in find("e21").statement


@pytest.mark.parametrize("error", [ValueError, IndexError, TypeError, KeyError])
def test_the_kind_of_an_error_is_no_cause(error):
    def fails(*_):
        raise error("xyz")

    for exercise in exercises().values():
        for name in exercise.functions:
            findings = judge(exercise, {**exercise.functions, name: fails})
            assert not any(f.hint for f in findings), exercise.name


@pytest.mark.parametrize("value", [None, 0.0])
def test_nothing_in_particular_is_no_known_mistake(value):
    """Zeros and None come out of many mistakes, so they prove none."""

    def filled(result):
        if isinstance(result, np.ndarray):
            return None if value is None else np.full_like(result, value)
        if isinstance(result, tuple):
            return tuple(map(filled, result))
        return None if value is None else type(result)(value) if isinstance(result, (int, float)) else result

    for exercise in exercises().values():
        known = {mistake.sentence for mistake in exercise.mistakes}
        for name, right in exercise.functions.items():
            findings = judge(exercise, {**exercise.functions, name: lambda *a, right=right: filled(right(*a))})
            told = {f.hint for f in findings if f.state != "pass"} & known
            assert not told, f"{exercise.name}: {name} that gives {value} is told {told}"
