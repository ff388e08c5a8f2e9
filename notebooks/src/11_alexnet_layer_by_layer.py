# question: Where are 60,965,224 parameters and 724 million multiplications?
# reading: 30
# %% [markdown]
# # AlexNet, layer by layer
#
# All parts are there: convolution, ReLU, normalisation, pooling, linear layers, dropout. This chapter puts them
# together as section 3.5 of the paper does, draws its figure 2 from the network itself, counts, and puts right what is
# often told wrongly.
# %%
import inspect
import itertools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import tinynet as tn
from alexnet import LAYERS, AlexNet
from tinynet import draw as pictures
from tinynet.data import augment
from tinynet.notebooks import begin, claim, photo

rng = begin(11)
# %% [markdown]
# ## The network on one page
#
# Two **towers**, each with half of the kernels of every layer but the last, because in 2012 one GPU had 3 GB and the
# network did not fit. `x` is a list with the maps of both; `each` does the same in both towers; `exchange` gives both
# towers the maps of both.
# %%
print(inspect.getsource(AlexNet.forward))
for name, layer in LAYERS.items():
    print(name, layer)
# %% [markdown]
# **Before you run the next cell, guess**: which layer has the most parameters, and which does the most multiplications?
# %%
model = AlexNet()
print(model)


# %% [markdown]
# The most parameters are in `fc6`: 37.8 million, six of ten. The most multiplications are in `conv2`, where a kernel of
# 5x5x48 weights is used at 729 places. Convolutions have 3.8 % of the parameters and do 91.9 % of the work, since each
# of their weights is used again at every place; a weight of a fully connected layer is used once a picture.
# %%
def per_tower(model):
    """For every layer: its name, the shape of its output, and for each tower parameters, units and multiply-adds."""
    rows = []
    for name, shape, parameters, macs in model.layers():
        units = int(np.prod(shape))
        halves = [1, 0] if name == "fc8" else [0.5, 0.5]  # fc8 as a whole lives with the first tower
        rows.append((name, shape, parameters, [units * h for h in halves], [macs * h for h in halves]))
    return rows


def crossings(model):
    """The layers that look at both towers: their kernels are deeper than one tower's maps in front of them."""
    found, own = [], 3  # what a tower has in front of conv1: red, green, blue
    for name in [*LAYERS, "fc8"]:
        layer = model.fc8 if name == "fc8" else getattr(model.towers[0], name)
        kernels, depth = layer.weight.shape[:2]
        if depth > own:
            found.append(name)
        own = kernels * model.sides["pool5"] ** 2 if name == "conv5" else kernels  # fc6 sees their pixels
    return found


def draw(model):
    """Figure 2 of the paper, from the network: boxes as high as their maps have pixels, as wide as the number of maps."""
    rows, deep = per_tower(model), crossings(model)
    figure, axes = plt.subplots(figsize=(10.4, 4.6))
    heights = [105, 0]  # where the two towers lie
    boxes, x = [], 26.0
    image = model.image_size / 4
    axes.add_patch(Rectangle((0, 76 - image / 2), 5, image, facecolor="#c9ced6", edgecolor="#22262b"))
    axes.text(2.5, 76 + image / 2 + 4, f"image\n3x{model.image_size}x{model.image_size}", ha="center", fontsize=7)
    for name, shape, _, _, _ in rows:
        side = shape[1] if len(shape) == 3 else 0
        maps = shape[0] if name == "fc8" else shape[0] // 2
        width, height = (2 + maps / 18, 10 + side) if side else (5, 10 + maps / 60)
        here = [0] if name == "fc8" else [0, 1]
        for tower in here:
            middle = heights[tower] + 24
            face = "#dfe5ee" if side else "#fbe3c8"
            axes.add_patch(Rectangle((x, middle - height / 2), width, height, facecolor=face, edgecolor="#22262b"))
            text = f"{maps}x{side}x{side}" if side else f"{maps:,}"
            axes.text(x + width / 2, middle - height / 2 - 7, text, ha="center", fontsize=7)
            axes.text(x + width / 2, middle + height / 2 + 2.5, name, ha="center", fontsize=7, fontweight="bold")
        boxes.append((name, x, width, {tower: heights[tower] + 24 for tower in here}))
        x += width + (15 if side else 19)
    for tower in (0, 1):
        axes.annotate("", (boxes[0][1], boxes[0][3][tower]), (5.5, 76), arrowprops=dict(arrowstyle="->", color="#767d87"))
    for (_, left, width, start), (name, right, _, stop) in itertools.pairwise(boxes):
        crosses = name in deep
        for one in start:
            for other in stop:
                if one == other or crosses:
                    colour, line = ("#767d87", "-") if one == other else ("#b3261e", "--")
                    how = dict(arrowstyle="->", color=colour, linestyle=line)
                    axes.annotate("", (right - 0.5, stop[other]), (left + width + 0.5, start[one]), arrowprops=how)
    axes.text(0, 150, "tower 0", fontweight="bold")
    axes.text(0, -2, "tower 1", fontweight="bold")
    axes.set_xlim(-6, x)
    axes.set_ylim(-18, 172)
    axes.set_axis_off()
    count = sum(p.size for p in model.parameters())
    axes.set_title(f"AlexNet, width {model.width:g}, {model.classes} classes: {count:,} parameters", loc="left")
    figure.tight_layout()


draw(model)
plt.show()
# %% [markdown]
# **Figure.** The paper's figure 2, drawn from the model. Blue: maps, the higher the more pixels, the wider the more
# maps (the image is drawn four times as small). Orange: fully connected layers, the higher the more units. Solid arrows
# stay in a tower; red, dashed ones cross to the other. They cross in front of conv3, fc6, fc7 and (one way) fc8, and
# nowhere else. Nobody told the picture so: `crossings` compares, layer by layer, how deep a kernel is with how many maps
# its own tower has in front of it.
#
# So another network draws another picture: a quarter of the kernels, pictures of 64x64 pixels, ten classes.
# %%
draw(AlexNet(10, 0.25, image_size=64))
plt.show()
# %% [markdown]
# **Figure.** The same with other numbers: maps are smaller because the picture is, and fewer because of the width. The
# arrows are where they were.
#
# ## Counting
#
# Check one row by hand. conv2 has 256 kernels of 5x5x48: `256 * 5 * 5 * 48 = 307,200` weights and 256 biases. Each
# kernel is used at 27x27 places: `307,200 * 729 = 223,948,800` multiply-adds. Why 48, when the layer before has 96
# maps? Because a tower sees only its own.
# %%
rows = per_tower(model)
names = [row[0] for row in rows]
figure, panels = plt.subplots(1, 3, figsize=(9.8, 3.4), sharey=True)
what = [
    ("parameters, millions", [[p / 1e6 for p in row[2]] for row in rows]),
    ("output of a layer, kB a picture", [[4 * u / 1e3 for u in row[3]] for row in rows]),
    ("multiply-adds a picture, millions", [[m / 1e6 for m in row[4]] for row in rows]),
]
for panel, (title, values) in zip(panels, what, strict=True):
    first, second = np.array(values).T
    places = np.arange(len(names))
    panel.barh(places, first, color="#4a6a94", label="tower 0")
    panel.barh(places, second, left=first, color="#f5993d", hatch="//", edgecolor="white", label="tower 1")
    for place, total in zip(places, first + second, strict=True):
        panel.text(total, place, f" {total:,.1f}" if total < 100 else f" {total:,.0f}", va="center", fontsize=7)
    panel.set_title(title)
    panel.set_xlim(0, (first + second).max() * 1.25)
    panel.set_yticks(places, names)
panels[0].invert_yaxis()
panels[0].legend(frameon=False, loc="upper right")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Where it all is, per layer and tower. Parameters: in the fully connected layers. Outputs, which have to be
# kept for backward: in the first layers. Work: in the convolutions. This is why, two years later, one of the authors
# split the convolutions by pictures and the fully connected layers by units ("One weird trick", arXiv 1404.5997).
#
# ## A picture goes through
# %%
image = augment.centre_crop(photo(256), 224).astype(np.float32) - 118
x = tn.tensor(image[None])
model.eval()
with tn.no_grad():
    model(x)  # the first pass asks the system for memory, and is slower
with tn.no_grad(), tn.watch(model, "towers.0.conv1") as seen, tn.trace() as traced:
    logits = model(x).numpy()
print("logits:", logits.shape)
print(traced)
# %% [markdown]
# `tn.trace` counts what really ran: the multiply-adds are those of the table above, to the last one. The times are this
# machine's. `tn.watch` kept what conv1 of the first tower put out:
# %%
pictures.activations(seen["towers.0.conv1"].output[0, :16], "conv1 of tower 0, before anything was learnt")
# %% [markdown]
# **Figure.** 16 of the 48 maps that conv1 of one tower makes of a photograph with random kernels: sums with random
# signs over 11x11 pixels. Even these show edges; chapter 14 shows what training makes of them.
#
# The tape of a training step has 80 entries. As a picture it is figure 2 once more, this time drawn from what was
# *computed*, on a network a tenth as wide: the towers side by side, and where the maps of both are joined, the
# crossings.
# %%
small = AlexNet(10, 0.1, image_size=64)
loss = tn.cross_entropy(small(tn.tensor(rng.standard_normal((2, 3, 64, 64)).astype(np.float32))), [1, 2])
pictures.tape(loss, small)
# %% [markdown]
# **Figure.** The tape of one loss, from the images at the top down to the cross-entropy. Each box is an operation with
# the shape of its result and the names of its weights; empty circles are gradients that have not arrived. Follow the
# orange lines: joined in front of conv3, fc6, fc7 and fc8.
#
# How much of the picture does a unit of conv5 see? Go backwards: a window of 3 behind a stride of 2 sees more than 3.
# Per layer, the field grows by (kernel - 1) times the product of the strides before it.
# %%
field, jump = 1, 1
for name, layer in LAYERS.items():
    if layer.kernel is None:
        break
    field += (layer.kernel - 1) * jump
    jump *= layer.stride
    print(f"{name}: a unit sees {field}x{field} pixels, its neighbour {jump} pixels further on")
    if layer.pooled and name != "conv5":
        field += 2 * jump
        jump *= 2
# %% [markdown]
# ## What one reads, and what is so
#
# | one reads | it is | source |
# | --- | --- | --- |
# | "The GPUs communicate in conv2, conv4 and conv5" | the other way round: these three see only their own GPU's maps; conv3 and all fully connected layers see both | section 3.5 |
# | "conv2 sees all 96 maps" | its kernels are 5x5x48; only conv1 sees all there is, since both towers get the picture | section 3.5 |
# | "The fully-connected layers have 4096 neurons each" | so section 3.5 has it; the last has 1000 | figure 2 |
# | "62.3 million parameters, 1.1 billion multiplications" | of a network without the split; AlexNet has 60.97 million and 0.724 billion | counted below, and in exercise e33 |
# | "The input must be 227x227" | 224, and the last windows hang over by 3 pixels | the 2012 program; chapter 5 |
# | "AlexNet's error was 15.3 %" | seven networks together, two of them trained on more data; one alone: 18.2 % (top-5, validation) | table 2 |
# | "The biases start at 1 in all fully connected layers, the weights with a deviation of 0.005" | biases at 1 in the hidden ones (and in conv2, conv4, conv5), at 0 in fc8; weights with 0.01; 0.005 is in a later version, Caffe's `bvlc_alexnet` | section 5 |
# | "conv1 has 253,440 neurons" | 55x55x96 = 290,400; figure 2's caption has a slip of the pen (253,440 is 55x48x96). With it the layers sum to 622,312; without it to 659,272, the "650,000 neurons" of the abstract | figure 2 |
# | "Two GPUs were there for speed" | for memory: a GPU had 3 GB. Training took only slightly less time than one GPU took with half as many kernels | section 3.2; chapter 12 |
# | "The fully connected layers are nearly 1 GB" | 58.6 million numbers of 4 bytes: 0.234 GB | counted below |
# | "Every convolutional layer has at most 1 % of the parameters" | conv3 has 1.45 %, conv4 1.09 % | section 1 says it |
#
# Some of these can be counted here. Without the split, the kernels of conv2, conv4 and conv5 would be twice as deep:
# %%
total = sum(p.size for p in model.parameters())
split = [row for row in model.layers() if row[0] in ("conv2", "conv4", "conv5")]
more = sum(getattr(tower, row[0]).weight.size for row in split for tower in model.towers)
unsplit = [total + more, sum(row[3] for row in model.layers() + split)]
print(f"without the split: {unsplit[0]:,} parameters and {unsplit[1]:,} multiply-adds a picture")
connected = sum(layer.weight.size for tower in model.towers for layer in (tower.fc6, tower.fc7)) + model.fc8.weight.size
print(f"weights of the fully connected layers: {connected:,}, that is {4 * connected / 1e9:.3f} GB")
begins = {name: getattr(model.towers[0], name, model.fc8).bias.numpy() for name in [*LAYERS, "fc8"]}
print("biases begin at", {name: f"{bias.mean():g}" for name, bias in begins.items()})
# %%
by_name = {row[0]: row for row in rows}
macs = {name: sum(row[4]) for name, row in by_name.items()}
units = {name: sum(row[3]) for name, row in by_name.items()}
parameters = {name: sum(row[2]) for name, row in by_name.items()}
conv = [name for name in names if name.startswith("conv")]
claim("60,965,224 parameters", total == 60_965_224)
claim("724,406,816 multiply-adds a picture", sum(macs.values()) == 724_406_816)
claim("659,272 units, which the paper calls 650,000 neurons", sum(units.values()) == 659_272)
claim("conv1 has 290,400 of them", units["conv1"] == 290_400)
claim("convolutions have 3.8 % of the parameters and 91.9 % of the work",
      (round(100 * sum(parameters[n] for n in conv) / total, 1), round(100 * sum(macs[n] for n in conv) / sum(macs.values()), 1))
      == (3.8, 91.9))  # fmt: skip
claim(
    "most parameters are in fc6, most work in conv2",
    max(parameters, key=parameters.get) == "fc6" and max(macs, key=macs.get) == "conv2",
)
claim("conv3 has 1.45 % of the parameters, conv4 1.09 %",
      [round(100 * parameters[n] / total, 2) for n in ("conv3", "conv4")] == [1.45, 1.09])  # fmt: skip
claim("kernels are deeper than a tower in conv3, fc6, fc7, fc8, and nowhere else",
      crossings(model) == ["conv3", "fc6", "fc7", "fc8"])  # fmt: skip
claim("without the split: 62,378,344 parameters and 1,135,256,096 multiply-adds", unsplit == [62_378_344, 1_135_256_096])
claim("the fully connected layers have 58.6 million weights, 0.234 GB",
      (round(connected / 1e6, 1), int(connected * 4 / 1e6)) == (58.6, 234))  # fmt: skip
claim("253,440 is 55x48x96, and figure 2's caption then sums to 622,312",
      55 * 48 * 96 == 253_440 and sum(units.values()) - units["conv1"] + 253_440 == 622_312)  # fmt: skip
claim("fc8 has 1000 units", units["fc8"] == 1000)
claim("biases begin at 1 in conv2, conv4, conv5, fc6 and fc7, elsewhere at 0",
      [name for name, bias in begins.items() if (bias == 1).all()] == ["conv2", "conv4", "conv5", "fc6", "fc7"]
      and all((begins[name] == 0).all() for name in ("conv1", "conv3", "fc8")))  # fmt: skip
claim("a unit of conv5 sees 163 of 224 pixels a side", field == 163)
entries = len(tn.tape(loss))
claim("the tape of a step has 80 entries", entries == 80)
claim("the maps of one tower's conv1 are 48 of 55x55", seen["towers.0.conv1"].output.shape == (1, 48, 55, 55))
claim(
    "the trace of the forward pass counts as many multiply-adds as the table",
    traced.multiply_adds(phase="forward") == 724_406_816,
)
# %% [markdown]
# ## What you can now do
#
# - draw AlexNet from memory, crossings included;
# - compute shapes, parameters and work of any layer;
# - answer eleven wrong sentences with a source.
#
# ## Exercises
# %% [exercise] e32
# %% [exercise] e33
# %% [exercise] e34
