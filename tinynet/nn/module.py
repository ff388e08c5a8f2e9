"""Modules: layers that own their parameters, and networks that own their layers.

A module's parameters, buffers and sub-modules are simply its attributes, in the order in which they were set; what lies in
their lists and dicts counts too. There is no registry and no lazy shape: a layer says all its sizes.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Self

import numpy as np

from tinynet import html
from tinynet.devices import Device, as_device
from tinynet.errors import locate
from tinynet.nn.hooks import Handle, Hooks
from tinynet.tensor import Tensor


class Module:
    """Base of layers and networks: define `forward`, call the module.

    What belongs to it are its attributes, in the order in which they were set, and what lies in their lists, tuples, dicts:

    - other Modules, with all that belongs to them;
    - parameters, which are Tensors made with requires_grad=True: they are trained and saved;
    - buffers, which are Tensors off the tape: they are saved, not trained. A frozen parameter is one.

    A Tensor that was computed on the tape belongs to nobody: a forward may keep it (self.h = h), and it is not saved. To
    keep a buffer without saving it, keep its array (self.h = h.data).

    Raises TypeError when a parameter is replaced by a Tensor that is none; and when it is asked for what belongs to it,
    ValueError for a module inside itself or two Tensors of one name, TypeError for a set, which has no order.
    """

    training = True
    observers: ClassVar[list] = []  # functions (module, entering), told before and after every call of any module
    _hooks: Hooks | None = None

    def forward(self, x):
        raise NotImplementedError(f"{type(self).__name__} has no forward(); define what it computes")

    def __call__(self, *args, **kwargs):
        forward = self._observed if self._hooks or Module.observers else self.forward
        try:
            return forward(*args, **kwargs)
        except (MemoryError, RuntimeError) as error:
            locate(error, module=self)
            raise

    def _observed(self, *args, **kwargs):
        observers = list(Module.observers)
        for observer in observers:
            observer(self, True)
        try:
            output = self.forward(*args, **kwargs)
        finally:
            for observer in reversed(observers):
                observer(self, False)
        return self._hooks.call(self, args, output) if self._hooks else output

    def register_forward_hook(self, hook: Callable) -> Handle:
        """Have hook(module, args, output) called after every forward, as in PyTorch; a result other than None takes the
        place of the output.

        args: the positional arguments as a tuple. Hooks are called in the order in which they were registered. Returns a
        handle whose `remove()` ends that; it is a context manager, too. A copied or unpickled module has no hooks. A
        hook is called by module(x), not by module.forward(x). Raises TypeError for what cannot be called.
        """
        if not callable(hook):
            raise TypeError(f"register_forward_hook: expected a function (module, args, output), got {type(hook).__name__}")
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks.add(hook)

    def __setattr__(self, name, value):
        old = vars(self).get(name)
        if isinstance(old, Tensor) and isinstance(value, Tensor) and _is_leaf(old) and not _is_leaf(value):
            raise TypeError(
                f"{type(self).__name__}: {name} is a parameter and would no longer be one; write into {name}.data, "
                "or give it a Tensor made by tn.tensor(..., requires_grad=True)"
            )
        super().__setattr__(name, value)

    def _items(self):
        return vars(self).items()

    def extra_repr(self) -> str:
        """What `repr` says of this module itself, between the parentheses, as in PyTorch: its arguments."""
        return ""

    def _children(self):
        """(name, Module) of the modules directly inside this one."""
        last = None
        for name, module in self.named_modules():
            if module is not self and not (last is not None and name.startswith(f"{last}.")):
                last = name
                yield name, module

    def __repr__(self):
        name, extra = type(self).__name__, self.extra_repr()
        try:
            inside = list(self._children())
        except (TypeError, ValueError):  # what is wrong with it is said elsewhere
            return f"{name}(...)"
        if not inside:
            return f"{name}({extra})"
        lines = [extra] * bool(extra) + [f"({key}): {module!r}" for key, module in inside]
        return "\n  ".join([f"{name}(", *(line.replace("\n", "\n  ") for line in lines)]) + "\n)"

    def _repr_html_(self):
        rows = []
        for name, module in self.named_modules():
            inside = tuple(f"{child}." for child, _ in module._children())
            own = {t for key, t in module.named_parameters() if not key.startswith(inside)}
            what = f"{type(module).__name__}({module.extra_repr()})"
            rows.append(
                ("\u2003" * (name.count(".") + bool(name)) + name, what, f"{sum(t.size for t in own):,}" if own else "")
            )
        rows.append(("", "parameters", f"{sum(t.size for t in self.parameters()):,}"))
        return html.table(("module", "layer", "parameters"), rows, "llr")

    def named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name, Tensor) of all parameters and buffers, names joined by dots, in the order in which they were made."""
        names = set()
        for name, part in _parts(self):
            if isinstance(part, Tensor):
                if name in names:
                    raise ValueError(f"{type(self).__name__}: two Tensors are called {name}; rename a key")
                names.add(name)
                yield name, part

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """(name, Tensor) of all that is trained."""
        return ((name, t) for name, t in self.named_tensors() if t.requires_grad)

    def parameters(self) -> list[Tensor]:
        """All Tensors that are trained, each once, even if it is shared by two layers."""
        return list(dict.fromkeys(t for _, t in self.named_parameters()))

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """(name, Module) of this module, whose name is `prefix`, and of all modules inside it, names joined by dots."""
        return ((name, part) for name, part in _parts(self, prefix) if isinstance(part, Module))

    def modules(self) -> Iterator["Module"]:
        """This module and all modules inside it."""
        return (module for _, module in self.named_modules())

    def train(self, mode: bool = True) -> Self:
        """Training behaviour (dropout, batch statistics), for this module and all inside it. Returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Test behaviour. Returns self."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, device: Device | str | None = None, dtype=None) -> Self:
        """Move every parameter and buffer to a device, or to a dtype (float64 for checks), and forget their gradients.

        Returns self.
        """
        for _, t in self.named_tensors():
            place = t.device if device is None else as_device(device)
            trained, t.requires_grad, t.grad = t.requires_grad, False, None
            if place is not t.device:
                t.data, t.device = place.fetch(t.data, t.device), place
            with place:
                t.data = t.data.astype(np.dtype(dtype or t.dtype).type, copy=False)  # native, as `tensor` makes them
            t.requires_grad = trained
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """name -> NumPy array, a copy, of every parameter and buffer."""
        return {name: np.array(t.numpy()) for name, t in self.named_tensors()}

    def load_state_dict(self, state: Mapping) -> None:
        """Take all values from a dict as `state_dict` gives it; they may be Tensors, too, of any device and dtype.

        Raises ValueError, before anything is changed, naming the first keys that are missing, unexpected or of another
        shape.
        """
        state = {k: np.array(v.numpy()) if isinstance(v, Tensor) else v for k, v in state.items()}
        own = dict(self.named_tensors())
        missing, extra = [k for k in own if k not in state], [k for k in state if k not in own]
        if missing or extra:
            parts = [
                f"{what} {', '.join(keys[:3])}{' ...' * (len(keys) > 3)}"
                for what, keys in (("lacks", missing), ("has the unexpected", extra))
                if keys
            ]
            raise ValueError(f"load_state_dict: the state {' and '.join(parts)}; expected the names of this network")
        for name, t in own.items():
            if np.shape(state[name]) != t.shape:
                raise ValueError(
                    f"load_state_dict: {name} has shape {np.shape(state[name])}, this network wants {t.shape}; "
                    "build the network with the sizes that it was saved with"
                )
        values = {name: np.asarray(state[name], dtype=t.dtype) for name, t in own.items()}
        for name, t in own.items():
            with t.device:
                t.data[...] = t.device.array(values[name])


_HOLDERS = (Tensor, Module, list, tuple, dict, set, frozenset)


def _is_leaf(t):
    return t.entry is not None and t.entry.leaf is not None


def _parts(value, name="", outside=()):
    """(name, Tensor or Module) of what an attribute is or holds, from the outside in. outside: what it is in."""
    if isinstance(value, Tensor):
        if value.entry is None or _is_leaf(value):
            yield name, value
    elif isinstance(value, (set, frozenset)):
        if any(isinstance(item, (Tensor, Module)) for item in value):
            raise TypeError(f"{type(outside[0]).__name__}: {name} is a set, which has no order; use a list")
    elif isinstance(value, (Module, list, tuple, dict)):
        if any(value is holder for holder in outside):
            if not isinstance(value, Module):
                return
            raise ValueError(
                f"{type(outside[0]).__name__}: {name} is the {type(value).__name__} that it is inside of; "
                "keep a weakref.ref to it instead"
            )
        if isinstance(value, Module):
            yield name, value
            items = value._items()
        else:
            items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(item, _HOLDERS):
                yield from _parts(item, f"{name}.{key}" if name else str(key), (*outside, value))
