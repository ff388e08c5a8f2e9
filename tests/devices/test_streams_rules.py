"""The rules of streams: with all of them training has the bits of one CPU; without any one of them it is refused.

The order of events is written once, in devices/streams.py, for CUDA and for the simulation. So: every line there that
waits, keeps or switches, and every `with device:` elsewhere, is taken out in turn, and the simulation must object.
"""

import ast
import inspect
import re
import sys
import textwrap

import numpy as np
import pytest
from runs import QUICK, assert_same_run, pictures, run, undrawn

import tinynet as tn
from alexnet import AlexNet
from tinynet import nn, optim
from tinynet.cli import train as train_module
from tinynet.devices.sim import Sim
from tinynet.devices.streams import Streamed
from tinynet.errors import StreamOrderError
from tinynet.nn import init
from tinynet.ops import transfer as transfer_module
from tinynet.training import evaluation
from tinynet.training.loop import Loop

# With all of them -----------------------------------------------------------------------------------------------------


SMALL = dict(classes=5, width=0.05, image_size=56, recipe="modern", seed=3)


def batch(seed, side=56):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, 3, side, side)).astype(np.float32), rng.integers(0, 5, 3)


def losses(devices, steps=3, sizes=SMALL):
    """Some steps of the two-tower network; the host looks at a loss when the next step is queued: (losses, model)."""
    model = AlexNet(**sizes, devices=devices)
    sgd, later, seen = optim.SGD(model.parameters()), [], []
    for step in range(steps):
        x, labels = batch(step, model.image_size)
        logits = model(tn.Tensor(devices[0].array_ahead(x), devices[0]))
        with devices[0]:
            loss = tn.cross_entropy(logits, labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        later.append(devices[0].numpy_later(loss.data))
        if step:
            seen.append(later[step - 1]().item())
    return [*seen, later[-1]().item()], model


@pytest.mark.parametrize("names", ["sim:0,sim:1", "sim:0,sim:0", "sim:0"])
def test_training_on_simulated_devices_gives_the_bits_of_one_cpu(names):
    expected, model = losses(tn.devices("cpu"))
    got, simulated = losses(tn.devices(names))
    assert got == expected
    for (name, array), other in zip(model.state_dict().items(), simulated.state_dict().values(), strict=True):
        assert np.array_equal(array, other), name


def test_two_steps_of_the_papers_own_network_on_two_simulated_devices_have_the_bits_of_one_cpu():
    paper = dict(recipe="source", seed=1)  # 1000 classes, full width, 224 pixels, dropout
    expected, model = losses(tn.devices("cpu"), 2, paper)
    expected_weights = model.state_dict()
    del model
    got, model = losses(tn.devices("sim:0,sim:1"), 2, paper)
    assert got == expected and len({t.device.name for t in model.parameters()}) == 2
    for name, array in model.state_dict().items():
        assert np.array_equal(array, expected_weights[name]), name


def test_no_step_makes_the_host_wait(sims, monkeypatch):
    from tinynet.devices.sim import Event

    waits = []
    wait = Event.synchronize
    monkeypatch.setattr(Event, "synchronize", lambda self: (waits.append(1), wait(self)))
    losses(sims, steps=1)  # the copies of a random block, then one look at the loss
    before = len(waits)
    losses(sims, steps=4)
    assert len(waits) - before == 4, "one look at a loss for each step"


def everything(sims):
    """Whatever has to do with devices: training, moving, saving, loading, evaluating, a promise that nobody keeps."""
    a, b = sims
    ones = np.ones((2, 3), np.float32)
    found, model = losses([a, b])
    a.numpy_later(model.fc8.weight.data)  # dropped
    state = model.state_dict()
    model.load_state_dict(state)
    layer = nn.Linear(3, 2, device=a, rng=np.random.default_rng(0))
    layer_sgd = optim.SGD(layer.parameters())
    for device in (a, b):
        layer.to(device, np.float64)
        y = layer(tn.tensor(ones.astype(np.float64), device=device)) if device.active else None
        if y is None:
            x = tn.tensor(ones.astype(np.float64), device=device)
            with device:
                y = layer(x)
        y.backward(np.ones((2, 2)))
        layer_sgd.step()
    init.constant_(layer.bias, 1.0)
    with a:
        shared = tn.tensor(ones, requires_grad=True, device=a)
    half = tn.transfer(shared, b)
    with b:
        there = (half * half).sum()
    with a:
        here = (shared * 2.0).sum() + tn.transfer(there, a) + tn.transfer(there, a)
    here.backward()
    here_again = tn.transfer(shared, b)
    with b:
        loss = here_again.sum()
    loss.backward()  # adds to shared.grad

    class Validation:
        def centre(self):
            yield batch(9)

    score = evaluation.evaluate(model, Validation(), a)
    images = np.zeros((1, 3, 64, 64), np.uint8)
    p = evaluation.probabilities(model, images, np.zeros((3, 64, 64), np.float32), 1.0, a)
    b.fetch(a.array(ones), a)
    a.synchronize()
    b.synchronize()
    with a:
        a.array(ones) + 1  # where a fault that could not be raised comes out
    return found, score.state, p


def test_everything_works_on_simulated_devices(sims):
    found, score, p = everything(sims)
    expected, expected_score, expected_p = everything(tn.devices("cpu:0,cpu:1"))
    assert found == expected and score == expected_score and np.array_equal(p, expected_p)


@pytest.fixture
def train(sims, monkeypatch, tmp_path):
    """A function that trains on the simulated devices, from the command line, for an epoch, and goes on for another."""
    undrawn(monkeypatch.setattr)
    monkeypatch.setattr(train_module, "devices", lambda names: list(sims) if names == "sim" else tn.devices(names))
    folder = pictures(tmp_path / "pictures", each=6)

    def both(out, device="sim"):
        assert run("--data", folder, *QUICK, "--epochs", 1, "--device", device, "--out", tmp_path / out) == 0
        assert run("--resume", tmp_path / out, "--epochs", 2, "--device", device) == 0
        return tmp_path / out

    return both


def test_a_run_on_simulated_devices_is_the_run_on_the_cpu(train):
    assert_same_run(train("one"), train("other", "cpu"))


# Without one of them --------------------------------------------------------------------------------------------------


HERE = ("tinynet", "alexnet")
MODULES = {name: module for name, module in sys.modules.items() if name.split(".")[0] in HERE}
SWITCHING = [
    *((Streamed, name) for name in ("array", "numpy_later", "fetch", "_keep", "synchronize")),
    (MODULES["tinynet.tape"], "backward"), (MODULES["tinynet.tape"], "deliver"), (MODULES["tinynet.tensor"].Tensor, "seed"),
    (transfer_module, "transfer"), (init, "constant_"), (init, "_fill"), (nn.Module, "to"), (nn.Module, "load_state_dict"),
    (optim.SGD, "__init__"), (optim.SGD, "velocity"), (optim.SGD, "step"), (AlexNet, "forward"),
    (AlexNet, "bordered"), (nn.Towers, "each"), (nn.Towers, "gather"),
    (evaluation, "evaluate"), (evaluation, "probabilities"),
]  # fmt: skip
IN_A_RUN = [(Loop, "_step"), (optim.SGD, "load_state_dict")]
NO_DEVICE = ("one_at_a_time",)  # a lock
WAITING = (".wait(", "._keep(", ".synchronize(", "_in_flight.append(", "out.entry.source = here")


def rules(functions):
    """(owner, function, number of the line in it, the line) of all lines that switch device, wait, or keep alive."""
    for owner, name in functions:
        for number, line in enumerate(inspect.getsource(getattr(owner, name)).splitlines()):
            code = line.strip()
            switches = re.fullmatch(r"with ([\w.]+):", code)  # and not a function, such as no_grad()
            if (switches and switches[1] not in NO_DEVICE) or any(word in code for word in WAITING):
                yield owner, name, number, code


RULES, RULES_IN_A_RUN = list(rules(SWITCHING)), list(rules(IN_A_RUN))


def named(rules):
    return [f"{name}: {line}" for _, name, _, line in rules]


def test_every_function_that_switches_device_is_on_the_list():
    switching = set()
    where = r"alexnet|tinynet\.(devices\.streams|tape|tensor|ops\.\w+|nn\.\w+|optim|training\.(loop|state|evaluation))"
    for module in (m for name, m in MODULES.items() if re.fullmatch(where, name)):
        for function in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(function, ast.FunctionDef):
                heads = [item.context_expr for w in ast.walk(function) if isinstance(w, ast.With) for item in w.items]
                if any(isinstance(h, (ast.Name, ast.Attribute)) and ast.unparse(h) not in NO_DEVICE for h in heads):
                    switching.add(function.name)
    assert switching == {name for owner, name in SWITCHING + IN_A_RUN} - {"_keep", "synchronize"}
    assert len(RULES) >= 28
    assert {"self.wait(ready)", "self._keep(cargo)", "self._keep(staged)", "ready.synchronize()"} <= {r[3] for r in RULES}


def take_out(monkeypatch, owner, name, number):
    """Replace a function by itself without one line; what the line was the head of stays."""
    whole = getattr(owner, name)
    lines = inspect.getsource(whole).splitlines()
    code = lines[number].strip()
    indent = lines[number][: len(lines[number]) - len(lines[number].lstrip())]
    lines[number] = indent + ("if True:" if code.startswith("with ") else "pass")
    module = inspect.getmodule(whole)
    namespace = {}
    source = textwrap.dedent("\n".join(lines))
    exec(compile(source, f"{name} without {code!r}", "exec"), vars(module), namespace)
    for place in [owner, *MODULES.values()]:
        if vars(place).get(name) is whole:
            monkeypatch.setattr(place, name, namespace[name])


@pytest.mark.parametrize(("owner", "name", "number", "line"), RULES, ids=named(RULES))
def test_no_line_that_waits_keeps_or_switches_can_be_left_out(sims, monkeypatch, owner, name, number, line):
    take_out(monkeypatch, owner, name, number)
    with pytest.raises(tn.DeviceError):
        everything(sims)
    sims[0]._host.faults.clear()


@pytest.mark.parametrize(("owner", "name", "number", "line"), RULES_IN_A_RUN, ids=named(RULES_IN_A_RUN))
def test_no_switch_in_a_run_can_be_left_out(train, monkeypatch, capsys, owner, name, number, line):
    take_out(monkeypatch, owner, name, number)
    with pytest.raises(AssertionError):
        train("out")
    assert re.fullmatch("alexnet.py: .* write `with device:` around it\n", capsys.readouterr().err)


def test_what_is_kept_must_be_kept_long_enough(sims, monkeypatch):
    from tinynet.devices.sim import Event

    monkeypatch.setattr(Event, "done", True)
    with pytest.raises(StreamOrderError, match="was freed while"):
        everything(sims)
    sims[0]._host.faults.clear()


def test_an_event_recorded_too_early_does_not_help(sims, monkeypatch):
    early = {}
    late = Sim.record
    monkeypatch.setattr(Sim, "record", lambda self: early.setdefault(self, late(self)))
    with pytest.raises(StreamOrderError, match=r"must wait for an event that .* recorded after it"):
        losses(sims)
    sims[0]._host.faults.clear()
