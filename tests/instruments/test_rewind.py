"""Rewinding: backward one entry at a time is backward, bit for bit, and whoever leaves early has changed nothing."""

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from alexnet import AlexNet
from tinynet.instruments.rewind import brief
from tinynet.tape import entries, record


def small(devices="cpu:0"):
    """A small network with dropout, and its loss for two random images; the same every time."""
    model = AlexNet(3, 0.05, devices=devices, image_size=56, recipe="modern", seed=1)
    x = tn.tensor(normal(2, 3, 56, 56, dtype=np.float32), device=model.towers[0].device)
    with model.towers[0].device:
        return model, tn.cross_entropy(model(x), [0, 2])


def grads(model):
    return [p.device.numpy(p.grad) for p in model.parameters()]


def test_each_step_reads_like_a_line_of_algebra():
    x, y = leaf(3.0), leaf(2.0)
    loss = x * y + x * x
    assert [str(step) for step in tn.tape(loss).rewind(keep=True)] == [
        "4  add  gradient 1.0 () -> 2: 1.0 (), 3: 1.0 ()",
        "3  mul  gradient 1.0 () -> 0: 3.0 (), 0: 3.0 ()",
        "2  mul  gradient 1.0 () -> 0: 2.0 (), 1: 3.0 ()",
    ]
    p = loss * 2.0
    assert [str(step) for step in tn.tape(p, {"x": x, "y": y, "p": p}).rewind()] == [
        "5  mul p  gradient 1.0 () -> 4: 2.0 ()",
        "4  add    gradient 2.0 () -> 2: 2.0 (), 3: 2.0 ()",
        "3  mul    gradient 2.0 () -> 0 x: 6.0 (), 0 x: 6.0 ()",
        "2  mul    gradient 2.0 () -> 0 x: 4.0 (), 1 y: 6.0 ()",
    ]
    assert x.grad == 8 + 16 and y.grad == 3 + 6


def test_a_step_has_arrays_with_the_shapes_of_the_inputs_even_where_these_were_broadcast():
    x, b = leaf(np.ones((4, 3), np.float32)), leaf(np.ones(3, np.float32))
    steps = list(tn.tape(((x + b) * 2.0).sum()).rewind())
    assert [(s.number, s.op, s.inputs) for s in steps] == [(4, "sum", (3,)), (3, "mul", (2, None)), (2, "add", (0, 1))]
    assert [[None if g is None else g.shape for g in s.gradients] for s in steps] == [
        [(4, 3)],
        [(4, 3), None],
        [(4, 3), (3,)],
    ]
    assert steps[2].gradients[1].tolist() == [8, 8, 8] and steps[2].gradient.tolist() == [[2] * 3] * 4
    assert str(steps[2]) == "2  add  gradient (4, 3) -> 0: (4, 3), 1: [8.0, 8.0, 8.0] (3,)"
    assert repr(steps[0]) == str(steps[0])


def test_an_input_that_is_left_out_gets_nothing():
    a, b = leaf([1.0]), leaf([2.0])
    y = record("one-sided", a.data + b.data, (a, b), lambda g: (None, g))
    assert [str(s) for s in tn.tape(y).rewind()] == ["2  one-sided  gradient [1.0] (1,) -> 0: nothing, 1: [1.0] (1,)"]
    assert a.grad is None and b.grad == 1


@pytest.mark.parametrize("value, text", [
    (6.0, "6.0 ()"), (1 / 3, "0.333333 ()"), (1e-7, "1e-07 ()"), (np.nan, "nan ()"), (-np.inf, "-inf ()"),
    ([1.0, 2.5], "[1.0, 2.5] (2,)"), (np.ones((2, 2)), "[[1.0, 1.0], [1.0, 1.0]] (2, 2)"), (np.ones(9), "(9,)"),
    (np.ones((0, 3)), "(0, 3)"), (np.float32(0.1), "0.1 ()"),
])  # fmt: skip
def test_small_arrays_are_written_out(value, text):
    assert brief(np.asarray(value)) == text


def test_the_gradients_on_the_way_are_pytorchs():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    x, w, v = normal(5, 4), normal(6, 4, seed=1), normal(3, 6, seed=2)
    their = [torch.tensor(a, requires_grad=True) for a in (x, w, v)]
    on_the_way = [their[0] @ their[1].T]
    on_the_way.append(torch.tanh(on_the_way[-1]))
    on_the_way.append(on_the_way[-1] @ their[2].T)
    on_the_way.append((on_the_way[-1] ** 2).mean())
    for t in on_the_way:
        t.retain_grad()
    on_the_way[-1].backward()
    ours = [leaf(a) for a in (x, w, v)]
    loss = (tn.linear(tn.tanh(tn.linear(*ours[:2])), ours[2]) ** 2).mean()
    steps = {s.op + str(s.gradient.shape): s for s in tn.tape(loss).rewind()}
    arrived = {"linear(5, 6)": 0, "tanh(5, 6)": 1, "linear(5, 3)": 2, "mean()": 3}
    for name, i in arrived.items():
        np.testing.assert_allclose(steps[name].gradient, on_the_way[i].grad, rtol=1e-12, atol=1e-15)
    for step, k, theirs in (("linear(5, 6)", 0, 0), ("linear(5, 6)", 1, 1), ("linear(5, 3)", 1, 2)):
        np.testing.assert_allclose(steps[step].gradients[k], their[theirs].grad, rtol=1e-12, atol=1e-15)
    assert len(steps) == 5


@pytest.mark.parametrize("devices", ["cpu:0", "cpu:0,cpu:1"])
def test_to_the_end_the_gradients_are_backwards_bit_for_bit(devices):
    model, loss = small(devices)
    other, same = small(devices)
    loss.backward()
    steps = list(tn.tape(same).rewind())
    assert [s.op for s in steps] == [e.op for e in reversed(tn.tape(same)) if e.op != "leaf"]
    assert all(np.array_equal(a, b) for a, b in zip(grads(model), grads(other), strict=True))
    with pytest.raises(RuntimeError, match="already played and freed"):
        same.backward()


def test_on_simulated_devices_no_wait_is_missing(sims):
    model, loss = small(sims)
    other, same = small(sims)
    loss.backward()
    assert len(list(tn.tape(same).rewind())) > 40
    assert all(np.array_equal(a, b) for a, b in zip(grads(model), grads(other), strict=True))


@pytest.mark.parametrize("leave_after", [1, 2, 20, 40])
@pytest.mark.parametrize("held", [True, False])
def test_whoever_leaves_early_has_changed_nothing(leave_after, held):
    model, loss = small("cpu:0,cpu:1")
    other, same = small("cpu:0,cpu:1")
    steps = iter(tn.tape(same).rewind())
    for _ in range(leave_after):
        next(steps)
    if not held:
        del steps
    assert all(p.grad is None for p in other.parameters())
    assert all(e.gradient is None for e in entries(same.entry))
    loss.backward()
    same.backward()
    assert all(np.array_equal(a, b) for a, b in zip(grads(model), grads(other), strict=True))


def test_a_rewind_whose_tape_was_played_meanwhile_says_so_and_adds_nothing():
    x = leaf(2.0)
    loss = x * x * x
    steps = tn.tape(loss).rewind()
    next(steps)
    loss.backward()
    with pytest.raises(RuntimeError, match="already played and freed"):
        list(steps)
    assert x.grad == 12 and all(e.gradient is None for e in entries(loss.entry))


def test_another_loss_over_the_same_values_may_be_played_in_between():
    x = leaf([1.0, 2.0])
    h = x * 3
    first, second = (h * h).sum(), (h + x).sum()
    for _ in tn.tape(first).rewind(keep=True):
        second.backward(keep=True)
    assert x.grad.tolist() == [18 + 3 * 4, 36 + 3 * 4]


def test_two_rewinds_at_once_do_not_disturb_each_other():
    x = leaf([1.0, 2.0])
    h = x * 3
    tapes = [tn.tape((h * h).sum()), tn.tape((h + x).sum())]
    for _ in zip(tapes[0].rewind(keep=True), tapes[1].rewind(keep=True), strict=True):
        pass
    assert x.grad.tolist() == [18 + 4, 36 + 4]


def test_keep_and_gradient_are_those_of_backward():
    x = leaf([1.0, 2.0])
    y = x * x
    for _ in range(2):
        list(tn.tape(y).rewind([1, 10], keep=True))
    assert x.grad.tolist() == [4, 80]
    with pytest.raises(ValueError, match=r"a tensor of shape \(2,\) needs a gradient of that shape"):
        next(tn.tape(y).rewind())
    y.backward([1, 1])
    with pytest.raises(RuntimeError, match="already played and freed"):
        next(tn.tape(y).rewind([1, 1]))


def test_a_tape_that_was_freed_further_up_is_refused_before_the_first_step():
    x = leaf(2.0)
    y = x * x
    loss = y * 3.0
    y.backward()
    with pytest.raises(RuntimeError, match="already played and freed"):
        next(tn.tape(loss).rewind())


def test_the_data_of_a_leaf_may_be_replaced_by_another_dtype_and_shape():
    x = leaf([1.0, 2.0])
    x.data = np.ones((2, 3))
    (_, step) = tn.tape((x * 2).sum()).rewind()
    assert step.gradients[0].dtype == x.grad.dtype == np.float64 and x.grad.tolist() == [[2, 2, 2]] * 2


def test_a_retained_gradient_is_there_at_the_end_and_not_before():
    x = leaf(2.0)
    y = x * x
    y.retain_grad()
    seen = [y.grad for _ in tn.tape(y * 3.0).rewind()]
    assert seen == [None, None] and y.grad == 3 and x.grad == 12


def test_the_arrays_of_a_step_are_copies():
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    steps = []
    for step in tn.tape((a + b) * 2.0).rewind([1, 1]):
        for array in (step.gradient, *(g for g in step.gradients if g is not None)):
            array *= 0
        steps.append(step)
    assert a.grad.tolist() == b.grad.tolist() == [2, 2]
    a.grad += 1
    assert not any(g.any() for s in steps for g in s.gradients if g is not None)


def test_an_error_on_the_way_leaves_no_half_done_gradients():
    def fails(g):
        raise ZeroDivisionError

    x, y = leaf([1.0]), leaf([2.0])
    loss = record("bad", x.data * 1, (x,), fails) + y
    steps = tn.tape(loss).rewind()
    next(steps)
    with pytest.raises(ZeroDivisionError):
        next(steps)
    assert x.grad is None and y.grad is None and all(e.gradient is None for e in entries(loss.entry))


def test_the_tape_knows_what_has_arrived():
    x, w = leaf([1.0, 2.0]), leaf(np.ones((5, 2), np.float32))
    h = tn.linear(x.reshape(1, 2), w)
    tape = tn.tape((h * h).sum())
    assert tape.arrived is None
    steps = tape.rewind()
    next(steps)
    assert {e.op for e in tape.arrived} == {"sum", "mul"}
    list(steps)
    assert set(tape.arrived) == set(tape) and tape.arrived[w.entry] is None, "ten numbers are not kept"
    assert np.array_equal(tape.arrived[x.entry], x.grad)


def test_a_leaf_alone_has_no_steps_and_gets_its_gradient():
    x = leaf(2.0)
    assert list(tn.tape(x).rewind()) == [] and x.grad == 1
