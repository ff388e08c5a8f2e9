"""A data set that ships as code: gratings and coloured shapes on 1/f noise, what a first layer learns to see.

Natural images have a 1/f amplitude spectrum, edges of all orientations and opponent colours; so have these, which is
why a small AlexNet trained on them grows the oriented gratings and colour blobs of the paper's figure 3.
"""

import colorsys

import numpy as np

from tinynet.errors import DataError

_ANGLES = {"horizontal": 90, "sloping": 60, "steep": 30, "vertical": 0}
_STRIPES = [f"{width} {angle} stripes" for angle in _ANGLES for width in ("fine", "broad")]
_SHAPES = {
    "red disc": ("disc", 0),
    "orange disc": ("disc", 32),
    "blue disc": ("disc", 218),
    "blue ellipse": ("ellipse", 218),
    "green square": ("square", 125),
    "yellow triangle": ("triangle", 60),
    "purple ring": ("ring", 285),
    "purple star": ("star", 285),
}

# No class is the mirror image of another, because mirroring is one of the augmentations: stripes at +30 and -30 degrees
# are both "steep". Stripes and shapes alternate, so the first few classes are a fair choice too.
CLASSES = [name for pair in zip(_STRIPES, _SHAPES, strict=True) for name in pair]


def synthetic(
    train: int = 6000, val: int = 1200, size: int = 73, seed: int = 0, classes: int = len(CLASSES)
) -> tuple["Synthetic", "Synthetic"]:
    """Rendered training and validation images, `size` pixels a side, of the first `classes` of :data:`CLASSES`.

    The labels take turns, so any stretch of images is balanced. Image i depends on (seed, i) and its set alone,
    not on how many were asked for; the two sets share nothing. The defaults suit a crop of 64 (7/8 of the size).
    Raises DataError for a number that makes no sense.
    """
    if not 2 <= classes <= len(CLASSES):
        raise DataError(f"synthetic: classes is {classes}, there are {len(CLASSES)} to choose from: give 2 or more")
    if min(train, val) < 1:
        raise DataError(f"synthetic: train is {train} and val is {val}: each must be at least 1")
    if size < 16:
        raise DataError(f"synthetic: size is {size}, but stripes need at least 16 pixels: give 16 or more")
    if seed < 0:
        raise DataError(f"synthetic: seed is {seed}, but a seed cannot be negative: give 0 or more")
    return Synthetic(train, size, seed, classes, part=0), Synthetic(val, size, seed, classes, part=1)


class Synthetic:
    """Images rendered when asked for and then kept; a `Dataset`, safe for threads."""

    def __init__(self, count: int, size: int, seed: int, classes: int, part: int):
        self.classes, self.size = CLASSES[:classes], size
        self.labels = np.arange(count, dtype=np.int64) % classes
        self.source = f"{classes} classes of rendered gratings, colours and shapes, {count} images of {size} px"
        self.broken: list[str] = []
        self._seed, self._part = seed, part
        self._images, self._ready = np.empty((count, 3, size, size), np.uint8), np.zeros(count, bool)
        self._noise = _noise(self._generator(0), size)
        half = (size - 1) / 2
        self._grid = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float32)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def tried(self) -> int:
        """How many images have been rendered so far."""
        return int(self._ready.sum())

    def name(self, i: int) -> str:
        """A short description of image `i`."""
        return f"{self.classes[self.labels[i]]}, number {i}"

    def image(self, i: int) -> np.ndarray:
        """Image `i`: uint8 (3, size, size), RGB, read-only."""
        i = range(len(self))[i]
        if not self._ready[i]:
            # Two threads may both get here; they write the same bytes.
            self._images[i] = self._render(self._generator(1, i), self.classes[self.labels[i]])
            self._ready[i] = True
        image = self._images[i]
        image.flags.writeable = False
        return image

    def _generator(self, *key: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(self._part, *key)))

    def _render(self, rng: np.random.Generator, name: str) -> np.ndarray:
        y, x = self._grid
        grey, warm, green = (self._texture(rng) for _ in range(3))
        # Opponent colours: light against dark, red against blue, green against magenta.
        strength, tint = rng.uniform(0.10, 0.20), rng.uniform(0.03, 0.08)
        picture = np.empty((3, self.size, self.size), np.float32)
        base = _rgb(rng.uniform(0, 360), rng.uniform(0.0, 0.35), rng.uniform(0.3, 0.7))
        texture = strength * grey
        picture[0] = base[0] + texture + tint * warm - tint * 0.5 * green
        picture[1] = base[1] + texture + tint * green
        picture[2] = base[2] + texture - tint * warm - tint * 0.5 * green
        if name in _SHAPES:
            self._paint_shape(picture, x, y, rng, *_SHAPES[name])
        else:
            width, angle, _ = name.split()
            self._paint_stripes(picture, x, y, rng, width == "fine", _ANGLES[angle])
        # A second, weaker texture in front ties the object to its background.
        picture += 0.05 * self._texture(rng)
        picture += rng.normal(0, 0.02, (1, self.size, self.size)).astype(np.float32)
        return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)

    def _texture(self, rng: np.random.Generator) -> np.ndarray:
        bank = self._noise
        which, top, left = rng.integers(0, (len(bank), bank.shape[1] - self.size, bank.shape[2] - self.size))
        return bank[which, top : top + self.size, left : left + self.size]

    def _paint_stripes(self, picture, x, y, rng, fine, angle):
        """Blend stripes into a soft round window: mean colour + contrast * wave * (colour a - colour b)."""
        size = self.size
        angle = np.deg2rad(angle + rng.uniform(-9, 9)) * rng.choice((-1, 1))
        # Below 4 pixels a period cannot be told from noise, however small the picture.
        period = max(size / 14, 4.0) * (1 if fine else 2) * rng.uniform(0.85, 1.2)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period) + rng.uniform(0, 2 * np.pi))
        sharpness = rng.uniform(0.5, 3)
        wave = np.tanh(sharpness * wave) / np.tanh(sharpness)
        hue = rng.uniform(0, 360)
        if rng.random() < 0.35:
            one, other = _rgb(hue, 0.15, rng.uniform(0.75, 1)), _rgb(hue, 0.3, rng.uniform(0, 0.3))
        else:
            one = _rgb(hue, rng.uniform(0.6, 1), rng.uniform(0.6, 1))
            other = _rgb(hue + rng.uniform(120, 240), rng.uniform(0.6, 1), rng.uniform(0.3, 0.9))
        contrast = rng.uniform(0.2, 1)
        centre_x, centre_y = rng.uniform(-0.22, 0.22, 2) * size
        radius = rng.uniform(0.24, 0.5) * size
        distance = np.hypot(x - centre_x, y - centre_y)
        window = np.clip((radius - distance) / (0.25 * radius) + 0.5, 0, 1) * rng.uniform(0.6, 0.95)
        for channel, a, b in zip(picture, one, other, strict=True):
            stripes = (a + b) / 2 + (contrast * (a - b) / 2) * wave
            channel += window * (stripes - channel)

    def _paint_shape(self, picture, x, y, rng, shape, hue):
        """Blend a shape with smooth edges: its coverage of a pixel is 1/2 - (signed distance to its outline)."""
        size = self.size
        radius = rng.uniform(0.17, 0.32) * size
        x = x - rng.uniform(-0.26, 0.26) * size
        y = y - rng.uniform(-0.26, 0.26) * size
        turn = rng.uniform(0, 2 * np.pi)
        x, y = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        colour = _rgb(hue + rng.uniform(-11, 11), rng.uniform(0.6, 1), rng.uniform(0.62, 1))
        coverage = np.clip(0.5 - _distance(shape, x, y, radius, rng), 0, 1) * rng.uniform(0.6, 0.95)
        # Light from one side keeps it from looking like a sticker.
        light = 1 + rng.uniform(0.05, 0.3) * x / radius
        for channel, value in zip(picture, colour, strict=True):
            channel += coverage * (value * light - channel)


def _distance(shape: str, x: np.ndarray, y: np.ndarray, radius: float, rng: np.random.Generator) -> np.ndarray:
    """Signed distance in pixels to the outline, negative inside (approximate for the ellipse and the star)."""
    if shape == "disc":
        return np.hypot(x, y) - radius
    if shape == "ellipse":
        flat = rng.uniform(0.3, 0.5)
        return np.hypot(x * flat, y) - radius * flat
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.86 * radius
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.78 * radius) - 0.22 * radius
    if shape == "triangle":
        return np.maximum(np.abs(x) * 0.866 + y * 0.5, -y) - 0.62 * radius
    # A star of five points: fold the plane into one tenth, then it is one straight edge.
    around, far = np.arctan2(y, x), np.hypot(x, y)
    folded = np.abs((around + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
    tip, notch = np.array([1.15, 0.0]), 0.52 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    edge = notch - tip
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    return far * (np.cos(folded) * normal[0] + np.sin(folded) * normal[1]) - radius * (tip @ normal)


def _noise(rng: np.random.Generator, size: int) -> np.ndarray:
    """A bank of 24 fields with amplitudes falling as 1/f^1.15, mean 0 and deviation 1: float32 (24, 2 size, 2 size).

    Photographs measure 1/f to 1/f^1.2; the upper end is kinder to the eye.
    """
    side = 2 * size
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((24, side, side), np.float32)) / frequency**1.15
    fields = np.fft.irfft2(spectrum, s=(side, side))
    return (fields / fields.std(axis=(1, 2), keepdims=True)).astype(np.float32)


def _rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    return colorsys.hsv_to_rgb(hue / 360 % 1, saturation, value)
