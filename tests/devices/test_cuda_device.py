"""The CUDA device without a GPU: a training run on it, and what it says when something goes wrong."""

import importlib.metadata
import re
import subprocess
import sys

import pytest
from fake_cupy import CUDARuntimeError, FakeKernels, OutOfMemoryError
from runs import QUICK, assert_same_run, pictures, run, undrawn

import tinynet as tn
from tinynet import data
from tinynet.cli import train as train_module
from tinynet.devices.streams import Streamed

# Training -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("data") / "pictures", each=10)


@pytest.fixture
def train(folder, tmp_path, monkeypatch):
    undrawn(monkeypatch.setattr)

    def command(*arguments, out="out"):
        return run("--data", folder, *QUICK, "--epochs", 1, "--out", tmp_path / out, *arguments)

    command.out = tmp_path
    return command


@pytest.mark.parametrize("names", ["cuda:0", "cuda:0,cuda:1", "cuda:0,cuda:0", "cuda:1,cuda:0"])
def test_a_run_asks_for_all_work_in_the_streams_of_its_devices(machine, train, names):
    cupy = machine()
    assert train("--device", names, out="cuda") == 0
    assert train("--device", "cpu", out="cpu") == 0
    assert_same_run(train.out / "cuda", train.out / "cpu")
    work = ("conv2d", "conv2d_weight_grad", "sgd", "relu", "copy")
    streams = {line[1] for line in cupy.calls if line[0] in work}
    assert streams == {f"stream {i}" for i in range(len(names.split(",")))}
    uploads = {line[1] for line in cupy.calls if line[0] == "upload"}
    assert uploads == {*streams, f"stream {len(streams)}"}, "weights and labels come with the work, batches on their own way"


@pytest.mark.parametrize("device, count, workers", [("cuda:0", 5, 5), ("cuda:0", 1, 2), ("cuda:0", 99, 16), ("cpu", 5, 2)])
def test_a_cpu_that_computes_nothing_loads_images_with_all_threads(machine, train, monkeypatch, device, count, workers):
    machine()
    asked, make = [], data.Batches
    monkeypatch.setattr(data, "Batches", lambda *args, **how: asked.append(how["workers"]) or make(*args, **how))
    monkeypatch.setattr(train_module, "threads", lambda: count)
    assert train("--device", device) == 0
    assert asked == [workers, workers]


def test_precision_and_workspace_are_passed_on(machine, train):
    cupy = machine()
    assert train("--device", "cuda:0,cuda:1", "--tf32", "--workspace", 1000) == 0

    def chosen():
        return [line for line in cupy.calls if line[0] == "tf32"]

    assert chosen() == [("tf32", True, 0), ("tf32", True, 1)]
    assert sys.modules["tinynet.kernels.cuda"].workspace == 1000
    cupy.calls.clear()
    assert train("--device", "cuda:0", "--no-tf32", out="full") == 0
    assert chosen() == [("tf32", False, 0)]


def test_tf32_is_refused_where_the_gpu_has_none(machine, train, capsys):
    machine(capability="75")
    assert train("--device", "cuda:0", "--tf32") == 2
    assert capsys.readouterr().err == ("alexnet.py: --tf32 needs sm_80 or newer, and cuda:0 is sm_75; leave it out\n")


@pytest.mark.parametrize("names", ["cpu", "sim:0,sim:1"])
@pytest.mark.parametrize("flag", ["--tf32", "--no-tf32", "--workspace=9"])
def test_an_option_that_would_do_nothing_is_refused(train, capsys, names, flag):
    assert train("--device", names, flag) == 2
    what = "--workspace" if "work" in flag else "--tf32"
    assert f"{what} is for CUDA devices and means nothing on {names[:3]}:0; leave it out" in capsys.readouterr().err


# What goes wrong ------------------------------------------------------------------------------------------------------


def insufficient():
    return CUDARuntimeError("cudaErrorInsufficientDriver: CUDA driver version is insufficient for CUDA runtime version")


FULL = OutOfMemoryError("Out of memory allocating 896,000,000 bytes (allocated so far: 84,000,000,000 bytes).")
NVRTC = RuntimeError('Failure finding "libnvrtc.so.13 or libnvrtc.so.12": No such file')
CUBLAS = ImportError('Failure finding "libcublasLt.so.13 or libcublasLt.so.12": No such file')
AT_THE_START = {
    "no driver": (dict(gpus=insufficient(), driver=0), {}, "no NVIDIA driver was found; install one, or .*--device cpu"),
    "driver does not answer": (
        dict(gpus=CUDARuntimeError("cudaErrorNoDevice"), driver=OSError("libcuda.so.1")), {}, "no NVIDIA driver was found"
    ),
    "driver too old": (dict(gpus=insufficient(), driver=11080), {}, r"CUDA 11\.8 but this CuPy needs 12\.9; update it"),
    "driver of CUDA 12, CuPy of 13": (
        dict(gpus=insufficient(), driver=12040, runtime=13000), {}, r"needs 13\.0; update it, or install tinynet\[cuda12\]"
    ),
    "no visible GPU": (
        dict(gpus=CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")), {},
        "no GPU is visible .*nvidia-smi and CUDA_VISIBLE_DEVICES, which is '-1'",
    ),
    "GPUs hidden": (dict(gpus=0), {}, "no GPU is visible .*nvidia-smi and CUDA_VISIBLE_DEVICES, which is '-1'"),
    "index out of range, one": (dict(gpus=1), {}, "does not exist: 1 GPU is visible, cuda:0"),
    "index out of range": (dict(gpus=3), {}, "does not exist: 3 GPUs are visible, cuda:0 to cuda:2"),
    "NVRTC missing": (dict(gpus=8), {"ones": NVRTC}, "CUDA libraries are missing .*libnvrtc.*reinstall CuPy .*pip install"),
    "cuBLAS missing": (dict(gpus=8), {"matmul": CUBLAS}, "CUDA libraries are missing .*libcublasLt.*reinstall CuPy"),
    "memory full": (dict(gpus=8), {"ones": FULL}, "its memory is full .*896,000,000.*who uses it, or name another"),
    "cuBLAS cannot start": (
        dict(gpus=8), {"matmul": RuntimeError("CUBLAS_STATUS_NOT_INITIALIZED")}, "its memory is full .*NOT_INITIALIZED"
    ),
    "GPU too old": (
        dict(gpus=8, capability="61"), {"ones": CUDARuntimeError("cudaErrorNoKernelImageForDevice: no kernel image")},
        "its architecture, sm_61, is not supported by this CuPy .*install another one",
    ),
    "GPU too new": (dict(gpus=8), {"ones": CUDARuntimeError("cudaErrorUnsupportedPtxVersion: PTX")}, "sm_90, is not"),
    "GPU taken": (
        dict(gpus=8), {"Stream": CUDARuntimeError("cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy")},
        "another process has it for itself .*nvidia-smi",
    ),
    "anything else": (dict(gpus=8), {"ones": OSError("odd\nthings")}, r"fails \(OSError: odd things\); check nvidia-smi"),
}  # fmt: skip


@pytest.mark.parametrize("case", AT_THE_START)
def test_a_gpu_that_cannot_be_used_is_one_sentence_with_the_remedy(machine, monkeypatch, capsys, case):
    how, fail, sentence = AT_THE_START[case]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    machine(**how).fail.update(fail)
    assert run("--device", "cuda:7") == 2
    complaint = capsys.readouterr().err
    assert re.fullmatch(f"alexnet.py: device cuda:7.*{sentence}.*\n", complaint), complaint
    assert Streamed.current is None, "a device that failed is not current"


@pytest.mark.parametrize("names, two", [
    (["cupy-cuda12x", "cupy-cuda13x", "numpy"], True), (["cupy", "cupy-cuda12x"], True), (["cupy-cuda12x"], False),
    (["cupy_cuda12x", "cupy-xarray", "cupy-cuda12x-stubs"], False), (["cupy-rocm-5-0", "cupy-cuda11x"], True),
])  # fmt: skip
def test_two_cupy_packages_are_refused(machine, monkeypatch, names, two):
    machine()
    found = [type("Distribution", (), {"metadata": {"Name": name}})() for name in names]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: found)
    if not two:
        assert tn.devices("cuda:0")
        return
    with pytest.raises(
        tn.DeviceError, match=r"two CuPy packages are installed .*; pip uninstall cupy\S* cupy\S*, then install"
    ):
        tn.devices("cuda:0")


DURING = {
    "forward": ("max_pool2d", FULL, r"towers\.0\.pool"),
    "forward, in a layer": ("conv2d", FULL, r"towers\.0\.conv1"),
    "backward": ("conv2d_weight_grad", FULL, r"the backward pass of towers\.[01]\.conv5"),
    "backward, no weights": ("local_response_norm_backward", FULL, "the backward pass of local_response_norm"),
    "update": ("sgd", FULL, "a training step"),
    "cuBLAS": ("matmul", RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), r"towers\.0\.fc6"),
}


@pytest.mark.parametrize("case", DURING)
def test_out_of_memory_names_the_layer_the_batch_and_what_to_lower(machine, train, capsys, case):
    kernel, error, where = DURING[case]
    cupy = machine()
    real = FakeKernels.__getattr__

    def when_training(self, name):  # the check at the start has a product, but no kernel
        cupy.fail[kernel] = error
        return real(self, name)

    sys.modules["tinynet.kernels.cuda"].__class__ = type("Full", (FakeKernels,), {"__getattr__": when_training})
    assert train("--device", "cuda:0,cuda:1") == 2
    complaint = capsys.readouterr().err
    assert re.fullmatch(
        rf"alexnet.py: cuda:[01] is out of memory \(70\.0 of 80\.0 GiB used\) in {where}, batch 8: "
        "lower --batch or --workspace\n",
        complaint,
    ), complaint


@pytest.mark.parametrize("call", ["empty", "zeros_like"])  # for the weights, for their velocities
def test_out_of_memory_while_the_network_is_built_names_the_device_and_what_helps(machine, train, monkeypatch, capsys, call):
    cupy = machine()
    tn.devices("cuda:0,cuda:1")  # what they try out when they are made has found room

    def second_is_full(name):
        if name == call and cupy.gpu_stack[-1] == 1:
            raise type(FULL)(*FULL.args)

    monkeypatch.setattr(cupy, "maybe_fail", second_is_full)
    assert train("--device", "cuda:0,cuda:1") == 2
    assert capsys.readouterr().err == (
        "alexnet.py: cuda:1 is out of memory (70.0 of 80.0 GiB used) while the network is built: "
        "lower --width or give another --device\n"
    )


def test_out_of_memory_while_a_picture_is_named_is_one_sentence(machine, train, folder, capsys):
    assert train() == 0
    picture = next(folder.rglob("*.png"))
    machine().fail["max_pool2d"] = FULL
    assert run("predict", picture, "--checkpoint", train.out / "out", "--device", "cuda:0") == 2
    assert capsys.readouterr().err == (
        "alexnet.py: cuda:0 is out of memory (70.0 of 80.0 GiB used) with this network and ten crops of a picture: "
        "give another --device\n"
    )


def test_out_of_memory_on_the_cpu_is_as_clear(train, monkeypatch, capsys):
    from tinynet.kernels import cpu

    def full(*_):
        raise MemoryError("Unable to allocate 4.00 TiB")

    monkeypatch.setattr(cpu, "conv2d", full)
    assert train() == 2
    assert "cpu:0 is out of memory (Unable to allocate 4.00 TiB) in towers.0.conv1, batch 8: lower --batch or --width" in (
        capsys.readouterr().err
    )


def test_another_error_is_not_called_memory(machine, train):
    machine().fail["conv2d"] = CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")
    with pytest.raises(CUDARuntimeError, match="IllegalAddress"):
        train("--device", "cuda:0")


# The real package -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_cupy():
    code = "import cupy; print(cupy.__version__, cupy.cuda.runtime.driverGetVersion())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    if found.returncode:
        pytest.skip("CuPy is not installed; for these tests: pip install 'cupy-cuda12x==14.*' (no GPU is needed)")
    version, driver = found.stdout.split()
    if driver != "0":
        pytest.skip(f"CuPy {version} has a driver here; these tests are about CuPy without one")
    return version


def separately(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)


def test_the_real_cupy_without_a_driver_is_one_sentence(real_cupy):
    done = separately("import sys, alexnet; sys.exit(alexnet.main(['--device', 'cuda:0,cuda:1']))")
    assert done.returncode == 2
    assert done.stderr == ("alexnet.py: device cuda:0: no NVIDIA driver was found; install one, or run with --device cpu\n")


def test_the_real_cupy_has_what_the_device_asks_for(real_cupy):
    done = separately(
        "import cupy, numpy as np\n"
        "for name in ('Stream', 'Event', 'Device', 'alloc_pinned_memory', 'PinnedMemoryPointer', 'get_elapsed_time'):\n"
        "    getattr(cupy.cuda, name)\n"
        "for name in ('record', 'wait_event', '__enter__', '__exit__'):\n"
        "    getattr(cupy.cuda.Stream, name)\n"
        "for name in ('record', 'synchronize', 'done'):\n"
        "    getattr(cupy.cuda.Event, name)\n"
        "for name in ('copy_from_host_async', 'copy_to_host_async', 'copy_from_device_async'):\n"
        "    assert 'stream=None' in getattr(cupy.cuda.MemoryPointer, name).__doc__\n"
        "assert issubclass(cupy.cuda.memory.OutOfMemoryError, MemoryError)\n"
        "assert {'mem_info', 'compute_capability'} <= set(dir(cupy.cuda.Device))\n"
    )
    assert done.returncode == 0, done.stderr
