"""Detections drawn onto their photo, however large it is and however many they are."""

from __future__ import annotations

import msgspec
import numpy as np

from polymask.inference.detections import Detections
from polymask.inference.visualizer import DRAWN_WIDTH, LARGEST, draw_instances, fitting_width, metadata_of


def draw_detections(photo: np.ndarray, found: Detections, largest: int = LARGEST) -> np.ndarray:
    """The photo with masks, boxes, class names and scores, and in a video the ids of the objects.

    Args:
        photo: (H, W, 3) uint8, BGR.
        found: in px of it.
        largest: the longer side of the picture in px, at most.

    Returns:
        (H', W', 3) uint8, BGR: of the photo's size, but not narrower than ``DRAWN_WIDTH``, and never longer than ``largest``.
    """
    drawn_width = fitting_width(photo, max(DRAWN_WIDTH, photo.shape[1]), largest)
    boxes = np.reshape([detection.box for detection in found], (-1, 4))
    masks, classes = [detection.mask for detection in found], [detection.category for detection in found]
    scores = [detection.score for detection in found]
    ids = [None if detection.track_id is msgspec.UNSET else detection.track_id for detection in found]
    return draw_instances(photo, boxes, masks, classes, scores, metadata_of(found.classes), drawn_width, ids)
