"""Pictures are looked at by people; these tests protect what a person could not see, or would see too late."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from drawings import PICTURES, photos, pixels

from tinynet.draw import page
from tinynet.draw.curves import curves
from tinynet.draw.predictions import predictions


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_readable_png_and_the_same_bytes_every_time(name, tmp_path):
    first, second = PICTURES[name](tmp_path / "first.png"), PICTURES[name](str(tmp_path / "second.png"))
    assert first == tmp_path / "first.png" and second == tmp_path / "second.png"
    height, width, _ = pixels(first).shape
    assert 300 <= width <= 1600 and 150 <= height <= 1200
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 400_000
    assert sorted(tmp_path.iterdir()) == [first, second]


def test_a_failed_write_leaves_the_old_picture_and_no_temporary_file(tmp_path, monkeypatch):
    path = PICTURES["kernels"](tmp_path / "picture.png")
    before = path.read_bytes()

    def full_disk(self, file, **_):
        file.write_bytes(b"half a pict")
        raise OSError("no space left on device")

    monkeypatch.setattr(page.Figure, "savefig", full_disk)
    with pytest.raises(OSError, match="no space"):
        PICTURES["curves"](path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_the_users_matplotlib_settings_neither_change_nor_matter(tmp_path):
    plain = PICTURES["curves"](tmp_path / "plain.png").read_bytes()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "savefig.bbox": "tight", "figure.dpi": 50}):
        before = dict(matplotlib.rcParams)
        assert PICTURES["curves"](tmp_path / "dark.png").read_bytes() == plain
        assert dict(matplotlib.rcParams) == before


def test_drawing_never_imports_pyplot(tmp_path):
    program = "import sys; from tinynet.draw.curves import curves; curves([], sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path / "empty.png")]
    root = Path(page.__file__).parents[2]
    modules = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split()
    assert "matplotlib.figure" in modules and "matplotlib.pyplot" not in modules


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'picture.pdf' should end in .png"):
        curves([], tmp_path / "picture.pdf")


def test_difficult_names_give_a_picture_and_no_warning(tmp_path):
    names = ["日本語の猫", "قطة", "no $\\frac$ here", "two\nlines", "", "🐈", "x" * 300, os.fsdecode(b"caf\xe9")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for label in range(len(names)):
            predictions(photos(1), [label], np.eye(len(names))[[label]], names, tmp_path / "p.png")
    assert not caught


def test_long_names_end_in_an_ellipsis_within_their_place():
    _, axes = page.new_page(400, 400)
    for name in ("W" * 200, "Arabian camel, dromedary, Camelus dromedarius, ship of the desert", "a " * 90):
        text = page.fit(axes, name, 150, fontsize=8)
        assert text.endswith("…")
        assert axes.text(0, 0, text, fontsize=8).get_window_extent().width <= 150
    assert page.fit(axes, "Arabian camel, dromedary, ship of the desert", 150, fontsize=8) == "Arabian camel, …"
    assert page.fit(axes, "cat", 150, fontsize=8) == "cat"
