"""From annotations to what the model is trained with: Detectron2's functions, to the bit, where masks make them slow.

On a photo of 12 megapixels Detectron2 decodes a mask in full, transposes it and resizes it: 47 ms for each object.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import detectron2.data.transforms as T
import numpy as np
import pycocotools.mask
import torch
from detectron2.data.detection_utils import annotations_to_instances, transform_instance_annotations
from detectron2.structures import BitMasks, Instances
from PIL import Image

from dataset_tools.geometry.rle import checked_runs


def instances_of(
    annotations: Sequence[dict[str, Any]], transforms: T.TransformList, size: tuple[int, int], mask_format: str
) -> Instances:
    """The objects of a photo after the transforms, without those of which nothing is left.

    The same as Detectron2's ``transform_instance_annotations``, ``annotations_to_instances`` and
    ``filter_empty_instances``. No annotation is changed.

    Args:
        annotations: as in Detectron2's dataset dicts; none of a crowd.
        transforms: of the photo.
        size: (height, width) after them.
        mask_format: "polygon" or "bitmask".
    """
    moved = [_transformed(annotation, transforms, size) for annotation in annotations]
    if mask_format == "polygon" or not moved:
        instances = annotations_to_instances(moved, size, mask_format)
    else:
        segmentations = [annotation.pop("segmentation") for annotation in moved]
        instances = annotations_to_instances(moved, size)
        instances.gt_masks = BitMasks(_bitmasks(segmentations, size))
    return _nonempty(instances)


def _transformed(annotation: dict[str, Any], transforms: T.TransformList, size: tuple[int, int]) -> dict[str, Any]:
    moved = dict(annotation)
    segmentation = moved.pop("segmentation")
    if isinstance(segmentation, dict):
        return transform_instance_annotations(moved, transforms, size) | {
            "segmentation": _transformed_mask(segmentation, transforms)
        }
    moved["segmentation"] = [np.array(polygon) for polygon in segmentation]  # which are changed in place
    return transform_instance_annotations(moved, transforms, size)


def _transformed_mask(code: dict[str, Any], transforms: T.TransformList) -> np.ndarray:
    """The mask of a compressed RLE after the transforms, (H, W) uint8."""
    first, *others = transforms.transforms or [T.NoOpTransform()]
    if isinstance(first, T.ResizeTransform):
        mask = resized_mask(code, (first.new_h, first.new_w))
    else:
        mask = first.apply_segmentation(pycocotools.mask.decode(code))
    for transform in others:
        mask = transform.apply_segmentation(mask)
    return mask


def resized_mask(code: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The mask of a compressed RLE, resized as Pillow's NEAREST does it: only the pixels that it takes are decoded.

    Args:
        code: pycocotools' ``size`` and ``counts``.
        size: (height, width) of the result.

    Returns:
        (H, W) uint8 of 0 and 1.
    """
    counts = code["counts"]
    text = counts if isinstance(counts, str) else counts.decode()
    height, width = code["size"]
    rows, columns = _nearest(height, size[0]), _nearest(width, size[1])
    # An RLE goes down the columns, and at each end of a run from outside to inside or back: inside is behind an odd number.
    ends = np.cumsum(checked_runs((height, width), text))
    left, top, box_width, box_height = (int(side) for side in pycocotools.mask.toBbox(code))
    in_box = np.s_[
        slice(*np.searchsorted(columns, (left, left + box_width))),
        slice(*np.searchsorted(rows, (top, top + box_height))),
    ]
    pixels = columns[in_box[0], None] * height + rows[in_box[1]]
    mask = np.zeros(size[::-1], dtype=np.uint8)
    mask[in_box] = np.searchsorted(ends, pixels, side="right") % 2
    return mask.T


@lru_cache(maxsize=1024)
def _nearest(length: int, new_length: int) -> np.ndarray:
    """Which pixel of a row Pillow's NEAREST takes for each pixel of the resized row."""
    row = Image.fromarray(np.arange(length, dtype=np.int32)[None])
    return np.asarray(row.resize((new_length, 1), Image.Resampling.NEAREST))[0].astype(np.int64)


def _bitmasks(segmentations: Sequence[list[np.ndarray] | np.ndarray], size: tuple[int, int]) -> torch.Tensor:
    """(N, H, W) bool of polygons ((x, y, x, y, ...) in pixels) and of masks."""
    masks = torch.zeros((len(segmentations), *size), dtype=torch.bool)
    for mask, segmentation in zip(masks.numpy(), segmentations, strict=True):
        if isinstance(segmentation, np.ndarray):
            mask[:] = segmentation
        elif segmentation:
            code = pycocotools.mask.merge(pycocotools.mask.frPyObjects(segmentation, *size))
            left, top, width, height = (int(side) for side in pycocotools.mask.toBbox(code))
            box = np.s_[top : top + height, left : left + width]  # a decoded mask lies column by column, ours does not
            mask[box] = resized_mask(code, size)[box]
    return masks


def _nonempty(instances: Instances) -> Instances:
    """Those whose box and mask are not empty, as Detectron2's ``filter_empty_instances`` leaves them."""
    if not len(instances):
        return instances
    keep = instances.gt_boxes.nonempty(threshold=1e-5)
    masks = instances.gt_masks
    if isinstance(masks, BitMasks):  # whose nonempty() takes 0.7 ms for each mask of 800 px
        keep &= torch.tensor([bool(mask.any()) for mask in masks.tensor.numpy()])
    else:
        keep &= masks.nonempty()
    return instances if keep.all() else instances[keep]
