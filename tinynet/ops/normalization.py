"""Normalisation: the paper's, between neighbouring channels, and the one that replaced it, over the batch."""

from tinynet.ops.inputs import expect_floats, plain
from tinynet.ops.windows import is_whole
from tinynet.tape import record
from tinynet.value import Value


def local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=2.0):
    """Local response normalisation by the paper's formula: a channel is damped by the activity of its neighbours.

    y_i = x_i / d_i^beta,  d_i = k + alpha * sum_{j = max(0, i - size//2)}^{min(C - 1, i + (size - 1)//2)} x_j^2
    dx_i = g_i d_i^-beta - 2 alpha beta x_i * sum_{j : i in window(j)} g_j x_j d_j^-(beta + 1)

    x: (N, C, ...), floats; the window runs over channels. Result: the shape of x. Raises ValueError for fewer than two axes
    or a size below 1. Paper section 3.3; alpha is not divided by size. PyTorch's and Caffe's is, and their k is 1 if it is
    not given: give them alpha * size, and k, for the same numbers. The 2012 code divided, too: its alpha was 1e-4 / 5.
    """
    expect_floats("local_response_norm", x)
    if x.ndim < 2:
        raise ValueError(f"local_response_norm: expected x (N, C, ...), got shape {x.shape}")
    if not is_whole(size, 1):
        raise ValueError(f"local_response_norm: size={size!r}; expected an integer >= 1")
    kernels, maps, size, alpha, beta, k = x.device.kernels, x.data, int(size), plain(alpha), plain(beta), plain(k)
    y, d = kernels.local_response_norm(maps, size, alpha, beta, k)
    return record(
        "local_response_norm",
        y,
        (x,),
        lambda g: (kernels.local_response_norm_backward(g, maps, d, size, alpha, beta),),
    )


def batch_norm(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    """Batch normalisation: every channel to mean 0 and variance 1, then scaled and shifted.

    y = weight z + bias,  z = (x - mean) / sqrt(var + eps)
    dx = weight / sqrt(var + eps) * (g - mean(g) - z mean(g z)) in training, weight / sqrt(var + eps) * g otherwise.

    training: mean and (biased) variance are those of this batch over all axes but the channels, and the running ones
    move towards them in place, r <- (1 - momentum) r + momentum * new, with the unbiased variance; otherwise the
    running ones are used. x: (N, C, ...), floats. weight, bias, running_mean, running_var: (C,), the last two as Tensors
    off the tape or as arrays of x's device. Raises ValueError for other shapes, and for training on one value a channel.
    The order is not PyTorch's, which is F.batch_norm(x, running_mean, running_var, weight, bias, training, ...). That one
    multiplies weight / sqrt(var + eps) first, so that an infinite weight gives nan there and infinities here, and what is
    too large for the dtype on the way is so at other places.
    Ioffe and Szegedy 2015; the 2012 paper used local_response_norm.
    """
    expect_floats("batch_norm", x, weight, bias)
    channels, running_ones = x.shape[1:2], dict(running_mean=running_mean, running_var=running_var)
    for name, value in running_ones.items():
        # They are written into, and a call in PyTorch's order would have the weights here.
        if getattr(value, "requires_grad", False):
            raise ValueError(
                f"batch_norm: {name} has requires_grad=True; expected (x, weight, bias, running_mean, running_var, ...)"
            )
    for name, value in dict(weight=weight, bias=bias, **running_ones).items():
        if value.shape != channels:
            raise ValueError(f"batch_norm: {name} has shape {value.shape}, expected {channels} for x {x.shape}")
    axes, momentum, eps = (0, *range(2, x.ndim)), plain(momentum), plain(eps)
    count = x.size // max(x.shape[1], 1)
    if training and count <= 1:
        few = "one value" if count else "no values"
        raise ValueError(f"batch_norm: x {x.shape} has {few} a channel; a variance needs more")

    def along(a):
        return a.reshape(-1, *[1] * (maps.ndim - 2))

    maps, w = x.data, weight.data
    if training:
        mean, var = maps.mean(axis=axes), maps.var(axis=axes)
        for running, new in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
            running = running.data if isinstance(running, Value) else running
            running += momentum * (new - running)
    else:
        mean, var = (r.data if isinstance(r, Value) else r for r in (running_mean, running_var))
    inverse = (1 / (var + eps) ** 0.5).astype(maps.dtype)
    z = (maps - along(mean.astype(maps.dtype))) * along(inverse)

    def backward(g):
        dw, db = (g * z).sum(axis=axes), g.sum(axis=axes)
        if training:
            g = g - along(db / count) - z * along(dw / count)
        return g * along(w * inverse), dw, db

    return record("batch_norm", z * along(w) + along(bias.data), (x, weight, bias), backward)
