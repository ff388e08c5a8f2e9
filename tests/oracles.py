"""What the tests share: numbers to test with, central differences, and comparisons with a fair tolerance."""

import numpy as np

import tinynet as tn


def normal(*shape, seed=0, dtype=np.float64):
    """Gaussian numbers, the same on every run."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def distinct(*shape, seed=0, dtype=np.float64):
    """Numbers of which no two are closer than 0.1 and none is closer to 0 than 0.05: nothing sits on a kink."""
    size = int(np.prod(shape))
    order = np.random.default_rng([seed, *shape]).permutation(size)
    return ((order - size // 2) * 0.1 + 0.05).reshape(shape).astype(dtype)


def positive(*shape, seed=0, dtype=np.float64):
    """Numbers from [0.5, 2)."""
    return np.random.default_rng([seed, *shape]).uniform(0.5, 2, size=shape).astype(dtype)


def leaf(data, dtype=None, device=None):
    """A tensor that receives a gradient."""
    return tn.tensor(data, requires_grad=True, dtype=dtype, device=device)


def gradients(f, *arrays, cotangent=None):
    """f(*tensors).numpy() and the gradients of the arguments, for the given gradient of the output (default ones)."""
    tensors = [leaf(a) for a in arrays]
    y = f(*tensors)
    y.backward(np.ones(y.shape) if cotangent is None else cotangent)
    return y.numpy(), [t.grad for t in tensors]


def numeric_gradients(f, arrays, cotangent, h=1e-6):
    """d sum(cotangent * f(*arrays)) / d array by central differences in float64, for each array in turn."""
    arrays = [np.array(a, np.float64) for a in arrays]
    results = [np.zeros(a.shape) for a in arrays]

    def loss():
        with tn.no_grad():
            return float((cotangent * f(*(tn.tensor(a) for a in arrays)).numpy()).sum())

    for array, result in zip(arrays, results, strict=True):
        for i in np.ndindex(array.shape):
            x = array[i]
            array[i] = x + h
            up, above = loss(), array[i]
            array[i] = x - h
            down, below = loss(), array[i]
            array[i] = x
            result[i] = (up - down) / (above - below)
    return results


def assert_close(actual, expected, tolerance, what=""):
    """|actual - expected| <= tolerance * the largest |expected|: an entry that cancels to 0 is not judged by itself."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if not expected.size:
        return
    scale = np.abs(expected).max()
    error = np.abs(actual.astype(np.float64) - expected).max()
    assert error <= tolerance * (scale or 1), f"{what}: error {error:.3g}, largest entry {scale:.3g}\n{actual}\n{expected}"


def check_gradients(f, *arrays, rtol=1e-6):
    """All that a backward pass owes us: f maps float64 tensors to a tensor.

    The gradients are those of central differences for a random cotangent; linear in it; of the argument's dtype; the same
    when only one argument is on the tape; the same in float32; and neither arguments nor cotangent are written to.
    """
    arrays = [np.asarray(a, np.float64) for a in arrays]
    before = [a.copy() for a in arrays]
    tensors = [leaf(a) for a in arrays]
    y = f(*tensors)
    assert y.dtype == np.float64
    cotangent = normal(*y.shape, seed=99)
    given = cotangent.copy()
    y.backward(given)
    assert np.array_equal(given, cotangent), "the gradient of the output was written to"
    found = [t.grad for t in tensors]
    for i, numeric in enumerate(numeric_gradients(f, arrays, cotangent)):
        assert found[i].dtype == np.float64
        assert_close(found[i], numeric, rtol, f"gradient of argument {i} against central differences")
        assert np.array_equal(tensors[i].data, before[i]), f"argument {i} was written to"

    _, doubled = gradients(f, *arrays, cotangent=-2 * cotangent)
    for i, (once, twice) in enumerate(zip(found, doubled, strict=True)):
        assert_close(twice, -2 * once, 1e-13, f"linearity in the cotangent, argument {i}")

    for i, expected in enumerate(found):
        alone = [leaf(a) if i == j else tn.tensor(a) for j, a in enumerate(arrays)]
        f(*alone).backward(cotangent)
        assert_close(alone[i].grad, expected, 1e-13, f"gradient of argument {i} when it is the only one on the tape")
        assert all(t.grad is None for j, t in enumerate(alone) if j != i)

    single = [a.astype(np.float32) for a in arrays]
    _, wanted = gradients(f, *(a.astype(np.float64) for a in single), cotangent=cotangent)
    y, found = gradients(f, *single, cotangent=cotangent)
    assert y.dtype == np.float32
    for i, (grad, exact) in enumerate(zip(found, wanted, strict=True)):
        assert grad.dtype == np.float32
        assert_close(grad, exact, 2e-5, f"float32 gradient of argument {i} against float64")
