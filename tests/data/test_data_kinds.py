"""Pictures as people have them: every orientation, format, mode and depth, against what NumPy makes of the same pixels."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tinynet.data import allow_pixels, image_for_network
from tinynet.errors import DataError

SIDE = 24
TURNED = {  # what EXIF's orientation asks for, as NumPy says it of (H, W, ...)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
FORMATS = {
    "JPEG": (("L", "RGB", "CMYK"), {"quality": 100, "subsampling": 0}),
    "PNG": (("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), {}),
    "WEBP": (("RGB", "RGBA"), {"lossless": True}),
    "TIFF": (("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F", "LAB"), {}),
    "TIFF, packed": (("L", "RGB", "I;16"), {"compression": "tiff_adobe_deflate"}),
}
KINDS = [(kind, mode) for kind, (modes, _) in FORMATS.items() for mode in modes]


def corners():
    """Four flat squares, uint8 (SIDE, SIDE, 3), which differ in every orientation; no colour is lost in a palette."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[: SIDE // 2, SIDE // 2 :] = 200, 40, 40
    pixels[SIDE // 2 :, : SIDE // 2] = 40, 60, 220
    pixels[SIDE // 2 :, SIDE // 2 :] = 255
    return pixels


def in_mode(pixels, mode):
    """(a Pillow image of these pixels in a mode, the pixels that a person sees in it)."""
    grey = pixels[..., :1].astype(float) * 0.299 + pixels[..., 1:2] * 0.587 + pixels[..., 2:] * 0.114
    grey = np.repeat(np.rint(grey).astype(np.uint8), 3, axis=2)
    if mode == "1":
        return Image.fromarray(grey[..., 0] > 127), np.where(grey > 127, 255, 0)
    if mode in ("L", "LA"):
        return Image.fromarray(grey[..., 0]).convert(mode), grey
    if mode == "I;16":
        return Image.fromarray(grey[..., 0].astype(np.uint16) * 257), grey
    if mode == "F":
        return Image.fromarray(grey[..., 0].astype(np.float32)), grey  # from 0 to 255, so that nothing is stretched
    if mode == "LAB":
        return Image.frombytes("LAB", (SIDE, SIDE), lab(pixels).tobytes()), pixels
    image = Image.fromarray(pixels)
    return image.quantize(8) if mode == "P" else image.convert(mode), pixels


def lab(pixels):
    """sRGB as CIE L*a*b* for the white point D50, 8 bits (a and b as two's complements), by the formulas."""
    rgb = pixels / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    )
    t = linear @ to_xyz.T / [0.96422, 1, 0.82521]
    f = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
    lightness, a, b = 116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])
    return np.rint(np.stack([lightness * 2.55, a, b], -1)).astype(np.int64).astype(np.uint8)


@pytest.mark.parametrize("opened", [False, True], ids=["by its path", "opened"])
@pytest.mark.parametrize("kind, mode", KINDS, ids=[f"{kind} {mode}" for kind, mode in KINDS])
def test_every_orientation_of_every_kind(tmp_path, kind, mode, opened):
    image, pixels = in_mode(corners(), mode)
    options, path = FORMATS[kind][1], tmp_path / "picture"
    for orientation, turned in TURNED.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        image.save(path, kind.split(",")[0], exif=exif, **options)
        if opened:
            with Image.open(path) as source:
                found = image_for_network(source, SIDE)
        else:
            found = image_for_network(path, SIDE)
        error = np.abs(found.transpose(1, 2, 0).astype(int) - turned(pixels))
        # Flat squares: what is left is the rounding of colour spaces, and a JPEG's blocks where two squares meet.
        assert np.quantile(error, 0.8) <= (6 if mode in ("CMYK", "LAB") or kind == "JPEG" else 1), orientation


def test_a_picture_that_is_not_square_is_cut_where_it_is_turned_to(tmp_path):
    tall = np.zeros((60, 20), np.uint8)
    tall[:20], tall[40:] = 80, 160
    for kind in ("TIFF", "PNG"):
        for orientation in TURNED:
            exif = Image.Exif()
            exif[0x0112] = orientation
            Image.fromarray(tall).save(tmp_path / "tall", kind, exif=exif)
            assert not image_for_network(tmp_path / "tall", 10)[:, 1:-1, 1:-1].any(), (kind, orientation)


# PNG: every depth, every kind of transparency -------------------------------------------------------------------------


def png(samples, depth, colour_type, **chunks):
    """A PNG file of samples (H, W, channels) of `depth` bits, as bytes."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    height, width, _ = samples.shape
    rows = samples.reshape(height, -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8)
    else:
        bits = (rows[..., None] >> np.arange(depth - 1, -1, -1) & 1).reshape(height, -1)
        packed = np.packbits(bits.astype(np.uint8), axis=1)
    data = b"".join(b"\0" + row.tobytes() for row in packed)
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))]
    parts += [(name.encode(), data) for name, data in chunks.items()]
    parts += [(b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_that_is_transparent_is_white_at_every_depth(tmp_path, depth):
    most = 2**depth - 1
    clear = most // 3  # 0 at one bit
    samples = np.zeros((16, 16, 1), np.int64)
    samples[:, :8], samples[8:] = clear, most
    (tmp_path / "a.png").write_bytes(png(samples, depth, 0, tRNS=struct.pack(">H", clear)))
    found = image_for_network(tmp_path / "a.png", 16)
    assert (found[:, :8, :8] == 255).all()
    assert (found[:, :8, 8:] == (255 if depth == 1 else 0)).all()
    (tmp_path / "b.png").write_bytes(png(samples, depth, 0))
    assert (image_for_network(tmp_path / "b.png", 16)[:, :8, :8] == round(255 * clear / most)).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_that_is_transparent_is_white_at_every_depth(tmp_path, depth):
    unit = 1 if depth == 8 else 257
    samples = np.zeros((16, 16, 3), np.int64)
    samples[:, :8], samples[:, 8:] = (np.array(c) * unit for c in ((10, 200, 30), (200, 10, 30)))
    key = struct.pack(">HHH", *(10 * unit, 200 * unit, 30 * unit))
    (tmp_path / "a.png").write_bytes(png(samples, depth, 2, tRNS=key))
    found = image_for_network(tmp_path / "a.png", 16)
    assert (found[:, :, :8] == 255).all() and (found[:, 4, 12] == [200, 10, 30]).all()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_of_every_depth_with_transparent_entries(tmp_path, depth):
    samples = np.zeros((16, 16, 1), np.int64)
    samples[:, 8:] = 1
    chunks = {"PLTE": bytes([9, 8, 7, 200, 10, 30]), "tRNS": bytes([0])}
    (tmp_path / "a.png").write_bytes(png(samples, depth, 3, **chunks))
    found = image_for_network(tmp_path / "a.png", 16)
    assert (found[:, :, :8] == 255).all() and (found[:, 4, 12] == [200, 10, 30]).all()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour_type, channels", [(4, 1), (6, 3)], ids=["grey", "colour"])
def test_alpha_of_every_depth(tmp_path, depth, colour_type, channels):
    samples = np.zeros((16, 16, channels + 1), np.int64)
    samples[:, 8:, -1] = 2**depth - 1
    (tmp_path / "a.png").write_bytes(png(samples, depth, colour_type))
    found = image_for_network(tmp_path / "a.png", 16)
    assert (found[:, :, :8] == 255).all() and (found[:, :, 8:] == 0).all()


# Large ones -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def few_pixels(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5_000)  # so that 10,000 are allowed


def test_a_jpeg_is_measured_by_what_is_decoded_of_it(tmp_path, few_pixels):
    Image.new("RGB", (640, 480), (200, 30, 60)).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(image_for_network(tmp_path / "a.jpg", 16)[:, 8, 8].astype(int) - [200, 30, 60]).max() <= 3
    with pytest.raises(DataError, match=r"a.jpg is too large: it has 640 x 480 pixels, and at most 10,000 are allowed"):
        image_for_network(tmp_path / "a.jpg", 480)


def test_other_large_pictures_are_refused_as_large_and_not_as_damaged(tmp_path, few_pixels):
    Image.new("RGB", (640, 480)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png is too large: it has 307,200 pixels, and at most 10,000 are allowed; give"):
        image_for_network(tmp_path / "a.png", 16)
    allow_pixels(640 * 480)
    assert image_for_network(tmp_path / "a.png", 16).shape == (3, 16, 16)


def test_a_damaged_file_is_damaged(tmp_path):
    stream = BytesIO()
    Image.new("RGB", (64, 64)).save(stream, "JPEG")
    (tmp_path / "a.jpg").write_bytes(stream.getvalue()[:200])
    with pytest.raises(DataError, match=r"a.jpg cannot be decoded as an image \(.*\): give an undamaged image file"):
        image_for_network(tmp_path / "a.jpg", 16)
