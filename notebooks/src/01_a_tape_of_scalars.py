# question: How can a program differentiate itself?
# reading: 30
# %% [markdown]
# # A tape of scalars
#
# To train a network means: compute a number that says how wrong it is, find out how that number changes with each of
# its weights, and change each weight a little so that the number falls. The number is called the **loss**. How it
# changes with a weight is called the weight's **gradient**: if the gradient of `w` is 12, and `w` grows by 0.001, the
# loss grows by about 0.012.
#
# A network is a formula with many adjustable numbers, its weights. AlexNet, the network that this course builds, has
# 60,965,224 of them (biases included). Nobody works out that many gradients by hand, and trying each weight in turn
# would need 60 million runs of the network. This chapter builds a program that gets all of them by running the network
# once forwards and once backwards. It is about thirty lines long, and everything else in this course stands on it.
# (`begin` below fixes the chapter's random numbers; `claim`, near the end, checks a sentence and says that it holds.)
# %%
import inspect
import textwrap

import matplotlib.pyplot as plt

import tinynet as tn
from tinynet import ops
from tinynet.notebooks import begin, claim
from tinynet.tape import entries, play

rng = begin(1)


# %% [markdown]
# ## A small example, by hand
#
# One weight `w`, one input `x`, one bias `b`, and a target `t` that the result should have had:
#
#     p = w x           2 * 3  =  6
#     s = p + b         6 + 1  =  7
#     e = s - t         7 - 5  =  2
#     loss = e e        2 * 2  =  4
#
# Now move `w` by a tiny amount and follow the change through the lines. If `w` grows by 0.001, then `p` grows by 0.003,
# because it is multiplied by `x`, which is 3. `s` and `e` grow by just as much. And `e e` grows by about 4 times as
# much: once through the left `e`, which is multiplied by 2, and once through the right one. So the loss grows by 0.012,
# and the gradient of `w` is 12.
#
# Every line had a **slope** of its own, known from school: a product passes a change on times the other factor, a sum
# passes it on as it is, and a difference passes it on to its second number with a minus. The slopes *multiply along the
# way* (this is the chain rule), and where a value is used in two places, the two contributions *add up*. There is
# nothing else.
#
# **Before you go on, write down** the gradients of `x`, `b` and `t`.
#
# ## Numbers that remember
#
# A program can do this if its numbers remember how they were made. A `Number` holds a value, the numbers it was
# computed from (its parents), and the slope towards each of them. In `__add__`, for example, `(self, other)` are the
# two parents, and `(1.0, 1.0)` says that the sum grows by as much as either of them. In `__mul__` the slope towards the
# left number is the right one, `other.value`, and the other way round:
# %%
class Number:
    """A value, what it was computed from, and the slope towards each of these."""

    made = 0

    def __init__(self, value, parents=(), slopes=(), name=""):
        self.value, self.parents, self.slopes, self.name = value, parents, slopes, name
        self.gradient = None  # not yet known, which is not the same as 0
        self.place = Number.made  # the first one made is 0, the next is 1, ...
        Number.made += 1

    def __add__(self, other):
        return Number(self.value + other.value, (self, other), (1.0, 1.0), "+")

    def __sub__(self, other):
        return Number(self.value - other.value, (self, other), (1.0, -1.0), "-")

    def __mul__(self, other):
        return Number(self.value * other.value, (self, other), (other.value, self.value), "*")


w, x, b, t = Number(2.0, name="w"), Number(3.0, name="x"), Number(1.0, name="b"), Number(5.0, name="t")
e = w * x + b - t
loss = e * e
print("loss", loss.value)


# %% [markdown]
# Python calls `__mul__` for every `*` and `__add__` for every `+`. So writing the formula was enough: behind our back
# each step has left a `Number` with its parents and slopes. All that the loss depends on, in the order in which it was
# made, is its **tape**:
# %%
def tape_of(loss):
    """The loss, all that it was computed from, all that these were computed from, and so on; oldest first."""
    found, to_look_at = {loss}, [loss]
    while to_look_at:
        for parent in to_look_at.pop().parents:
            if parent not in found:
                found.add(parent)
                to_look_at.append(parent)
    return sorted(found, key=lambda number: number.place)


for number in tape_of(loss):
    made_from = [parent.place for parent in number.parents]
    print(f"{number.place}   {number.name}   value {number.value}   from {made_from}   slopes {list(number.slopes)}")


# %% [markdown]
# ## Playing it backwards
#
# The gradient of the loss with respect to itself is 1. Then walk the tape from the newest entry to the oldest. Each
# entry passes its gradient to its parents, times the slope. A parent that already got something adds it up: that is the
# last line of the function.
#
# Why from newest to oldest? An entry may pass its gradient on only when that is complete, that is, when everything that
# used the entry has had its turn. And whatever used it was made *later*. The order of the tape, read backwards, is
# right by itself.
# %%
def backward(loss, most=None):
    """Fill in the gradients of all that the loss depends on; `most`: stop after so many entries, to look at it halfway."""
    order = tape_of(loss)
    for number in order:
        number.gradient = None
    loss.gradient = 1.0
    for number in order[::-1][:most]:
        for parent, slope in zip(number.parents, number.slopes, strict=True):
            share = number.gradient * slope
            parent.gradient = share if parent.gradient is None else parent.gradient + share


backward(loss)
for number in (w, x, b, t):
    print(f"{number.name}: gradient {number.gradient}")


# %% [markdown]
# Compare with what you wrote down. Then compare with the definition: move each number a little up and a little down,
# and divide the difference of the losses by the distance (why both ways: chapter 2).
# %%
def loss_at(w, x, b, t):
    return (w * x + b - t) ** 2


step = 1e-6
worst = 0.0
for place, number in enumerate((w, x, b, t)):
    up, down = [2.0, 3.0, 1.0, 5.0], [2.0, 3.0, 1.0, 5.0]
    up[place] += step
    down[place] -= step
    measured = (loss_at(*up) - loss_at(*down)) / (2 * step)
    worst = max(worst, abs(measured - number.gradient))
    print(f"{number.name}: backward says {number.gradient:6.2f}, moving it says {measured:9.5f}")


# %% [markdown]
# ## A picture of it
#
# The next figure draws this tape, twice. Its third panel is about the order. A simpler program would do without one:
# let each number call its parents, and these theirs, as soon as something arrives. That gives the right result too
# (each way back is followed by itself, and the shares add up), but a number that is used twice then calls everything
# behind it twice, and if those are used twice, four times. To see it, add a number to itself again and again:
# `y = y + y`.
#
# **Predict**: how many calls does the simple way need after 14 additions, and how many entries has the tape?
# %%
def backward_the_simple_way(number, arrives=1.0):
    """Add up what arrives, and hand it on at once. Returns how many calls that took."""
    number.gradient = arrives if number.gradient is None else number.gradient + arrives
    calls = 1
    for parent, slope in zip(number.parents, number.slopes, strict=True):
        calls += backward_the_simple_way(parent, arrives * slope)
    return calls


depths = list(range(1, 15))
simple, by_tape, same = [], [], []
for depth in depths:
    first = y = Number(1.0)
    for _ in range(depth):
        y = y + y
    simple.append(backward_the_simple_way(y))
    by_recursion = first.gradient
    backward(y)
    by_tape.append(len(tape_of(y)))
    same.append(by_recursion == first.gradient == 2.0**depth)
print(f"after {depths[-1]} additions: {simple[-1]:,} calls, or {by_tape[-1]} entries; both say {first.gradient:,.0f}")


def draw(panel, loss, title):
    """The tape from left to right: a box for each number with its name, its value above, its gradient below."""
    column = {}
    for number in tape_of(loss):
        column[number] = 1 + max((column[parent] for parent in number.parents), default=-1)
    rows = {}
    for number in column:
        if not number.parents:  # a leaf stands one column before the first that uses it
            column[number] = min(column[n] for n in column if number in n.parents) - 1
    for number in column:
        rows.setdefault(column[number], []).append(number)
    where = {n: (c, len(rows[c]) / 2 - rows[c].index(n)) for c in rows for n in rows[c]}
    for number, (right, height) in where.items():
        for share, parent in enumerate(number.parents):
            left, other = where[parent]
            bend = 0.18 * (share - 0.5) if number.parents[0] is number.parents[1] else 0
            path = dict(arrowstyle="-|>", color="#767d87", connectionstyle=f"arc3,rad={bend * 4}", shrinkA=13, shrinkB=13)
            panel.annotate("", (right, height), (left, other), arrowprops=path)
        panel.text(
            right,
            height,
            number.name,
            ha="center",
            va="center",
            bbox=dict(boxstyle="circle,pad=0.4", fc="#f1f3f6", ec="#22262b"),
        )
        panel.text(right, height + 0.34, f"{number.value:g}", ha="center", va="center")
        gradient = "not yet" if number.gradient is None else f"{number.gradient:g}"
        paper = dict(boxstyle="square,pad=0.1", fc="white", ec="none")  # an arrow passes behind it
        panel.text(
            right,
            height - 0.36,
            gradient,
            ha="center",
            va="center",
            color="#b3261e",
            fontweight="bold",
            bbox=paper,
            zorder=4,
        )
    panel.set_xlim(-0.6, max(column.values()) + 0.6)
    panel.set_ylim(-0.6, 2.0)
    panel.set_title(title)
    panel.set_axis_off()


figure, panels = plt.subplots(1, 3, figsize=(10.4, 3.3), width_ratios=[1.2, 1.2, 0.9])
backward(loss, most=2)
halfway = [number.name for number in tape_of(loss) if number.gradient is None]
draw(panels[0], loss, "after two entries: values above, gradients below")
backward(loss)
draw(panels[1], loss, "after all of them")
panels[2].semilogy(depths, simple, "o-", color="#b3261e")
panels[2].semilogy(depths, by_tape, "s--", color="#4a6a94")
panels[2].text(9.5, simple[9] * 2.2, "each calls its parents", ha="right", color="#b3261e")
panels[2].text(14, by_tape[-1] * 1.9, "the tape: entries", ha="right", color="#4a6a94")
panels[2].set_xlabel("times that y was added to itself")
panels[2].set_ylabel("calls, or entries, to go backwards")
panels[2].set_xticks([2, 6, 10, 14])
panels[2].set_title("why a tape")
figure.tight_layout()
plt.show()
# %% [markdown]
# **Figure.** Each circle is an entry of the tape, with its value above and its gradient below; arrows lead from parents
# to what was computed from them. Left, backward halfway: the last `*`, which is the loss, and `-`, which is `e`, have
# been played, and the gradients that have not arrived say so. (They are not 0. A gradient of 0 would mean that the
# number does not matter.) Middle, all of them: `w` has 12, as found by hand; the two arrows into the last `*` both come
# from `-`, because the loss is `e e`, and their shares, 2 and 2, add up to 4. Right, what the order saves, on a scale
# where each mark, 10, 100, 1000, is ten times the one below: the simple way doubles its calls with every step, the tape
# adds one entry.
#
# ## The same in tinynet
#
# tinynet does what you just saw, with arrays in place of numbers. (From here on `w`, `x`, `b`, `t` and `loss` are
# tinynet's. To play with `Number` again, run the chapter from its top.) Its tape is a table:
# %%
w, b = tn.tensor(2.0, requires_grad=True), tn.tensor(1.0, requires_grad=True)
x, t = tn.tensor(3.0), tn.tensor(5.0)
e = w * x + b - t
loss = e * e
table = str(tn.tape(loss))
print(table)
# %% [markdown]
# `tn.tensor(2.0)` makes a number that remembers; `()` is the shape of a single number (chapter 3), and `cpu:0` is where
# it lives. `requires_grad=True` marks the numbers whose gradient we want; `x` and `t` are constants here, so they leave
# no entry ("constant" in the table), and nothing is computed for them. An entry with no inputs of its own is a
# **leaf**. *Bytes kept*: `mul` has to remember the other factor, 4 bytes a number; sums and differences need nothing.
#
# `rewind` plays the tape backwards one entry at a time. Each line says which gradient has arrived, and what it hands on
# to which entry.
# %%
for step in tn.tape(loss).rewind():
    print(step)
print("w.grad", w.grad, "  b.grad", b.grad)
# %% [markdown]
# To get the gradients without watching, write `loss.backward()` in place of `rewind`. One or the other: a tape is
# played once, and what its entries had kept is thrown away as soon as it has been used, so that its memory is free for
# the rest. For a second time, compute the loss again.
#
# And this is all there is to an operation: the forward result, and a function from the gradient of the output to the
# gradients of the inputs, side by side. Read two things only: `out`, the result, and behind `lambda g:` the two
# gradients, `g` times the other factor, as in `__mul__` above. (`kept` remembers a factor, `record` writes the entry.)
# %%
print(inspect.getsource(ops.arithmetic.mul))
# %% [markdown]
# The walk is `tinynet/tape.py`, under two hundred lines, most of them about memory, devices and errors. The part that
# finds the tape is your `tape_of`:
# %%
print(inspect.getsource(entries))
# %% [markdown]
# And this is your inner loop, from the function that plays one entry. `g` is the entry's gradient, and `e.backward(g)`
# has given `gradients`, the shares: your `number.gradient * slope`. Look for your two cases: `parent.gradient` is still
# `None`, and takes the share; or it is not, and the share is added. What is new is bookkeeping: a constant (`None`
# among the parents) is passed over, a share of another shape is first made to fit (chapter 3), and `owner` remembers
# whether an array is the entry's own or borrowed from another entry, so that nobody adds into an array that others
# still read.
# %%
source = inspect.getsource(play)
print(textwrap.dedent(source[source.index("    for parent, grad") : source.index("    if e.source.observers")]))
# %%
claim("backward agrees with moving each number by a little", worst < 1e-6)
claim("the gradient of w is 12, also in tinynet", w.grad == 12 and b.grad == 4)
claim("halfway, four gradients have not arrived", len(halfway) == 4)
claim("the simple way gives the same gradients, 2 to the power of the additions", all(same))
claim(
    "adding y to itself 14 times costs the simple way 32,767 calls and the tape 15", (simple[-1], by_tape[-1]) == (32767, 15)
)
# %% [markdown]
# ## What you can now do
#
# - say what a gradient is, and find one by moving a number;
# - follow a change through a formula: slopes multiply along the way, contributions add up;
# - read a tape, and say why it is played from the newest entry to the oldest;
# - read an operation of tinynet: forward and backward, side by side.
#
# ## Exercises
#
# Each has a cell with a function to fill in. Replace the `raise` line, run the cell, read the report. In e01 the
# numbers come as arrays, boxes of numbers (chapter 3): you need not do anything about it, since `a * b` multiplies each
# number of `a` with the one at the same place of `b`. They can also be done in files of your own:
# `python -m tinynet.exercises`.
# %% [exercise] e01
# %% [exercise] e02
# %% [exercise] e03
