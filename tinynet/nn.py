"""Modules: layers that own their parameters, and networks that own their layers.

A module's parameters, buffers and sub-modules are simply its attributes, in the order in which they were set; what lies in
their lists and dicts counts too. There is no registry and no lazy shape: a layer says all its sizes.
"""

import math

import numpy as np

from tinynet import init
from tinynet.devices import as_device
from tinynet.ops.activations import relu, sigmoid, tanh
from tinynet.ops.arithmetic import linear
from tinynet.ops.convolution import conv2d
from tinynet.ops.dropout import dropout
from tinynet.ops.normalization import batch_norm, local_response_norm
from tinynet.ops.pooling import avg_pool2d, max_pool2d
from tinynet.ops.windows import is_whole, pair
from tinynet.tensor import Tensor, tensor

__all__ = [
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "LocalResponseNorm",
    "MaxPool2d",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "init",
]


class Module:
    """Base of layers and networks: define `forward`, call the module.

    To a module belongs what its attributes are, or hold in lists, tuples and dicts, nested or not, in the order in which
    they were set: other Modules; Tensors made with requires_grad, its parameters (trained and saved); and other Tensors,
    its buffers (saved, not trained; a parameter that is frozen becomes one). Tensors that were computed on the tape do not:
    a forward may keep them (self.h = h). Of others that are not to be saved keep the array, h.data.

    Raises TypeError when a parameter is replaced by a Tensor that is none; and when it is asked for what belongs to it,
    ValueError for a module inside itself or two Tensors of one name, TypeError for a set, which has no order.
    """

    training = True

    def forward(self, x):
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define what it computes")

    def __call__(self, *args, **kwargs):
        try:
            return self.forward(*args, **kwargs)
        except (MemoryError, RuntimeError) as error:
            error.module = getattr(error, "module", self)  # the innermost, for whoever wants to say where
            raise

    def __setattr__(self, name, value):
        old = vars(self).get(name)
        if isinstance(old, Tensor) and isinstance(value, Tensor) and _is_leaf(old) and not _is_leaf(value):
            raise TypeError(
                f"{type(self).__name__}: {name} is a parameter and would no longer be one; write into {name}.data, "
                "or give it a Tensor made by tn.tensor(..., requires_grad=True)"
            )
        super().__setattr__(name, value)

    def _items(self):
        return vars(self).items()

    def named_tensors(self):
        """(name, Tensor) of all parameters and buffers, names joined by dots, in the order in which they were made."""
        names = set()
        for name, part in _parts(self):
            if isinstance(part, Tensor):
                if name in names:
                    raise ValueError(f"{type(self).__name__}: two Tensors are called {name}; rename a key")
                names.add(name)
                yield name, part

    def named_parameters(self):
        """(name, Tensor) of all that is trained."""
        return ((name, t) for name, t in self.named_tensors() if t.requires_grad)

    def parameters(self):
        """All Tensors that are trained, each once, even if it is shared by two layers."""
        return list(dict.fromkeys(t for _, t in self.named_parameters()))

    def named_modules(self, prefix=""):
        """(name, Module) of this module, whose name is `prefix`, and of all modules inside it, names joined by dots."""
        return ((name, part) for name, part in _parts(self, prefix) if isinstance(part, Module))

    def modules(self):
        """This module and all modules inside it."""
        return (module for _, module in self.named_modules())

    def train(self, mode=True):
        """Training behaviour (dropout, batch statistics), for this module and all inside it. Returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self):
        """Test behaviour. Returns self."""
        return self.train(False)

    def zero_grad(self):
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device=None, dtype=None):
        """Move every parameter and buffer to a device, or to a dtype (float64 for checks), and forget their gradients.

        Returns self.
        """
        for _, t in self.named_tensors():
            place = t.device if device is None else as_device(device)
            trained, t.requires_grad, t.grad = t.requires_grad, False, None
            if place is not t.device:
                t.data, t.device = place.fetch(t.data, t.device), place
            with place:
                t.data = t.data.astype(np.dtype(dtype or t.dtype).type, copy=False)  # native, as `tensor` makes them
            t.requires_grad = trained
        return self

    def state_dict(self):
        """name -> NumPy array, a copy, of every parameter and buffer."""
        return {name: np.array(t.numpy()) for name, t in self.named_tensors()}

    def load_state_dict(self, state):
        """Take all values from a dict as `state_dict` gives it; they may be Tensors, too, of any device and dtype.

        Raises ValueError, before anything is changed, naming the first keys that are missing, unexpected or of another
        shape.
        """
        state = {k: np.array(v.numpy()) if isinstance(v, Tensor) else v for k, v in state.items()}
        own = dict(self.named_tensors())
        missing, extra = [k for k in own if k not in state], [k for k in state if k not in own]
        if missing or extra:
            parts = [
                f"{what} {', '.join(keys[:3])}{' ...' * (len(keys) > 3)}"
                for what, keys in (("lacks", missing), ("has the unexpected", extra))
                if keys
            ]
            raise ValueError(f"load_state_dict: the state {' and '.join(parts)}; expected the names of this network")
        for name, t in own.items():
            if np.shape(state[name]) != t.shape:
                raise ValueError(
                    f"load_state_dict: {name} has shape {np.shape(state[name])}, this network wants {t.shape}; "
                    "build the network with the sizes that it was saved with"
                )
        values = {name: np.asarray(state[name], dtype=t.dtype) for name, t in own.items()}
        for name, t in own.items():
            with t.device:
                t.data[...] = t.device.array(values[name])


_HOLDERS = (Tensor, Module, list, tuple, dict, set, frozenset)


def _is_leaf(t):
    return t.entry is not None and t.entry.leaf is not None


def _parts(value, name="", outside=()):
    """(name, Tensor or Module) of what an attribute is or holds, from the outside in. outside: what it is in."""
    if isinstance(value, Tensor):
        if value.entry is None or _is_leaf(value):
            yield name, value
    elif isinstance(value, (set, frozenset)):
        if any(isinstance(item, (Tensor, Module)) for item in value):
            raise TypeError(f"{type(outside[0]).__name__}: {name} is a set, which has no order; use a list")
    elif isinstance(value, (Module, list, tuple, dict)):
        if any(value is holder for holder in outside):
            if not isinstance(value, Module):
                return
            raise ValueError(
                f"{type(outside[0]).__name__}: {name} is the {type(value).__name__} that it is inside of; "
                "keep a weakref.ref to it instead"
            )
        if isinstance(value, Module):
            yield name, value
            items = value._items()
        else:
            items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(item, _HOLDERS):
                yield from _parts(item, f"{name}.{key}" if name else str(key), (*outside, value))


def _parameter(shape, bound, rng, device, dtype):
    # PyTorch's default for convolutions and linear layers: uniform, bound 1 / sqrt(fan_in), for weight and bias alike.
    return init.uniform_(_zeros(shape, device, dtype, True), -bound, bound, rng=rng)


def _zeros(shape, device, dtype, requires_grad=False):
    return tensor(np.zeros(shape, dtype), requires_grad=requires_grad, device=device)


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

    def forward(self, x):
        return conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Linear(Module):
    """`linear` with its weight (out_features, in_features) and bias (out_features,), starting as in `Conv2d`."""

    def __init__(self, in_features, out_features, bias=True, *, device=None, dtype=np.float32, rng=None):
        rng, bound = np.random.default_rng(rng), 1 / math.sqrt(in_features)
        self.weight = _parameter((out_features, in_features), bound, rng, device, dtype)
        self.bias = _parameter((out_features,), bound, rng, device, dtype) if bias else None

    def forward(self, x):
        return linear(x, self.weight, self.bias)


class MaxPool2d(Module):
    """`max_pool2d` with fixed arguments."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, *, dilation=1):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.dilation = ceil_mode, dilation

    def forward(self, x):
        return max_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, dilation=self.dilation)


class AvgPool2d(Module):
    """`avg_pool2d` with fixed arguments."""

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x):
        return avg_pool2d(x, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class LocalResponseNorm(Module):
    """`local_response_norm` with fixed arguments: the paper's formula, alpha not divided by size."""

    def __init__(self, size=5, alpha=1e-4, beta=0.75, k=2.0):
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

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

    def forward(self, x):
        if x.ndim != 4:
            raise ValueError(f"BatchNorm2d: expected x (N, C, H, W), got shape {x.shape}")
        return batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training,
                          self.momentum, self.eps)  # fmt: skip


class Flatten(Module):
    """Everything but the batch axis joined into one axis."""

    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

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
