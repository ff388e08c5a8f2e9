# question: Can it be trained, end to end, on two devices?
# reading: 25
# figure: 2
# %% [markdown]
# # Training it
#
# Everything is built. This chapter trains a small AlexNet with two towers on two devices, watches it, stops it in the
# middle and goes on as if nothing had happened. First it shows why a network of 2012, started to the letter of the
# paper, may stand still for thousands of steps.
# %%
import inspect
import json
import tempfile
from pathlib import Path

import numpy as np

import tinynet as tn
from alexnet import RECIPES, AlexNet, step
from tinynet import data, draw
from tinynet.notebooks import begin, claim
from tinynet.training import checkpoint
from tinynet.training.evaluation import probabilities
from tinynet.training.loop import Listener
from tinynet.training.run import Run

rng = begin(13)
# %% [markdown]
# ## A step
#
# This is what happens for every batch. Everything else is about which pictures, and when to stop.
# %%
print(inspect.getsource(step))
# %% [markdown]
# ## A start that stands still
#
# Section 5 of the paper: all weights from a normal distribution with standard deviation 0.01, and biases of 1 in five
# of the layers, so that their ReLUs begin with positive input. Now ask the network, before any training, about ten
# pictures. Its 1000 logits should differ from picture to picture; what does not differ cannot be learnt from.
#
# Three recipes: `paper`, the text to the letter; `source`, what the authors' program did (published in 2025: 0.03, not
# 0.01, in conv3, conv4 and conv5); `modern`, standard deviations by He and scaled pixels. **Guess** the ratio of the
# first to the second.
# %%
pictures, _ = data.synthetic(train=10, val=1, size=224, seed=13)
ten = np.stack([pictures.image(i) for i in range(10)]).astype(np.float32)
ten -= ten.mean(axis=0)
differ = {}
for name, recipe in RECIPES.items():
    model = AlexNet(1000, recipe=name)
    model.eval()
    with tn.no_grad():
        logits = model(tn.tensor(ten * np.float32(recipe.input_scale))).numpy()
    differ[name] = logits.std(axis=0).mean()
    print(f"{name:7} logits differ between pictures by {differ[name]:.4f}")
# %% [markdown]
# Fifteen times. Started by the letter, all pictures look the same to the last layer: the biases of 1 say more than the
# picture does. The gradient then sees a constant, the loss sits at log 1000 = 6.9, and it may take thousands of steps
# until it moves. Many people met that: the reference model of Caffe changed the 1 to 0.1, with the remark that 1 "gave
# flat loss". A factor of three in three layers is the difference between a text and the program that was run. (The same
# text says "equal learning rate for all layers". In the program biases had twice the rate, which was never lowered
# while that of the weights fell a thousandfold, and at the end conv1 had none.)
#
# ## A run
#
# A network of 1/8 of the width, 16 classes of drawn pictures, 2400 to learn from. The `Run` is the same that `python
# alexnet.py` uses; what is said while it runs is said by a *listener*.
# %%
train_set, val_set = data.synthetic(train=2400, val=400, size=73, seed=13)


class EveryFourth(Listener):
    """Prints a line after every fourth pass."""

    def on_epoch(self, loop, epoch):
        if epoch.number % 4 == 0:
            loss, top1, top5 = epoch.validation.means()
            print(f"pass {epoch.number:2}  lr {epoch.lr:g}  validation: loss {loss:.2f}, error {top1:.1%}, top-5 {top5:.1%}")


def new_run(out, width, epochs, images=train_set):
    """A run with the recipe `modern`, in a folder, its towers on two devices."""
    devices = tn.devices("cpu:0,cpu:1")
    model = AlexNet(16, width, devices, image_size=64, recipe="modern", seed=13)
    options = dict(seed=13, batch=64, epochs=epochs, patience=4, data=None, image_size=64, lr=None)
    return Run(Path(out), options, images, val_set, model, RECIPES["modern"], step, devices[0], workers=0)


folder = tempfile.TemporaryDirectory()
run = new_run(Path(folder.name) / "run", 0.125, epochs=24)
run.begin()
finished = run.fit([EveryFourth()])
print("in its folder:", ", ".join(sorted(path.name for path in run.out.iterdir())))
# %% [markdown]
# The rule for the learning rate is the paper's, where it was done by hand: divided by ten when the validation error
# stops improving (here: for more than four passes), three times at most. This run is too short for it.
# %%
records = [json.loads(line) for line in (run.out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
epochs = [record for record in records if record["kind"] == "epoch"]
draw.curves(records)
# %% [markdown]
# **Figure.** The run. Left, the loss of every step (thin), its running mean, and the loss on the validation set after
# each pass. Right, errors. The training set's are measured on the fly, with random crops, colour shifts and dropout, so
# they may lie *above* the validation's.
#
# A longer one, `python alexnet.py` with all its defaults (22 passes through 6000 pictures, a quarter of the width), was
# long enough:
#
# ![Loss and errors of the default run; the learning rate is divided by ten where the validation error
# stalled](../docs/curves.png)
#
# **Figure.** The default run. Where the learning rate drops, the noise in the loss falls with it, and the error takes a
# step down: large steps find the valley, small ones its bottom.
#
# ## What it answers
#
# Figure 4 of the paper: pictures with the five classes that the network believes in most. The right one is orange.
# %%
shown = rng.choice(len(val_set), 8, replace=False)
images = np.stack([val_set.image(i) for i in shown])
answers = probabilities(run.model, images, run.mean, run.recipe.input_scale, run.device)
draw.predictions(images[:4], val_set.labels[shown[:4]], answers[:4], val_set.classes)
# %% [markdown]
# **Figure.** Four validation pictures, each with its true class in bold and the five most probable answers as bars; the
# true class's bar is orange if it is among the five. Averaged over ten crops, as in section 4.1.
#
# Which classes does it take for which?
# %%
everything = np.stack([val_set.image(i) for i in range(len(val_set))])
inputs = data.subtract_mean(data.centre_crop(everything, 64), run.mean, 64, run.recipe.input_scale)
run.model.eval()
with tn.no_grad(), run.device:
    guesses = run.model(tn.tensor(inputs, device=run.device)).numpy().argmax(1)
confusion = np.zeros((16, 16), int)
np.add.at(confusion, (val_set.labels, guesses), 1)
draw.confusion(confusion, val_set.classes)
# %% [markdown]
# **Figure.** Confusion. A row is a class, a column an answer; on the diagonal it was right. Colour was learnt first:
# red and orange discs, and the blue disc and ellipse, are taken for each other, and other shapes are mostly right.
# Stripes have no colour of their own, and after so short a training more than half of them are answered with one and
# the same class.
#
# ## Stop, and go on
#
# A training of a week will be interrupted. A checkpoint is worth something if the run that goes on from it is *the same
# run*: not similar, the same. For that it has to hold more than the weights. **Write down** what else, before you look.
# %%
half = data.synthetic(train=256, val=400, size=73, seed=13)[0]


def weights(run):
    return checkpoint.load(run.out)[0]


whole = new_run(Path(folder.name) / "whole", 0.05, epochs=2, images=half)
whole.begin()
whole.fit()

first = new_run(Path(folder.name) / "stopped", 0.05, epochs=2, images=half)
first.begin()
first.fit(stop=lambda: first.loop.steps >= 3)  # in the middle of the first pass
print("stopped after step", first.loop.steps)
arrays, saved = checkpoint.load(first.out)
print("arrays saved:", ", ".join(sorted({name.split(".")[0] for name in arrays})))
print("and:", ", ".join(saved))

second = new_run(first.out, 0.05, epochs=2, images=half)  # as a new process would do it
second.resume(arrays, saved)
second.fit()
one, other = weights(whole), weights(second)
equal = [np.array_equal(one[name], other[name]) for name in one]
print(f"{sum(equal)} of {len(equal)} arrays have the same bits as in the run that was never stopped")
folder.cleanup()
# %% [markdown]
# Weights, velocities, the mean picture, the state of every generator of random numbers (dropout), the place in the
# pass, the schedule. On the command line: Ctrl-C, and `python alexnet.py --resume runs/...`.
# %%
first_loss = next(record["loss"] for record in records if record["kind"] == "step")
right = confusion.trace() / 400
claim(
    "the source's start tells pictures apart more than ten times better than the text's",
    differ["source"] > 10 * differ["paper"],
)
claim("the first loss is log 16 = 2.77, to a tenth", abs(first_loss - np.log(16)) < 0.1)
claim(
    "the run finished, and its loss fell by more than a third",
    finished and epochs[-1]["val_loss"] < epochs[0]["val_loss"] * 2 / 3,
)
claim("more than four of ten validation pictures are right, where chance is one of sixteen", right > 0.4)
stripes = [i for i, name in enumerate(val_set.classes) if "stripes" in name]
most = confusion[stripes].sum(axis=0).max() / confusion[stripes].sum()
claim("more than half of the striped pictures are answered with one class", most > 0.5)
claim("stopped and resumed, every array has the same bits", all(equal) and len(one) == len(other))
# %% [markdown]
# ## About the error of AlexNet
#
# One last number to put right: "AlexNet had 15.3 %" is the top-5 error of *seven* networks averaged, two of which had
# been trained on 15 million pictures before and had a sixth convolution. The paper's network alone, with ten crops:
# 18.2 % on the validation set (table 2). To train that one: `python alexnet.py --data IMAGENET --recipe source --width
# 1 --device cuda:0`. At the 23.3 ms a step that were measured on one H200, 91 passes are six hours of computing, if the
# pictures arrive in time.
#
# ## What you can now do
#
# - train a network, and read its curves;
# - recognise a start that stands still, before waiting for it;
# - say what a checkpoint has to hold, and test it by bits.
#
# ## Exercises
# %% [exercise] e38
# %% [exercise] e39
