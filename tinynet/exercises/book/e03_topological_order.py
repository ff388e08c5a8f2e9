"""Play the tape in an order that cannot be wrong.

A loss is computed from values, which were computed from other values. To send gradients back, every value must wait until
all that was computed from it has passed its gradient on: a value that is used twice gets two, and must not be served after
the first. Write the order in which values come before everything that is computed from them; backward plays it in reverse.

A diamond shows the trap: a is used by b and by c, both of which are used by d. And a net of a thousand layers shows
another: Python gives up on functions that call themselves more than about a thousand times.
"""

import importlib

import numpy as np

from tinynet.exercises.checks import Wrong, expect, expect_type, note, require
from tinynet.exercises.exercise import Exercise
from tinynet.exercises.words import a_kind
from tinynet.ops.arithmetic import add
from tinynet.tape import entries
from tinynet.tensor import tensor

exercise = Exercise(chapter=1, minutes=25, difficulty=3, compare="tinynet/tape.py")


@exercise.given
class Node:
    """A value on the tape. parents: the nodes that it was computed from; one that was used twice is there twice."""

    def __init__(self, name, *parents):
        self.name, self.parents = name, parents

    def __repr__(self):
        return self.name


@exercise.solution
def topological_order(last):
    """A list of all nodes that `last` depends on, and `last` itself, each once, every node after its parents."""
    order, seen, todo = [], set(), [(last, False)]
    while todo:
        node, parents_are_in = todo.pop()
        if parents_are_in:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            todo.append((node, True))
            todo.extend((parent, False) for parent in node.parents)
    return order


def judge(order, nodes, last):
    strangers = [a_kind(node) for node in expect_type(order, list, "a list of nodes") if not hasattr(node, "parents")]
    require(not strangers, f"the list holds {(strangers or [None])[0]}; expected nodes, as they are")
    names = [node.name for node in order]
    note(names)
    expect(len(names), len(set(order)), f"the number of nodes in {_few(names)}, where each belongs once")
    missing = sorted(node.name for node in set(nodes) - set(order))
    require(not missing, f"the order {_few(names)} lacks {_few(missing)}")
    require(len(order) == len(nodes), f"the order {_few(names)} has nodes that {last} does not depend on")
    place = {node: i for i, node in enumerate(order)}
    early = [(node, p) for node in order for p in node.parents if place[p] > place[node]]
    if early:
        node, parent = early[0]
        raise Wrong(f"{node} comes before {parent}, from which it was computed: {_few(names)}")


def _few(names):
    return "[" + ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") + "]"


@exercise.check("a chain")
def _(topological_order, rng):
    a = Node("a")
    b = Node("b", a)
    c = Node("c", b)
    judge(topological_order(c), [a, b, c], c)


@exercise.check("a diamond, with a longer way on one side")
def _(topological_order, rng):
    a = Node("a")
    b = Node("b", a)
    c = Node("c", b)
    d = Node("d", *([c, a] if rng.random() < 0.5 else [a, c]))
    judge(topological_order(d), [a, b, c, d], d)
    e = Node("e", a, c)
    f = Node("f", *([e, d, a] if rng.random() < 0.5 else [a, d, e]))
    judge(topological_order(f), [a, b, c, d, e, f], f)


@exercise.check("a value used twice in one place, and a value by itself")
def _(topological_order, rng):
    x = Node("x")
    square = Node("x*x", x, x)
    judge(topological_order(square), [x, square], square)
    judge(topological_order(x), [x], x)


@exercise.check("two values of one name are two values")
def _(topological_order, rng):
    a, other = Node("a"), Node("a")
    b, same = Node("b", a, other), Node("b", other)
    last = Node("c", *([b, same] if rng.random() < 0.5 else [same, b]))
    judge(topological_order(last), [a, other, b, same, last], last)


@exercise.check("a random graph of 30 nodes, of which some are not needed")
def _(topological_order, rng):
    nodes = [Node("n0")]
    for i in range(1, 30):
        nodes.append(Node(f"n{i}", *(nodes[j] for j in rng.integers(i, size=rng.integers(1, 4)))))
    last = nodes[int(rng.integers(20, 29))]
    needed, todo = {last}, [last]
    while todo:
        new = set(todo.pop().parents) - needed
        needed |= new
        todo += new
    judge(topological_order(last), list(needed), last)


@exercise.check("3000 layers: no recursion")
def _(topological_order, rng):
    nodes = [Node("layer 0")]
    for i in range(1, 3000):
        nodes.append(Node(f"layer {i}", nodes[-1]))
    judge(topological_order(nodes[-1]), nodes, nodes[-1])


exercise.mistake(
    "a node is put into the order when it is first met; it must wait until all of its parents are in the order",
    "            todo.append((node, True))\n",
    "            order.append(node)\n",
)
exercise.mistake(
    "the order runs from the loss to the inputs; a node comes after its parents, and backward reverses the list later",
    "return order",
    "return order[::-1]",
)
exercise.mistake(
    "nodes are told apart by their names, which two of them may share; put the node itself into the set of seen ones",
    "node not in seen",
    "node.name not in seen",
    "seen.add(node)",
    "seen.add(node.name)",
)
exercise.mistake(
    "the mark on a node is still there when the function is called again; keep the seen nodes in a set of this call",
    "elif node not in seen",
    'elif not hasattr(node, "seen")',
    "            seen.add(node)\n",
    "            node.seen = True\n",
)
exercise.mistake(
    "these are the names of the nodes; asked are the nodes themselves",
    "return order",
    "return [node.name for node in order]",
)
exercise.mistake(
    "a node that is reached in two ways is visited twice; remember which nodes were seen",
    "        elif node not in seen:\n",
    "        else:\n",
)


@exercise.mistake(
    "the function calls itself once for every layer, and Python stops that at a thousand; keep a list of what to do"
)
def _(last):
    order, seen = [], set()

    def visit(node):
        if node not in seen:
            seen.add(node)
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(last)
    return order


exercise.hints(
    "When may a node be appended? When all of its parents are in the list. Which node of the diamond comes too early if you "
    "append a node as soon as you meet it?",
    "The recursive way: visit(node) visits its parents first and then appends the node; a set of seen nodes makes each come "
    "once. It is right, but too deep for 3000 layers.",
    "Without recursion: a stack of pairs (node, parents_are_in). Pop one. If its parents are in, append it. Otherwise push "
    "(node, True) and, on top of it, (parent, False) for each parent: they are popped before the node is again.",
)


def _by_the_tape(last):
    """The engine's order for the same graph: every node becomes a sum of its parents, made in the order of their depth."""
    values, nodes, todo = {}, {}, [last]
    while todo:
        node = todo[-1]
        missing = [p for p in node.parents if p not in values]
        if missing:
            todo += missing
            continue
        todo.pop()
        if node in values:
            continue
        value = tensor(np.ones(1), requires_grad=True)
        if node.parents:
            value = values[node.parents[0]]
            for parent in node.parents[1:] or [tensor(np.ones(1))]:
                value = add(value, values.get(parent, parent))
        values[node], nodes[value.entry] = value, node
    return [nodes[e] for e in entries(values[last].entry) if e in nodes]


exercise.library(topological_order=_by_the_tape)


@exercise.takes_the_place
def _(topological_order):
    def played(last):
        nodes, todo = {}, [last]
        while todo:
            entry = todo[-1]
            missing = [p for p in entry.parents if p is not None and p not in nodes]
            if missing:
                todo += missing
                continue
            nodes[todo.pop()] = Node(entry.op, *(nodes[p] for p in entry.parents if p is not None))
        entry_of = {node: entry for entry, node in nodes.items()}
        return [entry_of[node] for node in topological_order(nodes[last])]

    return [(importlib.import_module("tinynet.tape"), "entries", played)]
