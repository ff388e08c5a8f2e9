"""The 2012 augmentation: what it does to pixels, and that nothing is left out."""

import numpy as np
import pytest

from tinynet.data import centre_crop, colour_shift, mean_image, pca, random_crops, subtract_mean, ten_crops
from tinynet.errors import DataError


class Pictures:
    """A data set in memory; None stands for a broken file."""

    def __init__(self, images, size=6):
        self.images, self.size = images, size
        self.labels, self.classes = np.zeros(len(images), np.int64), ["a", "b"]
        self.source, self.broken, self.tried = "DIR: 2 classes", [], 0
        self.asked = []

    def __len__(self):
        return len(self.images)

    def name(self, i):
        return f"DIR/{i}.jpg"

    def image(self, i):
        if i not in self.asked:
            self.tried += 1
            if self.images[i] is None:
                self.broken.append(self.name(i))
        self.asked.append(i)
        return self.images[i]


def noise(count=20, size=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, size, size), dtype=np.uint8)


def numbered(count, size):
    """Images whose pixel (c, y, x) holds a number that no other pixel of the image holds."""
    one = np.arange(3 * size * size, dtype=np.uint8).reshape(3, size, size)
    return np.repeat(one[None], count, axis=0)


def test_random_crops_reach_every_position_mirrored_and_not():
    size, crop = 7, 4
    images = numbered(4000, size)
    crops = random_crops(images, crop, np.random.default_rng(0))
    assert crops.shape == (4000, 3, crop, crop) and crops.dtype == np.uint8
    windows = {}
    for top in range(size - crop + 1):
        for left in range(size - crop + 1):
            window = images[0, :, top : top + crop, left : left + crop]
            windows[window.tobytes()] = (top, left, False)
            windows[np.ascontiguousarray(window[:, :, ::-1]).tobytes()] = (top, left, True)
    found = [windows[one.tobytes()] for one in crops]
    counts = {key: found.count(key) for key in windows.values()}
    assert len(counts) == 2 * 4 * 4 and min(counts.values()) > 70 and max(counts.values()) < 190


def test_random_crops_of_the_whole_image_still_mirror():
    images = numbered(50, 5)
    crops = random_crops(images, 5, np.random.default_rng(1))
    mirrored = [np.array_equal(one, images[0, :, :, ::-1]) for one in crops]
    assert 10 < sum(mirrored) < 40
    assert all(np.array_equal(one, images[0]) for one, flag in zip(crops, mirrored, strict=True) if not flag)


def test_random_crops_are_decided_by_the_generator():
    images = noise(30, 9)
    one, two = (random_crops(images, 5, np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize(("size", "crop", "start"), [(256, 224, 16), (73, 64, 4), (5, 5, 0), (6, 1, 2)])
def test_the_centre_crop_is_central(size, crop, start):
    image = np.arange(size * size).reshape(1, size, size)
    expected = image[:, start : start + crop, start : start + crop]
    assert np.array_equal(centre_crop(image, crop), expected)


def test_ten_crops_are_four_corners_and_the_centre_and_their_mirror_images():
    image = noise(1, 9)[0]
    ten = ten_crops(image, 5)
    assert ten.shape == (10, 3, 5, 5) and ten.dtype == np.uint8
    five = [image[:, :5, :5], image[:, :5, 4:], image[:, 2:7, 2:7], image[:, 4:, :5], image[:, 4:, 4:]]
    for k, expected in enumerate(five):
        assert np.array_equal(ten[k], expected)
        assert np.array_equal(ten[k + 5], expected[:, :, ::-1])
    batch = noise(4, 9)
    assert np.array_equal(ten_crops(batch, 5), np.stack([ten_crops(one, 5) for one in batch]))


@pytest.mark.parametrize("crop", [0, 7])
def test_a_crop_that_does_not_fit_is_refused(crop):
    for cut in (centre_crop, ten_crops, lambda images, crop: random_crops(images, crop, np.random.default_rng())):
        with pytest.raises(ValueError, match=f"crop is {crop}, but the images have a side of 6"):
            cut(noise(), crop)


def test_the_mean_image_is_the_mean_of_those_that_can_be_decoded():
    images = noise(30)
    mean = mean_image(Pictures([*images, None, None]))
    assert mean.dtype == np.float32 and mean.shape == (3, 6, 6)
    assert np.allclose(mean, images.mean(axis=0), atol=1e-4)


def test_the_mean_image_looks_at_a_random_sample_and_reports_progress():
    pictures, seen = Pictures(list(noise(50))), []

    def progress(iterable):
        for item in iterable:
            seen.append(item)
            yield item

    mean = mean_image(pictures, limit=10, seed=1, progress=progress)
    assert len(set(pictures.asked)) == 10 and len(seen) == 10
    assert sorted(pictures.asked) != list(range(10))
    assert np.allclose(mean, np.mean([pictures.images[i] for i in pictures.asked], axis=0), atol=1e-4)
    assert np.array_equal(mean, mean_image(Pictures(list(noise(50))), limit=10, seed=1))
    assert not np.array_equal(mean, mean_image(Pictures(list(noise(50))), limit=10, seed=2))


def test_the_mean_of_mostly_broken_images_is_refused():
    with pytest.raises(DataError, match="DIR/"):
        mean_image(Pictures([None] * 5 + list(noise(4))))
    with pytest.raises(DataError, match="none of the 1 images"):
        mean_image(Pictures([None] * 3), limit=1)
    with pytest.raises(DataError):
        pca(Pictures([None] * 4))


def test_pca_finds_what_numpy_finds():
    mixing = np.array([[40, 30, 20], [10, -15, 5], [2, 1, -6]])
    pixels = np.random.default_rng(0).standard_normal((20, 36, 3)) @ mixing + 128
    images = np.clip(pixels, 0, 255).astype(np.uint8).transpose(0, 2, 1).reshape(20, 3, 6, 6)
    stdevs, directions = pca(Pictures([*images, None]))
    flat = images.transpose(0, 2, 3, 1).reshape(-1, 3).astype(np.float64)
    eigenvalues, eigenvectors = np.linalg.eigh(np.cov(flat.T, bias=True))
    assert stdevs.dtype == directions.dtype == np.float32
    assert np.allclose(stdevs, np.sqrt(eigenvalues[::-1]), rtol=1e-5)
    assert np.allclose(np.abs(np.sum(directions * eigenvectors.T[::-1], axis=1)), 1, atol=1e-5)
    assert np.allclose(stdevs, (flat @ directions.T).std(axis=0), rtol=1e-4)
    assert np.all(np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1) > 0)


def test_pca_of_grey_pictures_has_one_direction():
    grey = np.repeat(noise(10)[:, :1], 3, axis=1)
    stdevs, directions = pca(Pictures(list(grey)))
    assert stdevs[0] > 50 and np.allclose(stdevs[1:], 0, atol=1e-3)
    assert np.allclose(directions[0], 3**-0.5, atol=1e-5)


def test_colour_shifts_follow_the_covariance_of_the_colours():
    directions = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    stdevs = np.array([120.0, 40.0, 15.0])
    shifts = colour_shift(np.random.default_rng(0), 200_000, stdevs, directions)
    assert shifts.shape == (200_000, 3) and shifts.dtype == np.float32
    expected = 0.1**2 * directions.T @ np.diag(stdevs**2) @ directions
    assert np.allclose(np.cov(shifts.T), expected, atol=0.02 * expected.max())
    assert np.abs(shifts.mean(axis=0)).max() < 0.2
    still = colour_shift(np.random.default_rng(0), 5, stdevs, directions, sigma=0)
    assert (still == 0).all()


def test_the_central_part_of_the_mean_is_subtracted():
    mean = np.random.default_rng(0).uniform(0, 255, (3, 8, 8)).astype(np.float32)
    crops = noise(5, 6)
    out = subtract_mean(crops, mean, 6)
    assert out.dtype == np.float32 and out.flags.c_contiguous
    assert np.array_equal(out, crops.astype(np.float32) - mean[:, 1:7, 1:7])
    assert np.allclose(subtract_mean(crops, mean, 6, 1 / 58), out / 58, rtol=1e-6)
    assert subtract_mean(ten_crops(noise(2, 8), 6), mean, 6, 1.0).shape == (2, 10, 3, 6, 6)
    with pytest.raises(ValueError, match="must end in"):
        subtract_mean(crops, mean, 7)
