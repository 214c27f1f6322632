"""COCO's twelve figures, from precision and recall as they were counted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.read import Detections, Truth

# COCO's parameters, as hotcoco and pycocotools have them.
IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = ((0, 1e5**2), (0, 32**2), (32**2, 96**2), (96**2, 1e5**2))  # all, small, medium, large: px2
LIMITS = (1, 10, 100)  # how many detections of a photo and class count, the most confident ones

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")

_EVERY_CLASS = slice(None)


@dataclass(frozen=True)
class Evaluation:
    """A counted evaluation of boxes or masks. T IoUs, R recalls, K classes, A areas: see the constants.

    Attributes:
        task: ``bbox`` or ``segm``.
        truth: what is annotated.
        found: the detections.
        limits: M numbers of detections of a photo and class: COCO's LIMITS, and where a photo has more of a class, as
            many as there are. All figures are of the last one, but for AR1, AR10 and AR100.
        eval: as in pycocotools, ``precision`` (T, R, K, A, M) and ``recall`` (T, K, A, M), 0 to 1; -1 where there is
            nothing to find.
    """

    task: str
    truth: Truth
    found: Detections
    limits: tuple[int, ...]
    eval: dict[str, NDArray[np.float64]]

    @property
    def stats(self) -> NDArray[np.float64]:
        """The FIGURES of all classes as pycocotools has them: 0 to 1, or -1."""
        return np.array(_means(self, _EVERY_CLASS))


def figures_of(evaluation: Evaluation, classes: slice = _EVERY_CLASS) -> dict[str, float | None]:
    """The FIGURES of some classes in percent; None where there is nothing to find."""
    means = zip(FIGURES, _means(evaluation, classes), strict=True)
    return {name: 100 * value if value > -1 else None for name, value in means}


def cocos_ap(evaluation: Evaluation, classes: slice = _EVERY_CLASS) -> float | None:
    """AP of some classes in percent where 100 detections of a photo and class count; None where that is no other figure."""
    ap, of_all = (_mean(evaluation.eval["precision"][:, :, classes, 0, limit]) for limit in (len(LIMITS) - 1, -1))
    return None if ap == of_all else 100 * ap


def _means(evaluation: Evaluation, classes: slice) -> list[float]:
    precision = evaluation.eval["precision"][:, :, classes, :, -1]
    recall = evaluation.eval["recall"][:, classes]
    parts = [precision[..., 0], precision[0, ..., 0], precision[5, ..., 0]]  # IoU .50 and .75
    parts += [precision[..., area] for area in (1, 2, 3)]
    parts += [recall[..., 0, limit] for limit in (0, 1, 2)]
    parts += [recall[..., area, -1] for area in (1, 2, 3)]
    return [_mean(part) for part in parts]


def _mean(values: NDArray[np.float64]) -> float:
    """Of what is defined, or -1."""
    return float(values[values > -1].mean()) if (values > -1).any() else -1.0
