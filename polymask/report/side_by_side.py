"""Annotations and predictions side by side, from what the last evaluation of a run left on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog
from detectron2.data.catalog import Metadata
from detectron2.structures import BoxMode
from numpy.typing import NDArray
from tqdm import tqdm

from dataset_tools.catalog import register
from dataset_tools.errors import UserError
from polymask.engine.run_folder import check_no_links
from polymask.evaluation.read import Detections, read_detections, read_truth, rle_of
from polymask.inference.detections import placed
from polymask.inference.predictor import check_threshold, read_photo
from polymask.inference.visualizer import (
    DRAWN_WIDTH,
    GAP,
    arrange,
    draw_annotations,
    draw_instances,
    fitting_width,
    metadata_of,
    write_png,
)
from polymask.report.run import check_evaluated, read_run

SHEET_NAME = "overview.png"
SHEET_ROWS, SHEET_COLUMNS = 4, 2
SHEET_CELL = (800, 300)  # px: two photos of 4:3 side by side


def compare(
    folder: Path, output: Path, split: str, confidence_threshold: float, overrides: Sequence[str] = ()
) -> tuple[list[Path], Path]:
    """Draws every photo of a split, and some of them on one sheet.

    Args:
        folder: the ``OUTPUT_DIR`` of a training or an evaluation.
        output: the folder for the pictures; pictures in it are replaced.
        split: ``val`` or ``test``.
        confidence_threshold: predictions below it are not drawn.
        overrides: see ``read_run``.

    Returns:
        The pictures' paths in the order of the split, and the sheet's.

    Raises:
        UserError: the threshold is not from 0 to 1; the run, its dataset or its detections are not there, or these are of
            another dataset; or a link in the run's folder would lead pictures elsewhere.
    """
    check_threshold(confidence_threshold)
    check_no_links(folder)
    run = read_run(folder, overrides)
    check_evaluated(run, split)
    truth = read_truth(run.truth_of(split))
    found = read_detections(run.detections_of(split), truth)
    kept = found.score >= confidence_threshold
    register(run.dataset_folder)
    records = {record["image_id"]: record for record in DatasetCatalog.get(f"{run.card.name}_{split}")}
    metadata = metadata_of(run.card.classes)
    output.mkdir(parents=True, exist_ok=True)
    pictures = []
    for index, photo in enumerate(tqdm(truth.photos, unit="photo", disable=None)):
        target = output / f"{photo.id:04d}_{Path(photo.file_name).stem}.png"
        left, right = draw_pair(records[photo.id], found, rows_of_photo(found, index, kept), metadata)
        gap = np.full((left.shape[0], GAP, 3), 255, dtype=np.uint8)
        write_png(target, np.hstack([left, gap, right]))
        pictures.append(target)
    return pictures, _draw_sheet(pictures, output / SHEET_NAME)


def draw_pair(
    record: dict, found: Detections, rows: NDArray[np.int64], metadata: Metadata, width: int = DRAWN_WIDTH
) -> tuple[np.ndarray, np.ndarray]:
    """The photo with its annotations, and the photo with detections.

    Args:
        record: the photo as a Detectron2 dataset dict.
        found: the detections of the split.
        rows: those to draw, all in this photo.
        metadata: see ``polymask.inference.visualizer.metadata_of``.
        width: of each picture in px; a tall photo has less.

    Returns:
        Two pictures of the same size, (H, W, 3) uint8, BGR.

    Raises:
        UserError: the photo cannot be read, or has another size than in the dataset.
    """
    photo = read_photo_of_size(Path(record["file_name"]), record["width"], record["height"])
    width = fitting_width(photo, width)
    boxes = BoxMode.convert(found.box[rows], BoxMode.XYWH_ABS, BoxMode.XYXY_ABS)
    masks = [placed(rle_of(found, row, photo.shape[:2])) for row in rows]
    classes, scores = found.category[rows].tolist(), found.score[rows].tolist()
    return (
        draw_annotations(photo, record, metadata, width),
        draw_instances(photo, boxes, masks, classes, scores, metadata, width),
    )


def read_photo_of_size(path: Path, width: int, height: int) -> np.ndarray:
    """A photo of a dataset, (H, W, 3) uint8, BGR, before masks of its size are drawn.

    Raises:
        UserError: it cannot be read, or has another size than in the dataset.
    """
    photo = read_photo(path)
    if photo.shape[:2] != (height, width):
        raise UserError(
            f"the photo is {photo.shape[1]} x {photo.shape[0]} px, and in the dataset {width} x {height} px",
            file=path,
            remedy="Put the photo that was converted in its place, or convert again",
        )
    return photo


def rows_of_photo(found: Detections, index: int, kept: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Where the detections of a photo are, of those that are kept.

    Args:
        found: the detections of the split.
        index: of the photo.
        kept: (detections of the split,) whether to take each.
    """
    own = found.of_photo(index)
    return own.start + np.flatnonzero(kept[own])


def _draw_sheet(pictures: list[Path], target: Path) -> Path:
    """Some pictures, evenly taken from all, in rows."""
    count = min(len(pictures), SHEET_ROWS * SHEET_COLUMNS)
    chosen = [pictures[index * len(pictures) // count] for index in range(count)]
    write_png(target, arrange([read_photo(path) for path in chosen], SHEET_COLUMNS, SHEET_CELL))
    return target
