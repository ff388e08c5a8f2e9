"""Losses: one number that says how wrong the network is."""

import numpy as np

from tinynet.ops.inputs import expect_floats
from tinynet.tape import record
from tinynet.value import Value


def cross_entropy(logits, labels, reduction="mean"):
    """Softmax cross-entropy: minus the logarithm of the probability given to the right class.

    loss[n] = log(sum_c e^(z[n, c])) - z[n, labels[n]];  dz[n] = g[n] (softmax(z[n]) - onehot(labels[n]))

    logits z: (N, C) floats. labels: (N,) integers in [0, C), an array, a list or a Tensor. reduction: "mean" over the batch,
    "sum", or "none" for one loss a row. Raises ValueError for other shapes, labels or reductions. PyTorch's function has
    weights of the classes in third place: write reduction= there. An infinite g[n] gives infinities, by the formula above,
    where PyTorch, which goes by way of log_softmax, subtracts two of them and has nan.
    Paper section 3.5: multinomial logistic regression.
    """
    labels = _labels(logits, labels, reduction)
    labels = logits.device.array(labels)
    z, kernels, xp = logits.data, logits.device.kernels, logits.device.xp
    loss, p = kernels.softmax_cross_entropy(z, labels)
    share = z.dtype.type(1 / max(len(z), 1) if reduction == "mean" else 1)

    def backward(g):
        return (kernels.softmax_cross_entropy_backward(xp.broadcast_to(g * share, labels.shape), p, labels),)

    value = loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()
    return record("cross_entropy", value, (logits,), backward)


def _labels(logits, labels, reduction):
    """The labels as an array of the host, a copy, because backward must find them as they are now."""
    expect_floats("cross_entropy", logits)
    labels = np.array(labels.numpy() if isinstance(labels, Value) else labels)
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"cross_entropy: reduction={reduction!r}; expected mean, sum or none")
    if logits.ndim != 2:
        raise ValueError(f"cross_entropy: expected logits (N, classes), got shape {logits.shape}")
    rows, classes = logits.shape
    if labels.shape != (rows,) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"cross_entropy: expected one integer label a row; logits {logits.shape}, labels {labels.shape} {labels.dtype}"
        )
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise ValueError(
            f"cross_entropy: label {labels[wrong[0]]} at row {wrong[0]} is not one of the {classes} classes; "
            f"expected 0 to {classes - 1}"
        )
    return labels
