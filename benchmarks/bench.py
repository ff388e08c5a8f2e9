"""What every section is handed, and what a section is."""

from dataclasses import dataclass, field
from importlib import import_module

from benchmarks import report, timing
from benchmarks.plan import Plan


class Disagreement(Exception):
    """Two engines computed different losses from the same weights and pictures, so their times must not be compared."""


@dataclass(frozen=True)
class Section:
    """One table. cases: function from the plan to a list of cases; measure: (bench, case) -> rows, as they come.

    whole: function from all rows to more rows below them, such as a sum.
    """

    name: str
    title: str
    columns: list
    cases: callable
    measure: callable
    whole: callable = field(default=lambda columns, rows: [])


@dataclass
class Bench:
    """The plan, the engines that may take part, and a line to tell people what is going on."""

    plan: Plan
    engines: dict
    threads: int
    say: callable = lambda text: None
    noted: dict = field(default_factory=dict)  # what a section's later cases need of its earlier ones
    _kept: dict = field(default_factory=dict)

    def interleave(self, turns):
        """Timings of turns, as this plan wants them."""
        return timing.interleave(turns, self.plan, self.say)

    def keep(self, key, build):
        """What build() gave for this key the last time; only one key is kept, because networks are large."""
        if key not in self._kept:
            self.forget()
            self._kept[key] = build()
        return self._kept[key]

    def forget(self):
        """Let go of what was kept."""
        self._kept.clear()

    def networks(self, names=("tinynet", "pytorch")):
        """name -> module with Trainer, module, layer_turn and sgd_turn, of the engines that are there."""
        return {name: network_module(name) for name in names if name in self.engines}


def network_module(name):
    """The networks in the engine of this name; imported late, because PyTorch may be missing."""
    return import_module({"tinynet": "benchmarks.tiny_nets", "pytorch": "benchmarks.torch_nets"}[name])


def same(what, values, tolerance=1e-3):
    """The largest relative difference of the engines' losses to the first's; raises Disagreement above the tolerance."""
    first, *others = values.values()
    worst = max((abs(other - first) / max(abs(first), 1e-12) for other in others), default=None)
    if worst is not None and not worst <= tolerance:
        losses = ", ".join(f"{name} {value:.6g}" for name, value in values.items())
        raise Disagreement(f"{what}: not the same work, the losses are {losses}")
    return worst


def versus(prefix="", spread=".2f"):
    """Columns of tinynet beside PyTorch: milliseconds, how many times as fast tinynet is, and in which range of rounds."""
    key = prefix.replace(" ", "_")
    return [
        report.Column(f"{key}tinynet_ms", f"{prefix}tinynet ms", ".2f"),
        report.Column(f"{key}pytorch_ms", "PyTorch ms", ".2f"),
        report.Column(f"{key}speedup", "speed, x", ".2f"),
        report.Column(f"{key}speedup_low", "lowest", spread),
        report.Column(f"{key}speedup_high", "highest", spread),
    ]


def compared(timings, part=0, prefix=""):
    """The values of those columns."""
    low, high = timings.spread("pytorch", "tinynet", part)
    return {
        f"{prefix}tinynet_ms": timings.median("tinynet", part, 1e3),
        f"{prefix}pytorch_ms": timings.median("pytorch", part, 1e3),
        f"{prefix}speedup": timings.ratio("pytorch", "tinynet", part),
        f"{prefix}speedup_low": low,
        f"{prefix}speedup_high": high,
    }
