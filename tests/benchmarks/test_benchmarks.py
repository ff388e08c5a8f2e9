"""The benchmarks count arithmetic correctly, compare equal work only, and report whatever they could measure."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import bench, engine, machine, memory, nets, report, timing
from benchmarks.plan import TINY

SECTIONS = ("step", "inference", "layers", "engine", "peers", "memory", "scaling")


def test_multiply_adds_are_the_papers():
    layers = nets.alexnet_2012()
    assert nets.forward_macs(layers) == 724_406_816
    assert sum(np.prod(layer.weight_shape) + layer.weight_shape[0] for layer in layers if layer.macs) == 60_965_224
    shapes = {layer.name: layer.y_shape for layer in layers}
    assert shapes["conv1"] == (96, 55, 55) and shapes["pool5"] == (256, 6, 6) and shapes["fc8"] == (1000,)


def test_a_step_counts_forward_weights_and_all_inputs_but_the_image():
    conv1 = 96 * 55 * 55 * 3 * 11 * 11
    assert nets.step_flop(nets.alexnet_2012()) == 2 * (3 * 724_406_816 - conv1) == 4_135_610_496


def test_one_tower_net_is_torchvisions():
    layers = nets.alexnet_2014()
    assert [layer.y_shape[0] for layer in layers if layer.kind == "conv"] == [64, 192, 384, 256, 256]
    assert sum(np.prod(layer.weight_shape) + layer.weight_shape[0] for layer in layers if layer.macs) == 61_100_840
    assert nets.forward_macs(layers) == 714_188_480


@pytest.mark.parametrize("width, image_size", [(0.5, 224), (0.25, 224), (0.1, 64)])
def test_counts_agree_with_the_networks_own(width, image_size):
    from alexnet import AlexNet

    own = {name: macs for name, _, _, macs in AlexNet(10, width, image_size=image_size).layers()}
    assert {layer.name: layer.macs for layer in nets.alexnet_2012(width, image_size, 10) if layer.macs} == own


def test_two_towers_do_the_work_of_a_layer():
    for layer in nets.alexnet_2012():
        if layer.macs and layer.name != "fc8":
            assert 2 * layer.tower().macs == layer.macs, layer.name


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(["--json", str(tmp_path / "missing" / "result.json")], TINY)
    assert stop.value.code == 2 and "cannot be written" in capsys.readouterr().err


@pytest.mark.slow
def test_every_section_prints_and_writes_stable_keys(tmp_path, capsys):
    path = tmp_path / "result.json"
    assert command.main(["--engines", "tinynet", "--json", str(path)], TINY) == 0
    printed = capsys.readouterr().out
    document = json.loads(path.read_text())
    assert list(document) == ["schema", "machine", "engines", "missing", "options", "interrupted", "sections"]
    assert document["schema"] == 1 and not document["interrupted"] and document["options"]["rounds"] == TINY.rounds
    assert {"cpu", "cores", "numpy", "torch", "blas", "blas_threads", "threads"} <= set(document["machine"])
    assert tuple(document["sections"]) == SECTIONS == tuple(command.SECTIONS)
    for name, rows in document["sections"].items():
        assert rows and command.SECTIONS[name].title in printed
        for row in rows:
            assert list(row) == [column.key for column in command.SECTIONS[name].columns], name
    step = document["sections"]["step"][0]
    assert step["tinynet_ms"] > 0 and step["gemm_gflops"] > 0 and step["pytorch_ms"] is step["speedup"] is None
    assert document["sections"]["layers"][-1]["layer"] == "sum"
    peak = next(row for row in document["sections"]["memory"] if row["what"] == "peak of a step")
    assert 0 < peak["tinynet_mb"] < peak["tinynet_absolute_mb"]


@pytest.mark.slow
def test_networks_in_pytorch_have_the_same_losses(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # other tests share this process
    path = tmp_path / "result.json"
    assert command.main(["step", "layers", "peers", "--engines", "tinynet,pytorch", "--json", str(path)], TINY) == 0
    sections = json.loads(path.read_text())["sections"]
    assert all(row["loss_difference"] < 1e-3 and row["speedup"] > 0 for row in sections["step"])
    assert [row["engine"] for row in sections["peers"]] == ["tinynet", "pytorch"]


def test_a_peer_that_is_missing_or_broken_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "pydynet.py").write_text("import numpy\nnumpy.no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("pydynet", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    found, missing = machine.find_engines(("tinynet", "pytorch", "pydynet"))
    assert list(found) == ["tinynet"] and list(missing) == ["pytorch", "pydynet"]
    assert missing["pytorch"] == "pytorch is not installed; to see it here: pip install torch==2.13.0"
    assert missing["pydynet"].startswith("pydynet does not import: AttributeError: ")
    assert not any("\n" in line for line in missing.values())
    sys.modules.pop("pydynet", None)


def test_a_section_that_runs_out_of_memory_takes_no_other_with_it(monkeypatch, tmp_path, capsys):
    def full(section, bench, rows):
        rows.append({"n": 1})
        raise MemoryError("no room")

    monkeypatch.setattr(command, "run", full)
    monkeypatch.setattr(command.report, "table", lambda title, columns, rows: "")
    path = tmp_path / "result.json"
    assert command.main(["step", "engine", "--engines", "tinynet", "--json", str(path)], TINY) == 1
    assert json.loads(path.read_text())["sections"] == {"step": [{"n": 1}], "engine": [{"n": 1}]}
    assert "step: no room" in capsys.readouterr().err


def test_after_an_interrupt_what_was_measured_is_shown_and_written(monkeypatch, tmp_path, capsys):
    columns = [report.Column("n", "number", "d")]

    def measure(_, case):
        if case == 2:
            raise KeyboardInterrupt
        return [{"n": case}]

    section = bench.Section("step", "counting", columns, cases=lambda plan: [1, 2, 3], measure=measure)
    monkeypatch.setitem(command.SECTIONS, "step", section)
    path = tmp_path / "result.json"
    assert command.main(["step", "engine", "--engines", "tinynet", "--json", str(path)], TINY) == 130
    assert "counting\n\nnumber\n     1\n" in capsys.readouterr().out
    document = json.loads(path.read_text())
    assert document["interrupted"] and document["sections"] == {"step": [{"n": 1}]}


def test_engines_that_disagree_are_not_compared():
    assert bench.same("net", {"a": 2.0, "b": 2.001}) == pytest.approx(5e-4)
    for other in (2.1, float("nan")):
        with pytest.raises(bench.Disagreement, match="net: not the same work, the losses are a 2, b"):
            bench.same("net", {"a": 2.0, "b": other})


def test_engines_take_turns_and_ratios_are_of_the_same_round():
    order, times = [], {"a": iter([9, 1, 2, 4]), "b": iter([9, 2, 2, 12])}  # the first is not counted

    def turn(name):
        def work():
            order.append(name)
            return (float(next(times[name])),)

        return work

    timings = timing.interleave({name: turn(name) for name in times}, replace(TINY, rounds=3))
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"
    assert timings.median("a") == 2 and timings.median("a", scale=1e3) == 2000
    assert list(timings.quotients("b", "a")) == [2, 1, 3] and timings.ratio("b", "a") == 2
    assert timings.spread("b", "a") == (1, 3)
    assert timings.ratio("b", "missing") is None and timings.median("missing") is None


def test_engine_overhead_runs_alone(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["engine", "--rounds", "1"])
    monkeypatch.setattr(machine, "ENGINES", {"tinynet": machine.ENGINES["tinynet"]})
    engine.main()
    assert "tinynet" in capsys.readouterr().out


def test_memory_of_this_process_is_plausible():
    now, peak = memory.resident()
    held = np.ones(10_000_000)
    assert memory.resident()[0] > now + 70 and memory.resident()[1] >= peak and held.size


@pytest.mark.parametrize(
    "arguments", [["steps"], ["--engines", "jax"], ["--rounds", "0"], ["--threads", "0"]], ids=lambda a: a[0]
)
def test_mistakes_are_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments, TINY)
    assert stopped.value.code == 2 and arguments[-1] in capsys.readouterr().err
