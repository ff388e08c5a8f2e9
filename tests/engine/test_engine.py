"""The engine: what backward computes, and what it leaves alone. Most of this has gone wrong in some engine of this kind."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from oracles import gradients, leaf, normal

import tinynet as tn
from tinynet.tape import backward, entries, record, sum_to

EQUAL_OPERANDS = {
    "x - x": (lambda x: x - x, lambda x: 0 * x),
    "x / x": (lambda x: x / x, lambda x: 0 * x),
    "x + x": (lambda x: x + x, lambda x: 0 * x + 2),
    "x * x": (lambda x: x * x, lambda x: 2 * x),
    "x @ x": (lambda x: x @ x, lambda x: np.ones((3, 3)) @ x.T + x.T @ np.ones((3, 3))),
    "max(x, x)": (lambda x: tn.maximum(x, x), lambda x: 0 * x + 1),
    "concat x, x": (lambda x: tn.concat([x, x]), lambda x: 0 * x + 2),
    "linear x, x": (lambda x: tn.linear(x, x), lambda x: np.ones((3, 3)) @ x + np.ones((3, 3)) @ x),
}


@pytest.mark.parametrize("name", EQUAL_OPERANDS)
def test_an_operand_used_twice_in_one_operation_gets_both_gradients(name):
    f, expected = EQUAL_OPERANDS[name]
    x = normal(3, 3)
    np.testing.assert_allclose(gradients(f, x)[1][0], expected(x), rtol=1e-12, atol=1e-12)


def test_a_value_used_twice_gets_both_gradients():
    a = leaf(1.0)
    b = a + a
    c = b * b + b  # b is an inner node with three uses
    c.backward()
    assert a.grad == 2 * (2 * 2 + 1)


def test_two_losses_over_one_graph_interleaved():
    x = leaf([1.0, 2.0])
    h = x * 3
    first, second = (h * h).sum(), (h + x).sum()
    _, x.grad = first.backward(keep=True), None
    second.backward(keep=True)
    assert x.grad.tolist() == [4, 4]
    x.grad = None
    first.backward()
    assert x.grad.tolist() == [18, 36]


def test_two_independent_losses_do_not_disturb_each_other():
    x = leaf([1.0, 2.0])
    first, second = (x * x).sum(), (x * 3).sum()
    second.backward()
    first.backward()
    assert x.grad.tolist() == [5, 7]


def test_add_does_not_share_one_gradient_between_its_operands():
    a, b = leaf([1.0]), leaf([2.0])
    (a + b).backward()
    assert not np.shares_memory(a.grad, b.grad)
    for p in (a, b):  # weight decay, written into the gradient
        p.grad += 0.1 * p.data
        p.data -= 0.1 * p.grad
    np.testing.assert_allclose([a.data[0], b.data[0]], [0.89, 1.88], rtol=1e-6)


ALIASES = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul of add": lambda a, b: (a + b) * 1.0,
    "reshape": lambda a, b: a.reshape(3, 2) + b.reshape(3, 2),
    "transpose": lambda a, b: (a + b).T,
    "stack": lambda a, b: tn.stack([a, b]),
    "concat": lambda a, b: tn.concat([a, b, a]),
    "index": lambda a, b: (a + b)[:, 1:],
    "pad": lambda a, b: tn.pad(a + b, 1),
    "sum": lambda a, b: (a + b).sum(),
    "mean": lambda a, b: (a + b).mean(axis=0),
    "max": lambda a, b: (a + b).max(axis=1),
    "relu": lambda a, b: tn.relu(a + b),
    "transfer": lambda a, b: (a + b).to("cpu:1"),
    "dropout": lambda a, b: tn.dropout(a, mask=np.ones((2, 3))) + b,
}


@pytest.mark.parametrize("name", ALIASES)
def test_a_gradient_is_a_writable_array_of_its_own(name):
    a, b = leaf(normal(2, 3)), leaf(normal(2, 3, seed=1))
    y = ALIASES[name](a, b)
    given = np.ones(y.shape)
    y.backward(given, keep=True)
    first, second = a.grad, b.grad
    for mine, others in ((first, (second, given)), (second, (first, given))):
        assert mine.flags.writeable and mine.flags.owndata | (mine.base is not None and mine.base.flags.owndata)
        assert all(stride for stride in mine.strides)
        assert not any(np.shares_memory(mine, other) for other in (*others, a.data, b.data))
    expected = first.copy()
    first *= 0  # as an optimiser might
    a.grad = b.grad = None
    y.backward(given)
    assert np.array_equal(a.grad, expected) and (given == 1).all()


def test_gradient_of_a_leaf_is_not_the_array_that_was_given():
    x, g = leaf([1.0, 2.0]), np.ones(2, np.float32)
    (x + x).backward(g)  # two gradients meet: the leaf owns a sum
    x.grad = None
    x.backward(g)
    assert x.grad is not g and not np.shares_memory(x.grad, g)


def test_gradients_add_up_over_backwards_without_writing_into_the_first():
    x = leaf([1.0, 2.0])
    (x * 2).sum().backward()
    kept = x.grad
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 5] and kept.tolist() == [2, 2]


def test_gradient_of_a_scalar_leaf_stays_an_array():
    s = leaf(2.0)
    for times in (1, 2, 3):
        (s * s).backward()
        assert isinstance(s.grad, np.ndarray) and s.grad.shape == () and s.grad.dtype == np.float32 and s.grad == 4 * times


def test_indexing_backward_does_not_write_into_its_siblings_gradient():
    x, y = leaf([1.0, 2.0, 3.0]), leaf([4.0, 5.0, 6.0])
    z = x + y
    (z[1:].sum() + z.sum()).backward()
    assert x.grad.tolist() == y.grad.tolist() == [1, 2, 2]


@pytest.mark.parametrize("shape", [(3,), ()], ids=str)
@pytest.mark.parametrize("value", [2, 2.0, True, np.float64(2), np.float32(2), np.int64(2), np.array(2.0), np.full(3, 2.0),
                                   np.arange(3)], ids=repr)  # fmt: skip
def test_numbers_and_arrays_do_not_widen_float32(value, shape):
    x = leaf(np.full(shape, 1.5, np.float32))
    for y in (x + value, value + x, x - value, value - x, x * value, value * x, x / value if np.all(value) else x, value / x,
              x**value, tn.maximum(x, value), tn.minimum(value, x)):  # fmt: skip
        assert isinstance(y, tn.Tensor) and y.dtype == np.float32
        x.grad = None
        y.sum().backward()
        assert x.grad.dtype == np.float32 and x.grad.shape == shape


def test_float64_stays_float64():
    x = leaf(np.ones(3))
    assert (x * np.float32(2)).dtype == (x * np.ones(3, np.float32)).dtype == np.float64


def test_backward_is_linear_in_the_depth_of_diamonds():
    def seconds(depth):
        x = leaf(1.0, dtype=np.float64)
        y = x
        for _ in range(depth):
            y = (y + y) * 0.5
        start = time.perf_counter()
        y.backward()
        assert x.grad == 1
        return time.perf_counter() - start

    seconds(10)
    assert seconds(4000) < 2  # a walk over paths would take 2^4000 steps


def test_a_chain_of_100_000_operations_is_played_and_freed():
    for play in (True, False):
        x = leaf(1.0)
        y = x
        for _ in range(100_000):
            y = y + 1
        if play:
            y.backward()
            assert x.grad == 1
        del y  # must not recurse either


def test_the_tape_is_in_order_of_creation_and_plays_in_reverse():
    played = []

    def noted(name, *inputs):
        def rule(g):
            played.append(name)
            return (g,) * len(inputs)

        return record(name, sum(t.data for t in inputs), inputs, rule)

    x = leaf(1.0)
    left, right = noted("left 1", x), noted("right 1", x)
    left = noted("left 2", left)
    right = noted("right 2", right)
    loss = noted("end", left, right)
    assert [e.op for e in entries(loss.entry)] == ["leaf", "left 1", "right 1", "left 2", "right 2", "end"]
    loss.backward()
    assert played == ["end", "right 2", "left 2", "right 1", "left 1"]  # the towers alternate, as they did forward


def test_two_runs_are_equal_bit_for_bit():  # sets of objects made the order of sums depend on their ids
    def run():
        x, w = leaf(normal(4, 3, 9, 9, dtype=np.float32)), leaf(normal(8, 3, 3, 3, dtype=np.float32))
        branches = [tn.tanh(tn.conv2d(x, w) * (0.1 * i)) for i in range(7)]
        tn.concat(branches, axis=1).sum().backward()
        return x.grad, w.grad

    for first, second in zip(run(), run(), strict=True):
        assert np.array_equal(first, second)


def test_second_backward_says_what_to_do():
    x = leaf([1.0, 2.0])
    y = (x * x).sum()
    y.backward()
    for again in (y, y * 2):
        with pytest.raises(RuntimeError, match=r"already played and freed; compute the loss again, or call .*keep=True"):
            again.backward()
    assert x.grad.tolist() == [2, 4], "the refused call must not change a gradient"


def test_keep_gives_the_same_gradients_twice():
    x, w = leaf(normal(2, 3, 5, 5)), leaf(normal(2, 3, 3, 3))
    y = tn.local_response_norm(tn.max_pool2d(tn.relu(tn.conv2d(x, w)), 2), alpha=0.5).sum()
    grads = []
    for keep in (True, True, False):
        x.grad = w.grad = None
        y.backward(keep=keep)
        grads.append((x.grad, w.grad))
    for again in grads[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(again, grads[0], strict=True))


def test_backward_of_more_than_one_element_needs_a_gradient_of_its_shape():
    x = leaf([1.0, 2.0])
    with pytest.raises(ValueError, match=r"a tensor of shape \(2,\) needs a gradient of that shape"):
        (x * 2).backward()
    with pytest.raises(ValueError, match=r"gradient has shape \(2, 1\), this tensor has shape \(2,\)"):
        (x * 2).backward(np.ones((2, 1)))
    with pytest.raises(ValueError, match="not on the tape; give an input requires_grad=True"):
        tn.tensor([1.0]).backward()
    (x * 2).backward([1, 10])
    (x[:1] * 2).backward()  # one element, though not a scalar
    (x * 2).backward(tn.tensor([1.0, 1.0]))
    assert x.grad.tolist() == [6, 22]


FAULTS = {
    "shape": (lambda g: (g[1:],), ValueError, r"backward of faulty: gradient has shape \(1,\), its input has shape \(2,\)"),
    "too many axes": (
        lambda g: (np.ones((2, 3), np.float32),),
        ValueError,
        r"backward of faulty: gradient has shape \(2, 3\)",
    ),
    "dtype": (lambda g: (g.astype(np.float64),), TypeError, "backward of faulty: gradient is float64, its input is float32"),
    "no tuple": (lambda g: g, TypeError, "backward of faulty: expected a tuple of 1 gradients"),
    "too many": (lambda g: (g, g), TypeError, "backward of faulty: expected a tuple of 1 gradients"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_backward_function_is_named(fault):
    rule, error, sentence = FAULTS[fault]
    x = leaf([1.0, 2.0])
    with pytest.raises(error, match=sentence):
        record("faulty", x.data * 1, (x,), rule).sum().backward()
    assert x.grad is None


def test_an_error_in_a_backward_function_leaves_no_half_done_gradients():
    def fails(g):
        raise ZeroDivisionError

    x, y = leaf([1.0]), leaf([2.0])
    bad = record("bad", x.data * 1, (x,), fails)
    late = leaf([3.0])  # made after the faulty operation, so played before it
    loss = bad * late + y
    with pytest.raises(ZeroDivisionError):
        loss.backward(keep=True)
    assert all(e.gradient is None for e in entries(loss.entry))
    assert x.grad is None and y.grad is None and late.grad is None
    (x + y).sum().backward()
    assert x.grad == 1 and y.grad == 1


def test_a_backward_function_may_leave_an_input_out():
    a, b = leaf([1.0]), leaf([2.0])
    record("one-sided", a.data + b.data, (a, b), lambda g: (None, g)).backward()
    assert a.grad is None and b.grad == 1


def test_the_data_of_a_leaf_may_be_replaced_by_another_dtype_and_shape():
    x = leaf([1.0, 2.0])
    x.data = np.ones((2, 3))
    (x * 2).sum().backward()
    assert x.grad.dtype == np.float64 and x.grad.tolist() == [[2, 2, 2]] * 2


def test_a_leaf_that_nobody_holds_any_more_is_skipped():
    x = leaf([1.0])
    y = x * leaf([2.0])
    y.backward()
    assert x.grad == 2


@pytest.mark.parametrize("shape, target", [
    ((2, 3), (3,)), ((2, 3), (2, 1)), ((2, 3), (1, 1)), ((2, 3), ()), ((4, 2, 3), (2, 1)), ((2, 1), (2, 1)),
    ((0, 3), (1, 3)), ((1, 1), ()),
], ids=str)  # fmt: skip
def test_sum_to_is_the_adjoint_of_broadcasting(shape, target):
    g, x = normal(*shape), normal(*target, seed=1)
    back = sum_to(g, target)
    assert back.shape == target
    np.testing.assert_allclose((back * x).sum(), (g * np.broadcast_to(x, shape)).sum(), atol=1e-12)


def test_no_grad_nests_decorates_and_survives_exceptions():
    x = leaf([1.0])
    with tn.no_grad():
        assert not (x * 2).requires_grad
        with tn.no_grad():
            pass
        assert not (x * 2).requires_grad, "leaving the inner one must not end the outer one"
    assert (x * 2).requires_grad

    @tn.no_grad()
    def evaluate(depth):
        if depth:
            return evaluate(depth - 1)
        if depth is None:
            raise KeyError
        return (x * 2).requires_grad

    assert evaluate(0) is False and evaluate(3) is False and (x * 2).requires_grad
    for _ in range(3):
        with pytest.raises(KeyError):
            evaluate(None)
    with pytest.raises(KeyError), tn.no_grad():
        raise KeyError
    assert (x * 2).requires_grad


def test_backward_works_inside_no_grad():
    x = leaf([3.0])
    y = x * x
    with tn.no_grad():
        y.backward()
    assert x.grad == 6


def test_engine_backward_can_be_called_on_an_entry():
    x = leaf([1.0, 2.0])
    y = x * 3
    backward(y.entry, np.array([1.0, 2.0], np.float32))
    assert x.grad.tolist() == [3, 6]


def test_threads_that_share_weights_add_up_their_gradients():
    weights = [leaf(normal(32, 32, seed=seed) / 8) for seed in range(6)]
    inputs = [normal(4, 32, seed=10 + seed) for seed in range(4)]

    def work(x):
        h = tn.tensor(x)
        for weight in weights:
            h = tn.relu(tn.linear(h, weight))
        (h * h).sum().backward()

    for x in inputs:
        work(x)
    expected = [weight.grad for weight in weights]
    with ThreadPoolExecutor(len(inputs)) as pool:
        for _ in range(100):
            for weight in weights:
                weight.grad = None
            list(pool.map(work, inputs))
            assert all(np.allclose(weight.grad, e) for weight, e in zip(weights, expected, strict=True))
