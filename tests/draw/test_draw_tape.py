"""Pictures of tapes: every operation is in them, nothing overlaps, and a gradient that is not there yet is not a 0."""

import io
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from oracles import leaf, normal

import tinynet as tn
from alexnet import AlexNet
from tinynet import draw


def boxes(figure):
    """[(extent in pixels, its texts from left to right and down)] of all boxes, from above."""
    axes = figure.axes[0]
    found = []
    for patch in axes.patches:
        if isinstance(patch, Rectangle):
            area = patch.get_window_extent()
            inside = [t for t in axes.texts if area.contains(*t.get_window_extent().get_points().mean(0))]
            inside.sort(key=lambda t: (t.get_position()[1], t.get_position()[0]))
            found.append((area, [t.get_text() for t in inside]))
    return sorted(found, key=lambda box: -box[0].y1)


def box_of(figure, *begin):
    (found,) = [texts for _, texts in boxes(figure) if tuple(texts[: len(begin)]) == begin]
    return found[len(begin) :]


def edges(figure):
    return [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)]


def scalars():
    x, y = leaf(2.0), leaf(3.0)
    p = x * y
    loss = p + x * x
    return x, y, p, loss


def alexnet(devices):
    model = AlexNet(10, 0.1, devices=devices, image_size=64)
    return model, tn.cross_entropy(model(tn.tensor(normal(2, 3, 64, 64, dtype=np.float32))), [0, 1])


def test_a_scalar_has_its_value_and_a_gradient_that_is_not_yet_there():
    x, y, p, loss = scalars()
    figure = draw.tape(loss, {"x": x, "y": y, "p": p})
    assert isinstance(figure, Figure)
    assert box_of(figure, "x") == ["value", "2.0", "gradient", "not yet"]
    assert box_of(figure, "mul", "p") == ["value", "6.0", "gradient", "not yet"]
    assert box_of(figure, "mul", "gradient") == ["not yet"], "the value of x * x is nowhere any more"
    assert box_of(figure, "add") == ["value", "10.0", "gradient", "not yet"]
    assert len(boxes(figure)) == 5 and len(edges(figure)) == 6, "x * x has two edges from x"


def test_after_backward_gradients_are_numbers_or_were_not_kept():
    x, y, p, loss = scalars()
    x.retain_grad()
    loss.retain_grad()
    loss.backward()
    figure = draw.tape(loss, {"x": x, "y": y, "p": p})
    assert box_of(figure, "x")[-1] == "7.0" and box_of(figure, "y")[-1] == "2.0"
    assert box_of(figure, "mul", "p")[-1] == "not kept" and box_of(figure, "add")[-1] == "1.0"
    x.grad = np.zeros((), np.float32)
    assert box_of(draw.tape(loss, {"x": x}), "x")[-1] == "0.0", "a gradient that is 0 is a 0"


def test_halfway_through_a_rewind_each_gradient_is_what_has_arrived():
    x, y, p, loss = scalars()
    x.grad = np.float32(100.0)  # of another backward: not what has arrived in this one
    tape = tn.tape(loss, {"x": x, "y": y, "p": p})
    steps, seen = tape.rewind(), []
    for _ in steps:
        figure = draw.tape(tape)
        seen.append([box_of(figure, *name)[-1] for name in (("mul", "p"), ("x",), ("y",))])
    assert seen == [["1.0", "not yet", "not yet"], ["1.0", "4.0", "not yet"], ["1.0", "7.0", "2.0"]]


def test_weights_stand_in_the_box_of_their_operation_with_a_dot():
    net = tn.nn.Sequential(tn.nn.Linear(4, 8), tn.nn.ReLU(), tn.nn.Linear(8, 3))
    loss = tn.cross_entropy(net(tn.tensor(np.ones((5, 4), np.float32))), [0, 1, 2, 0, 1])
    figure = draw.tape(loss, net)
    assert [texts[0] for _, texts in boxes(figure)] == ["linear", "relu", "linear", "cross_entropy"]
    assert boxes(figure)[0][1] == ["linear", "(5, 8)", "○", "0.weight (8, 4)", "○", "0.bias (8,)", "a constant"]
    loss.backward()
    assert boxes(draw.tape(loss, net))[0][1][2:6] == ["●", "0.weight (8, 4)", "●", "0.bias (8,)"]


def test_a_weight_that_two_operations_share_has_a_box_of_its_own():
    w = leaf(np.eye(3, dtype=np.float32))
    x = tn.tensor(np.ones((2, 3), np.float32))
    figure = draw.tape(tn.linear(tn.tanh(tn.linear(x, w)), w).sum(), {"w": w})
    assert boxes(figure)[0][1] == ["w", "(3, 3)", "○"] and len(boxes(figure)) == 5
    assert len(edges(figure)) == 5


@pytest.mark.parametrize("devices", ["cpu:0", "cpu:0,cpu:1"])
def test_alexnet_stands_in_two_columns_that_meet_where_the_paper_says(devices):
    model, loss = alexnet(devices)
    figure = draw.tape(loss, model)
    found = boxes(figure)
    text = " ".join(" ".join(texts) for _, texts in found)
    assert all(f"{name} {t.shape}" in text for name, t in model.named_parameters())
    assert len(found) == sum(e.op != "leaf" for e in tn.tape(loss))
    of = {name: area for area, texts in found for name in ("towers.0", "towers.1") if any(name in t for t in texts)}
    for area, texts in found:
        for own, other, sign in (("towers.0", "towers.1", 1), ("towers.1", "towers.0", -1)):
            if any(own in t for t in texts):
                assert sign * (of[other].x0 + of[other].x1 - area.x0 - area.x1) > 200, "the first tower stands on the left"
    meeting = [e for e in edges(figure) if e.get_linewidth() > 1]
    # conv3, fc6 and fc7: two edges in and two out; fc8: two in. On two devices: in and out of each transfer.
    assert len(meeting) == (3 * 4 + 2 if devices == "cpu:0" else 2 * (3 * 2 + 1))
    width, height = figure.canvas.get_width_height()
    assert width < 800 and height < 3000


@pytest.mark.parametrize("make", [
    lambda: alexnet("cpu:0"), lambda: alexnet("cpu:0,cpu:1"), lambda: (None, scalars()[-1]),
    lambda: (None, sum((leaf(float(i)) * leaf(2.0) for i in range(12)), leaf(0.0))),
], ids=["one device", "two devices", "scalars", "many inputs"])  # fmt: skip
def test_no_two_boxes_overlap_and_no_text_leaves_its_box_or_the_page(make):
    model, loss = make()
    figure = draw.tape(loss, model)
    areas = [area for area, _ in boxes(figure)]
    for a, b in combinations(areas, 2):
        assert a.x1 < b.x0 or b.x1 < a.x0 or a.y1 < b.y0 or b.y1 < a.y0
    page = figure.axes[0].get_window_extent()
    for text in figure.axes[0].texts:
        extent = text.get_window_extent()
        assert page.x0 <= extent.x0 and extent.x1 <= page.x1 and page.y0 <= extent.y0 and extent.y1 <= page.y1
        for area in areas:
            if area.x0 < (extent.x0 + extent.x1) / 2 < area.x1 and area.y0 < (extent.y0 + extent.y1) / 2 < area.y1:
                assert area.x0 < extent.x0 and extent.x1 < area.x1
    assert sum(len(texts) for _, texts in boxes(figure)) >= len(areas)


def test_every_box_is_below_its_inputs():
    x, y, p, loss = scalars()
    ys = {tuple(texts[:2]): area.y0 for area, texts in boxes(draw.tape(loss, {"x": x, "y": y, "p": p}))}
    assert ys["x", "value"] > ys["mul", "p"] > ys["add", "value"] and ys["y", "value"] > ys["mul", "p"]


def test_boxes_change_places_where_their_edges_would_cross():
    a, b = leaf(normal(2)), leaf(normal(3))
    p, q = tn.exp(a), tn.tanh(b)
    r = tn.sigmoid(q)  # made before what hangs on p
    s = tn.relu(p)
    figure = draw.tape(r.sum() + s.sum())
    x = {texts[0]: area.x0 + area.x1 for area, texts in boxes(figure)}
    assert (x["exp"] < x["tanh"]) == (x["relu"] < x["sigmoid"])


def test_chains_are_straight_and_inputs_stand_where_they_are_needed():
    model, loss = alexnet("cpu:0")
    centre = {}
    for area, texts in boxes(draw.tape(loss, model)):
        centre.setdefault(texts[0], []).append((area.x0 + area.x1) / 2)
    drift = np.array(centre["conv2d"]) - np.array(centre["relu"][: len(centre["conv2d"])])
    assert len(drift) == 10 and np.abs(drift).max() < 12
    y = x = leaf(1.0)
    for _ in range(5):
        y = tn.tanh(y)
    late = leaf(3.0)
    found = {texts[0]: area for area, texts in boxes(draw.tape(y * late, {"x": x, "late": late}))}
    assert found["late"].y0 - found["mul"].y1 < 60 < found["x"].y0 - found["mul"].y1


def test_the_same_tape_gives_the_same_bytes_and_pyplot_is_not_imported():
    model, loss = alexnet("cpu:0")
    pictures = []
    for _ in range(2):
        file = io.BytesIO()
        draw.tape(loss, model).savefig(file, metadata={"Software": None})
        pictures.append(file.getvalue())
    assert pictures[0] == pictures[1] and len(pictures[0]) < 400_000
    program = "import sys, tinynet as tn; from tinynet import draw; x = tn.tensor(1.0, requires_grad=True);"
    program += "draw.tape(x * x); print('matplotlib.pyplot' in sys.modules)"
    root = Path(tn.__file__).parents[1]
    command = [sys.executable, "-W", "error", "-c", program]
    assert subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout == "False\n"


def test_more_entries_than_make_a_picture_are_refused():
    y = leaf(1.0)
    for _ in range(400):
        y = y + 1
    with pytest.raises(ValueError, match=r"draw.tape: 401 entries are more than the 400 .*; print\(tn.tape\(loss\)\)"):
        draw.tape(y)


def test_a_leaf_alone_is_a_picture_too():
    assert boxes(draw.tape(leaf(2.0)))[0][1] == ["leaf", "value", "2.0", "gradient", "not yet"]
    assert boxes(draw.tape(leaf([2.0, 1.0])))[0][1] == ["leaf", "(2,)", "○"]
