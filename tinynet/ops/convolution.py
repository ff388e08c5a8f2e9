"""Convolution: the same small kernel at every place of the image."""

from tinynet.ops.inputs import expect, require
from tinynet.ops.windows import is_whole, map_size, pair
from tinynet.tape import record


def conv2d(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """2-D convolution (without flipping the kernel), as in PyTorch.

    y[n, f, i, j] = bias[f] + sum_{c, u, v} weight[f, c, u, v] * x[n, c', i s + u d - p, j s + v d - p]
    where c' = c + (C/groups) * (the group of f), and x is 0 outside of the image.

    x: (N, C, H, W). weight: (F, C/groups, KH, KW). bias: (F,) or None. stride, padding, dilation: int or (rows, columns).
    groups: the input and output channels are cut into as many parts that do not see each other.
    Zeros around an image are multiplied like pixels, so that an infinite weight makes nan of them, in backward, too; PyTorch
    leaves some of these products out, others with every algorithm that it chooses.
    Result: (N, F, OH, OW) with OH = floor((H + 2 p - d (KH - 1) - 1) / s) + 1, OW likewise.
    Raises ValueError when the shapes do not fit together, no window fits into the image, or it has no pixels or channels.
    Paper sections 3.2 and 3.5: groups=2 is what two towers that do not talk compute.
    """
    inputs = (x, weight) if bias is None else (x, weight, bias)
    expect("conv2d", *inputs)
    stride, padding, dilation = pair("stride", stride, 1), pair("padding", padding, 0), pair("dilation", dilation, 1)
    shapes = f"x {x.shape}, weight {weight.shape}"
    require(x.ndim == 4 and weight.ndim == 4, f"conv2d: expected x (N, C, H, W) and weight (F, C/groups, KH, KW); {shapes}")
    require(min(x.shape[1:] + weight.shape) >= 1, f"conv2d: expected no axis of length 0 but the batch; {shapes}")
    require(is_whole(groups, 1), f"conv2d: groups={groups!r}; expected an integer >= 1")
    groups = int(groups)
    require(
        weight.shape[0] % groups == 0,
        f"conv2d: {weight.shape[0]} output channels cannot be cut into groups={groups}; {shapes}",
    )
    require(
        x.shape[1] == weight.shape[1] * groups,
        f"conv2d: x has {x.shape[1]} channels, weight wants {weight.shape[1] * groups} (groups={groups}); {shapes}",
    )
    require(
        bias is None or bias.shape == weight.shape[:1],
        f"conv2d: bias has shape {None if bias is None else bias.shape}, expected {weight.shape[:1]}; {shapes}",
    )
    map_size("conv2d", x.shape, weight.shape[2:], stride, padding, dilation)

    kernels, x_, w = x.device.kernels, x.data, weight.data
    how = stride, padding, dilation, groups
    x_shape, wants_x, wants_w = x.shape, x.requires_grad, weight.requires_grad
    y = kernels.conv2d(x_, w, None if bias is None else bias.data, *how)
    x_, w, w_shape = x_ if wants_w else None, w if wants_x else None, weight.shape

    def backward(g):
        dx = kernels.conv2d_input_grad(g, w, x_shape, *how) if wants_x else None
        dw = kernels.conv2d_weight_grad(g, x_, w_shape, *how) if wants_w else None
        return (dx, dw) if bias is None else (dx, dw, kernels.conv2d_bias_grad(g))

    return record("conv2d", y, inputs, backward)
