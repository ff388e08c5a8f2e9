"""A history of layers: dead units are those that were never above 0, and every number is in the bin of its size."""

import numpy as np
import pytest

import tinynet as tn
from tinynet import nn


def test_a_channel_is_dead_if_it_is_above_0_for_no_image_and_at_no_place():
    maps = np.full((2, 4, 3, 3), -1.0)
    maps[0, 1, 2, 2], maps[1, 2] = 1e-9, 0
    history = tn.History()
    history.note(0, {"maps": maps, "units": maps[:, :, 2, 2]})
    history.note(10, {"maps": -maps, "units": np.full((1, 4), np.nan)})
    assert history.steps == [0, 10] and history.dead == {"maps": [0.75, 0.0], "units": [0.75, 1.0]}


def test_counts_are_by_sign_and_magnitude_five_bins_a_decade():
    history = tn.History()
    values = np.array([[0.0, 1e-7, -1e-9, 1e-6, 0.999, 1.0, -1.0, 1e9, -np.inf, np.nan]])
    history.note(0, {"a": values})
    counts, b = history.counts["a"][0], 50
    assert counts.shape == (2 * b + 1,) and counts.sum() == 9
    assert counts[b] == 3 and counts[b + 1] == 1 and counts[b + 30] == counts[b + 31] == counts[b - 31] == 1
    assert counts[-1] == counts[0] == 1
    assert history.edges[30] == pytest.approx(1) and history.edges[35] == pytest.approx(10)


def test_it_takes_what_a_watch_saw():
    net, history = nn.Sequential(nn.Linear(2, 3, rng=0), nn.ReLU()), tn.History()
    for step in range(3):
        with tn.watch(net, "1") as seen:
            net(tn.tensor(np.ones((4, 2), np.float32) * step))
        history.note(step, seen)
    assert history.steps == [0, 1, 2] and len(history.dead["1"]) == len(history.counts["1"]) == 3


@pytest.mark.parametrize("step, seen, sentence", [
    (2, {"b": np.ones((1, 1))}, "expected the layers a as before, got b"),
    (1, {"a": np.ones((1, 1))}, "step 1 is not after step 1, the last one noted"),
    (2, {"a": np.ones(3)}, r"expected an output \(N, C, ...\) of a, got shape \(3,\)"),
    (2, {"a": np.ones((0, 3))}, r"got shape \(0, 3\)"),
    (2, {"a": None}, "got nothing, because it was not called"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_is_added(step, seen, sentence):
    history = tn.History()
    history.note(1, {"a": np.ones((1, 1))})
    with pytest.raises(tn.UsageError, match=f"History: .*{sentence}"):
        history.note(step, seen)
    assert history.steps == [1] and len(history.dead["a"]) == 1
