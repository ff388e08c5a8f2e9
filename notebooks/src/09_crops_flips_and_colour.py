# question: How do 1.2 million pictures become two thousand times as many?
# reading: 25
# figure: 2
# %% [markdown]
# # Crops, flips and colour
#
# 60 million weights and 1.2 million pictures: a network can learn such a set by heart, noise and all. Section 4.1 of
# the paper fights this with two changes that cost nearly nothing and do not alter what is to be seen. A dog shifted by
# ten pixels is a dog; so is its mirror image; so is a dog in redder light.
# %%
import inspect

import matplotlib.pyplot as plt
import numpy as np

from tinynet.data import augment, synthetic
from tinynet.notebooks import begin, claim, photo

rng = begin(9)
picture = photo(256)


def half(image):
    """An image to look at: half as large, each pixel the mean of four, colours last."""
    means = image.reshape(3, image.shape[1] // 2, 2, image.shape[2] // 2, 2).mean(axis=(2, 4))
    return means.astype(np.uint8).transpose(1, 2, 0)


print(picture.shape, picture.dtype, "from", picture.min(), "to", picture.max())
# %% [markdown]
# A picture here is an array of bytes: 3 colours, 256 rows, 256 columns, each number from 0 to 255.
#
# ## Windows and mirrors
#
# The network looks at 224x224 pixels, the pictures have 256x256. So each time a picture is used, a window is drawn at
# random, and mirrored with probability 1/2. **Write down** how many different ones there are: how many rows can the
# window start at?
# %%
print(inspect.getsource(augment.random_crops))
# %% [markdown]
# Do not take its word for it: count. A picture of 40 pixels with windows of 8 has as many places as one of 256 with
# windows of 224, and is quicker to cut. Its pixels are all different, so two windows are equal only if they are the
# same window.
# %%
numbers = np.arange(40 * 40, dtype=np.int32).reshape(1, 1, 40, 40)
draws = augment.random_crops(np.broadcast_to(numbers, (40_000, 1, 40, 40)), 8, rng)
different = len(np.unique(draws[:, 0, 0, [0, -1]], axis=0))  # the upper corners say which window it is
positions = 256 - 224 + 1
print(f"40,000 draws, {different} different windows; {positions} rows x {positions} columns x 2 = {positions**2 * 2}")
# %% [markdown]
# 33, not 32: rows 0, 1, ..., 32. The paper says that this "increases the size of our training set by a factor of 2048",
# which is 32 x 32 x 2. The program that its authors ran draws from `randint(0, 2 * 16 + 1)`, which is 33. A fence of 32
# fields has 33 posts; this one got into print, and nobody was harmed.
#
# Nor are these 2178 new pictures. Two windows of the same picture share 192 of 224 rows and columns even if they lie in
# opposite corners: 73 % of what they show. The paper calls them "highly interdependent".
#
# (The authors' program also gives 32 neighbouring pictures of a batch the same window, to save time. Here each draws
# its own.)
#
# ## Ten windows at test time
#
# At test time nothing is random. The paper takes five windows, the corners and the centre, and their mirror images, and
# **averages the ten probabilities**, not the ten pictures. It says what that gains: with the centre alone the errors on
# the 2010 test set are 39.0 % and 18.3 %, with all ten 37.5 % and 17.0 % (section 6, footnote 5; table 1).
# %%
ten = augment.ten_crops(picture, 224)
names = ["top left", "top right", "centre", "bottom left", "bottom right"]
figure, panels = plt.subplots(2, 6, figsize=(6.0, 2.2))
for row, (label, first) in enumerate({"as it is": 0, "mirrored": 5}.items()):
    whole = picture if row == 0 else picture[:, :, ::-1]
    panels[row, 0].imshow(half(whole))
    for left, top, look in ((32 * row, 0, "-"), (32 - 32 * row, 32, "--")):
        corner = (left / 2 - 0.5, top / 2 - 0.5)  # the picture is shown at half its size
        panels[row, 0].add_patch(plt.Rectangle(corner, 111, 111, fill=False, color="white", linewidth=1.2, linestyle=look))
    panels[row, 0].set_ylabel(label)
    for index, panel in enumerate(panels[row, 1:]):
        panel.imshow(half(ten[first + index]))
panels[0, 0].set_title("where they lie", fontsize=7)
for panel, name in zip(panels[0, 1:], names, strict=True):
    panel.set_title(name, fontsize=7)
for panel in panels.flat:
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_visible(False)
figure.tight_layout(pad=0.4)
plt.show()
# %% [markdown]
# **Figure.** The ten windows of one photograph: four corners and the centre, and below each the same window mirrored.
# At the very left the whole picture, with the outlines of the first window (solid) and the last (dashed). They differ
# by at most 32 pixels.
#
# ## Colour
#
# The second change is finer. Take all pixels of all training pictures as points in a space of three axes, red, green
# and blue. The cloud is long and thin: pixels are mostly grey, from dark to bright, and vary less in other directions.
# Its **principal components** are its long axis, its second and its third (they are the eigenvectors of the 3x3
# covariance matrix). For each picture three numbers are drawn, `a1, a2, a3`, from a normal distribution with standard
# deviation 0.1, and to *every pixel* of the picture is added
#
#     a1 l1 p1 + a2 l2 p2 + a3 l3 p3
#
# one colour for the whole picture, mostly along the long axis: as if the light had changed. The `p` are the axes. And
# the `l`?
#
# The paper says that `l` is the *eigenvalue* of the covariance matrix. An eigenvalue is a variance: the *square* of the
# length of the axis. **Work it out** before you go on: if the cloud is 100 grey levels long, the eigenvalue is about
# 10,000, and `a1 l1` is about 1000. What would a picture look like, whose pixels all move by 1000 of 255 levels?
# %%
pixels = picture.reshape(3, -1).astype(np.float64)
eigenvalues, axes = np.linalg.eigh(np.cov(pixels))
by_hand = np.sqrt(eigenvalues[::-1])


class OnePicture:
    """A data set of this one photograph, for `augment.pca`, which takes a data set."""

    size, labels = 256, np.zeros(1, int)

    def __len__(self):
        return 1

    def image(self, i):
        return picture


stdevs, directions = augment.pca(OnePicture())
print("lengths of the axes, in grey levels:", np.array2string(stdevs, precision=1))
print("their squares, the eigenvalues:     ", np.array2string(stdevs**2, precision=0))
for name, direction in zip(("long", "second", "third"), directions, strict=True):
    print(f"{name:7} axis (red, green, blue):", np.array2string(direction, precision=2, sign="+"))
# %% [markdown]
# So the eigenvalue cannot be meant. And it is not what was run: the authors' program multiplies by `color_stdevs`, the
# square root, and the numbers that their later program ships for ImageNet are 121.8, 37.1 and 19.7. tinynet does the
# same: `augment.pca` returns standard deviations.
#
# The constants .2175, .0188, .0045, which travel from repository to repository, are eigenvalues too, of pixels between
# 0 and 1, and are used as lengths. How far does each of these move a pixel? An exact answer needs no draws: the three
# amounts are independent, so the mean square of the change of red, green and blue is `0.1^2 (l1^2 + l2^2 + l3^2) / 3`.
# %%
drawn, _ = synthetic(train=320, val=16, size=32, seed=9)
published = np.array([121.780, 37.094, 19.721])
sets = {
    "this photograph": stdevs,
    "tinynet's drawn pictures": augment.pca(drawn)[0],
    "ImageNet, as published": published,
    ".2175 .0188 .0045 (x 255)": np.array([0.2175, 0.0188, 0.0045]) * 255,
    "ImageNet, eigenvalues": published**2,
}
typical = {name: np.sqrt(0.1**2 * (lengths**2).sum() / 3) for name, lengths in sets.items()}
for name, lengths in sets.items():
    print(
        f"{name:25} lengths {'  '.join(f'{length:7.1f}' for length in lengths)}   typical shift {typical[name]:5.1f} levels"
    )


def survivors(lengths):
    """The share of the photograph's values that are still between 0 and 255 after a draw, on average over 100."""
    many = augment.colour_shift(np.random.default_rng(9), 100, lengths, directions)
    moved = picture[:, ::8, ::8].astype(np.float32) + many[:, :, None, None]
    return ((moved >= 0) & (moved <= 255)).mean()


alive, dead = survivors(stdevs), survivors(stdevs**2)
print(f"still between 0 and 255: {100 * alive:.0f} % with standard deviations, {100 * dead:.0f} % with eigenvalues")
# %%
shifts = augment.colour_shift(rng, 8, stdevs, directions, sigma=0.3)
figure = plt.figure(figsize=(7.8, 2.9))
grid = figure.add_gridspec(2, 5, width_ratios=[1, 1, 1, 1, 3.4], left=0.01, right=0.96, bottom=0.02, top=0.9, wspace=0.08)
for index, shift in enumerate(shifts):
    panel = figure.add_subplot(grid[index // 4, index % 4])
    changed = np.clip(picture.astype(np.float32) + shift[:, None, None], 0, 255).astype(np.uint8)
    panel.imshow(half(changed))
    panel.set_title(f"{shift[0]:+.0f} {shift[1]:+.0f} {shift[2]:+.0f}", fontsize=8)
    panel.set_axis_off()
cloud = figure.add_subplot(grid[:, 4], projection="3d", computed_zorder=False)
some = rng.choice(pixels.shape[1], 700, replace=False)
cloud.scatter(*pixels[:, some], c=pixels[:, some].T / 255, s=5, depthshade=False, linewidths=0, zorder=1)
middle = pixels.mean(axis=1)
for number, (length, direction, colour) in enumerate(
    zip(stdevs, directions, ("#22262b", "#b3261e", "#4a6a94"), strict=True), 1
):
    ends = middle[:, None] + length * direction[:, None] * np.array([-1, 1])
    cloud.plot(*ends, color=colour, linewidth=2.5, zorder=10)
    cloud.text(*(ends[:, 1] + 14 * direction), f"{number}", color=colour, fontweight="bold", zorder=11, ha="center")
cloud.set(xlim=(0, 255), ylim=(0, 255), zlim=(0, 255), xlabel="red", ylabel="green", zlabel="blue")
cloud.set(xticks=[0, 128, 255], yticks=[0, 128, 255], zticks=[0, 128, 255])
cloud.set_box_aspect(None, zoom=0.8)
cloud.set_title("the pixels of the photograph", y=1.0)
plt.show()
# %% [markdown]
# **Figure.** Left: the photograph under eight draws, with the change of red, green and blue above each. They are three
# times as strong as the paper's (0.3 for 0.1), so that you can see them; all pixels of a picture move together. Right:
# 700 of its pixels in the space of colours, each in its own colour, with the three axes of the cloud, one standard
# deviation to each side: 1 runs from dark to bright, 2 between red and blue, 3 is short.
#
# The paper says that this scheme lowers the top-1 error by over 1 %. Two details it does not say: the authors' program
# divides the changed pixels by 1.1, so that their scale stays near that of the unchanged pictures of the test, and
# their log has the colours switched off for the last twenty-four passes or so.
# %%
amounts = augment.colour_shift(np.random.default_rng(9), 200_000, stdevs, directions, sigma=0.1)
covariance = np.cov(amounts.T)
expected = 0.1**2 * (directions.T * stdevs**2) @ directions
off = np.abs(covariance - expected).max() / np.abs(expected).max()
claim("a window of 224 in 256 pixels has 2178 places, and each was drawn", different == positions**2 * 2 == 2178)
claim("windows in opposite corners share 73 % of what they show", 0.73 < (192 / 224) ** 2 < 0.74)
claim("the tenth window is the mirror image of the fifth", np.array_equal(ten[9], ten[4][:, :, ::-1]))
claim("the library's axes are as long as NumPy's covariance says", np.allclose(by_hand, stdevs, rtol=1e-3))
claim("an eigenvalue would shift pixels by hundreds of grey levels", typical["ImageNet, eigenvalues"] > 800)
claim("and leave few of this photograph's values between 0 and 255", dead < 0.3 < 0.8 < alive)
claim(
    "the travelling constants shift by less than half",
    typical[".2175 .0188 .0045 (x 255)"] < typical["ImageNet, as published"] / 2,
)
claim(
    "axis 1 is all of one sign, axis 2 sets red against blue",
    (directions[0] > 0).all() and directions[1, 0] * directions[1, 2] < 0,
)
claim("the shifts have the covariance 0.01 P diag(l^2) P^T, to 2 %", off < 0.02)
# %% [markdown]
# ## What you can now do
#
# - count windows (33, not 32), and choose the ten of the test;
# - find the axes of a cloud of colours, and say why "eigenvalue" cannot be right;
# - change the light of a picture.
#
# ## Exercises
#
# Colours and windows, from scratch. The last one is a bug to be found, in a handful of lines that look right; it has
# kept a real AlexNet from learning anything.
# %% [exercise] e27
# %% [exercise] e28
# %% [exercise] e29
