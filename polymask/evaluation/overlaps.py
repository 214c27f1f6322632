"""How far masks of detections and annotations overlap, whatever their classes."""

from __future__ import annotations

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from polymask.evaluation.read import Detections, Truth, codes


def overlaps_of(truth: Truth, found: Detections) -> list[NDArray[np.float64]]:
    """For each photo (detections, annotations): the IoU of each mask with each, in the order of both records."""
    return [_of_photo(truth, found, index) for index in range(len(truth.photos))]


def _of_photo(truth: Truth, found: Detections, index: int) -> NDArray[np.float64]:
    photo, ours, theirs = truth.photos[index], found.of_photo(index), truth.objects.of_photo(index)
    masks, annotated = codes(found.mask[ours], photo), codes(truth.objects.mask[theirs], photo)
    if not masks or not annotated:
        return np.zeros((len(masks), len(annotated)))
    return np.ascontiguousarray(pycocotools.mask.iou(masks, annotated, [False] * len(annotated)))
