"""Annotations and predictions side by side, from what the last evaluation of a run left on disk."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pycocotools.mask
from detectron2.data import DatasetCatalog
from detectron2.data.catalog import Metadata
from detectron2.structures import Boxes, BoxMode, Instances
from tqdm import tqdm

from dataset_tools.catalog import register
from dataset_tools.errors import UserError
from polymask.evaluation.coco import detections_file
from polymask.inference.predictor import read_photo
from polymask.inference.visualizer import DRAWN_WIDTH, GAP, arrange, draw_annotations, draw_predictions, metadata_of
from polymask.report.run import config_of

SHEET_NAME = "overview.png"
SHEET_ROWS, SHEET_COLUMNS = 4, 2
SHEET_CELL = (800, 300)  # px: two photos of 4:3 side by side


def compare(run: Path, output: Path, split: str, confidence_threshold: float) -> tuple[list[Path], Path]:
    """Draws every photo of a split, and some of them on one sheet.

    Args:
        run: the ``OUTPUT_DIR`` of a training or an evaluation.
        output: the folder for the pictures; pictures in it are replaced.
        split: ``val`` or ``test``.
        confidence_threshold: predictions below it are not drawn.

    Returns:
        The pictures' paths in the order of the split, and the sheet's.

    Raises:
        UserError: the run, its dataset or its detections are not there.
    """
    cfg = config_of(run)
    card = register(Path(cfg.DATASETS.ROOT))
    dataset = f"{card.name}_{split}"
    detections = read_detections(detections_file(run, dataset))
    metadata = metadata_of(card.classes)
    output.mkdir(parents=True, exist_ok=True)
    pictures = []
    for record in tqdm(DatasetCatalog.get(dataset), unit="photo", disable=None):
        found = [d for d in detections[record["image_id"]] if d["score"] >= confidence_threshold]
        target = output / f"{record['image_id']:04d}_{Path(record['file_name']).stem}.png"
        cv2.imwrite(str(target), _side_by_side(draw_pair(record, found, metadata)))
        pictures.append(target)
    return pictures, _draw_sheet(pictures, output / SHEET_NAME)


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


def _side_by_side(pictures: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    left, right = pictures
    gap = np.full((left.shape[0], GAP, 3), 255, dtype=np.uint8)
    return np.hstack([left, gap, right])


def _draw_sheet(pictures: list[Path], target: Path) -> Path:
    """Some pictures, evenly taken from all, in rows."""
    count = min(len(pictures), SHEET_ROWS * SHEET_COLUMNS)
    chosen = [pictures[index * len(pictures) // count] for index in range(count)]
    cv2.imwrite(str(target), arrange([cv2.imread(str(path)) for path in chosen], SHEET_COLUMNS, SHEET_CELL))
    return target
