"""Which detections match an annotation, for each IoU and area of COCO, in columns: what intervals are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.counting import match
from polymask.evaluation.figures import AREAS, Evaluation
from polymask.evaluation.read import Detections


@dataclass(frozen=True)
class Matches:
    """D detections, and what they match. A areas and T IoUs are COCO's.

    Attributes:
        photos: their number, P.
        classes: their number, K.
        found: the detections.
        hit: (A, T, D) whether it finds an annotation whose area is in the range.
        counted: (A, T, D) whether it is right or wrong. The others are ignored: outside the range of areas, or in a
            crowd.
        wanted: (A, K, P) annotations to find.
    """

    photos: int
    classes: int
    found: Detections
    hit: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    wanted: NDArray[np.int64]

    def of_class(self, category: int) -> NDArray[np.int64]:
        """Indices of the detections of a class, the most confident first."""
        own = np.flatnonzero(self.found.category == category)
        return own[np.argsort(-self.found.score[own], kind="stable")]


def matches_of(evaluation: Evaluation) -> Matches:
    """The matches behind an evaluation."""
    truth, found = evaluation.truth, evaluation.found
    hit, counted, wanted = match(evaluation)
    numbers = np.zeros((len(AREAS), len(truth.classes), len(truth.photos)), dtype=np.int64)
    area, annotation = np.nonzero(wanted)
    np.add.at(numbers, (area, truth.objects.category[annotation], truth.objects.photo[annotation]), 1)
    return Matches(
        photos=len(truth.photos),
        classes=len(truth.classes),
        found=found,
        hit=hit,
        counted=counted,
        wanted=numbers,
    )
