"""What notebooks show of tensors, networks and gradient checks: plain tables, escaped, small, and right."""

import numpy as np
import pytest
from hypertext import cells, read
from oracles import leaf, normal

import tinynet as tn
from alexnet import AlexNet
from tinynet import nn


def rgb(style):
    return [int(part) for part in style["background"][4:-1].split(",")]


def test_a_tensor_is_a_table_with_its_shape_dtype_and_device():
    page = read(leaf([[1.0, -2.0], [0.0, 0.5]])._repr_html_())
    assert page.rows == [["1", "-2"], ["0", "0.5"]]
    assert "tensor (2, 2), dtype=float32, device=cpu:0, requires_grad=True" in page.text
    (one, minus_two), (zero, half) = [[rgb(style) for style in row] for row in page.styles]
    assert zero == [255, 255, 255]
    assert one[2] > one[0] and half[2] > half[0], "positive is blue"
    assert minus_two[0] > minus_two[2], "negative is orange"
    assert sum(half) > sum(one), "the larger, the darker"


def test_colours_leave_the_numbers_readable():
    ink = 0.02
    for row in read(tn.tensor(np.linspace(-1, 1, 12))._repr_html_()).styles:
        for style in row:
            red, green, blue = (((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb(style))
            assert (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) / (ink + 0.05) > 4.5  # WCAG AA


@pytest.mark.parametrize("data, rows, note", [
    (3.0, [["3"]], None),
    ([1, 2], [["1", "2"]], None),
    (np.array([True, False]), [["True", "False"]], None),
    (np.zeros((0, 3)), [], None),
    (np.arange(30.0), [[str(i) for i in range(12)]], "shown is [:12]"),
    (np.arange(24.0).reshape(2, 3, 4), [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8", "9", "10", "11"]],
     "shown is [0, :, :]"),
    (np.zeros((20, 2)), [["0", "0"]] * 8, "shown is [:8, :]"),
    ([np.nan, np.inf, -np.inf, 1e-20], [["nan", "inf", "-inf", "1e-20"]], None),
    (np.zeros(3), [["0", "0", "0"]], None),
    (np.uint8([0, 255]), [["0", "255"]], None),
], ids=str)  # fmt: skip
def test_of_a_large_tensor_a_piece_is_shown_and_which(data, rows, note):
    page = read(tn.tensor(data)._repr_html_())
    assert page.rows == rows
    assert ("shown is" in page.text) == (note is not None) and (note or "") in page.text


def test_nan_and_infinity_stand_out():
    styles = read(tn.tensor([np.nan, 1.0])._repr_html_()).styles[0]
    assert styles[0]["background"] == "#b3261e" and styles[1]["background"].startswith("rgb")


def test_pages_are_small_however_large_what_they_show():
    model = AlexNet(10, 0.1, image_size=64)
    loss = model(tn.tensor(np.zeros((1, 3, 64, 64), np.float32))).sum()
    for thing, most in ((tn.tensor(normal(500, 500)), 20_000), (model, 10_000), (tn.tape(loss, model), 80_000)):
        assert len(thing._repr_html_()) < most


def test_a_network_is_a_table_of_its_modules_and_their_parameters():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.Linear(4, 2)))
    assert cells(net._repr_html_()) == [
        ["module", "layer", "parameters"],
        ["", "Sequential()", ""],
        ["\u20030", "Conv2d(3, 4, kernel_size=(3, 3), stride=(1, 1))", "112"],
        ["\u20031", "Sequential()", ""],
        ["\u2003\u20031.0", "ReLU()", ""],
        ["\u2003\u20031.1", "Linear(in_features=4, out_features=2, bias=True)", "10"],
        ["", "parameters", "122"],
    ]


def test_parameters_of_a_module_itself_are_counted_once():
    class Scaled(nn.Module):
        def __init__(self):
            self.scale, self.inner = leaf(np.ones(5)), nn.Linear(2, 2)

    rows = cells(Scaled()._repr_html_())
    assert [row[2] for row in rows] == ["parameters", "5", "6", "11"]


def test_alexnet_is_its_table_of_layers():
    model = AlexNet(10, 0.1, image_size=64)
    rows = cells(model._repr_html_())
    assert [" ".join(row) for row in rows] == [" ".join(line.split()) if i else " ".join(rows[0])
                                               for i, line in enumerate(str(model).splitlines()[:-2])] + [
        " ".join(rows[-1])]  # fmt: skip
    assert rows[1] == ["conv1", "10x15x15", "1,820", "1,820", "816,750"]
    assert rows[-1] == ["total", "", "107,327", "103,217", "1,337,384"]


def test_a_gradient_check_is_a_table_and_a_picture_of_the_wrong_entries():
    def wrong(dy, x):
        dx = 2 * dy * x
        dx[1, 2] += 1
        return dx

    report = tn.gradcheck(np.square, [normal(3, 4)], wrong)
    page = read(report._repr_html_())
    assert "FAIL" in page.text and report[0].reason in page.text and report[0].hints[0] in page.text
    assert page.rows[0] == ["index", "analytic", "numeric", "rel err"] and page.rows[1][0] == "(1, 2)"
    assert page.rows[2:] == [[".", ".", ".", "."], [".", ".", "#", "."], [".", ".", ".", "."]]
    red = [[style["background"] == "#b3261e" for style in row] for row in page.styles[2:]]
    assert np.argwhere(red).tolist() == [[1, 2]]
    assert page.styles[3][2]["color"] == "#ffffff" != page.styles[3][1]["color"]
    assert repr(report) == str(report) and repr(report[0]) == str(report[0])


def test_a_pass_is_one_line():
    page = read(tn.gradcheck(np.square, [normal(3)], lambda dy, x: 2 * dy * x)._repr_html_())
    assert page.rows == [] and "PASS" in page.text


def test_names_that_look_like_html_are_escaped():
    class Odd(nn.Module):
        def extra_repr(self):
            return "<script>alert(1)</script> & more"

    for text in (
        Odd()._repr_html_(),
        tn.gradcheck(lambda x: x * 2, [normal(2)], lambda dy, x: dy, names=["<b>"])._repr_html_(),
    ):
        assert "<script>" not in text
        read(text)
