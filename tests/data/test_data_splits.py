"""Folders as people have them: parts of a data set in any spelling, and what only looks like classes."""

import os
import unicodedata

import pytest
from image_files import save
from PIL import Image

from tinynet.data import folder
from tinynet.errors import DataError


def tree(root, *folders, each=2):
    for name in folders:
        for i in range(each):
            save(root / name / f"{i}.png", Image.new("RGB", (8, 8)))
    return root


@pytest.mark.parametrize(
    ("train", "val"),
    [("train", "val"), ("Training", "Testing"), ("TRAIN", "VAL"), ("Train", "Test"), ("training_set", "test_set"),
     ("Training Set", "Validation Set"), ("train_images", "valid_images"), ("seg_train", "seg_test"),
     ("trainData", "valData"), ("train2017", "val2017"), ("training-data", "evaluation-data"), ("train", "dev")],
)  # fmt: skip
def test_parts_in_any_usual_spelling_are_recognised_and_said(tmp_path, train, val):
    tree(tmp_path, f"{train}/cat", f"{train}/dog", f"{val}/cat", f"{val}/dog")
    training, validation = folder(tmp_path, size=8)
    assert training.classes == validation.classes == ["cat", "dog"]
    assert f"training in {train}/, validation in {val}/" in training.source
    assert {os.path.relpath(training.name(i), tmp_path).split(os.sep)[0] for i in range(len(training))} == {train}
    assert {os.path.relpath(validation.name(i), tmp_path).split(os.sep)[0] for i in range(len(validation))} == {val}


def test_a_validation_set_comes_before_a_test_set(tmp_path):
    tree(tmp_path, "Train/a", "Train/b", "Test/a", "Test/b", "Valid/a", "Valid/b")
    assert "training in Train/, validation in Valid/" in folder(tmp_path, size=8)[0].source


def test_a_part_inside_a_folder_of_its_own_name(tmp_path):
    tree(tmp_path, *(f"seg_{part}/seg_{part}/{kind}" for part in ("train", "test") for kind in ("forest", "sea")))
    train, val = folder(tmp_path, size=8)
    assert train.classes == ["forest", "sea"] and len(train) == len(val) == 4


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("Test tubes", "flasks"), ("evaluation", "contract")])
def test_classes_that_are_called_like_parts_stay_classes(tmp_path, names):
    tree(tmp_path, *names)
    assert folder(tmp_path, size=8)[0].classes == sorted(names)


def test_two_folders_to_train_on_are_refused(tmp_path):
    tree(tmp_path, "Training/a", "Training/b", "train_set/a", "train_set/b", "test/a", "test/b")
    with pytest.raises(DataError, match=r"several folders to train on, '(Training|train_set)' and '(Training|train_set)'"):
        folder(tmp_path, size=8)


def test_classes_with_the_same_folders_in_each_are_refused_with_what_was_seen_and_what_was_meant(tmp_path):
    tree(tmp_path, *(f"{part}/{kind}" for part in ("part one", "part two") for kind in ("cat", "dog")))
    with pytest.raises(DataError) as error:
        folder(tmp_path, size=8)
    said = str(error.value)
    assert "has the folders 'part one', 'part two', each with the sub-folders 'cat', 'dog'" in said
    assert f"{tmp_path.name}/train" in said and "put their images side by side" in said and "\n" not in said


def test_classes_whose_images_lie_deeper_are_classes(tmp_path):
    tree(tmp_path, "cat/images", "dog/images", "bird/2023", "bird/2024")
    assert folder(tmp_path, size=8)[0].classes == ["bird", "cat", "dog"]


def test_names_that_are_only_encoded_otherwise_are_the_same_class(tmp_path):
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    tree(tmp_path, f"train/{composed}", "train/thé", f"val/{apart}", "val/thé")
    if len(os.listdir(tmp_path / "val")) + len(os.listdir(tmp_path / "train")) != 4:
        pytest.skip("this file system makes them one name")
    train, val = folder(tmp_path, size=8)
    assert train.classes == [composed, "thé"] and val.labels.tolist() == [0, 0, 1, 1]


def test_what_systems_leave_in_folders_is_nobodys_picture(tmp_path):
    tree(tmp_path, "cat", "dog", "cat/@eaDir", "__MACOSX/cat", "$RECYCLE.BIN", "dog/.thumbnails", ".ipynb_checkpoints")
    save(tmp_path / "cat" / "._0.png")
    train, val = folder(tmp_path, size=8)
    assert train.classes == ["cat", "dog"] and len(train) + len(val) == 4
