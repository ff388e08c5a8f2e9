"""Initialisers: fill a Tensor in place, with numbers drawn by NumPy on the host, so that every device starts alike.

A name ends in _ as in PyTorch because it changes its argument. `rng` is a numpy.random.Generator; numbers are drawn in
float64 and rounded to the tensor's dtype, so that float32 and float64 networks start from the same values.
"""

import math

import numpy as np

from tinynet.tensor import Tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: np.random.Generator) -> Tensor:
    """Gaussian numbers. The paper's weights: std 0.01, section 5."""
    return _fill(tensor, rng.normal(mean, std, tensor.shape))


def uniform_(tensor: Tensor, low: float = 0.0, high: float = 1.0, *, rng: np.random.Generator) -> Tensor:
    """Numbers from [low, high)."""
    return _fill(tensor, rng.uniform(low, high, tensor.shape))


def constant_(tensor: Tensor, value: float) -> Tensor:
    """One number everywhere. The paper's biases: 1 in conv2, conv4, conv5, fc6 and fc7, else 0, section 5."""
    with tensor.device:
        tensor.data[...] = value
    return tensor


def kaiming_normal_(tensor: Tensor, *, rng: np.random.Generator) -> Tensor:
    """He initialisation: Gaussian, std sqrt(2 / fan_in), keeps the variance through a layer of ReLUs (He et al. 2015)."""
    return normal_(tensor, 0.0, math.sqrt(2 / fan_in(tensor)), rng=rng)


def xavier_normal_(tensor: Tensor, *, rng: np.random.Generator) -> Tensor:
    """Glorot initialisation: Gaussian, std sqrt(2 / (fan_in + fan_out)), for tanh (Glorot and Bengio 2010)."""
    fan_out = tensor.shape[0] * math.prod(tensor.shape[2:])
    return normal_(tensor, 0.0, math.sqrt(2 / (fan_in(tensor) + fan_out)), rng=rng)


def fan_in(tensor: Tensor) -> int:
    """The number of inputs that one output of a weight (out, in) or (out, in, KH, KW) sums up."""
    if tensor.ndim < 2:
        raise ValueError(f"fan_in: a tensor of shape {tensor.shape} is not a weight (out, in, ...)")
    return math.prod(tensor.shape[1:])


def _fill(tensor, values):
    with tensor.device:
        tensor.data[...] = tensor.device.array(values.astype(tensor.dtype))
    return tensor
