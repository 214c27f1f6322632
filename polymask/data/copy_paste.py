"""Simple copy-paste of instances: Ghiasi et al. 2021, https://arxiv.org/abs/2012.07177."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, Instances

# An object of which pasted ones leave less than this share is not asked for any more: what remains says nothing of
# its class.
LEAST_VISIBLE = 0.1
# Names the second photo in an item.
PASTED_FROM = "pasted_from"


class CopyPasteMapper:
    """Now and then pastes objects of a second photo, which any of the dataset may be, onto a photo.

    Both are augmented first, each by itself. The border of what is pasted is not blended in, which the paper found to
    make no difference.

    Args:
        mapper: from a record to an item with ``file_name``, ``image`` and ``instances`` with bitmasks.
        records: of the dataset.
        probability: of each photo to get something pasted.
    """

    def __init__(self, mapper: Callable[[dict], dict], records: Sequence[dict], probability: float):
        self.mapper = mapper
        self.records = records
        self.probability = probability

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        item = self.mapper(record)
        if np.random.random() >= self.probability:
            return item
        other = self.mapper(self.records[np.random.randint(len(self.records))])
        some = _random_subset(len(other["instances"]))
        if not some:
            return item
        return paste(item, other["image"], other["instances"][some]) | {PASTED_FROM: other["file_name"]}


def _random_subset(count: int) -> list[int]:
    """Between one and all of so many, each number equally often; nothing of nothing."""
    if not count:
        return []
    return sorted(np.random.permutation(count)[: np.random.randint(1, count + 1)].tolist())


def paste(item: dict[str, Any], other: torch.Tensor, objects: Instances) -> dict[str, Any]:
    """The item with objects of another photo at the places that they have there.

    Where the two photos differ in size their upper left corners are laid on each other, and what lies outside is lost.

    Args:
        item: with ``image`` (3, H, W) and ``instances`` (bitmasks).
        other: (3, H', W'), the photo with the objects.
        objects: some of its instances (bitmasks).
    """
    size = item["image"].shape[1:]
    objects = _on_canvas(objects, size)
    pasted = objects.gt_masks.tensor.any(dim=0)
    height, width = (min(ours, theirs) for ours, theirs in zip(size, other.shape[1:]))
    image = item["image"].clone()
    image[:, :height, :width] = torch.where(
        pasted[:height, :width], other[:, :height, :width], image[:, :height, :width]
    )
    instances = objects
    if len(item["instances"]):
        instances = Instances.cat([_covered(item["instances"], pasted), objects])
    return item | {"image": image, "instances": instances}


def _on_canvas(objects: Instances, size: tuple[int, int]) -> Instances:
    """The instances on a canvas of another size, without those that have no pixel there."""
    masks = objects.gt_masks.tensor
    height, width = (min(ours, theirs) for ours, theirs in zip(size, masks.shape[1:]))
    canvas = torch.zeros((len(masks), *size), dtype=torch.bool)
    canvas[:, :height, :width] = masks[:, :height, :width]
    return _with_masks(objects, canvas, keep=canvas.any(dim=2).any(dim=1))


def _covered(instances: Instances, pasted: torch.Tensor) -> Instances:
    """What pasted pixels (H, W) leave of instances."""
    before = instances.gt_masks.tensor
    after = before & ~pasted
    visible = after.sum(dim=(1, 2)) / before.sum(dim=(1, 2))
    return _with_masks(instances, after, keep=visible >= LEAST_VISIBLE)


def _with_masks(instances: Instances, masks: torch.Tensor, keep: torch.Tensor) -> Instances:
    """Those instances that are kept, with other masks (N, H, W) and the boxes of these."""
    changed = Instances(tuple(masks.shape[1:]))
    changed.gt_classes = instances.gt_classes[keep]
    changed.gt_masks = BitMasks(masks[keep])
    changed.gt_boxes = changed.gt_masks.get_bounding_boxes()
    return changed
