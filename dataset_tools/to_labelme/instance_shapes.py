"""From instances to the shapes and the annotation file that LabelMe opens; pure functions."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from PIL import Image

from dataset_tools.formats.labelme import WrittenFile, WrittenShape
from dataset_tools.geometry import rle
from dataset_tools.geometry.masks import Mask, fill_polygons
from dataset_tools.geometry.polygons import MAX_LENGTH, is_sane, outlines_length
from dataset_tools.geometry.rle import Rle
from dataset_tools.to_labelme.outlines import mask_outlines, overlap

# Pixels. The edge of a mask goes up and down in steps of one: from 0.71 on, a slanted one becomes a straight line.
DEFAULT_TOLERANCE = 1.0


@dataclass(frozen=True, slots=True)
class LabelledInstance:
    """One object to write: its class, where it is, and what LabelMe says about it.

    Attributes:
        label: its class.
        segmentation: polygons as flat lists x, y, x, y, ... in pixels of the turned photo, or an RLE.
        description: such as ``score_in_words``; empty where a person has drawn it.
    """

    label: str
    segmentation: list[list[float]] | Rle
    description: str = ""


@dataclass(frozen=True, slots=True)
class InstanceShapes:
    """The shapes of one object; none if it covers nothing.

    Attributes:
        shapes: without group_id, which the file gives them.
        overlap: intersection over union of the polygons made of a mask, and the mask; 1 where nothing has changed.
    """

    shapes: list[WrittenShape]
    overlap: float = 1.0


class BadSegmentation(ValueError):
    """A segmentation that cannot be drawn."""


def annotation_file(
    image_path: str, size: tuple[int, int], drawn: Sequence[InstanceShapes], flags: Sequence[str] = ()
) -> WrittenFile:
    """The record of an annotation file; objects of several shapes get a group each, numbered from 1.

    Args:
        image_path: the photo, relative to the file, with POSIX slashes.
        size: (width, height) of the turned photo in pixels.
        drawn: the objects, as ``draw`` makes them.
        flags: of the photo, which LabelMe shows as boxes to tick.
    """
    shapes: list[WrittenShape] = []
    groups = 0
    for instance in drawn:
        several = len(instance.shapes) > 1
        groups += several
        shapes += [msgspec.structs.replace(s, group_id=groups) for s in instance.shapes] if several else instance.shapes
    return WrittenFile(
        flags=dict.fromkeys(flags, False),
        shapes=shapes,
        image_path=image_path,
        image_width=size[0],
        image_height=size[1],
    )


def draw(
    instance: LabelledInstance,
    size: tuple[int, int],
    shapes: str | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> InstanceShapes:
    """The LabelMe shapes of one object.

    Polygons stay exactly as they are, unless masks are wanted.

    Args:
        instance: the object.
        size: (width, height) of the turned photo in pixels.
        shapes: ``polygon`` or ``mask``; None keeps polygons polygons and RLEs masks.
        tolerance: how far in pixels a polygon may be from the outline of the mask that it is made of; at 0 pycocotools
            rasterises it to the mask itself.

    Raises:
        BadSegmentation, BadRle: the segmentation cannot be drawn on a photo of this size.
    """
    if isinstance(instance.segmentation, Rle):
        code, as_mask = instance.segmentation, shapes != "polygon"
        rle.check_fits(code, size)
    else:
        polygons = [_pairs(polygon) for polygon in instance.segmentation]
        polygons = [polygon for polygon in polygons if len(polygon) >= 3]  # others cover nothing; Detectron2 drops them
        if shapes != "mask":
            return InstanceShapes(
                [WrittenShape(instance.label, polygon, None, instance.description) for polygon in polygons]
            )
        code, as_mask = _filled(polygons, size), True
    left, top, right, bottom = window = rle.bounds(code)
    if left == right:
        return InstanceShapes([])
    corner, mask = (left, top), rle.decode(code, window)
    if as_mask:
        return InstanceShapes([_mask_shape(instance.label, instance.description, corner, mask)])
    return outline(instance.label, instance.description, mask, corner, tolerance)


def outline(
    label: str, description: str, mask: Mask, corner: tuple[int, int], tolerance: float = DEFAULT_TOLERANCE
) -> InstanceShapes:
    """The polygons around the pixels of one object.

    Args:
        label: its class.
        description: see ``LabelledInstance``.
        mask: (height, width) of a part of the photo that holds all of its pixels.
        corner: (x, y) of that part's first pixel in the photo.
        tolerance: see ``draw``.
    """
    if not mask.any():
        return InstanceShapes([])
    polygons = mask_outlines(mask, tolerance)
    shifted = [[(x, y) for x, y in (polygon + corner).tolist()] for polygon in polygons]
    same = 1.0 if tolerance == 0 else overlap(fill_polygons(polygons, mask.shape[::-1]), mask)
    return InstanceShapes([WrittenShape(label, points, None, description) for points in shifted], same)


def score_in_words(score: float) -> str:
    """The description of a prediction with a score from 0 to 1."""
    return f"score {score:.2f}"


def _pairs(polygon: list[float]) -> list[tuple[float, float]]:
    if len(polygon) % 2:
        raise BadSegmentation(f"a polygon has {len(polygon)} numbers, which are not pairs of x and y")
    return list(zip(polygon[::2], polygon[1::2]))


def _filled(polygons: Sequence[list[tuple[float, float]]], size: tuple[int, int]) -> Rle:
    """The pixels of polygons, as Detectron2 trains and evaluates with them."""
    arrays = [np.array(polygon, dtype=np.float64) for polygon in polygons]
    if not all(map(is_sane, arrays)):
        raise BadSegmentation("a coordinate is beyond any photo")
    if outlines_length(arrays) > MAX_LENGTH:
        raise BadSegmentation(f"its outlines are longer than {MAX_LENGTH:,} pixels")
    return rle.rasterise(arrays, size)


def _mask_shape(label: str, description: str, corner: tuple[int, int], mask: Mask) -> WrittenShape:
    stream = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(stream, "PNG")
    (x, y), (height, width) = corner, mask.shape
    points = [(float(x), float(y)), (float(x + width - 1), float(y + height - 1))]
    return WrittenShape(label, points, None, description, "mask", mask=base64.b64encode(stream.getvalue()).decode())
