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
    with refused_keys_reported("INPUT", "augmentation"):
        resize_and_flip = build_augmentation(cfg, is_train=True)
    jitter = cfg.INPUT.SCALE_JITTER
    augmentations: list[T.Augmentation] = []
    if cfg.INPUT.CROP.ENABLED:
        crop = CropWithObject if cfg.INPUT.CROP.KEEP_OBJECT else T.RandomCrop
        augmentations.append(crop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    if jitter.ENABLED:
        low, high = jitter.RANGE
        # Padded with grey: the model subtracts a mean that is close to it.
        augmentations.append(T.ResizeScale(low, high, jitter.SIZE, jitter.SIZE))
        # The padding belongs to no object: by default Detectron2 fills it with 255, as semantic segmentation has it.
        augmentations.append(T.FixedSizeCrop((jitter.SIZE, jitter.SIZE), seg_pad_value=0))
        augmentations += [a for a in resize_and_flip if isinstance(a, T.RandomFlip)]
    else:
        augmentations += resize_and_flip
    if cfg.INPUT.COLOR_JITTER:
        low, high = 1 - cfg.INPUT.COLOR_JITTER, 1 + cfg.INPUT.COLOR_JITTER
        # The saturation's grey takes the photo for RGB; of a BGR one it weighs red and blue the other way round.
        augmentations += [T.RandomBrightness(low, high), T.RandomContrast(low, high), T.RandomSaturation(low, high)]
    return augmentations


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
