"""The GPU benchmark runs from end to end without a GPU, loses nothing when a section fails, and sums up correctly."""

import itertools
import json

import pytest
from runs import pictures

from benchmarks import gpu, gpu_sections


def rehearse(path, *arguments):
    code = gpu.main(["--rehearse", "--json", str(path), *arguments])
    return code, json.loads(path.read_text())


@pytest.mark.slow
def test_a_rehearsal_runs_every_section(tmp_path, capsys):
    sections = [name for name in gpu.SECTIONS if name != "timeline"]
    data = pictures(tmp_path / "data", each=8)
    code, document = rehearse(tmp_path / "result.json", *sections, "--data", str(data))
    printed = capsys.readouterr().out
    assert (
        list(document) == ["schema", "rehearsal", "machine", "plan", "sections"] and list(document["sections"]) == sections
    )
    for name, result in document["sections"].items():
        assert result["error"] is None, result["traceback"]
        columns, section = gpu.SECTIONS[name]
        assert section.__doc__.strip() in printed or result["left_out"]
        for row in result["rows"]:
            assert list(row) == [column.key for column in columns], name
    assert code == 0 and document["rehearsal"]
    found = {name: result["rows"] for name, result in document["sections"].items()}
    assert [row["device"] for row in found["same"]] == ["cpu", "cuda:0", "cuda:0,cuda:0"]
    assert all(row["difference"] < 1e-5 for row in found["same"])
    assert all(row["ms"] > 0 < row["host_ms"] and row["loss_difference"] < 1e-4 for row in found["steps"])
    assert [(row["precision"], row["mib"]) for row in found["workspace"]] == list(
        itertools.product(("FP32", "TF32"), (2**-8, 1))
    )
    assert found["learn"][0]["epoch"] == 0 and (tmp_path / "learn-curves.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_rehearsal_draws_the_timeline(tmp_path):
    code, document = rehearse(tmp_path / "result.json", "timeline")
    assert code == 0, document["sections"]["timeline"]["traceback"]
    assert (tmp_path / "timeline.png").stat().st_size > 1000


@pytest.mark.slow
def test_a_section_that_fails_takes_no_other_with_it(tmp_path, monkeypatch, capsys):
    def broken(lab):
        """Never right."""
        yield {column.key: 1.0 for column in gpu_sections.LIMITS} | {"what": "kept"}
        raise RuntimeError("out of order")

    monkeypatch.setitem(gpu.SECTIONS, "limits", (gpu_sections.LIMITS, broken))
    code, document = rehearse(tmp_path / "a new folder" / "result.json", "limits", "products", "learn")
    limits, products, learn = document["sections"].values()
    assert code == 1 and limits["error"] == "RuntimeError: out of order" and limits["rows"][0]["what"] == "kept"
    assert "broken" in limits["traceback"] and products["error"] is None and products["rows"]
    assert learn["error"] is None and learn["left_out"] == "there are no images to train on; give a folder with --data DIR"
    assert "limits FAILED" in capsys.readouterr().out


def test_losses_that_differ_are_an_error_and_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_sections.np, "abs", lambda a: a * 0 + 1e-3)
    code, document = rehearse(tmp_path / "result.json", "same")
    result = document["sections"]["same"]
    assert code == 1 and len(result["rows"]) == 3 and "cuda:0,cuda:0 differ from the CPU's" in result["error"]


def test_an_interrupt_keeps_what_was_measured(tmp_path, monkeypatch):
    def interrupted(lab):
        """Cut short."""
        yield {column.key: 1.0 for column in gpu_sections.LIMITS}
        raise KeyboardInterrupt

    monkeypatch.setitem(gpu.SECTIONS, "limits", (gpu_sections.LIMITS, interrupted))
    code, document = rehearse(tmp_path / "result.json", "limits", "products")
    assert code == 130 and list(document["sections"]) == ["limits"] and len(document["sections"]["limits"]["rows"]) == 1


def test_time_that_is_up_leaves_sections_out(tmp_path):
    code, document = rehearse(tmp_path / "result.json", "limits", "--minutes", "0.1")
    assert code == 1 and document["sections"]["limits"]["error"].startswith("TimeoutError: the 0.1 minutes are over")


def test_a_command_that_hangs_is_interrupted_and_what_it_said_is_kept():
    code, output, seconds = gpu._run([gpu.sys.executable, "-c", "print('here', flush=True); import time; time.sleep(60)"], 1)
    assert code is None and output.startswith("here\n") and "KeyboardInterrupt" in output and seconds < 20


def test_without_a_gpu_one_sentence(capsys, monkeypatch):
    monkeypatch.setitem(gpu.sys.modules, "cupy", None)
    assert gpu.main(["limits"]) == 2
    assert capsys.readouterr().err.startswith("benchmarks.gpu: device cuda:0 needs CuPy")


@pytest.mark.parametrize("intervals, length", [
    ([], 0), ([(0, 2), (1, 3)], 3), ([(5, 6), (0, 1)], 2), ([(0, 10), (2, 3), (9, 12)], 12), ([(1, 1)], 0),
])  # fmt: skip
def test_busy_time_counts_overlapping_kernels_once(intervals, length):
    assert gpu_sections.covered(intervals) == length


def test_kernels_have_names_without_types():
    assert gpu_sections.short("void cutlass::Kernel2<cutlass_80_simt_sgemm>(Params)") == "cutlass::Kernel2"
    assert gpu_sections.short("im2col_int32") == "im2col_int32"


@pytest.mark.parametrize("arguments", [["nonsense"], ["--minutes", "0"], ["--minutes", "nan"]])
def test_mistakes_are_explained(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        gpu.main(arguments)
    assert stopped.value.code == 2 and "expected" in capsys.readouterr().err
