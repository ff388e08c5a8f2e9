"""What the tests share: numbers to test with, gradient checks, and comparisons with a fair tolerance."""

import numpy as np

import tinynet as tn
from tinynet.gradcheck.cases import distinct, normal, positive

__all__ = ["assert_close", "check_gradients", "distinct", "gradients", "leaf", "normal", "positive"]


def leaf(data, dtype=None, device=None):
    """A tensor that receives a gradient."""
    return tn.tensor(data, requires_grad=True, dtype=dtype, device=device)


def gradients(f, *arrays, cotangent=None):
    """f(*tensors).numpy() and the gradients of the arguments, for the given gradient of the output (default ones)."""
    tensors = [leaf(a) for a in arrays]
    y = f(*tensors)
    y.backward(np.ones(y.shape) if cotangent is None else cotangent)
    return y.numpy(), [t.grad for t in tensors]


def assert_close(actual, expected, tolerance, what=""):
    """|actual - expected| <= tolerance * the largest |expected|: an entry that cancels to 0 is not judged by itself."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if not expected.size:
        return
    scale = np.abs(expected).max()
    error = np.abs(actual.astype(np.float64) - expected).max()
    assert error <= tolerance * (scale or 1), f"{what}: error {error:.3g}, largest entry {scale:.3g}\n{actual}\n{expected}"


def check_gradients(f, *arrays):
    """All that a backward pass owes us, by tinynet.gradcheck, and the same result and gradients in float32."""
    tn.assert_gradients(f, arrays)
    report = tn.compare_precision(f, arrays, rtol=2e-5)
    assert report.status == "pass", report
