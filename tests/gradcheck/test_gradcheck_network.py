"""Checks of whole networks, and of float32 and other devices against float64."""

import re

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn
from tinynet.gradcheck.cases import normal
from tinynet.tape import record

X, LABELS = tn.tensor(normal(4, 3, 9, 11)), np.array([0, 2, 1, 1])


def network(seed=0):
    rng = np.random.default_rng(seed)
    how = dict(dtype=np.float64, rng=rng)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, **how), nn.ReLU(), nn.LocalResponseNorm(3, 0.5), nn.MaxPool2d(3, 2),
                          nn.Flatten(), nn.Linear(4 * 4 * 5, 6, **how), nn.Tanh(), nn.Linear(6, 3, **how))  # fmt: skip
    for p in model.parameters():
        p.data += 0.1 * rng.normal(size=p.shape)
    return model


def spoiled(x, factor):
    """x, whose gradient comes back times `factor`."""
    return record("spoiled", x.data.copy(), (x,), lambda g: (g * factor,))


def loss_of(model, factor=1.0, after=3):
    def loss():
        x = X
        for i, layer in enumerate(model):
            x = layer(x)
            if i == after:
                x = spoiled(x, factor) if x.requires_grad else x
        return tn.cross_entropy(x, LABELS)

    return loss


# directional_check -----------------------------------------------------------------------------------------------------


def test_a_right_network_passes_with_taylor_exponents_of_2(seeds):
    for seed in seeds:
        model = network(seed)
        report = tn.directional_check(loss_of(model), model, seed=seed)
        assert report.status == "pass" and len(report) == 1 + 6, report
        assert len(report.slopes) == 3 and all(1.9 < s < 2.1 for s in report.slopes), report.slopes
        t, remainder = report.taylor[0]
        assert t.shape == remainder.shape and (np.diff(t) < 0).all() and (remainder >= 0).all()


@pytest.mark.parametrize("factor", [1.03, 1.0001, -1, 0, 2])
def test_a_wrong_layer_is_seen_in_the_exponents_and_in_all_parameters_before_it(factor):
    for seed in range(5):
        model = network(seed)
        report = tn.directional_check(loss_of(model, factor), model, seed=seed)
        status = {r.name: r.status for r in report}
        assert report.status == "fail" and min(report.slopes) < 1.2, report
        assert status["all parameters"] == status["0.weight"] == status["0.bias"] == "fail", report
        assert {r.status for r in report[3:]} == {"pass"}, report
        assert "rel err" in str(report) and "FAIL          d loss / d 0.weight" in str(report)


def test_one_wrong_entry_of_a_parameter_is_found():
    w = tn.tensor(normal(30, 40), requires_grad=True)
    wrong = np.ones((30, 40))
    wrong[17, 3] = 1.01
    report = tn.directional_check(lambda: (tn.tanh(spoiled(w, wrong)) * normal(30, 40, seed=1)).sum(), [w])
    assert [r.status for r in report[1:]] == ["fail"]


def normalised():
    how = dict(dtype=np.float64, rng=np.random.default_rng(0))
    return nn.Sequential(nn.Conv2d(2, 4, 3, **how), nn.BatchNorm2d(4, dtype=np.float64), nn.Tanh(), nn.Flatten(),
                         nn.Linear(4 * 3 * 2, 3, **how))  # fmt: skip


def test_parameters_gradients_and_buffers_are_left_as_they_were():
    model, x = normalised(), tn.tensor(normal(4, 2, 5, 4))
    model.parameters()[0].grad = kept = np.ones((4, 2, 3, 3))
    before = model.state_dict()
    tn.directional_check(lambda: tn.cross_entropy(model(x), LABELS), model)
    after = model.state_dict()
    assert "1.running_mean" in before and list(before) == list(after)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert model.parameters()[0].grad is kept and all(p.grad is None for p in model.parameters()[1:])

    def fails():
        raise RuntimeError("halfway")

    model.parameters()[1].data += 1
    with pytest.raises(RuntimeError, match="halfway"):
        tn.directional_check(fails, model)
    assert model.parameters()[0].grad is kept


def test_a_bias_before_batch_normalisation_has_no_influence_and_is_inconclusive():
    model, x = normalised(), tn.tensor(normal(4, 2, 5, 4))
    report = tn.directional_check(lambda: tn.cross_entropy(model(x), LABELS), model)
    assert {r.name: r.status for r in report} == {
        "all parameters": "pass",
        "0.weight": "pass",
        "0.bias": "inconclusive",
        "1.weight": "pass",
        "1.bias": "pass",
        "4.weight": "pass",
        "4.bias": "pass",
    }, report


def test_parameters_may_be_tensors_pairs_or_a_dict_and_shared_ones_count_once():
    w = tn.tensor(normal(3, 3), requires_grad=True)
    loss = lambda: (tn.tanh(w) @ w).sum()  # noqa: E731
    for params, name in (([w], "parameter 0"), ([("w", w)], "w"), ({"w": w}, "w"), ({"w": w, "again": w}, "w")):
        report = tn.directional_check(loss, params)
        assert report.status == "pass" and [r.name for r in report] == ["all parameters", name]


def test_a_loss_that_changes_or_is_not_finite_is_not_compared():
    w, rng = tn.tensor(normal(9), requires_grad=True), np.random.default_rng(0)
    report = tn.directional_check(lambda: tn.dropout(w, rng=rng).sum(), [w])
    assert [r.status for r in report] == ["inconclusive"] * 2 and "seed its dropout" in report[0].reason
    with np.errstate(invalid="ignore"):
        report = tn.directional_check(lambda: tn.log(w - 100.0).sum(), [w])
    assert [r.status for r in report] == ["fail"] * 2


def test_a_linear_loss_has_no_remainder_and_passes():
    w = tn.tensor(normal(9), requires_grad=True)
    report = tn.directional_check(lambda: (w * normal(9, seed=1)).sum(), [w])
    assert report.status == "pass" and "exact" in str(report)


def test_a_parameter_that_is_cut_off_the_tape_is_named():
    w = tn.tensor(normal(9), requires_grad=True)
    b = tn.tensor(normal(9), requires_grad=True)
    report = tn.directional_check(lambda: (w * w * b.detach()).sum(), {"w": w, "b": b})
    assert report[1].status == "pass" and report[2].status == "fail" and "is not on the tape" in report[2].hints[0]


def test_float32_networks_and_losses_that_are_no_number_are_refused():
    w = tn.tensor(normal(3), requires_grad=True, dtype=np.float32)
    with pytest.raises(TypeError, match="parameter 0 is float32, too coarse"):
        tn.directional_check(lambda: w.sum(), [w])
    w = tn.tensor(normal(3), requires_grad=True)
    with pytest.raises(TypeError, match="a Tensor with one element"):
        tn.directional_check(lambda: w * 2, [w])
    with pytest.raises(TypeError, match="the loss is float32"):
        tn.directional_check(lambda: w.astype(np.float32).sum(), [w])


# compare_precision -----------------------------------------------------------------------------------------------------


def test_float32_agrees_with_float64_to_single_precision():
    f = lambda x, w, b: tn.conv2d(x, w, b, stride=2, padding=1)  # noqa: E731
    report = tn.compare_precision(f, [normal(2, 3, 7, 9), normal(4, 3, 3, 2), normal(4)])
    assert report.status == "pass" and [r.name for r in report] == ["result", "x", "w", "b"]
    assert 0 < max(r.rel for r in report) < 1e-6


def rough(x, error):
    """x * 2 with an error in float32 only, of the gradient."""
    wrong = error if x.dtype == np.float32 else 0
    return record("rough", x.data * 2, (x,), lambda g: (g * x.dtype.type(2 + wrong),))


def test_an_error_that_only_float32_has_fails_and_shows_the_worst_entries():
    report = tn.compare_precision(lambda x: rough(x, 1e-3), [normal(3, 4)])
    assert (
        [r.status for r in report] == ["pass", "fail"]
        and report[1].wrong > 6
        and report[1].rel == pytest.approx(5e-4, rel=1e-2)
    )
    assert "off by more than 1e-05" in str(report) and str(report[1].index) in str(report)
    assert tn.compare_precision(lambda x: rough(x, 1e-3), [normal(3, 4)], rtol=1e-2).status == "pass"


def test_a_sum_that_cancels_is_not_blamed_for_the_digits_that_it_cannot_have():
    x = normal(1000)
    x[-1] -= x.sum()
    x = x.astype(np.float32)
    assert tn.compare_precision(lambda x: x.sum(), [x]).status == "pass"


def test_widening_is_a_failure():
    report = tn.compare_precision(lambda x: x.astype(np.float64), [normal(3, 4)])
    assert report[0].status == "fail" and report[0].reason == "it is float64 where every argument is float32"


def test_nan_in_float32_fails():
    with np.errstate(over="ignore", invalid="ignore"):
        report = tn.compare_precision(lambda x: tn.log(tn.exp(x)), [np.array([1.0, 200.0])])
    assert [r.status for r in report] == ["fail", "fail"]


@pytest.mark.parametrize("where", [0, 1])
def test_an_infinite_exact_value_excuses_nothing(where):
    def thrice(x):
        return tn.exp(x) * (3.0 if x.dtype == np.float32 else 1.0)

    x = np.ones(2)
    x[where] = 1000
    with np.errstate(over="ignore"):
        report = tn.compare_precision(thrice, [x])
    assert [r.status for r in report] == ["fail", "fail"]
    for result, value in zip(report, ("inf", "-?inf"), strict=True):
        assert re.fullmatch(rf"in float64 it is not finite: {value} at \({where},\); choose other arguments", result.reason)


def test_a_slope_at_the_edge_of_what_is_defined_is_compared_all_the_same():
    """Rounding x once more gives the power nan here, which must not count as infinite noise."""

    def power(x, error):
        return (x - 1.0) ** 1.5 * (1.0 + (error if x.dtype == np.float32 else 0.0))

    x = np.append(np.ones(20), 2.0)
    with np.errstate(invalid="ignore"):
        assert tn.compare_precision(lambda x: power(x, 0.0), [x])
        report = tn.compare_precision(lambda x: power(x, 0.1), [x])
    assert [r.status for r in report] == ["fail", "fail"] and report[0].index == (20,)


def test_another_device_is_compared_on_its_own_arrays():
    places = []

    def f(x):
        places.append(x.device.name)
        return tn.tanh(x)

    report = tn.compare_precision(f, [normal(3, 4)], dtype=np.float64, device="cpu:1", rtol=1e-12)
    assert report.status == "pass" and "float64 on cpu:1" in report.heading and {"cpu:0", "cpu:1"} == set(places)
