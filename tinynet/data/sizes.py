"""How large the images of a folder are, so that nobody has to look before training on them."""

import numpy as np

from tinynet.data.decode import shorter_side
from tinynet.data.folder import folder
from tinynet.errors import DataError


def fitting_crop(path, least=56, most=224, limit=50):
    """The side of the crops that suits a folder of images: 7/8 of their typical shorter side, within [least, most].

    That is the paper's 224 for its 256. Typical is the median over up to `limit` of the training images that can be read.
    Raises DataError as `folder` does.
    """
    train, _ = folder(path, size=1)
    sides = []
    for i in np.random.default_rng(0).permutation(len(train))[:limit]:
        try:
            sides.append(shorter_side(train.name(i)))
        except (OSError, ValueError, SyntaxError, DataError):
            continue  # the loader will name it
    side = np.median(sides) if sides else most
    return int(min(most, max(least, side * 7 // 8)))
