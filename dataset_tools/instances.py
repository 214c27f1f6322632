"""From the parts that shapes cover to instances, by ``(label, group_id)``, and what is suspicious about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

import msgspec
import numpy as np

from dataset_tools import geometry
from dataset_tools.coco import Rle
from dataset_tools.findings import Finding, Rule
from dataset_tools.geometry import Polygon
from dataset_tools.labelme import Shape
from dataset_tools.records import Instance
from dataset_tools.shapes import Part, ShapeOptions, parts_of

# Two masks of one class that overlap this much: Mask R-CNN could not show both, since of two detections whose boxes
# overlap by more it drops one (Detectron2's MODEL.ROI_HEADS.NMS_THRESH_TEST).
_SUSPICIOUS_OVERLAP = 0.5

# Pixels between the samples of the finest features of an FPN: nothing narrower has a sample of its own.
_FINEST_STRIDE = 4


def build(
    file: str,
    shapes: Sequence[Shape],
    size: tuple[int, int],
    options: ShapeOptions,
    frame: tuple[int, int] | None = None,
) -> tuple[list[Instance], list[Finding]]:
    """The instances of one file, in the order of their first shapes, and what was found on the way.

    Args:
        file: for the findings.
        shapes: as decoded.
        size: the photo's (width, height) as shown.
        options: what becomes of them.
        frame: the (width, height) to which photo and instances are scaled; None keeps the size.
    """
    parts, findings = parts_of(file, shapes, size, options)
    instances, found = assemble(file, parts, size, options, frame)
    return instances, findings + found


def assemble(
    file: str,
    parts: Sequence[Part],
    size: tuple[int, int],
    options: ShapeOptions,
    frame: tuple[int, int] | None = None,
) -> tuple[list[Instance], list[Finding]]:
    """The instances that parts make up, and what there is to say about them; the arguments are those of ``build``."""
    drawn = _drawn(parts, size, frame or size)
    objects, findings = [], []
    for group in _grouped(drawn):
        if any(item.encoded for item in group):
            objects.append(_joined(file, [item for item in group if item.encoded], options, findings))
        else:
            findings.append(_without_pixels(file, group))
    areas, boxes = geometry.measure([item.encoded for item in objects])
    seen = [area > 0 for area in areas]
    findings += [_without_pixels(file, item.group) for item, is_seen in zip(objects, seen) if not is_seen]
    objects, areas, boxes = (list(compress(values, seen)) for values in (objects, areas, boxes))
    findings += _overlaps(file, objects, areas, boxes)
    findings += _tiny(file, objects, boxes, frame or size, options.training_size)
    instances = [
        Instance(item.label, item.segmentation, area, tuple(box)) for item, area, box in zip(objects, areas, boxes)
    ]
    return instances, findings


class _Drawn(msgspec.Struct, frozen=True, gc=False):
    """A part in the frame: its polygons there, and its pixels as RLE, None if it has none."""

    part: Part
    polygons: list[Polygon]
    encoded: dict | None


class _Object(msgspec.Struct, frozen=True, gc=False):
    """The parts of one instance, joined."""

    group: list[_Drawn]
    segmentation: list[list[float]] | Rle
    encoded: dict

    @property
    def label(self) -> str:
        return self.group[0].part.label

    @property
    def place(self) -> str:
        return ", ".join(item.part.place for item in self.group)


def _drawn(parts: Sequence[Part], size: tuple[int, int], frame: tuple[int, int]) -> list[_Drawn]:
    """The parts in the frame; all polygons are rasterised in one call, which is quick."""
    scale = None if frame == size else np.divide(frame, size)
    outlines = []
    for part in parts:
        polygons = part.polygons if scale is None else [polygon * scale for polygon in part.polygons]
        if not part.is_rounded or scale is not None:
            polygons = [geometry.rounded(polygon) for polygon in polygons]
        outlines.append([polygon for polygon in polygons if len(polygon) >= 3])
    encoded = iter(geometry.rasterise([polygon for polygons in outlines for polygon in polygons], frame))
    drawn = []
    for part, polygons in zip(parts, outlines):
        if part.mask is not None:
            mask = part.mask if scale is None else geometry.resized(part.mask, frame)
            drawn.append(_Drawn(part, [], geometry.encode(mask)))
        else:
            pixels = [next(encoded) for _ in polygons]
            drawn.append(_Drawn(part, polygons, geometry.union(pixels) if pixels else None))
    return drawn


def _joined(file: str, group: list[_Drawn], options: ShapeOptions, findings: list[Finding]) -> _Object:
    """One instance of its parts.

    Polygons stay polygons: COCO takes several in one segmentation as their union. Beside a mask all become one RLE, and
    so does what has a hole.
    """
    if len(group) == 1 and group[0].polygons:
        return _Object(group, [polygon.ravel().tolist() for polygon in group[0].polygons], group[0].encoded)
    whole = geometry.union([item.encoded for item in group])
    depths = geometry.nesting([item.encoded for item in group]) if len(group) > 1 else [0]
    for item, depth in zip(group, depths):
        if depth:
            rule = Rule.HOLE_CUT if options.holes and depth % 2 else Rule.NESTED_PARTS
            findings.append(Finding(rule, file, item.part.place, f"label {item.part.label!r}"))
    holed = options.holes and any(depths)
    if holed:
        whole = _with_holes(group, depths)
    if not holed and all(item.polygons for item in group):
        return _Object(group, [polygon.ravel().tolist() for item in group for polygon in item.polygons], whole)
    height, width = whole["size"]
    return _Object(group, Rle(size=(height, width), counts=whole["counts"].decode("ascii")), whole)


def _with_holes(group: Sequence[_Drawn], depths: Sequence[int]) -> dict:
    """A part inside another is a hole in it, a part inside the hole is none, and so on inwards."""
    mask = None
    for depth, item in sorted(zip(depths, group), key=lambda pair: pair[0]):
        pixels = geometry.decode(item.encoded)
        mask = pixels if mask is None else mask & ~pixels if depth % 2 else mask | pixels
    return geometry.encode(mask)


def _grouped(drawn: Sequence[_Drawn]) -> Iterator[list[_Drawn]]:
    """The parts of each instance, in the order of the first part."""
    groups: dict[object, list[_Drawn]] = {}
    for item in drawn:
        groups.setdefault((item.part.label, item.part.group), []).append(item)
    yield from groups.values()


def _without_pixels(file: str, group: Sequence[_Drawn]) -> Finding:
    places = ", ".join(item.part.place for item in group)
    return Finding(Rule.NO_PIXELS, file, places, f"label {group[0].part.label!r}")


def _overlaps(
    file: str, objects: Sequence[_Object], areas: Sequence[float], boxes: Sequence[Sequence[float]]
) -> Iterator[Finding]:
    labels, encoded = [item.label for item in objects], [item.encoded for item in objects]
    for first, second, value in geometry.overlaps(labels, encoded, areas, boxes, _SUSPICIOUS_OVERLAP):
        one, other = objects[first], objects[second]
        if one.encoded != other.encoded:  # equal shapes have a finding of their own
            yield Finding(Rule.OVERLAP, file, other.place, f"{one.label!r}, IoU {value:.2f} with {one.place}")


def _tiny(
    file: str, objects: Sequence[_Object], boxes: Sequence[Sequence[float]], frame: tuple[int, int], training_size: int
) -> Iterator[Finding]:
    scale = training_size / min(frame)
    for item, (_, _, width, height) in zip(objects, boxes):
        if min(width, height) * scale < _FINEST_STRIDE:
            sides = f"{width * scale:.1f} x {height * scale:.1f} px at a short side of {training_size}"
            yield Finding(Rule.TINY, file, item.place, f"{item.label!r}, {sides}")
