"""The one evaluation of all contenders: pycocotools on the file of detections that each of them leaves."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from dataset_tools.formats.card import read_card

# Somewhere in the folder of a run; the name is Detectron2's.
DETECTIONS = "coco_instances_results.json"


def judge(dataset: Path, run: Path) -> dict[str, float]:
    """COCO's AP of masks ("segm") and boxes ("bbox") on the test split, in percent; 0 where a run has found nothing.

    Args:
        dataset: the dataset folder that was trained on.
        run: the folder with the detections.
    """
    files = list(run.rglob(DETECTIONS))
    found = json.loads(files[0].read_text()) if files else []
    if not found:
        return {"segm": 0.0, "bbox": 0.0}
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(dataset / read_card(dataset).splits["test"].annotations))
        return {kind: _average_precision(truth, found, kind) for kind in ("segm", "bbox")}


def _average_precision(truth: COCO, found: list[dict], kind: str) -> float:
    evaluation = COCOeval(truth, truth.loadRes(found), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return round(100 * float(evaluation.stats[0]), 2)
