"""Batches for training and validation: decided by seeds alone, loaded ahead of time by threads."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import numpy as np

from tinynet.data.augment import centre_crop, colour_shift, random_crops, subtract_mean
from tinynet.data.dataset import Dataset, check_broken


class Batches:
    """A data set as batches of float32 (N, 3, crop, crop) with labels int64 (N,).

    `mean` is the mean image (3, size, size) and `scale` multiplies what is left after subtracting it. `colour` is
    what `pca` returned, to shift the colours of training images by it, or None; it may be
    changed between epochs. `workers` threads load ahead, 0 loads where the batches are asked for; the numbers that
    come out are the same either way; they hand a training batch x to `stage`, such as a device's, and pass on what it
    returns. Raises ValueError for a batch, crop or number of workers that makes no sense.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        crop: int,
        mean: np.ndarray,
        scale: float = 1.0,
        seed: int = 0,
        colour: tuple[np.ndarray, np.ndarray] | None = None,
        workers: int = 2,
        stage: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ):
        size = dataset.size
        if batch < 1:
            raise ValueError(f"Batches: batch is {batch}, it must be at least 1")
        if not 1 <= crop <= size:
            raise ValueError(f"Batches: crop is {crop}, but the images have a side of {size}: choose 1 to {size}")
        if np.shape(mean) != (3, size, size):
            raise ValueError(f"Batches: mean is {np.shape(mean)}, (3, {size}, {size}) was expected: use mean_image()")
        if workers < 0:
            raise ValueError(f"Batches: workers is {workers}, it must be 0 (load in this thread) or more")
        self.dataset, self.batch, self.crop = dataset, batch, crop
        self.mean, self.scale, self.seed, self.colour = mean, scale, seed, colour
        self.workers, self.stage = workers, stage

    def __len__(self) -> int:
        """Batches in an epoch; the last may be smaller than the others."""
        return -(-len(self.dataset) // self.batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The training batches of one epoch, `(x, labels)`, from batch `start` on.

        The order is fixed by (seed, epoch) and the crops, flips and colours of batch b by (seed, epoch, b), so starting
        at `start` gives exactly what an uninterrupted epoch would have given from there. Broken images are missing
        from their batch, which may become empty, so that batches keep their numbers; raises DataError when most images
        are broken.
        """
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.dataset))
        colour = self.colour

        def load(b: int, stop: Event) -> tuple[np.ndarray, np.ndarray] | None:
            images, indices = self._images(order[b * self.batch : (b + 1) * self.batch], stop)
            if images is None:
                return np.empty((0, 3, self.crop, self.crop), np.float32), np.empty(0, np.int64)
            # b + 1, because NumPy seeds [seed, epoch] and [seed, epoch, 0] alike: batch 0 would repeat its draws.
            rng = np.random.default_rng([self.seed, epoch, b + 1])
            x = subtract_mean(random_crops(images, self.crop, rng), self.mean, self.crop, self.scale)
            if colour is not None:
                x += (colour_shift(rng, len(x), *colour) * np.float32(self.scale))[:, :, None, None]
            return self.stage(x), self.dataset.labels[indices]

        yield from self._ahead(load, range(start, len(self)))

    def centre(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The central crops, `(x, labels)`, in the order of the data set, for validation.

        Broken images are left out; raises DataError when most are broken.
        """
        order = np.arange(len(self.dataset))

        def load(b: int, stop: Event) -> tuple[np.ndarray, np.ndarray] | None:
            images, indices = self._images(order[b * self.batch : (b + 1) * self.batch], stop)
            if images is None:
                return None
            x = subtract_mean(centre_crop(images, self.crop), self.mean, self.crop, self.scale)
            return x, self.dataset.labels[indices]

        yield from self._ahead(load, range(len(self)))

    def _images(self, indices: np.ndarray, stop: Event) -> tuple[np.ndarray | None, np.ndarray]:
        images, kept = [], []
        for i in indices.tolist():
            if stop.is_set():
                return None, indices
            image = self.dataset.image(i)
            if image is not None:
                images.append(image)
                kept.append(i)
        check_broken(self.dataset)
        return (np.stack(images) if images else None), np.array(kept, np.int64)

    def _ahead(self, load: Callable, numbers: Iterable[int]) -> Iterator:
        """load(b, stop) for each b, in order, without the Nones; `workers` + 1 batches are under way at a time."""
        stop = Event()
        if self.workers == 0:
            yield from (loaded for b in numbers if (loaded := load(b, stop)) is not None)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="tinynet-data")
        waiting: deque[Future] = deque()
        try:
            for b in numbers:
                waiting.append(pool.submit(load, b, stop))
                if len(waiting) > self.workers and (loaded := waiting.popleft().result()) is not None:
                    yield loaded
            while waiting:
                if (loaded := waiting.popleft().result()) is not None:
                    yield loaded
        finally:
            # Also on break and Ctrl-C: the threads give up at their next image, and none outlives the iteration.
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
