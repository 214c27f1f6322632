"""How far masks overlap, whatever their classes."""

from __future__ import annotations

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from dataset_tools.formats.coco import Image
from polymask.evaluation.read import Detections, Truth, codes


def overlaps_of(truth: Truth, found: Detections) -> list[NDArray[np.float64]]:
    """For each photo (detections, annotations): the IoU of each mask with each, in the order of both records."""
    return [
        mask_overlaps(photo, found.mask[found.of_photo(index)], truth.objects.mask[truth.objects.of_photo(index)])
        for index, photo in enumerate(truth.photos)
    ]


def mask_overlaps(
    photo: Image, first: list[bytes | str], second: list[bytes | str], of_first: bool = False
) -> NDArray[np.float64]:
    """(first, second): the IoU of each mask of a photo with each.

    Args:
        photo: the photo.
        first, second: codes of pycocotools, compressed.
        of_first: divide by the area of the first instead, as COCO does for crowds.
    """
    if not first or not second:
        return np.zeros((len(first), len(second)))
    return np.ascontiguousarray(
        pycocotools.mask.iou(codes(first, photo), codes(second, photo), [of_first] * len(second))
    )
