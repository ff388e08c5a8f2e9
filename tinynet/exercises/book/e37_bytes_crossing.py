"""The bytes that cross between the towers.

Every number that travels from one GPU to the other takes time. The authors chose which layers talk so that talking takes
little time beside computing (section 3.2). Count the bytes of one training step, in both directions together.

A layer tells who reads it: "own", only the same tower; "both", each tower also reads the other's half; "first", all of it is
read on the first GPU only, where fc8 lies. What has travelled forward comes back as a gradient of the same size. (Pictures
come from the computer's main memory, not from the other GPU, so they do not count; neither do labels.)

One could also cut the batch instead of the network: each GPU has the whole network and half of the pictures, and in each
step sends the gradients of ALL its parameters to the other. That costs the same for every batch. From which batch on is it
less?
"""

from itertools import count

import numpy as np

from tinynet.devices.cpu import CPU
from tinynet.exercises.checks import expect
from tinynet.exercises.exercise import Exercise
from tinynet.ops.arithmetic import add
from tinynet.ops.transfer import transfer
from tinynet.tensor import tensor

exercise = Exercise(chapter=12, minutes=15, difficulty=2, after=["e36_exchange_backward"], compare="tinynet/ops/transfer.py")


@exercise.given
def numbers_of_alexnet():
    """What each tower has behind the layers of AlexNet: name, numbers a tower and picture, who reads them."""
    return [
        ("pool1", 48 * 27 * 27, "own"),
        ("pool2", 128 * 13 * 13, "both"),
        ("conv3", 192 * 13 * 13, "own"),
        ("conv4", 192 * 13 * 13, "own"),
        ("pool5", 128 * 6 * 6, "both"),
        ("fc6", 2048, "both"),
        ("fc7", 2048, "first"),
    ]


@exercise.solution
def bytes_per_step(layers, batch, size=4):
    """The bytes that cross in one step, forward and backward, in both directions together.

    layers: a list such as numbers_of_alexnet() returns. batch: pictures in a step. size: bytes of a number, 4 for float32.
    """
    ways = {"own": 0, "both": 2, "first": 1}
    forward = sum(numbers * ways[reader] for _, numbers, reader in layers)
    return 2 * forward * batch * size


@exercise.solution
def cut_the_batch_from(layers, parameters):
    """The smallest batch for which fewer bytes cross if the batch is cut instead of the network.

    parameters: of the whole network. All numbers are of one size.
    """
    return 2 * parameters // bytes_per_step(layers, 1, 1) + 1


TRAVELS = {"own": 0, "both": 4, "first": 2}  # how often a tower's numbers do, forward and backward


def drawn(rng):
    readers = rng.permutation(["own", "both", "first", "both", "own"]).tolist()
    return [(f"layer{i}", int(rng.integers(2, 50)), reader) for i, reader in enumerate(readers)]


@exercise.check("one layer by hand")
def _(bytes_per_step, rng):
    for reader, right in (("own", 0), ("both", 960), ("first", 480)):
        what = f"bytes for a layer of 10 numbers a tower, read by {reader!r}, 3 pictures, 8 bytes a number"
        expect(bytes_per_step([("layer", 10, reader)], 3, 8), right, what, rtol=0)


@exercise.check("other networks, and numbers of 4 and 8 bytes")
def _(bytes_per_step, rng):
    for size in (4, 8):
        layers, batch = drawn(rng), int(rng.integers(3, 20))
        right = sum(numbers * size * TRAVELS[reader] for _, numbers, reader in layers for _ in range(batch))
        what = f"bytes for {layers}, {batch} pictures, {size} bytes a number"
        expect(bytes_per_step(layers, batch, size), right, what, rtol=0)


@exercise.check("AlexNet")
def _(bytes_per_step, rng):
    expect(bytes_per_step(numbers_of_alexnet(), 128), 60_030_976, "bytes for AlexNet, 128 pictures", rtol=0)


@exercise.check("when to cut the batch")
def _(cut_the_batch_from, rng):
    what = "the batch for 100 parameters and one layer of 10 numbers that both read"
    expect(cut_the_batch_from([("layer", 10, "both")], 100), 6, what, rtol=0)
    layers, parameters = drawn(rng), int(rng.integers(1000, 5000))
    picture = sum(numbers * TRAVELS[reader] for _, numbers, reader in layers)
    right = next(batch for batch in count(1) if batch * picture > 2 * parameters)
    expect(cut_the_batch_from(layers, parameters), right, f"the batch for {parameters} parameters and {layers}", rtol=0)
    expect(
        cut_the_batch_from(numbers_of_alexnet(), 60_965_224),
        1040,
        "the batch for AlexNet and its 60 965 224 parameters",
        rtol=0,
    )


exercise.mistake(
    "only the way forward is counted; the gradients travel back, and are as large", "return 2 * forward", "return forward"
)
exercise.mistake(
    "only one direction is counted where both read: each tower sends its half to the other", '"both": 2', '"both": 1'
)
exercise.mistake(
    "what the first GPU reads is counted in both directions; its own half is there already, only the second's travels",
    '"first": 1',
    '"first": 2',
)
exercise.mistake(
    "what only the own tower reads does not travel at all; that is why conv2, conv4 and conv5 are so built",
    '"own": 0',
    '"own": 1',
)
exercise.mistake("these are numbers; a number has `size` bytes", "* batch * size", "* batch")
exercise.mistake("this is for one picture; every picture of the batch has its own maps", "* batch * size", "* size")
exercise.mistake(
    "each GPU sends its gradients to the other: that is twice the number of parameters",
    "2 * parameters //",
    "parameters //",
)
exercise.mistake(
    "for this batch the bytes are not fewer yet; the quotient is rounded down, so one more is needed",
    "bytes_per_step(layers, 1, 1) + 1",
    "bytes_per_step(layers, 1, 1)",
)

exercise.hints(
    "For one layer and one picture: how many halves travel forward if its reader is 'own', 'both', 'first'?",
    "0, 2 and 1 halves; twice that with the way back; times numbers, batch and size. For the second function: cutting the "
    "batch costs 2 * parameters numbers a step, cutting the network costs bytes_per_step(layers, 1, 1) for each picture.",
    "The smallest whole batch with batch * a > b is b // a + 1.",
)


class Counting(CPU):
    """A device that counts what it is sent."""

    __slots__ = ("arrived",)

    def fetch(self, array, source):
        self.arrived = getattr(self, "arrived", 0) + array.nbytes
        return super().fetch(array, source)


def by_the_library(layers, batch, size=4):
    """Send arrays of these sizes, forward and backward, and count."""
    first, second = Counting(0), Counting(1)
    readers = {"own": (), "both": (first, second), "first": (first,)}
    for _, numbers, reader in layers:
        halves = [tensor(np.ones((1, numbers), f"f{size}"), requires_grad=True, device=d) for d in (first, second)]
        for device in readers[reader]:
            whole = add(*(transfer(half, device) for half in halves))
            whole.backward(np.ones((1, numbers), whole.dtype))
    return batch * (getattr(first, "arrived", 0) + getattr(second, "arrived", 0))


def batch_by_the_library(layers, parameters):
    network, batch = by_the_library(layers, 1), by_the_library([("gradients", 1, "both")], parameters) // 2
    return batch // network + 1


exercise.library(bytes_per_step=by_the_library, cut_the_batch_from=batch_by_the_library)
