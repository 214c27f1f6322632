"""Which photos a model would learn from most: its uncertainty about each, and a choice that covers them. Pure functions.

Uncertainty: a detection of score s is at the margin |2 s - 1| between its class and everything else, and counts
(1 - margin)^2, from 0 where the model is sure to 1 where it could as well toss a coin; a photo has the sum over its
detections. That is "1-vs-2" with the aggregation "sum" of Brust, Käding and Denzler 2019, "Active Learning for Deep
Object Detection" (https://arxiv.org/abs/1809.09875), with margin sampling after Settles 2009, "Active Learning
Literature Survey", section 3.1. A detector hands out the score of the winner only: the runner-up is taken to have all the
rest, as it does with one class. The square matters: of the entropy, dozens of detections that score 0.06 would make more
than one at 0.5.

Diversity: k centres, so that no photo is far from one that is annotated (the core set of Sener and Savarese 2018,
https://arxiv.org/abs/1708.00489), each photo's distance multiplied by its uncertainty. The greedy choice for weighted
points is that of Dyer and Frieze 1985, "A simple heuristic for the p-centre problem", Operations Research Letters 3(6).
The product has no parameter, and it does not matter in which unit either factor is measured. A near copy of a photo that
is annotated, or chosen already, has next to no distance: it comes before another only if the model is many times as
unsure about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Pick:
    """A point that was chosen.

    Attributes:
        index: of the point.
        nearest: the point among the centres before it that is nearest to it; None where there was none.
        distance: to that one.
    """

    index: int
    nearest: int | None = None
    distance: float | None = None


def detection_uncertainty(scores: np.ndarray) -> np.ndarray:
    """How unsure each detection is, from 0 to 1.

    Args:
        scores: (N,), 0 to 1.
    """
    return (1 - np.abs(2 * np.asarray(scores, dtype=np.float64) - 1)) ** 2


def uncertainty(scores: np.ndarray) -> float:
    """How unsure a model is about a photo: 0 where it found nothing.

    Args:
        scores: of the photo's detections; (N,), 0 to 1.
    """
    return float(detection_uncertainty(scores).sum())


def weighted_centres(points: np.ndarray, weights: np.ndarray, given: Sequence[int], count: int) -> list[Pick]:
    """Further centres, chosen one after another: always the point whose weight times distance to all centres is largest.

    Where that is equal, above all where it is 0, the farther point comes first, then the heavier, then the earlier.
    Without a centre to begin with, the heaviest point is the first.

    The largest weight times distance that remains, over all points, is at most min(3, 1 + a) times as large as with the
    best choice there is, where a is the ratio of the largest to the smallest weight (Dyer and Frieze 1985).

    Args:
        points: (N, D).
        weights: (N,), none below 0.
        given: the points that are centres already; their weights play no part.
        count: how many to choose; all others, where there are not so many.
    """
    points = np.asarray(points, dtype=np.float64)
    weights = np.asarray(weights, dtype=np.float64)
    distance, nearest = np.full(len(points), np.inf), np.full(len(points), -1)
    open_ = np.ones(len(points), dtype=bool)

    def add(centre: int) -> None:
        to_it = np.linalg.norm(points - points[centre], axis=1)
        nearest[to_it < distance] = centre
        np.minimum(distance, to_it, out=distance)
        open_[centre] = False

    for centre in given:
        add(centre)
    picks = []
    while len(picks) < count and open_.any():
        left = np.flatnonzero(open_)
        if open_.all():  # there is no centre yet
            pick = Pick(int(left[np.argmax(weights)]))
        else:
            far, heavy = distance[left], weights[left]
            best = left[np.lexsort((-left, heavy, far, heavy * far))[-1]]
            pick = Pick(int(best), int(nearest[best]), float(distance[best]))
        picks.append(pick)
        add(pick.index)
    return picks
