"""Convolution, pooling, normalisation, dropout and losses against central differences and hand-made values."""

import numpy as np
import pytest
from oracles import assert_close, check_gradients, distinct, gradients, leaf, normal

import tinynet as tn
from tinynet.kernels import reference

N, D = normal, distinct


def test_padding_of_max_pool_is_minus_infinity_not_zero():
    assert (tn.max_pool2d(tn.tensor(-np.ones((1, 1, 4, 4))), 3, 2, 1).numpy() == -1).all()


def test_first_of_equal_maxima_gets_the_gradient_and_overlaps_add_up():
    _, (g,) = gradients(lambda x: tn.max_pool2d(x, 2, 1), np.array([[[[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]]]))
    assert g[0, 0].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]
    _, (g,) = gradients(lambda x: tn.max_pool2d(x, 2), np.zeros((1, 1, 2, 4)))
    assert g[0, 0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]


def test_nan_is_the_largest_and_the_last_one_gets_the_gradient():
    nan = np.nan
    y, (g,) = gradients(lambda x: tn.max_pool2d(x, 2, 1), np.array([[[[1.0, nan, 9], [nan, 2, 0], [4, 5, 6]]]]))
    assert np.array_equal(y, [[[[nan, nan], [nan, 6]]]], equal_nan=True)
    assert g[0, 0].tolist() == [[0, 1, 0], [2, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("size, windows", [(2, [[0], [0, 1], [1, 2]]), (4, [[0, 1], [0, 1, 2], [0, 1, 2]])])
def test_even_lrn_window_reaches_one_further_down_than_up(size, windows):
    x = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
    y = tn.local_response_norm(tn.tensor(x), size, alpha=0.5, beta=1.0, k=1.0).numpy().ravel()
    expected = [v / (1 + 0.5 * sum(x.ravel()[w] ** 2)) for v, w in zip(x.ravel(), windows, strict=True)]
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_lrn_with_the_papers_constants_does_not_divide_alpha_by_size():
    x = np.full((1, 5, 1, 1), 100.0)
    y = tn.local_response_norm(tn.tensor(x)).numpy().ravel()
    np.testing.assert_allclose(y, [100 / (2 + 1e-4 * n * 1e4) ** 0.75 for n in (3, 4, 5, 4, 3)], rtol=1e-12)


EMPTY = {
    "conv2d": lambda x: tn.conv2d(x, tn.tensor(N(4, 3, 3, 3)), tn.tensor(N(4)), padding=1),
    "max_pool2d": lambda x: tn.max_pool2d(x, 3, 2),
    "avg_pool2d": lambda x: tn.avg_pool2d(x, 3, 2),
    "local_response_norm": tn.local_response_norm,
    "relu": tn.relu,
    "linear": lambda x: tn.linear(x.flatten(1), tn.tensor(N(2, 75))),
    "dropout": lambda x: tn.dropout(x, rng=np.random.default_rng(0)),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_batch_of_no_images(name):
    x = leaf(np.zeros((0, 3, 5, 5)))
    y = EMPTY[name](x)
    assert y.shape[0] == 0
    y.backward(np.zeros(y.shape))
    assert x.grad.shape == x.shape


def test_gradient_of_the_weights_for_a_batch_of_no_images_is_zero():
    w, b = leaf(N(4, 3, 3, 3)), leaf(N(4))
    tn.conv2d(tn.tensor(np.zeros((0, 3, 5, 5))), w, b).sum().backward()
    assert w.grad.shape == w.shape and not w.grad.any() and b.grad.tolist() == [0] * 4


@pytest.mark.parametrize("f", [
    lambda x: tn.conv2d(x, tn.tensor(N(2, 3, 2, 2)), stride=2), lambda x: tn.max_pool2d(x, 3, 2),
    lambda x: tn.avg_pool2d(x, 3, 2, 1), lambda x: tn.local_response_norm(x, 3, 0.5),
])  # fmt: skip
@pytest.mark.parametrize("view", [
    lambda a: a.transpose(2, 3, 0, 1), lambda a: a[::2, :, ::-1].transpose(0, 3, 1, 2),
], ids=["transposed", "strided"])  # fmt: skip
def test_window_ops_on_arrays_that_are_not_contiguous(f, view):
    base = D(6, 7, 5, 3)
    y, (g,) = gradients(lambda t: f(view(t)), base)
    assert not view(base).flags.c_contiguous
    expected_y, (expected_g,) = gradients(f, np.ascontiguousarray(view(base)))
    assert_close(y, expected_y, 1e-13)
    assert_close(view(g), expected_g, 1e-13)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy(reduction):
    labels = np.array([2, 0, 0, 3], np.uint8)
    loss = reference.softmax_cross_entropy(N(4, 5), labels)[0]
    expected = {"mean": loss.mean(), "sum": loss.sum(), "none": loss}[reduction]
    for given in (labels, labels.tolist(), tn.tensor(labels)):
        np.testing.assert_allclose(tn.cross_entropy(tn.tensor(N(4, 5)), given, reduction).numpy(), expected, rtol=1e-12)


def test_cross_entropy_of_huge_logits_is_finite():
    z = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    y, (g,) = gradients(lambda t: tn.cross_entropy(t, [0, 0]), z)
    assert y == 1e4 and g.tolist() == [[0, 0], [-0.5, 0.5]]


@pytest.mark.parametrize("inverted", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_dropout_has_two_conventions_that_agree_with_the_formulas(training, inverted):
    x, mask = N(3, 4), np.random.default_rng(0).random((3, 4)) < 0.7
    for m in (mask, mask.astype(np.float64), tn.tensor(mask)):
        check_gradients(lambda t, m=m: tn.dropout(t, 0.3, training, mask=m, inverted=inverted), x)
    y = tn.dropout(tn.tensor(x), 0.3, training, mask=mask, inverted=inverted).numpy()
    factor = {(True, True): mask / 0.7, (True, False): mask, (False, True): 1, (False, False): 0.7}[training, inverted]
    np.testing.assert_allclose(y, factor * x, rtol=1e-12)


def test_dropout_draws_from_its_generator_and_uses_the_same_mask_backwards():
    x = leaf(np.ones((50, 40)))
    ys = [tn.dropout(x, 0.25, rng=np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(ys[0].data, ys[1].data)
    assert set(np.unique(ys[0].data)) == {0, 1 / 0.75} and 0.2 < (ys[0].data == 0).mean() < 0.3
    ys[0].sum().backward()
    assert np.array_equal(x.grad, ys[0].data)


def test_dropout_takes_a_seed_even_0():
    x = tn.tensor(np.ones(100))
    for seed in (0, 5):
        once, again = (tn.dropout(x, rng=seed).numpy() for _ in range(2))
        assert np.array_equal(once, again)
        assert np.array_equal(once, tn.dropout(x, rng=np.random.default_rng(seed)).numpy())


@pytest.mark.parametrize("p, expected", [(0, 1), (1, 0)])
def test_dropout_of_nothing_and_of_everything(p, expected):
    assert (tn.dropout(tn.tensor(np.ones(9)), p).numpy() == expected).all()


def test_batch_norm_forward_and_running_statistics():
    x, w, b = N(4, 3, 2, 5), N(3), N(3, seed=1)
    mean, var = tn.tensor(np.zeros(3)), np.ones(3)
    y = tn.batch_norm(*map(tn.tensor, (x, w, b)), mean, var, training=True, momentum=0.2, eps=0.1)
    np.testing.assert_allclose(y.numpy(), reference.batch_norm(x, w, b, 0.1), rtol=1e-10)
    np.testing.assert_allclose(mean.numpy(), 0.2 * x.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(var, 0.8 + 0.2 * x.var(axis=(0, 2, 3), ddof=1), rtol=1e-12)


X, W = np.zeros((2, 3, 8, 8), np.float32), np.zeros((4, 5, 3, 3), np.float32)
SENTENCES = {
    "conv channels": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W)),
                      r"conv2d: x has 3 channels, weight wants 5 \(groups=1\); x \(2, 3, 8, 8\), weight \(4, 5, 3, 3\)"),
    "conv groups": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W), groups=3), "4 output channels cannot be cut"),
    "conv groups 0": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W), groups=0), "groups=0; expected an integer >= 1"),
    "conv groups float": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W), groups=1.0), "groups=1.0; expected an integer >= 1"),
    "conv bias": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W[:, :3]), tn.tensor(X[0, 0, 0])), r"bias has shape \(8,\)"),
    "conv axes": (lambda: tn.conv2d(tn.tensor(X[0]), tn.tensor(W)), r"expected x \(N, C, H, W\)"),
    "conv window": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W[:, :3]), dilation=4), "does not fit into images of 8x8"),
    "conv no channels": (lambda: tn.conv2d(tn.tensor(X[:, :0]), tn.tensor(W[:, :0])), "no axis of length 0 but the batch"),
    "conv no maps": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W[:0, :3])), r"no axis of length 0 .* weight \(0, 3, 3, 3\)"),
    "conv no pixels": (lambda: tn.conv2d(tn.tensor(X[..., :0]), tn.tensor(W[:, :3]), padding=2), "no axis of length 0"),
    "conv stride": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W[:, :3]), stride=0), "stride=0; expected an integer >= 1"),
    "conv padding": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W[:, :3]), padding="same"), "padding='same'; expected"),
    "conv 3 strides": (lambda: tn.conv2d(tn.tensor(X), tn.tensor(W[:, :3]), stride=(1, 2, 3)), "pair"),
    "pool axes": (lambda: tn.max_pool2d(tn.tensor(X[0]), 2), r"max_pool2d: expected x \(N, C, H, W\)"),
    "pool no channels": (lambda: tn.max_pool2d(tn.tensor(X[:, :0]), 2), r"max_pool2d: .* got shape \(2, 0, 8, 8\)"),
    "pool padding": (lambda: tn.max_pool2d(tn.tensor(X), 3, padding=2), "more than half of the kernel"),
    "pool 5th argument": (lambda: tn.max_pool2d(tn.tensor(X), 2, 2, 0, 1), "ceil_mode=1; expected True or False"),
    "pool window": (lambda: tn.avg_pool2d(tn.tensor(X), 9), "avg_pool2d: a 9x9 window"),
    "lrn axes": (lambda: tn.local_response_norm(tn.tensor(X[0, 0, 0])), "local_response_norm: expected x"),
    "lrn size": (lambda: tn.local_response_norm(tn.tensor(X), 0), "size=0; expected an integer >= 1"),
    "dropout p": (lambda: tn.dropout(tn.tensor(X), 1.5), "p=1.5; expected a probability"),
    "dropout mask": (lambda: tn.dropout(tn.tensor(X), mask=np.ones(3)), r"mask has shape \(3,\)"),
    "loss axes": (lambda: tn.cross_entropy(tn.tensor(X), [0, 0]), r"expected logits \(N, classes\)"),
    "loss labels": (lambda: tn.cross_entropy(tn.tensor(X[0, 0]), [0, 1]), r"one integer label a row; logits \(8, 8\)"),
    "loss float labels": (lambda: tn.cross_entropy(tn.tensor(X[0, 0]), np.zeros(8)), "float64"),
    "loss range": (lambda: tn.cross_entropy(tn.tensor(X[0, 0]), [0] * 7 + [8]), "label 8 at row 7 is not one of the 8"),
    "loss negative": (lambda: tn.cross_entropy(tn.tensor(X[0, 0]), [0, -1] * 4), "label -1 at row 1"),
    "loss reduction": (lambda: tn.cross_entropy(tn.tensor(X[0, 0]), [0] * 8, "avg"), "reduction='avg'"),
    "bn shape": (lambda: tn.batch_norm(tn.tensor(X), *[tn.tensor(np.ones(4, np.float32))] * 4, True), "weight has shape"),
    "bn order of torch": (lambda: tn.batch_norm(leaf(X), *[tn.tensor(X[0, :, 0, 0])] * 2, *[leaf(X[0, :, 0, 0])] * 2, True),
                          r"running_mean has requires_grad=True; expected \(x, weight, bias, running_mean, running_var"),
    "bn one value": (lambda: tn.batch_norm(tn.tensor(X[:1, :, 0, 0]), *[tn.tensor(np.ones(3, np.float32))] * 4, True),
                     "one value a channel"),
    "linear sizes": (lambda: tn.linear(tn.tensor(X), tn.tensor(X[0, 0, :, :5])), r"linear: .* \(out, in\)"),
    "linear bias": (lambda: tn.linear(tn.tensor(X), tn.tensor(X[0, 0]), tn.tensor(X[0, 0, :3, 0])), "one for each output"),
    "matmul sizes": (lambda: tn.tensor(X) @ tn.tensor(X[0, 0, :5]), r"matmul: .* a \(2, 3, 8, 8\), b \(5, 8\)"),
    "broadcast": (lambda: tn.tensor(X) + tn.tensor(X[0, 0, :5]),
                  r"add: shapes \(2, 3, 8, 8\) and \(5, 8\) do not broadcast"),
    "reshape": (lambda: tn.tensor(X).reshape(5, 5), r"reshape: \(2, 3, 8, 8\) has 384 elements"),
    "transpose": (lambda: tn.tensor(X).transpose(0, 1, 1, 2), "are not an order of the 4 axes"),
    "flatten": (lambda: tn.tensor(X).flatten(3, 2), "no axes 3 to 2"),
    "concat": (lambda: tn.concat([tn.tensor(X), tn.tensor(X[0])]), "concat: shapes"),
    "concat axis": (lambda: tn.concat([tn.tensor(X)] * 2, axis=4), r"concat: no axis 4 in shape \(2, 3, 8, 8\)"),
    "concat axis from the end": (lambda: tn.concat([tn.tensor(X[0, 0, 0])] * 2, axis=-2), r"no axis -2 in shape \(8,\)"),
    "concat scalars": (lambda: tn.concat([tn.tensor(1.0)]), r"concat: no axis 0 in shape \(\)"),
    "stack axis": (lambda: tn.stack([tn.tensor(X)], axis=5), "axis 5 is out of bounds"),
    "concat nothing": (lambda: tn.concat([]), "expected at least one tensor"),
    "stack": (lambda: tn.stack([tn.tensor(X), tn.tensor(X[:1])]), "stack: shapes"),
    "pad": (lambda: tn.pad(tn.tensor(X), ((1, 1), (2, 2))), "one .before, after. pair .* 4 axes"),
    "pad negative": (lambda: tn.pad(tn.tensor(X), -1), "sizes >= 0"),
}  # fmt: skip


NUMPY_INTEGERS = {
    "conv2d": lambda i: tn.conv2d(tn.tensor(X[:, :2]), tn.tensor(W[:, :1, :i, :i]), None, i, i, i, groups=i),
    "max_pool2d": lambda i: tn.max_pool2d(tn.tensor(X), i, i, dilation=i),
    "local_response_norm": lambda i: tn.local_response_norm(tn.tensor(X), i),
    "pad": lambda i: tn.pad(tn.tensor(X), i),
    "pad pair": lambda i: tn.pad(tn.tensor(X), (i, i)),
    "reshape": lambda i: tn.tensor(X[0, 0]).reshape(i, -1),
    "reshape one": lambda i: tn.tensor(X[0, 0, 0, :2]).reshape(i),
    "concat": lambda i: tn.concat([tn.tensor(X)] * 2, axis=i),
}


@pytest.mark.parametrize("name", NUMPY_INTEGERS)
def test_integers_of_numpy_are_integers(name):
    assert NUMPY_INTEGERS[name](np.int64(2)).shape == NUMPY_INTEGERS[name](2).shape


@pytest.mark.parametrize("name", SENTENCES)
def test_error_sentence(name):
    call, sentence = SENTENCES[name]
    with pytest.raises(ValueError, match=sentence):
        call()
