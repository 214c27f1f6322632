"""Pictures of instances on photos, drawn by Detectron2's Visualizer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from detectron2.data.catalog import Metadata
from detectron2.data.detection_utils import convert_image_to_rgb
from detectron2.structures import BitMasks, Instances
from detectron2.utils.visualizer import ColorMode, Visualizer

# The Visualizer's letters are unreadable on a small photo and lost on a large one: photos are drawn this wide.
DRAWN_WIDTH = 960
GAP = 8  # white pixels between pictures
# A colour for each class (RGB), easy to tell apart also for the colour-blind: the palette of Okabe and Ito,
# https://jfly.uni-koeln.de/color/. Without it the Visualizer takes a random colour for each instance.
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178))


def metadata_of(classes: Sequence[str]) -> Metadata:
    """What the Visualizer has to know of the classes: their names and colours."""
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(classes))]
    return Metadata(name="polymask", thing_classes=list(classes), thing_colors=colours)


def draw_predictions(
    photo: np.ndarray, instances: Instances, metadata: Metadata, width: int = DRAWN_WIDTH
) -> np.ndarray:
    """The photo with masks, boxes, class names and scores.

    Args:
        photo: (H, W, 3) uint8, BGR.
        instances: predictions in pixels of the photo, on the CPU.
        metadata: see :func:`metadata_of`.
        width: of the picture in px.

    Returns:
        (H', W', 3) uint8, BGR, about ``width`` wide.
    """
    return _bgr(_visualizer(photo, metadata, width / photo.shape[1]).draw_instance_predictions(instances))


def draw_annotations(photo: np.ndarray, record: dict, metadata: Metadata, width: int = DRAWN_WIDTH) -> np.ndarray:
    """The photo with the annotations of a Detectron2 dataset dict; arguments and result as :func:`draw_predictions`."""
    return _bgr(_visualizer(photo, metadata, width / photo.shape[1]).draw_dataset_dict(record))


def draw_training_item(item: dict, image_format: str, metadata: Metadata, cell: tuple[int, int]) -> np.ndarray:
    """What the model is given to learn from: the augmented photo with its masks, boxes, class names and file name.

    Args:
        item: ``image`` ((C, H, W) uint8 tensor), ``instances`` (``gt_boxes``, ``gt_classes`` and ``gt_masks`` in pixels
            of the image) and ``file_name``, as a training's data loader yields them.
        image_format: the order of the channels, ``INPUT.FORMAT``.
        metadata: see :func:`metadata_of`.
        cell: width and height in px.

    Returns:
        (H', W', 3) uint8, BGR, as large as fits the cell, but for a pixel.
    """
    photo = convert_image_to_rgb(item["image"].permute(1, 2, 0), image_format)[:, :, ::-1]
    visualizer = _visualizer(photo, metadata, _fitting_scale(photo, cell))
    instances = item["instances"]
    if len(instances):  # Detectron2 gives a photo without objects no gt_masks
        classes = instances.gt_classes.tolist()
        colours = [visualizer.colour_of(index) for index in classes]
        masks = instances.gt_masks
        if isinstance(masks, BitMasks):  # whose holes overlay_instances would fill
            for mask, colour in zip(masks.tensor.numpy(), colours, strict=True):
                visualizer.draw_binary_mask(mask, colour, area_threshold=0)
            masks = None
        visualizer.overlay_instances(
            boxes=instances.gt_boxes,
            masks=masks,
            labels=[metadata.thing_classes[index] for index in classes],
            assigned_colors=colours,
        )
    return _bgr(visualizer.draw_text(Path(item["file_name"]).name, (0, 0), color="w", horizontal_alignment="left"))


def arrange(pictures: Sequence[np.ndarray], columns: int, cell: tuple[int, int]) -> np.ndarray:
    """Pictures in rows on a white sheet, each in the middle of its cell and as large as that allows.

    Args:
        pictures: one or more, (H, W, 3) uint8.
        columns: at most; fewer pictures make a narrower sheet.
        cell: width and height in px, without the gap between the pictures.
    """
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    (width, height), gap = cell, GAP
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        fitted = _fitted(picture, cell)
        y = row * (height + gap) + (height - fitted.shape[0]) // 2
        x = column * (width + gap) + (width - fitted.shape[1]) // 2
        sheet[y : y + fitted.shape[0], x : x + fitted.shape[1]] = fitted
    return sheet


def _fitted(picture: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    scale = _fitting_scale(picture, cell)
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _fitting_scale(picture: np.ndarray, cell: tuple[int, int]) -> float:
    return min(cell[0] / picture.shape[1], cell[1] / picture.shape[0])


class _SeededVisualizer(Visualizer):
    """Varies the colours of one class as the Visualizer does, but in the same way each time."""

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, **kwargs)
        self._random = np.random.default_rng(0)

    def colour_of(self, class_index: int) -> tuple[float, ...]:
        return self._jitter(tuple(channel / 255 for channel in self.metadata.thing_colors[class_index]))

    def _jitter(self, color: tuple[float, float, float]) -> tuple[float, ...]:
        return tuple(np.clip(color + self._random.uniform(-0.15, 0.15, size=3), 0, 1))


def _visualizer(photo: np.ndarray, metadata: Metadata, scale: float) -> _SeededVisualizer:
    return _SeededVisualizer(photo[:, :, ::-1], metadata, scale=scale, instance_mode=ColorMode.SEGMENTATION)


def _bgr(drawn: object) -> np.ndarray:
    return drawn.get_image()[:, :, ::-1]
