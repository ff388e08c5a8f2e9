"""Arrays as people have them: however its numbers lie in memory, an operation gives what it gives for a fresh copy."""

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from tinynet.gradcheck.cases import CASES


def unaligned(a):
    """The numbers of a file that has one byte in front of them."""
    return np.frombuffer(b"x" + a.tobytes(), a.dtype, offset=1).reshape(a.shape)


def strided(a):
    """Every second number of a larger array, along each axis."""
    large = np.ones([2 * n for n in a.shape], a.dtype)
    large[tuple(slice(None, None, 2) for _ in a.shape)] = a
    return large[tuple(slice(None, None, 2) for _ in a.shape)] if a.ndim else large


def zero_stride(a):
    """One number (or row, or image) that stands for all along the first axis."""
    return np.broadcast_to(a[:1], a.shape) if a.ndim else a


LAYOUTS = {
    "columns first": lambda a: np.array(a, order="F"),
    "negative strides": lambda a: np.flip(np.flip(a).copy()),
    "strided": strided,
    "zero stride": zero_stride,
    "unaligned and read-only": unaligned,
}


def play(f, arrays, g):
    """f's result, and the gradients for the cotangent g, of tensors that hold exactly these arrays."""
    tensors = [leaf(np.zeros(a.shape)) for a in arrays]
    for t, a in zip(tensors, arrays, strict=True):
        t.data = a
    y = f(*tensors)
    y.backward(np.ones(y.shape) if g is None else g)
    return [y.numpy(), *(t.grad for t in tensors)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layout_of_an_array_changes_no_number_and_no_array_is_written_into(layout):
    lay = LAYOUTS[layout]
    for case in CASES:
        odd = [lay(a) for a in case.args()]
        plain = [np.array(a, order="C") for a in odd]
        g = lay(normal(*play(case.f, plain, None)[0].shape, seed=3))
        g_copy = np.array(g, order="C")
        expected, found = play(case.f, plain, g_copy), play(case.f, odd, g)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype and one.shape == other.shape, case
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=str(case))
        for a, kept in zip([*odd, g], [*plain, g_copy], strict=True):
            assert np.array_equal(a, kept), f"{case} writes into an array of its caller"
        for grad in found[1:]:
            assert not any(np.may_share_memory(grad, a) for a in [*odd, g]), f"{case}: the gradient is its caller's array"
            grad += 1  # and can be written into, as zero_grad, clipping and others do


BESIDE = {  # arrays that are no tensors: f(x, array), and the array
    "constant": (lambda x, a: x * a, normal(3, 4)),
    "constant on the left": (lambda x, a: a @ x.T, normal(3, 4)),
    "labels": (lambda x, a: tn.cross_entropy(x, a), np.array([2, 0, 3])),
    "mask": (lambda x, a: tn.dropout(x, mask=a), np.arange(12).reshape(3, 4) % 3 > 0),
    "mask of numbers": (lambda x, a: tn.dropout(x, mask=a), np.arange(12.0).reshape(3, 4)),
    "index": (lambda x, a: x[a], np.array([[2, 0, 2], [1, 1, 0]])),
    "index of elements": (lambda x, a: x[a], np.arange(12).reshape(3, 4) % 3 > 0),
    "statistics": (lambda x, a: tn.batch_norm(x, tn.tensor(a), tn.tensor(a), a, a, False), np.array([1.0, 2, 3, 4])),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_so_it_is_with_labels_masks_indices_and_constants(layout):
    for name, (f, array) in BESIDE.items():
        odd = LAYOUTS[layout](array)
        plain, x = np.array(odd, order="C"), normal(3, 4)
        for one, other in zip(*(play(lambda t, a=a, f=f: f(t, a), [x], None) for a in (odd, plain)), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, err_msg=name)
        assert np.array_equal(odd, plain), name


@pytest.mark.parametrize("layout", LAYOUTS)
def test_so_it_is_with_gradients_and_weights_that_sgd_updates(layout):
    lay = LAYOUTS[layout]
    w, other = leaf(normal(3, 4)), leaf(normal(3, 4))
    if (array := lay(w.data)).flags.writeable:  # a weight that cannot be written into cannot be trained
        w.data, other.data = array, np.array(array, order="C")
    g = lay(normal(3, 4, seed=1))
    for t, gradient in ((w, g), (other, np.array(g, order="C"))):
        t.grad, kept = gradient, gradient.copy()
        sgd = tn.optim.SGD([t], lr=0.1)
        sgd.step(), sgd.step()
        assert np.array_equal(gradient, kept)
    np.testing.assert_allclose(w.data, other.data, rtol=1e-12)
