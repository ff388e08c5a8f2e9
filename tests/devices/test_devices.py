"""Devices: what a user may type, what is answered, and that arrays of two devices never meet by accident."""

import subprocess
import sys

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from tinynet.devices import as_device


@pytest.mark.parametrize("names, expected", [
    ("cpu", ["cpu:0"]), ("cpu:0", ["cpu:0"]), ("cpu:1", ["cpu:1"]), ("cpu:0,cpu:1", ["cpu:0", "cpu:1"]),
    (" cpu , cpu:1 ", ["cpu:0", "cpu:1"]), ("cpu,cpu", ["cpu:0", "cpu:0"]), ("cpu:01", ["cpu:1"]), ("cpu:7", ["cpu:7"]),
])  # fmt: skip
def test_names(names, expected):
    assert [d.name for d in tn.devices(names)] == expected


def test_the_same_name_is_the_same_device():
    a, b = tn.devices("cpu:0,cpu:1")
    assert a is tn.devices("cpu")[0] is as_device(None) is as_device("cpu") is as_device(a) and a is not b
    assert repr(b) == "Device('cpu:1')" and (b.kind, b.index) == ("cpu", 1)


@pytest.mark.parametrize("names", ["", "gpu", "cpu:", "cpu:x", "cpu:-1", "cpu:0,", "cuda:a", "CPU", "cpu:0:1", "cpu 0",
                                   "cpu:²", "cpu;cpu", None, 0])  # fmt: skip
def test_a_name_that_is_no_device(names):
    with pytest.raises(
        tn.DeviceError, match=r"unknown device '.*' in .*; expected 'cpu', 'cuda:0', 'cuda:0,cuda:1' or 'sim:0,sim:1'"
    ):
        tn.devices(names)


def test_one_device_is_expected_where_one_is_needed():
    with pytest.raises(tn.DeviceError, match="expected one device, got 'cpu:0,cpu:1'; name one, such as 'cpu:0'"):
        tn.tensor(1.0, device="cpu:0,cpu:1")


# CUDA, with the CuPys that users have ---------------------------------------------------------------------------------


BROKEN_IMPORTS = {
    "library missing": "raise ImportError('libcublas.so.12: cannot open shared object file')",
    "dependency missing": "import fastrlock_is_not_here",
    "odd error": "raise OSError('CUDA path could not be detected')",
}


@pytest.mark.parametrize("case", BROKEN_IMPORTS)
def test_a_cupy_that_fails_to_import_is_not_called_missing(monkeypatch, tmp_path, case):
    (tmp_path / "cupy.py").write_text(BROKEN_IMPORTS[case])
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(tn.DeviceError, match=r"cuda:0 needs CuPy, which fails to import .*pip install"):
        tn.devices("cuda:0")


def test_tinynet_does_not_import_cupy():
    code = "import sys; sys.modules['cupy'] = None; import tinynet; assert 'tinynet.devices.cuda' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


# Two logical CPUs -----------------------------------------------------------------------------------------------------


def test_transfer_copies_there_and_its_gradient_back():
    x = leaf(normal(2, 3))
    y = tn.transfer(x, "cpu:1")
    assert y.device.name == "cpu:1" and np.array_equal(y.data, x.data) and not np.shares_memory(y.data, x.data)
    weight = tn.tensor(normal(2, 3, seed=1), device="cpu:1")
    (y * weight).sum().backward()
    assert np.array_equal(x.grad, weight.data) and not np.shares_memory(x.grad, weight.data)
    assert y.grad is None


def test_the_gradient_of_a_transfer_is_handed_over_on_its_own_side():
    seen = []

    class Spy(type(as_device("cpu:0"))):
        def fetch(self, array, source):
            seen.append((self.name, source.name))
            return super().fetch(array, source)

    here, there = Spy(8), Spy(9)
    x = tn.tensor([1.0, 2.0], requires_grad=True, device=here)
    (tn.transfer(x, there) * 3).sum().backward()
    assert seen == [("cpu:9", "cpu:8"), ("cpu:8", "cpu:9")]


def test_transfer_to_the_same_device_is_the_tensor_itself():
    x = leaf([1.0])
    assert tn.transfer(x, "cpu") is x and x.to("cpu:0") is x


def test_transfer_copies_even_what_is_off_the_tape():
    x = tn.tensor([1.0])
    y = x.to("cpu:1")
    y.data[0] = 5
    assert x.data[0] == 1 and not y.requires_grad
    with tn.no_grad():
        assert not leaf([1.0]).to("cpu:1").requires_grad


def test_diamond_over_two_devices():
    x = leaf([2.0])
    left, right = x * 3, x.to("cpu:1") * 5
    (left * right.to("cpu:0")).backward()
    assert x.grad == 2 * 15 * 2


HERE = np.ones((2, 2), np.float32)
MEETINGS = {
    "add": lambda a, b: a + b,
    "matmul": lambda a, b: a @ b,
    "minimum": tn.minimum,
    "linear": lambda a, b: tn.linear(a, b),
    "concat": lambda a, b: tn.concat([a, b]),
    "stack": lambda a, b: tn.stack([a, b]),
    "conv2d": lambda a, b: tn.conv2d(a.reshape(1, 1, 2, 2), b.reshape(1, 1, 2, 2)),
    "batch_norm": lambda a, b: tn.batch_norm(a, b[0], b[1], HERE[0].copy(), HERE[0].copy(), True),
}


@pytest.mark.parametrize("taped", [True, False])
@pytest.mark.parametrize("op", MEETINGS)
def test_tensors_of_two_devices_do_not_meet(op, taped):
    a, b = (tn.tensor(HERE, requires_grad=taped, device=d) for d in ("cpu:0", "cpu:1"))
    with pytest.raises(
        tn.DeviceError, match=rf"{op}: inputs are on cpu:0 and cpu:1; bring them together with transfer\(x, device\)"
    ):
        MEETINGS[op](a, b)


def test_arrays_that_refuse_each_other_still_give_our_sentence():
    class Elsewhere(np.ndarray):  # as a CuPy array, which raises TypeError when it meets a NumPy one
        def __array_ufunc__(self, *args, **kwargs):
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")

    class GPU(type(as_device("cpu:0"))):
        def array(self, host):
            return host.view(Elsewhere)

    a, b = tn.tensor([1.0]), tn.tensor([1.0], device=GPU(3))
    with pytest.raises(tn.DeviceError, match="add: inputs are on cpu:0 and cpu:3"):
        a + b


def test_constants_follow_the_tensor_they_meet():
    x = tn.tensor([1.0], device="cpu:1")
    for y in (x * 2, np.ones(1) + x, tn.maximum(x, 0.0), tn.pad(x, 1), tn.dropout(x, mask=np.ones(1))):
        assert y.device.name == "cpu:1"


def test_leaves_get_their_gradient_where_they_are():
    x = tn.tensor([1.0], requires_grad=True, device="cpu:1")
    y = (x * 2).to("cpu:0")
    y.backward()
    assert x.grad == 2 and [e.device.name for e in tn.tape(x * 2)] == ["cpu:1", "cpu:1"]
