"""From the record of a photo to what the model is trained with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import detectron2.data.transforms as T
import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data.detection_utils import SizeMismatchError, check_image_size
from detectron2.structures import BoxMode, Instances

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import read_pixels
from polymask.data.annotations import instances_of
from polymask.data.augmentation import ResizeShortestEdge, build_train_augmentations
from polymask.data.cache import PhotoReader, build_photo_reader
from polymask.data.photos import blank, read_resized


class TrainMapper:
    """Detectron2's ``DatasetMapper`` for instances with masks, whose augmentations know where the objects are.

    Args:
        augmentations: of image and annotations together.
        image_format: "RGB" or "BGR".
        mask_format: "polygon" or "bitmask".
        tighten: whether the augmentations may cut objects, whose boxes then are computed from the masks. Else a
            box is what was annotated, as in Detectron2.
        photos: reads a photo at the size to which the first augmentation resizes it. None: it is read in full.
    """

    def __init__(
        self,
        augmentations: Sequence[T.Augmentation],
        image_format: str,
        mask_format: str,
        tighten: bool,
        photos: PhotoReader | None = None,
    ):
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.mask_format = mask_format
        self.tighten = tighten
        # What follows a crop depends on pixels that a photo of reduced size does not have.
        first = augmentations[0]
        self._photos = photos if isinstance(first, T.ResizeShortestEdge | T.ResizeScale) else None

    @classmethod
    def for_training(cls, cfg: CfgNode, records: Sequence[dict] | None = None) -> TrainMapper:
        """The training's, whose photos are decoded no larger than needed; those of the records are kept (``cache``)."""
        cuts = cfg.INPUT.CROP.ENABLED or cfg.INPUT.SCALE_JITTER.ENABLED
        augmentations = build_train_augmentations(cfg)
        photos = read_resized if records is None else build_photo_reader(cfg, records, augmentations[0])
        return cls(augmentations, cfg.INPUT.FORMAT, cfg.INPUT.MASK_FORMAT, tighten=cuts, photos=photos)

    @classmethod
    def for_validation(cls, cfg: CfgNode) -> TrainMapper:
        """Photos as in an evaluation, with their annotations."""
        return cls([_test_resize(cfg, cfg.INPUT.MIN_SIZE_TEST)], cfg.INPUT.FORMAT, cfg.INPUT.MASK_FORMAT, tighten=False)

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record with ``image`` ((3, H, W) uint8, in ``image_format``) and ``instances`` in pixels of it.

        ``gt_boxes`` are XYXY. Objects of which nothing is left and regions of COCO's ``iscrowd`` are not among them.

        Raises:
            UserError: the photo cannot be read, or is not the one that was converted.
        """
        item = {key: value for key, value in record.items() if key != "annotations"}
        annotations = [a for a in record["annotations"] if not a.get("iscrowd", 0)]
        boxes = [BoxMode.convert(a["bbox"], a["bbox_mode"], BoxMode.XYXY_ABS) for a in annotations]
        image, transforms = self._augmented(item, np.array(boxes, dtype=np.float64).reshape(-1, 4))
        item["image"] = _as_tensor(image)
        item["instances"] = self._instances(annotations, transforms, image.shape[:2])
        return item

    def _augmented(self, item: dict[str, Any], boxes: np.ndarray) -> tuple[np.ndarray, T.TransformList]:
        if self._photos is None:
            with _reading(item):
                image = _whole_photo(item, self.image_format)
            augmented = T.AugInput(image, boxes=boxes)
            transforms = self.augmentations(augmented)
            return augmented.image, transforms
        resize, *others = self.augmentations.augs
        first = resize.get_transform(blank((item["height"], item["width"])))
        with _reading(item):
            image = self._resized_photo(self._photos, item, first)
        augmented = T.AugInput(image, boxes=first.apply_box(boxes))
        following = T.AugmentationList(others)(augmented)
        return augmented.image, T.TransformList([first, *following.transforms])

    def _resized_photo(self, photos: PhotoReader, item: dict[str, Any], resize: T.Transform) -> np.ndarray:
        is_resized = isinstance(resize, T.ResizeTransform)  # INPUT.MIN_SIZE_TRAIN (0,) resizes nothing
        size = (resize.new_h, resize.new_w) if is_resized else (item["height"], item["width"])
        if self.image_format != "BGR":
            return photos(item, self.image_format, size)
        # Reversed when it is small: Pillow takes long for levels that lie in the other order.
        return np.ascontiguousarray(photos(item, "RGB", size)[:, :, ::-1])

    def _instances(self, annotations: list[dict], transforms: T.TransformList, size: tuple[int, int]) -> Instances:
        instances = instances_of(annotations, transforms, size, self.mask_format)
        if self.tighten and annotations:  # without any, there are no masks either
            instances.gt_boxes = instances.gt_masks.get_bounding_boxes()
            instances.gt_boxes.clip(size)
        return instances


class EvaluationMapper:
    """What Detectron2's ``DatasetMapper`` does for evaluations, which names the photo that it cannot read.

    Args:
        cfg: with ``INPUT.FORMAT``, ``MIN_SIZE_TEST`` and ``MAX_SIZE_TEST``.
        whole: leave the photo in its size, as test-time augmentation wants it.
    """

    def __init__(self, cfg: CfgNode, whole: bool = False):
        self._resize = _test_resize(cfg, 0 if whole else cfg.INPUT.MIN_SIZE_TEST)
        self._image_format = cfg.INPUT.FORMAT

    def __call__(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record without its annotations, with ``image`` ((3, H, W) uint8).

        Raises:
            UserError: as ``TrainMapper``.
        """
        item = {key: value for key, value in record.items() if key != "annotations"}
        with _reading(item):
            image = _whole_photo(item, self._image_format)
        item["image"] = _as_tensor(self._resize.get_transform(image).apply_image(image))
        return item


def _test_resize(cfg: CfgNode, shortest: int) -> ResizeShortestEdge:
    """To a short side in px; 0 is Detectron2's word for "as it is"."""
    return ResizeShortestEdge([shortest], cfg.INPUT.MAX_SIZE_TEST, "choice")


def _whole_photo(item: dict[str, Any], mode: str) -> np.ndarray:
    image = read_pixels(item["file_name"], mode).array
    check_image_size(item, image)
    return image


def _as_tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


@contextlib.contextmanager
def _reading(record: dict[str, Any]) -> Iterator[None]:
    try:
        yield
    except (OSError, ImageError, SizeMismatchError) as error:
        raise UserError(
            f"this photo cannot be used: {error}",
            file=record["file_name"],
            remedy="Put back the photo that was converted, or convert again",
            exit_code=EXIT_DATA,
        ) from error
