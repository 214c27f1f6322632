"""What kind of mistake each wrong detection is, and how much AP each kind costs.

After Bolya, Foley, Hays and Hoffman: TIDE: A General Toolbox for Identifying Object Detection Errors, ECCV 2020
(https://arxiv.org/abs/2008.08115), section 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.counting import Evaluation
from polymask.evaluation.records import KINDS

# The paper's thresholds t_f and t_b: IoUs from which a detection is right, and below which it is background.
FOREGROUND = 0.5
BACKGROUND = 0.1

# Of each photo the most confident ones, whatever their classes.
_DETECTIONS = 100

CORRECT = -1
CLASSIFICATION, LOCALISATION, BOTH, DUPLICATE, BACKGROUND_KIND, MISSED = range(len(KINDS))

_RECALLS = np.arange(101) / 100


@dataclass(frozen=True)
class Mistakes:
    """What is wrong in one photo with d detections, in the order of their confidence, and g annotations.

    Attributes:
        kind: (d,) of each detection, an index of KINDS or CORRECT.
        annotation: (d,) the one that it finds, or that it would find without a mistake of classification or
            localisation; -1 for none.
        overlap: (d,) its IoU with that annotation.
        found: (g,) whether each annotation is found.
        missed: (g,) whether nothing finds it, nor would without such a mistake.
    """

    kind: NDArray[np.int64]
    annotation: NDArray[np.int64]
    overlap: NDArray[np.float64]
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
    target, overlap = np.full(detections, -1), np.zeros(detections)
    if not annotations:
        return Mistakes(kind, target, overlap, np.zeros(0, bool), np.zeros(0, bool))
    same = found[:, None] == annotated
    taken = np.zeros(annotations, dtype=bool)
    of_class = np.where(same, overlaps, 0)
    for index in np.flatnonzero(of_class.max(axis=1) >= FOREGROUND):
        free = np.where(taken, 0, of_class[index])
        best = int(free.argmax())
        if free[best] >= FOREGROUND:
            taken[best], target[index], kind[index] = True, best, CORRECT
    wrong = np.flatnonzero(kind != CORRECT)
    own, other = of_class[wrong], np.where(same, 0, overlaps)[wrong]
    near = own.max(axis=1)
    kind[wrong] = np.select(
        [
            (near >= BACKGROUND) & (near <= FOREGROUND),
            other.max(axis=1) >= FOREGROUND,
            near >= FOREGROUND,
            overlaps[wrong].max(axis=1) <= BACKGROUND,
        ],
        [LOCALISATION, CLASSIFICATION, DUPLICATE, BACKGROUND_KIND],
        BOTH,
    )
    for which, of in ((LOCALISATION, own), (CLASSIFICATION, other)):
        rows = kind[wrong] == which
        target[wrong[rows]] = of[rows].argmax(axis=1)
    overlap[target >= 0] = overlaps[target >= 0, target[target >= 0]]
    missed = ~taken
    missed[target[np.isin(kind, (LOCALISATION, CLASSIFICATION))]] = False
    return Mistakes(kind, target, overlap, taken, missed)


@dataclass(frozen=True)
class _Ranking:
    """What AP is computed from: N detections and, for each of K classes, the number of annotations."""

    category: NDArray[np.int64]
    score: NDArray[np.float64]
    correct: NDArray[np.bool_]
    wanted: NDArray[np.int64]

    def kept(self, which: NDArray[np.bool_]) -> _Ranking:
        return replace(self, category=self.category[which], score=self.score[which], correct=self.correct[which])


@dataclass(frozen=True)
class MistakeCosts:
    """AP50 in points that would be gained without the mistakes of a kind: of all classes, and of each.

    That of all is the gain of their mean; classes that are not annotated are no part of it.
    """

    overall: dict[str, float]
    by_class: list[dict[str, float]]


def costs_of(evaluation: Evaluation) -> MistakeCosts:
    """What each kind of mistake costs: the paper's dAP, each kind mended alone.

    Mending means: a mistake of classification or localisation becomes a correct detection, if it is the most confident
    one for its annotation and that isn't found anyway, and disappears otherwise; other wrong detections disappear;
    missed annotations are no longer asked for. A class of which nothing is left to ask for has an AP of 100.

    AP is the mean of interpolated precision at 101 recalls, at IoU .5 of the 100 most confident detections of a photo.
    """
    there, found = evaluation.truth.objects, evaluation.found
    classes = len(evaluation.truth.classes)
    columns: dict[str, list[NDArray]] = {"rows": [], "kind": [], "target": [], "mended": []}
    missed = np.zeros(classes, dtype=np.int64)
    for start, annotated_from, mistakes in _by_photo(evaluation):
        first = _first_of_each(mistakes)
        columns["rows"].append(start + np.arange(len(mistakes.kind)))
        columns["kind"].append(mistakes.kind)
        columns["target"].append(np.where(mistakes.annotation < 0, -1, annotated_from + mistakes.annotation))
        columns["mended"].append(first)
        np.add.at(missed, there.category[annotated_from + np.flatnonzero(mistakes.missed)], 1)
    rows, kind, target, mended = (np.concatenate(parts) for parts in columns.values())
    wanted = np.bincount(there.category, minlength=classes)
    ranking = _Ranking(found.category[rows], found.score[rows], kind == CORRECT, wanted)
    before = _average_precisions(ranking)
    after = {}
    for index, name in enumerate(KINDS):
        if index == MISSED:
            better = replace(ranking, wanted=wanted - missed)
        elif index in (CLASSIFICATION, LOCALISATION):
            own = (kind == index) & mended
            right = there.category[np.where(own, target, 0)] if len(there) else ranking.category
            better = replace(
                ranking, category=np.where(own, right, ranking.category), correct=ranking.correct | own
            ).kept((kind != index) | own)
        else:
            better = ranking.kept(kind != index)
        after[name] = _average_precisions(better)
    asked = wanted > 0
    gains = {name: np.where(asked, values - before, 0) for name, values in after.items()}
    overall = {name: max(0.0, float(values.sum() / max(1, asked.sum()))) for name, values in gains.items()}
    by_class = [{name: max(0.0, float(values[k])) for name, values in gains.items()} for k in range(classes)]
    return MistakeCosts(overall, by_class)


def _by_photo(evaluation: Evaluation) -> Iterator[tuple[int, int, Mistakes]]:
    """For each photo: where its detections and its annotations start, and what is wrong."""
    there, found = evaluation.truth.objects, evaluation.found
    for index, overlaps in enumerate(evaluation.overlaps):
        start, annotated_from = int(found.starts[index]), int(there.starts[index])
        overlaps = overlaps[:_DETECTIONS]
        mine = found.category[start : start + len(overlaps)]
        theirs = there.category[annotated_from : annotated_from + overlaps.shape[1]]
        yield start, annotated_from, mistakes_of(overlaps, mine, theirs)


def _first_of_each(mistakes: Mistakes) -> NDArray[np.bool_]:
    """(d,) whether a mistake is the first, of classification and localisation together, that could find its annotation.

    Those whose annotation is found anyway are not.
    """
    first = np.zeros(len(mistakes.kind), dtype=bool)
    candidates = np.flatnonzero(np.isin(mistakes.kind, (LOCALISATION, CLASSIFICATION)))
    candidates = candidates[~mistakes.found[mistakes.annotation[candidates]]]
    _, where = np.unique(mistakes.annotation[candidates], return_index=True)
    first[candidates[where]] = True
    return first


def _average_precisions(ranking: _Ranking) -> NDArray[np.float64]:
    """(K,) AP in percent of each class; 100 where nothing is wanted."""
    order = np.argsort(-ranking.score, kind="stable")
    category, correct = ranking.category[order], ranking.correct[order]
    aps = np.full(len(ranking.wanted), 100.0)
    for index in np.flatnonzero(ranking.wanted):
        found = np.cumsum(correct[category == index])
        precision = found / np.arange(1, len(found) + 1)
        best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
        reached = np.searchsorted(found / ranking.wanted[index], _RECALLS)
        aps[index] = 100 * best[reached].mean()
    return aps
