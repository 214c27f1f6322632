"""COCO's counting of boxes or masks, by hotcoco: precision, recall, and which detections find an annotation."""

from __future__ import annotations

import hotcoco
import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.coco_dicts import coco_dicts
from polymask.evaluation.figures import AREAS, IOUS, LIMITS, Evaluation
from polymask.evaluation.read import Detections, Truth


def count(truth: Truth, found: Detections, task: str) -> Evaluation:
    """Counts detections of boxes (``bbox``) or masks (``segm``) as COCO does, and all of them.

    No detections at all are an AP of 0 where there is something to find.
    """
    most = int(found.rank.max(initial=-1)) + 1
    limits = LIMITS if most <= LIMITS[-1] else (*LIMITS, most)
    params = hotcoco.Params(task)
    params.max_dets = list(limits)
    stream = hotcoco.StreamingEval(_categories(truth), task, params=params)
    for images, annotated, detected in coco_dicts(truth, found, task):
        stream.update(images, annotated, detected)
    counter = stream.finalize()
    counter.accumulate()
    counted = counter.eval
    assert counted is not None  # it is None before it accumulates
    return Evaluation(task, truth, found, limits, {name: counted[name] for name in ("precision", "recall")})


def match(evaluation: Evaluation) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Which detections find an annotation, for each of A areas and T IoUs.

    Returns:
        (A, T, detections) whether it finds an annotation whose area is in the range; likewise, whether it counts as
        right or wrong, and is not ignored; (A, annotations) whether there is one to find.
    """
    truth, found, task = evaluation.truth, evaluation.found, evaluation.task
    hit = np.zeros((len(AREAS), len(IOUS), len(found)), dtype=bool)
    counted, wanted = hit.copy(), np.zeros((len(AREAS), len(truth.objects)), dtype=bool)
    for images, annotated, detected in coco_dicts(truth, found, task):
        there = hotcoco.COCO({"images": images, "annotations": annotated, "categories": _categories(truth)})
        detections, before = there.load_res(detected), found.starts[images[0]["id"]] - 1  # their ids count from 1
        for area, limits in enumerate(AREAS):
            counter = hotcoco.COCOeval(there, detections, task)
            counter.params.max_dets = list(evaluation.limits)
            counter.params.area_rng, counter.params.area_rng_lbl = [list(limits)], ["all"]
            counter.evaluate()
            for iou, threshold in enumerate(IOUS):
                matches = counter.image_diagnostics(threshold)
                hit[area, iou, before + _ids(matches["dt_match"])] = True
                counted[area, iou, before + _ids(matches["dt_status"])] = True
            wanted[area, _ids(matches["gt_status"]) - 1] = True
    return hit, counted, wanted


def average_precision(scores: NDArray[np.float64], correct: NDArray[np.bool_], wanted: int) -> float:
    """Of detections of a class, 0 to 1: the mean of interpolated precision at the recalls 0, .01, ... 1."""
    return hotcoco.metrics.average_precision(scores, correct, wanted, rec_thrs=np.arange(101) / 100)


def _categories(truth: Truth) -> list[dict]:
    return [{"id": index, "name": name} for index, name in enumerate(truth.classes)]


def _ids(of_objects: dict[int, object]) -> NDArray[np.int64]:
    return np.fromiter(of_objects, dtype=np.int64, count=len(of_objects))
