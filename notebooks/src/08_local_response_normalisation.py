# question: What does "brightness normalisation" compute?
# reading: 25
# %% [markdown]
# # Local response normalisation
#
# Behind the ReLU of the first two layers AlexNet has a step that later networks dropped. Each number is divided by
# something that grows with the activity of its *neighbours*: the same pixel, in the maps next to it. Section 3.3 of the
# paper:
#
#     b_i  =  a_i / ( k + alpha * sum of a_j^2 ) ^ beta        j from i - n/2 to i + n/2, as far as there are maps
#
# with k = 2, n = 5, alpha = 0.0001, beta = 0.75. A unit that shouts makes its neighbours quieter; the paper likens it
# to the lateral inhibition of real neurons, and calls it "brightness normalization", since no mean is subtracted. It is
# therefore *not* a kind of batch normalisation, as one reads: there is no mean, no statistics of a batch, and nothing
# is learnt.
# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet import nn
from tinynet.data import synthetic
from tinynet.kernels import reference
from tinynet.notebooks import begin, claim

rng = begin(8)
# %% [markdown]
# The formula as loops:
# %%
print(inspect.getsource(reference.local_response_norm))


# %% [markdown]
# ## By hand
#
# Seven maps, one pixel. Map 3 is active, the others are 0, then its neighbours wake up. **Before you run the cell,
# write down** what happens to map 3 itself when map 4 becomes active, and what happens when map 6 does. (n is 5.)
# %%
def normalise(values, **constants):
    """The seven numbers, normalised."""
    x = tn.tensor(np.array(values, float).reshape(1, -1, 1, 1))
    return tn.local_response_norm(x, **constants).numpy().ravel()


for values in ([0, 0, 0, 100, 0, 0, 0], [0, 0, 0, 100, 200, 0, 0], [0, 0, 0, 100, 0, 0, 200]):
    print(values, "->", "  ".join(f"{b:5.1f}" for b in normalise(values)))
# %% [markdown]
# Map 4 lies within the window of map 3 and quietens it. Map 6 is three away: out of sight.
#
# Note the size of these numbers. With alpha = 0.0001 a neighbour must be near 100 before much changes: `0.0001 * 100^2
# = 1`, beside a `k` of 2. The paper's pictures are not scaled: a pixel is up to 255, less the mean, and a unit that
# adds up some hundred of them can get there. Divide the pixels by 58, as `alexnet.py`'s recipe `modern` does, and with
# the same weights every activation is 58 times smaller. Then the normalisation has nothing left to do but to divide
# everything by `2^0.75 = 1.68`. Keep that in mind when a benchmark says that it "does not help".
#
# ## One name, three formulas
#
# These constants are copied from program to program, and do not mean the same everywhere:
#
# | where | divisor | k |
# | --- | --- | --- |
# | the paper, section 3.3 | `k + alpha * sum` | 2 |
# | the program its authors ran | `k + alpha / 5 * sum` | 2 |
# | Caffe's AlexNet | `k + alpha / n * sum` | 1 |
# | PyTorch, `LocalResponseNorm` | `k + alpha / n * sum` | 1, if you give none |
# | TensorFlow, `local_response_normalization` | `k + alpha * sum` | 1, if you give none |
# | tinynet | the paper's; recipe `source` passes `alpha / 5` | 2, if you give none |
#
# (The program is the source code of 2012, published in 2025: where it reads the layers' parameters, `layer.py`, it
# divides the alpha of this layer by its size.)
#
# What difference does it make? **Guess**: a tenth of a percent? A factor of two?
# %%
activity = np.maximum(0, rng.normal(0, 100, (1, 48, 8, 8)))
meanings = {
    "paper": dict(alpha=1e-4, k=2.0),
    "2012 program": dict(alpha=1e-4 / 5, k=2.0),
    "Caffe, PyTorch": dict(alpha=1e-4 / 5, k=1.0),
}
strength = {}
for scale in (1, 100):
    x = tn.tensor(activity * scale / 100)
    strength[scale] = {}
    for name, constants in meanings.items():
        y = tn.local_response_norm(x, **constants).numpy()
        strength[scale][name] = y.sum() / x.numpy().sum()
    row = ", ".join(f"{name} x {s:.3f}" for name, s in strength[scale].items())
    print(f"activations near {scale:3}: {row}")
# %% [markdown]
# Near 1 the first two agree to three digits, and the third is larger by `2^0.75`: k is all that counts. Near 100 no two
# agree. A network that was trained with one formula and is run with another is a different network.
#
# ## The edge of a tower
#
# There is one more trap. In AlexNet the normalisation stays *inside a tower* (chapter 11): the first GPU's 48 maps know
# nothing of the second's. A program with all 96 maps in one array must not let the window run across the middle, which
# Caffe's does. Which maps notice? **Write them down**; the maps are counted from 0, and n is 5.
# %%
both = tn.tensor(np.maximum(0, rng.normal(0, 100, (1, 96, 4, 4))))
whole = tn.local_response_norm(both).numpy()
towers = np.concatenate([tn.local_response_norm(half).numpy() for half in (both[:, :48], both[:, 48:])], axis=1)
differ = np.flatnonzero(np.abs(whole - towers).max(axis=(0, 2, 3)) > 0)
print("maps that differ:", differ.tolist())


# %% [markdown]
# ## Backward, and constants that hide a bug
#
# A number appears in its own numerator, and in the divisor of all its neighbours. So its gradient has two terms, one of
# its own and one through them:
#
#     da_i  =  g_i d_i^-beta  -  2 alpha beta a_i * sum over neighbours j of  g_j a_j d_j^-(beta + 1)
#
# What if somebody forgets the second? With the paper's alpha and numbers near 1 it is smaller than a thousandth of the
# first: a test with a tolerance of 1 %, and such are common, passes. So gradient checks are done with constants at
# which every term counts.
# %%
def forgetful(alpha, k):
    """How wrong a backward is that has only the first term: relative to the largest gradient."""
    a = rng.standard_normal((2, 7, 3, 3))
    constants = dict(size=5, alpha=alpha, beta=0.75, k=k)
    x = tn.tensor(a, requires_grad=True)
    y = tn.local_response_norm(x, **constants)
    g = rng.standard_normal(y.shape)
    y.backward(g)
    _, d = reference.local_response_norm(a, 5, alpha, 0.75, k)
    return np.abs(g * d**-0.75 - x.grad).max() / np.abs(x.grad).max()


mild, hard = forgetful(1e-4, 2.0), forgetful(0.5, 1.3)
print(f"wrong by {mild:.1e} with the paper's constants, by {hard:.1e} with alpha = 0.5 and k = 1.3")
# %% [markdown]
# ## In a network that has learnt
#
# A small network, on 16 classes of drawn pictures of 32 pixels: 5x5 convolution with 24 maps, ReLU, normalisation,
# overlapping pooling, a linear layer. Its pixels are not scaled, as in the paper, so its activations are large.
# %%
train, _ = synthetic(train=1600, val=16, size=32, seed=8)
images = np.stack([train.image(i) for i in range(len(train))]).astype(np.float32)
images -= images.mean(axis=(0, 2, 3), keepdims=True)
generator = np.random.default_rng(8)
conv = nn.Conv2d(3, 24, 5, rng=generator)
linear = nn.Linear(24 * 13 * 13, 16, rng=generator)
nn.init.normal_(conv.weight, 0.0, 0.01, rng=generator)
nn.init.normal_(linear.weight, 0.0, 0.001, rng=generator)
norm = nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)
parameters = [*conv.parameters(), *linear.parameters()]
optimizer = tn.optim.SGD(parameters, lr=0.0005)
losses = []
for _ in range(6):
    order = generator.permutation(len(images))
    for start in range(0, len(images), 64):
        batch = order[start : start + 64]
        maps = norm(tn.relu(conv(tn.tensor(images[batch]))))
        loss = tn.cross_entropy(linear(tn.max_pool2d(maps, 3, 2).flatten(1)), train.labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
with tn.no_grad():
    before = tn.relu(conv(tn.tensor(images[:64])))
    after = norm(before).numpy()
    before = before.numpy()
print(f"loss {losses[0]:.2f} at first, {np.mean(losses[-10:]):.2f} at last")
positive = before > 0
shrink = before[positive] / after[positive]
print(f"activations up to {before.max():.0f}; divided by {shrink.min():.2f} at least and {shrink.max():.2f} at most")
# %%
share = (shrink > 1.75).mean()
print(f"divided by more than 1.75: {100 * share:.1f} % of the units that are not 0")
# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.0, 3.8))
activities = np.linspace(0, 200, 101)
left_over = {}
for (alpha, n, label), look in zip(
    [
        (1e-4, 1, "n = 1: nobody near"),
        (1e-4 / 5, 5, "alpha / 5: the program"),
        (1e-4, 3, "n = 3"),
        (1e-4, 5, "the paper"),
        (1e-3, 5, "10 alpha"),
    ],
    (":", "--", (0, (6, 1, 1, 1, 1, 1)), "-", "-."),
    strict=True,
):
    response = [normalise([v, v, v, 100, v, v, v], size=n, alpha=alpha)[3] for v in activities]
    (line,) = left.plot(activities, response, linestyle=look, linewidth=1.8)
    left.text(203, response[-1], label, va="center", color=line.get_color())
    left_over[label] = response[0], response[-1]
left.set_xlim(0, 200)
left.set_ylim(0, 65)
left.set_xlabel("activity of every other map")
left.set_ylabel("what is left of an activity of 100")
left.set_title("a unit whose neighbours wake up", loc="left")
edges = np.linspace(0, before.max(), 60)
right.hist(after[positive], edges, histtype="stepfilled", color="#f5993d", alpha=0.6, label="after")
right.hist(before[positive], edges, histtype="step", color="#22262b", linewidth=1.5, label="before")
divided = before[positive] / 2**0.75
right.hist(divided, edges, histtype="step", color="#22262b", linestyle=":", linewidth=1.2, label="before, divided by 1.68")
right.set_yscale("log")
right.set_xlabel("activity (zeros left out)")
right.set_ylabel("how many units")
right.set_title("the small network, after training", loc="left")
right.legend(frameon=False, loc="upper right")
figure.tight_layout()
figure.subplots_adjust(wspace=0.62)
plt.show()
# %% [markdown]
# **Figure.** Left: a unit with activity 100 among seven maps, while all others grow from 0 to 200. With the paper's
# constants three quarters of what was left are gone at the end, with alpha / 5, as the authors' program had it, about
# half; a narrower window sees fewer of the neighbours, and a window of 1 none. Right: the activities of a trained
# network on both sides of the normalisation, on a logarithmic scale; dotted, those before it, all divided by the same
# `2^0.75 = 1.68`. Filled and dotted hardly differ: activities stay below 100 here, so most of what this layer does is
# that division, and only the long tail is pressed a little further.
#
# ## What does it buy?
#
# The paper says 1.4 % (top-1) and 1.2 % (top-5), and on CIFAR-10 an error of 11 % in place of 13 %. Its authors' own
# log of runs has both: 42.03 % and 19.36 % without any normalisation, 40.66 % and 18.21 % with it (run 148 beside run
# 145). But the program has more of it than the text: behind the second layer a *second* kind follows, over 5x5
# neighbouring places of the same map, which the paper never mentions, and run 148 lacks both kinds. In the first layer
# the program normalises *before* the ReLU, which comes last there; the paper's order is ReLU first. And another run
# (167) has no normalisation behind conv2: 40.49 %, no loss at all.
#
# Differences of this size cannot be measured on a drawn set of this size, so this chapter does not try.
# %%
alone, near, far = (normalise([0, 0, 0, 100, *others])[3] for others in ([0, 0, 0], [200, 0, 0], [0, 0, 200]))
claim("map 4 takes something away from map 3, map 6 does not", near < alone == far)
kept = {label: last / first for label, (first, last) in left_over.items()}
claim("neighbours of 200 take 70 to 80 % with the paper's constants", 0.2 < kept["the paper"] < 0.3)
claim("they take 45 to 55 % with alpha / 5", 0.45 < kept["alpha / 5: the program"] < 0.55)
claim(
    "a window of 3 leaves more than one of 5, a window of 1 leaves all",
    kept["the paper"] < kept["n = 3"] < 1 == kept["n = 1: nobody near"],
)
plain, paper, program, caffe = 2**-0.75, *(strength[100][name] for name in meanings)
claim("near 1 the paper's formula only divides by 2^0.75, to three digits", abs(strength[1]["paper"] / plain - 1) < 5e-4)
claim("and the program's, too", abs(strength[1]["2012 program"] / plain - 1) < 5e-4)
claim(
    "near 100 the three meanings differ by more than 15 % from each other", paper * 1.15 < program and program * 1.15 < caffe
)
claim("a window across the towers changes maps 46 to 49", differ.tolist() == [46, 47, 48, 49])
claim("a forgotten term is 0.1 % with the paper's constants, and more than 10 % with hard ones", mild < 1e-3 and hard > 0.1)
claim("the small network learnt", np.mean(losses[-10:]) < losses[0] / 2)
claim("every activity was divided by 1.68 or more, nine in ten by less than 1.75", shrink.min() > 1.68 and share < 0.1)
claim("the activities of the small network stay below 100", before.max() < 100)
# %% [markdown]
# ## What you can now do
#
# - compute the normalisation by hand, edges included;
# - say what alpha means in a program before copying it from another;
# - choose constants at which a gradient check sees every term;
# - say why it has so little to do when pixels are scaled.
#
# ## Exercises
#
# The formula, its gradient, and the constants to give to other frameworks so that they compute the paper's.
# %% [exercise] e24
# %% [exercise] e25
# %% [exercise] e26
