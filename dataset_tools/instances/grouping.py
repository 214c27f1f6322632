"""From the parts that shapes cover to instances, by ``(label, group_id)``, and what is suspicious about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress

import msgspec
import numpy as np

from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.labelme import Shape
from dataset_tools.geometry.masks import (
    EncodedMask,
    PairBudget,
    TooManyPairs,
    measure_masks,
    nesting_depths,
    overlapping_masks,
    union_masks,
)
from dataset_tools.geometry.rle import as_encoded, as_rle, bounds, decode, encode
from dataset_tools.instances.shapes import LONGEST_SIDE, Part, ShapeOptions, outlines_of_files, parts_of_shapes
from dataset_tools.records import Canvas, Instance, Segmentation

# Two masks of one class that overlap this much: Mask R-CNN could not show both, since of two detections whose boxes
# overlap by more it drops one (Detectron2's MODEL.ROI_HEADS.NMS_THRESH_TEST).
_SUSPICIOUS_OVERLAP = 0.5

# Pixels between the samples of the finest features of an FPN: nothing narrower has its own sample.
_FINEST_STRIDE = 4


class DrawnInstance(msgspec.Struct, frozen=True, gc=False):
    """An instance, the parts that it is made of, and its pixels."""

    instance: Instance
    parts: Sequence[Part]
    pixels: EncodedMask

    @property
    def label(self) -> str:
        return self.instance.label

    @property
    def place(self) -> str:
        """What the shapes of the instance are called in findings."""
        return _places(self.parts)


def build_instances(
    files: Sequence[tuple[Canvas, Sequence[Shape]]], options: ShapeOptions
) -> Iterator[tuple[list[Instance], list[Finding]]]:
    """The instances of each file, in the order of their first shapes, and the findings about them.

    Args:
        files: what the shapes of each file are drawn on, and the shapes, as decoded.
        options: what becomes of them.
    """
    for (canvas, shapes), outlines in zip(files, outlines_of_files(files)):
        parts, found = parts_of_shapes(canvas, shapes, outlines, options)
        drawn, further = instances_of_parts(canvas, parts, options)
        yield [item.instance for item in drawn], found + further


def instances_of_parts(
    canvas: Canvas, parts: Sequence[Part], options: ShapeOptions
) -> tuple[list[DrawnInstance], list[Finding]]:
    """The instances that the parts of a file make up, and the findings about them."""
    try:
        return _instances_and_findings(canvas, parts, options, PairBudget())
    except TooManyPairs:
        return [], [Finding(Rule.TOO_MANY_PAIRS, canvas.file, message=f"there are {len(parts)}")]


def _instances_and_findings(
    canvas: Canvas, parts: Sequence[Part], options: ShapeOptions, budget: PairBudget
) -> tuple[list[DrawnInstance], list[Finding]]:
    groups: dict[object, list[Part]] = {}
    for part in parts:
        groups.setdefault((part.label, part.group), []).append(part)
    findings: list[Finding] = []
    joined: list[tuple[Sequence[Part], Segmentation, EncodedMask]] = []
    for group in groups.values():  # in the order of their first parts
        members, repeated = _distinct_parts(canvas.file, group, options) if len(group) > 1 else (group, [])
        segmentation, pixels, nested = _joined(canvas.file, members, options, budget)
        joined.append((members, segmentation, pixels))
        findings += [*repeated, *nested]
    drawn: list[DrawnInstance] = []
    areas, boxes = measure_masks([pixels for _, _, pixels in joined])
    for (members, segmentation, pixels), area, box in zip(joined, areas, boxes):
        if area > 0:
            instance = Instance(members[0].label, segmentation, area, box)
            drawn.append(DrawnInstance(instance, members, pixels))
        else:
            findings.append(Finding(Rule.NO_PIXELS, canvas.file, _places(members), f"label {members[0].label!r}"))
    are_first, repeated = _are_first(canvas.file, drawn, options)
    distinct = list(compress(drawn, are_first))
    kept = distinct if options.drop_duplicates else drawn
    findings += [*repeated, *_overlaps(canvas.file, distinct, budget), *_tiny(canvas, kept, options.training_size)]
    return kept, findings


def _distinct_parts(file: str, parts: Sequence[Part], options: ShapeOptions) -> tuple[Sequence[Part], list[Finding]]:
    """The parts of an instance, each once if the options ask for it; a finding for each that is repeated.

    A part that covers no pixel repeats none and stays: what was clipped into such pieces is one shape at first, and
    several when it is read again.
    """
    areas, _ = measure_masks([part.pixels for part in parts])
    are_first, findings = _are_first(file, list(compress(parts, areas)), options)
    if not options.drop_duplicates:
        return parts, findings
    judged = iter(are_first)
    return [part for part, area in zip(parts, areas) if not area or next(judged)], findings


def _joined(
    file: str, parts: Sequence[Part], options: ShapeOptions, budget: PairBudget
) -> tuple[Segmentation, EncodedMask, list[Finding]]:
    """The segmentation and the pixels of an instance of some parts; a finding for each part inside another one.

    Polygons stay polygons: COCO takes several in one segmentation as their union. Beside a mask all become one RLE, and
    so does what has a hole.
    """
    masks = [part.pixels for part in parts]
    depths = nesting_depths(masks, budget) if len(masks) > 1 else [0]
    rule = Rule.HOLE_CUT if options.holes else Rule.NESTED_PARTS
    nested = [
        Finding(rule, file, part.place, f"label {part.label!r}")
        for part, depth in zip(parts, depths)
        if (depth % 2 if options.holes else depth)  # what is in a hole is an island
    ]
    holed = options.holes and any(depths)
    pixels = _with_holes(masks, depths) if holed else union_masks(masks)
    if not holed and all(part.polygons for part in parts):
        return [polygon.ravel().tolist() for part in parts for polygon in part.polygons], pixels, nested
    return as_rle(pixels), pixels, nested


def _with_holes(masks: Sequence[EncodedMask], depths: Sequence[int]) -> EncodedMask:
    """A part inside another is a hole in it, a part inside the hole is an island, and so on inwards."""
    codes = zip(depths, map(as_rle, masks))
    drawn = [(depth, code, window) for depth, code in codes if (window := bounds(code))[2]]  # others cover nothing
    lefts, tops, rights, bottoms = zip(*(window for _, _, window in drawn))
    left, top = min(lefts), min(tops)
    whole = np.zeros((max(bottoms) - top, max(rights) - left), dtype=bool)
    for depth, code, window in sorted(drawn, key=lambda item: item[0]):
        part = whole[window[1] - top : window[3] - top, window[0] - left : window[2] - left]
        part[decode(code, window)] = depth % 2 == 0
    return as_encoded(encode(whole, drawn[0][1].size, left, top))


def _are_first(
    file: str, items: Sequence[Part | DrawnInstance], options: ShapeOptions
) -> tuple[list[bool], list[Finding]]:
    """Whether each is the first of its label on just these pixels; a finding for each that is not."""
    rule = Rule.DUPLICATE_DROPPED if options.drop_duplicates else Rule.DUPLICATE_SHAPE
    first: dict[tuple[str, bytes], Part | DrawnInstance] = {}
    earlier = [first.setdefault((item.label, item.pixels["counts"]), item) for item in items]
    findings = [
        Finding(rule, file, item.place, f"{item.label!r}, as {other.place}")
        for item, other in zip(items, earlier)
        if other is not item
    ]
    return [other is item for item, other in zip(items, earlier)], findings


def _places(parts: Sequence[Part]) -> str:
    return ", ".join(dict.fromkeys(part.place for part in parts))  # parts of one annotation have one place


def _overlaps(file: str, drawn: Sequence[DrawnInstance], budget: PairBudget) -> Iterator[Finding]:
    labels, pixels = [item.label for item in drawn], [item.pixels for item in drawn]
    boxes = [item.instance.bbox for item in drawn]
    for first, second, value in overlapping_masks(labels, pixels, boxes, _SUSPICIOUS_OVERLAP, budget):
        one, other = drawn[first], drawn[second]
        yield Finding(Rule.OVERLAP, file, other.place, f"{one.label!r}, IoU {value:.2f} with {one.place}")


def _tiny(canvas: Canvas, drawn: Sequence[DrawnInstance], training_size: int) -> Iterator[Finding]:
    scale = min(training_size / min(canvas.frame), LONGEST_SIDE * training_size / max(canvas.frame))
    for item in drawn:
        width, height = item.instance.bbox[2] * scale, item.instance.bbox[3] * scale
        if min(width, height) < _FINEST_STRIDE:
            sides = f"{width:.1f} x {height:.1f} px at a training size of {training_size}"
            yield Finding(Rule.TINY, canvas.file, item.place, f"{item.label!r}, {sides}")
