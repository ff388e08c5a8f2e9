"""Properties that hold for all shapes, on shapes that nobody thought of."""

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis", reason="Hypothesis draws the shapes of this file")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.extra import numpy as hnp  # noqa: E402
from oracles import gradients, leaf, normal  # noqa: E402

import tinynet as tn  # noqa: E402
from tinynet.kernels import reference  # noqa: E402
from tinynet.tape import sum_to  # noqa: E402

thorough = settings(deadline=None, derandomize=True, max_examples=100)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


@thorough
@given(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, min_side=0, max_side=4))
def test_broadcasting_is_numpys_and_its_gradient_the_adjoint(shapes):
    a, b = (normal(*s, seed=i) for i, s in enumerate(shapes.input_shapes))
    g = normal(*shapes.result_shape, seed=2)
    y, (da, db) = gradients(lambda s, t: s * t, a, b, cotangent=g)
    np.testing.assert_array_equal(y, a * b)
    assert da.shape == a.shape and db.shape == b.shape
    # <g, a b> seen from either side; both sides are the same number, added up in another order.
    np.testing.assert_allclose([(da * a).sum(), (db * b).sum()], (g * a * b).sum(), atol=1e-10)


@thorough
@given(hnp.mutually_broadcastable_shapes(num_shapes=1, base_shape=(3, 2, 4), max_dims=3, min_side=1))
def test_sum_to_undoes_broadcast_to(shapes):
    (small,), big = shapes.input_shapes, shapes.result_shape
    x = np.ones(small)
    back = sum_to(np.broadcast_to(x, big), small)
    assert back.shape == small and (back == int(np.prod(big)) / max(x.size, 1)).all()


@thorough
@given(st.data())
def test_indexing_is_numpys_and_its_gradient_counts_the_picks(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=4))
    key = data.draw(st.one_of(
        hnp.basic_indices(shape, allow_newaxis=True),
        hnp.integer_array_indices(shape),
        hnp.arrays(bool, shape),
    ))  # fmt: skip
    x, counts = normal(*shape), np.zeros(shape)
    y, (g,) = gradients(lambda t: t[key], x)
    np.testing.assert_array_equal(y, x[key])
    np.add.at(counts, key, 1)
    np.testing.assert_array_equal(g, counts)


@thorough
@given(st.data())
def test_transpose_and_reshape_give_the_gradient_back_as_it_came(data):
    shape = data.draw(SHAPES)
    axes = tuple(data.draw(st.permutations(range(len(shape)))))
    x = normal(*shape)
    for f, forward in (
        (lambda t: t.transpose(*axes), x.transpose(axes) if axes else x),
        (lambda t: t.reshape(x.size), x.reshape(x.size)),
        (lambda t: t.flatten(), x.reshape(x.size)),
    ):
        y, (g,) = gradients(f, x, cotangent=forward)
        np.testing.assert_array_equal(y, forward)
        np.testing.assert_array_equal(g, x)


@thorough
@given(st.data())
def test_reductions_are_numpys(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    axis = data.draw(st.one_of(st.none(), hnp.valid_tuple_axes(len(shape))))
    keepdims, op = data.draw(st.booleans()), data.draw(st.sampled_from(["sum", "mean", "max", "min"]))
    x = normal(*shape)
    y, (g,) = gradients(lambda t: getattr(t, op)(axis=axis, keepdims=keepdims), x)
    np.testing.assert_allclose(y, getattr(x, op)(axis=axis, keepdims=keepdims), rtol=1e-12)
    # Every output spreads 1 (mean, max, min) or as much as it has terms (sum) over its inputs.
    np.testing.assert_allclose(g.sum(), x.size if op == "sum" else y.size, rtol=1e-12)


@thorough
@given(st.data())
def test_concat_and_stack_take_apart_what_they_put_together(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=3))
    count, axis = data.draw(st.integers(1, 3)), data.draw(st.integers(-len(shape), len(shape) - 1))
    arrays = [normal(*shape, seed=i) for i in range(count)]
    for ours, theirs in ((tn.concat, np.concatenate), (tn.stack, np.stack)):
        joined = theirs(arrays, axis=axis)
        y, grads = gradients(lambda *t, ours=ours: ours(t, axis), *arrays, cotangent=joined)
        np.testing.assert_array_equal(y, joined)
        for g, a in zip(grads, arrays, strict=True):
            np.testing.assert_array_equal(g, a)


PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(size=st.tuples(st.integers(1, 7), st.integers(1, 7)), kernel=PAIRS, stride=PAIRS, dilation=PAIRS,
       padding=st.tuples(st.integers(0, 3), st.integers(0, 3)), groups=st.integers(1, 2))  # fmt: skip
def test_any_convolution_either_fits_and_agrees_or_says_that_it_does_not_fit(
    size, kernel, stride, dilation, padding, groups
):
    x, w = normal(1, 2 * groups, *size), normal(2 * groups, 2, *kernel)
    out = reference.conv_size(size, kernel, stride, padding, dilation)
    call = lambda s, t: tn.conv2d(s, t, None, stride, padding, dilation, groups)  # noqa: E731
    if min(out) < 1:
        with pytest.raises(ValueError, match="does not fit into images"):
            call(tn.tensor(x), tn.tensor(w))
        return
    g = normal(1, 2 * groups, *out, seed=3)
    y, (dx, dw) = gradients(call, x, w, cotangent=g)
    how = stride, padding, dilation, groups
    np.testing.assert_allclose(y, reference.conv2d(x, w, None, *how), atol=1e-12)
    np.testing.assert_allclose(dx, reference.conv2d_input_grad(g, w, x.shape, *how), atol=1e-12)
    np.testing.assert_allclose(dw, reference.conv2d_weight_grad(g, x, w.shape, *how), atol=1e-12)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(size=st.tuples(st.integers(1, 9), st.integers(1, 9)), kernel=PAIRS, stride=PAIRS, ceil_mode=st.booleans())
def test_pooling_shares_out_exactly_what_came_in(size, kernel, stride, ceil_mode):
    out = reference.pool_size(size, kernel, stride, (0, 0), (1, 1), ceil_mode)
    x = leaf(normal(2, 3, *size))
    for pool in (tn.max_pool2d, tn.avg_pool2d):
        if min(out) < 1:
            with pytest.raises(ValueError, match="does not fit into images"):
                pool(x, kernel, stride, ceil_mode=ceil_mode)
            continue
        y = pool(x, kernel, stride, ceil_mode=ceil_mode)
        assert y.shape == (2, 3, *out) and y.numpy().max() <= x.numpy().max()
        g = np.abs(normal(*y.shape, seed=1))
        x.grad = None
        y.backward(g)
        np.testing.assert_allclose(x.grad.sum(), g.sum(), rtol=1e-12)


@thorough
@given(hnp.array_shapes(min_dims=2, max_dims=4, max_side=6), st.integers(1, 7))
def test_local_response_norm_damps_and_keeps_signs(shape, size):
    x = normal(*shape)
    y = tn.local_response_norm(tn.tensor(x), size, 0.5, 0.75, 1.0).numpy()
    assert (np.abs(y) <= np.abs(x)).all() and (np.sign(y) == np.sign(x)).all()
    np.testing.assert_allclose(y, reference.local_response_norm(x, size, 0.5, 0.75, 1.0)[0], rtol=1e-12)


@thorough
@given(hnp.array_shapes(min_dims=1, max_dims=3, max_side=5), st.floats(-1e3, 1e3))
def test_softmax_is_a_distribution_that_does_not_see_a_shift(shape, shift):
    x = normal(*shape)
    y = tn.softmax(tn.tensor(x)).numpy()
    np.testing.assert_allclose(y.sum(axis=-1), 1, rtol=1e-12)
    np.testing.assert_allclose(tn.softmax(tn.tensor(x) + shift).numpy(), y, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(tn.log_softmax(tn.tensor(x)).numpy(), np.log(y), rtol=1e-9, atol=1e-12)
