"""The paper's SGD, number by number, and when its rate is lowered."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
from oracles import leaf

import tinynet as tn
from tinynet.optim import SGD, ReduceLROnPlateau


def test_three_steps_by_hand():
    """v <- 0.9 v - 0.01 * lr * w - lr * g;  w <- w + v, with g = 2 and lr 0.1, 0.1, 0.01."""
    w = leaf([1.0], np.float64)
    sgd = SGD([w], lr=0.1, momentum=0.9, weight_decay=0.01)
    ways = []
    for lr in (0.1, 0.1, 0.01):
        sgd.lr, w.grad = lr, np.array([2.0])
        sgd.step()
        ways.append(w.data[0])
    # v1 = -0.001 - 0.2 = -0.201;            w1 = 0.799
    # v2 = -0.1809 - 0.000799 - 0.2 = -0.381699;           w2 = 0.417301
    # v3 = -0.3435291 - 0.0000417301 - 0.02 = -0.3635708301;  w3 = 0.0537301699
    np.testing.assert_allclose(ways, [0.799, 0.417301, 0.0537301699], rtol=1e-12)


def test_defaults_are_the_papers():
    w = leaf([1.0], np.float64)
    sgd = SGD([w])
    assert (sgd.lr, sgd.momentum, sgd.groups[0]["weight_decay"]) == (0.01, 0.9, 5e-4)
    w.grad = np.array([0.0])
    sgd.step()
    np.testing.assert_allclose(w.data, 1 - 5e-4 * 0.01, rtol=1e-15)


def test_after_a_drop_of_the_rate_the_old_velocity_coasts_on():
    w = leaf([0.0], np.float64)
    sgd = SGD([w], lr=1.0, momentum=0.5, weight_decay=0.0)
    w.grad = np.array([1.0])
    sgd.step()
    sgd.lr = 0.0
    sgd.step()
    assert w.data[0] == -1.5, "PyTorch, whose rate is outside of the velocity, would stand still at -1"


def test_groups_have_their_own_rate_decay_and_schedule():
    """The 2012 code's biases: twice the rate, no decay, and a rate that is never lowered."""
    w, b = leaf([1.0], np.float64), leaf([1.0], np.float64)
    sgd = SGD([{"params": [w]}, {"params": iter([b]), "lr_scale": 2, "weight_decay": 0, "scheduled": False}], lr=0.1,
              momentum=0, weight_decay=0.5)  # fmt: skip
    for expected in ((1 - 0.05 - 0.1, 1 - 0.2), (0.85 - 0.5 * 0.01 * 0.85 - 0.01, 0.8 - 0.2)):
        w.grad = b.grad = np.array([1.0])
        sgd.step()
        np.testing.assert_allclose([w.data[0], b.data[0]], expected, rtol=1e-12)
        sgd.lr *= 0.1


def test_step_is_in_place_keeps_the_dtype_and_does_not_touch_the_gradient():
    w = leaf(np.ones((3, 4), np.float32))
    array, g = w.data, np.full((3, 4), 2, np.float32)
    sgd = SGD([w], lr=np.float64(0.1))
    w.grad = g
    sgd.step()
    assert w.data is array and array.dtype == np.float32 and (g == 2).all() and (array < 1).all()
    assert sgd.velocity(w).dtype == np.float32


def test_a_transposed_weight_is_trained_too():
    w = leaf(np.ones((3, 4)))
    w.data = np.ones((4, 3)).T
    sgd = SGD([w], lr=1.0, momentum=0, weight_decay=0)
    w.grad = np.arange(12.0).reshape(3, 4)
    sgd.step()
    assert np.array_equal(w.data, 1 - w.grad)


def test_a_parameter_without_gradient_stays_and_keeps_its_velocity():
    w, unused = leaf([1.0]), leaf([1.0])
    sgd = SGD([w, unused], lr=0.1)
    w.grad = np.ones(1, np.float32)
    sgd.step()
    assert unused.data[0] == 1 and w.data[0] < 1
    before = w.data.copy()
    sgd.zero_grad()
    sgd.step()
    assert w.grad is None and np.array_equal(w.data, before)


@pytest.mark.parametrize("params, error, sentence", [
    ([], ValueError, "expected at least one parameter, got none"),
    (iter(()), ValueError, "expected at least one parameter, got none"),
    ([{"params": [leaf([1.0])], "lr": 0.1}], ValueError, "a group has the unknown key 'lr'; expected params, lr_scale"),
    ([{"lr_scale": 2}], ValueError, "a group has no params; expected params, lr_scale"),
    ([leaf([1.0])] * 2, ValueError, "a parameter is given twice"),
    (leaf([[1.0]]), TypeError, r"expected a list of Tensors, got one Tensor; write SGD\(\[w\]\)"),
    (tn.nn.Linear(2, 2), TypeError, r"got one Linear; write SGD\(\[w\]\), or SGD\(model.parameters\(\)\)"),
    ([leaf([1.0]), np.ones(2)], TypeError, r"expected Tensors, got ndarray; give it model.parameters\(\)"),
    (tn.nn.Sequential(tn.nn.Linear(2, 2)), TypeError, "expected Tensors, got Linear"),
    ({"params": [leaf([1.0])]}, TypeError, "expected Tensors, got str"),
    ([{"params": [leaf([1.0])]}, leaf([1.0])], TypeError, "expected Tensors, got dict"),
    ([{"params": [leaf([1.0])]}, {"params": leaf([1.0]) * 2}], ValueError,
     r"a Tensor of shape \(1,\) was computed from others and would never be updated"),
    ([leaf([1.0]), tn.tensor([1.0, 2.0])], ValueError, r"a Tensor of shape \(2,\) has requires_grad=False and would never"),
])  # fmt: skip
def test_parameters_that_would_not_be_trained_or_wrongly_are_refused(params, error, sentence):
    with pytest.raises(error, match=sentence):
        SGD(params)


@pytest.mark.parametrize("how", [
    dict(lr=-1), dict(lr=math.nan), dict(lr=math.inf), dict(momentum=-0.9), dict(weight_decay=-5e-4),
])  # fmt: skip
def test_numbers_that_would_train_away_from_the_goal_are_refused(how):
    ((name, number),) = how.items()
    with pytest.raises(ValueError, match=f"SGD: {name}={number}; expected a finite number >= 0"):
        SGD([leaf([1.0])], **how)
    if name != "momentum":
        group = {"params": [leaf([1.0])], {"lr": "lr_scale"}.get(name, name): number}
        with pytest.raises(ValueError, match=f"{number}; expected a finite number >= 0"):
            SGD([group])


def test_the_params_of_a_group_may_be_one_tensor_as_in_pytorch():
    w = leaf([[1.0], [2.0]])
    assert SGD([{"params": w}]).groups[0]["params"] == [w]


def test_it_learns():
    w = leaf([5.0, -3.0])
    sgd = SGD([w], lr=0.05, weight_decay=0)
    for _ in range(200):
        sgd.zero_grad()
        ((w - np.array([1.0, 2.0])) ** 2).sum().backward()
        sgd.step()
    np.testing.assert_allclose(w.data, [1, 2], atol=1e-3)


# saving ---------------------------------------------------------------------------------------------------------------


def two_groups(device="cpu:0", seed=0):
    """A layer, and an SGD that treats its bias as the 2012 code did."""
    layer = tn.nn.Linear(3, 2, device=device, rng=seed)
    return layer, SGD([{"params": [layer.weight]}, {"params": [layer.bias], "lr_scale": 2, "weight_decay": 0,
                                                    "scheduled": False}], lr=0.1, momentum=0.8)  # fmt: skip


def train(layer, sgd, steps):
    for step in steps:
        sgd.lr *= 0.9
        with layer.weight.device as device:
            loss = (layer(tn.tensor(np.full((4, 3), step, np.float32), device=device)) ** 2).mean()
        sgd.zero_grad()
        loss.backward()
        sgd.step()


@pytest.mark.parametrize("device", ["cpu:0", "cpu:1", "sim:0"])
def test_a_saved_optimizer_goes_on_bit_for_bit_on_any_device(device):
    whole, sgd = two_groups()
    train(whole, sgd, range(6))
    first, sgd_1 = two_groups()
    train(first, sgd_1, range(3))
    weights, state = first.state_dict(), sgd_1.state_dict()
    assert state["velocity"][0].any() and all(isinstance(v, np.ndarray) for v in state["velocity"])
    numbers = json.loads(json.dumps({key: value for key, value in state.items() if key != "velocity"}))
    velocity = [v.copy() for v in state["velocity"]]
    train(first, sgd_1, range(3, 6))  # what is saved is a copy
    second, sgd_2 = two_groups(device, seed=1)
    sgd_2.lr = sgd_2.momentum = 0.5
    sgd_2.groups[0]["weight_decay"] = sgd_2.groups[1]["lr_scale"] = 7
    second.load_state_dict(weights)
    sgd_2.load_state_dict({**numbers, "velocity": state["velocity"]})
    train(second, sgd_2, range(3, 6))
    for name, array in whole.state_dict().items():
        assert np.array_equal(array, second.state_dict()[name]) and np.array_equal(array, first.state_dict()[name])
    assert sgd_2.lr == sgd.lr
    assert all(np.array_equal(v, kept) for v, kept in zip(state["velocity"], velocity, strict=True)), "loading copies, too"


def test_it_updates_and_saves_as_pytorchs_does_as_long_as_the_rate_is_constant():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    start, rng = np.array([1.0, -2.0]), np.random.default_rng(0)
    theirs, w = torch.tensor(start, requires_grad=True), leaf(start, np.float64)
    how = dict(lr=0.1, momentum=0.9, weight_decay=0.01)
    sgds = [torch.optim.SGD([theirs], **how), SGD([w], **how)]
    for _ in range(4):
        w.grad = rng.normal(size=2)
        theirs.grad = torch.tensor(w.grad)
        for sgd in sgds:
            sgd.step()
        np.testing.assert_allclose(w.data, theirs.detach(), rtol=1e-12)
        buffer, (velocity,) = sgds[0].state_dict()["state"][0]["momentum_buffer"], sgds[1].state_dict()["velocity"]
        np.testing.assert_allclose(velocity, -0.1 * buffer, rtol=1e-12)


BAD_STATES = {
    "of a plateau": (lambda s: [s.pop(key) for key in ("momentum", "velocity")], "the state lacks momentum, velocity; exp"),
    "other shape": (lambda s: s["velocity"].__setitem__(0, np.ones((3, 2))), r"'shapes': \[\(3, 2\), \(2,\)\].*; expected"),
    "one velocity less": (lambda s: s["velocity"].pop(), r"'shapes': \[\(2, 3\)\].*; expected .*\(2, 3\), \(2,\)\]"),
    "one group less": (lambda s: s["groups"].pop(), r"'groups': \[\[0\]\]}; expected .*'groups': \[\[0\], \[1\]\]"),
    "a number that groups do not have": (lambda s: s["groups"][0].update(foo=1), "groups foo is missing, or too much; exp"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_STATES)
def test_the_state_of_another_optimizer_changes_nothing(fault):
    spoil, sentence = BAD_STATES[fault]
    layer, sgd = two_groups()
    other = two_groups()
    train(*other, range(2))
    state = other[1].state_dict()
    spoil(state)
    with pytest.raises(ValueError, match=sentence):
        sgd.load_state_dict(state)
    assert sgd.lr == 0.1 and not any(sgd.velocity(p).any() for p in layer.parameters())


def test_a_copy_of_a_model_with_its_optimizer_goes_on_as_they_do():
    layer, sgd = two_groups()
    train(layer, sgd, range(2))
    layers = [(layer, sgd), copy.deepcopy((layer, sgd)), pickle.loads(pickle.dumps((layer, sgd)))]
    for pair in layers:
        train(*pair, range(2, 4))
    for other, _ in layers[1:]:
        assert all(np.array_equal(value, other.state_dict()[name]) for name, value in layer.state_dict().items())


# ReduceLROnPlateau ----------------------------------------------------------------------------------------------------


def rates(values, **how):
    sgd = SGD([leaf([1.0])], lr=1.0)
    plateau = ReduceLROnPlateau(sgd, **how)
    seen = []
    for value in values:
        lowered = plateau.step(value)
        assert lowered == (sgd.lr < (seen[-1] if seen else 1))
        seen.append(sgd.lr)
    return seen


def test_it_counts_as_pytorchs_does_and_the_docstring_converts_its_defaults():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    rng = np.random.default_rng(0)
    for how in ({}, dict(patience=3, threshold=0.01, factor=0.5), dict(patience=0)):
        values = np.cumprod(rng.choice([0.97, 0.99995, 1.0, 1.01], size=60, p=[0.1, 0.3, 0.3, 0.3]))
        theirs = torch.optim.SGD([torch.ones(1)], lr=1.0)
        plateau, expected = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, eps=0, **how), []
        for value in values:
            plateau.step(value)
            expected.append(theirs.param_groups[0]["lr"])
        found = rates(values, **{**dict(factor=0.1, patience=10, threshold=1e-4, drops=math.inf), **how})
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        assert len(set(found)) > 2


def test_the_rate_drops_after_more_than_patience_calls_without_improvement():
    assert rates([1.0, 0.9, 0.9, 0.9, 0.9], patience=1, factor=0.5) == [1, 1, 1, 0.5, 0.5]
    assert rates([1.0, 1.0, 1.0], patience=0, factor=0.5) == [1, 0.5, 0.25]


def test_an_improvement_starts_the_wait_again():
    assert rates([1.0, 1.0, 0.8, 0.8, 0.8], patience=1, factor=0.5) == [1, 1, 1, 1, 0.5]


def test_an_improvement_below_the_threshold_does_not_count():
    assert rates([1.0, 0.995, 0.992], patience=1, factor=0.5, threshold=0.01)[-1] == 0.5
    assert rates([1.0, 0.98, 0.96], patience=1, factor=0.5, threshold=0.01)[-1] == 1


def test_the_paper_lowers_it_three_times_by_ten():
    seen = rates([1.0] * 100)
    np.testing.assert_allclose(sorted(set(seen)), [1e-3, 1e-2, 1e-1, 1], rtol=1e-12)
    assert seen.index(seen[-1]) == 3 * 6, "patience 5: every sixth call"


def test_nan_is_no_improvement():
    for value in (math.nan, math.inf, -math.inf):
        assert rates([value] * 3, patience=1, factor=0.5)[-1] == 0.5


def test_standing_still_below_zero_is_no_improvement():
    """PyTorch's margin for numbers that should fall lies above a negative best; for those that should grow it is ours."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    assert rates([-1.0, -0.995, -0.99, -0.985], patience=1, factor=0.5) == [1, 1, 0.5, 0.5]
    rng = np.random.default_rng(0)
    for how in (dict(patience=3, threshold=0.01, factor=0.5), dict(patience=0, threshold=1e-4, factor=0.1)):
        values = -np.cumprod(rng.choice([1.03, 1.00005, 1.0, 0.99], size=60, p=[0.1, 0.3, 0.3, 0.3]))
        theirs = torch.optim.SGD([torch.ones(1)], lr=1.0)
        plateau, expected = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, mode="max", eps=0, **how), []
        for value in values:
            plateau.step(-value)
            expected.append(theirs.param_groups[0]["lr"])
        np.testing.assert_allclose(rates(values, **how, drops=math.inf), expected, rtol=1e-12)
        assert len(set(expected)) > 2


def test_no_error_is_the_best_of_errors_and_worse_than_a_negative_number():
    assert rates([1.0, 0.0, 0.0, 0.0], patience=0, factor=0.5) == [1] * 4
    assert rates([-1.0, 0.0, 0.0], patience=0, factor=0.5) == [1, 0.5, 0.25]


KINDS = {"np.float32": np.float32, "np.float16": np.float16, "np.int64": np.int64, "array": np.array, "tensor": tn.tensor}


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_numpy_are_plain_ones_in_a_state(kind):
    number = KINDS[kind]
    w = leaf([1.0, 2.0])
    sgd = SGD([{"params": [w], "lr_scale": number(2), "weight_decay": number(1)}], lr=number(1), momentum=number(0))
    plateau = ReduceLROnPlateau(sgd, factor=number(1) / 4, patience=0, threshold=number(0))
    for _ in range(2):
        w.grad = np.ones(2, np.float32)
        sgd.step()
        plateau.step(number(3))
    state = {**sgd.state_dict(), "velocity": None, "plateau": plateau.state_dict()}
    assert json.loads(json.dumps(state)) == {
        "lr": 0.25, "initial_lr": 1, "momentum": 0, "velocity": None,
        "groups": [{"lr_scale": 2, "weight_decay": 1, "scheduled": True, "params": [0]}],
        "plateau": {"lr": 0.25, "best": 3, "waited": 0, "dropped": 1},
    }  # fmt: skip
    again, loaded = SGD([w]), {**sgd.state_dict(), "lr": number(1), "groups": [{**sgd.groups[0], "params": [0]}]}
    again.load_state_dict(loaded)
    assert type(again.lr) in (int, float)


def test_a_rate_from_numpy_goes_on_bit_for_bit_after_json():
    one, two = leaf([1.0], np.float64), leaf([1.0], np.float64)
    whole, resumed = SGD([one], lr=np.float32(0.1), momentum=0), SGD([two], momentum=0)
    state = json.loads(json.dumps({**whole.state_dict(), "velocity": [[0.0]]}))
    resumed.load_state_dict(state)
    for sgd, w in ((whole, one), (resumed, two)):
        w.grad = np.ones(1)
        sgd.lr *= 0.3
        sgd.step()
    assert one.data == two.data


def test_a_saved_plateau_goes_on_where_it_was():
    values = [1.0, 0.9, 0.95, 0.95, 0.95, 0.95, 0.95]
    whole = rates(values, patience=1, factor=0.5)
    for cut in range(len(values)):
        first, second = (ReduceLROnPlateau(SGD([leaf([1.0])], lr=1.0), patience=1, factor=0.5) for _ in range(2))
        for value in values[:cut]:
            first.step(value)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        seen = []
        for value in values[cut:]:
            second.step(value)
            seen.append(second.optimizer.lr)
        assert seen == whole[cut:]


def test_module_is_public():
    assert tn.optim.SGD is SGD


@pytest.mark.parametrize("devices", ["cpu:0,cpu:1", "sim:0,sim:1"])
def test_the_velocity_follows_a_module_that_moved(devices):
    here, there = tn.devices(devices)

    def trained(moves):
        layer = tn.nn.Linear(3, 2, device=here, rng=np.random.default_rng(0))
        sgd = SGD(layer.parameters(), lr=0.1)
        for device, dtype in moves:
            layer.to(device, dtype)
            with device:
                loss = (layer(tn.tensor(np.ones((4, 3), dtype), device=device)) ** 2).sum()
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        assert sgd.velocity(layer.weight).dtype == layer.weight.dtype
        assert isinstance(sgd.velocity(layer.weight), layer.weight.device.xp.ndarray)
        return layer.weight.numpy()

    stayed = trained([(here, np.float32)] * 3)
    assert np.array_equal(trained([(here, np.float32), (there, np.float32), (here, np.float32)]), stayed)
    assert np.allclose(trained([(here, np.float32), (there, np.float64), (there, np.float64)]), stayed, rtol=1e-5)
