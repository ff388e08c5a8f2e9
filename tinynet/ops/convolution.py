"""Convolution: the same small kernel at every place of the image."""

from tinynet.ops.inputs import expect, kept
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
    how = _arguments(x, weight, bias, stride, padding, dilation, groups)
    inputs = (x, weight) if bias is None else (x, weight, bias)
    kernels, x_shape, w_shape = x.device.kernels, x.shape, weight.shape
    y = kernels.conv2d(x.data, weight.data, None if bias is None else bias.data, *how)
    image, kernel = kept(x.data, weight), kept(weight.data, x)

    def backward(g):
        dx = None if kernel is None else kernels.conv2d_input_grad(g, kernel, x_shape, *how)
        dw = None if image is None else kernels.conv2d_weight_grad(g, image, w_shape, *how)
        return (dx, dw) if bias is None else (dx, dw, kernels.conv2d_bias_grad(g))

    return record("conv2d", y, inputs, backward)


def _arguments(x, weight, bias, stride, padding, dilation, groups):
    expect("conv2d", x, weight, *(() if bias is None else (bias,)))
    stride, padding, dilation = pair("stride", stride, 1), pair("padding", padding, 0), pair("dilation", dilation, 1)
    shapes = f"x {x.shape}, weight {weight.shape}"
    if x.ndim != 4 or weight.ndim != 4:
        raise ValueError(f"conv2d: expected x (N, C, H, W) and weight (F, C/groups, KH, KW); {shapes}")
    if min(x.shape[1:] + weight.shape) < 1:
        raise ValueError(f"conv2d: expected no axis of length 0 but the batch; {shapes}")
    if not is_whole(groups, 1):
        raise ValueError(f"conv2d: groups={groups!r}; expected an integer >= 1")
    groups = int(groups)
    if weight.shape[0] % groups:
        raise ValueError(f"conv2d: {weight.shape[0]} output channels cannot be cut into groups={groups}; {shapes}")
    if x.shape[1] != weight.shape[1] * groups:
        wanted = weight.shape[1] * groups
        raise ValueError(f"conv2d: x has {x.shape[1]} channels, weight wants {wanted} (groups={groups}); {shapes}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"conv2d: bias has shape {bias.shape}, expected {weight.shape[:1]}; {shapes}")
    map_size("conv2d", x.shape, weight.shape[2:], stride, padding, dilation)
    return stride, padding, dilation, groups
