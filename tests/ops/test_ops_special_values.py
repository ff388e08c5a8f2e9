"""Infinities, nan, zeros of both signs, and the smallest and largest numbers: in every operation as PyTorch has them.

Where the two differ on purpose, DIFFERENT says where, and in which words the operation's docstring says so.
"""

from itertools import product

import numpy as np
import pytest
from oracles import leaf, normal

import tinynet as tn
from tinynet.ops import arithmetic

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this file")
F = torch.nn.functional
torch.set_num_threads(1)

DTYPES = [np.float32, np.float64]
INF, NAN = np.inf, np.nan


def special(dtype):
    info = np.finfo(dtype)
    return np.array([0.0, -0.0, 1, -1, 2.5, INF, -INF, NAN, info.tiny, -info.tiny, info.max, -info.max], dtype)


def both(name, of=None):
    """The function of that name of tinynet and of PyTorch."""
    return getattr(tn, name), getattr(of or torch, name)


def same(f):
    return f, f


def reduction(name, theirs):
    return lambda x: getattr(x, name)(axis=1), lambda x: getattr(x, theirs)(1)


def of_kind(name):
    return lambda x: getattr(tn, name)(x), lambda x: getattr(F, name)(x, -1)


def classes(x):
    return np.arange(len(x)) % x.shape[1]


ELEMENTWISE = {
    **{name: both(name) for name in ("exp", "log", "sqrt", "tanh", "sigmoid", "relu", "maximum", "minimum")},
    "abs": same(abs), "neg": same(lambda x: -x),
    "add": same(lambda a, b: a + b), "sub": same(lambda a, b: a - b), "mul": same(lambda a, b: a * b),
    "div": same(lambda a, b: a / b), "pow": same(lambda a, b: a**b),
    **{f"pow {p}": same(lambda x, p=p: x**p) for p in (0, 1, 2, 3, -1, -2, 0.5, -0.5, 1.5, INF, -INF, NAN)},
    **{f"{p} pow": same(lambda x, p=p: p**x) for p in (0.0, 1.0, 2.0, -1.0, INF, -INF, NAN)},
    **{f"{p} add, sub": same(lambda x, p=p: p - (x + p)) for p in (2.0, INF, NAN)},
    **{f"{p} mul, div": same(lambda x, p=p: (p * x) / p) for p in (0.0, 2.0, INF, NAN)},
    "astype": (lambda x: x.astype(np.float32), lambda x: x.to(torch.float32)),
}  # fmt: skip
OPERANDS = ("add", "sub", "mul", "div", "pow", "maximum", "minimum")
ROWS = {
    "softmax": of_kind("softmax"), "log_softmax": of_kind("log_softmax"),
    "cross_entropy": (lambda x: tn.cross_entropy(x, classes(x.data), "none"),
                      lambda x: F.cross_entropy(x, torch.tensor(classes(x)), reduction="none")),
    "sum": reduction("sum", "sum"), "mean": reduction("mean", "mean"),
    "max": reduction("max", "amax"), "min": reduction("min", "amin"),
}  # fmt: skip


def batch_norm(training):
    def stats():
        return np.linspace(-1, 1, 3), np.linspace(0.5, 2, 3)

    return (lambda x, w, b: tn.batch_norm(x, w, b, *(s.astype(x.dtype) for s in stats()), training),
            lambda x, w, b: F.batch_norm(x, *(torch.tensor(s, dtype=x.dtype) for s in stats()), w, b, training))  # fmt: skip


def conv(x, w, **how):
    return lambda *t: tn.conv2d(*t, **how), lambda *t: F.conv2d(*t, **how), x, w, w[:1]


def drop(x):
    torch.manual_seed(0)
    return F.dropout(x, 0.5)


KEEP = {dtype: drop(torch.ones(3, 4, dtype=dtype)).numpy() != 0 for dtype in (torch.float32, torch.float64)}
WHOLE = {  # operations whose sums run over many numbers; each gets one special number at a time
    "conv2d": conv((2, 4, 5, 6), (3, 4, 3, 2)), "conv2d: stride": conv((2, 2, 5, 7), (3, 2, 3, 3), stride=2, padding=1),
    "conv2d: groups": conv((2, 4, 5, 4), (6, 2, 3, 2), groups=2, padding=1),
    "conv2d: dilation": conv((1, 2, 7, 6), (3, 2, 3, 2), dilation=2),
    "linear": (*both("linear", F), (4, 5), (3, 5), (3,)), "linear: one row": (*both("linear", F), (1, 5), (3, 5), (3,)),
    "matmul": (*same(lambda a, b: a @ b), (2, 4, 5), (5, 3)),
    "max_pool2d": (lambda x: tn.max_pool2d(x, 3, 2, 1), lambda x: F.max_pool2d(x, 3, 2, 1), (2, 2, 5, 6)),
    "avg_pool2d": (lambda x: tn.avg_pool2d(x, 3, 2, 1), lambda x: F.avg_pool2d(x, 3, 2, 1), (2, 2, 5, 6)),
    **{f"local_response_norm: beta {beta}": (
        lambda x, beta=beta: tn.local_response_norm(x, 3, 0.5, beta, 2.0),
        lambda x, beta=beta: F.local_response_norm(x, 3, 1.5, beta, 2.0), (2, 5, 3, 2)) for beta in (0.75, 0.5)},
    "batch_norm: training": (*batch_norm(True), (4, 3, 2), (3,), (3,)),
    "batch_norm: test": (*batch_norm(False), (4, 3, 2), (3,), (3,)),
    "dropout": (lambda x: tn.dropout(x, 0.5, mask=KEEP[getattr(torch, str(x.dtype))]), drop, (3, 4)),
    "sum": (*same(lambda x: x.sum()), (3, 4)), "mean": (*same(lambda x: x.mean()), (3, 4)),
    "reshape, transpose, index": (*same(lambda x: x.reshape(4, 3).T[1, 1:]), (3, 4)),
    "pad": (lambda x: tn.pad(x, 1), lambda x: F.pad(x, (1, 1, 1, 1)), (3, 4)),
    "concat": (lambda a, b: tn.concat([a, b]), lambda a, b: torch.cat([a, b]), (2, 3), (1, 3)),
    "stack": (lambda a, b: tn.stack([a, b]), lambda a, b: torch.stack([a, b]), (2, 3), (2, 3)),
    "transfer": (lambda x: x.to("cpu:1"), lambda x: x.clone(), (3, 4)),
}  # fmt: skip

# name: (the operation, the words of its docstring, where the two may differ)
DIFFERENT = {
    "abs": (arithmetic.abs, "At nan it is nan (PyTorch: 0)", lambda x, g: np.isnan(x)),
    **{f"pow {p}": (arithmetic.pow, "at -0 and -inf", lambda x, g: (x == -INF) | ((x == 0) & np.signbit(x)))
       for p in (0.5, -0.5)},
    "cross_entropy": (tn.cross_entropy, "An infinite g[n] gives infinities", lambda x, g: np.isinf(g)),
    **{name: (tn.conv2d, "an infinite weight makes nan", lambda at, value: at == 1 and not np.isfinite(value))
       for name in WHOLE if name.startswith("conv2d") and name != "conv2d: stride"},
    **{name: (tn.batch_norm, "an infinite weight gives nan there and infinities here",
              lambda at, value: (at == 1 and np.isinf(value)) or np.abs(value) > 1e30)
       for name in WHOLE if name.startswith("batch_norm")},
}  # fmt: skip


def play(functions, arrays, g):
    """[(what, ours, PyTorch's)] of the result and the gradients, for the cotangent g(shape of the result)."""
    mine, other = [leaf(a) for a in arrays], [torch.tensor(a, requires_grad=True) for a in arrays]
    with np.errstate(all="ignore"):
        y, z = functions[0](*mine), functions[1](*other)
        cotangent = g(y.shape).astype(y.dtype)
        y.backward(cotangent), z.backward(torch.tensor(cotangent))
    pairs = [("result", y.numpy(), z.detach().numpy())]
    return pairs + [(f"gradient {i}", a.grad, b.grad.numpy()) for i, (a, b) in enumerate(zip(mine, other, strict=True))]


def agree(ours, theirs, atol=0.0):
    """Where the two are the same: nan where nan is, infinities alike, and numbers to a few digits less than the dtype's."""
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    info = np.finfo(ours.dtype)
    with np.errstate(all="ignore"):
        close = np.abs(ours - theirs) <= 100 * info.eps * np.abs(theirs) + 2 * info.tiny + atol
    return (ours == theirs) | (np.isnan(ours) & np.isnan(theirs)) | close & np.isfinite(theirs)


def judge(name, dtype, cases, atol=0.0):
    """cases: (functions, arrays, g, where they may differ: a mask of rows or elements)."""
    differences = 0
    for functions, arrays, g, exempt in cases:
        for what, ours, theirs in play(functions, arrays, g):
            wrong = ~agree(ours, theirs, atol)
            differences += np.count_nonzero(wrong)
            wrong &= ~(exempt.reshape(-1, *[1] * (wrong.ndim - 1)) if np.ndim(exempt) else np.asarray(exempt))
            where = tuple(np.argwhere(wrong)[0]) if wrong.any() else None
            assert where is None, (
                f"{name}: {what} is {ours[where]}, PyTorch's is {theirs[where]}, at {where} for g = {g((1,))} and\n{arrays}"
            )
    if name in DIFFERENT:
        op, words, _ = DIFFERENT[name]
        assert words in " ".join(op.__doc__.split()), f"{name}: the docstring does not say where it differs"
        assert differences or dtype == np.float32, f"{name} no longer differs from PyTorch: say so"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, dtype):
    values = special(dtype)
    arrays = [a.ravel() for a in np.meshgrid(values, values)] if name in OPERANDS else [values]
    exempt = DIFFERENT[name][2](arrays[0], None) if name in DIFFERENT else np.False_
    gs = [lambda shape, g=g: np.full(shape, g) for g in (1.0, 0.0, -2.0, INF, NAN)]
    judge(name, dtype, [(ELEMENTWISE[name], arrays, g, exempt) for g in gs])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ROWS)
def test_rows(name, dtype):
    cases = []
    for length in (1, 2, 3):
        rows = np.array(list(product(special(dtype), repeat=length)), dtype)
        for first in (1.0, 0.0, INF, NAN):
            exempt = np.bool_(name in DIFFERENT and DIFFERENT[name][2](rows, first))
            numbers = np.array([first, -2.0, 0.5])
            cases.append((ROWS[name], [rows], lambda shape, n=numbers: np.resize(n[: shape[-1]] if len(shape) > 1 else n[:1],
                                                                                 shape), exempt))  # fmt: skip
    judge(name, dtype, cases, atol=100 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", WHOLE)
def test_one_special_number_among_many(name, dtype, monkeypatch):
    ours, theirs, *shapes = WHOLE[name]
    cases = []
    for at, value in product(range(len(shapes) + 1), special(dtype)):
        arrays = [normal(*shape, seed=k, dtype=dtype) for k, shape in enumerate(shapes)]

        def g(shape, at=at, value=value):
            numbers = normal(*shape, seed=9)
            if at == len(shapes):
                numbers.reshape(-1)[numbers.size // 2] = value
            return numbers

        if at < len(shapes):
            arrays[at].reshape(-1)[arrays[at].size // 2] = value
        exempt = np.bool_(name in DIFFERENT and DIFFERENT[name][2](at, value))
        cases.append(((ours, theirs), arrays, g, exempt))
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)  # it skips the zeros around an image
    judge(name, dtype, cases, atol=100 * np.finfo(dtype).eps)
