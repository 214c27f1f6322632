"""Counting of masks beside pycocotools: COCO file and detections in, twelve figures out."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from benchmarks.stages.coco_results import Amount, write_results
from benchmarks.stages.options import Options
from benchmarks.stages.timing import Contender, DifferentWork, Pair, Stage
from polymask.evaluation.counting import count
from polymask.evaluation.read import read_detections, read_truth

OURS, PEER = "polymask", "pycocotools"
AMOUNT = Amount(photos=500, objects=7, detections=100, classes=80)  # a tenth of COCO's val2017


def evaluation(options: Options) -> Stage:
    """Masks of generated results."""
    truth, found = write_results(options.scratch, AMOUNT)
    contenders = (Contender(OURS, lambda: _count(truth, found)), Contender(PEER, lambda: _peer_count(truth, found)))
    work = f"{AMOUNT.photos} photos, {AMOUNT.objects} objects and {AMOUNT.detections} detections in each; masks"
    return Stage(work, contenders, (Pair(OURS, PEER),), _check, warm_up=False)


def _count(truth_file: Path, found_file: Path) -> np.ndarray:
    truth = read_truth(truth_file)
    with contextlib.redirect_stdout(io.StringIO()):
        return count(truth, read_detections(found_file, truth), "segm").stats


def _peer_count(truth_file: Path, found_file: Path) -> np.ndarray:
    found = json.loads(found_file.read_text())
    for detection in found:
        del detection["bbox"]  # as Detectron2 does, or the areas would be those of the boxes
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(truth_file))
        counter = COCOeval(coco, coco.loadRes(found), "segm")
        counter.evaluate()
        counter.accumulate()
        counter.summarize()
    return counter.stats


def _check(results: dict[str, np.ndarray]) -> str:
    ours, peer = results[OURS], results[PEER]
    if len(ours) != 12 or np.abs(ours - peer).max() > 1e-12:
        raise DifferentWork(f"the figures are {ours} and {peer}")
    return f"the same twelve figures; AP {100 * ours[0]:.2f}"
