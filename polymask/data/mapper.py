"""From the record of a photo to what the model is trained with."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator, Sequence
from typing import Any

import detectron2.data.transforms as T
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import DatasetMapper, detection_utils
from detectron2.data.detection_utils import SizeMismatchError
from detectron2.structures import BoxMode, Instances

from dataset_tools.errors import EXIT_DATA, UserError
from polymask.data.augmentation import build_train_augmentations


class TrainMapper:
    """Detectron2's ``DatasetMapper`` for instances with masks, whose augmentations know where the objects are.

    Args:
        augmentations: of image and annotations together.
        image_format: "RGB" or "BGR".
        mask_format: "polygon" or "bitmask".
        tighten: whether the augmentations may cut objects, whose boxes then are computed anew from the masks. Else a
            box is what was annotated, as in Detectron2.
    """

    def __init__(self, augmentations: Sequence[T.Augmentation], image_format: str, mask_format: str, tighten: bool):
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.mask_format = mask_format
        self.tighten = tighten

    @classmethod
    def for_training(cls, cfg: CfgNode) -> TrainMapper:
        cuts = cfg.INPUT.CROP.ENABLED or cfg.INPUT.SCALE_JITTER.ENABLED
        return cls(build_train_augmentations(cfg), cfg.INPUT.FORMAT, cfg.INPUT.MASK_FORMAT, tighten=cuts)

    @classmethod
    def for_validation(cls, cfg: CfgNode) -> TrainMapper:
        """Photos as in an evaluation, with their annotations."""
        resize = T.ResizeShortestEdge(cfg.INPUT.MIN_SIZE_TEST, cfg.INPUT.MAX_SIZE_TEST)
        return cls([resize], cfg.INPUT.FORMAT, cfg.INPUT.MASK_FORMAT, tighten=False)

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with ``image`` ((3, H, W) uint8, in ``image_format``) and ``instances`` in pixels of it.

        ``gt_boxes`` are XYXY. Objects of which nothing is left and regions of COCO's ``iscrowd`` are not among them.

        Raises:
            UserError: the photo cannot be read, or is not the one that was converted.
        """
        item = {key: value for key, value in record.items() if key != "annotations"}
        with _reading(record):
            image = detection_utils.read_image(record["file_name"], format=self.image_format)
            detection_utils.check_image_size(item, image)
        annotations = copy.deepcopy([a for a in record["annotations"] if not a.get("iscrowd", 0)])
        boxes = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in annotations]
        augmented = T.AugInput(image, boxes=np.array(boxes, dtype=np.float64).reshape(-1, 4))
        transforms = self.augmentations(augmented)
        item["image"] = torch.from_numpy(np.ascontiguousarray(augmented.image.transpose(2, 0, 1)))
        item["instances"] = self._instances(annotations, transforms, augmented.image.shape[:2])
        return item

    def _instances(self, annotations: list[dict], transforms: T.TransformList, size: tuple[int, int]) -> Instances:
        moved = [detection_utils.transform_instance_annotations(a, transforms, size) for a in annotations]
        instances = detection_utils.annotations_to_instances(moved, size, self.mask_format)
        if not annotations:
            return instances  # has no masks either
        instances = detection_utils.filter_empty_instances(instances)
        if self.tighten:
            instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
            instances.gt_boxes.clip(size)
        return instances


class EvaluationMapper(DatasetMapper):
    """Detectron2's own for evaluations, which names the photo that it cannot read.

    Raises:
        UserError: as ``TrainMapper``.
    """

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        with _reading(record):
            return super().__call__(record)


@contextlib.contextmanager
def _reading(record: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except (OSError, SyntaxError, ValueError, SizeMismatchError) as error:  # Pillow's readers have many words
        raise UserError(
            f"this photo cannot be used: {error}",
            file=record["file_name"],
            remedy="Put back the photo that was converted, or convert again",
            exit_code=EXIT_DATA,
        ) from error
