"""Pictures of answers: neighbours, saliency, confusion; what is drawn is what was given, and wrong shapes are refused."""

import numpy as np
import pytest
from drawings import photos, pixels, shade, where

from tinynet import draw
from tinynet.draw.confusion import SHADES as BLUES
from tinynet.draw.page import HEAD, SHADES


def said(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


# neighbours -----------------------------------------------------------------------------------------------------------


def test_each_row_has_its_image_and_its_neighbours_in_their_order(tmp_path):
    images = photos(5, 32)
    picture = pixels(draw.neighbours(images, [4, 0], [[1, 2], [3, 0]], path=tmp_path / "n.png"))
    for row, numbers in enumerate(([4, 1, 2], [0, 3, 0])):
        y = HEAD + 26 + row * (128 + 14)
        for number, x in zip(numbers, (30, 30 + 128 + 44, 30 + 2 * 128 + 44 + 14), strict=True):
            expected = np.kron(images[number].transpose(1, 2, 0), np.ones((4, 4, 1), np.uint8))
            np.testing.assert_array_equal(picture[y : y + 128, x : x + 128], expected)


def test_names_and_distances_stand_below_and_those_of_the_same_class_are_bold():
    figure = draw.neighbours(photos(3), 0, [1, 2], [0.5, 12.25], [0, 0, 1], ["cat", "dog"])
    bold = {text.get_text() for text in figure.axes[0].texts if text.get_fontweight() == "bold"}
    assert bold == {"Nearest neighbours", "cat"}
    assert {"dog", "distance 0.5", "distance 12.2"} <= set(said(figure))
    assert "Of these 2, 1 are of the same class" in figure.alt


def test_images_asked_about_may_be_others_than_their_neighbours(tmp_path):
    images, queries = np.zeros((2, 3, 16, 16), np.uint8), np.full((1, 3, 64, 64), 200, np.uint8)
    picture = pixels(draw.neighbours(images, [0], [[1]], queries=queries, path=tmp_path / "n.png"))
    assert (picture[HEAD + 26 : HEAD + 26 + 128, 30 : 30 + 128] == 200).all()


@pytest.mark.parametrize("change, sentence", [
    ({"images": photos(3).astype(float)}, r"images must be uint8 \(n, 3, s, s\), got float64 \(3, 3, 16, 16\)"),
    ({"queries": photos(1)[:, :2], "labels": None}, r"queries must be uint8 \(n, 3, s, s\), got uint8 \(1, 2, 16, 16\)"),
    ({"neighbours": [[1]]}, r"a row for each, got \(2,\) and \(1, 1\)"),
    ({"index": [0, 3]}, r"index must be integers in 0..2, got \[0, 3\]"),
    ({"neighbours": [[1], [-1]]}, r"neighbours must be integers in 0..2"),
    ({"neighbours": [[1.0], [1.0]]}, r"neighbours must be integers"),
    ({"distances": [1.0]}, r"distances must have the neighbours' shape \(2, 1\), got \(1, 1\)"),
    ({"labels": [0, 1]}, r"labels must be 3 integers in 0..1, one for each of the images, .* got labels int64 \(2,\)"),
    ({"labels": [0, 1, 2]}, r"labels must be 3 integers in 0..1"),
    ({"queries": photos(3)}, "of queries there are none"),
])  # fmt: skip
def test_neighbours_that_do_not_fit_are_refused(change, sentence):
    given = dict(images=photos(3), index=[0, 1], neighbours=[[1], [2]], labels=[0, 1, 0], classes=["a", "b"])
    with pytest.raises(ValueError, match=f"^neighbours: .*{sentence}"):
        draw.neighbours(**(given | change))


# saliency -------------------------------------------------------------------------------------------------------------


def test_a_pixel_is_as_light_as_the_largest_gradient_of_its_colours_is_large(tmp_path):
    image, gradient = photos(1, 20)[0], np.zeros((3, 20, 20))
    gradient[0, 2, 3], gradient[1, 2, 3], gradient[2, 5, 6] = 0.1, -1, 0.5
    gradient[0, 10:] = 1
    picture = pixels(draw.saliency(image, gradient, path=tmp_path / "s.png"))
    left, right = (picture[HEAD + 26 : HEAD + 326, x : x + 300] for x in (30, 370))
    np.testing.assert_array_equal(left, np.kron(image.transpose(1, 2, 0), np.ones((15, 15, 1), np.uint8)))
    lights = {(2, 3): 1.0, (5, 6): 0.5, (12, 0): 1.0, (0, 0): 0.0}
    for (y, x), light in lights.items():
        assert where(right[15 * y : 15 * y + 15, 15 * x : 15 * x + 15], shade(SHADES, light)).all()


def test_one_enormous_gradient_does_not_darken_all_others(tmp_path):
    gradient = np.ones((3, 64, 64))
    gradient[:, 0, 0] = 1e6
    picture = pixels(draw.saliency(photos(1, 64)[0], gradient, path=tmp_path / "s.png"))
    assert where(picture, shade(SHADES, 1.0)).sum() > 320 * 320 * 0.99
    assert "row 0, column 0" in draw.saliency(photos(1, 64)[0], gradient).alt
    draw.saliency(photos(1, 64)[0], np.zeros((3, 64, 64)))


@pytest.mark.parametrize("image, gradient, sentence", [
    (photos(1), np.zeros((1, 3, 16, 16)), r"image must be uint8 \(3, s, s\), got uint8 \(1, 3, 16, 16\)"),
    (photos(1)[0].astype(float), np.zeros((3, 16, 16)), "image must be uint8"),
    (photos(1)[0], np.zeros((3, 16, 8)),
     r"gradient must be real, in the image's shape \(3, 16, 16\), got float64 \(3, 16, 8\)"),
    (photos(1)[0], np.full((3, 16, 16), np.nan), "the gradient has NaN or infinite numbers; expected finite ones"),
])  # fmt: skip
def test_a_saliency_that_does_not_fit_is_refused(image, gradient, sentence):
    with pytest.raises(ValueError, match=f"^saliency: {sentence}"):
        draw.saliency(image, gradient)


# confusion ------------------------------------------------------------------------------------------------------------


def test_cells_are_as_dark_as_their_share_of_the_row_and_hold_their_numbers(tmp_path):
    matrix, names = [[3, 1, 0], [0, 10, 0], [0, 0, 0]], ["a", "b", "c"]
    figure = draw.confusion(matrix, names)
    assert {"3", "1", "10", "75% of 4", "100% of 10", "no images"} <= set(said(figure)) and "0" not in said(figure)
    assert "Confusion: 13 of 14 images right (92.9%)" in said(figure)
    assert "1 images of a are taken for b" in figure.alt
    picture = pixels(draw.confusion(matrix, names, tmp_path / "c.png"))
    left, top = 89, HEAD + 49
    for (i, j), share in {(0, 0): 0.75, (0, 1): 0.25, (0, 2): 0, (1, 1): 1, (2, 2): 0}.items():
        inside = picture[top + 64 * i + 8 : top + 64 * i + 16, left + 64 * j + 8 : left + 64 * j + 16]
        assert where(inside, shade(BLUES, share)).all()


@pytest.mark.parametrize("count", [1, 2, 16, 17, 60, 61, 300])
def test_any_number_of_classes_fits(count, tmp_path):
    names = [f"a class with the number {i}" for i in range(count)]
    height, width, _ = pixels(draw.confusion(np.eye(count, dtype=int), names, tmp_path / "c.png")).shape
    assert width <= 3000 and height <= 2800 and min(height, width) >= 300


@pytest.mark.parametrize("matrix, sentence", [
    (np.zeros((2, 3)), r"matrix must be \(2, 2\), a row and a column a class, got \(2, 3\)"),
    ([[0.5, 0.5], [0, 1]], "matrix must be whole numbers of images, none below 0; give counts, not shares"),
    ([[-1, 2], [0, 1]], "none below 0"),
    ([[np.nan, 2], [0, 1]], "whole numbers"),
])  # fmt: skip
def test_a_matrix_that_is_no_confusion_is_refused(matrix, sentence):
    with pytest.raises(ValueError, match=f"^confusion: .*{sentence}"):
        draw.confusion(matrix, ["a", "b"])
    draw.confusion(np.zeros((2, 2)), ["a", "b"])
