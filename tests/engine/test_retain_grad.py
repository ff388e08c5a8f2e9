"""retain_grad: a computed tensor keeps its gradient, as in PyTorch, and nothing else changes."""

import inspect
import weakref

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from tinynet.tape import entries, record


def test_gradients_of_computed_tensors_are_pytorchs_and_add_up_as_there():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    found = []
    for make, tanh in ((leaf, tn.tanh), (lambda a: torch.tensor(a, requires_grad=True), torch.tanh)):
        x, w = make(normal(3, 4)), make(normal(4, 2, seed=1))
        h = x @ w
        a, b = tanh(h), h * h
        for t in (h, a, x):
            t.retain_grad()
        assert (h.retains_grad, a.retains_grad, b.retains_grad, x.retains_grad) == (True, True, False, False)
        loss = (a + b + h).sum()
        assert h.grad is None
        for _ in range(2):
            loss.backward(**({"retain_graph": True} if make is not leaf else {"keep": True}))
        found.append([np.asarray(t.grad) for t in (h, a, x, w)])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_without_it_a_computed_tensor_has_no_gradient_and_its_repr_says_why():
    x = leaf(2.0)
    y = x * 3
    (y * y).backward()
    assert y.grad is None and repr(y) == "tensor(6., dtype=float32, device=cpu:0, op=mul, retains_grad=False)"
    y = x * 3
    y.retain_grad()
    assert repr(y) == "tensor(6., dtype=float32, device=cpu:0, op=mul, retains_grad=True)"
    assert "retain_grad()" in inspect.getdoc(tn.Tensor.grad) and "retain_grad()" in inspect.getdoc(tn.Tensor)


def test_a_tensor_off_the_tape_cannot_retain_a_gradient():
    with pytest.raises(RuntimeError, match="retain_grad: this tensor is not on the tape and gets no gradient"):
        tn.tensor(1.0).retain_grad()


def test_the_loss_itself_may_retain_its_gradient():
    loss = leaf(2.0) * 3
    loss.retain_grad()
    loss.backward()
    assert loss.grad == 1 and isinstance(loss.grad, np.ndarray)


@pytest.mark.parametrize("f", [lambda h: h + 0.0, lambda h: h.reshape(3, 2), lambda h: h + h, lambda h: tn.concat([h, h]),
                               lambda h: h.to("cpu:1").to("cpu:0")])  # fmt: skip
def test_a_retained_gradient_is_an_array_of_its_own(f):
    x = leaf(normal(2, 3))
    h = x + 1.0  # hands on the very gradient that it gets
    y = f(h)
    for t in (h, y):
        t.retain_grad()
    given = np.ones(y.shape)
    y.backward(given)
    arrays = [given, y.grad, h.grad, x.grad]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[i + 1 :])
    kept = x.grad.copy()
    h.grad *= 0
    y.grad *= 0
    assert np.array_equal(x.grad, kept) and (given == 1).all()


def test_leaves_get_the_same_bits_with_and_without():
    found = []
    for retain in (False, True):
        x, w = leaf(normal(4, 3, 9, 9, dtype=np.float32)), leaf(normal(8, 3, 3, 3, dtype=np.float32))
        h = tn.conv2d(x, w)
        if retain:
            h.retain_grad()
        branches = [tn.tanh(h * (0.1 * i)) for i in range(7)]
        tn.concat(branches, axis=1).sum().backward()
        found.append((x.grad, w.grad))
    assert all(np.array_equal(a, b) for a, b in zip(*found, strict=True))


def test_retaining_makes_no_cycle_and_a_tensor_that_is_gone_is_skipped(no_gc):
    x = leaf(normal(3))
    y = tn.exp(x)
    y.retain_grad()
    array, loss = weakref.ref(y), (y * y).sum()
    del y
    assert array() is None
    loss.backward()
    assert x.grad is not None and all(e.gradient is None for e in entries(loss.entry))


def test_an_error_halfway_leaves_no_retained_gradient():
    def fails(g):
        raise ZeroDivisionError

    x = leaf([1.0])
    y = record("bad", x.data * 1, (x,), fails)
    y.retain_grad()
    with pytest.raises(ZeroDivisionError):
        (y * 2).backward()
    assert y.grad is None and x.grad is None


def test_on_simulated_devices_the_retained_gradient_is_where_its_tensor_is(sims):
    a, b = sims
    with a:
        x = tn.Tensor(a.array(np.ones(4, np.float32)), a)
        x.requires_grad = True
        y = x * 2.0
    z = tn.transfer(y, b)
    for t in (y, z):
        t.retain_grad()
    with b:
        loss = (z * 3.0).sum()
    loss.backward()
    assert z.device.numpy(z.grad).tolist() == y.device.numpy(y.grad).tolist() == [3] * 4
    assert x.device.numpy(x.grad).tolist() == [6] * 4
