# question: When may I believe a derivative?
# reading: 30
# %% [markdown]
# # Trust, but check
#
# A wrong gradient does not crash. Often the loss still falls, only more slowly, the results are a little worse, and
# nobody finds out why. So every gradient in tinynet is compared with the definition: move the input a little, see how
# much the output moves. This chapter is about how to do that well, because it can be done badly in more ways than one
# expects: with a step that is too small, with numbers that are too short, or with a test that cannot fail.
# %%
import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet.notebooks import begin, claim

rng = begin(2)
# %% [markdown]
# ## Three ways to measure a slope
#
# The slope of `f` at `x` is what `(f(x + h) - f(x)) / h` tends to when the step `h` gets small. Or, from both sides,
#
#     forward    (f(x + h) - f(x)) / h
#     central    (f(x + h) - f(x - h)) / (2 h)
#
# Measuring both ways costs one run more. Then there is a trick for formulas that also work on complex numbers: step
# sideways, off the number line. If `f` is smooth, then `f(x + i h) = f(x) + i h f'(x) + ...`, so the slope is the
# imaginary part divided by `h`. Nothing is subtracted.
#
# Our function is the sum of `tanh` of five numbers (`tanh` squeezes every number into (-1, 1)). Its slope is known:
# `1 - tanh(x)^2`. The five are an *array* of NumPy (`np`): `np.tanh(x)` takes the tanh of each, `.sum()` adds them up,
# and `x + step` adds number by number. We move one of the five at a time: the array `step` is `h` in its place and 0
# elsewhere.
#
# An error is given as a part of the true slope, the *relative error*: 0.01 means 1 % wrong, and 1e-9 (which is how
# Python writes 0.000000001) that nine digits are right.
#
# A computer keeps about 16 digits of a number in 64 bits and about 7 in 32 bits; what comes after is lost. **Before you
# run the next cell, write down** which step you would take for the central difference: 0.01, 0.000001 (1e-6), or
# 0.000000000001 (1e-12)? The smaller, the better?
# %%
x = rng.standard_normal(5)
exact = 1 - np.tanh(x) ** 2


def f(x):
    return np.tanh(x).sum()


def slopes(difference, x, h, kind):
    """The slope along each of the five numbers, by a `difference` of f with step h, in numbers of a kind."""
    found = []
    for k in range(len(x)):
        step = np.zeros(len(x), kind)
        step[k] = h
        found.append(difference(x.astype(kind), step, h))
    return np.array(found, np.float64)


ways = {
    "forward, 64 bits": (lambda x, s, h: (f(x + s) - f(x)) / h, np.float64),
    "central, 64 bits": (lambda x, s, h: (f(x + s) - f(x - s)) / (2 * h), np.float64),
    "central, 32 bits": (lambda x, s, h: (f(x + s) - f(x - s)) / (2 * np.float32(h)), np.float32),
    "sideways, 64 bits": (lambda x, s, h: (f(x + 1j * s)).imag / h, np.float64),
}
steps = 10.0 ** np.arange(-14, -0.5, 0.5)
errors = {}
for name, (difference, kind) in ways.items():
    measured = np.array([slopes(difference, x, h, kind) for h in steps])
    errors[name] = np.abs(measured / exact - 1).max(axis=1)
    best = errors[name].argmin()
    print(f"{name:18} best at a step of {steps[best]:.0e}: relative error {errors[name][best]:.0e}")
# %% [markdown]
# ## Right, and nearly right
#
# There is a second kind of check, for whole networks. (You need not read the network below, chapter 3 explains it: it
# is some function from 72 weights to one number.) Near `x`, a function is its value plus its slope times the step, plus
# something that shrinks with the *square* of the step (Taylor):
#
#     rest(h) = | f(x + h d) - f(x) - h (gradient . d) |
#
# `d` is any direction, and `gradient . d` the sum of each weight's gradient times its part of `d`. If the gradient is
# right, a step ten times smaller leaves a hundredth of the rest. If the gradient is 3 % wrong, the rest contains 3 % of
# `h (gradient . d)`, which shrinks only ten times. On axes that count powers of ten, the first is a straight line of
# slope 2 (one power of ten to the left, two down), and the second bends to slope 1.
#
# **Predict**: at large steps, will the two lines differ?
# %%
weights = [tn.tensor(rng.standard_normal(s) / np.sqrt(s[0]), requires_grad=True) for s in ((6, 8), (8, 3))]
inputs, labels = tn.tensor(rng.standard_normal((10, 6))), rng.integers(0, 3, 10)


def network(weights):
    """A loss, from a small network of two layers."""
    return tn.cross_entropy(tn.tanh(inputs @ weights[0]) @ weights[1], labels)


loss = network(weights)
loss.backward()
directions = [rng.standard_normal(w.shape) for w in weights]
along = sum((w.grad * d).sum() for w, d in zip(weights, directions, strict=True))

lengths = 10.0 ** np.arange(-5, 0.1, 0.25)
rest = {"right": [], "3 % wrong": []}
with tn.no_grad():  # only values are wanted here, so nothing is put on a tape
    for h in lengths:
        moved = network([tn.tensor(w.numpy() + h * d) for w, d in zip(weights, directions, strict=True)]).item()
        rest["right"].append(abs(moved - loss.item() - h * along))
        rest["3 % wrong"].append(abs(moved - loss.item() - h * 1.03 * along))
# By how many powers of ten the rest grows when h grows by one; h grows by a quarter of one from each point to the next.
bend = {name: np.diff(np.log10(r))[:4].mean() / 0.25 for name, r in rest.items()}
for name, slope in bend.items():
    print(f"{name:10} slope {slope:.2f} at small steps")
# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 4.0), width_ratios=[1.35, 1])
looks = dict(zip(ways, ("o:", "s-", "^--", "d-."), strict=True))
colours = dict(zip(ways, ("#767d87", "#22262b", "#b3261e", "#4a6a94"), strict=True))
for name, error in errors.items():
    left.loglog(steps, np.clip(error, 1e-16, 1e2), looks[name], color=colours[name], markersize=4, label=name)
left.set_xlabel("step h")
left.set_ylabel("largest relative error of the slope")
left.set_title("too large a step, too small a step")
left.legend(frameon=False, loc="lower right")
for (name, values), look, colour in zip(rest.items(), ("s-", "o--"), ("#22262b", "#b3261e"), strict=True):
    right.loglog(lengths, values, look, color=colour, markersize=4, label=f"{name}: slope {bend[name]:.1f}")
right.set_xlabel("length of the step along d")
right.set_ylabel("what the gradient does not explain")
right.set_title("a gradient that is right, and one that is not")
right.legend(frameon=False)
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Left: error against step; each mark of an axis is a hundred times the one before. In 64 bits the curves of
# differences are Vs. On the right side of the V the step is too long, and the function bends away under it: the forward
# difference errs by about h, the central one by h squared. On the left side the step is too short: `f(x + h)` and
# `f(x - h)` agree in nearly all of their digits, subtracting them leaves the last ones, which are rounding, and
# dividing by a small `h` makes that large. (In 32 bits a step of 1e-9 or less is lost altogether: `x + h` is `x`, the
# difference is 0, and the error is 1. Somewhat longer steps are lost in part: they are too short to change the last
# digit of the sum.) The sideways step subtracts nothing and has no left side. Right: what is left after subtracting the
# slope, for a right gradient and for one that is 3 % too large. At large steps they look alike, because there the bend
# of the function hides the 3 %: only small steps tell.
#
# So smaller is *not* better. The best central step in 64 bits is near 1e-5, and gives nine right digits; in 32 bits it
# is near 1e-2, and about four digits are all there is. With the step that is best in 64 bits, a checker in 32 bits is
# itself wrong by more than 0.1 %, and many "bugs" found with one were only its own rounding. So tinynet, which computes
# in 32 bits for speed, *checks* in 64.
#
# ## A checker that explains
#
# `tn.gradcheck(f, [inputs], backward)` compares the gradient of each number in the inputs, its *entries*, with central
# differences, in 64 bits, with a good step. Your `backward` gets `dy`, the gradient of the output, first, and then the
# inputs. Here is `a^2` for a table of two rows and three columns, with the factor 2 forgotten (it should be
# `dy * 2 * a`):
# %%
wrong = tn.gradcheck(lambda a: a**2, [rng.standard_normal((2, 3))], lambda dy, a: dy * a)
print(wrong)
# %% [markdown]
# "index" is the place: `(0, 2)` is row 0, column 2. "analytic" is what your backward said, "numeric" is what moving the
# entry said; "rel err" is their difference divided by the largest slope of all. (By the entry's own slope it would be
# half everywhere; but a slope that happens to be nearly 0 would then look all wrong, by rounding alone.) "seed 0" says
# which random numbers were used, so that the report is the same next time. Of the hint's guesses the first is the right
# one. Copy the cell, mend the copy, run it.
#
# ## Tests that cannot fail
#
# What is the gradient of the output, `dy`, in such a check? The temptation is to add up all outputs and to
# differentiate the sum: then `dy` is 1 everywhere. Two mistakes hide behind that: a backward that forgets to multiply
# by `dy` passes, and so does one that mixes up the entries of `dy`. And for some functions there is nothing to check at
# all:
#
# **Predict** the gradient of the sum of a softmax (chapter 3 needs it: the probabilities of all classes, which add up
# to 1).
# %%
z = tn.tensor(rng.standard_normal((1, 4)), requires_grad=True)
tn.softmax(z).sum().backward()
print("gradient of softmax(z).sum():", np.array2string(z.grad + 0.0, precision=1, suppress_small=True))


def softmax_backward_that_returns_zeros(dy, z):
    return np.zeros_like(z)


def the_sum(z):  # keepdims: an array of one number, since gradcheck wants an array
    return tn.softmax(tn.tensor(z)).numpy().sum(keepdims=True)


def itself(z):
    return tn.softmax(tn.tensor(z)).numpy()


summed = tn.gradcheck(the_sum, [z.numpy()], softmax_backward_that_returns_zeros)
print(summed)
weighted = tn.gradcheck(itself, [z.numpy()], softmax_backward_that_returns_zeros)
print(f"\nwith a random dy instead of the sum: {weighted.status}")
# %% [markdown]
# The sum of a softmax is 1 whatever goes in, so its gradient is 0, and a backward that returns zeros agrees with it. A
# checker that calls this "pass" has said nothing; tinynet's says *inconclusive* when there was nothing to measure, and
# it weights the outputs with random numbers, so that every entry of `dy` is different.
#
# The other trap is a **kink**. `relu(x)` is `x` for positive x and 0 below (chapter 6). At 0 it has no slope: 1 on the
# right side, 0 on the left. A central difference straddles it and says 0.5, and so "finds" an error in a right program.
# (Without a third argument, `gradcheck` checks tinynet's own backward.)
# %%
at_zero = (np.maximum(1e-6, 0) - np.maximum(-1e-6, 0)) / 2e-6
print(f"central difference of relu at 0: {at_zero}")
print(tn.gradcheck(tn.relu, [np.array([-1.5, 0.0, 0.7, 2.0])]))
# %% [markdown]
# The second report says that one entry stands on a kink, and calls nothing wrong. A few such entries are left out and
# counted; here it is one of four, more than a fifth, and so the checker says that it could not tell. What to do about
# it: choose other numbers, none of them near a kink. Put 0.3 in place of 0.0 and run it again.
# %%
claim(
    "the best central step in 64 bits lies between 1e-6 and 1e-4", 1e-6 <= steps[errors["central, 64 bits"].argmin()] <= 1e-4
)
claim(
    "with it nine digits are right, which no forward step reaches",
    errors["central, 64 bits"].min() < 1e-9 < errors["forward, 64 bits"].min(),
)
claim("in 32 bits six digits are never right", errors["central, 32 bits"].min() > 1e-6)
claim(
    "with the step that is best in 64 bits, 32 bits are more than 0.1 % wrong",
    errors["central, 32 bits"][errors["central, 64 bits"].argmin()] > 1e-3,
)
claim("in 32 bits a step of 1e-9 or less is lost: the error is 1", (errors["central, 32 bits"][steps < 5e-9] == 1).all())
claim("at a step of 1 the two rests differ by less than a tenth", abs(rest["3 % wrong"][-1] / rest["right"][-1] - 1) < 0.1)
claim("the sideways step is right to 14 digits at any small step", errors["sideways, 64 bits"][steps < 1e-8].max() < 1e-14)
claim(
    "the rest of a right gradient has slope 2, of a wrong one slope 1",
    abs(bend["right"] - 2) < 0.1 and abs(bend["3 % wrong"] - 1) < 0.1,
)
claim("the checker sees a missing factor 2", wrong.status == "fail")
claim("it does not call it a pass when there was nothing to measure", summed.status != "pass" and weighted.status == "fail")
claim("a central difference at the kink of relu says 0.5", at_zero == 0.5)
# %% [markdown]
# ## What you can now do
#
# - choose a step, and say why 1e-12 is worse than 1e-6;
# - check a whole network with one direction and a ruler: slope 2 or slope 1;
# - read a report of `tn.gradcheck`, and use it for everything you write from here on;
# - smell a test that cannot fail.
#
# ## Exercises
#
# e04 is the central difference itself, and with it you can check whatever you write later; e05 asks for it in 32 bits.
# e06 begins with failures, and is meant to: three of its five functions are wrong, and you find out which. (Where it
# speaks of a file, write a cell: in the notebook your `numeric_gradient` of e04 is at hand once its cell has run.)
# %% [exercise] e04
# %% [exercise] e05
# %% [exercise] e06
