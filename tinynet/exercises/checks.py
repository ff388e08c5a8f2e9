"""What authors say checks with: comparisons that explain what differs, and numbers from hard places."""

import inspect
import textwrap

import numpy as np

from tinynet.exercises.words import a_kind, listed, plural
from tinynet.gradcheck import gradcheck
from tinynet.tensor import tensor


class Wrong(Exception):
    """A check that failed. lines: what the learner is shown; rel, index: the worst entry, for reports."""

    def __init__(self, *lines, rel=None, index=None, likely=None, state="fail"):
        super().__init__(lines[0])
        self.lines, self.rel, self.index, self.likely, self.state = list(lines), rel, index, likely, state


class Running:
    """The check that runs.

    seen: what the judged functions gave and what was compared, by which mistakes are recognised. function, result: the name
    of the judged function that returned last, and what it gave. raised: the words of the error that one raised. drew:
    whether the check drew from its generator.
    """

    def __init__(self, key):
        self.key, self.seen, self.calls, self.gradients = key, [], 0, 0
        self.function, self.result, self.raised, self.drew = None, None, None, False


running = Running(None)
_values: dict = {}  # of the authors' functions, by check, seed and arguments
_MOST = 50_000

NOTHING = "a function that never reaches `return` gives None"


def begin(key):
    """A new check begins: `key` names it and its seed."""
    global running
    running = Running(key)
    return running


def _remembered(forward):
    """The author's function with a memory: every mistake of an exercise is judged at the same points, many times."""
    running.gradients += 1
    key = running.key, running.gradients

    def value(*arrays):
        where = key, *(a.tobytes() for a in arrays)
        if where not in _values:
            before = running.calls
            result = forward(*arrays)
            if running.calls != before:  # it is made of the learner's function
                return result
            if len(_values) >= _MOST:
                _values.clear()
            _values[where] = result
        return _values[where]

    return value


def expect(yours, expected, what="the result", *, rtol=1e-9, atol=0.0):
    """Compare a number, a list of numbers or an array with what is right: shape, kind, then every entry.

    An entry may differ by rtol times the largest expected one, plus atol. Raises Wrong with the entries that differ most.
    """
    expected = np.asarray(expected)
    array = expect_shape(yours, expected.shape, what)
    if expected.dtype.kind == "f" and array.dtype.kind == "f" and array.dtype.itemsize < expected.dtype.itemsize:
        raise Wrong(f"{what}: {array.dtype}, expected {expected.dtype}; keep the dtype of the arguments")
    if not array.size:
        return
    if not np.isfinite(array).all() and np.isfinite(expected).all():
        where = _index(np.argwhere(~np.isfinite(array))[0])
        raise Wrong(f"{what}: {array[where]} at index {where}, expected {_number(expected[where])}", index=where)
    error = np.abs(array.astype(np.float64) - expected)
    scale = float(np.abs(expected).max())
    wrong = ~(error <= rtol * scale + atol)
    if wrong.any():
        worst = [_index(i) for i in sorted(np.argwhere(wrong).tolist(), key=lambda i: -error[tuple(i)])[:3]]
        rel = float(error.max() / scale) if scale else None
        rows = [(_place(i), *_numbers(array[i], expected[i])) for i in worst]
        raise Wrong(
            f"{what}: {wrong.sum()} of {plural(wrong.size, 'entry', 'entries')} wrong" if wrong.size > 1 else f"{what}",
            *_table(("index" if wrong.size > 1 else "", "yours", "expected"), *rows),
            rel=rel,
            index=worst[0],
        )


def expect_shape(yours, shape, what="the result"):
    """Numbers of this shape are expected, whatever they are; returns them as an array."""
    running.seen.append(yours)
    if yours is None:
        raise Wrong(f"{what}: None; {NOTHING}")
    array = _array(yours)
    if array.dtype.kind not in "fiub":
        raise Wrong(f"{what}: {_kind(yours)}; expected {f'numbers of shape {shape}' if shape else 'a number'}")
    if array.shape != shape:
        raise Wrong(f"{what}: shape {array.shape}, expected {shape}")
    return array


def expect_all(function, rows):
    """Compare function(*arguments) with what is right, for all of rows, [(arguments, right)].

    All calls come before any comparison, so that a mistake is recognised by everything it does.
    """
    results = [function(*arguments) for arguments, _ in rows]
    for result, (arguments, right) in zip(results, rows, strict=True):
        expect(result, right, f"{running.function}({', '.join(map(repr, arguments))})")


def expect_type(result, types, what):
    """What a function has just returned is to be `what`, one of the types; gives it back, or raises Wrong that says so."""
    if not isinstance(result, types):
        told = f"None; {NOTHING}" if result is None else f"{a_kind(result)}; expected {what}"
        raise Wrong(f"{running.function} returned {told}")
    return result


def expect_parts(result, *names):
    """What a function has just returned is to be a tuple, or a list, with a part for each name; gives it back."""
    return _parts(result, len(names), f"({', '.join(names)})")


def _parts(result, count, expected):
    if len(expect_type(result, (tuple, list), expected)) != count:
        raise Wrong(f"{running.function} returned {a_kind(result)} of {len(result)}; expected {expected}")
    return result


def note(value):
    """Remember a number, a string or a list of them that tells answers apart, where the answers themselves are objects."""
    running.seen.append(value)


def require(condition, sentence):
    """A property that must hold; the sentence says what does not."""
    running.seen.append(bool(condition))
    if not condition:
        raise Wrong(sentence)


def gradients(forward, args, vjp, rng, names=None, **how):
    """`tn.gradcheck` of the learner's `vjp(dy, *args)` against differences of the author's `forward(*args)`.

    args: float64 arrays, one gradient each; names: of the arguments; how: what else gradcheck takes. Raises Wrong with
    where and how each wrong gradient differs.
    """

    names = names or list(inspect.signature(forward).parameters)[: len(args)]
    shapes = []

    def answer(dy, *arrays):
        parts = _gradients(vjp(dy, *arrays), args, names)
        shapes[:] = [part.shape for part in parts]
        return parts

    results = gradcheck(_remembered(forward), args, answer, names=names, seed=int(rng.integers(2**31)), **how)
    bad = [r for r in results if r.status != "pass"]
    if not bad:
        return
    lines = []
    for result in bad:
        lines.append(f"gradient of {result.name}: {result.reason}")
        if result.worst:
            rows = [(str(i), f"{yours:.8g}", f"{numeric:.8g}", f"{rel:.1e}") for i, yours, numeric, rel in result.worst]
            lines += _table(("index", "yours", "numeric", "rel err"), *rows)
        lines += result.picture
        lines += textwrap.wrap(result.known, 96)
    right = [r.name for r in results if r.status == "pass"]
    lines += [f"right: the gradient of {listed(right)}"] if right else []
    rel = bad[0].rel if np.isfinite(bad[0].rel) else None
    likely = next((r.hints[0] for r in bad if r.hints and r.checked), None)  # a shape alone proves no cause
    order = [next((n for n, a in zip(names, args, strict=True) if a.shape == shape), None) for shape in shapes]
    if len({a.shape for a in args}) == len(args) == len(set(order) - {None}) and order != names:
        likely = f"these are the shapes of {listed(order)}: return the gradients in the order {listed(names)}"
    state = "fail" if any(r.status == "fail" for r in bad) else "inconclusive"
    raise Wrong(*lines, rel=rel, index=bad[0].index, likely=likely, state=state)


def _gradients(found, args, names):
    """What a learner's backward has just returned, as an array for each argument."""
    if len(args) > 1:
        found = _parts(found, len(args), f"the gradients of {listed(names)}")
    elif np.shape(_array(found)) != args[0].shape and isinstance(found, (tuple, list)) and len(found) == 1:
        (found,) = found
    parts = list(found) if len(args) > 1 else [found]
    for name, part in zip(names, parts, strict=True):
        if part is None:
            raise Wrong(f"the gradient of {name}: None; {NOTHING}")
        if _array(part).dtype.kind not in "fiub":
            raise Wrong(f"the gradient of {name}: {_kind(part)}; expected an array")
    return [_array(part) for part in parts]


def by_the_tape(function, dy, *arrays):
    """For `exercise.library`: the gradients by tinynet's tape, of function(*Tensors) with respect to each array."""
    leaves = [tensor(a, requires_grad=True) for a in arrays]
    function(*leaves).backward(dy)
    return tuple(leaf.grad for leaf in leaves)


def distinct(rng, *shape):
    """Numbers of which no two are closer than 0.1 and none is closer to 0 than 0.05: nothing sits on a kink."""
    size = int(np.prod(shape))
    return ((rng.permutation(size) - size // 2) * 0.1 + 0.05).reshape(shape)


def _array(value):
    """The value as an array; one of objects, if it is no table of numbers."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.asarray(None)


def _kind(value):
    return "an array of objects" if isinstance(value, np.ndarray) else a_kind(value)


def _table(*rows):
    """Rows of words as lines, each column as narrow as its words allow: terminals are, too."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["   ".join([f"{row[0]:{widths[0]}}", *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def _index(where):
    return tuple(int(i) for i in where)


def _place(index):
    return str(index[0]) if len(index) == 1 else str(index) if index else ""


def _number(value, digits=8):
    return f"{value:.{digits}g}" if isinstance(value, (float, np.floating)) else str(value)


def _numbers(*values):
    """Numbers that differ, with as many digits as show it."""
    short = [_number(value) for value in values]
    return [_number(value, 17) for value in values] if len(set(short)) < len(values) else short
