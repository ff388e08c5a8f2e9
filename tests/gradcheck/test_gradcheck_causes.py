"""The checker finds what people get wrong, on data as people make it, and names a cause only where the numbers prove it."""

import random

import numpy as np
import pytest
from backwards import BACKWARDS, WRONG

import tinynet as tn


def of_python(seed, shape):
    random.seed(seed)
    return np.array([random.gauss(0, 1) for _ in range(int(np.prod(shape)))]).reshape(shape)


def legacy(seed, shape):
    np.random.seed(seed)
    return np.random.randn(*shape)


DATA = {
    "normal": lambda seed, shape: np.random.default_rng(seed).normal(size=shape),
    "standard_normal": lambda seed, shape: np.random.default_rng(seed).standard_normal(shape),
    "2 normal": lambda seed, shape: 2 * np.random.default_rng(seed).normal(size=shape),
    "float32": lambda seed, shape: np.random.default_rng(seed).normal(size=shape).astype(np.float32),
    "uniform": lambda seed, shape: np.random.default_rng(seed).uniform(-1, 1, shape),
    "seed sequence": lambda seed, shape: np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0]).normal(size=shape),
    "list of seeds": lambda seed, shape: np.random.default_rng([seed]).normal(size=shape),
    "RandomState": lambda seed, shape: np.random.RandomState(seed).normal(size=shape),
    "np.random.seed": legacy,
    "random": of_python,
}


@pytest.mark.parametrize("draw", DATA)
def test_data_are_never_what_the_checker_draws(draw):
    """With dy = a the transpose of a right gradient of a @ a is right as well; and x / |x| has slope 0 along x."""
    square, unit = BACKWARDS["a @ a"], BACKWARDS["x / |x|"]
    for seed in range(100):
        a = DATA[draw](seed, (4, 4))
        for given in (0, seed):  # the seed of the check as it is, or the one of the data
            assert tn.gradcheck(square.f, [a], square.wrong["transposed"][0], seed=given).status == "fail"
    for seed in range(10):
        x = DATA[draw](seed, (3, 4))
        assert tn.gradcheck(unit.f, [x], unit.vjp, seed=seed).status == "pass"
        report = tn.gradcheck(unit.f, [x], unit.wrong["norm as a constant"][0], seed=seed)
        assert report.status == "fail" and "e+" not in str(report[0].hints)


def test_the_other_checks_draw_numbers_of_their_own_too():
    """A network whose weights are default_rng(0)'s first numbers, as a direction through them would be."""
    w = tn.tensor(np.random.default_rng(0).normal(size=(3, 4)), requires_grad=True)

    def turned():
        """Half of sum(w^2), whose gradient has a part along w only: the part across it is cut off the tape."""
        return (w * w).sum() * 0.5 + (w.detach()[:, ::-1] * w.detach()).sum()

    assert tn.directional_check(turned, [w]).status == "fail"
    assert tn.compare_precision(lambda x: x @ x, [np.random.default_rng(0).normal(size=(4, 4))]).status == "pass"


@pytest.mark.parametrize("name", BACKWARDS)
def test_a_right_backward_passes(name, seeds):
    written = BACKWARDS[name]
    for seed in seeds:
        tn.assert_gradients(written.f, written.args(seed), written.vjp, seed=seed)


@pytest.mark.parametrize("name, how", WRONG, ids=[f"{name}: {how}" for name, how in WRONG])
def test_a_wrong_backward_fails_and_its_cause_is_told_if_it_is_one_that_numbers_show(name, how, seeds):
    written = BACKWARDS[name]
    vjp, cause = written.wrong[how]
    for seed in seeds:
        report = tn.gradcheck(written.f, written.args(seed), vjp, seed=seed)
        assert report.status == "fail"
        bad = [r for r in report if r.status == "fail"]
        if cause is None:
            assert not any(hint for r in bad for hint in r.hints if not hint.startswith("wrong only")), report
            assert all("no cause was recognised" in r.known for r in bad if not r.hints), report
        else:
            assert any(cause in hint for r in bad for hint in r.hints), report


def test_a_number_with_two_explanations_has_both():
    """At d = 4 a forgotten 1 / sqrt(d) is a 2, and so is a forgotten d(a^2) = 2 a da."""
    written = BACKWARDS["attention"]
    report = tn.gradcheck(written.f, written.args(0), written.wrong["no 1 / sqrt(d)"][0])
    (hint,) = report[0].hints
    assert hint.startswith("every entry is 2 times too large") and "2 a da" in hint and "the square root of 4" in hint


def test_what_is_known_is_shown_where_no_cause_is():
    report = tn.gradcheck(np.sin, [np.linspace(0.1, 1, 6)], lambda dy, x: dy * np.cos(x + 0.1 * x * x))
    assert report[0].hints == []
    assert "no cause was recognised. 6 of 6 entries are off" in report[0].known and "the cosine between" in report[0].known
    assert "no cause was recognised" in str(report)
