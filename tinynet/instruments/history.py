"""A history of layers: the few numbers a step that tell whether their units live, for pictures of a whole training."""

from collections.abc import Mapping

import numpy as np

from tinynet.errors import UsageError

DECADES, A_DECADE = (-6, 4), 5  # magnitudes from 1e-6 to 1e4, in bins of a fifth of a power of ten
EDGES = 10.0 ** np.linspace(*DECADES, (DECADES[1] - DECADES[0]) * A_DECADE + 1)


class History:
    """What layers put out over a training, as counts.

        history = History()
        for step in range(steps):
            with tn.watch(model, "towers.*.conv?") as seen:
                ...one step...
            history.note(step, seen)
        draw.dead_units(history)
        draw.histograms(history)

    steps: the numbers of the steps noted. dead: layer -> for each step, the fraction of its units that were never above 0
    in that batch; a unit of maps (N, C, ...) is a channel, of (N, units) a unit. counts: layer -> for each step, how many
    numbers fell into each bin, int (2 B + 1,): B bins of negative numbers, the largest magnitude first, one for what is
    smaller than 1e-6, B for positive numbers; beyond 1e4 counts as 1e4, NaN is left out. B = 50: five bins a decade.
    """

    edges = EDGES

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.dead: dict[str, list[float]] = {}
        self.counts: dict[str, list[np.ndarray]] = {}

    def note(self, step: int, seen: Mapping) -> None:
        """Add a step. seen: layer -> array (N, C, ...) or (N, units), or what `tn.watch` saw.

        Raises UsageError, before anything is added, for other layers than before, an output of another kind, and a step
        that is not after the last one.
        """
        outputs = {name: getattr(item, "output", item) for name, item in seen.items()}
        if self.steps and list(outputs) != list(self.dead):
            raise UsageError(f"History: expected the layers {', '.join(self.dead)} as before, got {', '.join(outputs)}")
        if self.steps and step <= self.steps[-1]:
            raise UsageError(f"History: step {step} is not after step {self.steps[-1]}, the last one noted")
        for name, output in outputs.items():
            if output is None or np.ndim(output) < 2 or not np.size(output):
                given = "nothing, because it was not called" if output is None else f"shape {np.shape(output)}"
                raise UsageError(f"History: expected an output (N, C, ...) of {name or 'the model'}, got {given}")
        self.steps.append(step)
        for name, output in outputs.items():
            output = np.asarray(output)
            alive = (output > 0).any(axis=(0, *range(2, output.ndim)))
            self.dead.setdefault(name, []).append(float(1 - alive.mean()))
            self.counts.setdefault(name, []).append(_count(output))


def _count(values):
    values = values[~np.isnan(values)]
    size = np.abs(values)
    bins = len(EDGES) - 1
    place = np.searchsorted(EDGES, size, side="right")  # 0: smaller than all edges
    place = np.minimum(place, bins) * np.where(values < 0, -1, 1)
    return np.bincount(place + bins, minlength=2 * bins + 1)
