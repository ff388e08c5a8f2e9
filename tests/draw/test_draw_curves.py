"""Curves: what is drawn is read off the figure, by the texts and lines that it holds when it is written."""

import json
import sys
from itertools import pairwise

import numpy as np
import pytest
from drawings import pixels, training_log

from tinynet.draw import curves

draw = sys.modules[curves.__module__]


@pytest.fixture
def panels(tmp_path):
    """A function from records to the two axes (loss, error) of the figure that `curves` draws."""

    def drawn(records):
        assert pixels(curves(records, tmp_path / "curves.png")).shape == (600, 1560, 3)
        return curves(records).axes[1:]

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
