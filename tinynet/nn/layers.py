"""The layers: operations that own their weights, or just remember their arguments."""

import math

import numpy as np

from tinynet.nn import init
from tinynet.nn.module import Module
from tinynet.ops.activations import relu, sigmoid, tanh
from tinynet.ops.arithmetic import linear
from tinynet.ops.convolution import conv2d
from tinynet.ops.dropout import dropout
from tinynet.ops.normalization import batch_norm, local_response_norm
from tinynet.ops.pooling import avg_pool2d, max_pool2d
from tinynet.ops.windows import is_whole, pair
from tinynet.tensor import tensor


class Conv2d(Module):
    """`conv2d` with its weight (out_channels, in_channels / groups, KH, KW) and bias (out_channels,).

    Both start uniform in +-1/sqrt(fan_in), as in PyTorch; rng (a numpy.random.Generator, or a seed) makes that repeatable.
    """

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True,
                 *, device=None, dtype=np.float32, rng=None):  # fmt: skip
        if not is_whole(groups, 1) or in_channels % groups or out_channels % groups:
            raise ValueError(f"Conv2d: {in_channels} and {out_channels} channels cannot be cut into groups={groups!r}")
        groups, kernel, rng = int(groups), pair("kernel_size", kernel_size, 1), np.random.default_rng(rng)
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        bound = 1 / math.sqrt(in_channels // groups * kernel[0] * kernel[1])
        self.weight = _parameter((out_channels, in_channels // groups, *kernel), bound, rng, device, dtype)
        self.bias = _parameter((out_channels,), bound, rng, device, dtype) if bias else None

    def extra_repr(self):
        outputs, inputs, *kernel = self.weight.shape
        text = f"{inputs * self.groups}, {outputs}, kernel_size={tuple(kernel)}, stride={_both(self.stride)}"
        if _both(self.padding) != (0, 0):
            text += f", padding={_both(self.padding)}"
        if _both(self.dilation) != (1, 1):
            text += f", dilation={_both(self.dilation)}"
        return text + f", groups={self.groups}" * (self.groups != 1) + ", bias=False" * (self.bias is None)

    def forward(self, x):
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Linear(Module):
    """`linear` with its weight (out_features, in_features) and bias (out_features,), starting as in `Conv2d`."""

    def __init__(self, in_features, out_features, bias=True, *, device=None, dtype=np.float32, rng=None):
        rng, bound = np.random.default_rng(rng), 1 / math.sqrt(in_features)
        self.weight = _parameter((out_features, in_features), bound, rng, device, dtype)
        self.bias = _parameter((out_features,), bound, rng, device, dtype) if bias else None

    def extra_repr(self):
        outputs, inputs = self.weight.shape
        return f"in_features={inputs}, out_features={outputs}, bias={self.bias is not None}"

    def forward(self, x):
        return linear(x, self.weight, self.bias)


class MaxPool2d(Module):
    """`max_pool2d` with fixed arguments."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, *, dilation=1):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.dilation = ceil_mode, dilation

    def extra_repr(self):
        stride = self.kernel_size if self.stride is None else self.stride
        return (
            f"kernel_size={self.kernel_size}, stride={stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )

    def forward(self, x):
        return max_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, dilation=self.dilation)


class AvgPool2d(Module):
    """`avg_pool2d` with fixed arguments."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def extra_repr(self):
        stride = self.kernel_size if self.stride is None else self.stride
        text = f"kernel_size={self.kernel_size}, stride={stride}, padding={self.padding}"
        return text + ", ceil_mode=True" * self.ceil_mode + ", count_include_pad=False" * (not self.count_include_pad)

    def forward(self, x):
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class LocalResponseNorm(Module):
    """`local_response_norm` with fixed arguments: the paper's formula, alpha not divided by size."""

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"

    def forward(self, x):
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k)


class ReLU(Module):
    """`relu`."""

    def forward(self, x):
        return relu(x)


class Sigmoid(Module):
    """`sigmoid`."""

    def forward(self, x):
        return sigmoid(x)


class Tanh(Module):
    """`tanh`."""

    def forward(self, x):
        return tanh(x)


class Dropout(Module):
    """`dropout` while training, with a generator of its own, so that a run can be repeated and resumed.

    rng: that generator, or its seed; default an unseeded one.
    """

    def __init__(self, p=0.5, *, inverted=True, rng=None):
        self.p, self.inverted, self.rng = p, inverted, np.random.default_rng(rng)

    def extra_repr(self):
        return f"p={self.p}" + ", inverted=False" * (not self.inverted)

    def forward(self, x):
        return dropout(x, self.p, self.training, self.rng, inverted=self.inverted)


class BatchNorm2d(Module):
    """`batch_norm` over images, with weight 1, bias 0, running mean 0 and running variance 1 to start from."""

    def __init__(self, num_features, eps=1e-5, momentum=0.1, *, device=None, dtype=np.float32):
        self.eps, self.momentum = eps, momentum
        self.weight = init.constant_(_zeros((num_features,), device, dtype, True), 1)
        self.bias = _zeros((num_features,), device, dtype, True)
        self.running_mean = _zeros((num_features,), device, dtype)
        self.running_var = init.constant_(_zeros((num_features,), device, dtype), 1)

    def extra_repr(self):
        return f"{len(self.weight)}, eps={self.eps}, momentum={self.momentum}"

    def forward(self, x):
        if x.ndim != 4:
            raise ValueError(f"BatchNorm2d: expected x (N, C, H, W), got shape {x.shape}")
        return batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training,
                          self.momentum, self.eps)  # fmt: skip


class Flatten(Module):
    """Everything but the batch axis joined into one axis."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def extra_repr(self):
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"

    def forward(self, x):
        return x.flatten(self.start_dim, self.end_dim)


class Sequential(Module):
    """One module after the other, named 0, 1, ... as in PyTorch. An index gives one of them, a slice a Sequential."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def _items(self):
        for name, value in super()._items():
            yield from enumerate(value) if name == "layers" else [(name, value)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def __iter__(self):
        return iter(self.layers)

    def __len__(self):
        return len(self.layers)

    def __getitem__(self, i):
        return Sequential(*self.layers[i]) if isinstance(i, slice) else self.layers[i]


def _parameter(shape, bound, rng, device, dtype):
    # PyTorch's default for convolutions and linear layers: uniform, bound 1 / sqrt(fan_in), for weight and bias alike.
    return init.uniform_(_zeros(shape, device, dtype, True), -bound, bound, rng=rng)


def _both(number):
    return tuple(number) if isinstance(number, (tuple, list)) else (number, number)


def _zeros(shape, device, dtype, requires_grad=False):
    return tensor(np.zeros(shape, dtype), requires_grad=requires_grad, device=device)
