"""What the gradient checker says of a wrong gradient: where it is wrong, and the likely cause."""

import numpy as np
import pytest
from oracles import leaf

import tinynet as tn
from tinynet.gradcheck import Report
from tinynet.gradcheck.cases import distinct, normal

X = normal(3, 4)


def check(f, x, vjp=None, **how):
    (result,) = tn.gradcheck(f, [x], vjp, **how)
    return result


def test_the_report_names_op_argument_index_both_numbers_and_draws_the_wrong_entries():
    def pool(dy, x):
        dx = np.zeros(x.shape)
        for i, j in np.ndindex(dy.shape[2:]):
            u, v = np.unravel_index(x[0, 0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].argmax(), (3, 3))
            dx[0, 0, 2 * i + u, 2 * j + v] = dy[0, 0, i, j]
        return dx

    def max_pool2d(image):
        return tn.max_pool2d(tn.tensor(image), 3, 2).numpy()

    report = tn.gradcheck(max_pool2d, [distinct(1, 1, 7, 9)], pool, mistakes=[("write += here, not =", pool)])
    text, result = str(report), report[0]
    assert result.status == "fail" and result.hints == ["write += here, not ="]
    for part in ("max_pool2d(image (1, 1, 7, 9)) -> (1, 1, 3, 4), seed 0", "FAIL", "d max_pool2d / d image",
                 str(result.index),
                 f"{result.analytic:.8g}", f"{result.numeric:.8g}", f"{result.rel:.1e}", "hint: write += here, not =",
                 "image[0, 0, :, :]   # wrong, . right"):  # fmt: skip
        assert part in text, part
    rows = [line.split() for line in text.splitlines()[-7:]]
    assert [len(row) for row in rows] == [9] * 7
    assert rows[result.index[2]][result.index[3]] == "#" and sum(row.count("#") for row in rows) == result.wrong


ADD, MUL = (lambda x, b: x + b), (lambda x, b: x * b)
# f, the shape of b, where x is (4, 5); the wrong gradient of b; what must be said of it
HINTS = {
    "missing sum": (ADD, (5,), lambda dy, x, b: dy, "b was broadcast: sum the gradient over axis 0"),
    "missing sums": (ADD, (1, 1), lambda dy, x, b: dy, "b was broadcast: sum the gradient over axes 0, 1"),
    "keepdims": (ADD, (4, 1), lambda dy, x, b: dy.sum(1), "drop keepdims"),
    "transposed shape": (lambda x, b: x @ b, (5, 2), lambda dy, x, b: dy.T @ x, "reverse order"),
    "transposed": (lambda x, b: x @ b, (5, 5), lambda dy, x, b: dy.T @ x, "axes 0 and 1 swapped"),
    "flipped": (ADD, (5,), lambda dy, x, b: dy.sum(0)[::-1], "in reverse order along axis 0"),
    "shifted": (ADD, (5,), lambda dy, x, b: np.append(0, dy.sum(0))[:5], "1 too far along axis 0"),
    "mean for sum": (ADD, (5,), lambda dy, x, b: dy.mean(0), "every entry is 4 times too small: 4 is the size of axis 0"),
    "wrong mean": (lambda x, b: x + b.mean(1, keepdims=True), (4, 5), lambda dy, x, b: np.tile(dy.sum(1), (5, 1)).T / 4,
                   "5 is the size of axis 1 of b, 4 that of axis 0 of b: is it divided by the wrong one?"),
    "missing factor": (MUL, (4, 5), lambda dy, x, b: dy, "this multiplied by x is the right gradient"),
    "squared factor": (MUL, (4, 5), lambda dy, x, b: dy * x * b**2, "this divided by b squared is the right gradient"),
    "upside down": (lambda x, b: x + np.maximum(b, 0), (4, 5), lambda dy, x, b: dy * (b < 0), "a mask is upside down"),
    "no mask": (lambda x, b: x + np.maximum(b, 0), (4, 5), lambda dy, x, b: dy, "every wrong entry ought to be 0"),
    "never reached": (MUL, (4, 5), lambda dy, x, b: dy * x * [[1], [0], [1], [1]],
                      "every wrong entry is 0: the gradient never reaches it, or is overwritten; wrong only at 1 of axis 0"),
    "border": (MUL, (4, 5), lambda dy, x, b: dy * x * [1, 1, 1, 1, 1.5], "wrong only at the border, 4 of axis 1 (length 5)"),
    "own factors": (MUL, (4, 5), lambda dy, x, b: dy * x * [3, 2, 4, 5, 6], "every slice along axis 1 is off by a factor"),
    "nonsense": (MUL, (4, 5), lambda dy, x, b: dy * np.sin(7 * x), "Work out one of these entries by hand"),
}  # fmt: skip


@pytest.mark.parametrize("name", HINTS)
def test_the_likely_cause_is_told(name, seeds):
    f, shape, wrong, sentence = HINTS[name]
    for seed in seeds:
        args = [normal(4, 5, seed=seed), normal(*shape, seed=seed + 100)]
        right = (lambda dy, b: dy * b) if f is MUL else (lambda dy, b: dy @ b.T) if "trans" in name else lambda dy, b: dy
        vjp = lambda dy, x, b: (right(dy, b), wrong(dy, x, b))  # noqa: B023, E731
        report = tn.gradcheck(f, args, vjp, seed=seed)
        said = " ".join([*report[1].hints, report[1].known])
        assert [r.status for r in report] == ["pass", "fail"] and sentence in said, report


def test_swapped_gradients_are_told_from_wrong_ones():
    report = tn.gradcheck(MUL, [X, normal(3, 4, seed=1)], lambda dy, x, b: (dy * x, dy * b))
    assert [r.hints for r in report] == [
        ["what came as the gradient of b is the right one of x: they are swapped"],
        ["what came as the gradient of x is the right one of b: they are swapped"],
    ]


def test_a_mistake_is_only_named_if_the_gradient_equals_it():
    mistakes = [("forgot 2", lambda dy, x: dy * x), ("crashes", lambda dy, x: dy @ x), ("right", lambda dy, x: 2 * dy * x)]
    f = np.square
    assert check(f, X, lambda dy, x: dy * x, mistakes=mistakes).hints == ["forgot 2"]
    assert "forgot 2" not in check(f, X, lambda dy, x: dy * x * (1 + 1e-7), mistakes=mistakes).hints
    assert check(f, X, lambda dy, x: 2 * dy * x, mistakes=mistakes).status == "pass"


def test_the_same_seed_gives_the_same_report_and_another_one_other_numbers():
    texts = [str(tn.gradcheck(np.tanh, [X], lambda dy, x: dy, seed=seed)) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_assert_gradients_returns_the_report_or_raises_it():
    assert tn.assert_gradients(tn.tanh, [X]).status == "pass"
    with pytest.raises(tn.GradientError) as error:
        tn.assert_gradients(np.tanh, [X], lambda dy, x: dy)
    assert str(error.value) == str(tn.gradcheck(np.tanh, [X], lambda dy, x: dy)) and "FAIL" in str(error.value)
    assert error.value.results[0].status == "fail"
    with pytest.raises(AssertionError, match="INCONCLUSIVE"):
        tn.assert_gradients(lambda x: tn.softmax(x).sum(), [X])


@pytest.mark.parametrize("status, f, vjp", [
    ("pass", np.square, lambda dy, x: 2 * dy * x),
    ("fail", np.square, lambda dy, x: dy * x),
    ("inconclusive", lambda x: tn.softmax(x).sum(), None),
])  # fmt: skip
def test_a_report_is_true_only_if_it_is_a_pass(status, f, vjp):
    report = tn.gradcheck(f, [X], vjp)
    assert report.status == status and bool(report) is (status == "pass") and len(report) == 1


def test_a_wrong_network_and_a_wrong_precision_are_false_too():
    w = leaf(normal(3))
    assert tn.directional_check(lambda: (w * w).sum(), [w])
    assert not tn.directional_check(lambda: (w * w.detach()).sum(), [w]), "half of the gradient"
    assert tn.compare_precision(tn.tanh, [X])
    assert not tn.compare_precision(lambda x: x * (3.0 if x.dtype == np.float32 else 1.0), [X])


def test_nothing_to_check_is_not_a_pass():
    assert not Report([], "nothing")


def test_a_factor_that_would_have_to_be_infinite_explains_nothing():
    result = check(lambda x: np.maximum(x, 0), X, lambda dy, x: dy * x)  # divided by the result, 0 for half of them
    assert result.status == "fail" and "divided" not in str(result)
