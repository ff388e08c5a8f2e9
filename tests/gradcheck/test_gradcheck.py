"""The gradient checker: its three outcomes, what it says, what it does to nobody's data, and its witnesses from outside."""

import subprocess
import sys

import numpy as np
import pytest

import tinynet as tn
from tinynet.gradcheck import __main__ as command_line
from tinynet.gradcheck.cases import CASES, distinct, normal, positive
from tinynet.gradcheck.differences import choose
from tinynet.tape import record

X = normal(3, 4)


def only(report):
    (result,) = report
    return result


def check(f, x, vjp=None, **how):
    return only(tn.gradcheck(f, [x], vjp, **how))


# pass ------------------------------------------------------------------------------------------------------------------


def test_a_right_gradient_passes_with_and_without_a_tape():
    for result in (check(np.tanh, X, lambda dy, x: dy * (1 - np.tanh(x) ** 2)), check(tn.tanh, X)):
        assert result.status == "pass" and result.rel < 1e-8 and result.checked == 12 and result.kinks == 0
        assert isinstance(result.index, tuple) and abs(result.analytic - result.numeric) < 1e-8 and not result.hints


def test_results_come_one_an_argument_and_in_their_order():
    report = tn.gradcheck(lambda x, weight, bias: tn.linear(x, weight, bias), [normal(3, 4), normal(2, 4), normal(2)])
    assert [r.name for r in report] == ["x", "weight", "bias"] and report.status == "pass"
    assert isinstance(report, list)
    named = tn.gradcheck(lambda *t: tn.linear(*t), [normal(3, 4), normal(2, 4)], names=["a", "b"])
    assert [r.name for r in named] == ["a", "b"]
    assert [r.name for r in tn.gradcheck(lambda *t: t[0] * t[1], [X, X])] == ["argument 0", "argument 1"]


@pytest.mark.parametrize(
    "args", [X, [X], (X,), [tn.tensor(X)], tn.tensor(X), [X.tolist()], [X.astype(np.float32)]], ids=type
)
def test_arguments_may_be_arrays_tensors_or_lists_and_are_checked_in_float64(args):
    report = tn.gradcheck(tn.tanh, args)
    assert report.status == "pass" and only(report).noise < 1e-7


def test_a_number_is_an_argument_too():
    found = [only(tn.gradcheck(f, 3.0)).numeric for f in (lambda x: x * x, lambda x: x * 1.0)]
    assert found[0] == pytest.approx(6 * found[1])  # the same dy for both
    assert check(lambda x: x**3, 2.0, lambda dy, x: 3 * dy * x**2).status == "pass"


def test_an_argument_that_has_no_influence_needs_a_gradient_of_0_and_nothing_is_concluded():
    report = tn.gradcheck(lambda a, b: a + 0.0 * b, [X, X])
    assert [r.status for r in report] == ["pass", "inconclusive"]
    report = tn.gradcheck(lambda a, b: a * 1.0, [X, X])  # b is not even on the tape
    assert [r.status for r in report] == ["pass", "inconclusive"]


def test_shapes_without_elements_pass_with_the_right_shape():
    assert check(lambda x: x * 2, np.zeros((0, 3))).status == "pass"
    assert check(lambda x: x[:, :0], X).status == "pass"
    assert check(lambda x: x * 2, np.zeros((0, 3)), lambda dy, x: np.zeros(3)).status == "fail"


def test_steps_grow_with_large_arguments():
    x = np.array([1e6, -3e8, 1e-3])
    assert check(lambda x: x * np.sqrt(abs(x)), x, lambda dy, x: dy * 1.5 * np.sqrt(abs(x))).status == "pass"


# fail ------------------------------------------------------------------------------------------------------------------


def writes(a):
    a += 1
    return a


FAILURES = {
    "wrong shape": (lambda dy, x: (dy * 2)[None], "the gradient has shape (1, 3, 4), the argument has (3, 4)"),
    "NaN": (lambda dy, x: dy * 2 + np.where(np.arange(12).reshape(3, 4) == 6, np.nan, 0), "not finite: nan at (1, 2)"),
    "infinite": (lambda dy, x: dy / 0, "not finite"),
    "no gradient": (lambda dy, x: [None], "no gradient was returned"),
    "None": (lambda dy, x: None, "vjp returned None"),
    "two gradients": (lambda dy, x: (dy, dy), "2 gradients for 1 arguments"),
    "float32": (lambda dy, x: (dy * 2).astype(np.float32), "the gradient is float32, the argument is float64"),
    "argument written to": (lambda dy, x: dy * 2 * (writes(x) * 0 + 1), "wrote into the argument x"),
    "dy written to": (lambda dy, x: writes(dy) * 0 + 2 * (dy - 1), "wrote into dy"),
    "dy for 0": (lambda dy, x: dy * 2 + 1e-8, "the gradient for dy = 0 is not 0"),
    "not linear": (lambda dy, x: dy * 2 + 1e-8 * dy * abs(dy), "the gradient for -2 dy is not -2 times the gradient for dy"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_backward_that_cannot_be_trusted_fails_for_its_own_reason(name):
    vjp, reason = FAILURES[name]
    result = check(lambda x: x * 2, X, vjp)
    assert result.status == "fail" and reason in result.reason, result


def test_a_forward_that_writes_into_its_argument_fails():
    result = check(lambda x: writes(x) * 2, X, lambda dy, x: dy * 2)
    assert result.status == "fail" and "f wrote into its argument x" in result.reason

    def f(x):
        x.data += 1.0
        return x * 2

    assert "f wrote into its argument x" in check(f, X).reason


def test_zeros_fail_where_the_true_gradient_is_tiny_but_above_rounding():
    for f, slope in ((lambda x: 1e-9 * x, 1e-9), (lambda x: 1 + 1e-8 * x, 1e-8), (lambda x: 1e-30 * x, 1e-30)):
        assert check(f, X, lambda dy, x: 0 * dy).status == "fail"
        assert check(f, X, lambda dy, x, slope=slope: slope * dy).status == "pass"


def test_a_result_that_is_not_finite_or_not_float64_fails():
    assert "the result is not finite: nan" in check(np.log, X, lambda dy, x: dy / x).reason
    assert "the result is float32" in check(lambda x: x.astype(np.float32), X, lambda dy, x: dy).reason


def faulty(backward, name="faulty"):
    """x * 2 on the tape, with another backward."""
    return lambda x: record(name, x.data * 2, (x,), backward)


def test_the_tapes_own_complaints_are_failures_and_the_users_are_not_swallowed():
    assert check(faulty(lambda g: (g[0] * 2,)), X).reason.startswith("backward of faulty: gradient has shape (4,)")
    assert "one an input" in check(faulty(lambda g: g), X).reason
    with pytest.raises(ValueError, match="my own bug"):
        check(faulty(lambda g: int("my own bug")), X)
    with pytest.raises(ZeroDivisionError):
        check(lambda x: x, X, lambda dy, x: 1 // 0)


def test_a_gradient_that_changes_when_its_argument_is_alone_on_the_tape_fails():
    def f(a, b):
        both = a.requires_grad and b.requires_grad
        return record("sly", a.data * b.data, (a, b), lambda g: (g * b.data, g * a.data if both else g))

    report = tn.gradcheck(f, [X, X])
    assert [r.status for r in report] == ["pass", "fail"] and "only b is on the tape" in report[1].reason


def test_a_cut_tape_is_named():
    result = check(lambda x: x.detach() * 2 + x * 0, X)
    assert result.status == "fail" and result.hints == ["the gradient is 0 everywhere, the slope is not"]
    result = check(lambda x: tn.tensor(x.data * 2), X)
    assert result.status == "fail" and "is not on the tape" in result.hints[0]


# inconclusive ----------------------------------------------------------------------------------------------------------


def test_a_forward_that_is_not_repeatable_is_inconclusive():
    rng = np.random.default_rng(0)
    result = check(lambda x: tn.dropout(x, 0.5, rng=rng), X)
    assert result.status == "inconclusive" and "seed it" in result.reason
    for seed in range(20):  # two masks of two elements are often the same
        rng = np.random.default_rng(seed)
        assert check(lambda x: tn.dropout(x, 0.5, rng=rng), X[0, :2]).status != "fail"  # noqa: B023
    assert check(lambda x: tn.dropout(x, 0.5, rng=np.random.default_rng(0)), X).status == "pass"


def test_a_backward_that_is_not_repeatable_is_inconclusive():
    rng = np.random.default_rng(0)
    result = check(lambda x: 2 * x, X, lambda dy, x: dy * 2 * (rng.random(x.shape) < 0.5))
    assert result.status == "inconclusive" and "another one each time" in result.reason and not result.hints


def test_a_forward_with_a_little_noise_is_not_taken_for_one_with_kinks():
    rng = np.random.default_rng(0)
    result = check(lambda x: x * 2 + 1e-9 * rng.normal(), X, lambda dy, x: dy * 2)
    assert result.status == "inconclusive" and "seed it" in result.reason


@pytest.mark.parametrize(
    "f",
    [lambda x: tn.softmax(x).sum(), lambda x: x**0, lambda x: 1 + 1e-14 * x],
    ids=["sum of softmax", "constant", "lost in rounding"],
)
def test_slopes_below_the_rounding_floor_are_inconclusive(f):
    result = check(f, X)
    assert result.status == "inconclusive" and "below the rounding error" in result.reason


def test_a_gradient_above_the_rounding_floor_of_a_constant_fails():
    assert check(lambda x: x**0, X, lambda dy, x: dy).status == "fail"


def test_a_forward_that_rounds_to_float32_inside_is_inconclusive():
    def f(x):
        return np.tanh(x.astype(np.float32)).astype(np.float64)

    result = check(f, X, lambda dy, x: dy * (1 - np.tanh(x) ** 2))
    assert result.status == "inconclusive" and "float32" in result.reason


# kinks -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x, kinks", [(0.0, 1), (3e-7, 1), (-3.3e-7, 1), (9e-7, 1), (-9e-7, 1), (3e-6, 0), (-3e-6, 0)])
def test_kinks_are_left_out_and_counted(x, kinks):
    values = np.array([x, *(0.3 * normal(9) + np.where(normal(9) > 0, 1, -1))])
    result = check(tn.relu, values)
    assert result.status == "pass" and result.kinks == kinks and result.checked == 10 - kinks


def test_too_many_kinks_are_inconclusive_but_an_error_beside_them_still_fails():
    x = np.array([0.0, 0.0, 1.0, 2.0, -1.0])
    assert check(tn.relu, x).status == "inconclusive" and "on kinks" in check(tn.relu, x).reason
    assert check(lambda x: np.maximum(x, 0), x, lambda dy, x: dy * (x > 1.5)).status == "fail"


def test_ties_of_pooling_are_kinks():
    x = distinct(1, 1, 4, 6)
    x[0, 0, 0, :2] = 50.0
    result = check(lambda t: tn.max_pool2d(t, 2), x)
    assert result.status == "pass" and result.kinks == 2


@pytest.mark.parametrize("f, x", [(tn.log, positive(5) / 50), (lambda x: 1 / x, positive(5) / 20), (tn.exp, 10 * normal(5)),
                         (lambda x: x**3, np.array([1e-4, 5.0, 1e3]))], ids=["log", "inverse", "exp", "cube"])  # fmt: skip
def test_strong_curvature_is_no_kink(f, x):
    assert check(f, x).kinks == 0 and check(f, x).status == "pass"


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 30, 1e3, 1e6])
@pytest.mark.parametrize("case", CASES[::7], ids=str)
def test_a_right_gradient_never_fails_however_large_or_small_its_arguments(case, scale):
    report = tn.gradcheck(case.f, [a * scale for a in case.args(1)], seed=1)
    assert all(r.status != "fail" or "the result is not finite: inf" in r.reason for r in report), report


def test_too_much_curvature_and_too_little_digits_are_no_failures():
    assert check(lambda x: 1 / x, normal(20) / 1000).status != "fail"  # the step is a thousandth of x
    assert check(tn.softmax, 1000 * normal(3, 4)).status != "fail"  # outputs of 1 that hide slopes of 1e-62


def test_the_edge_of_the_domain_is_left_out():
    result = check(tn.sqrt, np.array([1e-8, 1.0, 2.0, 3.0, 4.0, 5.0]))
    assert result.status == "pass" and result.kinks == 1


# large arguments -------------------------------------------------------------------------------------------------------


def test_up_to_the_limit_every_entry_is_looked_at_and_above_it_all_ends():
    assert choose((3, 4), 12, np.random.default_rng(0)) == list(np.ndindex(3, 4))
    picked = choose((5, 30, 40), 60, np.random.default_rng(0))
    assert len(picked) == 60 == len(set(picked))
    for axis, n in enumerate((5, 30, 40)):
        assert {0, n - 1} <= {i[axis] for i in picked}
    assert {(0, 0, 0), (4, 29, 39), (4, 0, 39)} <= set(picked)


@pytest.mark.parametrize("seed", range(5))
def test_one_wrong_entry_among_many_is_found_and_its_index_told(seed):
    at = tuple(np.random.default_rng(seed).integers((10, 30, 50)))

    def vjp(dy, x):
        dx = dy * np.cos(x)
        dx[at] *= 1.01
        return dx

    result = check(np.sin, normal(10, 30, 50), vjp, seed=seed)
    assert result.status == "fail" and result.index == at and result.wrong == 1, result
    assert result.analytic == pytest.approx(1.01 * result.numeric)


def test_a_large_right_gradient_passes_with_few_evaluations():
    calls = []

    def f(x):
        calls.append(1)
        return np.sin(x)

    assert check(f, normal(100, 300), lambda dy, x: dy * np.cos(x)).status == "pass"
    assert len(calls) < 2 * 400 + 30


# bad input, and harm to nobody -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "x", [np.arange(3), [1, 2], np.ones(2, bool), np.ones(2, complex), np.ones(2, np.longdouble)], ids=str
)
def test_arguments_that_are_not_floats_are_refused_with_a_remedy(x):
    with pytest.raises(TypeError, match="which has no slope to check; pass floats"):
        tn.gradcheck(lambda t: t * 1.0, [x])


def test_bad_calls_are_refused():
    with pytest.raises(ValueError, match="2 names for 1 arguments"):
        tn.gradcheck(tn.tanh, [X], names=["a", "b"])
    with pytest.raises(TypeError, match="must return a Tensor; got ndarray"):
        tn.gradcheck(lambda x: x.numpy(), [X])
    with pytest.raises(TypeError, match="expected an array of numbers, got str"):
        tn.gradcheck(lambda x: "y", [X], lambda dy, x: dy)


def test_nothing_of_the_callers_is_touched():
    x, t = X.copy(), tn.tensor(X, requires_grad=True)
    t.grad = np.ones(X.shape)
    state = np.random.get_state()[1].copy()
    tn.gradcheck(lambda x: writes(x), [x], lambda dy, x: writes(dy))
    tn.gradcheck(tn.tanh, [t])
    assert np.array_equal(x, X) and np.array_equal(t.data, X) and np.array_equal(t.grad, np.ones(X.shape))
    assert np.array_equal(np.random.get_state()[1], state)


# witnesses from outside ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op, f", [("exp", np.exp), ("tanh", np.tanh), ("log", np.log), ("sqrt", np.sqrt),
                         ("sigmoid", lambda z: 1 / (1 + np.exp(-z))), ("power", lambda z: z**1.5)])  # fmt: skip
def test_numeric_slopes_are_those_of_the_complex_step(op, f):
    x = positive(7)
    vjp = lambda dy, x: dy * f(x + 1e-30j).imag / 1e-30  # noqa: E731
    result = check(lambda x: f(x), x, vjp)
    assert result.status == "pass" and result.rel < 1e-8


# python -m tinynet.gradcheck ---------------------------------------------------------------------------------------------


def test_the_command_prints_a_line_an_operation(capsys):
    assert command_line.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["worst", "error", "entries", "kinks", "ms"]
    assert [line.split()[0] for line in lines[1:]] == list(dict.fromkeys(case.op for case in CASES))
    assert all(float(line.split()[1]) < 1e-7 for line in lines[1:])


def test_the_command_prints_a_line_a_configuration_of_one_operation(capsys):
    assert command_line.main(["cross_entropy"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["mean", "sum", "none"]


def test_the_command_fails_and_shows_the_report_if_an_operation_is_wrong(capsys, monkeypatch):
    kernels = tn.devices("cpu")[0].kernels
    monkeypatch.setattr(kernels, "relu_backward", lambda g, y: g)
    assert command_line.main([]) == 1
    out = capsys.readouterr().out
    assert "FAIL" in out and "d relu / d x" in out and "every wrong entry ought to be 0" in out


def test_the_command_refuses_unknown_names():
    with pytest.raises(SystemExit) as stop:
        command_line.main(["conv3d"])
    assert stop.value.code == 2


def test_the_command_runs_as_a_module_without_a_warning():
    run = subprocess.run([sys.executable, "-W", "error", "-m", "tinynet.gradcheck", "relu"], capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == "" and "(3, 5)" in run.stdout


def test_importing_tinynet_does_not_draw_the_cases():
    code = "import sys, tinynet; sys.exit('tinynet.gradcheck.cases' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
