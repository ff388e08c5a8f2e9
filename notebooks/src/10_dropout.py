# question: What closes the gap between training and test?
# reading: 20
# %% [markdown]
# # Dropout
#
# A network that knows its training pictures by heart has a training error of 0 and a test error that is not. Section
# 4.2 of the paper: in each step set the output of every hidden unit to zero with probability 0.5. "The neurons which
# are 'dropped out' in this way do not contribute to the forward pass and do not participate in back-propagation." No
# unit can count on another; each has to be of use on its own. In AlexNet it is done to the outputs of the first two
# fully connected layers, fc6 and fc7. (Behind them. The AlexNet that comes with torchvision has it in front of them:
# that is a different network.)
# %%
import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import nn
from tinynet.data import synthetic
from tinynet.notebooks import begin, claim

rng = begin(10)
# %% [markdown]
# ## Two conventions, one network
#
# In training half of the units are silent, so the next layer receives half of what it would otherwise. At test time all
# units speak, and something has to make up for it.
#
# - The paper multiplies by 0.5 **at test time**.
# - Most programs of today multiply by 2 (by 1 / (1 - p)) **in training**, and do nothing at test time: *inverted* dropout.
#
# **Write down**: are the gradients in training the same under both? Is the trained network the same?
# %%
units = tn.tensor(np.ones((1, 10)))
papers, inverted = nn.Dropout(0.5, inverted=False, rng=1), nn.Dropout(0.5, rng=1)  # the same draw for both
print("paper,    training:", papers(units).numpy().ravel())
print("inverted, training:", inverted(units).numpy().ravel())
papers.eval()
inverted.eval()
print("paper,    test:    ", papers(units).numpy().ravel())
print("inverted, test:    ", inverted(units).numpy().ravel())
# %% [markdown]
# Everything behind the paper's dropout is half as large, in training and at test. So if the *next* weights are twice as
# large, the two networks are one:
# %%
hidden, weight = tn.tensor(rng.standard_normal((4, 100))), rng.standard_normal((5, 100))
mask, labels = rng.random((4, 100)) < 0.5, np.array([0, 1, 2, 3])
results = {}
for name, is_inverted, times in (("paper", False, 2), ("inverted", True, 1)):
    behind = tn.tensor(times * weight, requires_grad=True)
    z = tn.linear(tn.dropout(hidden, 0.5, training=True, mask=mask, inverted=is_inverted), behind)
    tn.cross_entropy(z, labels).backward()
    test = tn.linear(tn.dropout(hidden, 0.5, training=False, inverted=is_inverted), behind)
    results[name] = z.numpy(), test.numpy(), behind.grad
same = max(np.abs(a - b).max() for a, b in zip(results["paper"][:2], results["inverted"][:2], strict=True))
reached = results["inverted"][2] != 0  # the others were dropped in all four rows
ratio = results["paper"][2][reached] / results["inverted"][2][reached]
print(f"largest difference of the outputs, training and test: {same:.1e}")
print(f"gradient of the weights behind, the paper's / inverted: {ratio.min():.3f} to {ratio.max():.3f}")
# %% [markdown]
# But *learning* is not the same. The gradient of the next weights is half as large in the paper's form, as the second
# line above says, and the weights are twice as large: with the same learning rate they take a quarter of the way,
# relative to their size. (Exercise e31 works this out.) So it matters which convention was used when a training is to
# be reproduced. tinynet's AlexNet has the paper's.
#
# Why is halving right? A sum of ten units, each there or not: over all 1024 masks the *average* of what the next layer
# receives is exactly half of the full sum.
#
# The paper says more. Ten units under dropout are 1024 networks that share their weights, and their answers ought to be
# averaged. Halving, it says, is "a reasonable approximation to taking the geometric mean" of what all of them predict.
# (The geometric mean of two numbers is the square root of their product; of 1024, the 1024th root.) Here are ten units
# and a softmax over three classes. 1024 networks can be asked one by one. **Guess** how good the approximation is.
# %%
units, to_classes = rng.standard_normal(10), rng.standard_normal((3, 10))
masks = (np.arange(1024)[:, None] >> np.arange(10)) & 1
one = units @ to_classes[0]
print(f"average of one sum over all 1024 masks {((masks * units) @ to_classes[0]).mean():.6f}, half of it {one / 2:.6f}")


def softmax(z):
    return tn.softmax(tn.tensor(z)).numpy()


def thousand(layers):
    """The 1024 networks' predictions as a geometric mean, made to sum to 1; and the one network's whose units are halved."""
    geometric = np.exp(np.log(softmax(layers(masks * units))).mean(axis=0))
    return geometric / geometric.sum(), softmax(layers(0.5 * units))


shallow = thousand(lambda h: h @ to_classes.T)
wide, behind = rng.standard_normal((8, 10)), rng.standard_normal((3, 8))
deep = thousand(lambda h: np.maximum(h @ wide.T, 0) @ behind.T)
for name, (mean, halved) in {"softmax behind it": shallow, "a ReLU layer, then softmax": deep}.items():
    row = f"geometric mean {' '.join(f'{p:.4f}' for p in mean)}, halved {' '.join(f'{p:.4f}' for p in halved)}"
    print(f"{name:27} {row}")
# %% [markdown]
# With nothing but a softmax behind it, halving is no approximation: the two are equal, as the logarithm of a softmax is
# a sum plus something that is the same for all classes. Put a ReLU in between, as fc7's lies between the dropped units
# of fc6 and the softmax, and it is an approximation. In the second line, with weights drawn at random, a probability is
# off by up to seven hundredths.
# %% [markdown]
# ## The gap
#
# 400 pictures to learn from, 800 to be tested on, and a network that is too large for them: a convolution, and two
# fully connected layers of 256. Once without dropout, once with 0.5 behind both, for three seeds each.
#
# **Before you run the cell, sketch** the two training errors and the two test errors against time.
# %%
train, val = synthetic(train=400, val=800, size=24, seed=10)


def prepared(dataset):
    images = np.stack([dataset.image(i) for i in range(len(dataset))]).astype(np.float32)
    return (images - 128) / 58


train_images, test_images = prepared(train), prepared(val)


def error(model, images, labels):
    model.eval()
    with tn.no_grad():
        wrong = model(tn.tensor(images)).numpy().argmax(1) != labels
    model.train()
    return wrong.mean()


def learn(p, seed, epochs=40):
    """Errors on both sets after each pass, (epochs, 2)."""
    generator = np.random.default_rng([10, seed])
    model = nn.Sequential(
        nn.Conv2d(3, 16, 5, rng=generator), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(),
        nn.Linear(16 * 9 * 9, 256, rng=generator), nn.ReLU(), nn.Dropout(p, rng=generator),
        nn.Linear(256, 256, rng=generator), nn.ReLU(), nn.Dropout(p, rng=generator),
        nn.Linear(256, 16, rng=generator),
    )  # fmt: skip
    optimizer = tn.optim.SGD(model.parameters(), lr=0.01)
    errors = []
    for _ in range(epochs):
        order = generator.permutation(400)
        for start in range(0, 400, 50):
            batch = order[start : start + 50]
            loss = tn.cross_entropy(model(tn.tensor(train_images[batch])), train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        errors.append((error(model, train_images, train.labels), error(model, test_images, val.labels)))
    return errors


runs = {p: 100 * np.array([learn(p, seed) for seed in range(3)]) for p in (0.0, 0.5)}
last = {p: run[:, -5:].mean(axis=1) for p, run in runs.items()}  # (seed, set): the last five passes
for p, errors in last.items():
    each = ", ".join(f"{test:.1f}" for test in errors[:, 1])
    print(f"p = {p}: training error {errors[:, 0].mean():.1f} %, test error {errors[:, 1].mean():.1f} % (seeds: {each})")
# %%
figure, panels = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True)
for panel, (p, run) in zip(panels, runs.items(), strict=True):
    epochs = np.arange(1, run.shape[1] + 1)
    on_train, on_test = run.mean(axis=0).T
    panel.fill_between(epochs, on_train, on_test, color="#fbe3c8", linewidth=0)
    for seed in run:
        panel.plot(epochs, seed, color="#c9ced6", linewidth=0.8)
    panel.plot(epochs, on_test, "-", color="#b3261e", linewidth=1.8)
    panel.plot(epochs, on_train, "--", color="#22262b", linewidth=1.8)
    panel.text(epochs[-1], on_test[-1] + 2.5, "test", ha="right", color="#b3261e")
    panel.text(11, on_train[11] - 12, "training", ha="right", color="#22262b")
    gap = last[p][:, 1].mean() - last[p][:, 0].mean()
    panel.set_title("without dropout" if p == 0 else "with dropout 0.5")
    panel.text(31, 46, f"gap at the end:\n{gap:.1f} points", ha="center", va="center")
    panel.set_xlabel("passes through the 400 pictures")
panels[0].set_ylabel("error, %")
panels[0].set_ylim(0, 100)
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Error on the training pictures (dashed) and on others (solid), means of three seeds as thick lines, single
# seeds in grey, the gap between the means shaded. Left: without dropout the training error falls to nearly zero, and
# the test error stops falling early. Right: with dropout learning is slower, and the gap is narrower. Both errors are
# measured with all units on.
#
# What closes the gap? Not only that the test error falls, by a few points: most of the closing is done by the training
# error, which is *worse*, after the same number of passes. And the gap stays wide: 400 pictures are very few.
#
# The paper says: "Dropout roughly doubles the number of iterations required to converge". Count, in the figure, how
# many passes each needs to get below 50 % on the training set. Here it is:
# %%
needed = {p: [int((seed[:, 0] < 50).argmax()) + 1 for seed in run] for p, run in runs.items()}
slower = np.mean(needed[0.5]) / np.mean(needed[0.0])
print("passes until the training error is below 50 %:", {f"p = {p}": n for p, n in needed.items()})
print(f"with dropout {slower:.1f} times as many")
# %%
gaps = {p: errors[:, 1] - errors[:, 0] for p, errors in last.items()}
worse, better = (last[0.5] - last[0.0]).mean(axis=0) * [1, -1]
claim("both conventions compute the same network, training and test", same < 1e-12)
claim("the gradient of the weights behind is half as large in the paper's", np.allclose(ratio, 0.5))
claim("the average over all masks is half of the sum", abs(((masks * units) @ to_classes[0]).mean() - one / 2) < 1e-12)
claim("with a softmax behind it, halving is the geometric mean exactly", np.abs(shallow[0] - shallow[1]).max() < 1e-12)
claim("with a ReLU in between it is not, but within 0.1", 1e-4 < np.abs(deep[0] - deep[1]).max() < 0.1)
claim("without dropout the training set is known by heart", last[0.0][:, 0].max() < 3)
claim("dropout narrows the gap, for every seed", (gaps[0.5] < gaps[0.0]).all())
claim("and lowers the test error on average", last[0.5][:, 1].mean() < last[0.0][:, 1].mean())
claim("most of what closes is the training error's, at this number of passes", better < worse)
claim("it takes 1.2 to 2.2 times as many passes", 1.2 < slower < 2.2)
# %% [markdown]
# ## What you can now do
#
# - say what dropout does in training and at test, in both conventions, and convert between them;
# - say where AlexNet has it;
# - read a gap between two curves, and know what it is called: overfitting.
#
# ## Exercises
#
# Dropout with its gradient, and the way from one convention to the other.
# %% [exercise] e30
# %% [exercise] e31
