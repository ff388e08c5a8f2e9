"""Pictures are looked at by people; these tests protect what a person could not see, or would see too late."""

import json
import subprocess
import sys
import warnings
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tinynet import draw


def pixels(path):
    """The picture at `path` as uint8 (H, W, 3)."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def where(picture, colour):
    """Mask (H, W) of the pixels that have exactly this colour, "#rrggbb"."""
    return (picture == [int(colour[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)


def training_log(epochs=4, steps=25, drop=2):
    """A plausible log: `steps` steps an epoch, steps counted from 0, ten times less lr from epoch `drop` on."""
    rng, records = np.random.default_rng(0), []
    for step in range(epochs * steps):
        epoch, lr = step // steps, 0.01 if step // steps < drop else 0.001
        loss = 1 + 2 * np.exp(-step / steps) + 0.1 * rng.standard_normal()
        records.append({"kind": "step", "step": step, "epoch": epoch, "loss": loss, "lr": lr, "images_per_second": 800})
        if step % steps == steps - 1:
            row = {"kind": "epoch", "epoch": epoch, "step": step, "lr": lr, "seconds": 9.1, "train_loss": loss}
            error = loss / 4
            row |= {"train_error": error, "val_loss": loss + 0.1, "val_error": error + 0.1, "val_top5_error": error / 3}
            records.append(row)
    return records


def photos(count, side=16):
    return np.random.default_rng(1).integers(0, 256, (count, 3, side, side), np.uint8)


def towers(*counts, side=11):
    return [np.random.default_rng(2).standard_normal((count, 3, side, side)).astype(np.float32) for count in counts]


PICTURES = {
    "curves": lambda path: draw.curves(training_log(), path),
    "kernels": lambda path: draw.kernels(towers(12, 12), path, title="conv1"),
    "predictions": lambda path: draw.predictions(photos(2), [0, 1], np.eye(2, 6), list("abcdef"), path),
}


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

    monkeypatch.setattr(draw.Figure, "savefig", full_disk)
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
    program = "import sys; from tinynet import draw; draw.curves([], sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path / "empty.png")]
    root = Path(draw.__file__).parents[1]
    modules = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split()
    assert "matplotlib.figure" in modules and "matplotlib.pyplot" not in modules


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'picture.pdf' should end in .png"):
        draw.curves([], tmp_path / "picture.pdf")


# Curves: what is drawn is read off the figure, by the texts and lines that it holds when it is written.


@pytest.fixture
def panels(tmp_path, monkeypatch):
    """A function from records to the two axes (loss, error) of the figure that `curves` writes."""
    figures = []
    write = draw._write
    monkeypatch.setattr(draw, "_write", lambda figure, path: figures.append(figure) or write(figure, path))

    def drawn(records):
        path = draw.curves(records, tmp_path / "curves.png")
        assert pixels(path).shape == (600, 1560, 3)
        return figures[-1].axes[1:]

    return drawn


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_curves_name_each_line_and_its_last_value(panels):
    loss, error = panels(training_log())
    last = training_log()[-1]
    assert f"{last['val_loss']:#.3g} validation" in texts(loss)
    assert any(text.endswith(" training") for text in texts(loss))
    assert {
        f"{100 * last['train_error']:.1f} % training",
        f"{100 * last['val_error']:.1f} % validation",
        f"{100 * last['val_top5_error']:.1f} % validation, top 5",
    } <= set(texts(error))


def test_labels_of_lines_that_end_together_do_not_overlap(panels):
    records = training_log()
    for record in records:
        if record["kind"] == "epoch":
            record |= {"train_error": 0.5, "val_error": 0.5, "val_top5_error": 0.5}
    _, error = panels(records)
    boxes = [text.get_window_extent() for text in error.texts if "%" in text.get_text() and text.get_text() != "Error, %"]
    boxes.sort(key=lambda box: box.y0)
    assert len(boxes) == 3 and all(low.y1 <= high.y0 for low, high in pairwise(boxes))


def test_a_drop_of_the_learning_rate_is_marked_where_it_happened_on_both_panels(panels):
    for axes in panels(training_log(epochs=4, steps=25, drop=2)):
        assert {"lr 0.01", "lr 0.001"} <= set(texts(axes))
        hairlines = [line.get_xdata()[0] for line in axes.lines if line.get_zorder() == 0.5]
        assert hairlines == pytest.approx([2], abs=0.05)


def test_a_learning_rate_that_falls_at_every_step_is_not_a_thicket_of_hairlines(panels):
    records = training_log()
    for record in records:
        record["lr"] = 0.5 ** record["step"]
    loss, _ = panels(records)
    assert [text for text in texts(loss) if text.startswith("lr")] == ["lr 1"]


def test_curves_count_epochs_and_a_partial_epoch_reaches_between_two(panels):
    records = training_log(epochs=4, steps=25)
    loss, error = panels([record for record in records if record["step"] < 90])
    assert loss.get_xlabel() == error.get_xlabel() == "epoch"
    assert loss.get_xlim() == error.get_xlim() == pytest.approx((0, 3.6), abs=0.06)
    assert list(error.lines[0].get_xdata()) == [1, 2, 3]


def test_curves_count_steps_while_no_epoch_has_ended(panels):
    loss, error = panels(training_log()[:10])
    assert loss.get_xlabel() == "step" and loss.get_xlim() == (0, 9)
    assert "no epoch finished yet" in texts(error)


def test_a_resumed_run_replaces_the_steps_and_epochs_it_repeats(panels):
    records = training_log(epochs=4, steps=25)
    killed, resumed = records[:-5], [record for record in records if record["step"] >= 50]
    for wanted, got in zip(panels(records), panels(killed + resumed), strict=True):
        for line, again in zip(wanted.lines, got.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), again.get_xydata())
    fresh = [record for record in resumed if record["step"] < 60]
    loss, error = panels(killed + fresh)
    assert loss.get_xlim()[1] < 2.5 and list(error.lines[0].get_xdata()) == [1, 2]


def test_a_log_that_starts_late_keeps_its_epoch_numbers(panels):
    loss, _ = panels([record for record in training_log(epochs=4, steps=25) if record["step"] >= 50])
    assert loss.get_xlim() == (2, 4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, None])
def test_a_loss_that_is_no_number_is_reported_with_its_place(panels, bad):
    records = training_log()
    records[60]["loss"] = bad
    loss, _ = panels(records)
    assert any(text.startswith("loss NaN or infinite at epoch 2.") for text in texts(loss))


def test_an_exploding_loss_does_not_flatten_what_went_before(panels):
    records = training_log()
    for exponent, record in enumerate(records[-12:-1]):
        record["loss"] = 10.0 ** (3 * exponent)
    loss, _ = panels(records)
    assert loss.get_ylim()[1] < 20
    assert "1.00e+30 training" in texts(loss)


def test_smoothing_leaves_a_constant_alone_and_gaps_are_gaps():
    loss = np.full(500, 2.0)
    loss[100:110] = np.nan
    np.testing.assert_allclose(draw._smooth(loss), loss)
    assert draw._smooth(np.array([3.0])) == 3


@pytest.mark.parametrize(
    "records",
    [
        [],
        training_log()[:1],
        [training_log()[0] | {"loss": float("nan")}],
        [training_log()[0] | {"loss": 0.0, "lr": 0.0}],
        [{"kind": "step", "step": 0, "epoch": 0}],
        [{"kind": "epoch", "epoch": 0, "step": 0}],
        [{"kind": "epoch", "epoch": 3, "step": 99, "val_error": None, "train_loss": float("inf")}],
        [record for record in training_log() if record["kind"] == "epoch"],
        [record for record in training_log(epochs=3, steps=1)],
        [{"kind": "start", "recipe": "paper"}],
    ],
    ids=["nothing", "step", "nan", "zero", "bare step", "bare epoch", "no values", "epochs", "1-step epochs", "other"],
)
def test_a_degenerate_log_still_gives_a_picture(panels, records):
    panels(json.loads(json.dumps(records)))


def test_half_a_million_steps_are_thinned_without_losing_a_spike(panels):
    steps = 500_000
    records = [{"kind": "step", "step": i, "epoch": i // 5000, "loss": 2.0, "lr": 0.01} for i in range(steps)]
    records[123_456]["loss"] = 5.0
    records += [{"kind": "epoch", "epoch": 99, "step": steps - 1, "val_loss": 2.5}]
    loss, _ = panels(records)
    assert all(len(line.get_xdata()) <= 1500 for line in loss.lines)
    assert max(np.nanmax(line.get_ydata()) for line in loss.lines) == 5


def test_a_record_without_its_step_is_named(tmp_path):
    with pytest.raises(ValueError, match="record 1 needs numbers 'step' and 'epoch'"):
        draw.curves([training_log()[0], {"kind": "step", "epoch": 0}], tmp_path / "unused.png")


# Kernels


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


# Predictions


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


def test_difficult_names_give_a_picture_and_no_warning(tmp_path):
    names = ["日本語の猫", "قطة", "no $\\frac$ here", "two\nlines", "", "🐈", "x" * 300]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for label in range(len(names)):
            draw.predictions(photos(1), [label], np.eye(7)[[label]], names, tmp_path / "p.png")
        draw.kernels(towers(1), tmp_path / "k.png", title="日本 $\\frac$")
    assert not caught


def test_long_names_end_in_an_ellipsis_within_their_place():
    _, axes = draw._page(400, 400)
    for name in ("W" * 200, "Arabian camel, dromedary, Camelus dromedarius, ship of the desert", "a " * 90):
        text = draw._fit(axes, name, 150, fontsize=8)
        assert text.endswith("…")
        assert axes.text(0, 0, text, fontsize=8).get_window_extent().width <= 150
    assert draw._fit(axes, "Arabian camel, dromedary, ship of the desert", 150, fontsize=8) == "Arabian camel, …"
    assert draw._fit(axes, "cat", 150, fontsize=8) == "cat"


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
