# question: What does splitting a network cost, and what does it buy?
# reading: 30
# figure: 3
# %% [markdown]
# # Two devices
#
# In 2012 the network did not fit. Section 3.2 says that networks of this size are "too big to fit on one GPU" of 3 GB:
# weights, gradients and velocities take 0.73 GB, the outputs of all layers, kept for backward, 1.06 GB for 128 pictures,
# and gradients of outputs and working memory come on top. So its authors put half of the kernels of every layer but the
# last on one GPU, half on another, and let them exchange maps in only a few places. It was done **for memory, not for
# speed**: section 3.2 says that the network on two GPUs took only "slightly less time to train" than a network on one
# GPU with half as many kernels (whose last convolution and fully connected layers were not halved, footnote 2).
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
# ## What it buys
#
# Count the memory of a device. Each weight takes three numbers of 4 bytes: itself, its gradient and its velocity. And
# suppose that everything a layer puts out is kept until backward has used it.
# %%
whole = AlexNet(1000, devices="sim:0,sim:1")
batch = 128
stay = [12 * sum(row[2][tower] for row in whole.layers()) / 1e9 for tower in (0, 1)]
# conv1 and conv2 put out three things (the sums, ReLU, normalisation), fc6 and fc7 too (dropout); pooling puts out less
times = [3, 3, 2, 2, 2, 3, 3, 1]
outputs = sum(n * int(np.prod(row[1])) for n, row in zip(times, whole.layers(), strict=True))
pooled = 96 * 27 * 27 + 256 * 13 * 13 + 256 * 6 * 6
kept = 4 * batch * (3 * 224 * 224 + outputs + pooled) / 1e9
print(f"weights, gradients, velocities: {stay[0]:.3f} + {stay[1]:.3f} GB on the two devices, {sum(stay):.3f} GB together")
print(f"pictures, and outputs of all layers, at batch {batch}: {kept:.3f} GB together")
# %% [markdown]
# Each device holds about half of the weights and of the outputs. (Both hold all pictures, and what they are sent.) That
# is what the split buys. What does it cost?
#
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
# exactly these back. (In the table below, `conv3` is what crosses in front of conv3.)
#
# We need not trust that: a simulated step of one picture, in which every copy is noted.
# %%
optimizer = find_recipe("paper").optimizer(whole)
picture = rng.standard_normal((1, 3, 224, 224)).astype(np.float32)


def recorded_step(model, optimizer, images, labels):
    """A step, with everything that both devices did."""
    devices = [tower.device for tower in model.towers]
    with devices[0]:
        x = tn.tensor(images, device=devices[0])
        with Timeline(devices) as timeline:
            step(model, optimizer, x, labels)
    return timeline


recorded = recorded_step(whole, optimizer, picture, np.array([3]))
crossed = [span for span in recorded.spans if span.op == "transfer"]  # in the order in which Python asked for them
there = ["images", "conv3", "conv3", "fc6", "fc6", "fc7", "fc7", "fc8"]
back = there[:0:-1]  # backward is the same in reverse, but nobody asks for the gradient of the images
traffic = {}
for span, name, way in zip(crossed, there + back, ["forward"] * len(there) + ["backward"] * len(back), strict=True):
    sizes = traffic.setdefault((name, way), [0, 0])
    sizes[span.row] += 4 * int(np.prod(span.shape)) * batch
print(f"MB at batch {batch}      to sim:0  to sim:1")
for (name, way), sizes in traffic.items():
    print(f"{name:8}{way:10} {sizes[0] / 1e6:10.2f}{sizes[1] / 1e6:10.2f}")
crossing = sum(sum(sizes) for (name, _), sizes in traffic.items() if name != "images")
print(f"between the towers, a step: {crossing / 1e6:.2f} MB")
# %%
figure, axes = plt.subplots(figsize=(7.6, 3.6))
bars = [key for key in traffic if key[0] != "images"]
for place, key in enumerate(bars):
    total = sum(traffic[key]) / 1e6
    axes.text(total + 0.2, place, f"{total:.2f}", va="center", fontsize=8)
first, second = np.array([traffic[key] for key in bars]).T / 1e6
axes.barh(range(len(bars)), first, 0.7, color="#4a6a94", label="to device 0")
axes.barh(range(len(bars)), second, 0.7, left=first, color="#f5993d", hatch="//", edgecolor="white", label="to device 1")
axes.set_yticks(range(len(bars)), [f"{name}, {way}" for name, way in bars])
axes.invert_yaxis()
axes.set_xlim(0, 26)
axes.set_xlabel(f"MB a step, batch {batch}")
axes.legend(frameon=False, loc="center right")
axes.set_title(f"What crosses between the towers: {crossing / 1e6:.1f} MB a step")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Bytes that cross in one step of the network of 2012, in the order in which they do, from top to bottom.
# conv3 dominates: 11.08 MB in each direction, forward and again backward. At fc8 only one direction is used at a time:
# maps to device 0, their gradients back to device 1.
#
# The pictures are not in it. Here they also go from device 0 to device 1 at the beginning of a step (79 MB, by a method
# called `both`), but no tower made them; they can as well come from the memory of the host.
#
# Why do conv2, conv4 and conv5 not look at both towers too? Section 3.2 says what the choice of these layers is for: to
# "precisely tune the amount of communication until it is an acceptable fraction of the amount of computation". Count
# what their crossings would add:
# %%
more = {"conv2": 48 * 27 * 27, "conv4": 192 * 13 * 13, "conv5": 192 * 13 * 13}  # numbers a tower has in front of them
added = {name: 4 * 4 * numbers * batch for name, numbers in more.items()}  # 4 bytes; to and fro, forward and backward
for name, size in added.items():
    print(f"{name}: {size / 1e6:6.2f} MB more a step")
print(f"with all of them {(crossing + sum(added.values())) / 1e6:.1f} MB a step instead of {crossing / 1e6:.1f}")
# %% [markdown]
# The authors' log says what the one crossing between convolutions buys: without it the top-1 error is 1.16 points higher
# (run 150, which differs in more: 160 maps in conv2, and fully connected layers of its own).
#
# ## A picture of a step
#
# First on `cpu:0,cpu:1`. These are two places, but one Python program does the work of both, and does not go on before a
# piece of work is done. **Guess** what the picture looks like, and how much shorter the step could be if the devices did
# not wait for each other.
# %%
many = rng.standard_normal((32, 3, 64, 64)).astype(np.float32), rng.integers(0, 10, 32)


def quiet_step(devices):
    """The shortest of eight steps of a network of quarter width: the one that other programs disturbed least."""
    network = AlexNet(10, 0.25, devices=devices, image_size=64, recipe="modern")
    rule = find_recipe("modern").optimizer(network)
    return min((recorded_step(network, rule, *many) for _ in range(8)), key=Timeline.seconds)


one_by_one = quiet_step("cpu:0,cpu:1")
draw.timeline(one_by_one, "one step, quarter width")
# %% [markdown]
# **Figure.** One training step, one piece of work after the other. Whenever a device is busy, the other one is not.
#
# A GPU works through a queue of its own, while Python goes on and fills the queue of the other one. So do simulated
# devices. Where a device needs what the other one made, it waits, and only there.
# %%
overlapped = quiet_step("sim:0,sim:1")
took = [1e3 * recorded.seconds() for recorded in (one_by_one, overlapped)]
print(f"one after the other {took[0]:.1f} ms, overlapped {took[1]:.1f} ms")
draw.timeline(overlapped, "one step, quarter width")
# %% [markdown]
# **Figure.** The same step on two simulated devices, as if each were as fast as this CPU and had its own stream:
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
# **Figure.** One step on two streams of one H200; the lower row is "cuda:0 stream 2". The long red blocks are not the
# paper's crossings: they are dropout masks, which were still drawn by the host and sent over, 2.5 to 3 ms each, when
# this was recorded. That is what a timeline is for. Two warnings: two streams share one GPU, so one slows the other, and
# a copy between them stays in one memory; and the events of the recording itself slow a step down, here from 22 to 47
# ms. Believe its order, not its gaps.
#
# ## The order of events
#
# A GPU does not do what Python says when Python says it. Work is put into a queue, and Python goes on. Two queues know
# nothing of each other; so who reads what another wrote has to **wait** for an event that was recorded after the
# writing. All of this stands in one place:
# %%
print(inspect.getsource(Streamed.fetch))


# %% [markdown]
# What if somebody forgets the wait? On real hardware there may be nothing to see: the numbers are there in time, or
# they are not, and which of the two depends on what else the GPUs are doing. If they are not, what was in that memory
# before is read, and nobody is told. A simulated device notices *every* time, because its clock says that nothing
# ordered the reading after the writing, however long either takes.
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


sim = type(whole.towers[0].device)
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
towers.towers = whole.towers  # only their devices matter here
home = whole.towers[0].device


def tensors(arrays):
    return [tn.tensor(a, True, device=t.device, dtype=np.float64) for a, t in zip(arrays, whole.towers, strict=True)]


x = [rng.standard_normal(size) for size in sizes]
inputs = tensors(x)
outputs = towers.exchange(inputs)
y = [rng.standard_normal(output.shape) for output in outputs]
left = sum((output.numpy() * array).sum() for output, array in zip(outputs, y, strict=True))
with home:
    total = None
    for output, array in zip(outputs, y, strict=True):
        with output.device:
            part = (output * tn.tensor(array, device=output.device)).sum()
        part = tn.transfer(part, home)
        total = part if total is None else total + part
total.backward()
returned = [tensor.device.numpy(tensor.grad) for tensor in inputs]
right = sum((array * gradient).sum() for array, gradient in zip(x, returned, strict=True))
print(f"<A x, y> = {left:.12f}")
print(f"<x, A'y> = {right:.12f}")
# %%
expected = {"conv3": 128 * 13 * 13, "fc6": 128 * 6 * 6, "fc7": 2048}  # numbers a tower sends, a picture
losses_agree = by_device["cpu:0"] == by_device["cpu:0,cpu:1"] == by_device["sim:0,sim:1"]
claim("weights, gradients and velocities: 0.390 GB and 0.341 GB, 0.73 together",
      [f"{gb:.3f}" for gb in stay] == ["0.390", "0.341"] and round(sum(stay), 2) == 0.73)  # fmt: skip
claim("the outputs of 128 pictures take 1.06 GB", round(kept, 2) == 1.06)
claim("losses agree to the last bit on one CPU, two, and two simulated devices", losses_agree)
claim("what crosses at conv3, fc6 and fc7 is what one counts, in both directions, forward and backward",
      all(traffic[name, way] == [4 * batch * n] * 2 for name, n in expected.items() for way in ("forward", "backward")))  # fmt: skip
claim("conv3's crossing is 11.08 MB in each direction", round(traffic["conv3", "forward"][0] / 1e6, 2) == 11.08)
claim("fc8's is 1.05 MB, to device 0 forward and to device 1 backward",
      (traffic["fc8", "forward"], traffic["fc8", "backward"]) == ([1_048_576, 0], [0, 1_048_576]))  # fmt: skip
claim("60.0 MB cross in a step; 264.6 if conv2, conv4 and conv5 crossed too",
      (f"{crossing / 1e6:.1f}", f"{(crossing + sum(added.values())) / 1e6:.1f}") == ("60.0", "264.6"))  # fmt: skip
claim("the pictures are 79 MB", round(sum(traffic["images", "forward"]) / 1e6) == 79)
claim("on two CPUs no more than one device is busy at a time", one_by_one.busy(0) + one_by_one.busy(1) < 1.01)
claim("simulated devices are both busy in at least 30 % of the step", overlapped.busy(0) + overlapped.busy(1) > 1.3)
claim("a missing wait is caught", caught is not None)
claim("exchange and its backward are adjoint, to eleven digits", abs(left - right) < 1e-11 * max(1, abs(left)))
# %% [markdown]
# ## What you can now do
#
# - split a network, and say what it saves on each device, and what crosses where, in bytes;
# - read a timeline, and see what a device waits for;
# - say what a missing wait does, and why a test on real hardware seldom finds it;
# - check any backward of a linear map by its adjoint.
#
# ## Exercises
# %% [exercise] e35
# %% [exercise] e36
# %% [exercise] e37
