"""Pictures of instances on photos, drawn by Detectron2's Visualizer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from detectron2.data.catalog import Metadata
from detectron2.structures import Instances
from detectron2.utils.visualizer import ColorMode, Visualizer

# The Visualizer's letters are unreadable on a small photo and lost on a large one: photos are drawn this wide.
DRAWN_WIDTH = 960
# A colour for each class (RGB), easy to tell apart also for the colour-blind: the palette of Okabe and Ito,
# https://jfly.uni-koeln.de/color/. Without it the Visualizer takes a random colour for each instance.
COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178))


def metadata_of(classes: Sequence[str]) -> Metadata:
    """What the Visualizer has to know of the classes: their names and colours."""
    colours = [COLOURS[index % len(COLOURS)] for index in range(len(classes))]
    return Metadata(name="polymask", thing_classes=list(classes), thing_colors=colours)


def draw_predictions(photo: np.ndarray, instances: Instances, metadata: Metadata) -> np.ndarray:
    """The photo with masks, boxes, class names and scores.

    Args:
        photo: (H, W, 3) uint8, BGR.
        instances: predictions in pixels of the photo, on the CPU.
        metadata: see :func:`metadata_of`.

    Returns:
        (H', W', 3) uint8, BGR, about ``DRAWN_WIDTH`` wide.
    """
    return _bgr(_visualizer(photo, metadata).draw_instance_predictions(instances))


def draw_annotations(photo: np.ndarray, record: dict, metadata: Metadata) -> np.ndarray:
    """The photo with the annotations of a Detectron2 dataset dict; arguments and result as :func:`draw_predictions`."""
    return _bgr(_visualizer(photo, metadata).draw_dataset_dict(record))


class _SeededVisualizer(Visualizer):
    """Varies the colours of one class as the Visualizer does, but in the same way each time."""

    def __init__(self, *args: object, **kwargs: object):
        super().__init__(*args, **kwargs)
        self._random = np.random.default_rng(0)

    def _jitter(self, color: tuple[float, float, float]) -> tuple[float, ...]:
        return tuple(np.clip(color + self._random.uniform(-0.15, 0.15, size=3), 0, 1))


def _visualizer(photo: np.ndarray, metadata: Metadata) -> Visualizer:
    scale = DRAWN_WIDTH / photo.shape[1]
    return _SeededVisualizer(photo[:, :, ::-1], metadata, scale=scale, instance_mode=ColorMode.SEGMENTATION)


def _bgr(drawn: object) -> np.ndarray:
    return drawn.get_image()[:, :, ::-1]
