"""Figures: what a picture is without a path, and that it looks the same in a notebook as when it is written."""

import subprocess
import sys
from io import BytesIO

import matplotlib
import numpy as np
import pytest
from drawings import PICTURES, pixels, towers, where
from matplotlib.figure import Figure
from PIL import Image

from tinynet import draw
from tinynet.draw import page

BORDER = round(0.1 * page.DPI)  # what a notebook adds around a figure that it crops


def shown(figure, **kwargs):
    """The picture that IPython's inline backend makes of a figure, uint8 (H, W, 3)."""
    pylabtools = pytest.importorskip("IPython.core.pylabtools")
    return np.asarray(Image.open(BytesIO(pylabtools.print_figure(figure, **kwargs))).convert("RGB"))


@pytest.mark.parametrize("name", PICTURES)
def test_without_a_path_a_picture_is_a_figure_that_says_what_is_to_be_seen(name):
    figure = PICTURES[name](None)
    assert isinstance(figure, Figure)
    assert len(figure.alt) > 30 and figure.alt.endswith(".") and "  " not in figure.alt and "\n" not in figure.alt


def test_every_picture_is_among_those_that_are_tested_here():
    assert sorted(PICTURES) == draw.__all__


@pytest.mark.parametrize("name", PICTURES)
def test_a_notebook_shows_what_would_be_written_with_a_white_border(name, tmp_path):
    written, seen = pixels(PICTURES[name](tmp_path / "a.png")), shown(PICTURES[name](None))
    height, width, _ = written.shape
    assert seen.shape == (height + 2 * BORDER, width + 2 * BORDER, 3)
    inside = np.zeros(seen.shape[:2], bool)
    inside[BORDER:-BORDER, BORDER:-BORDER] = True
    np.testing.assert_array_equal(seen[inside].reshape(written.shape), written)
    assert (seen[~inside] == 255).all()


def test_a_notebook_without_pyplot_shows_the_very_bytes_and_the_words(tmp_path):
    path = draw.kernels(towers(3), tmp_path / "a.png")
    figure = draw.kernels(towers(3))
    assert figure._repr_png_() == (path.read_bytes(), {"alt": figure.alt})


def test_pixels_stay_squares_where_they_belong_when_a_notebook_doubles_them():
    weight = np.zeros((1, 3, 2, 2))
    weight[0, 0, 0, 0] = weight[0, 1, 1, 1] = 1
    once, twice = (shown(draw.kernels([weight]), fmt=form) for form in ("png", "retina"))
    assert twice.shape == (2 * once.shape[0], 2 * once.shape[1], 3)
    red, twice_red = where(once, "#ff8080"), where(twice, "#ff8080")
    assert red.sum() == 80 * 80
    np.testing.assert_array_equal(twice_red, red.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("name", PICTURES)
def test_a_figure_does_not_care_for_the_settings_of_the_moment_at_which_it_is_shown(name, tmp_path):
    written, figure = PICTURES[name](tmp_path / "a.png").read_bytes(), PICTURES[name](None)
    settings = {"font.size": 20, "xtick.color": "red", "axes.unicode_minus": False, "text.hinting": "none"}
    with matplotlib.rc_context({**settings, "savefig.bbox": "tight"}):
        before = dict(matplotlib.rcParams)
        assert figure._repr_png_()[0] == written
        assert dict(matplotlib.rcParams) == before


def test_drawing_figures_imports_no_pyplot_and_chooses_no_backend():
    program = """
import sys, matplotlib
before = dict(matplotlib.rcParams.copy())
from tinynet import draw
draw.curves([])
assert dict(matplotlib.rcParams.copy()) == before
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
