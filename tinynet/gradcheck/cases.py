"""Points at which a wrong backward pass cannot hide: every operation of tinynet, in configurations that are hard on purpose.

At stride 1 a forgotten stride does not show, nor at 2x2 windows with stride 2 a gradient that is written instead of added,
nor at the paper's alpha = 1e-4 much of response normalisation. So here nothing is square, no two sizes are alike, windows
overlap and leave ragged edges, alpha is large, and nothing sits on a kink.
"""

from dataclasses import dataclass

import numpy as np

import tinynet as tn


def normal(*shape, seed=0, dtype=np.float64):
    """Gaussian numbers, the same on every run."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


def distinct(*shape, seed=0, dtype=np.float64):
    """Numbers of which no two are closer than 0.1 and none is closer to 0 than 0.05: nothing sits on a kink."""
    size = int(np.prod(shape))
    order = np.random.default_rng([seed, *shape]).permutation(size)
    return ((order - size // 2) * 0.1 + 0.05).reshape(shape).astype(dtype)


def positive(*shape, seed=0, dtype=np.float64):
    """Numbers from [0.5, 2)."""
    return np.random.default_rng([seed, *shape]).uniform(0.5, 2, size=shape).astype(dtype)


def crossing(*shape, seed=0, dtype=np.float64):
    """Numbers from [0.5, 2) such that of an even and an odd seed each has some that are larger; no two are equal."""
    size = int(np.prod(shape))
    order = np.random.default_rng([seed, *shape]).permutation(size)
    return (0.5 + 1.5 * (order + (0.23 if seed % 2 else 0.71)) / size).reshape(shape).astype(dtype)


@dataclass(frozen=True)
class Case:
    """A function of Tensors that ends in the operation `op`, and how to draw its arguments."""

    op: str
    name: str
    f: object
    draw: object
    shapes: tuple

    def args(self, seed=0):
        """float64 arrays, others for every seed."""
        return [self.draw(*shape, seed=100 * seed + k) for k, shape in enumerate(self.shapes)]

    def __str__(self):
        return f"{self.op}: {self.name}"


BROADCASTS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((2, 1, 3), (4, 1)), ((), (2, 3)),
              ((2, 3), ()), ((), ()), ((1,), ()), ((1, 1), (2, 3))]  # fmt: skip
PRODUCTS = [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 2, 3), (5, 3, 4)), ((5, 2, 3), (3, 4)),
            ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((1, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
            ((3,), (2, 5, 3, 4)), ((2, 5, 4, 3), (3,)), ((1, 1), (1, 1))]  # fmt: skip
REDUCED_AXES = [None, 0, 1, -1, -2, (0, 1), (0, 2), (-1, 0), (0, 1, 2), ()]

# x shape, weight shape, arguments
CONVOLUTIONS = {
    "plain": ((2, 3, 5, 7), (4, 3, 3, 2), {}),
    "stride 2 pad 1": ((2, 2, 5, 7), (3, 2, 3, 2), dict(stride=2, padding=1)),
    "ragged edge": ((1, 2, 6, 8), (3, 2, 3, 3), dict(stride=(4, 3))),
    "dilation 2": ((1, 2, 7, 6), (3, 2, 3, 2), dict(dilation=2, padding=1)),
    "pairs": ((1, 2, 7, 6), (3, 2, 2, 3), dict(stride=(2, 1), padding=(0, 2), dilation=(1, 2))),
    "groups 2": ((2, 4, 5, 4), (6, 2, 3, 2), dict(groups=2, stride=2, padding=1)),
    "depthwise": ((1, 3, 4, 5), (6, 1, 2, 2), dict(groups=3)),
    "1x1": ((2, 3, 2, 4), (5, 3, 1, 1), {}),
    "stride beyond kernel": ((1, 2, 7, 8), (2, 2, 1, 2), dict(stride=3)),
    "padding beyond kernel": ((1, 1, 3, 2), (2, 1, 2, 2), dict(padding=3)),
    "whole image": ((2, 3, 4, 5), (2, 3, 4, 5), {}),
}
POOLS = {
    "paper": ((1, 2, 7, 9), dict(kernel_size=3, stride=2)),
    "2x2": ((2, 1, 4, 6), dict(kernel_size=2)),
    "pairs": ((1, 2, 6, 7), dict(kernel_size=(3, 2), stride=(1, 2), padding=(1, 0))),
    "heavily overlapping": ((1, 1, 5, 6), dict(kernel_size=4, stride=1, padding=2)),
    "ceil": ((1, 2, 6, 8), dict(kernel_size=3, stride=2, ceil_mode=True)),
    "ceil and padding": ((1, 1, 6, 5), dict(kernel_size=3, stride=3, padding=1, ceil_mode=True)),
    "pixels left out": ((1, 2, 8, 7), dict(kernel_size=2, stride=3)),
}
UNARY = {
    "exp": (tn.exp, normal, (2, 3)),
    "log": (tn.log, positive, (2, 3)),
    "sqrt": (tn.sqrt, positive, (2, 3)),
    "relu": (tn.relu, distinct, (3, 5)),
    "tanh": (tn.tanh, normal, (2, 3)),
    "sigmoid": (tn.sigmoid, normal, (2, 3)),
    "neg": (lambda x: -x, normal, (2, 3)),
    "abs": (abs, distinct, (2, 3)),
    "pow: square": (lambda x: x**2, distinct, (2, 3)),
    "pow: cube": (lambda x: x**3, distinct, (2, 3)),
    "pow: inverse": (lambda x: x**-1, distinct, (2, 3)),
    "pow: 1": (lambda x: x**1, distinct, (2, 3)),
    "pow: 1.5": (lambda x: x**1.5, positive, (2, 3)),
    "pow: exponent np.float64": (lambda x: x ** np.float64(2), distinct, (2, 3)),
    "pow: exponent array": (lambda x: x ** np.array([0.0, 1.0, 2.5]), positive, (2, 3)),
    "pow: number ** x": (lambda x: 2.0**x, normal, (2, 3)),
    "sub: number - x": (lambda x: 1 - x, normal, (2, 3)),
    "div: number / x": (lambda x: 1 / x, positive, (2, 3)),
    "div: array / x": (lambda x: np.arange(3.0) / x, positive, (2, 3)),
    "matmul: array @ x": (lambda x: normal(4, 2) @ x, normal, (2, 3)),
    "softmax": (tn.softmax, normal, (3, 4)),
    "softmax: axis 0": (lambda x: tn.softmax(x, axis=0), normal, (3, 4)),
    "softmax: axis 1 of 3": (lambda x: tn.softmax(x, axis=1), normal, (2, 3, 4)),
    "log_softmax": (tn.log_softmax, normal, (3, 4)),
    "log_softmax: axis -2": (lambda x: tn.log_softmax(x, axis=-2), normal, (3, 4, 2)),
    "log_softmax: of large": (lambda x: tn.log_softmax(500 + x), normal, (3, 4)),
    "astype": (lambda x: x.astype(x.dtype), normal, (2, 3)),
    "reshape": (lambda x: x.reshape(4, 6), normal, (2, 3, 4)),
    "reshape: tuple": (lambda x: x.reshape((3, 8)), normal, (2, 3, 4)),
    "reshape: -1": (lambda x: x.reshape(-1), normal, (2, 3, 4)),
    "reshape: flatten": (lambda x: x.flatten(), normal, (2, 3, 4)),
    "reshape: flatten 1": (lambda x: x.flatten(1), normal, (2, 3, 4)),
    "reshape: flatten 0 to -2": (lambda x: x.flatten(0, -2), normal, (2, 3, 4)),
    "transpose": (lambda x: x.transpose(), normal, (2, 3, 4)),
    "transpose: T": (lambda x: x.T, normal, (2, 3, 4)),
    "transpose: axes": (lambda x: x.transpose(1, 2, 0), normal, (2, 3, 4)),
    "transpose: negative": (lambda x: x.transpose(-1, 0, -2), normal, (2, 3, 4)),
    "transpose: tuple": (lambda x: x.transpose((2, 0, 1)), normal, (2, 3, 4)),
    "index: int": (lambda x: x[1], normal, (2, 3, 4)),
    "index: all": (lambda x: x[1, 2, 3], normal, (2, 3, 4)),
    "index: negative": (lambda x: x[-1, :, -2], normal, (2, 3, 4)),
    "index: np.int64": (lambda x: x[np.int64(1)], normal, (2, 3, 4)),
    "index: slice": (lambda x: x[:, 1:, ::-2], normal, (2, 3, 4)),
    "index: ellipsis": (lambda x: x[..., 1], normal, (2, 3, 4)),
    "index: newaxis": (lambda x: x[:, None, 1:2], normal, (2, 3, 4)),
    "index: array": (lambda x: x[:, [2, 0]], normal, (2, 3, 4)),
    "index: repeated": (lambda x: x[[1, 1, 0, 1]], normal, (2, 3, 4)),
    "index: pairs": (lambda x: x[[0, 1, 1], [2, 2, 2], 1:], normal, (2, 3, 4)),
    "index: mask": (lambda x: x[np.arange(24).reshape(2, 3, 4) % 5 < 2], normal, (2, 3, 4)),
    "index: mask of one axis": (lambda x: x[:, np.array([True, False, True])], normal, (2, 3, 4)),
    "index: True": (lambda x: x[True], normal, (2, 3, 4)),
    "index: tensor": (lambda x: x[tn.tensor([1, 0, 1])], normal, (2, 3, 4)),
    "index: tensors": (lambda x: x[tn.tensor([1, 1]), tn.tensor([2, 2])], normal, (2, 3, 4)),
    "pad": (lambda x: tn.pad(x, 1), normal, (2, 3, 4)),
    "pad: pair": (lambda x: tn.pad(x, (1, 2)), normal, (2, 3, 4)),
    "pad: each": (lambda x: tn.pad(x, ((0, 1), (2, 0), (0, 0)), constant_values=3.0), normal, (2, 3, 4)),
    "concat: of itself": (lambda x: tn.concat([x, x * 2, x], axis=-2), normal, (2, 3, 4)),
    "stack: of itself": (lambda x: tn.stack([x, x], axis=-1), normal, (2, 3, 4)),
    "transfer": (lambda x: x.to("cpu:1").to("cpu:0"), normal, (2, 3, 4)),
}


def _cases():
    binary = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
              "pow": lambda a, b: a**b}  # fmt: skip
    for op, f in binary.items():
        for shapes in BROADCASTS:
            yield Case(op, f"{shapes[0]} {shapes[1]}", f, positive, shapes)
    for op, f in {"maximum": tn.maximum, "minimum": tn.minimum}.items():
        for shapes in BROADCASTS:
            if any(np.prod(shape) > 1 for shape in shapes):  # of two numbers, one would have no slope at all
                yield Case(op, f"{shapes[0]} {shapes[1]}", f, crossing, shapes)
    for name, (f, draw, shape) in UNARY.items():
        op, _, rest = name.partition(": ")
        yield Case(op, rest or str(shape), f, draw, (shape,))
    for shapes in PRODUCTS:
        yield Case("matmul", f"{shapes[0]} {shapes[1]}", lambda a, b: a @ b, normal, shapes)
    for shape in [(3,), (4, 3), (2, 4, 3), (1, 3)]:
        yield Case("linear", f"x {shape}", tn.linear, normal, (shape, (5, 3)))
        yield Case("linear", f"x {shape} bias", tn.linear, normal, (shape, (5, 3), (5,)))
    for op in ("sum", "mean", "max", "min"):
        for axis in REDUCED_AXES:
            for keepdims in (False, True):
                name = f"axis {axis}{' keepdims' if keepdims else ''}"
                yield Case(op, name, _reduction(op, axis, keepdims), distinct, ((2, 3, 4),))
        yield Case(op, "of a scalar", _reduction(op, None, False), normal, ((),))
    for axis in (0, 1, 2, -1, -2, -3):
        shapes = [[2, 3, 4] for _ in range(2)]
        shapes[1][axis] = 1
        yield Case("concat", f"axis {axis}", lambda *t, a=axis: tn.concat(t, a), normal, tuple(map(tuple, shapes)))
    for axis in (0, 1, -1, -3):
        yield Case("stack", f"axis {axis}", lambda *t, a=axis: tn.stack(t, a), normal, ((2, 3), (2, 3)))
    yield Case("stack", "scalars", lambda *t: tn.stack(t), normal, ((), ()))
    for name, (x, w, how) in CONVOLUTIONS.items():
        f = lambda *t, how=how: tn.conv2d(*t, **how)  # noqa: E731
        yield Case("conv2d", name, f, normal, (x, w, w[:1]))
        if name in ("plain", "groups 2"):
            yield Case("conv2d", f"{name}, no bias", f, normal, (x, w))
    for name, (x, how) in POOLS.items():
        yield Case("max_pool2d", name, lambda t, how=how: tn.max_pool2d(t, **how), distinct, (x,))
        for include in (True, False):
            f = lambda t, how=how, include=include: tn.avg_pool2d(t, **how, count_include_pad=include)  # noqa: E731
            yield Case("avg_pool2d", f"{name}{'' if include else ' pixels only'}", f, normal, (x,))
    yield Case("max_pool2d", "dilation 2", lambda x: tn.max_pool2d(x, 2, 1, 1, dilation=2), distinct, ((1, 2, 5, 6),))
    for size in (1, 2, 3, 4, 5, 6):
        for channels in (1, 2, 3, 7):
            for beta in (0.75, 0.5, 1.0):
                f = lambda x, size=size, beta=beta: tn.local_response_norm(x, size, 0.5, beta, 1.3)  # noqa: E731
                name = f"size {size} of {channels} channels, beta {beta}"
                yield Case("local_response_norm", name, f, normal, ((2, channels, 2, 3),))
    for shape in [(3, 5), (2, 5, 3), (1, 5, 2, 1, 2)]:
        f = lambda x: tn.local_response_norm(x, 3, 0.5, 0.75, 1.3)  # noqa: E731
        yield Case("local_response_norm", f"{len(shape)} axes", f, normal, (shape,))
    labels = np.array([2, 0, 0, 3], np.uint8)
    for reduction in ("mean", "sum", "none"):
        yield Case("cross_entropy", reduction, lambda z, r=reduction: tn.cross_entropy(z, labels, r), normal, ((4, 5),))
    keep = np.random.default_rng(0).random((3, 4)) < 0.7
    for training in (True, False):
        for inverted in (True, False)[not training :]:  # inverted dropout at test time is nothing at all
            f = lambda x, t=training, i=inverted: tn.dropout(x, 0.3, t, mask=keep, inverted=i)  # noqa: E731
            name = f"{'training' if training else 'test'}, {'inverted' if inverted else 'as in the paper'}"
            yield Case("dropout", name, f, normal, ((3, 4),))
        for shape in [(4, 3), (2, 3, 2, 4)]:
            name = f"{'training' if training else 'test'}, {len(shape)} axes"
            yield Case("batch_norm", name, _batch_norm(training), normal, (shape, (3,), (3,)))


def _reduction(op, axis, keepdims):
    return lambda x: getattr(x, op)(axis=axis, keepdims=keepdims)


def _batch_norm(training):
    return lambda x, w, b: tn.batch_norm(x, w, b, normal(3), normal(3) ** 2 + 0.5, training)


CASES = list(_cases())
