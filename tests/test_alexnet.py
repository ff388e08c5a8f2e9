"""The 2012 network: its sizes, where its towers meet, its gradients, its initial values and what can be varied."""

import copy
import math

import numpy as np
import pytest
from oracles import assert_close, normal

import alexnet
import tinynet as tn
from alexnet import AlexNet

TWO = "cpu:0,cpu:1"

# Layer; map or units, parameters and multiply-adds of both towers; kernels of each: the paper, sections 3.2 to 3.5.
TABLE = [
    ("conv1", (96, 55, 55), 34_944, 105_415_200, [(48, 3, 11, 11)] * 2),
    ("conv2", (256, 27, 27), 307_456, 223_948_800, [(128, 48, 5, 5)] * 2),
    ("conv3", (384, 13, 13), 885_120, 149_520_384, [(192, 256, 3, 3)] * 2),
    ("conv4", (384, 13, 13), 663_936, 112_140_288, [(192, 192, 3, 3)] * 2),
    ("conv5", (256, 13, 13), 442_624, 74_760_192, [(128, 192, 3, 3)] * 2),
    ("fc6", (4096,), 37_752_832, 37_748_736, [(2048, 9216)] * 2),
    ("fc7", (4096,), 16_781_312, 16_777_216, [(2048, 4096)] * 2),
    ("fc8", (1000,), 4_097_000, 4_096_000, [(1000, 4096)]),
]


@pytest.fixture(scope="module")
def full():
    return AlexNet().eval()


@pytest.fixture(scope="module")
def full_tape(full):
    return tn.tape(full(tn.tensor(normal(1, 3, 224, 224, dtype=np.float32))).sum())


def small(devices=None, **how):
    """A float64 network with six first-layer kernels a tower: more than the normalisation's window."""
    return AlexNet(**{"classes": 7, "width": 0.125, "image_size": 64, "dtype": np.float64, **how}, devices=devices)


def parameters_of(name, tensors):
    return [t for key, t in tensors if key.split(".")[-2] == name]


# sizes ----------------------------------------------------------------------------------------------------------------


def test_it_has_60_965_224_parameters_in_two_towers(full):
    sizes = {name: p.size for name, p in full.named_parameters()}
    second = sum(size for name, size in sizes.items() if name.startswith("towers.1."))
    assert sum(sizes.values()) == 60_965_224
    assert (sum(sizes.values()) - second, second) == (32_531_112, 28_434_112)


@pytest.mark.parametrize(("name", "shape", "count", "macs", "kernels"), TABLE, ids=[row[0] for row in TABLE])
def test_every_layer_has_the_papers_sizes(full, full_tape, name, shape, count, macs, kernels):
    tensors = parameters_of(name, full.named_parameters())
    assert [t.shape for t in tensors if t.ndim > 1] == kernels
    assert sum(t.size for t in tensors) == count
    weights = [t for t in tensors if t.ndim > 1]
    made = [next(e for e in full_tape if w.entry in e.parents) for w in weights]
    assert all(e.shape == (1, len(w), *shape[1:]) for e, w in zip(made, weights, strict=True))
    assert sum(math.prod(e.shape) * math.prod(w.shape[1:]) for e, w in zip(made, weights, strict=True)) == macs


def test_the_table_that_it_prints_is_that_of_the_paper(full):
    assert [(name, shape, sum(counts), macs) for name, shape, counts, macs in full.layers()] == [row[:4] for row in TABLE]
    text = str(full)
    for number in ("32,531,112", "28,434,112", "724,406,816", "60,965,224"):
        assert number in text


def test_maps_are_55_27_13_6(full_tape):
    sides = [e.shape[-1] for e in full_tape if e.op in ("conv2d", "max_pool2d")]
    assert sides == [55, 27] * 2 + [27, 13] * 2 + [13] * 4 + [13, 6] * 2  # layer 1 of both towers, layer 2 of both, ...


@pytest.mark.parametrize(
    ("width", "classes", "image_size"), [(0.25, 10, 64), (0.001, 2, 52), (0.1, 1, 227), (0.05, 1000, 67), (0.0625, 3, 300)]
)
def test_width_classes_and_image_size_are_free(width, classes, image_size):
    model = AlexNet(classes, width, image_size=image_size)
    assert model(tn.tensor(np.zeros((2, 3, image_size, image_size), np.float32))).shape == (2, classes)
    for name, layer in alexnet.LAYERS.items():
        weights = [t for t in parameters_of(name, model.named_parameters()) if t.ndim > 1]
        assert [len(w) for w in weights] == [max(1, round(layer.maps * width / 2))] * 2
    assert sum(sum(counts) for _, _, counts, _ in model.layers()) == sum(p.size for p in model.parameters())


@pytest.mark.parametrize(
    ("image_size", "layer"),
    [(1, "conv1"), (10, "conv1"), (11, "pool1"), (14, "pool1"), (20, "pool2"), (30, "pool5"), (51, "pool5")],
)
def test_too_few_pixels_names_the_layer_that_runs_out_of_them(image_size, layer):
    with pytest.raises(tn.UsageError, match=rf"image_size={image_size} runs out of pixels in {layer}, .* is 52$"):
        AlexNet(10, 0.05, image_size=image_size)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        (dict(classes=0), tn.UsageError),
        (dict(width=0), tn.UsageError),
        (dict(width=-1), tn.UsageError),
        (dict(width=math.nan), tn.UsageError),
        (dict(width=1e300), tn.UsageError),
        (dict(recipe="caffe"), tn.UsageError),
        (dict(devices="cpu:0,cpu:1,cpu:2"), tn.DeviceError),
        (dict(devices="tpu"), tn.DeviceError),
    ],
    ids=str,
)
def test_impossible_networks_are_refused_in_a_sentence(how, error):
    with pytest.raises(error) as caught:
        AlexNet(**{"classes": 10, "width": 0.05, "image_size": 64, **how})
    assert str(next(iter(how.values()))).split(",")[0] in str(caught.value) or "got 3" in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 3, 63, 64), (1, 1, 64, 64), (3, 64, 64)])
def test_images_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected images \(N, 3, 64, 64\)"):
        small()(tn.tensor(np.zeros(shape)))


# the border -----------------------------------------------------------------------------------------------------------


def first_maps(monkeypatch, model, image):
    """What conv1 of the first tower makes of an image."""
    conv1, seen = model.towers[0].conv1, []
    forward = conv1.forward
    monkeypatch.setattr(conv1, "forward", lambda x: seen.append(forward(x)) or seen[-1])
    model(tn.tensor(image))
    return seen[0].numpy()


@pytest.mark.parametrize(
    ("pixel", "position", "kernel_pixel"),
    [
        ((223, 223), (54, 54), (7, 7)),
        ((0, 0), (0, 0), (0, 0)),
        ((223, 0), (54, 0), (7, 0)),
        ((3, 223), (0, 54), (3, 7)),
    ],
)
def test_at_224_the_last_windows_hang_over_the_right_and_lower_edge_by_three(monkeypatch, pixel, position, kernel_pixel):
    model = AlexNet(3, 0.02, image_size=224, dtype=np.float64)
    image = np.zeros((1, 3, 224, 224))
    image[(0, slice(None), *pixel)] = [1, 2, 3]
    maps = first_maps(monkeypatch, model, image)
    assert maps.shape[-2:] == (55, 55)
    assert np.argwhere(maps[0, 0]).tolist() == [list(position)]
    w = model.towers[0].conv1.weight.numpy()
    assert_close(maps[(0, slice(None), *position)], w[(..., *kernel_pixel)] @ [1, 2, 3], 1e-12)


@pytest.mark.parametrize(("image_size", "border"), [(224, 3), (227, 0), (64, 3), (66, 1), (67, 0)])
def test_conv1_is_pytorchs_on_an_image_padded_right_and_below(monkeypatch, image_size, border):
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    model = AlexNet(3, 0.05, image_size=image_size, dtype=np.float64)
    image = normal(2, 3, image_size, image_size)
    weight, bias = (torch.tensor(t.numpy()) for t in (model.towers[0].conv1.weight, model.towers[0].conv1.bias))
    padded = torch.nn.functional.pad(torch.tensor(image), (0, border, 0, border))
    expected = torch.nn.functional.conv2d(padded, weight, bias, stride=4)
    assert_close(first_maps(monkeypatch, model, image), expected.detach().numpy(), 1e-12)


# two towers -----------------------------------------------------------------------------------------------------------


def test_towers_meet_in_conv3_fc6_fc7_and_fc8_and_nowhere_else():
    model = small(TWO)
    tape = tn.tape(model(tn.tensor(normal(1, 3, 64, 64))).sum())
    names = {p.entry: name for name, p in model.named_parameters()}

    def users(entry):
        return [e for e in tape if entry in e.parents]

    met = []
    for transfer in (e for e in tape if e.op == "transfer"):
        (joined,) = users(transfer)
        (layer,) = users(joined)
        assert joined.op == "concat"
        met.append(next(names[p] for p in layer.parents if names.get(p, "").endswith("weight")))
    both = [f"towers.{i}.{layer}.weight" for layer in ("conv3", "fc6", "fc7") for i in (0, 1)]
    assert sorted(met) == sorted([*both, "fc8.weight"])
    for e in tape:
        if e.op != "transfer":
            assert {p.device.name for p in e.parents if p is not None} <= {e.device.name}
        if e in names:
            assert e.device.name == ("cpu:1" if names[e].startswith("towers.1.") else "cpu:0")


def test_on_one_device_nothing_is_transferred():
    tape = tn.tape(small("cpu:0")(tn.tensor(normal(1, 3, 64, 64))).sum())
    assert "transfer" not in {e.op for e in tape}


@pytest.mark.parametrize("dropout", [0.5, 0.0])
def test_one_device_or_two_give_the_same_bits_over_20_steps(dropout):
    how = dict(classes=5, width=0.1, image_size=56, recipe="modern", dropout=dropout)
    x, labels = normal(6, 3, 56, 56, dtype=np.float32), np.arange(6) % 5
    losses, states = [], []
    for devices in ("cpu:0", TWO):
        model = AlexNet(**how, devices=devices)
        optimizer = alexnet.RECIPES["modern"].optimizer(model)
        losses.append([])
        for _ in range(20):
            loss = tn.cross_entropy(model(tn.tensor(x)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses[-1].append(loss.item())
        states.append(model.state_dict())
    assert losses[0] == losses[1]
    assert losses[0][-1] < losses[0][0]
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[0])


def test_state_dict_has_the_same_keys_and_values_whatever_the_devices():
    one, two = (small(devices).state_dict() for devices in ("cpu", TWO))
    assert list(one) == list(two)
    assert all(np.array_equal(one[key], two[key]) for key in one)
    layers = [f"towers.{i}.{name}" for i in (0, 1) for name in alexnet.LAYERS] + ["fc8"]
    assert sorted(one) == sorted(f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias"))
    other = small(TWO, seed=5)
    other.load_state_dict(one)
    x = tn.tensor(normal(1, 3, 64, 64))
    assert np.array_equal(other.eval()(x).numpy(), small().eval()(x).numpy())


@pytest.mark.parametrize("devices", [
    tn.devices(TWO), TWO.split(","), tuple(TWO.split(",")), [TWO], [tn.devices("cpu:0")[0], "cpu:1"],
], ids=["Devices", "names", "tuple", "name of two", "mixed"])  # fmt: skip
def test_devices_may_be_a_list_of_devices_or_of_names(devices):
    model = small(devices)
    assert [tower.conv1.weight.device.name for tower in model.towers] == ["cpu:0", "cpu:1"]
    assert model.fc8.weight.device.name == "cpu:0"
    assert model(tn.tensor(normal(1, 3, 64, 64))).shape == (1, 7)


def test_one_device_named_twice_in_a_list_is_two_streams_as_in_a_name():
    towers = small(["sim:0", "sim:0"]).towers
    assert [tower.device.name for tower in towers] == ["sim:0", "sim:0 stream 2"]


def grouped_net(ops, p, x, masks, alpha, towers=2):
    """The same network on one device, as one stack of layers with grouped convolutions; `ops` is tinynet or PyTorch.

    p: name -> the weights of both towers, joined. masks: (fc6, fc7), which units stay. towers: how many halves the response
    normalisation sees; 1 lets it look across, as Caffe does.
    """

    def normalised(maps):
        return ops.concat([ops.local_response_norm(part, alpha) for part in ops.split(maps, towers)])

    def conv(name, x, **how):
        return ops.relu(ops.conv2d(x, p[f"{name}.weight"], p[f"{name}.bias"], **how))

    def full(name, x):
        return ops.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    x = ops.pool(normalised(conv("conv1", x, stride=4)))
    x = ops.pool(normalised(conv("conv2", x, padding=2, groups=2)))
    x = conv("conv3", x, padding=1)
    x = conv("conv4", x, padding=1, groups=2)
    x = ops.pool(conv("conv5", x, padding=1, groups=2)).reshape(len(x), -1)
    x = ops.relu(full("fc6", x)) * masks[0]
    x = ops.relu(full("fc7", x)) * masks[1]
    return full("fc8", x)


class TinyOps:
    conv2d, linear, relu = staticmethod(tn.conv2d), staticmethod(tn.linear), staticmethod(tn.relu)

    def tensor(self, array, requires_grad=False):
        return tn.tensor(array, requires_grad=requires_grad)

    def split(self, x, n):
        step = x.shape[1] // n
        return [x[:, i * step : (i + 1) * step] for i in range(n)]

    def concat(self, parts):
        return tn.concat(parts, axis=1)

    def pool(self, x):
        return tn.max_pool2d(x, 3, 2)

    def local_response_norm(self, x, alpha):
        return tn.local_response_norm(x, 5, alpha, 0.75, 2.0)

    def loss(self, logits, labels):
        return tn.cross_entropy(logits, labels)


class TorchOps:
    def __init__(self):
        self.torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
        self.F = self.torch.nn.functional
        self.conv2d, self.linear, self.relu = self.F.conv2d, self.F.linear, self.F.relu

    def tensor(self, array, requires_grad=False):
        return self.torch.tensor(np.asarray(array), requires_grad=requires_grad)

    def split(self, x, n):
        return self.torch.chunk(x, n, dim=1)

    def concat(self, parts):
        return self.torch.cat(list(parts), dim=1)

    def pool(self, x):
        return self.F.max_pool2d(x, 3, 2)

    def local_response_norm(self, x, alpha):
        return self.F.local_response_norm(x, 5, 5 * alpha, 0.75, 2.0)

    def loss(self, logits, labels):
        return self.F.cross_entropy(logits, self.torch.tensor(labels))


def joined(named):
    """name -> arrays of both towers, joined along the outputs, from (name, array) pairs."""
    parts = {}
    for name, array in named:
        parts.setdefault(".".join(name.split(".")[-2:]), []).append(array)
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def loud(model):
    """Weights that keep the signal alive and biases that are not all alike."""
    rng = np.random.default_rng(3)
    for _, p in model.named_parameters():
        fan = math.prod(p.shape[1:])
        p.data[...] = rng.normal(0, math.sqrt(2 / fan) if p.ndim > 1 else 0.3, p.shape)
    return model


def kept_units(model, n):
    """The masks that the next training step of n images will draw, as (n, units of both towers)."""
    sizes = [len(model.towers[0].fc6.weight), len(model.towers[0].fc7.weight)]
    rngs = [[copy.deepcopy(getattr(t, name).rng) for t in model.towers] for name in ("drop6", "drop7")]
    return [
        np.concatenate([rng.random((n, size), np.float32) >= 0.5 for rng in pair], axis=1).astype(float)
        for size, pair in zip(sizes, rngs, strict=True)
    ]


@pytest.mark.parametrize("training", [True, False], ids=["training", "test"])
@pytest.mark.parametrize("recipe", ["paper", "source"])
@pytest.mark.parametrize("Ops", [TinyOps, TorchOps], ids=["tinynet", "torch"])
def test_two_towers_are_one_net_with_grouped_convolutions(Ops, recipe, training):
    ops, model = Ops(), loud(small(TWO, recipe=recipe)).train(training)
    alpha = {"paper": 1e-4, "source": 2e-5}[recipe]
    # Pixels as large as real ones, so that the normalisation does something.
    x, labels = 60 * normal(3, 3, 64, 64), np.array([1, 0, 6])
    masks = kept_units(model, 3) if training else [0.5, 0.5]
    p = joined((name, t.numpy()) for name, t in model.named_parameters())
    p = {name: ops.tensor(array, requires_grad=True) for name, array in p.items()}
    border = np.pad(x, ((0, 0), (0, 0), (0, 3), (0, 3)))
    masks = [ops.tensor(mask) if training else mask for mask in masks]

    logits = model(tn.tensor(x))
    expected = grouped_net(ops, p, ops.tensor(border), masks, alpha)
    across = grouped_net(ops, p, ops.tensor(border), masks, alpha, towers=1)
    assert_close(logits.numpy(), expected.detach().numpy(), 1e-10, "logits")
    assert np.abs(across.detach().numpy() - logits.numpy()).max() > 1e-4 * np.abs(logits.numpy()).max()

    tn.cross_entropy(logits, labels).backward()
    ops.loss(expected, labels).backward()
    found = joined((name, t.grad) for name, t in model.named_parameters())
    assert set(found) == set(p)
    for name, gradient in found.items():
        assert np.abs(gradient).max() > 0, f"{name} gets no gradient, so this shows nothing"
        assert_close(gradient, np.asarray(p[name].grad), 1e-9, name)


def test_normalisation_across_the_towers_would_change_the_four_maps_between_them():
    x, half = 60 * normal(1, 12, 4, 4), 6
    apart = np.concatenate([tn.local_response_norm(tn.tensor(part)).numpy() for part in (x[:, :half], x[:, half:])], axis=1)
    together = tn.local_response_norm(tn.tensor(x)).numpy()
    changed = np.abs(apart - together).max(axis=(0, 2, 3)) > 1e-9
    assert np.flatnonzero(changed).tolist() == [half - 2, half - 1, half, half + 1]
