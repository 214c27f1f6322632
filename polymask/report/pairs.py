"""A photo's annotations and a run's detections on it, as two pictures: for ``compare`` and for the report's gallery."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import msgspec
import numpy as np
import pycocotools.mask
from detectron2.config import CfgNode
from detectron2.data.catalog import Metadata
from detectron2.structures import Boxes, BoxMode, Instances

from dataset_tools.errors import UserError
from polymask.config.load import load_config
from polymask.engine.run_files import CONFIG_NAME
from polymask.inference.predictor import read_photo
from polymask.inference.visualizer import DRAWN_WIDTH, draw_annotations, draw_predictions


def config_of(run: Path) -> CfgNode:
    """The configuration of a run.

    Raises:
        UserError: it is not the folder of a run.
    """
    if not (run / CONFIG_NAME).is_file():
        raise UserError(
            "this is not the folder of a run: it has no config.yaml",
            file=run,
            remedy="Name the OUTPUT_DIR of a training",
        )
    return load_config(run / CONFIG_NAME, [])


def read_detections(file: Path) -> dict[int, list[dict]]:
    """COCO results by image id; of an image without any, an empty list.

    Raises:
        UserError: there is no such file, or it holds no COCO results.
    """
    evaluate_it = (
        f"Evaluate it: train_net.py --eval-only with this OUTPUT_DIR and DATASETS.TEST \"('{file.parent.name}',)\""
    )
    if not file.is_file():
        raise UserError("this split has not been evaluated", file=file, remedy=evaluate_it)
    by_image = defaultdict(list)
    try:
        for detection in msgspec.json.decode(file.read_bytes(), type=list[dict]):
            by_image[detection["image_id"]].append(detection)
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise UserError(f"these are no COCO results ({error})", file=file, remedy=evaluate_it) from error
    return by_image


def draw_pair(
    record: dict, detections: list[dict], metadata: Metadata, width: int = DRAWN_WIDTH
) -> tuple[np.ndarray, np.ndarray]:
    """The photo with its annotations, and the photo with detections.

    Args:
        record: the photo as a Detectron2 dataset dict.
        detections: those to be drawn, as COCO results.
        metadata: see ``polymask.inference.visualizer.metadata_of``.
        width: of each picture in px.

    Returns:
        Two pictures of the same size, (H, W, 3) uint8, BGR.

    Raises:
        UserError: the photo cannot be read, or is another one by now.
    """
    photo = read_photo(Path(record["file_name"]))
    size, expected = photo.shape[:2], (record["height"], record["width"])
    if size != expected:
        raise UserError(
            f"the photo is {size[1]} x {size[0]} px, and in the dataset {expected[1]} x {expected[0]} px",
            file=record["file_name"],
            remedy="Put the photo that was converted in its place, or convert again",
        )
    predictions = instances_of(detections, photo.shape[:2])
    return draw_annotations(photo, record, metadata, width), draw_predictions(photo, predictions, metadata, width)


def instances_of(detections: list[dict], size: tuple[int, int]) -> Instances:
    """COCO results of one photo of ``size`` (height, width) as Detectron2's predictions; category ids count from 1."""
    boxes = np.array([detection["bbox"] for detection in detections]).reshape(-1, 4)
    instances = Instances(size)
    instances.pred_boxes = Boxes(BoxMode.convert(boxes, BoxMode.XYWH_ABS, BoxMode.XYXY_ABS))
    instances.scores = np.array([detection["score"] for detection in detections])
    instances.pred_classes = np.array([detection["category_id"] - 1 for detection in detections], dtype=int)
    masks = [pycocotools.mask.decode(detection["segmentation"]).astype(bool) for detection in detections]
    instances.pred_masks = np.array(masks).reshape(-1, *size)
    return instances
