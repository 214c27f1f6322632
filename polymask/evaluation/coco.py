"""COCO box and mask AP of a model on a registered dataset, per class too."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.utils import comm

TASKS = ("bbox", "segm")
# {"bbox": {"AP": ..., "AP50": ..., "AP-<class>": ...}, "segm": {...}}, in percent; NaN where COCO defines no value.
Metrics = dict[str, dict[str, float]]


class MaskAPEvaluator(COCOEvaluator):
    """Detectron2's COCOEvaluator with the two answers that a small dataset needs and it doesn't give.

    A model that predicts nothing has an AP of 0 where there is something to find (Detectron2 says NaN, and drops the
    masks), and a dataset of a single class has its row per class like any other.

    Args:
        dataset_name: a registered dataset with ``json_file``.
        output_dir: receives ``coco_instances_results.json`` (the detections in COCO's format).
    """

    def __init__(self, dataset_name: str, output_dir: Path | str):
        super().__init__(dataset_name, tasks=TASKS, output_dir=str(output_dir), use_fast_impl=False)

    def _derive_coco_results(
        self, coco_eval: Any, iou_type: str, class_names: list[str] | None = None
    ) -> dict[str, float]:
        if coco_eval is None:
            return self._nothing_predicted(class_names or [])
        results = super()._derive_coco_results(coco_eval, iou_type, class_names)
        if class_names and len(class_names) == 1:
            results[f"AP-{class_names[0]}"] = results["AP"]
        return results

    def _nothing_predicted(self, class_names: list[str]) -> dict[str, float]:
        self._logger.warning("The model predicts nothing on %s.", self._metadata.name)

        def ap(annotations: Iterable[dict]) -> float:
            return 0.0 if any(True for _ in annotations) else math.nan

        coco = self._coco_api
        results = {key: ap(coco.anns.values()) for key in ("AP", "AP50", "AP75")}
        for key, low, high in (("APs", 0, 32**2), ("APm", 32**2, 96**2), ("APl", 96**2, math.inf)):  # COCO's areas, px2
            results[key] = ap(a for a in coco.anns.values() if low <= a["area"] <= high)
        contiguous_id = self._metadata.thing_dataset_id_to_contiguous_id
        for index, name in enumerate(class_names):
            of_class = (a for a in coco.anns.values() if contiguous_id[a["category_id"]] == index)
            results[f"AP-{name}"] = ap(of_class)
        return results


def evaluate(cfg: CfgNode, model: torch.nn.Module, dataset_names: Iterable[str]) -> dict[str, Metrics]:
    """Runs the model over datasets and measures it; all processes share the photos, and get the same metrics.

    The detections are left in ``OUTPUT_DIR/inference/<dataset name>/coco_instances_results.json``, in the order of the
    dataset however many processes there are.
    """
    results = {}
    for name in dataset_names:
        evaluator = MaskAPEvaluator(name, detections_file(cfg.OUTPUT_DIR, name).parent)
        metrics = inference_on_dataset(model, build_detection_test_loader(cfg, name), evaluator)
        results[name] = comm.all_gather(metrics)[0]  # the main process alone has measured
    return results


def detections_file(output_dir: Path | str, dataset_name: str) -> Path:
    """Where the detections of the last evaluation on a dataset are, in COCO's results format."""
    return Path(output_dir) / "inference" / dataset_name / "coco_instances_results.json"
