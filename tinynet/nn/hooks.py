"""Hooks: functions that are called with what a module computes, until their handles are removed."""

import itertools
from collections.abc import Callable


class Hooks:
    """The hooks of one module. No dict and no list, so that what is in it does not belong to the module."""

    __slots__ = ("_functions", "_numbers")

    def __init__(self):
        self._functions, self._numbers = {}, itertools.count()

    def add(self, hook: Callable) -> "Handle":
        number = next(self._numbers)
        self._functions[number] = hook
        return Handle(self._functions, number)

    def __len__(self):
        return len(self._functions)

    def call(self, module, args: tuple, output):
        """The output, or what the hooks make of it. A hook may remove hooks, itself too."""
        for hook in list(self._functions.values()):
            changed = hook(module, args, output)
            output = output if changed is None else changed
        return output

    def __reduce__(self):
        return type(None), ()  # hooks look at one network; a copy of it, or a pickle, has none


class Handle:
    """What `register_forward_hook` returns: `remove()` takes the hook away, however often; `with handle:` when it ends."""

    __slots__ = ("_functions", "_number")

    def __init__(self, functions, number):
        self._functions, self._number = functions, number

    def remove(self) -> None:
        self._functions.pop(self._number, None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()
