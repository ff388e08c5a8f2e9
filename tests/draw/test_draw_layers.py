"""Pictures of layers: activations, dead units, histograms over training; read off the pixels and the figures."""

from itertools import pairwise

import numpy as np
import pytest
from drawings import pixels, shade, where

import tinynet as tn
from tinynet import draw, nn
from tinynet.draw.page import HEAD, SHADES

DARK, LIGHT = shade(SHADES, 0.0), shade(SHADES, 1.0)


def said(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def noted(*steps, **layers):
    """A History of steps 0, 10, ...; layers: name -> outputs, one a step."""
    history = tn.History()
    for index, step in enumerate(steps):
        history.note(step, {name: outputs[index] for name, outputs in layers.items()})
    return history


# activations ----------------------------------------------------------------------------------------------------------


def test_maps_are_squares_in_reading_order_in_shades_they_share(tmp_path):
    maps = np.zeros((1, 2, 2, 2))
    maps[0, 0, 0, 1], maps[0, 1, 1, 0] = 1, 2
    picture = pixels(draw.activations(maps, path=tmp_path / "a.png"))[HEAD:, 30:]
    for (y, x), light in {(0, 0): 0, (0, 1): 0.5, (1, 0): 0, (1, 1): 0}.items():
        assert where(picture[56 * y : 56 * y + 56, 56 * x : 56 * x + 56], shade(SHADES, light)).all()
    second = picture[:112, 117:229]
    assert where(second[56:, :56], LIGHT).all() and where(second[:56], DARK).all()
    assert (picture[:112, 112:117] == 255).all(), "a white gap"


def test_zero_is_in_the_middle_of_the_shades_if_anything_is_negative(tmp_path):
    picture = pixels(draw.activations(np.array([[-4.0, 0.0, 2.0]]), path=tmp_path / "a.png"))[HEAD:, 30:]
    assert where(picture[:28, :28], DARK).all() and where(picture[:28, 30:58], shade(SHADES, 0.5)).all()
    assert where(picture[:28, 60:88], shade(SHADES, 0.75)).all()


@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1), (2, 96, 55, 55), (1, 384, 13, 13), (1, 3, 224, 224), (1, 2, 700, 500), (3, 4096), (7,), (5, 4, 9)],
)
def test_any_number_of_maps_of_any_size_fits(shape, tmp_path):
    height, width, _ = pixels(draw.activations(np.random.default_rng(0).random(shape), path=tmp_path / "a.png")).shape
    assert 500 <= width <= 1400 and 200 <= height <= 1100


def test_what_a_watch_saw_is_drawn_under_its_name_and_idle_maps_are_counted():
    net = nn.Sequential(nn.Conv2d(1, 4, 1, bias=False), nn.ReLU())
    net[0].weight.data[:, 0, 0, 0] = [1, -1, 2, -2]
    with tn.watch(net, "1") as seen:
        net(tn.tensor(np.ones((2, 1, 3, 3), np.float32)))
    assert {"1: 4 maps of 3x3", "image 1; 2 of 4 maps nowhere above 0"} <= set(said(draw.activations(seen["1"], image=1)))
    with tn.watch(net, "0") as unseen:
        pass
    with pytest.raises(ValueError, match="activations: 0 has no output to draw: the layer has not been called"):
        draw.activations(unseen["0"])


def test_numbers_that_are_none_are_white_and_counted(tmp_path):
    maps = np.ones((1, 2, 2))
    maps[0, 0, 0], maps[0, 1, 1] = np.nan, np.inf
    picture = pixels(draw.activations(maps, path=tmp_path / "a.png"))[HEAD:, 30:]
    assert (picture[:56, :56] == 255).all() and where(picture[:56, 56:112], LIGHT).all()
    assert "2 NaN or infinite" in said(draw.activations(maps))


@pytest.mark.parametrize("wrong, sentence", [
    (np.zeros((2, 0)), r"expected real numbers \(N, C, h, w\), \(C, h, w\) or \(N, units\), got float64 \(0, 1, 1\)"),
    (np.zeros((1, 1, 1, 1, 1)), r"got float64 \(1, 1, 1, 1, 1\)"),
    (np.zeros((1, 2), complex), "got complex128"),
])  # fmt: skip
def test_activations_of_a_wrong_shape_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=f"^activations: .*{sentence}"):
        draw.activations(wrong)
    with pytest.raises(ValueError, match="activations: image=2 is not one of 2; give 0 to 1"):
        draw.activations(np.ones((2, 3)), image=2)


# dead units -----------------------------------------------------------------------------------------------------------


def test_dead_units_are_lines_in_per_cent_with_a_name_and_a_sample_at_their_ends():
    a, b = np.array([[1.0, 1, 1, -1]]), np.array([[1.0, 0, 0, -1]])
    figure = draw.dead_units(noted(0, 5, first=[a, b], **{"sec{}nd": [a, a]}))
    axes = figure.axes[1]
    curves = [line.get_ydata().tolist() for line in axes.lines if len(line.get_ydata()) == 2]
    assert curves == [[25, 75], [25, 25]]
    assert {"75.0 % first", "25.0 % sec{}nd"} == {text.get_text() for text in axes.texts}
    assert axes.get_xlabel() == "step" and axes.get_ylabel() == "units of the layer, %"
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines]
    assert looks[0] == looks[1] != looks[2] == looks[3], "the sample looks as the line does"


def test_names_of_twenty_lines_that_end_together_stay_apart_and_inside():
    history = noted(0, **{f"layer{i}": [np.zeros((1, 2))] for i in range(20)})
    figure = draw.dead_units(history)
    figure.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in figure.axes[1].texts), key=lambda box: box.y0)
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    assert boxes[0].y0 >= 0 and boxes[-1].y1 <= figure.bbox.height
    styles = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in figure.axes[1].lines}
    assert len(styles) == 20, "no two lines look alike"


# histograms -----------------------------------------------------------------------------------------------------------


def test_each_column_is_the_histogram_of_its_step():
    steps = [np.array([[1.5, 1.5, 0.0, -150.0]]), np.array([[0.0, 0.0, 0.0, 0.0]])]
    axes = draw.histograms(noted(10, 20, layer=steps)).axes[1]
    (mesh,) = axes.collections
    shares = mesh.get_array().filled(0)
    assert shares.shape == (101, 2) and shares.sum(0) == pytest.approx([1, 1])
    assert shares[50].tolist() == [0.25, 1] and shares[50 + 31, 0] == 0.5 and shares[50 - 41, 0] == 0.25
    assert axes.get_xlim() == (5, 25)
    assert [t.get_text() for t in axes.texts] == ["layer"]


def test_ticks_stand_where_the_numbers_are():
    """The bin that begins at a power of ten has its lower edge at that tick."""
    axes = draw.histograms(noted(0, layer=[np.array([[1.0, 0.01, 0.0]])])).axes[1]
    ticks = dict(zip([label.get_text() for label in axes.get_yticklabels()], axes.get_yticks(), strict=True))
    edges = axes.collections[0].get_coordinates()[:, 0, 1]
    assert ticks["1"] == edges[51 + 30] and ticks["0.01"] == edges[51 + 20] and ticks["0"] == 0
    assert not any(text.startswith("\N{MINUS SIGN}") for text in ticks), "no negative numbers, no room for them"


@pytest.mark.parametrize("picture", [draw.dead_units, draw.histograms])
def test_a_history_is_asked_for_and_one_that_is_empty_is_refused(picture):
    with pytest.raises(ValueError, match=f"{picture.__name__}: expected a tn.History, which notes a training, got dict"):
        picture({})
    with pytest.raises(ValueError, match=f"{picture.__name__}: the history has no step yet; call history.note"):
        picture(tn.History())
    picture(noted(0, layer=[np.full((1, 1), np.nan)]))
