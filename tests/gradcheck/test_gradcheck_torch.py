"""The checker and PyTorch's: the same verdicts on the same functions, right and wrong."""

import warnings

import numpy as np
import pytest
from mistakes import RULES

import tinynet as tn
from tinynet.gradcheck.cases import distinct, normal

torch = pytest.importorskip("torch", reason="PyTorch's gradcheck is the witness of this file; the others do without it")
F = torch.nn.functional
torch.set_num_threads(1)  # its threads and ours would wait for each other

ALL = [(op, sentence) for op, rule in RULES.items() for sentence, _ in rule.mistakes]


# PyTorch's engine repairs these before its checker sees them (it sums over broadcast axes and converts dtypes, as tinynet's
# tape does), and its checker sends unit vectors, which survive rounding.
ACCEPTED_BY_TORCH = {
    ("add", "db is not summed over the broadcast axis"),
    ("minimum", "the gradient of b is not summed"),
    ("linear", "db is not summed over the batch"),
    ("conv2d", "db is not summed over the batch"),
    ("astype", "the gradient is left in float32"),
    ("astype", "the gradient was rounded to integers"),
}


def torchs_verdict(f, vjp, args):
    """Whether torch.autograd.gradcheck accepts vjp as the gradient of f; both take and give arrays."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(ctx, *tensors):
            ctx.save_for_backward(*tensors)
            return torch.tensor(f(*(t.detach().numpy() for t in tensors)))

        @staticmethod
        def backward(ctx, dy):
            found = vjp(dy.numpy().copy(), *(t.detach().numpy() for t in ctx.saved_tensors))
            return tuple(torch.tensor(np.array(g)) for g in found)

    try:
        return torch.autograd.gradcheck(Function.apply, [torch.tensor(a, requires_grad=True) for a in args])
    except RuntimeError:  # a GradcheckError is one, and so is a gradient of the wrong shape
        return False


@pytest.mark.parametrize("op", RULES)
def test_torch_accepts_what_we_accept(op):
    rule = RULES[op]
    assert tn.gradcheck(rule.f, rule.args(0), rule.vjp).status == "pass"
    assert torchs_verdict(rule.f, rule.vjp, rule.args(0))


@pytest.mark.parametrize("op, sentence", ALL, ids=[f"{op}: {sentence}" for op, sentence in ALL])
def test_torch_rejects_what_we_reject(op, sentence):
    rule = RULES[op]
    wrong = dict(rule.mistakes)[sentence]
    assert tn.gradcheck(rule.f, rule.args(0), wrong).status == "fail"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some mistakes divide by zero for the unit vectors that PyTorch sends
        assert torchs_verdict(rule.f, wrong, rule.args(0)) == ((op, sentence) in ACCEPTED_BY_TORCH)


OPERATIONS = {
    "conv2d": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1, dilation=(1, 2), groups=2),
               [normal(2, 4, 7, 8), normal(6, 2, 3, 2), normal(6)]),
    "max_pool2d": (lambda x: F.max_pool2d(x, 3, 2, 1), [distinct(2, 3, 7, 8)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, 3, 2, 1, True, False), [normal(2, 3, 7, 8)]),
    "local_response_norm": (lambda x: F.local_response_norm(x, 5, 0.5, 0.75, 1.3), [normal(2, 7, 3, 2)]),
    "batch_norm": (lambda x, w, b: F.batch_norm(x, None, None, w, b, True),
                   [normal(4, 3, 2, 5), normal(3), normal(3, seed=1)]),
    "cross_entropy": (lambda z: F.cross_entropy(z, torch.tensor([2, 0, 0, 3])), [normal(4, 5)]),
    "log_softmax": (lambda z: F.log_softmax(z, 1), [normal(4, 5, 2)]),
    "gelu": (F.gelu, [normal(4, 5)]),
    "logsumexp": (lambda x: torch.logsumexp(x, 1), [normal(4, 5)]),
    "cumprod": (lambda x: torch.cumprod(x, 0), [normal(4, 5)]),
    "determinant": (torch.linalg.det, [normal(4, 4)]),
    "conv_transpose2d": (lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1),
                         [normal(1, 2, 4, 5), normal(2, 3, 3, 2)]),
    "large": (lambda x, w: torch.tanh(F.linear(x, w)), [normal(20, 60), normal(30, 60)]),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_derivatives_that_pytorch_derived_pass(name):
    f, args = OPERATIONS[name]

    def forward(*arrays):
        return f(*map(torch.tensor, arrays)).numpy()

    def vjp(dy, *arrays):
        tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
        return [g.numpy() for g in torch.autograd.grad(f(*tensors), tensors, torch.tensor(dy))]

    for seed in range(5):
        report = tn.gradcheck(forward, args, vjp, seed=seed)
        assert report.status == "pass" and max(r.rel for r in report) < 1e-7, report
        wrong = tn.gradcheck(forward, args, lambda dy, *a: [1.0001 * g for g in vjp(dy, *a)], seed=seed)
        assert {r.status for r in wrong} == {"fail"}, wrong
