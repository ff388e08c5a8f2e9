"""Stochastic gradient descent as in the paper, and when to lower its learning rate."""

import itertools
import math
from collections.abc import Iterable, Mapping

import numpy as np

from tinynet.ops.inputs import plain
from tinynet.tensor import Tensor


class SGD:
    """Gradient descent with momentum and weight decay, in the paper's form (section 5).

        v <- momentum * v - weight_decay * lr * w - lr * dL/dw
        w <- w + v

    The learning rate is inside the velocity. PyTorch keeps it outside (v <- momentum v + g + decay w; w <- w - lr v): the
    same as long as lr is constant; after a drop of lr, here the old, faster velocity still coasts for about 1/(1 - momentum)
    steps, and there it is slowed at once. `step` writes into the parameters' arrays: a loss that was computed before it
    and is played backwards after it gets wrong gradients, without a word.

    params: Tensors, or dicts {"params": Tensors, "lr_scale": 1.0, "weight_decay": ..., "scheduled": True} that override:
    lr_scale multiplies lr; a group that is not scheduled keeps its learning rate when `lr` changes (the 2012 code's
    biases: lr_scale=2, weight_decay=0, scheduled=False). Defaults are the paper's. Raises TypeError for what are not
    Tensors; ValueError for an empty list, an unknown key in a group, a parameter that is given twice or that no gradient
    can arrive at, and a negative lr, momentum or weight_decay.
    """

    def __init__(self, params: Iterable, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 5e-4):
        self.lr, self.initial_lr, self.momentum = lr, lr, momentum
        self.groups = _groups(params, {"lr_scale": 1.0, "weight_decay": weight_decay, "scheduled": True})
        numbers = [("lr", lr), ("momentum", momentum)]
        numbers += [(key, group[key]) for group in self.groups for key in ("lr_scale", "weight_decay")]
        for name, number in numbers:
            if not 0 <= number < math.inf:
                raise ValueError(f"SGD: {name}={number}; expected a finite number >= 0")
        self._velocity = {}
        for p in self._params():
            with p.device:
                self._velocity[p] = p.device, p.device.xp.zeros_like(p.data)

    def __setattr__(self, name, value):
        # A rate that comes from NumPy is a Python number from here on: JSON takes it, and a resumed run rounds as this one.
        super().__setattr__(name, plain(value) if name in ("lr", "initial_lr", "momentum") else value)

    def _params(self):
        return (p for group in self.groups for p in group["params"])

    def _positions(self):
        """For each group, where its parameters stand among all."""
        numbers = itertools.count()
        return [[next(numbers) for _ in group["params"]] for group in self.groups]

    def velocity(self, p: Tensor):
        """The velocity of a parameter: an array on the parameter's device, with its dtype, even if these have changed."""
        place, velocity = self._velocity[p]
        if place is not p.device or velocity.dtype != p.dtype:
            velocity = velocity if place is p.device else p.device.fetch(velocity, place)
            with p.device:
                velocity = velocity.astype(p.dtype, copy=False)
            self._velocity[p] = p.device, velocity
        return velocity

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        for group in self.groups:
            lr = (self.lr if group["scheduled"] else self.initial_lr) * group["lr_scale"]
            for p in group["params"]:
                if p.grad is not None:
                    velocity = self.velocity(p)
                    with p.device:
                        p.device.kernels.sgd(p.data, velocity, p.grad, lr, self.momentum, group["weight_decay"])
                    p.device.observe("sgd", "update", p.shape, (p,))

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for p in self._params():
            p.grad = None

    def state_dict(self) -> dict:
        """What must be saved to go on later: JSON-able numbers, and the velocities as NumPy arrays, copies.

        Keys: lr, initial_lr, momentum; groups, whose params are positions in velocity; velocity, a list.
        """
        groups = [{**_numbers(group), "params": at} for group, at in zip(self.groups, self._positions(), strict=True)]
        velocity = [np.array(p.device.numpy(self.velocity(p))) for p in self._params()]
        return {"lr": self.lr, "initial_lr": self.initial_lr, "momentum": self.momentum, "groups": groups,
                "velocity": velocity}  # fmt: skip

    def __repr__(self):
        groups = f" in {len(self.groups)} groups" if len(self.groups) > 1 else ""
        return f"SGD(lr={self.lr}, momentum={self.momentum}, {len(list(self._params()))} parameters{groups})"

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from a saved state, bit for bit: velocities and all numbers become those of the state, as in PyTorch.

        Raises ValueError, before anything is changed, for the state of another optimizer, or of parameters of other shapes.
        """
        lacks = [key for key in ("lr", "initial_lr", "momentum", "groups", "velocity") if key not in state]
        if lacks:
            raise ValueError(f"SGD: the state lacks {', '.join(lacks)}; expected what SGD.state_dict() gives")
        odd = sorted({key for group in state["groups"] for key in group.keys() ^ self.groups[0].keys()})
        if odd:
            keys = ", ".join(self.groups[0])
            raise ValueError(f"SGD: in the state's groups {', '.join(odd)} is missing, or too much; expected {keys}")
        given = {"shapes": [np.shape(v) for v in state["velocity"]], "groups": [list(g["params"]) for g in state["groups"]]}
        wanted = {"shapes": [p.shape for p in self._params()], "groups": self._positions()}
        if wanted != given:
            raise ValueError(f"SGD: the state is of parameters of {given}; expected {wanted}")
        self.lr, self.initial_lr, self.momentum = state["lr"], state["initial_lr"], state["momentum"]
        for group, saved in zip(self.groups, state["groups"], strict=True):
            group.update(_numbers(saved))
            for p, i in zip(group["params"], saved["params"], strict=True):
                with p.device:
                    self.velocity(p)[...] = p.device.array(np.asarray(state["velocity"][i], dtype=p.dtype))


def _groups(params, defaults):
    """The groups of parameters, each with all its keys, from what the user gave."""
    if isinstance(params, Tensor) or not hasattr(params, "__iter__"):
        given = type(params).__name__
        raise TypeError(f"SGD: expected a list of Tensors, got one {given}; write SGD([w]), or SGD(model.parameters())")
    groups = list(params)
    if not groups:
        raise ValueError("SGD: expected at least one parameter, got none")
    if not all(isinstance(group, dict) for group in groups):
        groups = [{"params": groups}]
    for group in groups:
        unknown = [key for key in group if key not in ("params", *defaults)]
        if unknown or "params" not in group:
            fault = f"has the unknown key {unknown[0]!r}" if unknown else "has no params"
            raise ValueError(f"SGD: a group {fault}; expected params, {', '.join(defaults)}")
    groups = [{**_numbers(defaults), **_numbers(group), "params": group["params"]} for group in groups]
    seen = set()
    for group in groups:
        group["params"] = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise TypeError(f"SGD: expected Tensors, got {type(p).__name__}; give it model.parameters()")
            if p.entry is None or p.entry.leaf is None:
                what = "has requires_grad=False" if p.entry is None else "was computed from others"
                raise ValueError(
                    f"SGD: a Tensor of shape {p.shape} {what} and would never be updated; "
                    "expected Tensors made with requires_grad=True"
                )
            if id(p) in seen:
                raise ValueError("SGD: a parameter is given twice, and would be updated twice; give each one once")
            seen.add(id(p))
    return groups


def _numbers(group):
    """All of a group but its params."""
    return {key: plain(value) for key, value in group.items() if key != "params"}


class ReduceLROnPlateau:
    """lr <- lr * factor when a number (the validation error) has not improved in more than `patience` calls in a row.

    The paper's rule: "divide the learning rate by 10 when the validation error rate stopped improving", three times, which
    is `drops`. `threshold` is by how much, as a fraction of the best so far, a value must be lower to be an improvement:
    value < best - threshold |best|. No error, 0, is as good as the best; nan and infinities never improve.

    PyTorch's counts positive numbers alike, but has `mode` before `factor`, patience=10, threshold=1e-4, and no end: by its
    defaults it is ReduceLROnPlateau(optimizer, factor=0.1, patience=10, threshold=1e-4, drops=math.inf) here. Its margin is
    best (1 - threshold), which lies above a negative best, so that it takes standing still for an improvement for ever.
    """

    def __init__(self, optimizer: SGD, factor: float = 0.1, patience: int = 5, threshold: float = 0.01, drops: float = 3):
        self.optimizer, self.factor, self.patience = optimizer, plain(factor), patience
        self.threshold, self.drops = plain(threshold), drops
        self.best, self.waited, self.dropped = math.inf, 0, 0

    def step(self, value: float) -> bool:
        """Call once an epoch, with a number or a Tensor of one; returns True if the learning rate was lowered."""
        value = plain(value)
        margin = self.threshold * abs(self.best) if math.isfinite(self.best) else 0
        if math.isfinite(value) and (value < self.best - margin or value == 0 <= self.best):
            self.best, self.waited = value, 0
            return False
        self.waited += 1
        if self.waited <= self.patience or self.dropped >= self.drops:
            return False
        self.optimizer.lr *= self.factor
        self.waited, self.dropped = 0, self.dropped + 1
        return True

    def state_dict(self) -> dict:
        """What must be saved to go on later, as JSON-able numbers."""
        return {"lr": self.optimizer.lr, "best": self.best if math.isfinite(self.best) else None,
                "waited": self.waited, "dropped": self.dropped}  # fmt: skip

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from a saved state."""
        self.optimizer.lr, self.waited, self.dropped = state["lr"], state["waited"], state["dropped"]
        self.best = math.inf if state["best"] is None else state["best"]
