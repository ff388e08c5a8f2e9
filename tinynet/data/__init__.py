"""Images in, arrays out: data sets, the 2012 augmentation, and batches loaded ahead; nothing here knows a Tensor."""

from tinynet.data.augment import centre_crop, colour_shift, mean_image, pca, random_crops, subtract_mean, ten_crops
from tinynet.data.dataset import Dataset, check_broken, fingerprint, look_at
from tinynet.data.decode import EXTENSIONS, TooManyPixels, allow_pixels, image_for_network
from tinynet.data.folder import folder
from tinynet.data.images import ImageFolder
from tinynet.data.loader import Batches
from tinynet.data.sizes import fitting_crop
from tinynet.data.synthetic import CLASSES, Synthetic, synthetic

__all__ = [
    "CLASSES",
    "EXTENSIONS",
    "Batches",
    "Dataset",
    "ImageFolder",
    "Synthetic",
    "TooManyPixels",
    "allow_pixels",
    "centre_crop",
    "check_broken",
    "colour_shift",
    "fingerprint",
    "fitting_crop",
    "folder",
    "image_for_network",
    "look_at",
    "mean_image",
    "pca",
    "random_crops",
    "subtract_mean",
    "synthetic",
    "ten_crops",
]
