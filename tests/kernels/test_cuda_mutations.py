"""The tests of the CUDA kernels can fail: every mutation of the kernels and of their launches is caught."""

import cupy_double
import numpy as np
import pytest
import test_cuda_kernels as tests
from cupy_double import ElementwiseKernel, KernelError
from kernel_calls import check_all

MUTATIONS = [
    # where (what it follows), old, new
    ("power(T d, T beta)", "beta != T(0.75)", "beta != T(0.5)"),
    ("power(T d, T beta)", "root * rsqrt(root)", "rsqrt(root)"),
    ("power(T d, T beta)", "return pow(d, -beta)", "return pow(d, beta)"),
    ("first_window(I place", "start + stride - 1", "start"),
    ("first_window(I place", "start > 0 ?", "start >= -1 ?"),
    ("first_window(I place", "dilation * (kernel - 1)", "(kernel - 1)"),
    ("last_window(I place", "last < count ?", "last <= count ?"),
    ("last_window(I place", ": count - 1", ": count"),
    ("element_at(I step", "step % dilation ? -1 :", ""),
    ("places_of(I window", "padded ? -padding : 0", "0"),
    ("places_of(I window", "padded ? size + padding : size", "size"),
    ("places_of(I window", "window * stride - padding", "window * stride"),
    ('"im2col"', "rest % oh; rest /= oh", "rest % ow; rest /= ow"),
    ('"im2col"', "rest % batch, c = rest / batch", "rest % channels, c = rest / channels"),
    ('"im2col"', "n * channels + c", "c * batch + n"),
    ('"im2col"', "u * dh - ph", "u - ph"),
    ('"im2col"', "u * dh - ph", "u * dh - pw"),
    ('"im2col"', "ox * sw", "ox * sh"),
    ('"im2col"', "row >= 0 && ", ""),
    ('"im2col"', "row < h", "row <= h"),
    ('"im2col"', "column < w", "column <= w"),
    ('"im2col"', "(c * kh + u) * kw + v", "(c * kw + u) * kh + v"),
    ('"im2col"', "(n * oh + oy) * ow", "(n * ow + oy) * ow"),
    ('"col2im"', "total +=", "total ="),
    ('"col2im"', "% w + pw", "% w"),
    ('"col2im"', "if (u < 0) continue;", ""),
    ('"col2im"', "if (v < 0) continue;", ""),
    ('"col2im"', "length = batch * oh * ow", "length = batch * h * w"),
    ('"col2im"', "rest % channels, n = rest / channels", "rest / batch, n = rest % batch"),
    ('"add_bias"', " + bias[f]", ""),
    ('"add_bias"', "f * batch + n", "n * maps + f"),
    ('"by_map"', "n * maps + f", "f * batch + n"),
    ('"by_map"', "rows[i]", "rows[i / 2]"),
    ('"max_pool"', "value > best", "value >= best"),
    ('"max_pool"', " || value != value", ""),
    ('"max_pool"', "value != value", "(value != value && best == best)"),
    ('"max_pool"', "T best = lowest", "T best = 0"),
    ('"max_pool"', "who < 0 || ", ""),
    ('"max_pool"', "u * kw + v", "u * kh + v"),
    ('"max_pool"', "if (row < 0 || row >= h) continue;", ""),
    ('"max_pool_backward"', "total +=", "total ="),
    ('"max_pool_backward"', "== u * kw + v", ">= 0"),
    ('"max_pool_backward"', "v >= 0 && ", ""),
    ('"max_pool_backward"', "rest % h + ph", "rest % h"),
    ('"avg_pool"', "column >= 0 && ", ""),
    ('"avg_pool"', "places_of(oy, h, kh, sh, ph, padded)", "kh"),
    ('"avg_pool_backward"', " / T(count)", ""),
    ('"avg_pool_backward"', "total +=", "total ="),
    ('"lrn"', "c > before ? c - before : 0", "c > after ? c - after : 0"),
    ('"lrn"', "c + after < channels ?", "c + after <= channels ?"),
    ('"lrn"', "value * value", "value"),
    ('"lrn"', "k + alpha * total", "1 + alpha * total"),
    ('"lrn_backward"', "c > after ? c - after : 0", "c > before ? c - before : 0"),
    ('"lrn_backward"', "2 * alpha", "alpha"),
    ('"lrn_backward"', " / d[other]", ""),
    ('"lrn_backward"', "g[other]", "g[i]"),
    ('"cross_entropy"', "log(total[n]) - shifted", "log(total[n]) + shifted"),
    ('"cross_entropy"', "z[i] - top[n]", "z[i]"),
    ('"cross_entropy"', "/ total[n]", ""),
    ('"cross_entropy"', "== place % classes", "!= place % classes"),
    ('"cross_entropy_backward"', "g[n] * ", ""),
    ('"cross_entropy_backward"', "p[i] - ", "p[i] + "),
    ("exp_below = ", "z - top", "z"),
    ("dropout = ", " * scale", ""),
    ("relu_backward = ", "y != 0", "y > 0"),
    ("sgd = ", "lr * (weight_decay * w + g)", "(weight_decay * w + lr * g)"),
    ("sgd = ", "w += v", "w = v"),
    # the launches
    ("class _Chunks", "kernel, stride, padding, dilation)", "kernel, stride, dilation, padding)"),
    ("class _Chunks", "*stride, *padding", "*padding, *stride"),
    ("class _Chunks", "min(n + step, batch)", "n + step"),
    ("def fill", "self.channels * columns.shape[1]", "self.channels * columns.shape[1] - 1"),
    ("def fill", "len(x), self.channels", "self.channels, len(x)"),
    ("def collect", "dx.size", "dx.size + 1"),
    ("def by_map", "self.maps, self.area", "self.area, self.maps"),
    ("def conv2d(", "x[images]", "x"),
    ("def conv2d_input_grad(", "w.T", "w"),
    ("def conv2d_weight_grad(", "x[images]", "x[: images.stop - images.start]"),
    ("def conv2d_weight_grad(", "cp.add(dw, part, out=dw)", "part"),
    ("def conv2d_bias_grad(", ".sum(axis=0)", "[0]"),
    ("def max_pool2d(", "np.iinfo", "np.finfo"),
    ("def max_pool2d(", "-np.inf", "0.0"),
    ("def max_pool2d_backward(", "*kernel", "*kernel[::-1]"),
    ("def avg_pool2d(", "int(count_include_pad)", "1"),
    ("def avg_pool2d_backward(", "int(count_include_pad)", "0"),
    ("def _neighbours", "len(x) * channels", "len(x)"),
    ("def _neighbours", "min((size - 1) // 2, channels)", "min(size // 2, channels)"),
    ("def relu(", "cp.maximum(x, 0)", "cp.maximum(x, 1)"),
    ("def sgd(", "float(lr), float(momentum)", "float(momentum), float(lr)"),
]


@pytest.fixture(scope="module")
def hunt():
    """What looks for mistakes; it finds none in the kernels as they are."""

    def look(kernels):
        for workspace in (None, 1):  # whole batches, single images
            kernels.use_workspace(workspace)
            check_all(kernels, np.float64)
        tests.test_max_pool_of_integers_and_its_winner_in_the_smallest_type(kernels)
        tests.test_where_all_is_minus_infinity_the_first_real_pixel_wins(kernels)
        tests.test_a_window_that_sees_no_pixel_is_minus_infinity(kernels)
        tests.test_any_exponent_of_the_response_normalisation(kernels, 0.5, np.float64)

    look(cupy_double.load())
    return look


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_every_mutation_is_caught(hunt, mutation):
    mutant = cupy_double.load(*mutation)
    with pytest.raises((AssertionError, TypeError, ValueError, IndexError)):
        hunt(mutant)


# The double notices what the mutations rely on -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cuda():
    return cupy_double.load()


@pytest.mark.parametrize("body, message", [
    ("y[i] = x[i + 1];", "x: index out of bounds"),
    ("y[i] = x[i - 1];", "x: index out of bounds"),
    ("y[i] = x[i]; y[i + 1] = x[i];", "y: "),
    ("y[i / 2] = x[i];", "y: two threads at one element"),
    ("y[i] = x[i]; I big = 2147483647; big += n; y[i] = big;", "add_overflow"),
    ("y[i] = x[i]; I big = 65536; big *= big * n; y[i] = big;", "mul_overflow"),
    ("y[i] = i / (n - 1);", "divrem_overflow"),
])  # fmt: skip
def test_what_a_kernel_must_not_do_is_noticed(cuda, body, message):
    kernel = cuda.threads.Kernel("bad", "raw T x, I n", "raw T y", body)
    with pytest.raises(KernelError, match=rf"bad_int32: {message}"):
        kernel(4, np.ones(4), 1, np.ones(4))


def test_what_a_kernel_does_not_write_is_noticed(cuda):
    y = cuda.threads.cp.empty(4, np.float64)
    cuda.threads.Kernel("lazy", "raw T x", "raw T y", "if (i < 3) y[i] = x[i];")(4, np.ones(4), y)
    assert np.isnan(y).tolist() == [False, False, False, True]


@pytest.mark.parametrize("arguments, size", [
    ((np.ones(3, np.float32), np.ones(3)), None),
    ((np.ones(3), np.ones(4)), None),
    ((np.ones(3), np.ones(3)), 3),
    ((np.ones(3), 2.0), None),
    ((np.ones(3),) * 3, None),
])  # fmt: skip
def test_calls_that_cupy_refuses_are_refused(cuda, arguments, size):
    kernel = ElementwiseKernel("T x", "T y", "y = x", "copy")
    assert np.array_equal(kernel(np.arange(3.0)), np.arange(3.0))
    with pytest.raises((AssertionError, TypeError, ValueError)):
        kernel(*arguments, size=size)
