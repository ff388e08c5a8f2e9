# question: How does a sliding window become one matrix product?
# reading: 35
# figure: 2
# %% [markdown]
# # Convolution is a matrix product
#
# Chapter 3 treated a picture as a row of numbers. A picture has more to it: neighbouring pixels belong together, and a
# cat is a cat wherever it sits. A **convolution** builds both facts in. It looks at the picture through a small window,
# multiplies what it sees with a small table of weights, adds up, writes down one number, moves the window on, and does
# the same again *with the same weights*.
#
# The table of weights is called a **kernel**, the numbers it writes are a **map**, and 91.9 % of the multiplications of
# AlexNet are convolutions. This chapter makes one from loops, turns it into one matrix product, and takes that apart
# again for the gradient.
# %%
import inspect
import time

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle

import tinynet as tn
from alexnet import AlexNet
from tinynet.kernels import reference, textbook
from tinynet.notebooks import begin, claim, photo

rng = begin(5)
# %% [markdown]
# ## What a kernel sees
#
# Here is a photograph, and four kernels of 5x5 weights made by hand. Each gives a map that is large where the picture
# looks like the kernel, and small where it looks like its opposite.
#
# **Before you run the cell, write down** what you expect of the second kernel, which is -1 on the left and +1 on the
# right, at a white collar on a dark coat: on the collar's left edge, and on its right one.
# %%
picture = photo(128).mean(0) / 255  # grey, 0 to 1
ramp = np.array([-1.0, -1.0, 0.0, 1.0, 1.0])
y, x = np.mgrid[-2:3, -2:3]
bump = np.exp(-(x**2 + y**2) / 2)
kernels = {
    "blur": bump / bump.sum(),
    "dark left, bright right": np.tile(ramp, (5, 1)) / 10,
    "dark above, bright below": np.tile(ramp, (5, 1)).T / 10,
    "a spot": bump / bump.sum() - np.full((5, 5), 1 / 25),
}
weight = np.stack(list(kernels.values()))[:, None]  # (4 kernels, 1 channel, 5, 5)
maps = tn.conv2d(tn.tensor(picture[None, None], dtype=np.float64), tn.tensor(weight), padding=2).numpy()[0]

figure, panels = plt.subplots(2, 5, figsize=(9.2, 3.6), height_ratios=[1, 3.2])
panels[0, 0].set_axis_off()
panels[1, 0].imshow(picture, cmap="gray")
panels[1, 0].set_title("the picture")
for column, (name, kernel) in enumerate(kernels.items(), 1):
    for panel, shown in ((panels[0, column], kernel), (panels[1, column], maps[column - 1])):
        most = np.abs(shown).max()
        panel.imshow(shown, cmap="gray", vmin=-most if shown.min() < 0 else 0, vmax=most)
    panels[0, column].set_title(name)
for panel in panels.flat:
    panel.set_xticks([])
    panel.set_yticks([])
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** The photograph, and what four kernels (above, 5x5 weights each) make of it (below). The blur only blurs.
# The two edge kernels are grey, which is 0, wherever nothing changes; bright where the picture turns from dark to
# bright in their direction, as on the left edge of the collar, and dark where it turns from bright to dark, as on its
# right edge. (0 is grey; the line along the border comes from the zeros around the picture.) The spot answers to dots
# and corners.
#
# Nobody makes kernels by hand any more: AlexNet starts with random ones and learns (chapter 14 shows what it found, and
# some look like these). But the operation is this one.
#
# ## Seven loops
#
# In the paper's layers the picture has several **channels** (red, green and blue, or the maps of the layer before),
# there are F kernels, the window moves by a **stride** of s pixels, and the picture may get a border of p zeros, the
# **padding**:
#
#     y[n, f, i, j] = b[f] + sum over c, u, v of  w[f, c, u, v]  x[n, c, i s + u - p, j s + v - p]
#
# n counts pictures, f kernels, i and j places of the window, c channels, u and v places inside the window: seven
# indices, seven loops. That is how tinynet's reference is written, against which everything faster is tested. Its loops
# are two lines of `for`: `np.ndindex` runs through n, f, i and j, `product` through c, u and v. (Ignore `dilation`;
# `groups` come at the end.)
# %%
print(inspect.getsource(reference.conv2d))
# %% [markdown]
# ## How many windows fit?
#
# With H pixels, a kernel of K and padding p, the window can start at pixel 0, s, 2s, ... as long as it still fits:
#
#     floor((H + 2 p - K) / s) + 1
#
# **Write down** what this gives for the first layer of AlexNet: H = 224, K = 11, s = 4, p = 0. (Section 3.5 of the
# paper has these numbers, and figure 2 says that the map has 55 places a side.)
# %%
for height in (224, 227):
    print(f"{height} pixels: ({height} - 11) / 4 + 1 = {(height - 11) / 4 + 1}")
# %% [markdown]
# 224 does not fit: 54.25. Many texts conclude that the paper is wrong and that the pictures were 227 pixels wide, or
# round down, live with 54 and then find that the layer behind has the wrong size. Neither is what happened. The program
# that its authors ran (published in 2025) rounds *up*, and lets the last window hang over the right and the lower edge
# by three pixels, which count as zero. So the pictures have 224 pixels and the map has 55 places, also in `alexnet.py`:
# %%
model = AlexNet(classes=10, width=0.05)
print(f"conv1 has {model.sides['conv1']} places a side; windows hang over by {model.overhang} pixels")
# %% [markdown]
# ## One product
#
# Loops in Python are slow: each of those multiplications costs thousands of times what the processor needs for it. But
# a sum of products is what a matrix product does, and for matrix products there are programs that use the processor to
# the full. So: write every *window* as a column, every *kernel* as a row, and the convolution is
#
#     (F, C K K)  @  (C K K, places)  =  (F, places)
#
# Writing the windows as columns is called **im2col**. On a picture of 4x5 pixels, numbered, with a 3x3 kernel and
# stride 1, six windows fit:
# %%
small = np.arange(20.0).reshape(1, 1, 4, 5)
columns = textbook.im2col(small, (3, 3), (1, 1), (0, 0), (1, 1))[0]
print(columns.astype(int))
# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4.2), width_ratios=[1, 1.25])
for panel, shown in ((left, small[0, 0]), (right, columns)):
    panel.imshow(shown, cmap="viridis", vmin=0, vmax=24)
    for (i, j), value in np.ndenumerate(shown):
        panel.text(j, i, int(value), ha="center", va="center", color="white" if value < 13 else "black", fontsize=8)
left.set_title("the picture, 4x5, pixels numbered")
left.set_xticks([])
left.set_yticks([])
for place, (i, j) in ((0, (0, 0)), (4, (1, 1))):
    style = dict(fill=False, edgecolor="#f5993d", linewidth=2.5, linestyle="-" if place == 0 else "--")
    left.add_patch(Rectangle((j - 0.45, i - 0.45), 2.9, 2.9, **style))
    right.add_patch(Rectangle((place - 0.45, -0.45), 0.9, 8.9, **style))
right.set_title("its columns, 9x6: a window a column")
right.set_xticks(range(6), [f"({i},{j})" for i in range(2) for j in range(3)])
right.set_xlabel("place of the window")
right.set_yticks(range(9), [f"({u},{v})" for u in range(3) for v in range(3)])
right.set_ylabel("place inside the window")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** im2col. Left, a picture of numbered pixels with two of its six windows. Right, all windows as columns: the
# solid one is column (0,0), the dashed one column (1,1). Pixel 7 stands in six windows, so it stands in six columns;
# pixel 0 only in one. Follow pixel 7: it appears on a different row in every column, because it sits at a different
# place of each window.
#
# This is tinynet's textbook version, but for four small helpers. (`kernels/cpu/` does the same in pieces that fit into
# the processor's cache, and `kernels/cuda/` on a GPU.)
# %%
print(inspect.getsource(textbook.im2col))
print(inspect.getsource(textbook.conv2d))
# %% [markdown]
# Same numbers, and how fast? The loops get a small map of 16x16, since one picture of AlexNet would keep them busy for
# minutes.
# %%
x = rng.standard_normal((1, 8, 16, 16))
w = rng.standard_normal((16, 8, 3, 3))
how = ((1, 1), (1, 1), (1, 1), 1)  # stride, padding, dilation, groups


def seconds(function, times):
    """The shortest of several runs: what the machine can do when nothing disturbs it."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        result = function()
        taken.append(time.perf_counter() - start)
    return min(taken), result


slow, by_loops = seconds(lambda: reference.conv2d(x, w, None, *how), 1)
quick, by_product = seconds(lambda: textbook.conv2d(x, w, None, *how), 20)
x_tensor, w_tensor = tn.tensor(x), tn.tensor(w)
fast, by_kernels = seconds(lambda: tn.conv2d(x_tensor, w_tensor, padding=1).numpy(), 20)
error = max(np.abs(by_product - by_loops).max(), np.abs(by_kernels - by_loops).max())
print(f"loops {1e3 * slow:.0f} ms, im2col {1e3 * quick:.2f} ms, the fast kernels {1e3 * fast:.2f} ms")
print(f"largest difference {error:.1e}")
# %% [markdown]
# On so small a map the fast kernels do not pay: they prepare more before their first product. Here is a layer of
# AlexNet's size, conv2, for eight pictures: 96 maps of 27x27 places, and 256 kernels of 5x5 in two groups.
# %%
x = rng.standard_normal((8, 96, 27, 27), dtype=np.float32)
w = rng.standard_normal((256, 48, 5, 5), dtype=np.float32)
x_tensor, w_tensor = tn.tensor(x), tn.tensor(w)
quick_large, by_product = seconds(lambda: textbook.conv2d(x, w, None, (1, 1), (2, 2), (1, 1), 2), 3)
fast_large, by_kernels = seconds(lambda: tn.conv2d(x_tensor, w_tensor, padding=2, groups=2).numpy(), 3)
error_large = np.abs(by_product - by_kernels).max() / np.abs(by_product).max()
print(f"conv2, 8 pictures: im2col {1e3 * quick_large:.0f} ms, the fast kernels {1e3 * fast_large:.0f} ms")
print(f"largest difference, as a part of the largest number: {error_large:.0e} (32-bit numbers have 7 digits)")
# %% [markdown]
# Which of the two is ahead here, and by how much, depends on the machine, on how many threads the matrix product may
# use, and on what else is running. Run the cell a few times and watch the ratio change: one measurement of a time says
# little, and no claim below is about this one.
#
# What does not depend on the machine is the price of the product, memory: every pixel stands in up to K K columns. Count
# the numbers in the columns of AlexNet's five convolutional layers, for a batch of 128 pictures, and on the way the
# multiplications:
# %%
layers = {  # kernels, channels that a kernel sees, groups, K, places a side
    "conv1": (96, 3, 1, 11, 55),
    "conv2": (256, 48, 2, 5, 27),
    "conv3": (384, 256, 1, 3, 13),
    "conv4": (384, 192, 2, 3, 13),
    "conv5": (256, 192, 2, 3, 13),
}
column_bytes = 128 * sum(4 * groups * seen * k * k * side**2 for _, seen, groups, k, side in layers.values())
convolving = sum(kernels * seen * k * k * side**2 for kernels, seen, _, k, side in layers.values())
connecting = 9216 * 4096 + 4096 * 4096 + 4096 * 1000  # fc6, fc7, fc8: a matrix product each
share = convolving / (convolving + connecting)
weight_bytes = 4 * 60_965_224  # chapter 11 counts them
print(f"columns {column_bytes / 1e9:.2f} GB, {column_bytes / weight_bytes:.1f} times the network's weights")
print(f"convolutions: {share:.1%} of {convolving + connecting:,} multiplications a picture")
# %% [markdown]
# That is why the fast kernels never hold all columns at once.
#
# ## Backward, or: what forward copies, backward adds
#
# With columns X and kernels W, forward is `Y = W X`, and chapter 3 has the gradients of a product:
#
#     dW = dY Xᵀ        dX = Wᵀ dY
#
# (dW is summed over the pictures; the bias, which was added everywhere, gets the sum of dY over pictures and places.)
# dX are gradients of *columns*. im2col had copied every pixel into its columns, so every pixel gets back the sum over
# its copies. That way back is called **col2im**. It is im2col with the two sides exchanged, and `+=`:
# %%
print(inspect.getsource(textbook.col2im))
# %% [markdown]
# How many copies there are is easily seen: send back a 1 from every place of every column.
# %%
for stride in (1, 2, 3):
    shape, window = (1, 1, 7, 9), (3, 3)
    ones = np.ones_like(textbook.im2col(np.zeros(shape), window, (stride, stride), (0, 0), (1, 1)))
    copies = textbook.col2im(ones, shape, window, (stride, stride), (0, 0), (1, 1))[0, 0]
    print(f"stride {stride}:\n{copies.astype(int)}")


# %% [markdown]
# With stride 1 a pixel in the middle stands in nine windows, one in the corner in one. With stride 2 windows still
# overlap, by one row and one column. With stride 3 they lie edge to edge: each pixel is used once, or, in the last row,
# where no window fits any more, never. The classic mistake is to write `=` for `+=`.
#
# **Predict** which of the three the checker can tell from a right backward, if `col2im` is written with `=`.
# %%
def col2im_that_forgets(columns, x_shape, kernel, stride):
    """What happens with `=` where `+=` belongs: the last copy wins."""
    _, _, h, w = x_shape
    oh, ow = (h - kernel[0]) // stride + 1, (w - kernel[1]) // stride + 1
    dx = np.zeros(x_shape)
    parts = columns.reshape(x_shape[0], x_shape[1], *kernel, oh, ow)
    for u in range(kernel[0]):
        for v in range(kernel[1]):
            dx[:, :, u : u + stride * oh : stride, v : v + stride * ow : stride] = parts[:, :, u, v]
    return dx


verdicts = {}
for stride in (1, 2, 3):
    image, table = rng.standard_normal((1, 1, 7, 9)), rng.standard_normal((2, 1, 3, 3))

    def forward(image, stride=stride, table=table):
        return tn.conv2d(tn.tensor(image), tn.tensor(table), stride=stride).numpy()

    def backward(dy, image, stride=stride, table=table):
        columns = table.reshape(2, 9).T @ dy.reshape(1, 2, -1)
        return col2im_that_forgets(columns, image.shape, (3, 3), stride)

    report = tn.gradcheck(forward, [image], backward)
    verdicts[stride] = bool(report)
    print(f"stride {stride}: {'passes' if report else 'fails'}")
# %% [markdown]
# Only where no window overlaps another does the mistake go unnoticed. A test with stride 3, or a pooling of 2x2 with
# stride 2, cannot see it.
#
# ## Two halves
#
# AlexNet's conv2, conv4 and conv5 have **two groups**: the first half of the kernels looks at the first half of the
# channels only, the second half at the second. That is how the network fits two GPUs that do not talk in these layers
# (chapter 12). It is not a new operation: it is two convolutions, side by side.
# %%
x = tn.tensor(rng.standard_normal((2, 6, 8, 8)))
w = tn.tensor(rng.standard_normal((10, 3, 3, 3)))  # 10 kernels, each of 3 channels: half of the 6
together = tn.conv2d(x, w, groups=2).numpy()
apart = np.concatenate([tn.conv2d(x[:, :3], w[:5]).numpy(), tn.conv2d(x[:, 3:], w[5:]).numpy()], axis=1)
print("one convolution with two groups against two convolutions:", np.abs(together - apart).max())
print("weights, with groups:", w.size, "and without:", 2 * w.size)
# %%
claim("im2col and the fast kernels have the numbers of the seven loops", error < 1e-10)
claim("on conv2 both have the same numbers, but for rounding", error_large < 1e-5)
claim(
    "the columns of a batch are 2.3 GB, nine times the weights",
    abs(column_bytes - 2.26e9) < 1e7 and 9 < column_bytes / weight_bytes < 9.5,
)
claim("91.9 % of the multiplications are convolutions", round(100 * share, 1) == 91.9)
claim("im2col is more than ten times as fast as the loops", slow > 10 * quick)
claim("224 pixels give 55 places, because windows hang over by 3", (model.sides["conv1"], model.overhang) == (55, 3))
claim("pixel 7 stands in six columns and pixel 0 in one", [(columns == p).sum() for p in (7, 0)] == [6, 1])
claim("`=` for `+=` fails where windows overlap and passes where they do not", verdicts == {1: False, 2: False, 3: True})
claim("two groups are two convolutions", np.abs(together - apart).max() < 1e-12)
# %% [markdown]
# ## What you can now do
#
# - say how many places a window has, and why AlexNet's pictures have 224 pixels and its first map 55 places;
# - write a convolution as loops, and as one matrix product, and say what the product costs in memory;
# - write its backward: two products and a sum over copies, and choose a test that sees a forgotten sum;
# - explain what groups are.
#
# ## Exercises
#
# e17 is the heart of the course: take your time. If it fails, the report says at which entries, and often why.
# %% [exercise] e14
# %% [exercise] e15
# %% [exercise] e16
# %% [exercise] e17
# %% [exercise] e18
