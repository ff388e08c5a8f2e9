# question: What do momentum and weight decay do?
# reading: 30
# %% [markdown]
# # The paper's update rule
#
# Backward gives a gradient for every weight. Now the weights have to move. The plain way is to go against the gradient,
# `w <- w - lr g` with a small number `lr`, the **learning rate**, and to do it again. Section 5 of the paper does a
# little more, in two lines:
#
#     v  <-  0.9 v  -  0.0005 lr w  -  lr g
#     w  <-  w + v
#
# `g` is the gradient of the loss with respect to the weight `w`, averaged over a batch of 128 pictures, and `lr` the
# learning rate. `v` is the **velocity**: what is left of the last steps. The first term keeps 90 % of it
# (**momentum**). The second pulls every weight a little towards zero (**weight decay**). The third is the plain step.
#
# This chapter looks at each of the three terms alone, on problems small enough to draw.
# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import nn
from tinynet.kernels import reference
from tinynet.notebooks import begin, claim

rng = begin(4)
# %% [markdown]
# In tinynet the rule is `tn.optim.SGD` ("stochastic gradient descent", since each batch is a random sample), with the
# paper's numbers as defaults. The formula as loops, which the fast versions are tested against, is this:
# %%
print(inspect.getsource(reference.sgd))


# %% [markdown]
# ## Momentum, in a ravine
#
# Take a loss of two weights, steep in one direction and flat in the other: `loss = (a^2 + 100 b^2) / 2`. Its gradient
# is `(a, 100 b)`. A plain step that is good for `a` throws `b` across the ravine and out on the other side. So `lr`
# must be small enough for the steep direction, and then the flat one hardly moves.
#
# **Before you run the next cell, write down**: starting at a = -10, b = 1 with lr = 0.016, where is `a` after 60 steps,
# without momentum? Each step multiplies it by 1 - 0.016. (e^-0.96 is 0.38.)
# %%
def descend(momentum, lr=0.016, steps=60):
    """The way of the two weights from (-10, 1), as an array (steps + 1, 2)."""
    w = tn.tensor([-10.0, 1.0], requires_grad=True, dtype=np.float64)
    curvature = tn.tensor([1.0, 100.0], dtype=np.float64)
    optimizer = tn.optim.SGD([w], lr, momentum, weight_decay=0)
    way = [w.numpy().copy()]
    for _ in range(steps):
        loss = (curvature * w**2).sum() / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        way.append(w.numpy().copy())
    return np.array(way)


plain, heavy = descend(0.0), descend(0.9)
print(f"after 60 steps without momentum: a = {plain[-1, 0]:.3f}, b = {plain[-1, 1]:.1e}")
print(f"after 60 steps with 0.9:         a = {heavy[-1, 0]:.3f}, b = {heavy[-1, 1]:.1e}")


# %% [markdown]
# Momentum adds up what the steps agree on. Along the ravine all steps point the same way, and add up to as much as 1 +
# 0.9 + 0.81 + ... = 10 times the plain step: that carries `a` to the minimum, and a little past it. Across it nothing
# builds up, because the gradient keeps changing its sign. The price can be seen: `b` swings for longer than without.
# What counts is the loss, and it is much lower.
#
# ## The learning rate inside, or outside
#
# In the paper the learning rate multiplies the gradient *before* it enters the velocity. PyTorch multiplies it later:
#
#     paper, tinynet      v <- 0.9 v - lr g        w <- w + v
#     PyTorch             v <- 0.9 v + g           w <- w - lr v
#
# With a constant `lr` the two are the same (the second v is the first, divided by -lr). The paper, however, divides
# `lr` by ten three times. Suppose that the gradient is always 1, and that `lr` falls from 0.01 to 0.001 when both move
# by 0.088 a step. **Write down** how far each moves in the next step.
# %%
def fall(inside, steps=40, drop=20):
    """How far w moves in each step, for a gradient that is always 1; lr is divided by ten after `drop` steps."""
    w, v, moved = 0.0, 0.0, []
    for step in range(steps):
        lr = 0.01 if step < drop else 0.001
        if inside:
            v = 0.9 * v - lr
            move = v
        else:
            v = 0.9 * v + 1
            move = -lr * v
        w += move
        moved.append(-move)
    return np.array(moved)


inside, outside = fall(True), fall(False)

w = tn.tensor([0.0], requires_grad=True, dtype=np.float64)  # the same with tinynet's optimizer, to compare
optimizer = tn.optim.SGD([w], lr=0.01, weight_decay=0)
library = []
for step in range(40):
    if step == 20:
        optimizer.lr = 0.001
    before = w.item()
    w.grad = np.ones(1)
    optimizer.step()
    library.append(before - w.item())
print(f"largest difference between the paper's form above and tn.optim.SGD: {np.abs(inside - library).max():.0e}")
print(f"last step before the drop: paper {inside[19]:.4f}, PyTorch {outside[19]:.4f}")
print(f"first step after it:       paper {inside[20]:.4f}, PyTorch {outside[20]:.4f}")
# %% [markdown]
# In the paper's form the old, faster velocity coasts on: it is down to two fifths after ten steps, and still twice the
# new speed after twenty. In PyTorch's it is cut to a tenth at once. In a training of 900,000 steps nobody will notice.
# But who compares two programs to the last digit will, and it is a good example of two formulas that "are the same".
#
# ## Weight decay
#
# Without a gradient, decay alone remains. How many steps until a weight is halved, with lr = 0.01? A plain step
# multiplies it by 1 - 0.0005 * 0.01. But the velocity adds up ten of these. Try it:
# %%
w = tn.tensor([1.0], requires_grad=True, dtype=np.float64)
optimizer = tn.optim.SGD([w], lr=0.01)  # momentum 0.9 and weight decay 0.0005, the paper's
halved = 0
while w.item() > 0.5:
    w.grad = np.zeros(1)
    optimizer.step()
    halved += 1
per_epoch = 1_281_167 / 128
print(
    f"halved after {halved:,} steps, which are {halved / per_epoch:.1f} passes through ImageNet's {per_epoch:,.0f} batches"
)
# %% [markdown]
# So at the first learning rate a weight that nothing needs loses half every 1.4 passes, and one that is needed is held
# up by its gradient. (In a formula: log 2 / (0.0005 * 0.01 * 10) = 13,863 steps.) "This small amount of weight decay
# was important for the model to learn", the paper says (section 5): it lowered even the *training* error.
#
# What the paper does not say, but its authors' program does (published in 2025): biases are treated otherwise. They
# learn twice as fast, do not decay, and keep their rate to the end. Both versions are recipes of `alexnet.py`, `paper`
# and `source`.
#
# ## All of it: three arms of a spiral
#
# Now a real network, if a small one: points in a plane, in three classes, 2 numbers in, 32 hidden units, 3 logits out.
# The first loss can be known in advance. With small random weights all logits are near 0, so all three probabilities
# are near 1/3, and `-log(1/3) = log 3`. (Linear is `x w + b` of chapter 3; ReLU sets negative numbers to 0, chapter 6;
# the 32 numbers in between are the hidden units; `zero_grad` clears old gradients, because backward *adds*.) In general
# **the first loss of a classifier is log C**; for ImageNet's 1000 classes 6.91. A first loss that is far from it is a
# bug, before any training.
# %%
count = 100
angle = np.linspace(0.3, 4.4, count) + rng.normal(0, 0.13, (3, count)) + 2 * np.pi / 3 * np.arange(3)[:, None]
radius = np.linspace(0.15, 1.0, count)
points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(-1, 2).astype(np.float32)
labels = np.repeat(np.arange(3), count)


def train(lr, momentum, steps=600):
    """A network of two layers and its loss at every step."""
    generator = np.random.default_rng(4)
    model = nn.Sequential(nn.Linear(2, 32, rng=generator), nn.ReLU(), nn.Linear(32, 3, rng=generator))
    nn.init.normal_(model[2].weight, 0.0, 0.01, rng=generator)  # the paper's 0.01 for the last layer: logits near 0
    optimizer = tn.optim.SGD(model.parameters(), lr, momentum)
    losses = []
    for _ in range(steps):
        loss = tn.cross_entropy(model(tn.tensor(points)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


model, with_momentum = train(0.1, 0.9)
_, without = train(0.1, 0.0)
with tn.no_grad():
    right = (model(tn.tensor(points)).numpy().argmax(1) == labels).mean()
print(f"first loss {with_momentum[0]:.4f}, log 3 = {np.log(3):.4f}")
print(
    f"after 600 steps: with momentum {with_momentum[-1]:.3f}, without {without[-1]:.3f}; {right:.0%} of the points are right"
)
# %%
figure, ((ravine, drop), (plane, curve)) = plt.subplots(2, 2, figsize=(9.0, 7.0))
a, b = np.meshgrid(np.linspace(-11, 5, 200), np.linspace(-1.2, 1.2, 200))
ravine.contour(a, b, (a**2 + 100 * b**2) / 2, levels=[1, 5, 15, 30, 50, 75], colors="#c9ced6", linewidths=0.8)
ravine.plot(*plain.T, "o-", color="#b3261e", markersize=2.5, linewidth=0.9)
ravine.plot(*heavy.T, "s-", color="#22262b", markersize=2.5, linewidth=0.9)
ravine.plot(0, 0, "+", color="#22262b", markersize=12)
ravine.text(-6.6, -1.12, "without momentum: here after 60 steps", color="#b3261e")
ravine.annotate("", plain[-1], (-3.9, -1.02), arrowprops=dict(arrowstyle="->", color="#b3261e"))
ravine.text(0.4, 0.75, "with momentum", color="#22262b")
ravine.set_xlabel("a, the flat direction")
ravine.set_ylabel("b, the steep direction")
ravine.set_title("a ravine")
drop.plot(range(1, 41), inside, "s-", color="#22262b", markersize=3)
drop.plot(range(1, 41), outside, "o--", color="#b3261e", markersize=3)
drop.text(24, 0.066, "lr inside the velocity (paper)", color="#22262b")
drop.text(19.3, 0.012, "lr outside\n(PyTorch)", color="#b3261e", ha="right")
drop.set_xlabel("step")
drop.set_ylabel("how far the weight moves")
drop.set_title("lr is divided by ten after step 20")
side = np.linspace(-1.25, 1.25, 240).astype(np.float32)
grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
with tn.no_grad():
    answer = model(tn.tensor(grid)).numpy().argmax(1).reshape(240, 240)
plane.contourf(side, side, answer, levels=[-0.5, 0.5, 1.5, 2.5], colors=["#dfe5ee", "#fbe3c8", "#f3d3d1"])
for label, (marker, colour) in enumerate(zip("o^s", ("#4a6a94", "#c96f12", "#b3261e"), strict=True)):
    plane.plot(*points[labels == label].T, marker, color=colour, markersize=3)
plane.set_aspect("equal")
plane.set_xlabel("first input")
plane.set_ylabel("second input")
plane.set_title("three classes, and where the network draws the line")
curve.plot(without, "--", color="#b3261e")
curve.plot(with_momentum, "-", color="#22262b")
curve.plot(0, np.log(3), "D", color="#4a6a94", markersize=7, clip_on=False)
curve.text(22, np.log(3) + 0.02, "log 3", color="#4a6a94")
curve.text(600, without[-1] + 0.14, "without momentum", ha="right", color="#b3261e")
curve.text(600, with_momentum[-1] + 0.09, "with momentum", ha="right", color="#22262b")
curve.set_ylim(0, 1.25)
curve.set_xlabel("step")
curve.set_ylabel("loss")
curve.set_title("the same, step by step")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Above left: a ravine seen from above. Without momentum the way zigzags across and has not come far along;
# with it the way swings, and arrives. Above right: after a drop of the learning rate the paper's velocity coasts on,
# PyTorch's is cut at once. Below left: the plane as the trained network divides it, and the points it learnt from.
# Below right: both losses start at log 3.
# %%
claim("without momentum a goes from -10 to about -3.8: 0.984 to the power of 60", abs(plain[-1, 0] + 10 * 0.984**60) < 1e-9)
claim("with momentum it comes more than five times as near", abs(heavy[-1, 0]) < abs(plain[-1, 0]) / 5)
claim("before the drop both forms move alike", np.allclose(inside[:20], outside[:20]))
claim("tn.optim.SGD moves as the paper's form does, before the drop and after it", np.allclose(inside, library, atol=1e-12))
claim(
    "two fifths of the old speed are left after ten steps, and twice the new one after twenty",
    abs(inside[29] / inside[19] - 0.4) < 0.05 and abs(inside[39] / 0.01 - 2) < 0.1,
)
claim("right after it the paper's moves more than eight times as far", inside[20] > 8 * outside[20])
claim("decay alone halves a weight in about 13,900 steps, 1.4 passes through ImageNet", 13_800 < halved < 14_000)
claim("the first loss is log 3 to two digits", abs(with_momentum[0] - np.log(3)) < 0.01)
claim(
    "momentum gets more than nine points in ten right, and less than a third of the loss of plain steps",
    right > 0.9 and with_momentum[-1] < without[-1] / 3,
)
# %% [markdown]
# ## What you can now do
#
# - write the paper's update rule, and say what each term is for;
# - say what momentum multiplies a steady step by, and why;
# - convert between the paper's form and PyTorch's, and say when they differ;
# - know the first loss of any classifier in advance, and distrust one that starts elsewhere.
#
# ## Exercises
# %% [exercise] e11
# %% [exercise] e12
# %% [exercise] e13
