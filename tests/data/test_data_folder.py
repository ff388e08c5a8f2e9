"""Folders of images: every layout, broken files, and one sentence for every mistake."""

import os
import re
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from image_files import colourful, save
from PIL import Image

from tinynet.data import check_broken, folder
from tinynet.errors import DataError


def names(dataset):
    return [dataset.name(i) for i in range(len(dataset))]


def message(path, **options):
    with pytest.raises(DataError) as caught:
        folder(path, **options)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".")
    return text


# Layouts


def test_a_folder_of_classes_is_split_once_and_for_all(tmp_path):
    for name, count in {"cat": 20, "dog": 3, "newt": 1}.items():
        for i in range(count):
            save(tmp_path / name / f"{i:02}.png")
    train, val = folder(tmp_path, size=16, seed=3)
    assert train.classes == val.classes == ["cat", "dog", "newt"]
    assert np.bincount(train.labels).tolist() == [18, 2, 1] and np.bincount(val.labels).tolist() == [2, 1]
    assert train.labels.dtype == np.int64
    assert not set(names(train)) & set(names(val)) and len(train) + len(val) == 24
    assert all(train.classes[label] in name for label, name in zip(train.labels, names(train), strict=True))
    again = folder(tmp_path, size=16, seed=3)
    assert names(again[0]) == names(train) and names(again[1]) == names(val)
    assert any(names(folder(tmp_path, size=16, seed=seed)[1]) != names(val) for seed in (4, 5, 6))
    assert train.source == f"{tmp_path}: 3 classes, 21 images, shorter side resized to 16"
    assert train.image(0).shape == (3, 16, 16) and train.image(0).dtype == np.uint8


@pytest.mark.parametrize("name", ["val", "validation", "test"])
def test_train_and_validation_folders_are_used_as_they_are(tmp_path, name):
    for kind in ("a", "b"):
        save(tmp_path / "train" / kind / "1.png")
        save(tmp_path / "train" / kind / "2.png")
        save(tmp_path / name / kind / "3.png")
    train, val = folder(tmp_path, size=8)
    assert len(train) == 4 and [os.path.basename(path) for path in names(val)] == ["3.png"] * 2


def test_train_alone_or_with_an_unlabelled_test_folder_is_split(tmp_path):
    for kind in ("a", "b"):
        for i in range(4):
            save(tmp_path / "train" / kind / f"{i}.png")
    assert [len(part) for part in folder(tmp_path, size=8)] == [6, 2]
    save(tmp_path / "test" / "0001.png")
    train, val = folder(tmp_path, size=8)
    assert train.classes == ["a", "b"] and [len(train), len(val)] == [6, 2]


def test_train_may_be_a_class_like_any_other(tmp_path):
    for kind in ("car", "plane", "train"):
        save(tmp_path / kind / "1.png")
        save(tmp_path / kind / "2.png")
    assert folder(tmp_path, size=8)[0].classes == ["car", "plane", "train"]


def test_the_layout_of_tiny_imagenet(tmp_path):
    (tmp_path / "wnids.txt").write_text("n02\nn01\nn03\n")
    (tmp_path / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\tcrane\nn03\tcrane, wader\nn99\tnone\n")
    for wnid in ("n01", "n02", "n03"):
        for i in range(2):
            save(tmp_path / "train" / wnid / "images" / f"{wnid}_{i}.JPEG")
        (tmp_path / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t9\t9\n")
    save(tmp_path / "val" / "images" / "val_0.JPEG")
    save(tmp_path / "val" / "images" / "val_1.JPEG")
    save(tmp_path / "test" / "images" / "test_0.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text("val_1.JPEG\tn01\t0\t0\t9\t9\nval_0.JPEG\tn03\t0\t0\t9\t9\n")
    train, val = folder(tmp_path, size=8)
    assert train.classes == ["goldfish", "crane (n02)", "crane (n03)"]
    assert train.labels.tolist() == [0, 0, 1, 1, 2, 2] and val.labels.tolist() == [0, 2]
    assert [os.path.basename(path) for path in names(val)] == ["val_1.JPEG", "val_0.JPEG"]
    assert val.image(0).shape == (3, 8, 8)


def test_nested_folders_count_and_hidden_or_foreign_files_do_not(tmp_path):
    for kind in ("a", "b"):
        save(tmp_path / kind / "x" / "y" / "1.PNG")
        save(tmp_path / kind / "2.JpEg")
        save(tmp_path / kind / ".3.png")
        save(tmp_path / kind / ".thumbs" / "4.png")
        (tmp_path / kind / "notes.txt").write_text("no image")
    save(tmp_path / ".cache" / "5.png")
    save(tmp_path / "6.png")
    (tmp_path / "empty").mkdir()
    train, val = folder(tmp_path, size=8)
    found = sorted(os.path.relpath(path, tmp_path) for path in names(train) + names(val))
    assert train.classes == ["a", "b"]
    assert found == ["a/2.JpEg", "a/x/y/1.PNG", "b/2.JpEg", "b/x/y/1.PNG"]


def test_files_of_other_kinds_are_not_left_out_silently(tmp_path):
    for kind in ("a", "b"):
        for name in ("1.png", "2.png"):
            save(tmp_path / "train" / kind / name)
            save(tmp_path / "val" / kind / name)
        (tmp_path / "train" / kind / "3.HEIC").write_bytes(b"an image that Pillow cannot read")
    for name in ("4.heic", "5.txt", ".DS_Store"):
        (tmp_path / "val" / "a" / name).write_bytes(b"")
    train, val = folder(tmp_path, size=8)
    wanted = "resized to 8; training in train/, validation in val/; 4 other files (.heic, .txt) left out"
    assert train.source.endswith(wanted)
    assert "left out" not in val.source
    (tmp_path / "train" / "c").mkdir()
    for i, name in enumerate(["a.x", "a.x", "a.y", "b.y", "a.z", "readme"]):
        (tmp_path / "train" / "c" / f"{i}{name}").write_bytes(b"")
    assert folder(tmp_path, size=8)[0].source.endswith("; 10 other files (.heic, .x, .y, ...) left out")


def test_a_second_class_without_an_image_that_can_be_read_is_told(tmp_path):
    save(tmp_path / "cat" / "1.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "1.heic").write_bytes(b"")
    assert "only one class, 'cat', and at least two are needed, not counting 1 other file (.heic)" in message(tmp_path)


@pytest.mark.parametrize("ending", [".jfif", ".jpe"])
def test_a_jpeg_by_another_name_is_an_image(tmp_path, ending):
    for kind in ("a", "b"):
        for i in range(2):
            save(tmp_path / kind / f"{i}.jpg").rename(tmp_path / kind / f"{i}{ending}")
    train, val = folder(tmp_path, size=8)
    assert len(train) == len(val) == 2 and train.image(0).shape == (3, 8, 8)


def test_links_are_followed_but_not_round_in_circles(tmp_path):
    for kind in ("a", "b"):
        save(tmp_path / kind / "1.png")
        save(tmp_path / kind / "2.png")
    (tmp_path / "a" / "loop").symlink_to(tmp_path / "a")
    save(tmp_path / "elsewhere" / "3.png")
    (tmp_path / "elsewhere").rename(tmp_path / ".elsewhere")
    (tmp_path / "a" / "more").symlink_to(tmp_path / ".elsewhere")
    assert sum(map(len, folder(tmp_path, size=8))) == 5


# Mistakes


def test_paths_that_are_no_folder(tmp_path):
    assert "does not exist" in message(tmp_path / "nowhere")
    (tmp_path / "images.tar.gz").write_bytes(b"")
    assert "tar -xf images.tar.gz" in message(tmp_path / "images.tar.gz")
    (tmp_path / "images.zip").write_bytes(b"")
    assert "unzip images.zip" in message(tmp_path / "images.zip")
    text = message(save(tmp_path / "cat.png"))
    assert "is a file" in text and "unpack" not in text


def test_folders_without_classes(tmp_path):
    assert ".png" in message(tmp_path) and ".jpeg" in message(tmp_path)
    save(tmp_path / "1.png")
    assert "directly" in message(tmp_path) and "<class>" in message(tmp_path)
    save(tmp_path / "cat" / "1.png")
    assert "only one class, 'cat'" in message(tmp_path)


def test_one_class_because_the_classes_are_one_level_deeper(tmp_path):
    save(tmp_path / "download" / "cat" / "1.png")
    save(tmp_path / "download" / "dog" / "1.png")
    assert f"give {tmp_path / 'download'}" in message(tmp_path)


def test_validation_classes_must_be_trained_on(tmp_path):
    save(tmp_path / "train" / "a" / "1.png")
    save(tmp_path / "train" / "b" / "1.png")
    save(tmp_path / "val" / "a" / "1.png")
    assert len(folder(tmp_path)[1]) == 1
    save(tmp_path / "val" / "c" / "1.png")
    (tmp_path / "train" / "c").mkdir()
    assert "'c'" in message(tmp_path) and "training" in message(tmp_path)


def test_loose_validation_images_are_a_mistake(tmp_path):
    save(tmp_path / "train" / "a" / "1.png")
    save(tmp_path / "train" / "b" / "1.png")
    save(tmp_path / "val" / "1.png")
    assert f"{tmp_path / 'val'} has 1 images lying directly in it" in message(tmp_path)


def test_too_few_images_to_hold_one_out(tmp_path):
    save(tmp_path / "a" / "1.png")
    save(tmp_path / "b" / "1.png")
    assert "one image per class" in message(tmp_path)
    assert "val_fraction is 1.5" in message(tmp_path, val_fraction=1.5)
    assert "size is 0" in message(tmp_path, size=0)


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    save(tmp_path / "a" / "1.png")
    save(tmp_path / "b" / "1.png")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert f"{tmp_path / 'b'} cannot be read (Permission denied)" in message(tmp_path)


def test_a_damaged_annotation_file_is_named_with_its_line(tmp_path):
    save(tmp_path / "train" / "n01" / "1.png")
    save(tmp_path / "train" / "n02" / "1.png")
    (tmp_path / "val").mkdir()
    (tmp_path / "val" / "val_annotations.txt").write_text("a.png\tn01\n\nrubbish\n")
    assert "val_annotations.txt, line 3" in message(tmp_path)


# Broken files


def spoil(path):
    """One file of each kind of broken; returns how many."""
    path.mkdir(parents=True, exist_ok=True)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = save(path / "truncated.jpg", noise).read_bytes()
    (path / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    whole = save(path / "truncated.png", noise).read_bytes()
    (path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (path / "text.jpg").write_text("<html>404 not found</html>")
    (path / "empty.png").write_bytes(b"")
    (path / "gone.png").symlink_to(path / "nowhere.png")
    return 5


def test_broken_images_are_named_once_and_never_raise(tmp_path, capfd):
    for kind in ("a", "b"):
        for i in range(10):
            save(tmp_path / "train" / kind / f"{i}.png")
        save(tmp_path / "val" / kind / "1.png")
    count = spoil(tmp_path / "train" / "b")
    train, _ = folder(tmp_path, size=8)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            images = [train.image(i) for i in range(len(train))]
    assert sum(image is None for image in images) == count
    assert sorted(train.broken) == sorted(str(path) for path in (tmp_path / "train" / "b").glob("[a-z]*"))
    assert train.tried == len(train) == 25
    check_broken(train)
    assert not caught and capfd.readouterr() == ("", "")


def test_decompression_bombs_are_broken_and_half_bombs_are_not(tmp_path, monkeypatch):
    for kind in ("a", "b"):
        for i in range(2):
            save(tmp_path / kind / f"{i}.png", colourful(30, 30))
    train, _ = folder(tmp_path, size=8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 600)
    assert train.image(0) is not None
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert train.image(1) is None and train.broken == [f"{train.name(1)} (it has 900 pixels, and at most 600 are allowed)"]


def test_only_mostly_broken_folders_are_fatal(tmp_path):
    for kind in ("a", "b"):
        for i in range(3):
            (tmp_path / "small" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "small" / kind / f"{i}.jpg").write_text("not a picture")
    train, _ = folder(tmp_path / "small", size=8)
    assert [train.image(i) for i in range(4)] == [None] * 4
    with pytest.raises(DataError, match=re.escape(train.name(0))):
        check_broken(train)


def test_the_verdict_waits_for_evidence():
    class Fake:
        source, size = "DIR: 2 classes", 8

        def __init__(self, total, tried, broken):
            self.total, self.tried, self.broken = total, tried, ["x.jpg"] * broken

        def __len__(self):
            return self.total

    for fine in [(100, 10, 10), (100, 100, 50), (10_000, 100, 60), (2, 2, 1)]:
        check_broken(Fake(*fine))
    for fatal in [(100, 17, 17), (100, 100, 51), (10_000, 400, 241), (2, 2, 2), (1, 1, 1)]:
        with pytest.raises(DataError, match=r"of the \d+ images looked at in DIR cannot"):
            check_broken(Fake(*fatal))


# Memory and threads


def test_decoded_images_are_kept_up_to_the_bound(tmp_path, monkeypatch):
    for kind in ("a", "b"):
        for i in range(3):
            save(tmp_path / kind / f"{i}.png", colourful(seed=i))
    train, val = folder(tmp_path, size=8, cache_bytes=2 * 3 * 8 * 8)
    first = [train.image(i) for i in range(4)]
    assert val.image(0) is not val.image(0)
    assert [train.image(i) is first[i] for i in range(4)] == [True, True, False, False]
    assert all(np.array_equal(train.image(i), first[i]) for i in range(4))
    with pytest.raises(ValueError, match="read-only"):
        first[0][:] = 0


def test_many_threads_see_the_same_images(tmp_path):
    for kind in ("a", "b"):
        for i in range(10):
            save(tmp_path / "train" / kind / f"{i}.png", colourful(seed=i))
        save(tmp_path / "val" / kind / "1.png")
    count = spoil(tmp_path / "train" / "b")
    alone, shared = folder(tmp_path, size=16)[0], folder(tmp_path, size=16)[0]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(shared.image, list(range(len(shared))) * 8))
    for i, image in enumerate(found):
        expected = alone.image(i % len(alone))
        assert (image is None and expected is None) or np.array_equal(image, expected)
    assert len(shared.broken) == count and shared.tried == len(shared)
