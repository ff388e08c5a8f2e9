"""Convolution as the books have it: against the formula as loops, the fast kernels, and by hand."""

import numpy as np
import pytest
from kernel_calls import CONVOLUTIONS, DTYPES, MORE_CONVOLUTIONS, TOLERANCE, check, conv_calls, results
from oracles import assert_close, normal

from tinynet.kernels import cpu, textbook

CASES = CONVOLUTIONS + MORE_CONVOLUTIONS


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_and_both_gradients_are_the_formula(case, dtype):
    check(conv_calls(case, dtype), dtype, textbook)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_fast_kernels_compute_the_same(case, dtype):
    for name, arguments in conv_calls(case, dtype):
        assert_close(results(name, arguments, cpu)[0], results(name, arguments, textbook)[0], TOLERANCE[dtype], name)


def test_columns_are_windows_in_reading_order():
    columns = textbook.im2col(np.arange(12.0).reshape(1, 1, 3, 4), (2, 2), (1, 1), (0, 0), (1, 1))
    windows = [[0, 1, 4, 5], [1, 2, 5, 6], [2, 3, 6, 7], [4, 5, 8, 9], [5, 6, 9, 10], [6, 7, 10, 11]]
    assert columns[0].T.tolist() == windows


def test_pixels_get_the_sum_of_their_places_in_the_columns():
    counts = textbook.col2im(np.ones((1, 4, 6)), (1, 1, 3, 4), (2, 2), (1, 1), (0, 0), (1, 1))
    assert counts[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [1, 2, 2, 1]]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_col2im_is_the_adjoint_of_im2col(case):
    x_shape, w_shape, *windows, _ = case
    x = normal(*x_shape)
    columns = textbook.im2col(x, w_shape[2:], *windows)
    others = normal(*columns.shape, seed=1)
    pixels = textbook.col2im(others, x_shape, w_shape[2:], *windows)
    assert pixels.shape == x.shape
    assert_close((columns * others).sum(), (x * pixels).sum(), 1e-12)
