"""Streams: what the simulated devices refuse, that training on them is right, and that no rule in the code is idle.

The order of events is written once, in devices/streams.py, for CUDA and for the simulation. So: every line there that
waits, keeps or switches, and every `with device:` elsewhere, is taken out in turn, and the simulation must object.
"""

import ast
import inspect
import re
import sys
import textwrap
import warnings

import numpy as np
import pytest
from runs import QUICK, assert_same_run, pictures, run, undrawn

import tinynet as tn
from alexnet import AlexNet
from tinynet import evaluation, init, nn, optim, training
from tinynet.devices.sim import Host, Sim
from tinynet.devices.streams import Streamed
from tinynet.errors import StreamOrderError
from tinynet.ops import transfer as transfer_module
from tinynet.tape import record

ONES = np.ones((2, 3), np.float32)


@pytest.fixture
def sims(monkeypatch):
    """Two devices of a host of their own, none of them current."""
    monkeypatch.setattr(Streamed, "current", None)
    host = Host()
    yield Sim(0, host=host), Sim(1, host=host)
    assert host.faults == []


# What is refused ------------------------------------------------------------------------------------------------------


def test_arrays_of_two_devices_do_not_mix(sims):
    a, b = (device.array(ONES) for device in sims)
    for mix in (lambda: a + b, lambda: np.concatenate([a, b]), lambda: sims[0].kernels.matmul(a, b)):
        with sims[0], pytest.raises(tn.DeviceError, match="mixes arrays of sim:0 and sim:1; bring them together"):
            mix()
    with sims[0], pytest.raises(tn.DeviceError, match="assignment mixes arrays of sim:0 and sim:1"):
        a[...] = b
    with pytest.raises(tn.DeviceError, match="sim:0 and sim:1; bring them together"):
        tn.tensor(ONES, device=sims[0]) + tn.tensor(ONES, device=sims[1])


def test_arrays_of_the_host_do_not_mix_either(sims):
    a = sims[0].array(ONES)
    for mix in (lambda: a + ONES, lambda: np.concatenate([a, ONES]), lambda: sims[0].kernels.matmul(a, ONES.T)):
        with sims[0], pytest.raises(TypeError, match=r"unsupported type .*ndarray.*device\.array"):
            mix()
    with sims[0], pytest.raises(TypeError, match="assignment: unsupported type"):
        a[...] = ONES


@pytest.mark.parametrize("look", [np.asarray, bool, float, int, lambda a: [1, 2][a]], ids=range(5))
def test_nothing_makes_the_host_wait_by_accident(sims, look):
    a = sims[0].array(np.array(1))
    with sims[0], pytest.raises(TypeError, match=r"device\.numpy|not supported|must be"):
        look(a)


def test_work_goes_to_the_current_device_only(sims):
    x = tn.tensor(ONES, device=sims[0])
    with pytest.raises(tn.DeviceError, match="array on sim:0 while no device is current; write `with device:`"):
        x * 2.0
    with sims[1], pytest.raises(tn.DeviceError, match="multiply on sim:0 while sim:1 is current"):
        x * x
    with sims[1], pytest.raises(tn.DeviceError, match="op: inputs are on sim:0, which is not current; write `with device:`"):
        record("op", x.data, (x,), None)  # what an operation that did its work without looking is told


def test_current_is_the_innermost_device_and_comes_back(sims):
    a, b = sims
    with a:
        with b, a:
            assert (a.active, b.active) == (True, False)
        assert (a.active, b.active) == (True, False)
        with b:
            assert (a.active, b.active) == (False, True)
        assert Streamed.current is a and a.active
    assert Streamed.current is None and not a.active


def test_reading_what_the_other_stream_may_still_be_writing(sims):
    a, b = sims
    with a:
        made = a.array(ONES) * 2
    with (
        b,
        pytest.raises(
            StreamOrderError, match=r"copy on sim:1 reads what multiply on sim:0 may still be writing: sim:1 must wait"
        ),
    ):
        b._copy(made)
    with a:
        event = a.record()
        later = made * 2
    with b:
        b.wait(event)
        b._copy(made)
        with pytest.raises(StreamOrderError, match="reads what multiply on sim:0"):
            b._copy(later)  # the event was recorded before
    b.synchronize()


def test_overwriting_what_the_other_stream_may_still_be_reading(sims):
    a, b = sims
    source = a.array(ONES)
    kept = b.fetch(source, a)
    with (
        a,
        pytest.raises(
            StreamOrderError, match="add on sim:0 overwrites what copy on sim:1 may still be reading: sim:0 must wait"
        ),
    ):
        source += 1
    with b:
        event = b.record()
    with a:
        a.wait(event)
        source += 1
    assert (b.numpy(kept) == 1).all() and (a.numpy(source) == 2).all()


def test_freeing_what_the_other_stream_may_still_be_reading(sims):
    a, b = sims
    with a:
        source = a.array(ONES)
        event = a.record()
    with b:
        b.wait(event)
        landed = b._copy(source)
    del source
    with (
        b,
        pytest.raises(
            StreamOrderError,
            match="memory of sim:0 was freed while copy on sim:1 may still be reading: it must be kept until",
        ),
    ):
        landed + 1


def test_memory_is_free_once_the_host_has_waited(sims):
    a, b = sims
    source = a.array(ONES)
    landed = b.fetch(source, a)
    del source
    assert len(b._in_flight) == 1, "the array is kept although nobody else has it"
    b.synchronize()
    assert len(b._in_flight) == 0
    b.numpy(landed)


def test_what_is_kept_is_let_go_when_its_event_is_done(sims):
    a, b = sims
    for _ in range(50):
        landed = b.fetch(a.array(ONES), a)
        b.numpy(landed)
    assert len(a._in_flight) <= 2 and len(b._in_flight) <= 3


def test_a_kernel_cannot_write_to_what_it_is_not_known_to_write_to(sims, monkeypatch):
    from tinynet.kernels import cpu

    monkeypatch.setattr(cpu, "relu", lambda x: np.maximum(x, 0, out=x))
    with sims[0], pytest.raises(ValueError, match="read-only"):
        sims[0].kernels.relu(sims[0].array(ONES))


def test_what_numpy_does_in_place_is_a_write(sims):
    a, b = sims
    source = a.array(ONES)
    b.fetch(source, a)
    rows = [0, 1]
    for write in (
        lambda: np.copyto(source, source * 2),
        lambda: np.add.at(source, rows, source[rows]),
        lambda: a.kernels.sgd(source, a.xp.zeros_like(source), a.xp.zeros_like(source), 0.1, 0.9, 0.0),
        lambda: source.__setitem__(0, 5.0),
        lambda: np.negative(source[:1], out=source[1:]),
    ):
        with a, pytest.raises(StreamOrderError, match="overwrites what copy on sim:1 may still be reading"):
            write()


def test_views_share_the_account_of_their_memory(sims):
    a, b = sims
    with a:
        whole = a.array(ONES)
        view = whole.reshape(3, 2).T[:1]
        assert view.base is whole and a.xp.broadcast_to(whole, (4, 2, 3)).base is whole
        whole += 1
    with b, pytest.raises(StreamOrderError, match="reads what add on sim:0"):
        b._copy(view)
    with a:
        assert (whole * 2).base is None and whole[[0, 1]].base is None and whole.sum().shape == ()


def test_two_streams_of_one_device_are_two_devices():
    one, two = tn.devices("sim:3,sim:3")
    assert (one.name, two.name) == ("sim:3", "sim:3 stream 2") and (one.index, two.index) == (3, 3)
    assert tn.devices("sim:3")[0] is one and tn.devices("sim:3,sim:3")[1] is two and one is not two
    with pytest.raises(tn.DeviceError, match="sim:3 and sim:3 stream 2"), one:
        tn.tensor(1.0, device=one) + tn.tensor(1.0, device=two)


def test_the_first_device_of_a_program_needs_no_with(monkeypatch):
    from tinynet import devices

    monkeypatch.setattr(Streamed, "current", None)
    monkeypatch.setattr(sys.modules["tinynet.devices"], "_KNOWN", {})
    assert devices
    x = tn.tensor([1.0, -2.0], requires_grad=True, device="sim:0")
    y = (tn.relu(x) * 3 + x[0]).sum()
    y.backward()
    assert y.item() == 5 and x.device.numpy(x.grad).tolist() == [5, 0]


# Damaged copies -------------------------------------------------------------------------------------------------------


def test_copies_that_arrive_damaged_go_through_the_host(sims, monkeypatch):
    a, b = sims
    right = Sim._copy

    def damage(self, cargo):
        landed = right(self, cargo)
        landed[-1:] = 0
        return landed

    monkeypatch.setattr(Sim, "_copy", damage)
    assert b.connect(a) is False
    with a:
        source = a.array(ONES) * 2
        landed = b.fetch(source.T, a)
    del source
    assert np.array_equal(b.numpy(landed), 2 * ONES.T) and b.connect(a) is False


def test_a_damaged_pair_of_devices_is_named_with_what_may_mend_it(monkeypatch):
    right = Sim._copy
    monkeypatch.setattr(Sim, "_copy", lambda self, cargo: right(self, cargo)[::-1])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tn.devices("sim:8,sim:9")
    first, second = (str(w.message) for w in caught)
    assert first.startswith("copies from sim:9 to sim:8 arrive damaged and go through host memory now, which is slower; ")
    assert second.startswith("copies from sim:8 to sim:9 arrive damaged") and "IOMMU" in second


def test_a_machine_whose_memory_is_damaged_is_refused(sims, monkeypatch):
    right = Sim._read
    monkeypatch.setattr(Sim, "_read", lambda self, staged: right(self, staged) * 0)
    with pytest.raises(tn.DeviceError, match="a block copied from sim:0 to sim:1 arrives damaged, even through host memory"):
        sims[1].connect(sims[0])


# Training -------------------------------------------------------------------------------------------------------------


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
        logits = model(tn.tensor(x, device=devices[0]))
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
    losses(list(sims), steps=1)  # the copies of a random block, then one look at the loss
    before = len(waits)
    losses(list(sims), steps=4)
    assert len(waits) - before == 4, "one look at a loss for each step"


def everything(sims):
    """Whatever has to do with devices: training, moving, saving, loading, evaluating, a promise that nobody keeps."""
    a, b = sims
    found, model = losses([a, b])
    a.numpy_later(model.fc8.weight.data)  # dropped
    state = model.state_dict()
    model.load_state_dict(state)
    layer = nn.Linear(3, 2, device=a, rng=np.random.default_rng(0))
    layer_sgd = optim.SGD(layer.parameters())
    for device in (a, b):
        layer.to(device, np.float64)
        y = layer(tn.tensor(ONES.astype(np.float64), device=device)) if device.active else None
        if y is None:
            x = tn.tensor(ONES.astype(np.float64), device=device)
            with device:
                y = layer(x)
        y.backward(np.ones((2, 2)))
        layer_sgd.step()
    init.constant_(layer.bias, 1.0)
    with a:
        shared = tn.tensor(ONES, requires_grad=True, device=a)
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
            x, labels = batch(9)
            yield x, labels, np.arange(3)

    score = evaluation.evaluate(model, Validation(), a)
    images = np.zeros((1, 3, 64, 64), np.uint8)
    p = evaluation.probabilities(model, images, np.zeros((3, 64, 64), np.float32), 1.0, a)
    b.fetch(a.array(ONES), a)
    a.synchronize()
    b.synchronize()
    with a:
        a.array(ONES) + 1  # where a fault that could not be raised comes out
    return found, score.state, p


HERE = ("tinynet", "alexnet")
MODULES = {name: module for name, module in sys.modules.items() if name.split(".")[0] in HERE}
SWITCHING = [
    *((Streamed, name) for name in ("array", "numpy_later", "fetch", "_keep", "synchronize")),
    (MODULES["tinynet.tape"], "backward"), (MODULES["tinynet.tensor"].Tensor, "backward"),
    (transfer_module, "transfer"), (init, "constant_"), (init, "_fill"), (nn.Module, "to"), (nn.Module, "load_state_dict"),
    (optim.SGD, "__init__"), (optim.SGD, "velocity"), (optim.SGD, "step"), (AlexNet, "forward"), (AlexNet, "each"),
    (AlexNet, "gather"), (evaluation, "evaluate"), (evaluation, "probabilities"),
]  # fmt: skip
IN_A_RUN = [(training.Run, "_train_step"), (training.Run, "_restore")]
WAITING = (".wait(", "._keep(", ".synchronize(", "_in_flight.append(", "out.entry.source = here")


def rules(functions):
    """(owner, function, number of the line in it, the line) of all lines that switch device, wait, or keep alive."""
    for owner, name in functions:
        for number, line in enumerate(inspect.getsource(getattr(owner, name)).splitlines()):
            code = line.strip()
            switches = re.fullmatch(r"with [\w.]+:", code)  # and not a function, such as no_grad()
            if switches or any(word in code for word in WAITING):
                yield owner, name, number, code


RULES, RULES_IN_A_RUN = list(rules(SWITCHING)), list(rules(IN_A_RUN))


def named(rules):
    return [f"{name}: {line}" for _, name, _, line in rules]


def test_every_function_that_switches_device_is_on_the_list():
    switching = set()
    where = r"alexnet|tinynet\.(devices\.streams|tape|tensor|ops\.\w+|init|nn|optim|evaluation|training)"
    for module in (m for name, m in MODULES.items() if re.fullmatch(where, name)):
        for function in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(function, ast.FunctionDef):
                heads = [item.context_expr for w in ast.walk(function) if isinstance(w, ast.With) for item in w.items]
                if any(isinstance(h, (ast.Name, ast.Attribute)) and ast.unparse(h) != "bar" for h in heads):
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


def test_everything_works_on_simulated_devices(sims):
    found, score, p = everything(sims)
    expected, expected_score, expected_p = everything(tn.devices("cpu:0,cpu:1"))
    assert found == expected and score == expected_score and np.array_equal(p, expected_p)


@pytest.mark.parametrize(("owner", "name", "number", "line"), RULES, ids=named(RULES))
def test_no_line_that_waits_keeps_or_switches_can_be_left_out(sims, monkeypatch, owner, name, number, line):
    take_out(monkeypatch, owner, name, number)
    with pytest.raises(tn.DeviceError):
        everything(sims)
    sims[0]._host.faults.clear()


@pytest.fixture
def train(sims, monkeypatch, tmp_path):
    """A function that trains on the simulated devices, from the command line, for an epoch, and goes on for another."""
    undrawn(monkeypatch.setattr)
    monkeypatch.setattr(training, "devices", lambda names: list(sims) if names == "sim" else tn.devices(names))
    folder = pictures(tmp_path / "pictures", each=6)

    def both(out, device="sim"):
        assert run("--data", folder, *QUICK, "--epochs", 1, "--device", device, "--out", tmp_path / out) == 0
        assert run("--resume", tmp_path / out, "--epochs", 2, "--device", device) == 0
        return tmp_path / out

    return both


def test_a_run_on_simulated_devices_is_the_run_on_the_cpu(train):
    assert_same_run(train("one"), train("other", "cpu"))


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
        losses(list(sims))
    sims[0]._host.faults.clear()


def test_the_entries_of_the_tape_know_where_their_inputs_live(sims):
    a, b = sims
    x = tn.tensor(ONES, requires_grad=True, device=a)
    y = tn.transfer(x, b)
    assert (y.entry.device, y.entry.source) == (b, a)
