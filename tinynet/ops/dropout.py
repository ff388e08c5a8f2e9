"""Dropout: each unit is left out with probability p, so that no unit can rely on another."""

import numpy as np

from tinynet.ops.inputs import expect_floats, plain
from tinynet.tape import record
from tinynet.value import Value

_unseeded = np.random.default_rng()


def dropout(x, p=0.5, training=True, rng=None, mask=None, *, inverted=True):
    """Set each element to zero with probability p, in one of two conventions that agree.

    inverted (PyTorch's, the default): training y = x m / (1 - p),  test y = x.
    inverted=False (the paper's):      training y = x m,            test y = x (1 - p).
    m is 1 with probability 1 - p, else 0. Both make the expected value of the training output equal to the test output,
    and one is the other times the constant 1 - p, so a layer behind it with weights w in the paper's convention computes
    the same as one with weights (1 - p) w in the inverted one: with p = 0.5, "multiply the outputs by 0.5 at test time"
    and "double them while training" are the same network.

    x: floats of any shape. rng: numpy.random.Generator for m, or a seed of one (default: an unseeded one). mask: m itself,
    an array or Tensor of x's shape, instead. Raises TypeError for integers, ValueError for p outside [0, 1] or a mask of
    another shape. Paper section 4.2.
    """
    expect_floats("dropout", x)
    p = plain(p)
    if not 0 <= p <= 1:
        raise ValueError(f"dropout: p={p}; expected a probability between 0 and 1")
    xp, dtype = x.device.xp, x.dtype
    if not training:
        if inverted:
            return x
        scale = dtype.type(1 - p)
        return record("dropout", x.data * scale, (x,), lambda g: (g * scale,))
    if mask is None:
        # Drawn by NumPy on the host, so that every device drops the same units.
        rng = _unseeded if rng is None else np.random.default_rng(rng)
        keep = x.device.array(rng.random(x.shape, dtype=np.float32) >= p)
    else:
        mask = mask.data if isinstance(mask, Value) else mask
        if np.shape(mask) != x.shape:
            raise ValueError(f"dropout: mask has shape {np.shape(mask)}, x has shape {x.shape}")
        # A copy, because backward must find it as it is now.
        keep = x.device.array(np.array(mask)) if isinstance(mask, np.ndarray) else xp.array(mask)
        keep = keep if keep.dtype == bool else keep.astype(dtype)
    scale = dtype.type(1 / (1 - p) if inverted and p < 1 else 1)
    kernels = x.device.kernels
    return record("dropout", kernels.dropout(x.data, keep, scale), (x,), lambda g: (kernels.dropout(g, keep, scale),))
