"""Where the boxes of a graph stand.

They stand in ranks, each below all that it depends on. Within a rank their order is that of the boxes they hang on, taken in
turns from above and from below; their places are as near to these as the widths of all allow.
"""

from itertools import pairwise

import numpy as np

BETWEEN, SPACE = 26, 34  # pixels from box to box, and from rank to rank
STIFF = 30  # how much a chain prefers to be straight


class Box:
    """A box, or, without an entry, a point through which a long edge runs. x: its centre; y: its upper edge.

    above, below: the boxes at the other ends of its edges, in the order of the inputs.
    """

    def __init__(self, entry=None, lines=()):
        self.entry, self.lines, self.rank, self.x, self.y = entry, list(lines), 0, 0.0, 0.0
        self.above: list[Box] = []
        self.below: list[Box] = []
        self.width, self.height = 10.0, 0.0


def layout(boxes: list[Box], left: float, top: float) -> list[list[Box]]:
    """Give every box its place, from pixel (left, top) on; returns the ranks. boxes: connected, measured, inputs first."""
    ranks = _ranks(boxes)
    _sort(ranks)
    _place(ranks, left, top)
    return ranks


def _ranks(every):
    """The ranks, lists of boxes from above; an edge that passes a rank gets a point in it."""
    for box in every:
        box.rank = max((parent.rank + 1 for parent in box.above), default=0)
    for box in every:
        if not box.above and box.below:  # an input comes when it is needed
            box.rank = min(child.rank for child in box.below) - 1
    ranks = [[] for _ in range(1 + max(box.rank for box in every))]
    for box in every:
        ranks[box.rank].append(box)
    for child in every:
        for i, parent in enumerate(child.above):
            for rank in range(parent.rank + 1, child.rank):
                point = Box()
                point.above, point.rank = [parent], rank
                parent.below[parent.below.index(child)] = point
                point.below, child.above[i] = [child], point
                ranks[rank].append(point)
                parent = point
    return ranks


def _sort(ranks):
    """Order every rank, so that few edges cross."""
    best, fewest = [list(rank) for rank in ranks], _crossings(ranks)
    for turn in range(12):
        down = turn % 2 == 0
        for rank, other in (
            zip(ranks[1:], ranks[:-1], strict=True) if down else zip(ranks[-2::-1], ranks[:0:-1], strict=True)
        ):
            place = {box: i for i, box in enumerate(other)}
            here = {box: i * len(other) / len(rank) for i, box in enumerate(rank)}
            wants = {}
            for box in rank:
                near = [place[n] for n in (box.above if down else box.below)]
                wants[box] = sum(near) / len(near) if near else here[box]
            rank.sort(key=wants.get)
        if (now := _crossings(ranks)) < fewest:
            best, fewest = [list(rank) for rank in ranks], now
    for rank, order in zip(ranks, best, strict=True):
        rank[:] = order


def _crossings(ranks):
    count = 0
    for upper, lower in pairwise(ranks):
        place = {box: i for i, box in enumerate(lower)}
        ends = [sorted(place[child] for child in box.below) for box in upper]
        flat = [(i, j) for i, own in enumerate(ends) for j in own]
        count += sum(a < c and b > d for k, (a, b) in enumerate(flat) for c, d in flat[k + 1 :])
    return count


def _place(ranks, left, top):
    """x of every box: as near to its neighbours as the others in its rank allow. y: below the rank above."""
    for rank in ranks:
        places = np.cumsum([box.width + BETWEEN for box in rank])
        for box, x in zip(rank, places - places[-1] / 2, strict=True):
            box.x = x - (box.width + BETWEEN) / 2
    pulls = {box: _pulls(box) for rank in ranks for box in rank}
    for turn in range(100):
        for rank in ranks if turn % 2 else ranks[::-1]:
            weights = [sum(pull for _, pull in pulls[box]) for box in rank]
            widths = np.array([box.width for box in rank])
            steps = np.cumsum(np.append(0, (widths[:-1] + widths[1:]) / 2 + BETWEEN))
            wants = [sum(n.x * pull for n, pull in pulls[box]) / w for box, w in zip(rank, weights, strict=True)]
            for box, x in zip(rank, _rising(np.array(wants) - steps, weights) + steps, strict=True):
                box.x = x
    least = min(box.x - box.width / 2 for rank in ranks for box in rank)
    y = top
    for rank in ranks:
        for box in rank:
            box.x, box.y = box.x - least + left, y
        y += max(box.height for box in rank) + SPACE


def _pulls(box):
    """[(neighbour, how strongly it pulls)]: a chain, and a long edge, shall be straight."""
    pulls = [(n, STIFF if len(n.below) == 1 == len(box.above) else 1) for n in box.above]
    pulls += [(n, STIFF if len(n.above) == 1 == len(box.below) else 1) for n in box.below]
    return pulls or [(box, 1)]


def _rising(wants, weights):
    """The rising sequence nearest to `wants`, by weighted least squares: neighbours that fall share their mean."""
    blocks = []
    for want, weight in zip(wants, weights, strict=True):
        blocks.append([want, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m, i), (b, n, j) = blocks[-2:]
            blocks[-2:] = [[(a * m + b * n) / (m + n), m + n, i + j]]
    return np.concatenate([np.full(count, mean) for mean, _, count in blocks])
