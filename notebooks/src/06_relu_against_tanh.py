# question: Does a unit that does not saturate learn faster?
# reading: 25
# %% [markdown]
# # ReLU against tanh
#
# Between two layers there has to be something that is not linear, or the two would be one. For decades it was `tanh`,
# which bends every number into (-1, 1). AlexNet has `relu(x) = max(x, 0)`, and figure 1 of the paper says why: a
# four-layer convolutional network, trained on CIFAR-10 without regularisation, reaches a *training* error of 25 % six
# times sooner with ReLU than with tanh.
#
# That figure is one of the most quoted of the field. This chapter tries to redraw it, at a small scale, and finds that
# it depends.
# %%
import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import nn
from tinynet.data import synthetic
from tinynet.notebooks import begin, claim

rng = begin(6)
# %% [markdown]
# ## Slopes
#
# What arrives at a unit from behind is multiplied by its slope. For tanh that is `1 - tanh(x)^2`: 1 at 0, 0.42 at 1,
# 0.0013 at 4. A unit that is driven far to one side passes on nothing any more: it is **saturated**. ReLU's slope is 1
# for every positive number, however large, and 0 for every negative one.
#
# **Write down**: what arrives at the first of five layers, if all units are at x = 2? With tanh? With ReLU?
# %%
x = tn.tensor(np.array([0.0, 1.0, 2.0, 4.0]), requires_grad=True)
tn.tanh(x).backward(np.ones(4))
print("slope of tanh at 0, 1, 2, 4:", np.array2string(x.grad, precision=4))
through_five = x.grad[2] ** 5
print(f"through five units at 2: tanh {through_five:.1e}, ReLU 1")
# %% [markdown]
# ## The race
#
# A network of four layers, as the paper's had (which four it does not say): three convolutions of 5x5 with overlapping
# pooling behind each, then a linear layer; 1200 drawn pictures of 16 classes, 24 pixels; no regularisation. Each kind
# of unit gets a learning rate of its own, the best of four or five that were tried beforehand (0.005 to 0.03 and 0.02
# to 0.1, scaled; 0.0003 to 0.006 and 0.003 to 0.08, as in 2012), since one rate for both would decide the race before
# it starts. (The paper did the same: "the learning rates ... were chosen independently to make training as fast as
# possible".)
#
# It is run twice, with two ways to start:
#
# - **scaled**: pixels with standard deviation 1, weights with standard deviation 1 / sqrt(inputs), so that numbers stay near 1 from layer to layer (the last layer starts at 0.01 in both);
# - **as in 2012**: pixels of 0 to 255 less the mean of their colour, and weights with the paper's 0.01 (section 5).
#
# **Sketch** four curves before you run the cell: training error against passes through the set.
# %%
train, _ = synthetic(train=1200, val=16, size=24, seed=6)
images = np.stack([train.image(i) for i in range(len(train))]).astype(np.float32)
images -= images.mean(axis=(0, 2, 3), keepdims=True)
starts = {"scaled": images / images.std(), "as in 2012": images}
rates = {("scaled", "relu"): 0.015, ("scaled", "tanh"): 0.04, ("as in 2012", "relu"): 0.002, ("as in 2012", "tanh"): 0.04}
epochs = 16


def network(unit, start, generator):
    kind = {"relu": nn.ReLU, "tanh": nn.Tanh}[unit]
    layers, maps = [], 3
    for out in (16, 16, 32):
        layers += [nn.Conv2d(maps, out, 5, padding=2, rng=generator), kind(), nn.MaxPool2d(3, 2)]
        maps = out
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * 2 * 2, 16, rng=generator))
    for index in (0, 3, 6, 10):
        weight = model[index].weight
        small = start == "as in 2012" or index == 10
        std = 0.01 if small else float(np.sqrt(weight.shape[0] / weight.size))
        nn.init.normal_(weight, 0.0, std, rng=generator)
        nn.init.constant_(model[index].bias, 0.0)
    return model


def dead(model, images):
    """The fraction of units behind the last convolution that are 0 for every one of the pictures."""
    with tn.no_grad():
        x = tn.tensor(images)
        for index in range(8):
            x = model[index](x)
    return (x.numpy() == 0).all(axis=0).mean()


def race(unit, start, seed):
    """Training error, in percent, and the fraction of dead units after each pass."""
    generator = np.random.default_rng([6, seed])
    model = network(unit, start, generator)
    optimizer = tn.optim.SGD(model.parameters(), rates[start, unit], weight_decay=0)
    errors, silent = [], []
    for _ in range(epochs):
        order, wrong = generator.permutation(len(images)), 0
        for first in range(0, len(order), 50):
            batch = order[first : first + 50]
            logits = model(tn.tensor(starts[start][batch]))
            loss = tn.cross_entropy(logits, train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            wrong += (logits.numpy().argmax(1) != train.labels[batch]).sum()
        errors.append(100 * wrong / len(order))
        silent.append(dead(model, starts[start][:200]) if unit == "relu" else 0.0)
    return errors, silent


results = {key: np.array([race(key[1], key[0], seed) for seed in range(3)]) for key in rates}
for (start, unit), found in results.items():
    ends = ", ".join(f"{error:.1f}" for error in found[:, 0, -1])
    below = [int((errors < 25).argmax()) + 1 if (errors < 25).any() else None for errors in found[:, 0]]
    print(f"{start:10} {unit}: training error at the end {ends} %; below 25 % after {below} passes")
# %%
figure, panels = plt.subplots(1, 3, figsize=(10.4, 3.7), width_ratios=[1, 1, 0.8])
passes = np.arange(1, epochs + 1)
for panel, start in zip(panels, starts, strict=False):
    for unit, look, colour in (("relu", "-", "#22262b"), ("tanh", "--", "#b3261e")):
        errors = results[start, unit][:, 0]
        panel.fill_between(passes, errors.min(axis=0), errors.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        panel.plot(passes, errors.mean(axis=0), look, color=colour, linewidth=1.8, label=f"{unit}, lr {rates[start, unit]}")
    panel.axhline(25, color="#767d87", linewidth=0.8, linestyle=":")
    panel.text(1, 26, "25 %", color="#767d87", fontsize=7)
    panel.set_ylim(0, 100)
    panel.set_xlabel("passes through 1200 pictures")
    panel.set_title(start)
    panel.legend(frameon=False, loc="upper right")
panels[0].set_ylabel("training error, %")
for start, look in zip(starts, ("o-", "s--"), strict=True):
    silent = 100 * results[start, "relu"][:, 1].mean(axis=0)
    panels[2].plot(passes, silent, look, color="#4a6a94", markersize=3, label=start)
panels[2].set_ylim(bottom=0)
panels[2].set_xlabel("passes")
panels[2].set_ylabel("places that are always 0, %")
panels[2].set_title("silent places, last convolution")
panels[2].legend(frameon=False)
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** The paper's figure 1, tried twice: mean of three seeds, the band from the best to the worst. Left, with
# scaled pixels and weights, tanh ends lower. Middle, as in 2012, tanh leads for a few passes, then ReLU does; neither
# reaches 25 %, so "six times" cannot be read here. Right, the fraction of places of the last convolution's maps that
# are 0 for all of 200 pictures. Such a place passes nothing back; a kernel is dead only if all 36 places of its map
# are.
#
# ## Why it depends
#
# Look at what arrives at the first layer's units before anything is learnt:
# %%
for start, pixels in starts.items():
    model = network("tanh", start, np.random.default_rng(6))
    with tn.no_grad():
        into = model[0](tn.tensor(pixels[:200])).numpy()
    far = (np.abs(into) > 2).mean()
    slope = (1 - np.tanh(into) ** 2).mean()
    print(f"{start:10}: typical size {into.std():5.2f}; {far:.0%} beyond 2 in size; mean slope of tanh {slope:.2f}")
    if start == "as in 2012":
        saturated = far
# %% [markdown]
# With the pixels of 2012 a large part of the first layer's tanh units is saturated from the first picture on. ReLU has
# no such size: twice as large an input gives twice as large an output and the same slope. It cannot saturate. The size
# of the *numbers* still depends on the start: ReLU, too, does worse from the start of 2012, and chapter 13 shows a
# network that stands still. (A recipe for tanh was two years old in 2012, by Glorot and Bengio; the one for ReLU came
# in 2015, by He and others.) Given the right scale, tanh learns this small set at least as fast.
#
# So "six times" is for CIFAR-10, training error, one four-layer network; it is not "six times faster on ImageNet", as
# one often reads. But the caption of figure 1 goes further: networks with ReLUs "consistently learn several times
# faster than equivalents with saturating neurons". Our left panel is a counterexample, if a small one.
# %%
ends = {key: found[:, 0, -1] for key, found in results.items()}
scaled = {unit: ends["scaled", unit] for unit in ("relu", "tanh")}
claim("through five units at 2, tanh passes on less than a hundred-thousandth", through_five < 1e-5)
claim(
    "as in 2012, ReLU's training error is lower than tanh's, on average",
    ends["as in 2012", "relu"].mean() < ends["as in 2012", "tanh"].mean(),
)
claim("scaled, tanh ends below ReLU, on average", scaled["tanh"].mean() < scaled["relu"].mean())
claim("scaled, every seed of both gets below 25 %", max(scaled["tanh"].max(), scaled["relu"].max()) < 25)
claim("as in 2012, more than a third of the first layer's tanh units start beyond 2", saturated > 1 / 3)
# %% [markdown]
# ## What you can now do
#
# - say what saturation is, and see it in a network before training;
# - compare two things fairly: each at its own best learning rate, over several seeds, with the spread shown;
# - quote figure 1 with its conditions.
#
# Try: `starts["as in 2012"] / 10`. At which scale does tanh overtake?
#
# ## Exercises
# %% [exercise] e19
# %% [exercise] e20
