"""Kernels: each is seen weight by weight, scaled by itself, in the order and the towers of the paper."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from drawings import pixels, towers, where

from tinynet.draw import kernels

draw = sys.modules[kernels.__module__]


def blocks_of(picture):
    """Height ranges of the rows of pictures in the column of the first kernel, below the label."""
    inked = (picture[:, 30:96] != 255).any(-1).all(1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inked.astype(int), [0]])))
    return list(zip(edges[::2], edges[1::2], strict=True))


def test_a_red_kernel_is_red_and_zero_is_mid_grey(tmp_path):
    weight = np.zeros((2, 3, 3, 3))
    weight[0, 0] = 0.02
    picture = pixels(draw.kernels([weight], tmp_path / "kernels.png"))
    (top, _), side = blocks_of(picture)[0], 3 * (160 // 3)
    assert (picture[top : top + side, 30 : 30 + side] == [255, 128, 128]).all()
    assert (picture[top : top + side, 30 + side + 6 : 30 + 2 * side + 6] == 128).all()
    assert (picture[top : top + side, 30 + side : 30 + side + 6] == 255).all(), "a white gap between the two"


def test_weights_are_crisp_squares_in_reading_order_with_channels_as_rgb(tmp_path):
    weight = np.zeros((1, 3, 2, 2))
    weight[0, 0, 0, 0] = weight[0, 1, 0, 1] = weight[0, 2, 1, 0] = 1
    weight[0, :, 1, 1] = -1
    picture = pixels(draw.kernels(list(weight[None]), tmp_path / "kernels.png"))
    top, bottom = blocks_of(picture)[0]
    assert bottom - top == 160
    squares = [[255, 128, 128], [128, 255, 128], [128, 128, 255], [0, 0, 0]]
    for (y, x), colour in zip(np.ndindex(2, 2), squares, strict=True):
        square = picture[top + 80 * y : top + 80 * (y + 1), 30 + 80 * x : 30 + 80 * (x + 1)]
        assert (square == colour).all()


def test_each_kernel_is_scaled_by_itself():
    small, large = (draw._shades(scale * towers(1)[0][0]) for scale in (1e-12, 1e6))
    np.testing.assert_array_equal(small, large)
    assert small.max() == 255 or small.min() == 0
    assert draw._shades(np.float16([60000, -60000, 0]).reshape(3, 1, 1)).ravel().tolist() == [255, 0, 128]


def test_towers_are_separate_blocks_with_the_papers_sixteen_a_row(tmp_path):
    rows = blocks_of(pixels(draw.kernels(towers(48, 48), tmp_path / "kernels.png")))
    assert len(rows) == 6 and all(bottom - top == 66 for top, bottom in rows)
    gaps = [below - above for (_, above), (below, _) in pairwise(rows)]
    assert gaps[:2] == gaps[3:] == [6, 6] and gaps[2] > 40


@pytest.mark.parametrize("counts", [(1,), (5,), (17,), (96,), (1, 96), (12, 7), (3, 3, 3)])
def test_any_number_of_kernels_fits(counts, tmp_path):
    height, width, _ = pixels(draw.kernels(towers(*counts), tmp_path / "kernels.png")).shape
    assert 400 <= width <= 1300 and 150 <= height <= 1300


def test_broken_and_constant_kernels_are_drawn_and_the_broken_ones_counted(tmp_path):
    weight = towers(4, side=5)[0]
    weight[0], weight[1, 0, 0, 0], weight[2, 0, 0, 0], weight[3] = np.nan, np.nan, np.inf, 0.3
    assert (draw._shades(weight[0]) == 128).all() and (draw._shades(weight[3]) == 255).all()
    assert draw._shades(weight[1])[0, 0, 0] == 128 and draw._shades(weight[1]).std() > 20
    alarm = where(pixels(draw.kernels([weight], tmp_path / "broken.png")), draw.ALARM)
    assert alarm.any()
    assert not where(pixels(draw.kernels([weight[3:]], tmp_path / "constant.png")), draw.ALARM).any()


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        [np.zeros((4, 1, 3, 3))],
        [np.zeros((0, 3, 3, 3))],
        np.zeros((4, 3, 3, 3)),
        [np.zeros((1, 3, 3, 3))] * 1 + towers(1),
    ],
    ids=["none", "grey", "empty", "no list", "two sizes"],
)
def test_kernels_of_a_wrong_shape_are_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match=r"kernels: towers must be a list of arrays \(K, 3, h, w\)"):
        draw.kernels(wrong, tmp_path / "unused.png")
