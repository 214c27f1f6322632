"""COCO's counting: the twelve figures of boxes or masks, by faster-coco-eval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from polymask.evaluation.overlaps import overlaps_of
from polymask.evaluation.read import Objects, Truth

# COCO's parameters, as faster-coco-eval and pycocotools have them.
IOUS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS = ((0, 1e5**2), (0, 32**2), (32**2, 96**2), (96**2, 1e5**2))  # all, small, medium, large: px2
LIMITS = (1, 10, 100)  # of the detections of a photo and class, the most confident ones

FIGURES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")


@dataclass(frozen=True)
class Evaluation:
    """A counted evaluation of boxes or masks. T IoUs, R recalls, K classes, A areas, M limits: see the constants.

    Attributes:
        task: ``bbox`` or ``segm``.
        truth: what is annotated.
        found: the detections.
        overlaps: see ``overlaps_of``.
        eval: as in pycocotools, ``precision`` (T, R, K, A, M) and ``recall`` (T, K, A, M), 0 to 1; -1 where there is
            nothing to find.
        stats: the twelve FIGURES of all classes, 0 to 1, or -1.
    """

    task: str
    truth: Truth
    found: Objects
    overlaps: list[NDArray[np.float64]]
    eval: dict[str, NDArray[np.float64]]
    stats: NDArray[np.float64]


class _Counter(COCOeval_faster):
    """faster-coco-eval on overlaps that are known already.

    Its own are right as well, but of masks they take more than half of the whole time: each code is decoded anew for
    its area, for a copy of it, and for each comparison. Here this is done once for each photo, for all classes.
    """

    def __init__(self, truth: Truth, found: Objects, overlaps: list[NDArray[np.float64]], task: str):
        super().__init__(_content(truth, truth.objects, task), _content(truth, found, task), task)
        self.params.compute_rle = False
        self._photo = {image.id: index for index, image in enumerate(truth.photos)}
        self._category = {number: index for index, number in enumerate(truth.category_ids)}
        self._truth, self._found, self._overlaps = truth.objects, found, overlaps

    def computeIoU(self, imgId: int, catId: int) -> NDArray[np.float64]:  # noqa: N802, N803 its name and arguments
        photo, category = self._photo[imgId], self._category[catId]
        rows, columns = (
            np.flatnonzero(objects.category[objects.starts[photo] : objects.starts[photo + 1]] == category)
            for objects in (self._found, self._truth)
        )
        return self._overlaps[photo][np.ix_(rows[: LIMITS[-1]], columns)]


def count(truth: Truth, found: Objects, task: str) -> Evaluation:
    """Counts detections of boxes (``bbox``) or masks (``segm``) as COCO does.

    No detections at all are an AP of 0 where there is something to find.
    """
    overlaps = overlaps_of(truth, found, task)
    counter = _Counter(truth, found, overlaps, task)
    counter.evaluate()
    counter.accumulate()
    counter.summarize()
    counted = {name: np.asarray(counter.eval[name]) for name in ("precision", "recall")}
    return Evaluation(task, truth, found, overlaps, counted, np.asarray(counter.stats))


def figures_of(counted: dict[str, NDArray[np.float64]], classes: slice) -> dict[str, float | None]:
    """The twelve FIGURES of some classes in percent; None where there is nothing to find.

    Args:
        counted: ``Evaluation.eval``.
        classes: which of them.
    """
    precision, recall = counted["precision"][:, :, classes, :, -1], counted["recall"][:, classes]
    parts = [precision[..., 0], precision[0, ..., 0], precision[5, ..., 0]]  # IoU .50 and .75
    parts += [precision[..., area] for area in (1, 2, 3)]
    parts += [recall[..., 0, limit] for limit in range(len(LIMITS))]
    parts += [recall[..., area, -1] for area in (1, 2, 3)]
    return {name: _mean(part) for name, part in zip(FIGURES, parts, strict=True)}


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[values > -1]
    return 100 * float(defined.mean()) if defined.size else None


def _content(truth: Truth, objects: Objects, task: str) -> COCO:
    """Objects with what counting asks for; ids from 1, since 0 means no match."""
    area = truth.objects.mask_area if objects is truth.objects else objects.area(task)
    numbers, categories = [image.id for image in truth.photos], truth.category_ids
    names = (objects.photo, objects.category, objects.score, area, objects.crowd)
    columns = zip(*(column.tolist() for column in names), strict=True)
    return COCO(
        {
            "images": [{"id": number} for number in numbers],
            "categories": [{"id": number} for number in categories],
            "annotations": [
                {"id": index, "image_id": numbers[photo], "category_id": categories[category], "score": score,
                 "area": size, "iscrowd": int(crowd)}
                for index, (photo, category, score, size, crowd) in enumerate(columns, start=1)
            ],
        }
    )  # fmt: skip
