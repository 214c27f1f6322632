"""Runs a file and its model on the same pixels: how far they are apart, and what AP each has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.structures import Boxes, Instances
from tqdm import tqdm

from polymask.evaluation.counting import count
from polymask.evaluation.figures import figures_of
from polymask.evaluation.read import TASKS, read_detections, read_truth
from polymask.export.comparison import Comparison, compare_photo, merged
from polymask.export.photos import CheckedPhoto, inputs_of
from polymask.inference.detections import Detections, ScoredAnnotation
from polymask.inference.pasting import detections_of
from polymask.inference.predictor import Predictor

# A file that runs: from ``INPUT`` to ``OUTPUTS`` of ``polymask.export.tracing``.
Network = Callable[[np.ndarray], Sequence[np.ndarray]]
MODEL, FILE = "model", "file"
# {"<dataset>": {"segm": {"model": 81.2, "file": 81.2}}}, in percent; None where there is nothing to find.
Precisions = dict[str, dict[str, dict[str, float | None]]]


class Check(msgspec.Struct, frozen=True):
    """How far a file and its model are apart, and the COCO AP of each on the datasets that were looked at in full."""

    comparison: Comparison
    AP: Precisions


def check(predictor: Predictor, network: Network, photos: Sequence[CheckedPhoto]) -> Check:
    """Looks at photos with both. All computing is done on the CPU, in float32.

    Raises:
        UserError: a photo cannot be read, or is not the one that was converted.
    """
    lowest = predictor.cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST
    comparisons: list[Comparison] = []
    annotations: dict[str, dict[str, list[ScoredAnnotation]]] = defaultdict(lambda: {MODEL: [], FILE: []})
    bar = tqdm(inputs_of(predictor, photos), desc="Comparing file and model", unit="photo", disable=None)
    for item in bar:
        with torch.no_grad():
            (raw,) = predictor.model.inference([{"image": item.image}], do_postprocess=False)
        found = {
            finder: Detections(item.size[::-1], predictor.classes, tuple(detections_of(instances, item.size)))
            for finder, instances in ((MODEL, raw), (FILE, _found_by(network, item.image)))
        }
        most = predictor.cfg.TEST.DETECTIONS_PER_IMAGE
        comparisons.append(compare_photo(item.name, found[MODEL], found[FILE], lowest, most))
        if item.photo and item.photo.dataset:
            for finder, detections in found.items():
                annotations[item.photo.dataset][finder] += detections.to_coco(item.photo.image_id)
    return Check(merged(comparisons), {name: _precisions(name, of_both) for name, of_both in annotations.items()})


def _found_by(network: Network, image: torch.Tensor) -> Instances:
    """What ``model.inference`` returns for a photo, from a file."""
    boxes, classes, masks, scores = map(torch.from_numpy, network(image.numpy()))
    size = (image.shape[1], image.shape[2])
    return Instances(size, pred_boxes=Boxes(boxes), pred_classes=classes, pred_masks=masks, scores=scores)


def _precisions(dataset: str, found: dict[str, list[ScoredAnnotation]]) -> dict[str, dict[str, float | None]]:
    """The AP of boxes and masks of each finder."""
    truth = read_truth(Path(MetadataCatalog.get(dataset).json_file))
    of_finder = {finder: read_detections(msgspec.to_builtins(results), truth) for finder, results in found.items()}
    return {
        task: {finder: figures_of(count(truth, results, task))["AP"] for finder, results in of_finder.items()}
        for task in TASKS
    }
