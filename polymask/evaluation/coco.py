"""COCO box and mask AP of a model on a registered dataset, per class too."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.modeling import GeneralizedRCNN
from detectron2.structures import Instances
from detectron2.utils import comm

from dataset_tools.files import write_atomically
from polymask.data.loader import build_evaluation_loader
from polymask.evaluation.counting import count
from polymask.evaluation.figures import Evaluation, cocos_ap
from polymask.evaluation.read import TASKS, read_detections, read_truth
from polymask.inference.pasting import detections_of
from polymask.inference.tta import AugmentedRCNN

log = logging.getLogger(__name__)

DETECTIONS_NAME = "coco_instances_results.json"
COCOS_AP = "AP_COCO"
# {"bbox": {"AP": ..., "AP50": ..., "AP-<class>": ...}, "segm": {...}}, in percent; NaN where COCO defines no value.
Metrics = dict[str, dict[str, float]]


class MaskAPEvaluator(COCOEvaluator):
    """Detectron2's COCOEvaluator, counted by hotcoco, with the answers that a small dataset needs.

    A model that predicts nothing has an AP of 0 where there is something to find (Detectron2 says NaN, and drops the
    masks), and a dataset of a single class has its row per class like any other. All detections count; where COCO's
    convention, 100 of a photo and class, gives another AP, that is COCOS_AP.

    Args:
        dataset_name: a registered dataset with ``json_file``.
        output_dir: receives ``coco_instances_results.json`` (the detections in COCO's format).
    """

    def __init__(self, dataset_name: str, output_dir: Path | str):
        super().__init__(dataset_name, tasks=TASKS, output_dir=str(output_dir))

    def process(self, inputs: Sequence[dict], outputs: Sequence[Instances | dict]) -> None:
        """Takes what a model has found on some photos.

        Args:
            inputs: the model's; of each photo ``image_id``, ``height`` and ``width``.
            outputs: the model's, of each photo ``{"instances": ...}`` with masks of the photo's size; or ``Instances``
                before post-processing, whose masks are pasted inside their boxes.
        """
        for photo, output in zip(inputs, outputs, strict=True):
            if isinstance(output, Instances):
                self._predictions.append({"image_id": photo["image_id"], "instances": _results(output, photo)})
            else:
                super().process([photo], [output])

    def _eval_predictions(self, predictions: list[dict], img_ids: list[int] | None = None) -> None:
        # Detectron2's own names pycocotools in a function of its module. Here all photos are evaluated, always.
        number = {index: own for own, index in self._metadata.thing_dataset_id_to_contiguous_id.items()}
        found = [
            detection | {"category_id": number[detection["category_id"]]}
            for prediction in predictions
            for detection in prediction["instances"]
        ]
        if not found:
            self._logger.warning("The model predicts nothing on %s.", self._metadata.name)
        self._results.update(self.measure(found))

    def measure(self, found: list[dict]) -> Metrics:
        """The metrics of detections in COCO's format, whose file is written."""
        folder = Path(self._output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / DETECTIONS_NAME, msgspec.json.encode(found))
        truth = read_truth(Path(self._metadata.json_file))
        detections = read_detections(found, truth)
        return {
            task: self._derive_coco_results(count(truth, detections, task), task, list(truth.classes)) for task in TASKS
        }

    def _derive_coco_results(
        self, coco_eval: Evaluation, iou_type: str, class_names: list[str] | None = None
    ) -> dict[str, float]:
        results = super()._derive_coco_results(coco_eval, iou_type, class_names)
        if (ap := cocos_ap(coco_eval)) is not None:
            results[COCOS_AP] = ap
        if class_names and len(class_names) == 1:
            results[f"AP-{class_names[0]}"] = results["AP"]
        return results


class _BeforePostprocessing(torch.nn.Module):
    """A model whose output are ``Instances`` as the network gives them: masks are not pasted, boxes not scaled."""

    def __init__(self, model: GeneralizedRCNN):
        super().__init__()
        self.model = model
        self.training = model.training  # which ``inference_on_dataset`` restores, for the model too

    def forward(self, inputs: list[dict]) -> list[Instances]:
        return self.model.inference(inputs, do_postprocess=False)


def _results(raw: Instances, photo: dict) -> list[dict]:
    """A photo's detections as Detectron2's evaluator keeps them: COCO's results with the classes' indices."""
    size = photo["height"], photo["width"]
    found = detections_of(raw, size)
    boxes = np.array([detection.box for detection in found], dtype=np.float32).reshape(-1, 4)
    boxes[:, 2:] -= boxes[:, :2]  # in float32, as Detectron2 does it
    return [
        {
            "image_id": photo["image_id"],
            "category_id": detection.category,
            "bbox": box,
            "score": detection.score,
            "segmentation": {"size": list(size), "counts": detection.mask.rle(size).counts},
        }
        for detection, box in zip(found, boxes.tolist(), strict=True)
    ]


def evaluate(
    cfg: CfgNode, model: torch.nn.Module, dataset_names: Iterable[str], augmented: bool = False
) -> dict[str, Metrics]:
    """Runs the model over datasets and measures it; all processes share the photos, and get the same metrics.

    The detections are left in ``OUTPUT_DIR/inference/<dataset name>/coco_instances_results.json``, in the order of the
    dataset however many processes there are.

    Args:
        cfg: of the model.
        model: Detectron2's, or one with its inputs and outputs.
        dataset_names: registered datasets.
        augmented: look at each photo as ``TEST.AUG`` says.
    """
    measured = model
    if isinstance(model, GeneralizedRCNN):
        measured = AugmentedRCNN(cfg, model) if augmented else _BeforePostprocessing(model)
    results = {}
    for name in dataset_names:
        log.info("Evaluating on %s %s...", name, "with TEST.AUG " if augmented else "")
        evaluator = MaskAPEvaluator(name, detections_file(cfg.OUTPUT_DIR, name).parent)
        metrics = inference_on_dataset(measured, build_evaluation_loader(cfg, name, whole=augmented), evaluator)
        results[name] = comm.all_gather(metrics)[0]  # the main process alone has measured
    return results


def detections_file(output_dir: Path | str, dataset_name: str) -> Path:
    """Where the detections of the last evaluation on a dataset are, in COCO's results format."""
    return Path(output_dir) / "inference" / dataset_name / DETECTIONS_NAME
