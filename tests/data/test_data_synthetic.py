"""The rendered data set: the same for everyone, balanced, and closed under mirroring."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinynet.data import CLASSES, synthetic
from tinynet.errors import DataError


def test_an_image_depends_on_seed_and_number_alone():
    many, _ = synthetic(train=40, val=1, size=32, seed=5)
    few, _ = synthetic(train=7, val=30, size=32, seed=5)
    backwards = {i: few.image(i) for i in reversed(range(7))}
    assert all(np.array_equal(many.image(i), backwards[i]) for i in range(7))
    other, _ = synthetic(train=7, val=1, size=32, seed=6)
    assert not any(np.array_equal(many.image(i), other.image(i)) for i in range(7))


def test_training_and_validation_share_no_image():
    train, val = synthetic(train=32, val=32, size=32)
    pictures = {dataset.image(i).tobytes() for dataset in (train, val) for i in range(32)}
    assert len(pictures) == 64


def test_it_is_a_data_set():
    train, val = synthetic(train=50, val=20, size=40, classes=12)
    assert train.classes == val.classes == CLASSES[:12] and len(set(CLASSES)) == len(CLASSES) >= 12
    assert len(train) == 50 and len(val) == 20 and train.size == 40
    assert train.labels.dtype == np.int64 and np.ptp(np.bincount(train.labels)) <= 1
    image = train.image(13)
    assert image.shape == (3, 40, 40) and image.dtype == np.uint8 and image is not None
    assert train.name(13) == f"{CLASSES[1]}, number 13"
    assert train.source == "12 classes of rendered gratings, colours and shapes, 50 images of 40 px"
    assert train.broken == [] and train.tried == 1
    with pytest.raises(ValueError, match="read-only"):
        image[:] = 0
    with pytest.raises(IndexError):
        train.image(50)


def test_threads_render_what_one_thread_renders():
    alone, shared = (synthetic(train=40, val=1, size=32)[0] for _ in range(2))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(shared.image, list(range(40)) * 4))
    assert all(np.array_equal(image, alone.image(i % 40)) for i, image in enumerate(found))


def test_pictures_are_neither_flat_nor_washed_out():
    train, _ = synthetic(train=64, val=1)
    pictures = np.stack([train.image(i) for i in range(64)]).astype(np.float32)
    assert pictures.std(axis=(2, 3)).min() > 8
    assert 80 < pictures.mean() < 170
    assert ((pictures == 0) | (pictures == 255)).mean() < 0.1
    spread = np.abs(pictures - pictures.mean(axis=1, keepdims=True)).mean()
    assert spread > 12


def orientation(images):
    """The direction across the stripes, in degrees from the horizontal, and their period: the spectrum's peak."""
    size = images.shape[-1]
    window = np.hanning(size)[:, None] * np.hanning(size)
    channels = images - images.mean(axis=(2, 3), keepdims=True)
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None, :]
    far = np.hypot(fx, fy)
    power = (np.abs(np.fft.fft2(channels * window)) ** 2).sum(axis=1) * far**2 * ((far > 0.06) & (far < 0.3))
    peak = power.reshape(len(images), -1).argmax(axis=1)
    x, y = np.broadcast_to(fx, far.shape).ravel()[peak], np.broadcast_to(fy, far.shape).ravel()[peak]
    return np.degrees(np.arctan2(y, x)), 1 / np.hypot(x, y)


@pytest.mark.parametrize("name", [name for name in CLASSES if name.endswith("stripes")])
def test_stripes_are_what_their_name_says_and_lean_both_ways(name):
    width, word, _ = name.split()
    train, _ = synthetic(train=40 * len(CLASSES), val=1)
    chosen = np.flatnonzero(train.labels == CLASSES.index(name))
    images = np.stack([train.image(int(i)) for i in chosen]).astype(np.float64)
    angles, periods = orientation(images)
    across = {"horizontal": 90, "sloping": 60, "steep": 30, "vertical": 0}[word]
    steepness = np.minimum(angles % 180, -angles % 180)
    assert np.median(np.abs(steepness - across)) < 10
    assert np.median(np.abs(periods - (5.3 if width == "fine" else 10.6))) < 2
    if word in ("sloping", "steep"):
        # As many lean to the left as to the right, so a mirrored image is one more of its class, not of another.
        to_the_right = np.mean(angles % 180 < 90)
        assert 0.2 < to_the_right < 0.8


def test_coloured_shapes_have_their_colour():
    train, _ = synthetic(train=16 * len(CLASSES), val=1)
    strongest = {"red": (0,), "blue": (2,), "green": (1,), "orange": (0, 1), "yellow": (0, 1), "purple": (0, 2)}
    for label, name in enumerate(CLASSES):
        if name.endswith("stripes"):
            continue
        images = np.stack([train.image(int(i)) for i in np.flatnonzero(train.labels == label)]).astype(np.float64)
        weakest = [c for c in range(3) if c not in strongest[name.split()[0]]]
        lead = images[:, strongest[name.split()[0]], :, :].min(axis=1) - images[:, weakest].max(axis=1)
        # The strongest 2 % of the pixels belong to the shape, whatever the background.
        assert np.median(np.quantile(lead, 0.98, axis=(1, 2))) > 50, name


@pytest.mark.parametrize(
    ("name", "value"), [("classes", 1), ("classes", 99), ("size", 8), ("train", 0), ("val", 0), ("seed", -1)]
)
def test_numbers_that_make_no_sense(name, value):
    with pytest.raises(DataError, match=f"{name} is {value}"):
        synthetic(**{name: value})
