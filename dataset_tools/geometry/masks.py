"""Masks: arrays of booleans, and pycocotools' compressed run-length codes of them. Pure functions.

A mask is an array (height, width); a size is (width, height).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from dataset_tools.geometry.polygons import Polygon

Mask = NDArray[np.bool_]

Box = tuple[float, float, float, float]  # x, y, width, height in pixels

# What may be spent on comparing the masks of one photo with each other, in units of 5 to 10 ns; of which a comparison
# takes some, and one for each byte of the two codes. It is enough for 400,000 pairs, of 100,000 cells that touch.
MAX_WORK = 1_000_000_000
_WORK_OF_PAIR, _WORK_OF_STEP = 1000, 20

# A mask in pycocotools' compressed run-length code: ``size`` is [height, width], ``counts`` its bytes.
EncodedMask = dict[str, Any]


class TooManyPairs(Exception):
    """So many masks of a photo lie on one another that their pairs cannot be compared in a few seconds."""


class PairBudget:
    """What is left to spend on the pairs of one photo's masks, which may be the square of their number."""

    def __init__(self) -> None:
        self._left = MAX_WORK

    def spend(self, work: int) -> None:
        """Takes some work off.

        Raises:
            TooManyPairs: there is not so much left.
        """
        self._left -= work
        if self._left < 0:
            raise TooManyPairs

    def spend_on_pair(self, one: EncodedMask, other: EncodedMask) -> None:
        """The same for the comparison of two masks."""
        self.spend(_WORK_OF_PAIR + len(one["counts"]) + len(other["counts"]))


def clip_mask(mask: Mask, corner: Sequence[float], size: tuple[int, int]) -> tuple[Mask, int, int]:
    """What of a mask is inside the photo, and where: left and top in pixels. It may be nothing.

    Args:
        mask: (height, width), true on the object.
        corner: (x, y) of the mask's top-left pixel, rounded to a whole pixel, as LabelMe's file may hold fractions.
        size: the photo's (width, height).
    """
    width, height = size
    x, y = (math.floor(value + 0.5) for value in corner)
    return mask[max(-y, 0) : max(height - y, 0), max(-x, 0) : max(width - x, 0)], max(x, 0), max(y, 0)


def rasterise_polygons(polygons: Sequence[Polygon], size: tuple[int, int]) -> list[EncodedMask]:
    """Each polygon as pycocotools' compressed RLE: the pixels that Detectron2 trains and evaluates with."""
    width, height = size
    return coco_mask.frPyObjects([polygon.ravel() for polygon in polygons], height, width) if polygons else []


def decode_mask(encoded: EncodedMask) -> Mask:
    """The mask (height, width) of a compressed RLE."""
    return coco_mask.decode(encoded).astype(bool)


def union_masks(encoded: Sequence[EncodedMask]) -> EncodedMask:
    """The union of compressed RLEs of one size."""
    return encoded[0] if len(encoded) == 1 else coco_mask.merge(list(encoded))


def fill_polygons(polygons: Sequence[Polygon], size: tuple[int, int]) -> Mask:
    """The pixels (height, width) of at least one polygon, by pycocotools' rule."""
    if not polygons:
        return np.zeros(size[::-1], dtype=bool)
    return decode_mask(union_masks(rasterise_polygons(polygons, size)))


def measure_masks(encoded: Sequence[EncodedMask]) -> tuple[list[float], list[Box]]:
    """Areas in pixels and bounding boxes (x, y, width, height) of compressed RLEs."""
    # One by one: pycocotools 2.0.11 counts the masks of a list in 8 bits under numpy 2.
    areas = [float(coco_mask.area(mask)) for mask in encoded]
    return areas, [tuple(box) for box in coco_mask.toBbox(list(encoded)).tolist()] if encoded else []


def nesting_depths(encoded: Sequence[EncodedMask], budget: PairBudget) -> list[int]:
    """How many masks lie around each of them, each wholly inside the next and smaller, where these are the most.

    None around one without a pixel.

    Raises:
        TooManyPairs: it takes more than the budget.
    """
    measured, boxes = measure_masks(encoded)
    areas, corners = np.array(measured), np.array(boxes)
    corners[:, 2:] += corners[:, :2]
    depths = [0] * len(encoded)
    for one in np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)].tolist():  # those around it come first
        budget.spend(len(encoded))
        # A mask can be in one only whose box holds its own: most pairs need not be drawn.
        for other in np.flatnonzero((areas > areas[one]) & _holds(corners, corners[one])).tolist():
            budget.spend_on_pair(encoded[one], encoded[other])
            if coco_mask.area(coco_mask.merge([encoded[one], encoded[other]], intersect=True)) == areas[one]:
                depths[one] = max(depths[one], depths[other] + 1)
    return depths


def _holds(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of some boxes, (N, 4) as left, top, right, bottom, hold one wholly."""
    return np.all(boxes[:, :2] <= box[:2], axis=1) & np.all(boxes[:, 2:] >= box[2:], axis=1)


def overlapping_masks(
    kinds: Sequence[object], encoded: Sequence[EncodedMask], boxes: Sequence[Box], at_least: float, budget: PairBudget
) -> Iterator[tuple[int, int, float]]:
    """The pairs of masks of one kind whose intersection over union reaches a value, with it; lower index first.

    Args:
        kinds: of each mask.
        encoded: compressed RLEs.
        boxes: of each mask: x, y, width, height.
        at_least: the value, above 0.
        budget: of the photo.

    Raises:
        TooManyPairs: on the way, where it takes more than the budget.
    """
    of_kind: dict[object, list[tuple[float, int, float, float, float]]] = {}
    for index, (kind, (x, y, width, height)) in enumerate(zip(kinds, boxes)):
        of_kind.setdefault(kind, []).append((x, index, y, x + width, y + height))
    for by_left in map(sorted, of_kind.values()):
        for place, (_, one, top, right, bottom) in enumerate(by_left):
            for following in range(place + 1, len(by_left)):
                left, other, other_top, _, other_bottom = by_left[following]
                if left >= right:
                    break
                budget.spend(_WORK_OF_STEP)
                if top < other_bottom and other_top < bottom:
                    budget.spend_on_pair(encoded[one], encoded[other])
                    value = float(coco_mask.iou([encoded[one]], [encoded[other]], [0])[0, 0])
                    if value >= at_least:
                        yield min(one, other), max(one, other), value
