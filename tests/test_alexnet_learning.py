"""How the network starts and learns: gradients, initial values by recipe, dropout, and seeds."""

import math

import numpy as np
import pytest
from oracles import assert_close, normal

import alexnet
import tinynet as tn
from alexnet import AlexNet

TINY = dict(classes=4, width=0.05, image_size=56)


# gradients ------------------------------------------------------------------------------------------------------------


def test_gradient_of_every_parameter_of_both_towers():
    model = AlexNet(**TINY, devices="cpu:0,cpu:1", recipe="modern", dtype=np.float64)
    rng = np.random.default_rng(1)
    for _, p in model.named_parameters():
        p.data += rng.normal(0, 0.05, p.shape)  # also the biases, so that no ReLU sits at exactly 0
    x, labels = tn.tensor(normal(3, 3, 56, 56)), np.array([0, 3, 1])

    def loss():
        for i, tower in enumerate(model.towers):  # the same masks every time
            tower.drop6.rng, tower.drop7.rng = np.random.default_rng([1, i]), np.random.default_rng([2, i])
        return tn.cross_entropy(model(x), labels)

    report = tn.directional_check(loss, model)
    assert report.status == "pass" and min(report.slopes) > 1.9, report
    layers = [f"towers.{i}.{n}" for i in (0, 1) for n in alexnet.LAYERS] + ["fc8"]
    assert {r.name for r in report[1:]} == {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert all(abs(r.numeric) > 100 * r.noise for r in report[1:]), "a parameter without influence would show nothing"


@pytest.mark.parametrize("start", ["cpu:0", "cpu:0,cpu:1"])
@pytest.mark.parametrize("there", ["cpu:1", "sim:0"])
def test_a_network_that_was_moved_trains_there_as_it_would_have_here(start, there):
    (place,) = tn.devices(there)
    x, labels, states = normal(4, 3, 56, 56), np.array([0, 1, 2, 3]), []
    for moved in (False, True):
        model = AlexNet(**TINY, devices=start, recipe="modern", dtype=np.float64)
        optimizer = alexnet.RECIPES["modern"].optimizer(model)
        for step in range(3):
            if moved and step == 1:
                assert model.to(there) is model and model.eval()(tn.tensor(x)).device is place
                assert [tower.device for tower in model.train().towers] == [place, place]
            loss = tn.cross_entropy(model(tn.tensor(x)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert {p.device.name for p in model.parameters()} == ({there} if moved else set(start.split(",")))
        states.append(model.state_dict())
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])


# initial values -------------------------------------------------------------------------------------------------------

ONES = ("conv2", "conv4", "conv5", "fc6", "fc7")


@pytest.mark.parametrize("recipe", ["paper", "source", "modern"])
def test_initial_values_are_those_of_the_recipe(recipe):
    model = AlexNet(50, 0.25, image_size=64, recipe=recipe, seed=4)
    for tower in model.towers:
        for name in alexnet.LAYERS:
            weight, bias = getattr(tower, name).weight.numpy(), getattr(tower, name).bias.numpy()
            std = 0.03 if recipe == "source" and name in ("conv3", "conv4", "conv5") else 0.01
            if recipe == "modern":
                std = math.sqrt(2 / weight[0].size)
            fair = 5 / math.sqrt(weight.size)
            assert abs(weight.std() / std - 1) < fair and abs(weight.mean()) < fair * std, name
            assert np.abs(weight).max() > 3 * std, f"{name} is not Gaussian"
            assert (bias == (1 if name in ONES and recipe != "modern" else 0)).all(), name
    first, second = (t.conv3.weight.numpy() for t in model.towers)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02
    assert abs(model.fc8.weight.numpy().std() / 0.01 - 1) < 0.05 and not model.fc8.bias.numpy().any()


def test_the_default_is_the_papers_text():
    default, paper = AlexNet(**TINY).state_dict(), AlexNet(**TINY, recipe="paper").state_dict()
    assert all(np.array_equal(default[key], paper[key]) for key in paper)


@pytest.mark.parametrize(
    ("recipe", "bias_scale", "bias_decay", "bias_scheduled"),
    [("paper", 1, 5e-4, True), ("source", 2, 0, False), ("modern", 1, 0, True)],
)
def test_biases_learn_as_the_recipe_says(recipe, bias_scale, bias_decay, bias_scheduled):
    model = AlexNet(**TINY, recipe=recipe, dtype=np.float64)
    optimizer = alexnet.RECIPES[recipe].optimizer(model)
    assert (optimizer.lr, optimizer.momentum) == (0.01, 0.9)
    optimizer.lr = 0.001  # after the first drop
    own = alexnet.RECIPES[recipe].decay  # by layer; the value is a matter of tuning, and only `modern` may have any
    assert recipe == "modern" or not own
    before = model.state_dict()
    for p in model.parameters():
        p.grad = np.full(p.shape, 0.25)
    optimizer.step()
    for name, p in model.named_parameters():
        bias = name.endswith("bias")
        lr = (0.001 if not bias or bias_scheduled else 0.01) * (bias_scale if bias else 1)
        decay = bias_decay if bias else own.get(name.split(".")[-2], 5e-4)
        assert_close(p.numpy() - before[name], -lr * (0.25 + decay * before[name]), 1e-9, name)


@pytest.mark.parametrize(("given", "expected"), [(None, 0.01), (0.3, 0.3), (0.0, 0.0)])
def test_the_learning_rate_is_the_recipes_unless_one_is_given(given, expected):
    assert alexnet.RECIPES["modern"].optimizer(AlexNet(**TINY), given).lr == expected


# dropout --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", ["drop6", "drop7"])
def test_dropout_masks_while_training_and_halves_at_test_time(layer):
    model, x = AlexNet(**TINY), normal(40, 100, dtype=np.float32)
    for i, tower in enumerate(model.towers):
        drop = getattr(tower, layer)
        once, again = (drop(tn.tensor(x)).numpy() for _ in range(2))
        kept = once != 0
        assert np.array_equal(once[kept], x[kept]), "units that stay must not be doubled"
        assert 0.45 < kept.mean() < 0.55
        assert (kept != (again != 0)).any(), "every step draws its own mask"
        model.eval()
        assert np.array_equal(drop(tn.tensor(x)).numpy(), x * np.float32(0.5)), i
        model.train()


def test_the_towers_drop_different_units():
    model, x = AlexNet(**TINY), tn.tensor(np.ones((10, 100), np.float32))
    masks = [getattr(tower, name)(x).numpy() for tower in model.towers for name in ("drop6", "drop7")]
    for i, a in enumerate(masks):
        for b in masks[i + 1 :]:
            assert 0.4 < (a == b).mean() < 0.6


def test_expected_input_of_the_next_layer_is_the_same_while_training_and_at_test_time():
    drop, x = AlexNet(**TINY).towers[0].drop6, normal(1, 50)
    drawn = np.mean([drop(tn.tensor(x)).numpy() for _ in range(4000)], axis=0)
    drop.training = False
    assert np.abs(drawn - drop(tn.tensor(x)).numpy()).max() < 5 * np.abs(x).max() * 0.5 / math.sqrt(4000)


def test_without_dropout_training_and_test_agree():
    model, x = AlexNet(**TINY, dropout=0.0, recipe="modern"), tn.tensor(normal(2, 3, 56, 56, dtype=np.float32))
    assert np.array_equal(model(x).numpy(), model.eval()(x).numpy())


# seeds ----------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_weights_and_masks_and_another_seed_others():
    x = tn.tensor(normal(2, 3, 56, 56, dtype=np.float32))
    first, same, other = (AlexNet(**TINY, recipe="modern", seed=seed) for seed in (7, 7, 8))
    values, twins, others = (model.state_dict() for model in (first, same, other))
    assert all(np.array_equal(values[key], twins[key]) for key in values)
    assert not any(np.array_equal(values[key], others[key]) for key in values if key.endswith("weight"))
    assert np.array_equal(first(x).numpy(), same(x).numpy())
    assert not np.array_equal(first(x).numpy(), first(x).numpy()), "the masks of the second step are others"


def test_float32_and_float64_start_from_the_same_values():
    single, double = (AlexNet(**TINY, dtype=dtype).state_dict() for dtype in (np.float32, np.float64))
    assert all(v.dtype == np.float64 and np.array_equal(v.astype(np.float32), single[key]) for key, v in double.items())


def test_first_kernels_are_one_array_a_tower():
    kernels = AlexNet(**TINY).first_kernels()
    assert [k.shape for k in kernels] == [(2, 3, 11, 11)] * 2
