"""Losses: one number that says how wrong the network is."""

import numpy as np

from tinynet.ops.inputs import expect_floats, require
from tinynet.tape import record
from tinynet.tensor import Tensor


def cross_entropy(logits, labels, reduction="mean"):
    """Softmax cross-entropy: minus the logarithm of the probability given to the right class.

    loss[n] = log(sum_c e^(z[n, c])) - z[n, labels[n]];  dz[n] = g[n] (softmax(z[n]) - onehot(labels[n]))

    logits z: (N, C) floats. labels: (N,) integers in [0, C), an array, a list or a Tensor. reduction: "mean" over the batch,
    "sum", or "none" for one loss a row. Raises ValueError for other shapes, labels or reductions. PyTorch's function has
    weights of the classes in third place: write reduction= there. An infinite g[n] gives infinities, by the formula above,
    where PyTorch, which goes by way of log_softmax, subtracts two of them and has nan.
    Paper section 3.5: multinomial logistic regression.
    """
    expect_floats("cross_entropy", logits)
    z, xp = logits.data, logits.device.xp
    labels = np.array(labels.numpy() if isinstance(labels, Tensor) else labels)  # a copy, for backward
    require(reduction in ("mean", "sum", "none"), f"cross_entropy: reduction={reduction!r}; expected mean, sum or none")
    require(z.ndim == 2, f"cross_entropy: expected logits (N, classes), got shape {z.shape}")
    require(
        labels.shape == z.shape[:1] and labels.dtype.kind in "iu",
        f"cross_entropy: expected one integer label a row; logits {z.shape}, labels {labels.shape} {labels.dtype}",
    )
    wrong = np.flatnonzero((labels < 0) | (labels >= z.shape[1]))
    require(
        wrong.size == 0,
        f"cross_entropy: label {labels[wrong[0]] if wrong.size else ''} at row {wrong[0] if wrong.size else ''} "
        f"is not one of the {z.shape[1]} classes; expected 0 to {z.shape[1] - 1}",
    )
    kernels, labels = logits.device.kernels, logits.device.array(labels)
    loss, p = kernels.softmax_cross_entropy(z, labels)
    share = z.dtype.type(1 / max(len(z), 1) if reduction == "mean" else 1)

    def backward(g):
        return (kernels.softmax_cross_entropy_backward(xp.broadcast_to(g * share, labels.shape), p, labels),)

    value = loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
    return record("cross_entropy", value, (logits,), backward)
