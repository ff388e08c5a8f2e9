"""Traces: every operation once, in its layer, with the multiply-adds that its shapes demand and the bytes that live."""

import json
import time

import numpy as np
import pytest
from oracles import leaf

import tinynet as tn
from alexnet import AlexNet
from tinynet import draw, nn
from tinynet.devices.device import Device
from tinynet.instruments.costs import multiply_adds
from tinynet.nn import Module


def small(devices=None):
    return AlexNet(classes=3, width=0.05, image_size=56, devices=devices, recipe="modern")


def step(model, sgd=None):
    place = model.towers[0].device
    with place:
        loss = tn.cross_entropy(model(tn.Tensor(place.array(np.ones((2, 3, 56, 56), np.float32)), place)), [0, 1])
    loss.backward()
    if sgd is not None:
        sgd.step()
    return loss


def test_alexnet_takes_724_406_816_multiply_adds_an_image():
    """The paper's network: reference and derivation in AlexNet.layers(), which counts weights times places."""
    model = AlexNet(1000).eval()
    with tn.trace() as t, tn.no_grad():
        model(tn.tensor(np.zeros((1, 3, 224, 224), np.float32)))
    assert t.multiply_adds() == 724_406_816 and t.multiply_adds("backward") == 0
    by_layer = {cost.name: cost.multiply_adds for cost in t.layers()}
    for name, _, _, count in model.layers():
        assert sum(n for layer, n in by_layer.items() if layer.endswith(name)) == count


@pytest.mark.parametrize("op, inputs, output, count", [
    ("conv2d", [(2, 4, 9, 9), (6, 2, 3, 3), (6,)], (2, 6, 7, 7), 2 * 6 * 7 * 7 * 2 * 9),
    ("linear", [(5, 7, 3), (4, 3)], (5, 7, 4), 5 * 7 * 4 * 3),
    ("matmul", [(2, 3), (3, 4)], (2, 4), 24),
    ("matmul", [(3,), (3,)], (), 3),
    ("matmul", [(5, 2, 3), (3,)], (5, 2), 30),
    ("add", [(2, 3), (2, 3)], (2, 3), 0),
])  # fmt: skip
def test_multiply_adds_by_hand(op, inputs, output, count):
    assert multiply_adds(op, inputs, output) == count


def test_backward_counts_a_product_for_each_factor_that_wants_a_gradient():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 5))
    net[2].weight.requires_grad = False
    with tn.trace() as t:
        net(tn.tensor(np.ones((2, 3), np.float32))).sum().backward()
    costs = {cost.name: (cost.multiply_adds, cost.backward_multiply_adds) for cost in t.layers()}
    assert costs["0"] == (24, 24), "the input wants none"
    assert costs["2"] == (40, 40), "the frozen weight wants none"


@pytest.mark.parametrize("kind", ["cpu", "sim"])
def test_every_operation_is_in_the_layer_that_called_it_forward_backward_and_update(sims, kind):
    devices = sims if kind == "sim" else tn.devices("cpu:0,cpu:1")
    model = small(devices)
    sgd = tn.optim.SGD(model.parameters())
    with tn.trace() as t:
        loss = step(model, sgd)
    entries = [e for e in tn.tape(loss) if e.op != "leaf"]
    assert sum(work.phase == "backward" for work in t.work) == sum(e.op != "transfer" for e in entries)
    layers = {(work.op, work.layer, work.phase) for work in t.work}
    for tower in range(2):
        for name in ("conv1", "conv5", "fc6"):
            op, layer = "linear" if name == "fc6" else "conv2d", f"towers.{tower}.{name}"
            assert {(op, layer, "forward"), (op, layer, "backward"), ("sgd", layer, "update")} <= layers
        assert ("max_pool2d", f"towers.{tower}.pool", "backward") in layers
    assert {("relu", "AlexNet", "forward"), ("relu", "AlexNet", "backward")} <= layers
    assert ("cross_entropy", "(outside)", "backward") in layers
    calls = {cost.name: cost.calls for cost in t.layers()}
    assert calls["towers.0.pool"] == 3 and calls["fc8"] == 1
    assert Device.observers == [] and Module.observers == []
    assert {t.devices[work.row] for work in t.work} == set(devices)


def test_times_are_of_the_operations_not_of_what_the_program_does_between_layers():
    class Slow(nn.Module):
        def forward(self, x):
            time.sleep(0.05)
            return tn.relu(x)

    net, x = nn.Sequential(nn.ReLU(), Slow()), leaf(np.ones(3, np.float32))
    with tn.trace() as t:
        time.sleep(0.05)
        y = net(x)
        time.sleep(0.05)
        y.sum().backward()
    seconds = {cost.name: cost.forward for cost in t.layers()}
    assert seconds["0"] < 0.02 and 0.05 <= seconds["1"] < 0.1 and t.total().backward < 0.02
    assert t.total().seconds == pytest.approx(sum(cost.seconds for cost in t.ops()))


def test_memory_is_that_of_living_results_what_the_tape_keeps_and_gradients(no_gc):
    n = 1000
    w = leaf(np.ones(n, np.float32))
    with tn.trace() as t:
        a = w * 2.0  # a
        b = tn.exp(a)  # a, b; the tape keeps b
        del a  # b
        c = b.sum()  # b, c
        c.backward()
    used = [work.memory for work in t.work]
    assert used[:3] == [4 * n, 8 * n, 4 * n + 4]
    exp, mul = t.work[-2:]
    assert (exp.op, mul.op, exp.phase, mul.phase) == ("exp", "mul", "backward", "backward")
    assert 4 * n <= mul.memory <= 12 * n + 100
    assert t.total().memory == max(used)
    with tn.trace(memory=False) as t:
        w * 2.0
    assert t.total().memory is None


def test_peak_memory_is_near_to_what_pythons_own_account_says():
    import tracemalloc

    model, x = AlexNet(10, width=0.25, recipe="modern"), tn.tensor(np.ones((8, 3, 224, 224), np.float32))
    tn.cross_entropy(model(x), [0] * 8).backward()  # kernels have their scratch memory from here on
    for p in model.parameters():
        p.grad = None
    from tinynet.kernels.cpu import memory

    memory._store.drop(all_of_it=True)
    tracemalloc.start()
    with tn.trace() as t:
        tn.cross_entropy(model(x), [0] * 8).backward()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.7 * peak < t.total().memory <= 1.02 * peak


def test_bytes_are_those_of_the_arrays_given_and_made():
    net = nn.Sequential(nn.Linear(3, 4))
    with tn.trace() as t:
        net(leaf(np.ones((2, 3), np.float32))).sum().backward()
    forward, backward = (next(w.bytes for w in t.work if w.op == "linear" and w.phase == p) for p in ("forward", "backward"))
    given, made = 4 * (6 + 12 + 4), 4 * 8
    assert forward == given + made and backward == 2 * given + made


def test_the_tape_the_numbers_and_the_network_are_as_without():
    plain, traced = small(), small()
    step(plain)
    with tn.trace():
        step(traced)
    for (name, a), (_, b) in zip(plain.named_parameters(), traced.named_parameters(), strict=True):
        np.testing.assert_array_equal(a.grad, b.grad, err_msg=name)


def test_layers_of_two_networks_and_of_modules_made_on_the_way_have_names_of_their_own():
    class Lazy(nn.Module):
        def forward(self, x):
            return nn.ReLU()(x)

    one, two, x = nn.Sequential(nn.ReLU()), nn.Sequential(nn.ReLU()), tn.tensor([1.0])
    with tn.trace() as t:
        Lazy()(two(one(x)))
    assert [work.layer for work in t.work] == ["0", "Sequential 2.0", "Lazy.ReLU"]


def test_an_error_inside_leaves_no_observer():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"), tn.trace() as t:
        nn.Sequential(Broken())(tn.tensor([1.0]))
    assert Device.observers == [] and Module.observers == [] and t._stack == []


def test_printed_it_is_a_table_of_layers_and_one_of_operations():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    assert str(tn.trace()).startswith("a trace of nothing")
    with tn.trace() as t:
        net(leaf(np.ones((2, 3), np.float32))).sum().backward()
    layers, ops = (table.splitlines() for table in str(t).split("\n\n"))
    assert [line.split()[0] for line in layers] == ["layer", "0", "1", "(outside)", "total"]
    assert {line.split()[0] for line in ops} == {"operation", "linear", "relu", "sum"}
    assert layers[1].split()[1] == "1" and layers[1].split()[4:6] == ["24", "48"]
    assert len({len(line) for line in layers}) == 1, "aligned"


def test_the_json_is_what_perfetto_reads(tmp_path):
    model = small("cpu:0,cpu:1")
    with tn.trace() as t:
        step(model)
    path = t.write(tmp_path / "t.json")
    assert path == tmp_path / "t.json"
    events = json.loads(path.read_text())["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
    assert {"cpu:0", "cpu:1", "cpu:0 layers", "cpu:1 layers"} <= set(names.values())
    (conv,) = [e for e in events if e["ph"] == "X" and e["name"] == "conv2d" and e["cat"] == "forward"
               and e["args"]["layer"] == "towers.1.conv1"]  # fmt: skip
    assert conv["args"]["multiply_adds"] > 0 and names[conv["tid"]] == "cpu:1"
    (layer,) = [e for e in events if e["ph"] == "X" and e["name"] == "towers.1.conv1" and e["cat"] == "forward"]
    assert (layer["ts"], layer["dur"], names[layer["tid"]]) == (conv["ts"], conv["dur"], "cpu:1 layers")
    assert all(e["ts"] >= 0 and e.get("dur", 0) >= 0 for e in events if e["ph"] != "M")
    assert sum(e["ph"] == "C" for e in events) == len(t.work)


def test_a_device_that_is_made_inside_is_traced_too(machine):
    machine()
    with tn.trace() as t:
        model = small("cuda:0,cuda:1")
        step(model)
    assert {t.devices[work.row].name for work in t.work} >= {"cuda:0", "cuda:1"}
    assert t.multiply_adds() == 2 * sum(count for *_, count in model.layers())
    assert all(work.stop >= work.start for work in t.work)


def test_the_picture_has_a_bar_for_each_layer_and_operation():
    with tn.trace() as t:
        step(small())
    figure = draw.trace(t)
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert {"towers.0.conv1", "fc8", "(outside)", "conv2d", "max_pool2d", "forward", "backward", "other"} <= texts
    with pytest.raises(ValueError, match="trace: there is nothing in it; compute something inside"):
        draw.trace(tn.trace())
    with pytest.raises(ValueError, match=r"trace: expected what `with tn\.trace\(\) as t:` gives, got list"):
        draw.trace([])


def test_the_picture_of_many_layers_has_the_longest():
    net = nn.Sequential(*[nn.ReLU() for _ in range(100)])
    with tn.trace() as t:
        net(tn.tensor([1.0]))
    texts = [text.get_text() for text in draw.trace(t).axes[0].texts]
    assert "60 shorter layers are left out" in texts
