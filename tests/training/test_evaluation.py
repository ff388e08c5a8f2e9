"""What a trained network says: errors that are counted right, ten crops, and the names of pictures."""

import math
import re

import numpy as np
import pytest
from oracles import normal
from PIL import Image
from runs import QUICK, pictures, run, undrawn

import tinynet as tn
from alexnet import PROGRAM, AlexNet
from tinynet import data
from tinynet.training import checkpoint
from tinynet.training.evaluation import Score, evaluate, probabilities, ranks

CPU = tn.devices("cpu")[0]


# errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logits", "label", "rank"),
    [([3, 2, 1], 0, 0), ([3, 2, 1], 2, 2), ([2, 2, 1], 0, 1), ([0, 0, 0], 1, 2), ([math.nan] * 3, 1, 2),
     ([9, math.nan, 1], 0, 1), ([math.inf, 1, 2], 0, 0)],
)  # fmt: skip
def test_rank_is_how_many_classes_beat_or_equal_the_right_one(logits, label, rank):
    assert ranks(np.array([logits], float), np.array([label])).tolist() == [rank]


def test_score_gives_the_mean_loss_and_the_top_1_and_top_5_errors_over_all_images():
    logits = np.arange(7.0)[None].repeat(7, 0)  # the right class of image i has rank 6 - i
    score = Score()
    score.add(2.0, logits[:4], np.arange(4))
    score.add(5.0, logits[4:], np.arange(4, 7))
    assert score.means() == pytest.approx(((2 * 4 + 5 * 3) / 7, 6 / 7, 2 / 7))
    assert Score(score.state).means() == score.means()


def test_a_score_of_no_images_is_not_a_number():
    assert all(math.isnan(value) for value in Score().means())


@pytest.fixture(scope="module")
def net():
    model = AlexNet(4, 0.05, image_size=56, recipe="modern")
    for _, p in model.named_parameters():
        p.data += normal(*p.shape, dtype=np.float32) * 0.05
    return model


@pytest.mark.parametrize("batch", [1, 3, 10])
def test_evaluate_scores_the_central_crops_at_test_time(net, batch):
    dataset = data.synthetic(train=10, val=10, size=64, classes=4)[1]
    mean = np.full((3, 64, 64), 100, np.float32)
    net.train()
    score = evaluate(net, data.Batches(dataset, batch, 56, mean, scale=0.1), CPU)
    crops = np.stack([dataset.image(i)[:, 4:60, 4:60] for i in range(10)])
    with tn.no_grad():
        logits = net.eval()(tn.tensor(((crops - np.float32(100)) * np.float32(0.1)).astype(np.float32)))
    loss, wrong1, wrong5 = score.means()
    assert loss == pytest.approx(tn.cross_entropy(logits, dataset.labels).item(), rel=1e-5)
    assert wrong1 == np.mean(logits.numpy().argmax(1) != dataset.labels) and wrong5 == 0


def test_evaluate_gives_up_when_told_to(net):
    dataset = data.synthetic(train=10, val=10, size=64, classes=4)[1]
    batches = data.Batches(dataset, 3, 56, np.zeros((3, 64, 64), np.float32))
    answers = iter([False, True])
    assert evaluate(net, batches, CPU, lambda: next(answers)) is None


# ten crops ------------------------------------------------------------------------------------------------------------


def test_probabilities_are_the_mean_softmax_over_corners_centre_and_their_mirror_images(net):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 64, 64), np.uint8)
    mean = np.random.default_rng(1).uniform(90, 130, (3, 64, 64)).astype(np.float32)
    found = probabilities(net, images, mean, 0.05, CPU)
    net.eval()
    for image, p in zip(images, found, strict=True):
        rows = []
        for top, left in ((0, 0), (0, 8), (4, 4), (8, 0), (8, 8)):
            crop = image[:, top : top + 56, left : left + 56].astype(np.float64)
            for view in (crop, crop[:, :, ::-1]):
                x = (view - mean[:, 4:60, 4:60]) * 0.05
                rows.append(tn.softmax(net(tn.tensor(x[None].astype(np.float32)))).numpy()[0])
        assert np.abs(p - np.mean(rows, axis=0)).max() < 1e-6
        assert np.abs(np.mean(rows, axis=0) - rows[4]).max() > 1e-4, "one crop alone would pass this test"
        assert p.sum() == pytest.approx(1, abs=1e-5)


# predict --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The root of a run with 3 classes (`three`) and one with 8 (`eight`), and of their pictures."""
    root = tmp_path_factory.mktemp("predict")
    pictures(root / "few", each=6)
    pictures(root / "many", each=3, classes=[f"class {i}" for i in range(8)])
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch.setattr)
        assert run("--data", root / "few", *QUICK, "--epochs", 2, "--lr", 0.02, "--out", root / "three") == 0
        assert run("--data", root / "many", *QUICK, "--epochs", 1, "--out", root / "eight") == 0
    return root


def answers(said):
    """[(picture, [(percent, class), ...]), ...] from what predict printed."""
    found = []
    for line in said.splitlines():
        if match := re.fullmatch(r"  ([ \d]{3}\.\d) %  (.+)", line):
            found[-1][1].append((float(match[1]), match[2]))
        else:
            found.append((line, []))
    return found


@pytest.mark.parametrize(("out", "lines"), [("three", 3), ("eight", 5)])
def test_predict_prints_the_five_most_probable_classes_of_each_picture(trained, capsys, out, lines):
    images = [trained / "few" / "red" / "00.png", trained / "few" / "blue" / "01.png"]
    capsys.readouterr()
    assert run("predict", *images, "--checkpoint", trained / out / "checkpoint.safetensors") == 0
    found = answers(capsys.readouterr().out)
    assert [name for name, _ in found] == [str(p) for p in images]
    classes = checkpoint.load(trained / out)[1]["classes"]
    for _, rows in found:
        percents, names = zip(*rows, strict=True)
        assert len(rows) == lines == len(set(names)) and set(names) <= set(classes)
        assert list(percents) == sorted(percents, reverse=True)
        assert sum(percents) <= 100 + 0.05 * lines
        if lines == len(classes):
            assert sum(percents) == pytest.approx(100, abs=0.05 * lines)


def test_predict_prints_what_the_ten_crops_say(trained, capsys):
    image, (arrays, state) = trained / "few" / "green" / "02.png", checkpoint.load(trained / "three")
    model, recipe = PROGRAM.build(state["options"], 3, tn.devices("cpu"))
    checkpoint.restore(model, arrays, "")
    pixels = data.image_for_network(image, 64)
    (p,) = probabilities(model, [pixels], arrays["mean"], recipe.input_scale, CPU)
    capsys.readouterr()
    assert run("predict", image, "--checkpoint", trained / "three") == 0
    ((_, rows),) = answers(capsys.readouterr().out)
    assert rows == [(float(f"{100 * p[c]:.1f}"), state["classes"][c]) for c in np.argsort(-p)]


def test_two_devices_predict_the_same(trained, capsys):
    said = []
    for device in ("cpu", "cpu:0,cpu:1"):
        capsys.readouterr()
        assert run("predict", trained / "few/red/03.png", "--checkpoint", trained / "three", "--device", device) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16"])
def test_predict_takes_pictures_of_any_mode_and_size(trained, tmp_path, capsys, mode):
    path = tmp_path / ("picture.tif" if mode == "CMYK" else "picture.png")
    Image.new(mode, (31, 90), 1 if mode == "1" else None).save(path)
    capsys.readouterr()
    assert run("predict", path, "--checkpoint", trained / "three") == 0
    said, complaint = capsys.readouterr()
    assert complaint == "" and len(answers(said)[0][1]) == 3


def test_predict_names_the_pictures_that_are_broken_and_answers_for_the_others(trained, tmp_path, capsys):
    good, broken, missing = trained / "few" / "red" / "00.png", tmp_path / "broken.png", tmp_path / "missing.png"
    broken.write_bytes(good.read_bytes()[:200])
    capsys.readouterr()
    assert run("predict", missing, good, broken, tmp_path, good, "--checkpoint", trained / "three") == 2
    said, complaint = capsys.readouterr()
    assert [name for name, _ in answers(said)] == [str(good)] * 2
    lines = complaint.splitlines()
    assert [line.startswith("alexnet.py: ") for line in lines] == [True] * 3
    for line, path in zip(lines, (missing, broken, tmp_path), strict=True):
        assert str(path) in line
