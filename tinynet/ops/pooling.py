"""Pooling: a map made smaller by keeping one number for each window."""

import numpy as np

from tinynet.ops.inputs import expect, expect_floats
from tinynet.ops.windows import map_size, pair
from tinynet.tape import record


def max_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, *, dilation=1):
    """The largest value in each window; with kernel_size > stride the windows overlap, as in the paper (3 and 2).

    y[n, c, i, j] = max_{u, v} x[n, c, i s + u d - p, j s + v d - p]; outside of the image is minus infinity.
    The gradient goes to the first largest element, in reading order, and adds up where windows overlap. NaN is larger than
    everything, and of several the last one wins, as in PyTorch.

    x: (N, C, H, W). kernel_size, stride (default kernel_size), padding (at most half the kernel), dilation: int or
    (rows, columns). ceil_mode: let the last window hang over the edge, as the 2012 code does. PyTorch's functions have
    dilation before ceil_mode; here it is given by name.
    Result: (N, C, OH, OW). Raises ValueError when no window fits or the padding is too large. Paper section 3.4.
    """
    expect("max_pool2d", x)
    kernel, stride, padding, dilation, out = _arguments("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    kernels, x_shape = x.device.kernels, x.shape
    y, winner = kernels.max_pool2d(x.data, kernel, stride, padding, dilation, out, x.requires_grad)

    def backward(g):
        return (kernels.max_pool2d_backward(g, winner, x_shape, kernel, stride, padding, dilation),)

    return record("max_pool2d", y, (x,), backward)


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window.

    y[n, c, i, j] = (sum_{u, v} x[n, c, i s + u - p, j s + v - p]) / count; outside of the image is 0.
    count is the number of window elements inside the padded image, or, with count_include_pad=False, inside the image.

    x: (N, C, H, W), floats. kernel_size, stride (default kernel_size), padding (at most half the kernel): int or pair.
    Result: (N, C, OH, OW). Raises ValueError when no window fits or the padding is too large.
    """
    expect_floats("avg_pool2d", x)
    kernel, stride, padding, _, out = _arguments("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    kernels, x_shape = x.device.kernels, x.shape
    y = kernels.avg_pool2d(x.data, kernel, stride, padding, out, count_include_pad)

    def backward(g):
        return (kernels.avg_pool2d_backward(g, x_shape, kernel, stride, padding, count_include_pad),)

    return record("avg_pool2d", y, (x,), backward)


def _arguments(op, x, kernel_size, stride, padding, dilation, ceil_mode):
    if x.ndim != 4:
        raise ValueError(f"{op}: expected x (N, C, H, W), got shape {x.shape}")
    if min(x.shape[1:]) < 1:
        raise ValueError(f"{op}: expected no axis of length 0 but the batch, got shape {x.shape}")
    if not isinstance(ceil_mode, (bool, np.bool_)):
        raise ValueError(f"{op}: ceil_mode={ceil_mode!r}; expected True or False")
    kernel = pair("kernel_size", kernel_size, 1)
    stride = kernel if stride is None else pair("stride", stride, 1)
    padding, dilation = pair("padding", padding, 0), pair("dilation", dilation, 1)
    # More padding than half a window would give windows that see nothing but padding.
    if 2 * padding[0] > kernel[0] or 2 * padding[1] > kernel[1]:
        raise ValueError(f"{op}: padding {padding} is more than half of the kernel {kernel}")
    return kernel, stride, padding, dilation, map_size(op, x.shape, kernel, stride, padding, dilation, ceil_mode)
