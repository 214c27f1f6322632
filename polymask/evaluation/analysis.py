"""All that explains the evaluation of one split, from its COCO file and its detections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset_tools.errors import UserError
from polymask.evaluation.confusion import confusion_of
from polymask.evaluation.counting import count
from polymask.evaluation.curves import best_threshold, f1_curve, precision_recall
from polymask.evaluation.figures import Evaluation, cocos_ap, figures_of
from polymask.evaluation.intervals import SAMPLES, intervals
from polymask.evaluation.matches import Matches, matches_of
from polymask.evaluation.mistakes import CORRECT, Mistakes, costs_of, mistakes_of
from polymask.evaluation.overlaps import overlaps_of
from polymask.evaluation.read import TASKS, Detections, Truth, read_detections, read_truth
from polymask.evaluation.records import Analysis, ClassAnalysis, Figure, PhotoAnalysis, TaskFigures

DEFAULT_THRESHOLD = 0.5


@dataclass(frozen=True)
class _Photo:
    """One photo with the detections above the threshold of their class."""

    record: PhotoAnalysis
    confusion: NDArray[np.int64]
    ious: list[tuple[int, float]]  # class and IoU of each correct detection


def analyse(
    truth: Path,
    detections: Path | list[dict],
    *,
    dataset: str,
    split: str,
    thresholds: dict[str, float] | None = None,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Analysis:
    """Counts and explains the detections of a model on a split.

    Args:
        truth: the split's COCO file.
        detections: a file of results in COCO's format with boxes and masks, or what is in one.
        dataset: its name.
        split: train, val or test.
        thresholds: class -> confidence in use, found on another split (VAL); where a class has none, this split's own
            is in use.
        samples: drawings of the bootstrap.
        seed: of the bootstrap.

    Raises:
        UserError: a file cannot be read, the split has no photos or has crowds, or the detections are of another
            dataset.
    """
    annotated = read_truth(truth)
    if annotated.objects.crowd.any():
        raise UserError(
            "the split has crowds (iscrowd 1), in which single mistakes cannot be found",
            file=truth,
            remedy="Take the dataset over with python -m dataset_tools convert, which leaves them out",
        )
    found = read_detections(detections, annotated)
    evaluations = {task: count(annotated, found, task) for task in TASKS}
    matches = {task: matches_of(evaluations[task]) for task in TASKS}
    figures = {task: _figures(evaluations[task], matches[task], samples, seed) for task in TASKS}
    best = {name: best_threshold(matches["segm"], index) for index, name in enumerate(annotated.classes)}
    in_use, origin = _thresholds_in_use(thresholds, best)
    overlaps = overlaps_of(annotated, found)
    photos = _photos(annotated, found, overlaps, np.array([in_use[name] for name in annotated.classes]))
    costs = costs_of(annotated, found, overlaps)
    ious = [pair for photo in photos for pair in photo.ious]
    classes = tuple(
        ClassAnalysis(
            name=name,
            instances=int((annotated.objects.category == index).sum()),
            segm=figures["segm"][index],
            bbox=figures["bbox"][index],
            precision_recall=precision_recall(evaluations["segm"], index),
            f1=f1_curve(matches["segm"], index),
            best_threshold=best[name],
            mean_iou=_mean_iou(iou for category, iou in ious if category == index),
            errors=costs.by_class[index],
        )
        for index, name in enumerate(annotated.classes)
    )
    return Analysis(
        dataset=dataset,
        split=split,
        photos=len(photos),
        instances=len(annotated.objects),
        detections=len(found),
        segm=figures["segm"][-1],
        bbox=figures["bbox"][-1],
        classes=classes,
        thresholds=in_use,
        thresholds_from=origin,
        confusion=tuple(map(tuple, np.sum([photo.confusion for photo in photos], axis=0).tolist())),
        errors=costs.overall,
        mean_iou=_mean_iou(iou for _, iou in ious),
        photos_detail=tuple(photo.record for photo in photos),
    )


def _figures(evaluation: Evaluation, matches: Matches, samples: int, seed: int) -> list[TaskFigures]:
    """Of each class, and last of all."""
    parts = [*(slice(index, index + 1) for index in range(matches.classes)), slice(None)]
    # Of a single photo all drawings are the same: it says nothing of how much photos differ.
    spread = intervals(matches, samples, seed) if matches.photos > 1 else [{}] * len(parts)
    return [
        TaskFigures(
            **{name: Figure(value, interval.get(name)) for name, value in figures_of(evaluation, part).items()},
            cocos_AP=cocos_ap(evaluation, part),
        )
        for part, interval in zip(parts, spread, strict=True)
    ]


def _thresholds_in_use(given: dict[str, float] | None, own: dict[str, float | None]) -> tuple[dict[str, float], str]:
    """Class -> confidence, and where they are from, as ``Analysis`` has it."""
    in_use = {}
    for name, value in own.items():
        candidates = ((given or {}).get(name), value, DEFAULT_THRESHOLD)
        in_use[name] = next(candidate for candidate in candidates if candidate is not None)
    if given:
        return in_use, "val"
    return in_use, "default" if all(value is None for value in own.values()) else "this split"


def _photos(
    truth: Truth, found: Detections, overlaps: list[NDArray[np.float64]], thresholds: NDArray[np.float64]
) -> list[_Photo]:
    """Each photo as it looks at these confidences, one for each class."""
    kept = found.score >= thresholds[found.category]
    photos = []
    for index, image in enumerate(truth.photos):
        own = found.of_photo(index)
        ious = overlaps[index][kept[own]]
        category, annotated = found.category[own][kept[own]], truth.objects.category[truth.objects.of_photo(index)]
        mistakes = mistakes_of(ious, category, annotated)
        record = PhotoAnalysis(
            image_id=image.id,
            file_name=image.file_name,
            score=_f1(mistakes),
            classes=tuple(truth.classes[k] for k in np.unique(np.concatenate([category, annotated])).tolist()),
            kinds=mistakes.kinds,
            instances=len(annotated),
            detections=len(kept[own]),
        )
        correct = np.flatnonzero(mistakes.kind == CORRECT)
        of_correct = ious[correct, mistakes.annotation[correct]].tolist()
        confusion = confusion_of(ious, category, annotated, mistakes, len(truth.classes))
        photos.append(_Photo(record, confusion, list(zip(category[correct].tolist(), of_correct, strict=True))))
    return photos


def _f1(mistakes: Mistakes) -> float:
    """1 where nothing is there and nothing found."""
    objects = len(mistakes.kind) + len(mistakes.found)
    return 2 * float(mistakes.found.sum()) / objects if objects else 1.0


def _mean_iou(values: Iterable[float]) -> float | None:
    values = list(values)
    return 100 * float(np.mean(values)) if values else None
