"""All that explains the evaluation of one split, from its COCO file and its detections."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataset_tools.errors import UserError
from polymask.evaluation.confusion import confusion_of
from polymask.evaluation.counting import FIGURES, Evaluation, count, figures_of
from polymask.evaluation.curves import best_threshold, f1_curve, precision_recall
from polymask.evaluation.intervals import SAMPLES, intervals
from polymask.evaluation.matches import Matches, matches_of
from polymask.evaluation.mistakes import CORRECT, Mistakes, costs_of, mistakes_of
from polymask.evaluation.read import TASKS, Truth, read_detections, read_truth
from polymask.evaluation.records import Analysis, ClassAnalysis, Figure, Interval, PhotoAnalysis, TaskFigures

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
            "it has regions with crowds (iscrowd 1), of which single mistakes cannot be told",
            file=truth,
            remedy="Take the dataset over with python -m dataset_tools convert, which leaves them out",
        )
    found = read_detections(detections, annotated, may_be_damaged=isinstance(detections, Path))
    evaluations = {task: count(annotated, found, task) for task in TASKS}
    matches = {task: matches_of(evaluations[task]) for task in TASKS}
    figures = {task: _figures(evaluations[task], matches[task], samples, seed) for task in TASKS}
    best = {name: best_threshold(matches["segm"], index) for index, name in enumerate(annotated.classes)}
    in_use, origin = _thresholds_in_use(thresholds, best)
    photos = _photos(evaluations["segm"], np.array([in_use[name] for name in annotated.classes]))
    costs = costs_of(evaluations["segm"])
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
        confusion=tuple(map(tuple, sum(photo.confusion for photo in photos).tolist())),
        errors=costs.overall,
        mean_iou=_mean_iou(iou for _, iou in ious),
        photos_detail=tuple(photo.record for photo in photos),
    )


def _figures(evaluation: Evaluation, matches: Matches, samples: int, seed: int) -> list[TaskFigures]:
    """Of each class, and last of all."""
    every = slice(None)
    values = [figures_of(evaluation.eval, slice(index, index + 1)) for index in range(matches.classes)]
    values.append(figures_of(evaluation.eval, every))
    # Of a single photo all drawings are the same: it says nothing of how much photos differ.
    spread = intervals(matches, samples, seed) if matches.photos > 1 else [{}] * len(values)
    return [_task_figures(value, interval) for value, interval in zip(values, spread, strict=True)]


def _task_figures(values: dict[str, float | None], spread: dict[str, Interval]) -> TaskFigures:
    return TaskFigures(
        **{name: Figure(values[name], spread.get(name) if values[name] is not None else None) for name in FIGURES}
    )


def _thresholds_in_use(given: dict[str, float] | None, own: dict[str, float | None]) -> tuple[dict[str, float], str]:
    """Class -> confidence, and where they are from, as ``Analysis`` has it."""
    in_use = {}
    for name, value in own.items():
        candidates = ((given or {}).get(name), value, DEFAULT_THRESHOLD)
        in_use[name] = next(candidate for candidate in candidates if candidate is not None)
    if given:
        return in_use, "val"
    return in_use, "default" if all(value is None for value in own.values()) else "this split"


def _photos(evaluation: Evaluation, thresholds: NDArray[np.float64]) -> list[_Photo]:
    """Each photo as it looks at these confidences, one for each class."""
    truth, found, there = evaluation.truth, evaluation.found, evaluation.truth.objects
    kept = found.score >= thresholds[found.category]
    photos = []
    for index, image in enumerate(truth.photos):
        mine = slice(found.starts[index], found.starts[index + 1])
        theirs = slice(there.starts[index], there.starts[index + 1])
        overlaps = evaluation.overlaps[index][kept[mine]]
        categories = found.category[mine][kept[mine]], there.category[theirs]
        mistakes = mistakes_of(overlaps, *categories)
        record = PhotoAnalysis(
            image_id=image.id,
            file_name=image.file_name,
            score=_f1(mistakes),
            classes=_present(truth, *categories),
            kinds=mistakes.kinds,
        )
        confusion = confusion_of(overlaps, *categories, mistakes, len(truth.classes))
        correct = mistakes.kind == CORRECT
        ious = zip(categories[0][correct].tolist(), mistakes.overlap[correct].tolist(), strict=True)
        photos.append(_Photo(record, confusion, list(ious)))
    return photos


def _f1(mistakes: Mistakes) -> float:
    """1 where nothing is there and nothing found."""
    objects = len(mistakes.kind) + len(mistakes.found)
    return 2 * float(mistakes.found.sum()) / objects if objects else 1.0


def _present(truth: Truth, *categories: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(truth.classes[index] for index in np.unique(np.concatenate(categories)).tolist())


def _mean_iou(values: Iterable[float]) -> float | None:
    values = list(values)
    return 100 * float(np.mean(values)) if values else None
