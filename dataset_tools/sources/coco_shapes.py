"""From the annotations of any COCO file to what each covers of its photo; what cannot be used becomes a finding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence, Set

import msgspec
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.foreign_coco import ForeignAnnotation, ForeignRle, decode_segmentation
from dataset_tools.formats.labelme import MAX_VALUES, Shape
from dataset_tools.geometry import rle
from dataset_tools.geometry.masks import EncodedMask
from dataset_tools.images.header import SWAPPING
from dataset_tools.images.pixels import turn_upright, turned_points
from dataset_tools.instances.shapes import (
    Note,
    Part,
    ShapeOptions,
    UnusableShape,
    framed_mask,
    outlines_of_files,
    parts_of_shapes,
    resolve_label,
)
from dataset_tools.records import Canvas

# A polygon as COCO has it: x, y, x, y, ..., None for what is not a number.
_Values = Sequence[float | None]


class Drawing(msgspec.Struct, frozen=True, gc=False):
    """An annotation with what it is called in findings, and the names of its category, of which there should be one."""

    place: str
    names: tuple[str, ...]
    annotation: ForeignAnnotation

    @property
    def label(self) -> str | None:
        """The one name."""
        return self.names[0] if len(self.names) == 1 else None


def parts_of_annotations(
    canvas: Canvas, drawings: Sequence[Drawing], crowds: Set[str], options: ShapeOptions, orientation: int = 1
) -> tuple[list[Part], list[Finding]]:
    """What each annotation of a photo covers, in their order, and the findings about them.

    Args:
        canvas: what is drawn on.
        drawings: the annotations.
        crowds: classes of which there are only crowds.
        options: what becomes of them.
        orientation: the EXIF orientation, where they are drawn on the photo as it is stored.
    """
    stored_size = canvas.size[::-1] if orientation in SWAPPING else canvas.size
    masks: list[Part] = []
    shapes: list[Shape] = []
    places: list[str] = []
    findings: list[Finding] = []
    values_left = MAX_VALUES
    for number, drawing in enumerate(drawings):
        notes: list[Note] = []
        try:
            if drawing.label is None:
                names = f" is {' and '.join(map(repr, drawing.names))}" if drawing.names else ""
                message = f"category_id {msgspec.json.encode(drawing.annotation.category_id).decode()}{names}"
                raise UnusableShape(Rule.CATEGORY_UNKNOWN, message)
            values_left -= bytes(drawing.annotation.segmentation).count(b",")
            if values_left < 0:
                message = f"label {drawing.label!r}; those of all annotations have more than {MAX_VALUES:,} values"
                raise UnusableShape(Rule.OUTLINES_TOO_LONG, message)
            if drawing.annotation.iscrowd:
                is_lost = options.resolve(drawing.label).name in crowds
                raise UnusableShape(Rule.ONLY_CROWDS if is_lost else Rule.CROWD, repr(drawing.label))
            drawn = _drawn(drawing.annotation, drawing.label, stored_size, notes)
            if isinstance(drawn, dict):
                label, _ = resolve_label(drawing.label, options, notes)
                pixels = _turned_mask(drawn, orientation)
                masks.append(Part(drawing.place, label, number, [], framed_mask(canvas, pixels)))
            else:
                for kind, values in drawn:
                    points = turned_points(_points(values), stored_size, orientation)
                    shapes.append(Shape(drawing.label, points, kind, number))
                places += [drawing.place] * len(drawn)
        except UnusableShape as reason:
            notes.append((reason.rule, str(reason)))
        findings += [Finding(rule, canvas.file, drawing.place, message) for rule, message in notes]
    canvas = msgspec.structs.replace(canvas, places=places)
    (outlines,) = outlines_of_files([(canvas, shapes)])
    parts, found = parts_of_shapes(canvas, shapes, outlines, options)
    order = {drawing.place: number for number, drawing in enumerate(drawings)}
    # What is wrong with a label would be said once for each polygon.
    return sorted([*masks, *parts], key=lambda part: order[part.place]), [*findings, *dict.fromkeys(found)]


def _drawn(
    annotation: ForeignAnnotation, label: str, size: tuple[int, int], notes: list[Note]
) -> EncodedMask | list[tuple[str, _Values]]:
    """A mask as pycocotools' RLE; or polygons and boxes, each with LabelMe's word for what it is."""
    try:
        segmentation, is_other = decode_segmentation(annotation)
    except (msgspec.MsgspecError, ValueError) as error:
        raise UnusableShape(Rule.BAD_SEGMENTATION, str(error).replace("`$", "`segmentation")) from error
    if is_other:
        notes.append((Rule.READ_IN_ANOTHER_FORM, f"segmentation of {label!r}"))
    if isinstance(segmentation, ForeignRle):
        return _encoded(segmentation, label, size)
    if segmentation is not None:
        return list(_polygons(segmentation, label, notes))
    if annotation.bbox is None or len(annotation.bbox) != 4:
        raise UnusableShape(Rule.NOTHING_DRAWN, repr(label))
    notes.append((Rule.BOX_FOR_MASK, repr(label)))
    left, top, width, height = map(_number, annotation.bbox)
    if min(width, height) < 0:
        raise UnusableShape(Rule.ZERO_AREA, f"box {label!r}, {width:g} x {height:g}")
    return [("rectangle", (left, top, left + width, top + height))]


def _polygons(polygons: Sequence[_Values], label: str, notes: list[Note]) -> Iterator[tuple[str, _Values]]:
    for polygon in polygons:
        if len(polygon) % 2:
            notes.append((Rule.ODD_POLYGON, f"{label!r}, {len(polygon)} values"))
        else:
            yield "polygon", polygon


def _points(values: _Values) -> tuple[tuple[float, float], ...]:
    numbers = list(map(_number, values))
    return tuple(zip(numbers[::2], numbers[1::2]))


def _turned_mask(encoded: EncodedMask, orientation: int) -> EncodedMask:
    """A mask of a photo as it is stored, turned as the photo is shown."""
    if orientation == 1:
        return encoded
    code = rle.as_rle(encoded)
    left, top, right, bottom = window = rle.bounds(code)
    (height, width), pixels = code.size, turn_upright(Image.fromarray(rle.decode(code, window)), orientation)
    corners = turned_points(((left, top), (right, bottom)), (width, height), orientation)
    left, top = (min(values) for values in zip(*corners))
    return rle.as_encoded(rle.encode(np.asarray(pixels), (width, height), left, top))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _encoded(mask: ForeignRle, label: str, size: tuple[int, int]) -> EncodedMask:
    """A run-length code in pycocotools' form, once it is sure that it is one of the photo's size."""
    height, width = mask.size
    if (width, height) != size:
        sizes = f"the mask is {width} x {height}, the photo {size[0]} x {size[1]}"
        raise UnusableShape(Rule.MASK_OF_ANOTHER_SIZE, f"{label!r}: {sizes}")
    try:
        runs = rle.checked_runs(mask.size, mask.counts)
    except rle.BadRle as error:
        raise UnusableShape(Rule.MASK_UNREADABLE, f"{label!r}: {error}") from error
    if not runs[1::2].any():
        raise UnusableShape(Rule.MASK_EMPTY, repr(label))
    if isinstance(mask.counts, str):
        return {"size": [height, width], "counts": mask.counts.encode()}
    return coco_mask.frPyObjects({"size": [height, width], "counts": mask.counts}, height, width)
