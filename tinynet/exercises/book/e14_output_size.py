"""How many windows fit.

A kernel walks along the image in steps of `stride` pixels, and every place where it stops gives one pixel of the output.
Before that, `padding` zeros are put on both ends. Only windows that are full count, zeros included; pixels that are left
over at the end are never looked at. Along one axis:

    size 8, kernel 3, stride 2, padding 0        0 1 2 3 4 5 6 7
                                                 |---|
                                                     |---|
                                                         |---|        3 windows, pixel 7 is left over

The second function solves the oldest riddle about AlexNet. The paper has images of 224 pixels and windows of 11 that are 4
apart (section 3.5), has no word about padding, and its figure 2 shows maps of 55 pixels. Your map_size does not say 55. The
code of 2012 does, because it lets one more window hang over the right edge (and one over the lower), where it reads zeros
until the window is full. How many columns of zeros are that?
"""

from tinynet.exercises.checks import expect_all
from tinynet.exercises.exercise import Exercise
from tinynet.kernels.cpu import convolution
from tinynet.ops import windows

exercise = Exercise(chapter=5, minutes=15, difficulty=2, compare="tinynet/kernels/windows.py")


@exercise.solution
def map_size(size, kernel, stride, padding):
    """How many windows of `kernel` pixels, `stride` apart, fit into `size` pixels with `padding` zeros on both ends.

    All are integers. Returns an integer, 0 if not even one window fits.
    """
    return max(0, (size + 2 * padding - kernel) // stride + 1)


@exercise.solution
def missing_zeros(size, kernel, stride):
    """How many zeros after the last pixel are enough for windows that see every pixel and are all full.

    All are integers, with stride <= kernel <= size. Returns the smallest such number, 0 if no zeros are needed.
    """
    return -(size - kernel) % stride


@exercise.check("map_size: windows counted on paper")
def _(map_size, rng):
    expect_all(
        map_size,
        [
            ((8, 3, 2, 0), 3),
            ((9, 3, 2, 0), 4),
            ((5, 5, 1, 0), 1),
            ((5, 3, 1, 1), 5),
            ((5, 2, 3, 1), 2),
            ((6, 1, 4, 0), 2),
        ],
    )


@exercise.check("map_size: the layers of AlexNet, with and without a way out of the riddle")
def _(map_size, rng):
    expect_all(
        map_size,
        [((224, 11, 4, 0), 54), ((227, 11, 4, 0), 55), ((224, 11, 4, 2), 55), ((55, 3, 2, 0), 27), ((27, 5, 1, 2), 27)],
    )


@exercise.check("map_size: 40 sizes drawn at random, against counting")
def _(map_size, rng):
    rows = []
    for _ in range(40):
        kernel, stride, padding = (int(n) for n in (rng.integers(1, 6), rng.integers(1, 5), rng.integers(0, 3)))
        size = int(rng.integers(kernel, 20))
        starts = [s for s in range(0, size + 2 * padding, stride) if s + kernel <= size + 2 * padding]
        rows.append(((size, kernel, stride, padding), len(starts)))
    expect_all(map_size, rows)


@exercise.check("map_size: images smaller than the kernel")
def _(map_size, rng):
    expect_all(map_size, [((3, 5, 4, 0), 0), ((2, 11, 4, 0), 0), ((2, 11, 4, 4), 0), ((3, 11, 4, 4), 1)])


@exercise.check("missing_zeros: the riddle, and windows that fit without any")
def _(missing_zeros, rng):
    expect_all(missing_zeros, [((224, 11, 4), 3), ((227, 11, 4), 0), ((8, 3, 2), 1), ((9, 3, 2), 0), ((7, 5, 5), 3)])


@exercise.check("missing_zeros: 40 sizes drawn at random, against trying")
def _(missing_zeros, rng):
    rows = []
    for _ in range(40):
        kernel = int(rng.integers(1, 8))
        size, stride = int(rng.integers(kernel, 30)), int(rng.integers(1, kernel + 1))
        zeros = next(m for m in range(kernel) if size + m in range(kernel, size + kernel, stride))
        rows.append(((size, kernel, stride), zeros))
    expect_all(missing_zeros, rows)


exercise.mistake(
    "the first window is not counted: it needs no step, so there is one more window than steps",
    " // stride + 1",
    " // stride",
)
exercise.mistake("the padding is forgotten", "size + 2 * padding", "size")
exercise.mistake("the padding is counted once; it is on both ends", "2 * padding", "padding")
exercise.mistake(
    "the 1 is added before the division: first count the whole steps, then add the first window",
    "- kernel) // stride + 1",
    "- kernel + 1) // stride",
)
exercise.mistake(
    "int(...) of a negative number rounds up, towards 0, and invents a window where none fits; // rounds down",
    "(size + 2 * padding - kernel) // stride + 1",
    "int((size + 2 * padding - kernel) / stride) + 1",
)
exercise.mistake(
    "there is no half window: / gives what is left over as a part of a step, // drops it",
    "(size + 2 * padding - kernel) // stride + 1",
    "(size + 2 * padding - kernel) / stride + 1",
)
exercise.mistake(
    "this rounds up: a window that hangs over the edge is none, so what is left over is dropped",
    "(size + 2 * padding - kernel) // stride + 1",
    "-(-(size + 2 * padding - kernel) // stride) + 1",
)
exercise.mistake(
    "this rounds to the nearest number; half a step is no step, so round down, with //",
    "(size + 2 * padding - kernel) // stride + 1",
    "int((size + 2 * padding - kernel) / stride + 0.5) + 1",
)
exercise.mistake(
    "the kernel is forgotten: the last window starts `kernel` pixels before the end",
    " - kernel) // stride + 1",
    ") // stride + 1",
)
exercise.mistake(
    "where not even one window fits, the answer is 0; the formula goes on to negative numbers",
    "max(0, (size + 2 * padding - kernel) // stride + 1)",
    "(size + 2 * padding - kernel) // stride + 1",
)
exercise.mistake(
    "padding may make room for a kernel that is larger than the image",
    "max(0, (size + 2 * padding - kernel) // stride + 1)",
    "(size + 2 * padding - kernel) // stride + 1 if size >= kernel else 0",
)
exercise.mistake(
    "range stops before its end, and a window that ends with the last pixel is full as well",
    "max(0, (size + 2 * padding - kernel) // stride + 1)",
    "len(range(0, size + 2 * padding - kernel, stride))",
)
exercise.mistake(
    "this is how many pixels are left over; what is missing is the rest of one more step",
    "-(size - kernel) % stride",
    "(size - kernel) % stride",
)
exercise.mistake(
    "if nothing is left over, nothing is missing; this asks for a whole step of zeros then",
    "-(size - kernel) % stride",
    "stride - (size - kernel) % stride",
)
exercise.mistake(
    "the kernel is forgotten: the steps begin after the first window, so divide size - kernel",
    "-(size - kernel) % stride",
    "-size % stride",
)

exercise.hints(
    "The first window takes `kernel` pixels. Every further one takes one step more. How many whole steps are in the "
    "pixels that remain?",
    "a // b is the number of whole steps, a % b what is left over. Try both functions on paper with size 8, kernel 3, "
    "stride 2.",
    "map_size: (size + 2 * padding - kernel) // stride + 1, or 0 if that is negative. missing_zeros: if r pixels are "
    "left over, stride - r zeros complete the step, unless r is 0.",
    "In Python -a % b is exactly what a lacks to the next multiple of b: for 224 pixels -(224 - 11) % 4.",
)


def by_the_library(size, kernel, stride, padding, ceil_mode=False):
    try:
        return windows.map_size("conv2d", (1, 1, size, 1), (kernel, 1), (stride, 1), (padding, 0), (1, 1), ceil_mode)[0]
    except ValueError:  # no window fits
        return 0


exercise.library(
    map_size=by_the_library,
    missing_zeros=lambda size, kernel, stride: (by_the_library(size, kernel, stride, 0, True) - 1) * stride + kernel - size,
)


@exercise.takes_the_place
def _(map_size, missing_zeros):
    # In AlexNet, dilation is 1 everywhere.
    def counts(size, kernel, stride, padding, dilation):
        return tuple(map(map_size, size, kernel, stride, padding))

    return [(convolution, "window_counts", counts)]
