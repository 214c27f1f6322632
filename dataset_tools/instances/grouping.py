"""From the parts that shapes cover to instances, by ``(label, group_id)``, and what is suspicious about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.labelme import Shape
from dataset_tools.geometry.masks import (
    decode_mask,
    encode_mask,
    measure_masks,
    nesting_depths,
    overlapping_masks,
    rasterise_polygons,
    resize_mask,
    union_masks,
)
from dataset_tools.geometry.polygons import Polygon, has_area, round_polygon
from dataset_tools.geometry.rle import Rle
from dataset_tools.instances.shapes import LONGEST_SIDE, Part, ShapeOptions, parts_of_shapes
from dataset_tools.records import Canvas, Instance

# Two masks of one class that overlap this much: Mask R-CNN could not show both, since of two detections whose boxes
# overlap by more it drops one (Detectron2's MODEL.ROI_HEADS.NMS_THRESH_TEST).
_SUSPICIOUS_OVERLAP = 0.5

# Pixels between the samples of the finest features of an FPN: nothing narrower has a sample of its own.
_FINEST_STRIDE = 4

InstancesAndFindings = tuple[list[Instance], list[Finding]]


def build_instances(
    canvases: Sequence[Canvas], shapes: Sequence[Sequence[Shape]], options: ShapeOptions
) -> list[InstancesAndFindings]:
    """For each file, its instances, in the order of their first shapes, and what was found on the way.

    Args:
        canvases: of some files: together they are done faster than one by one.
        shapes: of each of them, as decoded.
        options: what becomes of them.
    """
    covered = parts_of_shapes(canvases, shapes, options)
    made = instances_of_parts(canvases, [parts for parts, _ in covered], options)
    return [(instances, found + further) for (instances, further), (_, found) in zip(made, covered)]


def instances_of_parts(
    canvases: Sequence[Canvas], parts: Sequence[Sequence[Part]], options: ShapeOptions
) -> list[InstancesAndFindings]:
    """For each file, the instances that its parts make up, and what there is to say about them."""
    objects, findings = [], []
    for canvas, drawn in zip(canvases, _raster_parts(canvases, parts)):
        found: list[Finding] = []
        objects.append(list(_objects(canvas.file, drawn, options, found)))
        findings.append(found)
    seen = _visible_objects(canvases, objects, findings)
    made = []
    for canvas, items, found in zip(canvases, seen, findings):
        distinct = list(compress(items, _are_first(canvas.file, [item for item, _ in items], options, found)))
        found += _overlaps(canvas.file, distinct)
        kept = distinct if options.drop_duplicates else items
        found += _tiny(canvas, kept, options.training_size)
        made.append(([instance for _, instance in kept], found))
    return made


class _RasterPart(msgspec.Struct, frozen=True, gc=False):
    """A part in the frame: its polygons there, and its pixels as RLE, None if it has none."""

    part: Part
    polygons: list[Polygon]
    encoded: dict | None

    @property
    def label(self) -> str:
        return self.part.label

    @property
    def place(self) -> str:
        return self.part.place


class _Object(msgspec.Struct, frozen=True, gc=False):
    """The parts of one instance, joined."""

    group: list[_RasterPart]
    segmentation: Sequence[NDArray[np.float64]] | Rle
    encoded: dict

    @property
    def label(self) -> str:
        return self.group[0].label

    @property
    def place(self) -> str:
        return _places(self.group)


# An object that covers at least one pixel, and what becomes of it.
_VisibleObject = tuple[_Object, Instance]


def _raster_parts(canvases: Sequence[Canvas], parts: Sequence[Sequence[Part]]) -> Iterator[list[_RasterPart]]:
    """For each file, its parts in the frame; all polygons of one frame are rasterised in one call."""
    outlines = [[_framed(part, canvas) for part in items] for canvas, items in zip(canvases, parts)]
    by_frame: dict[tuple[int, int], list[Polygon]] = {}
    for canvas, items in zip(canvases, outlines):
        by_frame.setdefault(canvas.frame, []).extend(polygon for polygons in items for polygon in polygons)
    encoded = {frame: iter(rasterise_polygons(polygons, frame)) for frame, polygons in by_frame.items()}
    for canvas, items, polygons_of in zip(canvases, parts, outlines):
        yield [
            _RasterPart(part, polygons, _pixels(part, canvas, [next(encoded[canvas.frame]) for _ in polygons]))
            for part, polygons in zip(items, polygons_of)
        ]


def _framed(part: Part, canvas: Canvas) -> list[Polygon]:
    """The polygons of a part in the frame, rounded; without those that this leaves without area."""
    polygons = part.polygons
    if canvas.frame == canvas.size and part.is_rounded:
        return list(polygons)
    if canvas.frame != canvas.size:
        polygons = [polygon * np.divide(canvas.frame, canvas.size) for polygon in polygons]
    return [polygon for polygon in map(round_polygon, polygons) if has_area(polygon)]


def _pixels(part: Part, canvas: Canvas, drawn: list[dict]) -> dict | None:
    """The pixels of a part, given those of its polygons, as RLE; None if it has none."""
    if part.mask is None:
        return union_masks(drawn) if drawn else None
    if canvas.frame == canvas.size:
        return part.mask
    return encode_mask(resize_mask(decode_mask(part.mask), canvas.frame))


def _objects(
    file: str, drawn: Sequence[_RasterPart], options: ShapeOptions, findings: list[Finding]
) -> Iterator[_Object]:
    groups: dict[object, list[_RasterPart]] = {}
    for item in drawn:
        groups.setdefault((item.label, item.part.group), []).append(item)
    for group in groups.values():  # in the order of their first parts
        visible = [item for item in group if item.encoded]
        if len(visible) > 1:
            visible = _distinct_parts(file, visible, options, findings)
        if visible:
            yield _joined(file, visible, options, findings)
        else:
            findings.append(_without_pixels(file, group))


def _distinct_parts(
    file: str, parts: Sequence[_RasterPart], options: ShapeOptions, findings: list[Finding]
) -> Sequence[_RasterPart]:
    """The parts of an instance, each once if so wished; a finding for each that is there again.

    A part that covers no pixel repeats none and stays: what was clipped into such pieces is one shape at first, and
    several when it is read again.
    """
    areas, _ = measure_masks([part.encoded for part in parts])
    seen = [part for part, area in zip(parts, areas) if area]
    repeated = {id(part) for part, first in zip(seen, _are_first(file, seen, options, findings)) if not first}
    return [part for part in parts if id(part) not in repeated] if options.drop_duplicates else parts


def _joined(file: str, group: list[_RasterPart], options: ShapeOptions, findings: list[Finding]) -> _Object:
    """One instance of its parts.

    Polygons stay polygons: COCO takes several in one segmentation as their union. Beside a mask all become one RLE, and
    so does what has a hole.
    """
    if len(group) == 1 and group[0].polygons:
        return _Object(group, [polygon.ravel() for polygon in group[0].polygons], group[0].encoded)
    whole = union_masks([item.encoded for item in group])
    depths = nesting_depths([item.encoded for item in group]) if len(group) > 1 else [0]
    rule = Rule.HOLE_CUT if options.holes else Rule.NESTED_PARTS
    for item, depth in zip(group, depths):
        if depth % 2 if options.holes else depth:  # what is in a hole is an island
            findings.append(Finding(rule, file, item.place, f"label {item.label!r}"))
    holed = options.holes and any(depths)
    if holed:
        whole = _with_holes(group, depths)
    if not holed and all(item.polygons for item in group):
        return _Object(group, [polygon.ravel() for item in group for polygon in item.polygons], whole)
    height, width = whole["size"]
    return _Object(group, Rle(size=(height, width), counts=whole["counts"].decode("ascii")), whole)


def _with_holes(group: Sequence[_RasterPart], depths: Sequence[int]) -> dict:
    """A part inside another is a hole in it, a part inside the hole is none, and so on inwards."""
    mask = None
    for depth, item in sorted(zip(depths, group), key=lambda pair: pair[0]):
        pixels = decode_mask(item.encoded)
        mask = pixels if mask is None else mask & ~pixels if depth % 2 else mask | pixels
    return encode_mask(mask)


def _are_first(
    file: str, items: Sequence[_RasterPart | _Object], options: ShapeOptions, findings: list[Finding]
) -> list[bool]:
    """Whether each is the first of its label on just these pixels; a finding for each that is not."""
    rule = Rule.DUPLICATE_DROPPED if options.drop_duplicates else Rule.DUPLICATE_SHAPE
    first: dict[tuple[str, bytes], _RasterPart | _Object] = {}
    judged = []
    for item in items:
        earlier = first.setdefault((item.label, item.encoded["counts"]), item)
        judged.append(earlier is item)
        if earlier is not item:
            findings.append(Finding(rule, file, item.place, f"{item.label!r}, as {earlier.place}"))
    return judged


def _places(group: Sequence[_RasterPart]) -> str:
    return ", ".join(dict.fromkeys(item.place for item in group))  # parts of one annotation have one place


def _without_pixels(file: str, group: Sequence[_RasterPart]) -> Finding:
    return Finding(Rule.NO_PIXELS, file, _places(group), f"label {group[0].label!r}")


def _visible_objects(
    canvases: Sequence[Canvas], objects: Sequence[Sequence[_Object]], findings: Sequence[list[Finding]]
) -> list[list[_VisibleObject]]:
    """For each file, the objects that cover a pixel; a finding for each of the others.

    One call measures those of all files, as one rasterises them: pycocotools' code and Python's then need not change
    places in the processor's cache with every file, which costs more than the work itself.
    """
    areas, boxes = measure_masks([item.encoded for items in objects for item in items])
    measured = zip(areas, boxes)
    seen: list[list[_VisibleObject]] = []
    for canvas, items, found in zip(canvases, objects, findings):
        seen.append([])
        for item, (area, box) in zip(items, measured):
            if area > 0:
                seen[-1].append((item, Instance(item.label, item.segmentation, area, tuple(box))))
            else:
                found.append(_without_pixels(canvas.file, item.group))
    return seen


def _overlaps(file: str, seen: Sequence[_VisibleObject]) -> Iterator[Finding]:
    labels, encoded = [one.label for one, _ in seen], [one.encoded for one, _ in seen]
    areas, boxes = [instance.area for _, instance in seen], [instance.bbox for _, instance in seen]
    for first, second, value in overlapping_masks(labels, encoded, areas, boxes, _SUSPICIOUS_OVERLAP):
        one, other = seen[first][0], seen[second][0]
        yield Finding(Rule.OVERLAP, file, other.place, f"{one.label!r}, IoU {value:.2f} with {one.place}")


def _tiny(canvas: Canvas, seen: Sequence[_VisibleObject], training_size: int) -> Iterator[Finding]:
    scale = min(training_size / min(canvas.frame), LONGEST_SIDE * training_size / max(canvas.frame))
    for item, instance in seen:
        width, height = instance.bbox[2] * scale, instance.bbox[3] * scale
        if min(width, height) < _FINEST_STRIDE:
            sides = f"{width:.1f} x {height:.1f} px at a training size of {training_size}"
            yield Finding(Rule.TINY, canvas.file, item.place, f"{item.label!r}, {sides}")
