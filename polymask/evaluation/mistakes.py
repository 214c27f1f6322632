"""What kind of mistake each wrong detection is, and how much AP each kind costs.

After Bolya, Foley, Hays and Hoffman: TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020
(https://arxiv.org/abs/2008.08115), section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.counting import average_precision
from polymask.evaluation.read import Detections, Truth
from polymask.evaluation.records import KINDS

# The paper's thresholds t_f and t_b: IoUs from which a detection is right, and below which it is background.
FOREGROUND = 0.5
BACKGROUND = 0.1

CORRECT = -1
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND_KIND, MISSED = range(len(KINDS))


@dataclass(frozen=True)
class Mistakes:
    """What is wrong in one photo with d detections, in the order of their confidence, and g annotations.

    Attributes:
        kind: (d,) of each detection, an index of KINDS or CORRECT.
        annotation: (d,) the one that it finds, or that it would find without a mistake of classification or
            localisation; -1 for none.
        found: (g,) whether each annotation is found.
        missed: (g,) whether nothing finds it, nor would without such a mistake.
    """

    kind: NDArray[np.int64]
    annotation: NDArray[np.int64]
    found: NDArray[np.bool_]
    missed: NDArray[np.bool_]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of mistakes in the photo, in the order of KINDS."""
        present = {*self.kind.tolist(), *([MISSED] if self.missed.any() else [])}
        return tuple(name for index, name in enumerate(KINDS) if index in present)


def mistakes_of(overlaps: NDArray[np.float64], found: NDArray[np.int64], annotated: NDArray[np.int64]) -> Mistakes:
    """Finds the kind of mistake of each detection of a photo.

    A detection is correct if the annotation of its class that it overlaps most, of those that no more confident one has
    taken, has an IoU of .5 with it. Any other detection is the first of these that applies, with IoUs of annotations
    that are found as well as of those that are not: localisation (.1 to .5 with one of its class), classification (.5
    with one of another class), duplicate (.5 with one of its class), background (.1 at most with any), both.

    Args:
        overlaps: (d, g) IoUs.
        found: (d,) classes of the detections in the order of their confidence.
        annotated: (g,) classes of the annotations.
    """
    detections, annotations = overlaps.shape
    kind = np.full(detections, BACKGROUND_KIND)
    target = np.full(detections, -1)
    taken = np.zeros(annotations, dtype=bool)
    if not annotations:
        return Mistakes(kind, target, taken, taken)
    same = found[:, None] == annotated
    own, other = np.where(same, overlaps, 0), np.where(same, 0, overlaps)
    for index in np.flatnonzero(own.max(axis=1) >= FOREGROUND):
        free = np.where(taken, 0, own[index])
        best = int(free.argmax())
        if free[best] >= FOREGROUND:
            taken[best], target[index], kind[index] = True, best, CORRECT
    near = own.max(axis=1)
    rules = {
        CORRECT: kind == CORRECT,
        LOCALISATION: (near >= BACKGROUND) & (near <= FOREGROUND),
        CLASSIFICATION: other.max(axis=1) >= FOREGROUND,
        DUPLICATE: near >= FOREGROUND,
        BACKGROUND_KIND: overlaps.max(axis=1) <= BACKGROUND,
    }
    kind = np.select(list(rules.values()), list(rules), BOTH)
    for which, ious in ((LOCALISATION, own), (CLASSIFICATION, other)):
        target[kind == which] = ious[kind == which].argmax(axis=1)
    missed = ~taken
    missed[target[target >= 0]] = False
    return Mistakes(kind, target, taken, missed)


@dataclass(frozen=True)
class MistakeCosts:
    """AP50 in points that would be gained without the mistakes of a kind: of all classes, and of each.

    That of all is the gain of their mean; classes that are not annotated are left out.
    """

    overall: dict[str, float]
    by_class: list[dict[str, float]]


def costs_of(truth: Truth, found: Detections, overlaps: list[NDArray[np.float64]]) -> MistakeCosts:
    """What each kind of mistake costs: the paper's dAP, where each kind alone is corrected.

    Then a mistake of classification or localisation becomes a correct detection, if it is the most confident one for
    its annotation and nothing else finds that, and disappears otherwise; other wrong detections disappear; missed
    annotations are not asked for. A class of which nothing is left to ask for has an AP of 100.

    AP is the mean of interpolated precision at 101 recalls, at IoU .5, of all detections.

    Args:
        overlaps: see ``overlaps_of``.
    """
    classes = len(truth.classes)
    wanted = np.bincount(truth.objects.category, minlength=classes)
    kind, corrected, missed = _mistakes_of_all(truth, found, overlaps)
    category, score, correct = found.category, found.score, kind == CORRECT
    before = _average_precisions(category, score, correct, wanted)
    gains = {}
    for index, name in enumerate(KINDS):
        becomes_correct = (kind == index) & (corrected >= 0)
        kept = (kind != index) | becomes_correct
        after = _average_precisions(
            np.where(becomes_correct, corrected, category)[kept],
            score[kept],
            (correct | becomes_correct)[kept],
            wanted - missed if index == MISSED else wanted,
        )
        gains[name] = np.where(wanted > 0, after - before, 0)
    asked = max(1, int(np.count_nonzero(wanted)))
    overall = {name: max(0.0, float(values.sum()) / asked) for name, values in gains.items()}
    by_class = [{name: max(0.0, float(values[k])) for name, values in gains.items()} for k in range(classes)]
    return MistakeCosts(overall, by_class)


def _mistakes_of_all(
    truth: Truth, found: Detections, overlaps: list[NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The kinds of all detections and their ``_corrections``; and of each class how many annotations are missed."""
    annotated, classes = truth.objects.category, len(truth.classes)
    missed = np.zeros(classes, dtype=np.int64)
    parts = []
    for index, ious in enumerate(overlaps):
        there = annotated[truth.objects.of_photo(index)]
        mistakes = mistakes_of(ious, found.category[found.of_photo(index)], there)
        parts.append((mistakes.kind, _corrections(mistakes, there)))
        missed += np.bincount(there[mistakes.missed], minlength=classes)
    kind, corrected = (np.concatenate(columns) for columns in zip(*parts))
    return kind, corrected, missed


def _corrections(mistakes: Mistakes, annotated: NDArray[np.int64]) -> NDArray[np.int64]:
    """(d,) the class of the annotation that a detection would find if it were corrected, or -1.

    Only the first detection of an annotation has one, of classification and localisation together, and none if
    another detection finds the annotation.
    """
    corrected = np.full(len(mistakes.kind), -1)
    candidates = np.flatnonzero(np.isin(mistakes.kind, (LOCALISATION, CLASSIFICATION)))
    candidates = candidates[~mistakes.found[mistakes.annotation[candidates]]]
    annotations, first = np.unique(mistakes.annotation[candidates], return_index=True)
    corrected[candidates[first]] = annotated[annotations]
    return corrected


def _average_precisions(
    category: NDArray[np.int64], score: NDArray[np.float64], correct: NDArray[np.bool_], wanted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(K,) AP in percent of each class; 100 where nothing is wanted."""
    aps = np.full(len(wanted), 100.0)
    for index in np.flatnonzero(wanted):
        own = category == index
        aps[index] = 100 * average_precision(score[own], correct[own], int(wanted[index]))
    return aps
