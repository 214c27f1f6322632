"""From the configuration to Detectron2's augmentations."""

from __future__ import annotations

from collections.abc import Sequence

import detectron2.data.transforms as T
import numpy as np
from detectron2.config import CfgNode
from detectron2.data.detection_utils import build_augmentation, gen_crop_transform_with_instance
from detectron2.structures import BoxMode

from dataset_tools.errors import UserError
from polymask.config.checks import is_number

# Detectron2's, for T.RandomFlip and T.RandomCrop.
FLIPS = ("horizontal", "vertical", "none")
SAMPLINGS = ("choice", "range")
CROP_TYPES = ("relative_range", "relative", "absolute", "absolute_range")


def check_augmentation_keys(cfg: CfgNode) -> None:
    """Raises a UserError for values that no augmentation can have."""
    crop = cfg.INPUT.CROP
    wrong = {
        "INPUT.RANDOM_FLIP": cfg.INPUT.RANDOM_FLIP not in FLIPS and "Use horizontal, vertical or none",
        "INPUT.CROP.TYPE": crop.TYPE not in CROP_TYPES and f"Use {', '.join(CROP_TYPES[:-1])} or {CROP_TYPES[-1]}",
        "INPUT.CROP.SIZE": crop.ENABLED and _wrong_crop_size(crop.TYPE, crop.SIZE),
        "INPUT.MIN_SIZE_TRAIN_SAMPLING": cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING not in SAMPLINGS and "Use choice or range",
        "INPUT.MIN_SIZE_TRAIN": _wrong_sizes(cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MIN_SIZE_TRAIN_SAMPLING),
        "INPUT.SCALE_JITTER.RANGE": _wrong_range(cfg.INPUT.SCALE_JITTER.RANGE),
        "INPUT.SCALE_JITTER.SIZE": cfg.INPUT.SCALE_JITTER.SIZE < 1 and "Use a number of pixels",
        "INPUT.COLOR_JITTER": not 0 <= cfg.INPUT.COLOR_JITTER < 1 and "Use a number from 0 to below 1",
        "INPUT.COPY_PASTE.PROBABILITY": not 0 <= cfg.INPUT.COPY_PASTE.PROBABILITY <= 1 and "Use a number from 0 to 1",
    }
    for key, remedy in wrong.items():
        if remedy:
            section, _, name = key.removeprefix("INPUT.").rpartition(".")
            value = (cfg.INPUT[section] if section else cfg.INPUT)[name]
            raise UserError(f"{key} is {value}", remedy=remedy)


def _wrong_sizes(sizes: Sequence[int], sampling: str) -> str | None:
    fits = len(sizes) > 0 and all(isinstance(size, int) and size >= 0 for size in sizes)
    wanted = "numbers of pixels, as (640, 800), or (0,) to resize none"
    if sampling == "range":
        fits, wanted = fits and len(sizes) == 2 and 0 < sizes[0] <= sizes[1], "two numbers, the smaller first"
    return None if fits else f"For INPUT.MIN_SIZE_TRAIN_SAMPLING {sampling} use {wanted}"


def _wrong_range(factors: Sequence[float]) -> str | None:
    if len(factors) == 2 and all(map(is_number, factors)) and 0 < factors[0] <= factors[1]:
        return None
    return "Use two factors above 0, the smaller first"


def _wrong_crop_size(kind: str, size: Sequence[float]) -> str | None:
    """What to do about a size that no crop of this kind has."""
    if kind.startswith("absolute"):
        fits, wanted = all(isinstance(side, int) and side > 0 for side in size), "pixels, as [200, 200]"
        fits = fits and (kind == "absolute" or list(size) == sorted(size))  # from the smaller to the larger
    else:
        fits, wanted = all(is_number(side) and 0 < side <= 1 for side in size), "shares, as [0.9, 0.9]"
    return None if fits and len(size) == 2 else f"For INPUT.CROP.TYPE {kind} use {wanted}"


def build_train_augmentations(cfg: CfgNode) -> list[T.Augmentation]:
    """Crop, resize, flip (Detectron2's order), and colour last, where the photo is smallest."""
    jitter = cfg.INPUT.SCALE_JITTER
    augmentations: list[T.Augmentation] = []
    if cfg.INPUT.CROP.ENABLED:
        crop = CropWithObject if cfg.INPUT.CROP.KEEP_OBJECT else T.RandomCrop
        augmentations.append(crop(cfg.INPUT.CROP.TYPE, cfg.INPUT.CROP.SIZE))
    if jitter.ENABLED:
        low, high = jitter.RANGE
        # Padded with grey: the model subtracts a mean that is close to it.
        augmentations.append(T.ResizeScale(low, high, jitter.SIZE, jitter.SIZE))
        # The padding is no object: by default Detectron2 fills it with 255, as semantic segmentation has it.
        augmentations.append(T.FixedSizeCrop((jitter.SIZE, jitter.SIZE), seg_pad_value=0))
        augmentations += [a for a in build_augmentation(cfg, is_train=True) if isinstance(a, T.RandomFlip)]
    else:
        augmentations += build_augmentation(cfg, is_train=True)
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
