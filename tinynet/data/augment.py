"""Crops, flips, colour and the mean image: what the paper (section 4.1) and the 2012 source do to an image.

Everything here takes and returns NumPy arrays; random numbers come from the generator that is passed in.
"""

from collections.abc import Callable, Iterable

import numpy as np

from tinynet.data.dataset import Dataset, check_broken
from tinynet.errors import DataError


def mean_image(
    dataset: Dataset, limit: int = 10_000, seed: int = 0, progress: Callable[[Iterable], Iterable] | None = None
) -> np.ndarray:
    """The average training image, one value per pixel and channel: float32 (3, size, size), 0..255.

    Taken over `limit` images drawn at random (all, if there are fewer); broken ones are left out. `progress` wraps
    the iterable, as tqdm does. Raises DataError when most images are broken. Paper section 2: "subtracting the mean
    activity over the training set from each pixel".
    """
    total, count = np.zeros((3, dataset.size, dataset.size), np.float64), 0
    for image in _sample(dataset, limit, seed, progress):
        total += image
        count += 1
    return (total / count).astype(np.float32)


def pca(dataset: Dataset, limit: int = 1000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The principal axes of the RGB values (0..255) of the training images: `(stdevs, directions)`.

    `stdevs` is float32 (3,), greatest first; row `directions[i]`, float32, is the unit vector p_i that goes with
    `stdevs[i]`. Paper section 4.1 calls lambda_i the eigenvalue of the covariance matrix, but the 2012 code
    multiplies by its square root, the standard deviation (`color_stdevs`): an eigenvalue would move a pixel by
    hundreds of grey levels. Raises DataError when most images are broken.
    """
    count, total, squares = 0, np.zeros(3), np.zeros((3, 3))
    for image in _sample(dataset, limit, seed, None):
        pixels = image.reshape(3, -1).astype(np.float64)
        count += pixels.shape[1]
        total += pixels.sum(axis=1)
        squares += pixels @ pixels.T
    mean = total / count
    eigenvalues, eigenvectors = np.linalg.eigh(squares / count - np.outer(mean, mean))
    directions = eigenvectors.T[::-1]
    # An eigenvector may come out with either sign; fixing it keeps runs on different machines the same.
    directions = directions * np.sign(directions[np.arange(3), np.abs(directions).argmax(axis=1)])[:, None]
    return np.sqrt(np.maximum(eigenvalues[::-1], 0)).astype(np.float32), directions.astype(np.float32)


def random_crops(images: np.ndarray, crop: int, rng: np.random.Generator) -> np.ndarray:
    """A random `crop` x `crop` window of each image, mirrored left to right with probability 1/2.

    images uint8 (N, 3, S, S) -> uint8 (N, 3, crop, crop). Each image draws its own offset from all S - crop + 1
    positions per axis: 33 x 33 x 2 = 2178 pictures of a 256-pixel image, as the 2012 code has it, where paper section
    4.1 says 2048 (and the code lets 32 neighbours in a batch share one draw). Raises ValueError if crop > S.
    """
    count, positions = len(images), _positions(images, crop)
    tops, lefts = rng.integers(0, positions, count), rng.integers(0, positions, count)
    mirrored = rng.random(count) < 0.5
    crops = np.empty((count, images.shape[1], crop, crop), images.dtype)
    for out, image, top, left, mirror in zip(crops, images, tops, lefts, mirrored, strict=True):
        window = image[:, top : top + crop, left : left + crop]
        out[...] = window[:, :, ::-1] if mirror else window
    return crops


def centre_crop(images: np.ndarray, crop: int) -> np.ndarray:
    """The central window: (..., S, S) -> (..., crop, crop), a view; raises ValueError if crop > S."""
    start = (_positions(images, crop) - 1) // 2
    return images[..., start : start + crop, start : start + crop]


def ten_crops(image: np.ndarray, crop: int) -> np.ndarray:
    """The ten windows whose predictions are averaged at test time (paper section 4.1).

    (..., 3, S, S) -> (..., 10, 3, crop, crop): top left, top right, centre, bottom left, bottom right, then the same
    five mirrored left to right. Raises ValueError if crop > S.
    """
    end = _positions(image, crop) - 1
    corners = [(0, 0), (0, end), (end // 2, end // 2), (end, 0), (end, end)]
    five = np.stack([image[..., top : top + crop, left : left + crop] for top, left in corners], axis=-4)
    return np.concatenate([five, five[..., ::-1]], axis=-4)


def colour_shift(
    rng: np.random.Generator, n: int, stdevs: np.ndarray, directions: np.ndarray, sigma: float = 0.1
) -> np.ndarray:
    """One RGB offset per image, [p1 p2 p3][a1 l1, a2 l2, a3 l3]^T with a_i ~ N(0, sigma): float32 (n, 3).

    p_i are the rows of `directions` and l_i the `stdevs` of `pca`; all pixels of an image move together, as
    they do when the light changes (paper section 4.1, with the 2012 code's standard deviations for lambda_i).
    """
    amounts = rng.normal(0.0, sigma, (n, 3)) * stdevs
    return (amounts @ directions).astype(np.float32)


def subtract_mean(crops: np.ndarray, mean: np.ndarray, crop: int, scale: float = 1.0) -> np.ndarray:
    """What the network sees: (crops - central crop of the mean image) * scale, float32.

    crops (..., 3, crop, crop) in 0..255, mean (3, S, S). Wherever a window was cut from, the *central* window of the
    mean is subtracted, as the 2012 source does. `scale` is 1 in the paper, which feeds values of about +-128.
    Raises ValueError when the crops are not of side `crop`.
    """
    if crops.shape[-2:] != (crop, crop):
        raise ValueError(f"subtract_mean: crops {crops.shape} must end in ({crop}, {crop}), the crop that was given")
    out = np.subtract(crops, centre_crop(mean, crop), dtype=np.float32)
    if scale != 1.0:
        out *= np.float32(scale)
    return out


def _positions(images: np.ndarray, crop: int) -> int:
    size = images.shape[-1]
    if not 1 <= crop <= size:
        raise ValueError(f"crop is {crop}, but the images have a side of {size}: it must be between 1 and {size}")
    return size - crop + 1


def _sample(dataset: Dataset, limit: int, seed: int, progress: Callable[[Iterable], Iterable] | None) -> Iterable:
    """Up to `limit` random images that can be decoded; smaller limits are prefixes of greater ones."""
    chosen = np.random.default_rng(seed).permutation(len(dataset))[:limit].tolist()
    found = False
    for i in chosen if progress is None else progress(chosen):
        image = dataset.image(i)
        if image is None:
            check_broken(dataset)
            continue
        found = True
        yield image
    if not found:
        raise DataError(f"none of the {len(chosen)} images tried in {dataset.source} can be decoded: check the files")
