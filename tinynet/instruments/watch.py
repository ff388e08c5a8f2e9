"""Watching layers: what they put out in a step, and the gradient that arrived there."""

import difflib
import weakref
from collections.abc import Mapping
from fnmatch import fnmatchcase

import numpy as np

from tinynet import text
from tinynet.errors import UsageError
from tinynet.instruments.rewind import on_host
from tinynet.nn.hooks import Handle
from tinynet.nn.module import Module
from tinynet.value import Value

_NEVER = "the layer has not been called"
_BEFORE = "backward has not been called since"
_OFF = "the output is off the tape: it was computed inside no_grad, or from nothing that has requires_grad=True"
_LEFT = "the watch was left before backward reached this layer"


class Seen:
    """What a layer did when it was last called.

    name: of the layer. output: its result, a NumPy array, or None. gradient: of the loss with respect to that, an array of
    the same shape, or None. reason: why there is no output or no gradient, None if there are both.
    """

    __slots__ = ("__weakref__", "gradient", "name", "output", "reason")

    def __init__(self, name: str, output: np.ndarray | None = None, reason: str | None = _NEVER):
        self.name, self.output, self.gradient, self.reason = name, output, None, reason

    def __repr__(self):
        shape = None if self.output is None else self.output.shape
        return f"Seen({self.name!r}, output {shape}, gradient {self.reason or 'of the same shape'})"


class Watch(Mapping):
    """Layer -> Seen, for what `watch` is asked to look at; filled while it is entered."""

    def __init__(self, model: Module, *patterns: str):
        modules = list(model.named_modules())
        names = [name for name, _ in modules]
        if not patterns:
            raise UsageError(f"watch: which layers? give their names, or patterns of them, such as {_some(names[1:])}")
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                close = _close(pattern, names)
                hint = f"did you mean {_some(close)}?" if close else f"there are {_some(names[1:])}"
                raise UsageError(f"watch: {pattern!r} matches no module of {type(model).__name__}; {hint}")
        found = [(name, module) for name, module in modules if any(fnmatchcase(name, p) for p in patterns)]
        self._modules, self._open = found, False
        self._handles: list[Handle] = []
        self._seen = {name: Seen(name) for name, _ in found}

    def __enter__(self):
        self._open = True
        self._handles = [module.register_forward_hook(self._hook(name)) for name, module in self._modules]
        return self

    def __exit__(self, *_):
        self._open = False
        for handle in self._handles:
            handle.remove()
        self._handles, self._modules = [], []
        for seen in self._seen.values():
            if seen.reason == _BEFORE:
                seen.reason = _LEFT

    def _hook(self, name):
        def hook(module, args, output):
            if not isinstance(output, Value):
                given = type(output).__name__
                raise TypeError(f"watch: {name or 'the model'} returns a {given}, not a Tensor; watch the layers inside it")
            reason = _OFF if output.entry is None else _BEFORE
            self._seen[name] = seen = Seen(name, on_host(output.device, output.data), reason)
            if output.entry is not None:
                self._listen(output.entry, seen)

        return hook

    def _listen(self, entry, seen):
        """Have `seen` told of the gradient that the entry gets, when backward plays it. The tape keeps neither alive."""
        play, told, watching = entry.backward, weakref.ref(seen), weakref.ref(self)

        def backward(g):
            seen, watch = told(), watching()
            if seen is not None and watch is not None and watch._open:
                seen.gradient, seen.reason = on_host(entry_device, g), None
            return play(g)

        entry_device = entry.device
        if play is not None:
            entry.backward = backward
        else:
            seen.reason = "the layer gave back its input, a leaf: the gradient arrives in that Tensor's .grad"

    def __getitem__(self, name):
        if name not in self._seen:
            raise KeyError(f"{name!r} is not watched; watched are {_some(list(self._seen))}")
        return self._seen[name]

    def __iter__(self):
        return iter(self._seen)

    def __len__(self):
        return len(self._seen)

    def __str__(self):
        rows = [("layer", "output", "mean", "std", "zero", "gradient's std")]
        for name, seen in self._seen.items():
            out, g = seen.output, seen.gradient
            numbers = ("", "", "", "") if out is None else (
                str(out.shape), f"{out.mean():.3g}", f"{out.std():.3g}", f"{np.mean(out == 0):.1%}"
            )  # fmt: skip
            rows.append((name, *numbers, f"{g.std():.3g}" if g is not None else f"({seen.reason})"))
        return text.table(rows, "llrrrl")

    __repr__ = __str__


def watch(model: Module, *patterns: str) -> Watch:
    """`with tn.watch(model, "towers.*.conv1", ...) as seen:` after a step, what these layers put out, and its gradients.

        with tn.watch(model, "towers.*.conv1", "fc8") as seen:
            loss = tn.cross_entropy(model(x), labels)
            loss.backward()
        seen["towers.0.conv1"].output       NumPy array (N, 48, 55, 55)
        seen["towers.0.conv1"].gradient     the gradient that arrived there, of the same shape

    model: a Module. patterns: names of its modules as `named_modules` gives them, where * stands for anything, ? for a
    character and [ab] for one of these. `seen` has all layers that match, in the model's order; of a layer that is called
    more often the last call counts. Arrays are copies on the host, made while the network computes. The gradient is None
    until backward, and `reason` says why; of a backward after the `with` nothing is seen. The tape, results and gradients
    are the same as without, and nothing of the network is kept but what was seen. `print(seen)` shows a line a layer.

    Raises UsageError for a pattern that matches nothing, naming close names; TypeError if a layer returns no Tensor.
    """
    return Watch(model, *patterns)


def _close(pattern, names):
    """Names that resemble a pattern: with its wildcards taken for nothing, and its numbers for any."""
    plain = pattern.translate(str.maketrans("", "", "*?[]"))
    return difflib.get_close_matches(pattern, names, 3, 0.6) or difflib.get_close_matches(plain, names, 3, 0.5)


def _some(names):
    shown = ", ".join(repr(name) for name in names[:3])
    return f"{shown} ..." if len(names) > 3 else shown
