"""Annotations and predictions side by side, from what the last evaluation of a run left on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from detectron2.data import DatasetCatalog
from tqdm import tqdm

from dataset_tools.catalog import register
from polymask.evaluation.coco import detections_file
from polymask.inference.visualizer import GAP, arrange, metadata_of
from polymask.report.pairs import config_of, draw_pair, read_detections

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
