"""Predictions: the image pixel by pixel, a bar for each of the likeliest classes, and the right one in its colour."""

import sys

import numpy as np
import pytest
from drawings import photos, pixels, where

from tinynet.draw import predictions

draw = sys.modules[predictions.__module__]


def bars(path):
    """(right, others): for each, the bars from above as (top, first column, length) in pixels."""
    picture, found = pixels(path), []
    for colour in (draw.RIGHT, draw.WRONG):
        mask = where(picture, colour)
        # The first and last line of a bar are free of type, which would break the run.
        above = np.zeros_like(mask)
        above[1:] = mask[:-1]
        starts = mask & ~above
        rows = [row for row in range(len(mask)) if starts[row].any() and mask[row : row + 20, :].any(1).all()]
        found.append([(row, int(mask[row].argmax()), int(mask[row].sum())) for row in rows])
    return found


def test_the_right_class_has_the_orange_bar_and_lengths_are_probabilities(tmp_path):
    probability = np.array([[0.05, 0.5, 0.02, 0.25, 0.125, 0.03, 0.025]])
    path = draw.predictions(photos(1), [3], probability, list("abcdefg"), tmp_path / "predictions.png")
    right, others = bars(path)
    first = 30 + 256 + 40
    assert right == [(first + 28, 30, 64)]
    assert others == [(first, 30, 128), (first + 56, 30, 32), (first + 84, 30, 13), (first + 112, 30, 8)]


def test_no_bar_is_orange_when_the_right_class_is_not_among_the_five_or_unknown(tmp_path):
    probability = np.array([[0.3, 0.2, 0.2, 0.1, 0.1, 0.1]])
    for labels in ([5], None, [None]):
        right, others = bars(draw.predictions(photos(1), labels, probability, list("abcdef"), tmp_path / "p.png"))
        assert right == [] and len(others) == 5


@pytest.mark.parametrize("side, zoom", [(16, 16), (28, 9), (64, 4), (100, 3), (224, 1)])
def test_an_image_is_shown_pixel_by_pixel(side, zoom, tmp_path):
    image = photos(5, side)
    picture = pixels(draw.predictions(image, None, np.ones((5, 1)), ["a"], tmp_path / "p.png", columns=3))
    x, y = 30 + side * zoom + 34, 30 + side * zoom + 40 + 28 + 34
    shown = picture[y : y + side * zoom, x : x + side * zoom]
    np.testing.assert_array_equal(shown, np.kron(image[4].transpose(1, 2, 0), np.ones((zoom, zoom, 1), np.uint8)))


@pytest.mark.parametrize("side", [1, 28, 64, 100, 224, 300, 500, 1024])
def test_images_of_any_side_fill_their_place(side, tmp_path):
    image = np.zeros((1, 3, side, side), np.uint8)
    picture = pixels(draw.predictions(image, None, np.ones((1, 1)), ["a"], tmp_path / "p.png"))
    shown = picture.shape[1] - 60
    assert 200 <= shown <= 320 and (picture[30 : 30 + shown, 30 : 30 + shown] == 0).all()


@pytest.mark.parametrize("count, columns", [(1, 4), (3, 2), (5, 4), (16, 4), (2, 1)])
def test_images_stand_in_rows_of_columns(count, columns, tmp_path):
    path = draw.predictions(photos(count), None, np.full((count, 3), 1 / 3), ["a", "b", "c"], tmp_path / "p.png", columns)
    height, width, _ = pixels(path).shape
    across, down = min(columns, count), -(-count // columns)
    assert (width, height) == (across * 290 + 26, down * (256 + 40 + 3 * 28 + 34) + 26)


def test_probabilities_that_are_nan_come_last_and_break_nothing(tmp_path):
    right, others = bars(draw.predictions(photos(1), [0], [[np.nan, 0.5, 0.25]], list("abc"), tmp_path / "p.png"))
    assert right == [] and [length for *_, length in others] == [128, 64]
    draw.predictions(photos(1), [0], np.full((1, 3), np.nan), list("abc"), tmp_path / "p.png")


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"images": photos(2).astype(np.float32)},
            r"images must be uint8 \(n, 3, s, s\), got float32 \(2, 3, 16, 16\)",
        ),
        ({"images": photos(2)[:, :1]}, "images must be uint8"),
        ({"images": photos(2)[..., :8]}, "images must be uint8"),
        ({"images": photos(0)}, "images must be uint8"),
        ({"labels": [0]}, "labels must be 2 numbers in 0..2 or None"),
        ({"labels": [0, 3]}, "labels must be 2 numbers in 0..2 or None"),
        ({"labels": [-1, 0]}, "labels must be 2 numbers in 0..2 or None"),
        ({"probabilities": np.zeros((2, 4))}, r"one column for each of 3 classes, got shape \(2, 4\)"),
        ({"probabilities": np.full((2, 3), 7.0)}, "apply softmax to logits first"),
        ({"columns": 0}, "columns must be at least 1, got 0"),
    ],
)
def test_predictions_of_a_wrong_shape_are_refused(change, message, tmp_path):
    given = {"images": photos(2), "labels": [0, 1], "probabilities": np.full((2, 3), 0.3), "classes": list("abc")}
    with pytest.raises(ValueError, match=f"predictions: .*{message}"):
        draw.predictions(**(given | change), path=tmp_path / "unused.png")


def test_a_large_image_is_averaged_not_sampled(tmp_path):
    image = np.zeros((1, 3, 512, 512), np.uint8)
    image[..., ::2, ::2] = image[..., 1::2, 1::2] = 200
    picture = pixels(draw.predictions(image, None, np.ones((1, 1)), ["a"], tmp_path / "p.png"))
    assert (picture[30:286, 30:286] == 100).all()
