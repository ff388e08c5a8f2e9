"""Batches: decided by seeds alone, whoever loads them and wherever one starts."""

import threading
import time

import numpy as np
import pytest
from PIL import Image

from tinynet.data import Batches, folder, mean_image, pca, synthetic
from tinynet.errors import DataError

MEAN = np.full((3, 20, 20), 100, np.float32)


@pytest.fixture(scope="module")
def data():
    return synthetic(train=70, val=30, size=20)[0]


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def loaders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("tinynet-data")]


class Slow:
    """Ten images that take a while, or fail, and that count how many were asked for."""

    classes, size, source, tried = ["a", "b"], 20, "slow", 0
    labels = np.arange(1000) % 2

    def __init__(self, seconds=0.0, fail=None):
        self.seconds, self.fail, self.asked, self.broken = seconds, fail, 0, []

    def __len__(self):
        return len(self.labels)

    def name(self, i):
        return str(i)

    def image(self, i):
        self.asked += 1
        if self.fail is not None and self.asked > self.fail:
            raise MemoryError("no room for this image")
        time.sleep(self.seconds)
        return np.full((3, 20, 20), i % 256, np.uint8)


def test_an_epoch_shows_every_image_once_in_a_new_order(data):
    batches = Batches(data, 16, 20, np.zeros_like(MEAN))
    assert len(batches) == 5
    epochs = [list(batches.epoch(e)) for e in range(2)]
    assert [len(x) for x, _ in epochs[0]] == [16, 16, 16, 16, 6]
    for epoch in epochs:
        x, labels = (np.concatenate(part) for part in zip(*epoch, strict=True))
        assert x.dtype == np.float32 and x.shape == (70, 3, 20, 20) and labels.dtype == np.int64
        # Uncropped, an image or its mirror image is found again in the data set, with its label.
        where = {data.image(i)[:, :, ::step].tobytes(): i for i in range(70) for step in (1, -1)}
        found = [where[one.astype(np.uint8).tobytes()] for one in x]
        assert sorted(found) == list(range(70))
        assert np.array_equal(labels, data.labels[found])
    assert not np.array_equal(epochs[0][0][1], epochs[1][0][1])


@pytest.mark.parametrize("start", [0, 1, 4, 5])
def test_resuming_gives_what_an_uninterrupted_epoch_would_have_given(data, start):
    colour = pca(data, 20)
    batches = Batches(data, 16, 16, MEAN, 1 / 58, seed=3, colour=colour)
    whole = list(batches.epoch(2))
    assert all(x.flags.c_contiguous for x, _ in whole)
    same(list(Batches(data, 16, 16, MEAN, 1 / 58, seed=3, colour=colour).epoch(2, start)), whole[start:])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_workers_changes_nothing(data, workers):
    alone, shared = (Batches(data, 8, 16, MEAN, colour=pca(data, 20), workers=w) for w in (0, workers))
    same(list(shared.epoch(1)), list(alone.epoch(1)))
    same(list(shared.centre()), list(alone.centre()))
    assert not loaders()


def test_seeds_epochs_and_batches_are_augmented_differently():
    class Same(Slow):
        def image(self, i):
            return np.arange(1200, dtype=np.uint16).astype(np.uint8).reshape(3, 20, 20)

    first = [next(Batches(Same(), 8, 12, MEAN, seed=seed, workers=0).epoch(e))[0] for seed, e in [(0, 0), (0, 1), (1, 0)]]
    second = list(Batches(Same(), 8, 12, MEAN, workers=0).epoch(0))[1][0]
    assert len({x.tobytes() for x in [*first, second]}) == 4


def test_colour_moves_all_pixels_of_an_image_together_and_only_when_asked(data):
    stdevs, directions = np.array([100, 30, 10], np.float32), np.eye(3, dtype=np.float32)
    plain, coloured = (Batches(data, 70, 16, MEAN, 0.5, colour=c, workers=0) for c in (None, (stdevs, directions)))
    difference = next(coloured.epoch(0))[0] - next(plain.epoch(0))[0]
    assert np.ptp(difference, axis=(2, 3)).max() < 1e-3
    spread = difference.mean(axis=(2, 3)).std(axis=0)
    assert np.allclose(spread, 0.5 * 0.1 * stdevs, rtol=0.35)
    coloured.colour = None
    same(list(coloured.epoch(0)), list(plain.epoch(0)))


def test_validation_is_the_centre_of_every_image_in_order(data):
    mean = mean_image(data)
    x, labels = (np.concatenate(p) for p in zip(*Batches(data, 32, 16, mean, 0.5).centre(), strict=True))
    assert np.array_equal(labels, data.labels) and x.dtype == np.float32
    images = np.stack([data.image(i) for i in range(70)])
    expected = (images[:, :, 2:18, 2:18] - mean[:, 2:18, 2:18]) * np.float32(0.5)
    assert np.allclose(x, expected) and x.flags.c_contiguous


def with_broken(tmp_path, good, broken):
    for kind in ("a", "b"):
        for part, count in (("train", good), ("val", 1)):
            (tmp_path / part / kind).mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (20, 20), (i, i, i)).save(tmp_path / part / kind / f"{i}.png")
    for i in range(broken):
        (tmp_path / "train" / "a" / f"broken{i}.jpg").write_text("no picture")
    return folder(tmp_path, size=20)[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_images_are_missing_from_their_batch(tmp_path, workers):
    data = with_broken(tmp_path, good=6, broken=4)
    epoch = list(Batches(data, 1, 16, MEAN, workers=workers).epoch(0))
    assert sorted(len(y) for _, y in epoch) == [0] * 4 + [1] * 12, "a batch of broken images is empty and keeps its number"
    assert all(len(x) == len(y) for x, y in epoch)
    batches = Batches(data, 8, 16, MEAN, workers=workers)
    assert [len(y) for _, y in batches.epoch(0)] != [8, 8] and sum(len(y) for _, y in batches.epoch(0)) == 12
    x, labels = (np.concatenate(part) for part in zip(*batches.centre(), strict=True))
    # Image i of a class is a grey of i, so both classes have a picture of each brightness, and none is missing.
    assert labels.tolist() == [0] * 6 + [1] * 6 and (x[:, 0, 0, 0] + 100).tolist() == [*range(6)] * 2
    assert len(data.broken) == 4
    same(list(batches.epoch(0, 1)), list(batches.epoch(0))[1:])


@pytest.mark.parametrize("workers", [0, 2])
def test_mostly_broken_data_is_fatal_where_it_is_iterated(tmp_path, workers):
    data = with_broken(tmp_path, good=1, broken=5)
    with pytest.raises(DataError, match="broken"):
        list(Batches(data, 4, 16, MEAN, workers=workers).epoch(0))
    assert not loaders()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_an_exception_in_a_worker_surfaces_at_its_batch(workers):
    epoch = Batches(Slow(fail=25), 10, 16, MEAN, workers=workers).epoch(0)
    with pytest.raises(MemoryError, match="no room"):
        for _ in epoch:
            pass
    assert not loaders()


def test_leaving_early_leaves_no_thread_behind_and_does_not_wait_for_the_batch():
    data = Slow(seconds=0.005)
    epoch = Batches(data, 250, 16, MEAN, workers=2).epoch(0)
    next(epoch)
    assert loaders()
    started = time.monotonic()
    epoch.close()
    assert time.monotonic() - started < 0.6 and not loaders()
    for _ in Batches(Slow(), 10, 16, MEAN, workers=2).epoch(0):
        break
    del epoch
    assert not loaders()


def test_a_keyboard_interrupt_leaves_no_thread_behind():
    with pytest.raises(KeyboardInterrupt):
        for _ in Batches(Slow(seconds=0.001), 10, 16, MEAN, workers=2).epoch(0):
            raise KeyboardInterrupt
    assert not loaders()


def test_loading_ahead_is_bounded_and_does_happen():
    data = Slow()
    epoch = Batches(data, 10, 16, MEAN, workers=2).epoch(0)
    next(epoch)
    time.sleep(0.1)
    assert 20 <= data.asked <= 30
    epoch.close()
    alone = Slow()
    epoch = Batches(alone, 10, 16, MEAN, workers=0).epoch(0)
    next(epoch)
    assert alone.asked == 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"crop": 21}, "crop is 21"),
        ({"mean": MEAN[:, :16, :16]}, r"mean is \(3, 16, 16\), \(3, 20, 20\) was expected"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_arguments_that_make_no_sense(data, options, words):
    with pytest.raises(ValueError, match=words):
        Batches(**{"dataset": data, "batch": 8, "crop": 16, "mean": MEAN} | options)
