# question: What is in the kernels, and what in the last hidden layer?
# reading: 25
# figure: 2
# %% [markdown]
# # What did it learn?
#
# Nobody told the network what an edge is. It was given pictures and labels, random weights and a rule. This chapter
# opens a trained one and looks: at the kernels of the first layer (figure 3 of the paper), at what it takes for similar
# (figure 4), and at which pixels an answer depends on.
#
# The network is a default run of `alexnet.py`: a quarter of the width, 16 classes of drawn pictures. Its weights lie
# beside this notebook, in 16 bits; `python notebooks/data/make_chapter14.py` makes them anew. To look at one of your
# own, put the folder of its run into the line that loads it.
# %%
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from alexnet import PROGRAM, AlexNet
from tinynet import data, draw
from tinynet.notebooks import begin, claim
from tinynet.training import checkpoint

rng = begin(14)
# %%
arrays, state = checkpoint.load("data/chapter14.safetensors")  # or "../runs/DATE", a run of your own
arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
classes = state["classes"]
model, recipe = PROGRAM.build(state["options"], len(classes), tn.devices("cpu:0"))
checkpoint.restore(model, arrays, "chapter14")
model.eval()

_, val = data.synthetic(train=1, val=640, size=arrays["mean"].shape[1], seed=state["options"]["seed"])
pictures = np.stack([val.image(i) for i in range(len(val))])


def seen_by_network(images):
    """What goes in: the central crop, less the mean picture, scaled."""
    size = model.image_size
    return data.subtract_mean(data.centre_crop(images, size), arrays["mean"], size, recipe.input_scale)


with tn.no_grad():
    answers = model(tn.tensor(seen_by_network(pictures))).numpy()
right = (answers.argmax(1) == val.labels).mean()
print(f"{model.width:g} of the width, {len(classes)} classes; right on {right:.1%} of {len(val)} validation pictures")
# %% [markdown]
# ## Kernels
#
# **Sketch**, before you look, what you expect a kernel of 11x11 pixels in three colours to look like after training.
# %%
before = AlexNet(
    len(classes), model.width, image_size=model.image_size, recipe=state["options"]["recipe"], seed=state["options"]["seed"]
)
draw.kernels(before.first_kernels())
# %% [markdown]
# **Figure.** The kernels of conv1 of both towers before training: noise.
# %%
draw.kernels(model.first_kernels())
# %% [markdown]
# **Figure.** The same kernels after training. Stripes, level and upright, checks, and patches of one colour, which the
# paper's figure 3 has too (its edges of many angles are not there). Grey is 0; each kernel is scaled by its own largest
# weight.
#
# Stripes are what an edge detector has to look like, coloured blobs tell a red disc from a green square. The drawn
# pictures consist of little else, and so do photographs at the scale of 11 pixels.
#
# ## One tower for colour?
#
# Section 6.1 of the paper says that the kernels on GPU 1 were "largely color-agnostic" and those on GPU 2 "largely
# color-specific", in every run, whatever the initial weights (but for which GPU is which). Can we see it? Call the part
# of a kernel's energy that is not grey its *colourfulness*: 0 for a kernel that is the same in red, green and blue, 1
# for one whose colours add up to nothing. Noise has 2/3, since grey is one of three directions.
#
# **Guess** the two averages. Three default runs with other seeds were measured; the first is the network above.
# %%
seeds = json.loads(Path("data/chapter14.json").read_text(encoding="utf-8"))


def colourfulness(kernels):
    grey = kernels.mean(axis=1, keepdims=True)
    return 1 - 3 * (grey**2).sum(axis=(1, 2, 3)) / (kernels**2).sum(axis=(1, 2, 3))


here = [colourfulness(kernels) for kernels in model.first_kernels()]
differences = []
for run in seeds:
    means = [np.mean(tower) for tower in run["colourfulness"]]
    differences.append(means[0] - means[1])
    print(f"seed {run['seed']}: tower 0 {means[0]:.2f}, tower 1 {means[1]:.2f}; validation error {run['val_error']:.1%}")
figure, axes = plt.subplots(figsize=(7.2, 2.8))
for row, run in enumerate(seeds):
    for tower, (look, colour) in enumerate((("o", "#4a6a94"), ("^", "#c96f12"))):
        values = run["colourfulness"][tower]
        axes.plot(
            values,
            np.full(len(values), row + 0.16 - 0.32 * tower),
            look,
            color=colour,
            alpha=0.75,
            label=f"tower {tower}" if row == 0 else None,
        )
        axes.plot([np.mean(values)] * 2, [row + 0.3 - 0.32 * tower, row + 0.02 - 0.32 * tower], color="#22262b", linewidth=2)
axes.set_yticks(range(len(seeds)), [f"seed {run['seed']}" for run in seeds])
axes.axvline(2 / 3, color="#767d87", linewidth=0.8, linestyle=":")
axes.set_xlim(-0.02, 1.02)
axes.set_xlabel("colourfulness of a kernel: 0 grey, 1 only colour (the line is the mean of a tower)")
axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.14, 1.0))
axes.set_title("kernels of both towers")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Every kernel of three runs, by tower. Noise would have 0.67, the dotted line. Training raised it a little,
# in both towers alike; kernels that are mostly grey are few, and on both sides. (The pictures above count towers from
# 1, as the paper counts GPUs.) The clean split of the paper does not appear at this size, with these pictures; it was
# reported for ImageNet with 48 kernels a tower.
#
# ## What is similar
#
# In fc7, the last hidden layer, a picture is a list of numbers. The paper takes two pictures to be similar if these
# lists are near each other (Euclidean distance), and shows in figure 4 that the nearest neighbours are of the same kind
# even where no pixel agrees. To get at fc7 without touching the model, **watch** it: `tn.watch` notes what the layers
# that you name put out (and, after backward, which gradient arrived there).
# %%
with tn.no_grad(), tn.watch(model, "towers.*.fc7") as seen:
    model(tn.tensor(seen_by_network(pictures)))
fc7 = np.concatenate([np.maximum(layer.output, 0) for layer in seen.values()], axis=1)
print("watched:", ", ".join(seen), "  fc7 of all pictures:", fc7.shape)


def nearest(vectors, k):
    """For every row the k other rows at the smallest distance."""
    squares = (vectors**2).sum(axis=1)
    distance = squares[:, None] + squares - 2 * vectors @ vectors.T
    np.fill_diagonal(distance, np.inf)
    return distance.argsort(axis=1)[:, :k]


by_fc7 = nearest(fc7, 5)
by_pixels = nearest(seen_by_network(pictures).reshape(len(pictures), -1), 5)
same = {name: (val.labels[found] == val.labels[:, None]).mean() for name, found in (("fc7", by_fc7), ("pixels", by_pixels))}
for name, share in same.items():
    print(f"of the five nearest by {name:7} {share:.0%} are of the same class (chance {1 / 16:.0%})")
# %%
queries = [1, 6, 11, 14]
draw.neighbours(pictures, queries, by_fc7[queries], labels=val.labels, classes=classes)
# %% [markdown]
# **Figure.** Four pictures, each with its five nearest neighbours in fc7. Names in bold are of the same class. What is
# near shows the same, however it is coloured, turned or placed.
# %%
draw.neighbours(pictures, queries, by_pixels[queries], labels=val.labels, classes=classes)
# %% [markdown]
# **Figure.** The same four, with their nearest neighbours by pixels: these may show anything.
#
# ## Which pixels mattered
#
# Backward gives the gradient of a number with respect to anything it depends on: also with respect to the *picture*.
# Take the logit of a class; where the gradient is large, a small change of the pixel changes the answer. (It is not
# "where the network looks". It says what a small change would do, and nothing about large ones.)
#
# **Predict** where it is large for a disc: inside, at the edge, or everywhere?
# %%
chosen = [int(np.flatnonzero((val.labels == label) & (answers.argmax(1) == val.labels))[0]) for label in (1, 6, 11, 15)]
inputs = tn.tensor(seen_by_network(pictures[chosen]), requires_grad=True)
logits = model(inputs)
picked = np.zeros(logits.shape, np.float32)
picked[np.arange(len(chosen)), val.labels[chosen]] = 1
logits.backward(picked)
saliency = np.abs(inputs.grad).max(axis=1)  # over the three colours, for the claims below
shown = data.centre_crop(pictures[chosen], model.image_size)
draw.saliency(shown[0], inputs.grad[0], f'"{classes[val.labels[chosen[0]]]}"')
# %% [markdown]
# **Figure.** A red disc, and how much each of its pixels would change the network's score for "red disc". It lies
# mostly on the shape, inside it and not along its edge. The squares are the steps of conv1, which moves by 4 pixels.
# %%
draw.saliency(shown[3], inputs.grad[3], f'"{classes[val.labels[chosen[3]]]}"')
# %% [markdown]
# **Figure.** The same for a purple star.
#
# Is that gradient right? The definition, along one random direction:
# %%
direction = rng.standard_normal(inputs.shape)
exact = {name: array.astype(np.float64) for name, array in arrays.items() if name.startswith("model.")}
precise = AlexNet(len(classes), model.width, image_size=model.image_size, recipe=recipe, dtype=np.float64)
checkpoint.restore(precise, exact, "chapter14")
precise.eval()
base = inputs.numpy().astype(np.float64)


def chosen_logits(images):
    with tn.no_grad():
        return (precise(tn.tensor(images)).numpy() * picked).sum()


h = 1e-6
numeric = (chosen_logits(base + h * direction) - chosen_logits(base - h * direction)) / (2 * h)
x = tn.tensor(base, requires_grad=True)
precise(x).backward(picked)
analytic = (x.grad * direction).sum()
print(f"by the tape {analytic:.6f}, by moving the picture {numeric:.6f}")
# %%
energy = [np.sqrt((kernels**2).sum(axis=(1, 2, 3))) for kernels in model.first_kernels()]
middle = saliency[:, 16:48, 16:48].mean() / saliency.mean()
claim("the weights in 16 bits still answer more than nine of ten pictures right", right > 0.9)
claim(
    "the colourfulness in the file is that of this network",
    np.allclose(np.concatenate(here), np.concatenate(seeds[0]["colourfulness"]), atol=0.01),
)
claim(
    "in no run is one tower grey and the other coloured: the means differ by less than 0.1",
    max(map(abs, differences)) < 0.1,
)
claim(
    "training raised colourfulness above that of noise, in every tower",
    min(np.mean(t) for run in seeds for t in run["colourfulness"]) > 2 / 3,
)
claim(
    "neighbours in fc7 are of the same class more than twice as often as neighbours by pixels",
    same["fc7"] > 2 * same["pixels"],
)
claim("the gradient is larger in the middle than on average", middle > 1)
claim("the picture's gradient agrees with moving the picture, to five digits", abs(analytic / numeric - 1) < 1e-5)
# %% [markdown]
# ## What you can now do
#
# - look into any layer of a network without touching it;
# - say what a kernel has learnt, and what cannot be seen at this size;
# - find what a network takes for similar;
# - compute, and check, what an answer depends on.
#
# From a number that remembers how it was made to this: fourteen chapters, one tape. The program for two GPUs, of which
# only the part for one was public in 2012, is yours to take apart.
#
# ## Exercises
# %% [exercise] e40
# %% [exercise] e41
# %% [exercise] e42
