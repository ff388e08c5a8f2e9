# question: What does splitting a network cost, and what does it buy?
# reading: 30
# %% [markdown]
# # Two devices
#
# In 2012 the network did not fit. Section 3.2 says that networks of this size are "too big to fit on one GPU" of 3 GB:
# weights, gradients and velocities take 0.73 GB, the outputs that backward needs of 128 pictures 1.06 GB, and gradients
# of outputs and working memory come on top. So its authors put half of the kernels of every layer but the last on one
# GPU, half on another, and let them exchange maps in only a few places. It was done **for memory, not for speed**:
# section 3.2 says that the network on two GPUs took only "slightly less time to train" than a network on one GPU with
# half as many kernels (whose last convolution and fully connected layers were not halved, footnote 2).
#
# This chapter runs the split without a GPU. `sim:0` and `sim:1` are simulated devices: each has a memory and a queue of
# work of its own, and a clock that notices when anything is done in the wrong order.
# %%
import contextlib
import inspect

import matplotlib.pyplot as plt
import numpy as np

import tinynet as tn
from alexnet import AlexNet, find_recipe, step
from tinynet import draw
from tinynet.devices.streams import Streamed
from tinynet.errors import StreamOrderError
from tinynet.instruments.timeline import Timeline
from tinynet.nn import Towers
from tinynet.notebooks import begin, claim

rng = begin(12)
# %% [markdown]
# ## The same numbers, wherever it runs
#
# A device is a place, and a tensor lives in one. Two tensors meet only on the same device; going to another is an
# operation on the tape, `tn.transfer`, whose backward is the transfer back.
#
# **Predict** before running: three steps of training on `cpu:0`, on two logical CPUs, and on two simulated devices. How
# many digits of the losses agree?
# %%
images = rng.standard_normal((8, 3, 64, 64)).astype(np.float32)
labels = rng.integers(0, 10, 8)


def losses(devices):
    """The losses of three steps of a small AlexNet."""
    model = AlexNet(10, 0.125, devices=devices, image_size=64, recipe="modern", seed=12)
    optimizer = find_recipe("modern").optimizer(model)
    place = model.towers[0].device
    found = []
    for _ in range(3):
        with place:
            x = tn.tensor(images, device=place)
            found.append(step(model, optimizer, x, labels)[0].item())
    return found


by_device = {devices: losses(devices) for devices in ("cpu:0", "cpu:0,cpu:1", "sim:0,sim:1")}
for devices, values in by_device.items():
    print(f"{devices:12}", [value.hex() for value in values])
# %% [markdown]
# All of them, to the last bit (`hex` shows a number exactly). Splitting changes where things are computed and nothing
# of what is computed.
#
# ## What crosses
#
# All the traffic of maps is in two methods: `exchange` in front of conv3, fc6 and fc7, and `gather` in front of fc8.
# %%
print(inspect.getsource(Towers.exchange))
print(inspect.getsource(Towers.gather))
# %% [markdown]
# How much is it? For the whole network of 2012, with a batch of 128, in one direction: half of conv2's pooled maps,
# `128 * 128 * 13 * 13` numbers of 4 bytes, in front of conv3; half of 9216 numbers a picture in front of fc6; 2048 in
# front of fc7, and of fc8 (there only from tower 1 to tower 0, where fc8 lives). Backward sends the gradients of
# exactly these back.
#
# We need not trust that: a simulated step of one picture, in which every copy is noted.
# %%
model = AlexNet(1000, devices="sim:0,sim:1")
optimizer = find_recipe("paper").optimizer(model)
picture = rng.standard_normal((1, 3, 224, 224)).astype(np.float32)


def recorded_step(model, optimizer, images, labels):
    """A step, with everything that both devices did."""
    devices = [tower.device for tower in model.towers]
    with devices[0]:
        x = tn.tensor(images, device=devices[0])
        with Timeline(devices) as timeline:
            step(model, optimizer, x, labels)
    return timeline


timeline = recorded_step(model, optimizer, picture, np.array([3]))
crossed = [span for span in timeline.spans if span.op == "transfer"]
batch = 128
counted = {}
for span in crossed:
    key = (span.shape, span.row)
    counted[key] = counted.get(key, 0) + 4 * int(np.prod(span.shape)) * batch
where = {(1, 3, 227, 227): "the images", (1, 128, 13, 13): "conv3", (1, 4608): "fc6", (1, 2048): "fc7, fc8"}
for (shape, row), size in counted.items():
    print(f"{where.get(shape, shape)!s:12} to sim:{row}: {size / 1e6:6.2f} MB at batch {batch}")
# %% [markdown]
# (Forward and backward together: maps go over, gradients come back, so `conv3` shows twice 11.08 MB in each direction.
# The pictures themselves go to the second device at the beginning of the step: 79 MB, by a method called `both`. In
# 2012 they came from the host's memory.)
#
# ## A picture of a step
#
# Each device works through its own queue. Where a device needs what the other one made, it waits.
# %%
small = AlexNet(10, 0.25, devices="sim:0,sim:1", image_size=64, recipe="modern")
rule = find_recipe("modern").optimizer(small)
for _ in range(2):  # the first step is slower than the others
    shown = recorded_step(small, rule, rng.standard_normal((32, 3, 64, 64)).astype(np.float32), rng.integers(0, 10, 32))
draw.timeline(shown, "one step, quarter width")
# %% [markdown]
# **Figure.** One training step on two simulated devices, as if each were as fast as this CPU and had its own stream:
# forward in blue, backward in orange, update in grey, copies in red. The towers run side by side, and meet where the
# paper's figure 2 crosses: past the middle of forward (conv3), at its end (fc6, fc7, fc8), and in backward at the same
# places in reverse.
#
# The same on a real GPU, recorded with `python alexnet.py --device cuda:0,cuda:0 --timeline step.png`, on **one**
# NVIDIA H200 with two streams (two GPUs were not to be had):
#
# ![One training step on two streams of one H200: forward, backward and update of both towers side by side, with long
# red copies](../docs/timeline-h200.png)
#
# **Figure.** One step on two streams of one H200. The long red blocks are not the paper's crossings: they are dropout
# masks, which were still drawn by the host and sent over, 2.5 to 3 ms each, when this was recorded. That is what a
# timeline is for.
#
# ## The order of events
#
# A GPU does not do what Python says when Python says it. Work is put into a queue, and Python goes on. Two queues know
# nothing of each other; so who reads what another wrote has to **wait** for an event that was recorded after the
# writing. All of this stands in one place:
# %%
print(inspect.getsource(Streamed.fetch))


# %% [markdown]
# What if somebody forgets the wait? On real hardware: mostly nothing. The copy is late once in a while, a map has last
# step's numbers in it, and the training is a little worse. Nobody will find it. A simulated device notices *every*
# time, because its clock says that nothing ordered the reading after the writing.
#
# **Take the wait out**, and see:
# %%
@contextlib.contextmanager
def without_waiting(kind):
    """Inside, devices of this kind do not wait for events. Put back on leaving."""
    kept = kind.wait
    kind.wait = lambda self, event: None
    try:
        yield
    finally:
        kind.wait = kept


def one_step():
    model = AlexNet(10, 0.125, devices="sim:0,sim:1", image_size=64)
    return recorded_step(model, find_recipe("paper").optimizer(model), images, labels)


sim = type(model.towers[0].device)
caught = None
with without_waiting(sim):
    try:
        one_step()
    except StreamOrderError as error:
        caught = error
print(type(caught).__name__ + ":", caught)
fine = one_step()
print("with the wait put back, a step has", len(fine.spans), "pieces of work and raises nothing")
# %% [markdown]
# tinynet's tests take out each wait, each line that keeps memory alive, and each change of device, one at a time, and
# expect the simulation to object. The same file gives CUDA its order.
#
# ## The way back
#
# Why is the backward of a copy the copy back? A copy is a linear map, `y = A x`: it moves numbers and changes none. The
# gradient of a linear map is its **adjoint** A', the map for which
#
#     <A x, y>  =  <x, A' y>      for all x and y
#
# (`<a, b>` is the sum of all products of entries). The exchange in front of conv3 gives *both* towers *all* maps: it
# moves and copies. So its adjoint moves back and adds up, and we can check that without knowing how it is written.
# %%
sizes = [(2, 3, 4, 4), (2, 5, 4, 4)]
towers = Towers()
towers.towers = small.towers  # only their devices matter here


def tensors(arrays):
    return [tn.tensor(a, True, device=t.device, dtype=np.float64) for a, t in zip(arrays, small.towers, strict=True)]


x = [rng.standard_normal(size) for size in sizes]
inputs = tensors(x)
outputs = towers.exchange(inputs)
y = [rng.standard_normal(output.shape) for output in outputs]
left = sum((output.numpy() * array).sum() for output, array in zip(outputs, y, strict=True))
with small.towers[0].device:
    total = None
    for output, array in zip(outputs, y, strict=True):
        with output.device:
            part = (output * tn.tensor(array, device=output.device)).sum()
        part = tn.transfer(part, small.towers[0].device)
        total = part if total is None else total + part
total.backward()
back = [tensor.device.numpy(tensor.grad) for tensor in inputs]
right = sum((array * gradient).sum() for array, gradient in zip(x, back, strict=True))
print(f"<A x, y> = {left:.12f}")
print(f"<x, A'y> = {right:.12f}")
# %%
figure, axes = plt.subplots(figsize=(7.2, 2.9))
crossings = {
    "conv3": 128 * 128 * 13 * 13 * 4,
    "fc6": 128 * 128 * 6 * 6 * 4,
    "fc7": 128 * 2048 * 4,
    "fc8": 128 * 2048 * 4,
}
there = [crossings[name] / 1e6 for name in crossings]
other = [0 if name == "fc8" else crossings[name] / 1e6 for name in crossings]
places = np.arange(len(crossings))
axes.barh(places - 0.18, there, 0.34, color="#4a6a94", label="tower 1 to tower 0")
axes.barh(places + 0.18, other, 0.34, color="#f5993d", hatch="//", edgecolor="white", label="tower 0 to tower 1")
for place, size in zip(places, there, strict=True):
    axes.text(size + 0.1, place - 0.18, f"{size:.2f}", va="center", fontsize=7)
axes.set_yticks(places, crossings)
axes.invert_yaxis()
axes.set_xlabel("MB that cross in forward, batch 128 (backward sends as much the other way)")
axes.legend(frameon=False)
axes.set_title("what the split costs")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Bytes that cross in a forward pass of the network of 2012. conv3 dominates. The authors' log says what
# this crossing buys: without any between the convolutions the top-1 error is 1.16 points higher (run 150, which differs
# in more: 160 maps in conv2, and fully connected layers of its own).
# %%
measured = {shape: sum(size for (s, _), size in counted.items() if s == shape) for shape, _ in counted}
losses_agree = by_device["cpu:0"] == by_device["cpu:0,cpu:1"] == by_device["sim:0,sim:1"]
claim("losses agree to the last bit on one CPU, two, and two simulated devices", losses_agree)
claim("conv3's crossing is 11.08 MB in each direction", round(measured[(1, 128, 13, 13)] / 4e6, 2) == 11.08)
claim(
    "and the timeline counted four times that, forward and backward, both ways",
    measured[(1, 128, 13, 13)] == 4 * crossings["conv3"],
)
claim("fc6: 2.36 MB in each direction, four times", measured[(1, 4608)] == 4 * crossings["fc6"])
claim("fc7 four times 1.05 MB, fc8 twice", measured[(1, 2048)] == 6 * crossings["fc7"])
claim("a missing wait is caught", caught is not None)
claim("exchange and its backward are adjoint, to eleven digits", abs(left - right) < 1e-11 * max(1, abs(left)))
# %% [markdown]
# ## What you can now do
#
# - split a network, and say what crosses where, in bytes;
# - read a timeline, and see what a device waits for;
# - say what a missing wait does, and why a test on real hardware seldom finds it;
# - check any backward of a linear map by its adjoint.
#
# ## Exercises
# %% [exercise] e35
# %% [exercise] e36
# %% [exercise] e37
