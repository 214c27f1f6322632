"""Which annotations are likely wrong, by what a model finds that has not learned from their photos. Pure functions.

Missing objects, wrong classes and bad outlines are what ObjectLab calls overlooked, swapped and badly located (Tkachenko,
Thyagarajan and Mueller 2023, https://arxiv.org/abs/2309.00832). The scores are our own: each compares with what is usual in
the run itself, so that one list can hold all kinds, and what a weak model contradicts often counts less.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.mistakes import BACKGROUND, FOREGROUND
from polymask.evaluation.overlaps import mask_overlaps
from polymask.evaluation.read import Annotations, Detections, Objects, Truth

KINDS = ("missing", "wrong class", "bad outline", "duplicate", "unsupported")

LEAST_SCORE = 0.5  # what scores less is more likely right than wrong
NEAR = 60  # so many others say what is usual: the nearest in confidence, or in size
CONFIDENT = 0.3  # what is less confident does not say where an outline should be
SUPPORTED = 0.25  # confidence times IoU, such as 0.5 each
RIGHT_OUTLINES = 30  # for each bad one
FEW_OUTLINES = 10  # do not tell what is usual
# Added to 1 - IoU, whose logarithm is compared, and the least spread of that: what a pixel more or less makes.
LOOSE, LEAST_SPREAD = 0.05, 0.1


class Suspect(NamedTuple):
    """Something that is likely wrong.

    Attributes:
        kind: of KINDS.
        photo: index in the split.
        box: XYWH in px of the photo.
        score: how likely it is, LEAST_SCORE to 1.
        reason: in words.
        annotation: index in the split; None where it is missing.
        detection: index in the split of what speaks against the annotation; None where nothing does.
    """

    kind: str
    photo: int
    box: tuple[float, float, float, float]
    score: float
    reason: str
    annotation: int | None
    detection: int | None


class _Evidence(NamedTuple):
    """What detections say of N annotations, and annotations of D detections.

    Attributes:
        own, other: (N,) the highest confidence of its class, and of another one, with an IoU of .5; 0 for none.
        rival: (N,) the detection of that other class.
        fit: (N,) the highest IoU with a confident detection of its class; 0 for none.
        model: (N,) that detection.
        support: (N,) the highest product of confidence and IoU, whatever the class.
        right: (D,) whether it is on an annotation of its class.
        alone: (D,) whether nothing is annotated and nothing more confident found where it is.
    """

    own: NDArray[np.float64]
    other: NDArray[np.float64]
    rival: NDArray[np.int64]
    fit: NDArray[np.float64]
    model: NDArray[np.int64]
    support: NDArray[np.float64]
    right: NDArray[np.bool_]
    alone: NDArray[np.bool_]


def find_suspects(truth: Truth, found: Detections) -> list[Suspect]:
    """What is likely wrong in a split, the most likely first; of an annotation only what is most likely.

    Crowds, and what is found in them, are not suspect.
    """
    evidence = _evidence_of(truth, found)
    finders = (_missing, _wrong_classes, _bad_outlines, _duplicates, _unsupported)
    suspects = [suspect for find in finders for suspect in find(truth, found, evidence)]
    first: dict[tuple[int | None, int | None], Suspect] = {}
    for suspect in sorted(suspects, key=lambda suspect: -suspect.score):
        if suspect.score >= LEAST_SCORE:  # what is missing has no annotation
            first.setdefault((suspect.annotation, suspect.detection if suspect.annotation is None else None), suspect)
    return list(first.values())


def _evidence_of(truth: Truth, found: Detections) -> _Evidence:
    there = truth.objects
    own, other, fit, support = np.zeros((4, len(there)))
    rival, model = np.zeros((2, len(there)), dtype=np.int64)
    right, alone = np.zeros((2, len(found)), dtype=bool)
    for index, photo in enumerate(truth.photos):
        annotated, detected = there.of_photo(index), found.of_photo(index)
        masks, seen = there.mask[annotated], found.mask[detected]
        ious, score = mask_overlaps(photo, seen, masks), found.score[detected][:, None]
        no_crowd = ~there.crowd[annotated]
        equal = (found.category[detected][:, None] == there.category[annotated]) & no_crowd
        on = (ious >= FOREGROUND) & no_crowd
        own[annotated], _ = _best(np.where(on & equal, score, 0), detected)
        other[annotated], rival[annotated] = _best(np.where(on & ~equal, score, 0), detected)
        sure = equal & (score >= CONFIDENT) & (ious == ious.max(axis=1, initial=0, keepdims=True))
        fit[annotated], model[annotated] = _best(np.where(sure, ious, 0), detected)
        support[annotated] = (score * ious).max(axis=0, initial=0)
        among = mask_overlaps(photo, seen, seen)
        first = ~(np.tril(among, -1) >= FOREGROUND).any(axis=1)
        inside = (mask_overlaps(photo, seen, masks, of_first=True) >= FOREGROUND).any(axis=1)
        right[detected] = first & (on & equal).any(axis=1)
        has_pixels = np.diagonal(among) > 0  # an empty mask overlaps nothing, itself neither
        alone[detected] = first & ~inside & has_pixels & (ious < BACKGROUND).all(axis=1)
    return _Evidence(own, other, rival, fit, model, support, right, alone)


def _best(values: NDArray[np.float64], detected: slice) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of each annotation of a photo the highest value, at least 0, and the detection of the split that has it."""
    values = np.vstack([values, np.zeros(values.shape[1])])  # there may be no detections
    return values.max(axis=0), detected.start + values.argmax(axis=0)


def _missing(truth: Truth, found: Detections, evidence: _Evidence) -> Iterator[Suspect]:
    """Detections where nothing is annotated: their confidence, times the share of right ones among as confident ones.

    Those that are neither right nor alone (badly placed, of another class, second ones) say nothing of this and are left out.
    """
    rows = np.flatnonzero(evidence.alone | evidence.right)
    rows = rows[np.argsort(found.score[rows], kind="stable")]
    for place in np.flatnonzero(evidence.alone[rows]).tolist():
        row, first = int(rows[place]), max(0, min(place - NEAR // 2, len(rows) - NEAR))
        usual, sure = float(evidence.right[rows[first : first + NEAR]].mean()), float(found.score[row])
        reason = (
            f"nothing is annotated where a {truth.classes[found.category[row]]} is found with confidence {sure:.2f}"
        )
        reason += (
            f"; {usual:.0%} of similarly confident detections match an annotation (wrong classes and places left out)"
        )
        yield _suspect("missing", found, row, usual * sure, reason, row)


def _wrong_classes(truth: Truth, found: Detections, evidence: _Evidence) -> Iterator[Suspect]:
    """Annotations that are found as another class: how often its annotations are found so, against those of their own."""
    category, lead = truth.objects.category, evidence.own - evidence.other
    for row in np.flatnonzero(lead < 0).tolist():
        own, other = category[row], found.category[evidence.rival[row]]
        as_other = float(np.append(lead[category == other] >= -lead[row], False).mean())
        as_own = float((lead[category == own] <= lead[row]).mean())
        reason = f"annotated as {truth.classes[own]}, found as {truth.classes[other]} with confidence "
        reason += f"{evidence.other[row]:.2f} (as {truth.classes[own]}: {evidence.own[row]:.2f})"
        score = as_other / (as_other + as_own)
        yield _suspect("wrong class", truth.objects, row, score, reason, int(evidence.rival[row]))


def _bad_outlines(truth: Truth, found: Detections, evidence: _Evidence) -> Iterator[Suspect]:
    """Annotations whose IoU is low for their class, their size and the confidence, by a linear fit to log(1 + LOOSE - IoU).

    The score is the confidence times the probability of a bad outline, with RIGHT_OUTLINES, normally distributed about the
    fit, for each that is bad.
    """
    rows = np.flatnonzero((evidence.fit > 0) & (evidence.own >= evidence.other))
    if len(rows) < FEW_OUTLINES:
        return
    objects, confidence = truth.objects, found.score[evidence.model[rows]]
    classes = np.eye(len(truth.classes))[objects.category[rows]]
    known = np.column_stack([classes, np.log1p(objects.area[rows]), confidence])
    loose = np.log(1 + LOOSE - evidence.fit[rows])
    usual = known @ np.linalg.lstsq(known, loose)[0]
    usual += np.median(loose - usual)
    excess = loose - usual
    spread = max(LEAST_SPREAD, 1.4826 * float(np.median(np.abs(excess))))  # of a normal distribution, but for outliers
    for row, sure, sigmas, expected in zip(rows.tolist(), confidence, excess / spread, 1 + LOOSE - np.exp(usual)):
        reason = f"has an IoU of {evidence.fit[row]:.2f} with what is found with confidence {sure:.2f}"
        reason += f", where {expected:.2f} is usual"
        score = sure / (1 + RIGHT_OUTLINES * NormalDist().cdf(-sigmas))
        yield _suspect("bad outline", truth.objects, row, score, reason, int(evidence.model[row]))


def _duplicates(truth: Truth, found: Detections, evidence: _Evidence) -> Iterator[Suspect]:
    """Two annotations of a class in one place, unless two detections tell them apart; the score is their IoU."""
    there = truth.objects
    for index, photo in enumerate(truth.photos):
        annotated, detected = there.of_photo(index), found.of_photo(index)
        ious = np.triu(mask_overlaps(photo, there.mask[annotated], there.mask[annotated]), 1)
        for pair in np.argwhere(ious >= FOREGROUND):
            rows, iou = (annotated.start + pair).tolist(), ious[tuple(pair)]
            category, other = there.category[rows]
            if category != other or there.crowd[rows].any():
                continue
            sure = (found.category[detected] == category) & (found.score[detected] >= FOREGROUND)
            seen = [found.mask[row] for row in (detected.start + np.flatnonzero(sure)).tolist()]
            on = mask_overlaps(photo, seen, [there.mask[row] for row in rows])
            if len(set(on[on.max(axis=1) >= FOREGROUND].argmax(axis=1).tolist())) < 2:
                reason = f"has an IoU of {iou:.2f} with another {truth.classes[category]} that is annotated"
                yield _suspect("duplicate", truth.objects, min(rows, key=evidence.support.item), iou, reason)


def _unsupported(truth: Truth, found: Detections, evidence: _Evidence) -> Iterator[Suspect]:
    """Annotations where next to nothing is found: the share of those of their class and size that are found."""
    there, supported = truth.objects, evidence.support >= SUPPORTED
    for row in np.flatnonzero(~supported & ~there.crowd & (evidence.own >= evidence.other)).tolist():
        like = np.flatnonzero((there.category == there.category[row]) & ~there.crowd)
        nearest = np.argsort(np.abs(np.log1p(there.area[like]) - np.log1p(there.area[row])), kind="stable")[:NEAR]
        usual = float(supported[like[nearest]].mean())
        reason = f"next to nothing is found here, and {usual:.0%} of {truth.classes[there.category[row]]} of this size are found"
        yield _suspect("unsupported", truth.objects, row, usual * (1 - evidence.support[row]), reason)


def _suspect(kind: str, objects: Objects, row: int, score: float, reason: str, detection: int | None = None) -> Suspect:
    x, y, width, height = objects.box[row].tolist()
    annotation = row if isinstance(objects, Annotations) else None
    return Suspect(kind, int(objects.photo[row]), (x, y, width, height), float(score), reason, annotation, detection)
