"""Which detections match an annotation, for each IoU and area of COCO: what its figures are computed from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.counting import AREAS, IOUS, LIMITS, Evaluation

# pycocotools lets an IoU of 1 pass a threshold of 1, whatever the last bit says.
_THRESHOLDS = np.minimum(IOUS, 1 - 1e-10)


@dataclass(frozen=True)
class Matches:
    """The detections that COCO counts, D of them: of each photo and class the 100 most confident ones.

    They are in the order of photos, and in a photo in that of their confidence. A areas and T IoUs are COCO's.

    Attributes:
        photos: their number, P.
        classes: their number, K.
        photo: (D,) indices.
        category: (D,) indices.
        score: (D,).
        rank: (D,) among those of its photo and class, from 0.
        inside: (A, D) whether its own area is in the range.
        matched: (A, T, D) whether it matches an annotation of its class.
        hit: (A, T, D) whether that annotation is to be found: its area is in the range, and it is no crowd. A detection
            that is neither a hit nor inside and without a match is ignored.
        wanted: (A, K, P) annotations to find.
    """

    photos: int
    classes: int
    photo: NDArray[np.int64]
    category: NDArray[np.int64]
    score: NDArray[np.float64]
    rank: NDArray[np.int64]
    inside: NDArray[np.bool_]
    matched: NDArray[np.bool_]
    hit: NDArray[np.bool_]
    wanted: NDArray[np.int64]


def matches_of(evaluation: Evaluation) -> Matches:
    """Matches detections as COCO does: each in turn, by confidence, takes the annotation that it overlaps most.

    Of annotations that are left and whose IoU is high enough, those in the range of areas come first, and of equal IoUs
    the last one (``evaluateImg`` of pycocotools).
    """
    truth, found, there = evaluation.truth, evaluation.found, evaluation.truth.objects
    matched = np.zeros((len(AREAS), len(IOUS), len(found)), dtype=bool)
    hit = matched.copy()
    rank = np.zeros(len(found), dtype=np.int64)
    there_inside = _inside(there.mask_area) & ~there.crowd
    for photo, rows, columns in _same_class(evaluation):
        rank[rows] = np.arange(len(rows))
        rows = rows[: LIMITS[-1]]
        if len(columns):
            overlaps = evaluation.overlaps[photo][np.ix_(rows - found.starts[photo], columns - there.starts[photo])]
            matched[:, :, rows], hit[:, :, rows] = _match(overlaps, there_inside[:, columns], there.crowd[columns])
    counted = np.flatnonzero(rank < LIMITS[-1])
    wanted = np.zeros((len(AREAS), len(truth.classes), len(truth.photos)), dtype=np.int64)
    for area, inside in enumerate(there_inside):
        np.add.at(wanted[area], (there.category[inside], there.photo[inside]), 1)
    return Matches(
        photos=len(truth.photos),
        classes=len(truth.classes),
        photo=found.photo[counted],
        category=found.category[counted],
        score=found.score[counted],
        rank=rank[counted],
        inside=_inside(found.area(evaluation.task))[:, counted],
        matched=matched[:, :, counted],
        hit=hit[:, :, counted],
        wanted=wanted,
    )


def _inside(area: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(A, N): in which ranges areas in px2 are; COCO counts both ends."""
    return np.array([(area >= low) & (area <= high) for low, high in AREAS])


def _same_class(evaluation: Evaluation) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
    """For each photo and each class that is found in it: the photo, and indices of detections and annotations."""
    found, there = evaluation.found, evaluation.truth.objects
    for photo in range(len(evaluation.truth.photos)):
        ours = np.arange(found.starts[photo], found.starts[photo + 1])
        theirs = np.arange(there.starts[photo], there.starts[photo + 1])
        for category in np.unique(found.category[ours]):
            yield photo, ours[found.category[ours] == category], theirs[there.category[theirs] == category]


def _match(
    overlaps: NDArray[np.float64], inside: NDArray[np.bool_], crowd: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """``matched`` and ``hit`` (A, T, d) of the detections of one photo and class.

    Args:
        overlaps: (d, g).
        inside: (A, g) whether an annotation is to be found: in the range of areas, and no crowd.
        crowd: (g,) whether it can be matched again and again.
    """
    matched = np.zeros((len(AREAS), len(IOUS), len(overlaps)), dtype=bool)
    hit = matched.copy()
    free = np.ones((len(AREAS), len(IOUS), overlaps.shape[1]), dtype=bool)
    areas, ious = np.ogrid[: len(AREAS), : len(IOUS)]
    for index in np.flatnonzero(overlaps.max(axis=1) >= IOUS[0]):
        row = overlaps[index]
        possible = free & (row >= _THRESHOLDS[:, None])
        regular = possible & inside[:, None]
        hit[:, :, index] = found = regular.any(axis=2)
        matched[:, :, index] = any_found = possible.any(axis=2)
        choice = np.where(np.where(found[:, :, None], regular, possible), row, -1)
        last_best = choice.shape[2] - 1 - choice[:, :, ::-1].argmax(axis=2)
        free[areas, ious, last_best] &= ~any_found | crowd[last_best]
    return matched, hit
