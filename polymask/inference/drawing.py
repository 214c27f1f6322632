"""Detections drawn onto their photo, however large it is and however many they are."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from detectron2.data.catalog import Metadata
from detectron2.structures import Boxes, Instances

from polymask.inference.detections import Detection, PlacedMask
from polymask.inference.visualizer import DRAWN_WIDTH, draw_predictions

# px, of a picture's longer side: a screen shows no more, and matplotlib takes long to draw them.
LARGEST = 2048
# The Visualizer holds a mask of the picture's size for each: so many are drawn at a time.
AT_A_TIME = 50


def draw_detections(photo: np.ndarray, found: Sequence[Detection], metadata: Metadata) -> np.ndarray:
    """The photo with masks, boxes, class names and scores.

    Args:
        photo: (H, W, 3) uint8, BGR.
        found: in px of it.
        metadata: see ``polymask.inference.visualizer.metadata_of``.

    Returns:
        (H', W', 3) uint8, BGR: of the photo's size, but not narrower than ``DRAWN_WIDTH`` nor longer than ``LARGEST``.
    """
    height, width = photo.shape[:2]
    scale = min(1.0, LARGEST / max(height, width))
    picture = photo
    if scale < 1:
        picture = cv2.resize(photo, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    drawn_width = max(DRAWN_WIDTH, picture.shape[1]) if scale == 1 else picture.shape[1]
    # Large ones first, as the Visualizer does it: what is drawn later is on top.
    ordered = sorted(found, key=lambda detection: -detection.mask.area)
    for start in range(0, max(1, len(ordered)), AT_A_TIME):
        enlarged = picture.shape[1] / width
        instances = instances_of(ordered[start : start + AT_A_TIME], picture.shape[:2], enlarged)
        picture = draw_predictions(picture, instances, metadata, drawn_width)
    return picture


def instances_of(found: Sequence[Detection], size: tuple[int, int], scale: float = 1.0) -> Instances:
    """Detections as Detectron2's predictions on a photo that was resized by a factor to a size (height, width)."""
    instances = Instances(size)
    instances.pred_boxes = Boxes(torch.tensor([d.box for d in found], dtype=torch.float32).reshape(-1, 4) * scale)
    instances.scores = torch.tensor([detection.score for detection in found])
    instances.pred_classes = torch.tensor([detection.category for detection in found], dtype=torch.int64)
    masks = [_resized(detection.mask, size, scale) for detection in found]
    instances.pred_masks = torch.from_numpy(np.array(masks, dtype=bool).reshape(-1, *size))
    return instances


def _resized(mask: PlacedMask, size: tuple[int, int], scale: float) -> np.ndarray:
    """The mask on the resized photo: each pixel is that of the photo in its middle."""
    whole = np.zeros(size, dtype=bool)
    if mask.width:
        rows = ((np.arange(size[0]) + 0.5) / scale).astype(int) - mask.top
        columns = ((np.arange(size[1]) + 0.5) / scale).astype(int) - mask.left
        in_rows, in_columns = (rows >= 0) & (rows < mask.height), (columns >= 0) & (columns < mask.width)
        whole[np.ix_(in_rows, in_columns)] = mask.pixels()[np.ix_(rows[in_rows], columns[in_columns])]
    return whole
