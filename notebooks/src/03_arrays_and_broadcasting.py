# question: Where does a gradient go when shapes differ?
# reading: 25
# %% [markdown]
# # Arrays and broadcasting
#
# A network with one number at a time would be a network that never finishes. So we compute with **arrays**: boxes of
# numbers, all of one kind, with a **shape**. `(2, 3)` is a box of two rows and three columns; `(5,)` is a row of five
# (the comma is how Python writes a list of one length); `()` is a single number. One operation on arrays is many
# operations on numbers, and all that chapter 1 said about numbers still holds: every operation leaves an entry on the
# tape, and backward plays the entries in reverse.
#
# Only one thing is new. The two arrays that meet may have *different* shapes.
# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from tinynet.notebooks import begin, claim
from tinynet.tape import sum_to

rng = begin(3)
# %%
x = tn.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
b = tn.tensor([10.0, 20.0, 30.0], requires_grad=True)
y = x + b

print("x", x.shape, "+ b", b.shape, "= y", y.shape)
print(y.numpy())
# %% [markdown]
# `x` has two rows and `b` has one. NumPy does not complain: it uses `b` once for every row, as if somebody had copied
# it. That is **broadcasting**. (An **axis** is one of the directions of the box.) The rule: write the two shapes below
# each other, flush right. Where one of them has a 1, or nothing, the array is used again and again along that axis, as
# often as the other one is long. Otherwise the two lengths must be equal, or it is an error.
#
#     x     (2, 3)
#     b        (3)      nothing here: the row is used twice
#     y     (2, 3)
#
# We write `dx` for the gradient of a loss with respect to `x`. **Before you run the next cell, write down** `dx` and
# `db` for the loss `y.sum()`: their shapes, and the numbers in them.
# %%
y.sum().backward()
print("dx", x.grad.shape)
print(x.grad)
print("db", b.grad.shape)
print(b.grad)


# %% [markdown]
# Each entry of `x` went into one entry of `y`: its gradient is 1. Each entry of `b` went into *two* entries of `y`, one
# a row. Chapter 1 said what happens to a number that is used twice: **the gradients of its uses add up**. So `db` is 2
# everywhere.
#
# That is the whole rule, and it has a short form:
#
# > What forward copies, backward adds.
#
# ## Following single entries
#
# Which entries of `dy` add up into which entry of `db`? We need not think about it: give every entry of `b` a number,
# its place, broadcast these *numbers*, and each entry of the output says where it came from.
# %%
def came_from(small, large):
    """For each entry of an array of shape `large`: the place, in an array of shape `small`, that it was copied from."""
    places = np.arange(int(np.prod(small))).reshape(small)
    return np.broadcast_to(places, large)


print(came_from((3,), (2, 3)))


# %% [markdown]
# Both entries of column 0 came from place 0, so `db[0] = dy[0, 0] + dy[1, 0]`. With this map the backward of
# broadcasting is one loop, slow but plain to see (`ravel` lays an array out as one long row):
# %%
def sum_to_by_places(dy, small):
    """Add each entry of dy to the place that it came from."""
    total = np.zeros(int(np.prod(small)))
    for place, gradient in zip(came_from(small, dy.shape).ravel(), dy.ravel(), strict=True):
        total[place] += gradient
    return total.reshape(small)


# %% [markdown]
# tinynet's own version does the same without a loop: it finds the axes along which the array was used again, and sums
# over them. Only the walk back calls it, so no operation has to think about broadcasting. (Read its last two lines:
# which axes, and the sum. `extra` is how many axes the small shape lacks in front. *Adjoint* is the mathematicians'
# word for the way back of something that only copies, adds and multiplies by fixed numbers.)
# %%
print(inspect.getsource(sum_to))
# %%
pairs = [((6,), (4, 6)), ((4, 1), (4, 6)), ((), (4, 6)), ((2, 1, 6), (2, 4, 6))]
differences = []
for small, large in pairs:
    dy = rng.standard_normal(large)
    differences.append(np.abs(sum_to(dy, small) - sum_to_by_places(dy, small)).max())
    print(f"db {small!s:10} from dy {large!s:10} largest difference {differences[-1]:.1e}")
# %% [markdown]
# Four pairs of shapes as a picture. Every square is an entry of `dy`; squares of one colour, with one number, add up
# into one entry of `db`. Squares that share a colour are the copies that forward made.
# %%
figure, panels = plt.subplots(1, 4, figsize=(9.4, 3.1), width_ratios=[1, 1, 1, 1])
for panel, (small, large) in zip(panels, pairs, strict=True):
    places = came_from(small, large)
    flat = places.reshape(-1, large[-1])
    panel.imshow(flat, cmap="viridis", vmin=-1, vmax=max(12, flat.max() + 1), aspect="equal")
    for (i, j), place in np.ndenumerate(flat):
        panel.text(j, i, place, ha="center", va="center", fontsize=8, color="white" if place < 8 else "black")
    if len(large) == 3:  # the two slabs of a three-dimensional array, one above the other
        panel.axhline(large[1] - 0.5, color="white", linewidth=4)
    count = flat.size // max(1, int(np.prod(small)))
    panel.set_title(f"b {small}, dy {large}\neach db is a sum of {count}", fontsize=8)
    panel.set_xlabel("last axis of dy")
    panel.set_xticks([])
    panel.set_yticks([])
    panel.set_anchor("N")
panels[0].set_ylabel("the other axes of dy")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Where the gradient goes. A row `(6,)` used for four rows: each column adds up to one number. A column
# `(4, 1)` used for six columns: each row adds up to one number. A single number `()`: everything adds up into it. A
# stack of two rows `(2, 1, 6)`: within each slab each column adds up, and the two slabs, above and below the white
# line, stay apart.
#
# The sum is easily forgotten when a gradient is written by hand, and the shape gives it away: a gradient has the shape
# of what it is the gradient *of*, always. When it has not, you forgot to add.
#
# ## The product of two matrices
#
# A **linear layer** multiplies: `y = x w`, with `x` of shape `(N, K)` (N pictures, K numbers each) and `w` of shape
# `(K, M)`. Each entry of `y` is a row of `x` times a column of `w`, added up; NumPy writes `x @ w`:
#
#     y[n, m] = sum over k of  x[n, k] w[k, m]
#
# For one picture of two numbers (N = 1, K = 2, M = 2): `[1, 2] @ [[5, 6], [7, 8]]` is `[1*5 + 2*7, 1*6 + 2*8]`, which
# is `[19, 22]`.
#
# Fix one `x[n, k]`. Where is it used? In row `n` of `y`, once in every column `m`, times `w[k, m]`. And one `w[k, m]`
# is used once in every row n of column m, times `x[n, k]`. Uses add up (`ᵀ`, in NumPy `.T`, swaps rows and columns):
#
#     dx[n, k] = sum over m of  dy[n, m] w[k, m]         dx = dy wᵀ
#     dw[k, m] = sum over n of  x[n, k] dy[n, m]         dw = xᵀ dy
#
# You never have to remember on which side the ᵀ goes. Cover the right column, and **predict** it from the shapes: `dx`
# must be `(N, K)`; you have `dy`, `(N, M)`, and `w`, `(K, M)`; there is only one way to multiply them that fits. (Not
# when N, K and M are equal, which is why good tests do not use square matrices only.)
# %%
N, K, M = 2, 3, 5
x, w, dy = rng.standard_normal((N, K)), rng.standard_normal((K, M)), rng.standard_normal((N, M))

slow = np.zeros((N, K))
for n in range(N):
    for k in range(K):
        for m in range(M):
            slow[n, k] += dy[n, m] * w[k, m]

gap = np.abs(slow - dy @ w.T).max()
print(f"three loops against dy @ w.T: {gap:.1e}")
print(tn.gradcheck(lambda x, w: x @ w, [x, w], lambda dy, x, w: (dy @ w.T, x.T @ dy)))
# %% [markdown]
# `tn.gradcheck` is chapter 2 in one line: it moves every entry of `x` and of `w` a little, and compares. Now break it:
# change `x.T @ dy` to `2 * x.T @ dy`, run the cell again, and read what it says.
#
# ## From scores to a loss
#
# At the end of a classifier stand C numbers for each picture, one a class, called **logits**: the larger, the more the
# network believes in that class. Two steps turn them into a loss.
#
# *Softmax* makes them positive and makes them add up to 1, so that they can be read as probabilities (`exp(z)` is e to
# the power of z):
#
#     p[c] = exp(z[c]) / sum over j of exp(z[j])
#
# *Cross-entropy* looks at one of them only, the probability of the right class `t`, and takes `-log p[t]` (`log` is the
# natural logarithm, the reverse of `exp`): 0 if the network was sure and right, large if it was sure and wrong. It is
# what AlexNet is trained with: section 3.5 of the paper calls it multinomial logistic regression.
#
# Both are ugly to differentiate one after the other. Together they are one of the prettiest lines of this course:
# `-log p[t] = -z[t] + log(sum of exp(z))`. The slope of the first term is -1 for `z[t]` and 0 for all others. The
# second: the slope of `log(s)` is `1 / s`, and the slope of `exp(z[c])` is itself, so by the chain rule it is
# `exp(z[c]) / sum`. But that is just `p[c]`. Together:
#
#     dz[c] = p[c] - 1    for the right class,    dz[c] = p[c]    for all others
#
# What the network said, minus what it should have said. As an array: `p - onehot`, where `onehot` is 1 at the right
# class and 0 elsewhere. For N pictures the loss is the mean of N such numbers, and each row of dz is divided by N.
#
# **Before you run the next cell, write down** the sign of each entry of `dz`, and what they add up to. Three classes,
# and the network prefers class 0, but class 1 is right. (`z.detach()` has the numbers of `z` without its tape.)
# %%
z = tn.tensor([[2.0, 1.0, -1.0]], requires_grad=True, dtype=np.float64)
loss = tn.cross_entropy(z, [1])  # class 1 is right
loss.backward()
p = tn.softmax(z.detach(), axis=-1).numpy()

print("p   ", np.array2string(p, precision=4))
print(f"loss {loss.item():.4f}    -log p[1] is {-np.log(p[0, 1]):.4f}")
print("dz  ", np.array2string(z.grad, precision=4))


# %% [markdown]
# Only the right class has a negative gradient: training lowers the loss by raising its logit and lowering the others.
# The entries of `dz` add up to 0, because the `p` add up to 1 and one 1 was taken away. So adding the same constant to
# all logits does not change the loss at all.
#
# One thing remains, and it is about computers, not about mathematics: `exp(1000)` is infinite in floating point, the
# way in which computers keep numbers with a point, and infinity divided by infinity is no number (`nan`). Softmax does
# not change when the same constant is taken from all logits (try it in the formula), so one takes away the largest: the
# largest exponential is then `exp(0) = 1`. tinynet does; a naive softmax shows what happens otherwise.
# %%
def naive_softmax(z):
    return np.exp(z) / np.exp(z).sum()


big = np.array([1000.0, 999.0, 0.0])
with np.errstate(all="ignore"):
    naive = naive_softmax(big)
ours = tn.softmax(tn.tensor(big)).numpy()
print("naive:", naive)
print("ours: ", np.array2string(ours, precision=4))
# %%
onehot = np.array([[0.0, 1.0, 0.0]])
claim("summing over places and summing over axes give the same gradient, for all four pairs", max(differences) < 1e-12)
claim("b was used for two rows, so its gradient is 2 everywhere", b.grad.tolist() == [2.0, 2.0, 2.0])
claim("dx = dy wᵀ is what three loops give", gap < 1e-12)
claim("the gradient of softmax and cross-entropy is p - onehot", np.abs(z.grad - (p - onehot)).max() < 1e-12)
claim("the entries of that gradient add up to 0", abs(z.grad.sum()) < 1e-12)
claim("the naive softmax of large logits is no number, ours is", np.isnan(naive).any() and abs(ours.sum() - 1) < 1e-6)
# %% [markdown]
# ## What you can now do
#
# - say which shape a gradient has before computing it: the shape of what it is the gradient of;
# - undo broadcasting: what forward copies, backward adds;
# - find both gradients of a matrix product from the shapes alone, and check them;
# - start backward at a classifier's end with `p - onehot`, and say why its entries add up to 0.
#
# ## Exercises
#
# Write each function below its docstring, in place of the `raise`, and run the cell. The report says what is wrong, and
# where.
# %% [exercise] e07
# %% [exercise] e08
# %% [exercise] e09
# %% [exercise] e10
