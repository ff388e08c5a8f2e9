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
# of unit gets a learning rate of its own, since one rate for both would decide the race before it starts. (The paper did the
# same: "the learning rates ... were chosen independently to make training as fast as possible".) For each of the four curves
# five or six rates were tried beforehand with three seeds: 0.005 to 0.03 and 0.01 to 0.06, scaled; 0.0005 to 0.004 and 0.01
# to 0.08, as in 2012. The one with the lowest error, on average over all passes, is in the next cell; half and twice of it run
# further down, so that you can see that nobody was favoured.
#
# It is run twice, with two ways to start:
#
# - **scaled**: pixels with standard deviation 1, weights with standard deviation 1 / sqrt(inputs), so that numbers stay
#   near 1 from layer to layer (the last layer starts at 0.01 in both);
# - **as in 2012**: pixels of 0 to 255 less the mean of their colour, and weights with the paper's 0.01 (section 5).
#
# All biases start at 0.
#
# **Sketch** four curves before you run the cell: training error against passes through the set.
# %%
train, _ = synthetic(train=1200, val=16, size=24, seed=6)
images = np.stack([train.image(i) for i in range(len(train))]).astype(np.float32)
images -= images.mean(axis=(0, 2, 3), keepdims=True)
starts = {"scaled": images / images.std(), "as in 2012": images}
rates = {("scaled", "relu"): 0.015, ("scaled", "tanh"): 0.04, ("as in 2012", "relu"): 0.003, ("as in 2012", "tanh"): 0.04}
epochs = 14


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


def silence(model, images):
    """Behind the last convolution: the share of zeros, and the share of maps that are 0 at every place of every picture."""
    with tn.no_grad():
        x = tn.tensor(images)
        for layer in range(8):
            x = model[layer](x)
    maps = x.numpy()
    return 1 - (maps > 0).mean(), np.mean([not maps[:, index].any() for index in range(maps.shape[1])])


def race(unit, pixels, start, rate, seed, epochs=epochs):
    """After each pass: training error in percent; for ReLU also the share of zeros and of dead maps."""
    generator = np.random.default_rng([6, seed])
    model = network(unit, start, generator)
    optimizer = tn.optim.SGD(model.parameters(), rate, weight_decay=0)
    errors, silent = [], []
    for _ in range(epochs):
        order, wrong = generator.permutation(len(pixels)), 0
        for first in range(0, len(order), 50):
            batch = order[first : first + 50]
            logits = model(tn.tensor(pixels[batch]))
            loss = tn.cross_entropy(logits, train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            wrong += (logits.numpy().argmax(1) != train.labels[batch]).sum()
        errors.append(100 * wrong / len(order))
        silent.append(silence(model, pixels[:200]) if unit == "relu" else (0.0, 0.0))
    return np.array(errors), np.array(silent)


def passes_to(goal, errors):
    """How many passes until the error is below `goal`, as text."""
    return str((errors < goal).argmax() + 1) if (errors < goal).any() else f"more than {epochs}"


races = {
    (start, unit): [race(unit, starts[start], start, rate, seed) for seed in range(3)]
    for (start, unit), rate in rates.items()
}
results = {key: np.array([errors for errors, _ in runs]) for key, runs in races.items()}
silent = {key: np.array([silent for _, silent in runs]) for key, runs in races.items()}
for (start, unit), errors in results.items():
    ends = ", ".join(f"{end:.1f}" for end in errors[:, -1])
    print(f"{start:10} {unit}: training error at the end {ends} %, mean {errors[:, -1].mean():.1f} %")
    for goal in (60, 25):
        print(f"{'':16} below {goal} % after {', '.join(passes_to(goal, run) for run in errors)} passes")
# %% [markdown]
# Was anybody favoured? The error after six passes, first seed, at half the rate, the rate, and twice the rate:
# %%
loss_by_tuning = 0.0
for (start, unit), rate in rates.items():
    half, double = (race(unit, starts[start], start, rate * factor, 0, epochs=6)[0][-1] for factor in (0.5, 2))
    chosen = results[start, unit][0, 5]
    loss_by_tuning = max(loss_by_tuning, chosen - min(half, double))
    print(
        f"{start:10} {unit}: lr {rate / 2:g}: {half:.1f} %   lr {rate:g}: {chosen:.1f} %   lr {2 * rate:g}: {double:.1f} %"
    )
# %% [markdown]
# ## One more start
#
# Section 3.3 says that ReLUs "do not require input normalization to prevent them from saturating". Then they should stand
# pixels that are 16 times too large, and tanh should not. Everything else stays scaled, the rates too.
#
# **Write down**: which of the two still learns?
# %%
large = {unit: race(unit, 16 * starts["scaled"], "scaled", rates["scaled", unit], 0, epochs=4) for unit in ("relu", "tanh")}
for unit, (errors, _) in large.items():
    print(f"pixels x 16, {unit}: training error {', '.join(f'{error:.1f}' for error in errors)} %")
print(f"maps of the last convolution that are dead after the first pass: {large['relu'][1][0, 1]:.0%}")
# %%
figure, panels = plt.subplots(1, 3, figsize=(10.4, 3.7), width_ratios=[1, 1, 0.8])
passes = np.arange(1, epochs + 1)
for panel, start in zip(panels, starts, strict=False):
    for unit, look, colour in (("relu", "-", "#22262b"), ("tanh", "--", "#b3261e")):
        errors = results[start, unit]
        panel.fill_between(passes, errors.min(axis=0), errors.max(axis=0), color=colour, alpha=0.15, linewidth=0)
        panel.plot(passes, errors.mean(axis=0), look, color=colour, linewidth=1.8, label=f"{unit}, lr {rates[start, unit]}")
    panel.axhline(25, color="#767d87", linewidth=0.8, linestyle=":")
    panel.text(1, 26, "25 %", color="#767d87", fontsize=7)
    panel.set_ylim(0, 100)
    panel.set_xlabel("passes through 1200 pictures")
    panel.set_title(start)
    panel.legend(frameon=False, loc="upper right")
panels[0].set_ylabel("training error, %")
right = panels[2]
for start, look in zip(starts, ("o-", "s--"), strict=True):
    right.plot(passes, 100 * silent[start, "relu"][:, :, 0].mean(axis=0), look, color="#4a6a94", markersize=3, label=start)
right.plot(passes[:4], 100 * large["relu"][1][:, 0], "^:", color="#b3261e", markersize=5, label="pixels x 16: all maps dead")
right.set_ylim(0, 109)
right.set_xlabel("passes")
right.set_ylabel("activities that are 0, %")
right.set_title("silent ReLUs, last convolution")
right.legend(frameon=False, loc="lower right")
for panel in panels:
    panel.set_xticks([1, 5, 10, 14])
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** The paper's figure 1, tried twice: mean of three seeds, the band from the best to the worst. Left, with
# scaled pixels and weights, tanh ends lower. Middle, as in 2012, tanh leads for a few passes, then ReLU does; neither
# reaches 25 %, and at 60 % the lines above say how far apart they are: nowhere near a factor of six. Right, how much of the
# last convolution's output is 0. In both races it is most of it, and that is no illness: a map answers at few places.
# A kernel is dead only if its map is 0 at every place of every picture, and hardly one is. With pixels 16 times as large all
# of them are dead after one pass.
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
# no such size: twice as large an input gives twice as large an output and the same slope. It cannot saturate. That is
# what section 3.1 is about, and it shows where numbers start out large.
#
# It does *not* mean that ReLU bears every scale. Nothing bounds what it gives, so larger pixels make larger outputs and
# larger gradients, and the step has to shrink: its best rate was five times smaller as in 2012 than scaled, while tanh
# kept its rate; and ReLU, too, does worse from the start of 2012. With pixels 16 times too large and the old rate, one pass
# of too large steps pushed every map below zero for all 200 pictures. Where all is 0 no gradient flows, so the weights stay
# where they came to rest. tanh, saturated as it is, went on learning. It happened to the authors, too: a note in their source
# code says of one run "relu wiped this". (Chapter 13 shows another network that stands still.)
#
# A recipe for tanh's scale was two years old in 2012, by Glorot and Bengio; the one for ReLU came in 2015, by He and others.
# Given the right scale, tanh learns this small set at least as fast.
#
# So "six times" is for CIFAR-10, training error, one four-layer network; it is not "six times faster on ImageNet", as
# one often reads. But the caption of figure 1 goes further: networks with ReLUs "consistently learn several times
# faster than equivalents with saturating neurons". Our left panel is a counterexample, if a small one.
# %%
ends = {key: errors[:, -1].mean() for key, errors in results.items()}
claim("through five units at 2, tanh passes on less than a hundred-thousandth", through_five < 1e-5)
claim("scaled, tanh's training error ends below ReLU's, on average", ends["scaled", "tanh"] < ends["scaled", "relu"])
claim("scaled, both get below 25 % on average", max(ends["scaled", "relu"], ends["scaled", "tanh"]) < 25)
claim(
    "as in 2012, ReLU's training error ends below tanh's, on average",
    ends["as in 2012", "relu"] < ends["as in 2012", "tanh"],
)
claim("and neither gets to 25 %", all((results["as in 2012", unit] > 25).all() for unit in ("relu", "tanh")))
above = {unit: (results["as in 2012", unit].mean(axis=0) >= 60).sum() for unit in ("relu", "tanh")}
claim("both get below 60 %", max(above.values()) < epochs)
claim("and spend less than twice as many passes above it, one as the other", max(above.values()) < 2 * min(above.values()))
claim("half or twice the rate is nowhere better by more than 4 points", loss_by_tuning < 4)
claim(
    "most of the last convolution's output becomes 0",
    min(s[:, -1, 0].min() for k, s in silent.items() if k[1] == "relu") > 0.6,
)
claim("but hardly a map is dead in either race", max(s[:, -1, 1].max() for s in silent.values()) < 0.1)
claim("pixels x 16 kill all of ReLU's maps in one pass", large["relu"][1][0, 1] == 1)
claim("and tanh learns on: chance is 93.75 %", large["tanh"][0][-1] < 80)
claim("as in 2012, more than a third of the first layer's tanh units start beyond 2", saturated > 1 / 3)
# %% [markdown]
# ## What you can now do
#
# - say what saturation is, and see it in a network before training;
# - compare two things fairly: each at its own best learning rate, over several seeds, with the spread shown;
# - quote figure 1 with its conditions.
#
# Try: `starts["as in 2012"] / 10`. At which scale does tanh overtake? And at which rate does ReLU survive pixels x 16?
#
# ## Exercises
# %% [exercise] e19
# %% [exercise] e20
