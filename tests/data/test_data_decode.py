"""Every kind of image file comes out as the picture that a person would see, or as an error that names it."""

import numpy as np
import pytest
from image_files import colourful, save
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tinynet.data import image_for_network
from tinynet.errors import DataError


def test_greys_of_every_depth_agree(tmp_path):
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))
    expected = np.stack([ramp] * 3)
    deep = ramp.astype(np.uint16) * 256 + 128
    files = {
        "8 bits": save(tmp_path / "l.png", Image.fromarray(ramp)),
        "16 bits, PNG": save(tmp_path / "i16.png", Image.fromarray(deep)),
        "16 bits, TIFF": save(tmp_path / "i16.tif", Image.fromarray(deep)),
        "float": save(tmp_path / "f.tif", Image.fromarray(ramp.astype(np.float32) / 100 - 1)),
        "palette": save(tmp_path / "p.png", Image.fromarray(ramp).convert("P")),
        "GIF": save(tmp_path / "p.gif", Image.fromarray(ramp)),
    }
    (tmp_path / "i16.pgm").write_bytes(b"P5 64 64 65535\n" + deep.astype(">u2").tobytes())
    files["16 bits, PGM"] = tmp_path / "i16.pgm"
    big = Image.frombytes("I;16B", (64, 64), deep.astype(">u2").tobytes())
    files["big-endian"] = save(tmp_path / "i16b.tif", big)
    for kind, file in files.items():
        image = image_for_network(file, 64).astype(int)
        # A float picture is stretched from its own least to its own greatest value, 0 to 252 here.
        scale = 255 / 252 if kind == "float" else 1
        assert np.abs(image - expected * scale).max() <= 1, kind


def test_one_bit_images_are_black_and_white(tmp_path):
    half = np.zeros((20, 20), bool)
    half[:, 10:] = True
    image = image_for_network(save(tmp_path / "1.png", Image.fromarray(half)), 20)
    assert (image[:, :, :10] == 0).all() and (image[:, :, 10:] == 255).all()


def test_float_images_without_a_range(tmp_path):
    flat = image_for_network(save(tmp_path / "flat.tif", Image.fromarray(np.full((4, 4), 7, np.float32))), 4)
    assert (flat == 0).all()
    holes = np.array([[0, 1], [np.nan, np.inf]], np.float32)
    image = image_for_network(save(tmp_path / "holes.tif", Image.fromarray(holes)), 2)
    assert image[0].tolist() == [[0, 255], [0, 0]]


def test_transparency_is_composited_on_white(tmp_path):
    red = np.zeros((16, 16, 4), np.uint8)
    red[..., 0], red[:, :8, 3] = 255, 255
    rgba = Image.fromarray(red)
    grey = Image.merge("LA", [Image.new("L", (16, 16), 0), rgba.getchannel("A")])
    palette = Image.new("P", (16, 16), 1)
    palette.putpalette([255, 0, 0, 0, 0, 0])
    palette.paste(0, (0, 0, 8, 16))
    keyed = Image.new("RGB", (16, 16), "blue")
    keyed.paste("red", (0, 0, 8, 16))
    files = {
        "RGBA": (save(tmp_path / "rgba.png", rgba), [255, 0, 0]),
        "LA": (save(tmp_path / "la.png", grey), [0, 0, 0]),
        "P": (save(tmp_path / "p.png", palette, transparency=1), [255, 0, 0]),
        "P, bytes": (save(tmp_path / "pb.png", palette, transparency=b"\xff\x00"), [255, 0, 0]),
        "GIF": (save(tmp_path / "p.gif", palette, transparency=1), [255, 0, 0]),
        "RGB": (save(tmp_path / "rgb.png", keyed, transparency=(0, 0, 255)), [255, 0, 0]),
    }
    for kind, (file, colour) in files.items():
        image = image_for_network(file, 16)
        assert image[:, 4, 2].tolist() == colour, kind
        assert image[:, 4, 13].tolist() == [255, 255, 255], kind
    rgba.putalpha(128)
    half = image_for_network(save(tmp_path / "half.png", rgba), 16)
    assert half[:, 8, 8].tolist() == [255, 127, 127]


def test_cmyk_jpegs_keep_their_colours(tmp_path):
    file = save(tmp_path / "cmyk.jpg", Image.new("RGB", (16, 16), (200, 30, 60)).convert("CMYK"), quality=95)
    with Image.open(file) as stored:
        assert stored.mode == "CMYK"
    assert np.abs(image_for_network(file, 16)[:, 8, 8].astype(int) - [200, 30, 60]).max() <= 8


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_exif_orientation_is_undone(tmp_path, orientation, kind):
    upright = colourful(40, 30)
    stored = {
        1: [],
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }[orientation]
    turned = upright
    for step in stored:
        turned = turned.transpose(step)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} | ({"quality": 100, "subsampling": 0} if kind == "jpg" else {})
    image = image_for_network(save(tmp_path / f"turned.{kind}", turned, **options), 15).astype(int)
    assert np.abs(image - image_for_network(upright, 15)).max() <= (4 if kind == "jpg" else 1)


def test_damaged_exif_does_not_spoil_a_good_picture(tmp_path):
    cut_short = save(tmp_path / "a.jpg", colourful(16, 16), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x12\0\x03")
    rubbish = PngInfo()
    rubbish.add_text("Raw profile type exif", "\n\n\nnot hexadecimal")
    for file in (cut_short, save(tmp_path / "a.png", colourful(16, 16), pnginfo=rubbish)):
        assert image_for_network(file, 16).shape == (3, 16, 16)


def test_an_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    file = save(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:], duration=100)
    assert image_for_network(file, 8)[:, 4, 4].tolist() == [255, 0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (5000, 10), (10, 5000), (1, 300), (64, 64), (33, 47)])
def test_any_size_becomes_square(tmp_path, shape):
    image = image_for_network(save(tmp_path / "a.png", colourful(*shape)), 32)
    assert image.shape == (3, 32, 32) and image.dtype == np.uint8 and image.flags.c_contiguous


def test_the_shorter_side_is_resized_and_the_centre_kept(tmp_path):
    wide = Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 90, 3), dtype=np.uint8))
    for image, size, box in [(wide, (30, 10), (10, 0)), (wide.transpose(Image.Transpose.ROTATE_90), (10, 30), (0, 10))]:
        cut = image.resize(size, Image.Resampling.BICUBIC).crop((*box, box[0] + 10, box[1] + 10))
        found = image_for_network(save(tmp_path / "image.png", image), 10).transpose(1, 2, 0).astype(int)
        assert np.abs(found - np.asarray(cut)).max() <= 1


def test_shrinking_averages_instead_of_picking(tmp_path):
    checks = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    image = image_for_network(save(tmp_path / "c.png", Image.fromarray(checks)), 32).astype(int)
    assert np.abs(image - 127.5).max() < 8


def test_big_jpegs_look_the_same_as_big_pngs(tmp_path):
    big = colourful(1200, 900)
    jpeg, png = save(tmp_path / "a.jpg", big, quality=95), save(tmp_path / "a.png", big)
    difference = image_for_network(jpeg, 64).astype(int) - image_for_network(png, 64)
    assert np.abs(difference).max() <= 6


def test_a_single_file_is_named_when_it_cannot_be_used(tmp_path):
    whole = save(tmp_path / "truncated.jpg").read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    whole = save(tmp_path / "truncated.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("<html>404 not found</html>")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, words in {"nowhere.png": "does not exist", "": "is a folder", "text.jpg": "cannot be decoded"}.items():
        with pytest.raises(DataError, match=words) as caught:
            image_for_network(tmp_path / name, 8)
        assert str(tmp_path / name) in str(caught.value)
    for name in ("truncated.jpg", "truncated.png", "empty.png"):
        with pytest.raises(DataError, match=name):
            image_for_network(tmp_path / name, 8)
