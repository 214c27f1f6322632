"""Detections drawn onto their photo, however large it is and however many they are."""

from __future__ import annotations

import msgspec
import numpy as np

from polymask.inference.detections import Detections, PlacedMask
from polymask.inference.visualizer import DRAWN_WIDTH, draw_instances, metadata_of, shrunk

# px, of a picture's longer side: a screen shows no more, and matplotlib takes long to draw them.
LARGEST = 2048
# The Visualizer holds a mask of the picture's size for each: so many are drawn at a time.
AT_A_TIME = 50


def draw_detections(photo: np.ndarray, found: Detections, largest: int = LARGEST) -> np.ndarray:
    """The photo with masks, boxes, class names and scores, and in a video the ids of the objects.

    Args:
        photo: (H, W, 3) uint8, BGR.
        found: in px of it.
        largest: the longer side of the picture in px, at most.

    Returns:
        (H', W', 3) uint8, BGR: of the photo's size, but not narrower than ``DRAWN_WIDTH`` nor longer than ``largest``.
    """
    picture = shrunk(photo, largest)
    drawn_width = max(DRAWN_WIDTH, picture.shape[1]) if picture is photo else picture.shape[1]
    metadata = metadata_of(found.classes)
    # Large ones first, as the Visualizer does it: what is drawn later is on top.
    ordered = sorted(found, key=lambda detection: -detection.mask.area)
    for start in range(0, max(1, len(ordered)), AT_A_TIME):
        some = ordered[start : start + AT_A_TIME]
        enlarged = picture.shape[1] / photo.shape[1]
        boxes = np.reshape([detection.box for detection in some], (-1, 4)) * enlarged
        masks = [resized_mask(detection.mask, picture.shape[:2], enlarged) for detection in some]
        classes, scores = [detection.category for detection in some], [detection.score for detection in some]
        ids = [None if d.track_id is msgspec.UNSET else d.track_id for d in some]
        picture = draw_instances(picture, boxes, masks, classes, scores, metadata, drawn_width, ids)
    return picture


def resized_mask(mask: PlacedMask, size: tuple[int, int], scale: float) -> np.ndarray:
    """A mask on a photo that was resized by a factor to a (height, width): each pixel is that of the photo in its middle."""
    whole = np.zeros(size, dtype=bool)
    if mask.width:
        rows = ((np.arange(size[0]) + 0.5) / scale).astype(int) - mask.top
        columns = ((np.arange(size[1]) + 0.5) / scale).astype(int) - mask.left
        in_rows, in_columns = (rows >= 0) & (rows < mask.height), (columns >= 0) & (columns < mask.width)
        whole[np.ix_(in_rows, in_columns)] = mask.pixels()[np.ix_(rows[in_rows], columns[in_columns])]
    return whole
