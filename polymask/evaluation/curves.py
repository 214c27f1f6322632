"""Curves of a class: precision against recall, and F1 against the confidence, with the confidence that is best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.figures import IOUS, RECALLS, Evaluation
from polymask.evaluation.matches import Matches

_CURVE_IOUS = (0.5, 0.75)
_CONFIDENCES = np.arange(101) / 100


def precision_recall(evaluation: Evaluation, category: int) -> dict[str, list[tuple[float, float]]]:
    """COCO's curve of a class, of which its AP is the mean: IoU -> (recall, precision) at its 101 recalls.

    It is empty where there is nothing to find.
    """
    curves = {}
    for iou in _CURVE_IOUS:
        precision = evaluation.eval["precision"][np.argmin(np.abs(IOUS - iou)), :, category, 0, -1]
        points = zip(RECALLS.round(2).tolist(), precision.tolist(), strict=True)
        curves[f"{iou:.2f}"] = list(points) if (precision > -1).all() else []
    return curves


def f1_curve(matches: Matches, category: int) -> list[tuple[float, float]]:
    """(confidence, F1): F1 at IoU .50 of the detections that are as confident as that, or more.

    At 101 confidences from 0 to 1; empty where nothing is annotated.
    """
    scores, found, wanted = _ranked(matches, category)
    if not wanted:
        return []
    kept = np.searchsorted(-scores, -_CONFIDENCES, side="right")
    values = _f1(np.insert(found, 0, 0)[kept], kept, wanted)
    return list(zip(_CONFIDENCES.tolist(), values.tolist(), strict=True))


def best_threshold(matches: Matches, category: int) -> float | None:
    """The confidence above which F1 at IoU .50 is highest, and of several such the highest.

    It is midway between the least confident detection to keep and the next one, or 0: as far as possible
    from both. None where nothing is annotated or nothing found is right.
    """
    scores, found, wanted = _ranked(matches, category)
    if not wanted or not found.size or not found[-1]:
        return None
    ends = np.flatnonzero(np.diff(scores, append=-1))  # equal scores are kept or dropped together
    best = int(np.argmax(_f1(found[ends], ends + 1, wanted)))
    lowest, rest = scores[ends[best]], scores[ends[best] + 1 :]
    return float(lowest + (rest[0] if rest.size else 0.0)) / 2


def _ranked(matches: Matches, category: int) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """Descending scores of a class, the number of annotations found up to each, and that of annotations."""
    own = matches.of_class(category)
    return matches.found.score[own], np.cumsum(matches.hit[0, 0, own]), int(matches.wanted[0, category].sum())


def _f1(found: NDArray[np.int64], kept: NDArray[np.int64], wanted: int) -> NDArray[np.float64]:
    """2 P R / (P + R), with nothing to divide by zero."""
    return 2 * found / (kept + wanted)
