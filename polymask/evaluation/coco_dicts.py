"""A split and its detections as the dicts of COCO's files, some photos at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dataset_tools.formats.coco import Image
from polymask.evaluation.read import Detections, Objects, Truth, codes

# Of all photos at once, the dicts would take most of the memory.
_PHOTOS_AT_ONCE = 100


def coco_dicts(truth: Truth, found: Detections, task: str) -> Iterator[tuple[list[dict], list[dict], list[dict]]]:
    """Images, annotations and detections of some photos, with boxes (``bbox``) or masks (``segm``).

    The ids of photos and classes are their indices, those of annotations count all of them from 1.
    """
    there = truth.objects
    numbers = np.arange(1, len(there) + 1)
    for first in range(0, len(truth.photos), _PHOTOS_AT_ONCE):
        images, annotated, detected = [], [], []
        for index, photo in enumerate(truth.photos[first : first + _PHOTOS_AT_ONCE], start=first):
            images.append({"id": index, "height": photo.height, "width": photo.width})
            annotated += _entries(there, index, photo, task, id=numbers, area=there.area, iscrowd=there.crowd)
            detected += _entries(found, index, photo, task, score=found.score)
        yield images, annotated, detected


def _entries(objects: Objects, index: int, photo: Image, task: str, **columns: NDArray) -> list[dict]:
    """The objects of a photo, each with its value of the columns."""
    own = objects.of_photo(index)
    columns |= {"category_id": objects.category}
    rows = zip(*(column[own].tolist() for column in columns.values()))
    if task == "bbox":
        shapes = [{"bbox": box} for box in objects.box[own].tolist()]
    else:
        shapes = [{"segmentation": code} for code in codes(objects.mask[own], photo)]
    return [{"image_id": index} | shape | dict(zip(columns, row)) for shape, row in zip(shapes, rows)]
