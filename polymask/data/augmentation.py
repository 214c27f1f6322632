"""From the configuration to Detectron2's augmentations."""

from __future__ import annotations

import detectron2.data.transforms as T
import numpy as np
from detectron2.config import CfgNode
from detectron2.data.detection_utils import build_augmentation, gen_crop_transform_with_instance
from detectron2.structures import BoxMode

from polymask.config.refused_keys import refused_keys_reported


def build_train_augmentations(cfg: CfgNode) -> list[T.Augmentation]:
    """Crop, resize, flip (Detectron2's order), and colour last, where the photo is smallest.

    Raises:
        UserError: Detectron2 refuses the keys of INPUT.
    """
    inputs = cfg.INPUT
    with refused_keys_reported("INPUT", "augmentation"):
        _, *flip = build_augmentation(cfg, is_train=True)
        resize = ResizeShortestEdge(inputs.MIN_SIZE_TRAIN, inputs.MAX_SIZE_TRAIN, inputs.MIN_SIZE_TRAIN_SAMPLING)
    jitter = inputs.SCALE_JITTER
    augmentations: list[T.Augmentation] = []
    if inputs.CROP.ENABLED:
        crop = CropWithObject if inputs.CROP.KEEP_OBJECT else T.RandomCrop
        augmentations.append(crop(inputs.CROP.TYPE, inputs.CROP.SIZE))
    if jitter.ENABLED:
        low, high = jitter.RANGE
        # Padded with grey: the model subtracts a mean that is close to it.
        augmentations.append(ResizeScale(low, high, jitter.SIZE, jitter.SIZE))
        # The padding belongs to no object: by default Detectron2 fills it with 255, as semantic segmentation has it.
        augmentations.append(T.FixedSizeCrop((jitter.SIZE, jitter.SIZE), seg_pad_value=0))
    else:
        augmentations.append(resize)
    augmentations += flip
    if inputs.COLOR_JITTER:
        low, high = 1 - inputs.COLOR_JITTER, 1 + inputs.COLOR_JITTER
        # The saturation's grey takes the photo for RGB; of a BGR one it weighs red and blue the other way round.
        augmentations += [T.RandomBrightness(low, high), T.RandomContrast(low, high), T.RandomSaturation(low, high)]
    return augmentations


class _LeavesAPixel(T.Augmentation):
    """For Detectron2's resizes, which round the short side of a very long and narrow photo down to 0: here it is 1."""

    def get_transform(self, image: np.ndarray) -> T.Transform:
        transform = super().get_transform(image)
        if isinstance(transform, T.ResizeTransform):
            transform.new_h, transform.new_w = max(1, transform.new_h), max(1, transform.new_w)
        return transform


class ResizeShortestEdge(_LeavesAPixel, T.ResizeShortestEdge):
    """Detectron2's, with sides of at least one pixel."""


class ResizeScale(_LeavesAPixel, T.ResizeScale):
    """Detectron2's, with sides of at least one pixel."""


class CropWithObject(T.RandomCrop):
    """Detectron2's ``RandomCrop``, placed so that it holds the centre of one of the objects, where there are any."""

    def get_transform(self, image: np.ndarray, boxes: np.ndarray) -> T.Transform:
        """Where to crop.

        Args:
            image: (H, W, 3).
            boxes: (N, 4), XYXY in pixels of it.
        """
        if not len(boxes):
            return super().get_transform(image)
        height, width = image.shape[:2]
        size = [min(side, whole) for side, whole in zip(self.get_crop_size((height, width)), (height, width))]
        box = boxes[np.random.randint(len(boxes))]
        # An outline may reach beyond the photo, whose border is then the end of its box.
        box = np.clip(box, 0, [width, height, width, height])
        return gen_crop_transform_with_instance(size, (height, width), {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS})
