"""From the shapes of a LabelMe file to what each covers of its photo; what cannot be used becomes a finding."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np
import pybase64
from PIL import Image, UnidentifiedImageError

from dataset_tools.errors import UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.labelme import Shape
from dataset_tools.geometry import rle
from dataset_tools.geometry.masks import (
    EncodedMask,
    Mask,
    clip_mask,
    rasterise_polygons,
    union_masks,
)
from dataset_tools.geometry.polygons import (
    MAX_LENGTH,
    MAX_PIXELS,
    Outline,
    Polygon,
    circle_outline,
    clip_polygon,
    describe_crossing,
    has_area,
    is_inside,
    is_sane,
    outlines_length,
    rectangle_outline,
    repair_polygon,
    round_polygon,
    simple_outlines,
    stroke_outlines,
    without_repeats,
)
from dataset_tools.instances.labels import LabelRules, Note
from dataset_tools.records import Canvas

# LabelMe's shape types: how many points each may have (None: any number), fewer are a warning, more an error.
_POINTS: dict[str, tuple[int, int | None]] = {
    "polygon": (3, None),
    "rectangle": (2, 4),  # 4 corners come from X-AnyLabeling
    "circle": (2, 2),
    "oriented_rectangle": (4, 4),
    "mask": (2, 2),
    "rotation": (4, 4),  # X-AnyLabeling's oriented rectangle
    "quadrilateral": (4, 4),  # X-AnyLabeling's, too
}
_STROKES: dict[str, tuple[int, int | None]] = {"point": (1, 1), "line": (2, 2), "linestrip": (2, None)}
_CORNERED = ("rectangle", "oriented_rectangle", "rotation", "quadrilateral")  # with four points these are polygons

# A mask of its object's size is not larger than the photo; beyond this many times its pixels it is not even decoded.
_LARGEST_MASK = 4

# Detectron2's short side in training (INPUT.MIN_SIZE_TRAIN), and how many times as long the longer may become
# (INPUT.MAX_SIZE_TRAIN): a photo of another form is made smaller.
TRAINING_SIZE = 800
LONGEST_SIDE = 1333 / 800


@dataclass(frozen=True)
class ShapeOptions(LabelRules):
    """What becomes of shapes and their labels.

    Attributes:
        line_width: in pixels; lines and points become strips and discs so wide. None leaves them out.
        repair: outlines that cross themselves are taken apart, by the even-odd rule.
        holes: in a group, a part inside another part is a hole in it.
        drop_duplicates: of equal shapes only the first is kept.
        training_size: the short side in pixels at which the size of an instance is judged.
    """

    line_width: float | None = None
    repair: bool = False
    holes: bool = False
    drop_duplicates: bool = False
    training_size: int = TRAINING_SIZE

    def check(self) -> None:
        """Refuse options that contradict themselves or are out of range.

        Raises:
            UserError: a label rule contradicts another, or a number of pixels is not above 0.
        """
        super().check()
        for flag, value in (("--line-width", self.line_width), ("--training-size", self.training_size)):
            if value is not None and not 0 < value < math.inf:
                raise UserError(f"{flag} is {value}", remedy="Pass a number of pixels above 0, or leave it out")


class Part(msgspec.Struct, frozen=True, gc=False):
    """What one shape covers, in the frame.

    Attributes:
        place: of the shape in its file.
        label: its class.
        group: parts of one label and group are one instance.
        polygons: rounded, inside the frame; none if the shape is a mask.
        pixels: pycocotools' RLE, since a file may hold a hundred masks.
        length: of the polygons (``outlines_length``).
    """

    place: str
    label: str
    group: object
    polygons: Sequence[Polygon]
    pixels: EncodedMask
    length: float = 0.0


class _GroupId(NamedTuple):
    """A group that a file names. Other groups are made of a place, or of a number in a label."""

    id: int | float | str


class UnusableShape(Exception):
    """A shape that is left out, and why."""

    def __init__(self, rule: Rule, message: str = ""):
        super().__init__(message)
        self.rule = rule


def parts_of_shapes(
    canvas: Canvas, shapes: Sequence[Shape], outlines: Sequence[Outline | None], options: ShapeOptions
) -> tuple[list[Part], list[Finding]]:
    """What each shape of a file covers, in their order, and the findings about them.

    Args:
        canvas: what the shapes are drawn on.
        shapes: as decoded.
        outlines: of each shape, as ``outlines_of_files`` has them.
        options: what becomes of the shapes.
    """
    findings: list[Finding] = []
    parts: list[Part] = []
    without_surface: dict[str, None] = {}
    length_left: float = MAX_LENGTH
    for index, (shape, outline) in enumerate(zip(shapes, outlines)):
        notes: list[Note] = []
        try:
            parts.append(_part(canvas, index, shape, outline, options, notes, length_left))
            length_left -= parts[-1].length
        except UnusableShape as reason:
            notes.append((reason.rule, str(reason)))
            if reason.rule is Rule.NO_SURFACE:
                without_surface[shape.kind] = None
        findings += [Finding(rule, canvas.file, canvas.place(index), message) for rule, message in notes]
    if without_surface and not parts:  # its objects would be learned as background
        findings.append(Finding(Rule.NO_SHAPE_LEFT, canvas.file, message=", ".join(map(repr, without_surface))))
    return parts, findings + list(_shared_groups(canvas.file, parts))


def outlines_of_files(files: Sequence[tuple[Canvas, Sequence[Shape]]]) -> list[list[Outline | None]]:
    """For each file, the rounded outline of each shape that is simple, in the photo; None for each other shape."""
    outlined = [(canvas.size, shape.points) for canvas, shapes in files for shape in shapes if _has_outline(shape)]
    counts = np.array([len(points) for _, points in outlined], dtype=int)
    flat = chain.from_iterable(chain.from_iterable(points for _, points in outlined))
    points = np.fromiter(flat, dtype=np.float64, count=2 * int(counts.sum())).reshape(-1, 2)
    outlines = iter(simple_outlines(points, counts, np.array([size for size, _ in outlined])))
    return [[next(outlines) if _has_outline(shape) else None for shape in shapes] for _, shapes in files]


def _has_outline(shape: Shape) -> bool:
    """Whether the points of a shape are its outline."""
    count = len(shape.points)
    return count >= 3 and (shape.kind == "polygon" or (shape.kind in _CORNERED and count == 4))


def _part(
    canvas: Canvas,
    index: int,
    shape: Shape,
    outline: Outline | None,
    options: ShapeOptions,
    notes: list[Note],
    length_left: float,
) -> Part:
    """What a shape covers, by polygons no longer than ``length_left``; remarks about it are added to ``notes``."""
    label, number = resolve_label(shape.label, options, notes)
    place = canvas.place(index)
    group = number or place if shape.group_id is None else _GroupId(shape.group_id)
    if outline is None:
        points = _points(shape, options.line_width is not None)
        if shape.kind == "mask":
            return Part(place, label, group, [], framed_mask(canvas, _pasted(shape, points, canvas.size, notes)))
        outlines = _outlines(shape.kind, points, options, notes)
        polygons = _clipped(outlines, f"{shape.kind} {label!r}", canvas.size, notes)
    else:
        polygons, length = [outline.polygon], outline.length
    if outline is None or canvas.frame != canvas.size:
        scale = np.divide(canvas.frame, canvas.size)
        polygons = [polygon for polygon in (round_polygon(piece * scale) for piece in polygons) if has_area(polygon)]
        length = outlines_length(polygons)
    if not polygons:
        raise UnusableShape(Rule.NO_PIXELS, f"label {label!r}")
    if length > length_left:
        message = f"label {label!r}; those of all shapes are more than {MAX_LENGTH:,} pixels long"
        raise UnusableShape(Rule.OUTLINES_TOO_LONG, message)
    return Part(place, label, group, polygons, union_masks(rasterise_polygons(polygons, canvas.frame)), length)


def framed_mask(canvas: Canvas, encoded: EncodedMask) -> EncodedMask:
    """A mask of the photo, scaled to the frame."""
    if canvas.frame == canvas.size:
        return encoded
    return rle.as_encoded(rle.resize(rle.as_rle(encoded), canvas.frame))


def _clipped(outlines: Sequence[Polygon], what: str, size: tuple[int, int], notes: list[Note]) -> list[Polygon]:
    """The polygons inside the photo, and a note where something was cut off."""
    if not any(map(has_area, outlines)):
        raise UnusableShape(Rule.ZERO_AREA, what)
    inside = [piece for outline in outlines for piece in clip_polygon(outline, size)]
    if not inside:
        raise UnusableShape(Rule.OUTSIDE, what)
    if not all(is_inside(outline, size) for outline in outlines):
        notes.append((Rule.PARTLY_OUTSIDE, what))
    return inside


def resolve_label(raw: str, labels: LabelRules, notes: list[Note]) -> tuple[str, str | None]:
    """The class of a label, and the label itself if it ends with an object's number.

    Raises:
        UnusableShape: it has none.
    """
    found = labels.resolve(raw)
    if found.name is None:
        notes += found.notes[:-1]
        raise UnusableShape(*found.notes[-1])
    notes += found.notes
    return found.name, found.number


def _points(shape: Shape, with_strokes: bool) -> Polygon:
    """The points as an array, if there are as many as the type has and all can be drawn."""
    kinds = _POINTS | _STROKES if with_strokes else _POINTS
    if shape.kind not in kinds:
        raise UnusableShape(Rule.NO_SURFACE, f"{shape.kind!r}, label {shape.label!r}")
    fewest, most = kinds[shape.kind]
    count = len(shape.points)
    # Three corners of a rectangle are a half-drawn one: neither two opposite corners nor all four.
    if count < fewest or (shape.kind == "rectangle" and count == 3):
        raise UnusableShape(Rule.TOO_FEW_POINTS, f"{shape.kind} {shape.label!r} with {count} points")
    if most is not None and count > most:
        raise UnusableShape(Rule.TOO_MANY_POINTS, f"{shape.kind} {shape.label!r} with {count} points")
    points = np.array(shape.points, dtype=np.float64)
    if not is_sane(points):
        raise UnusableShape(Rule.BAD_COORDINATES, f"{shape.kind} {shape.label!r}")
    return points


def _outlines(kind: str, points: Polygon, options: ShapeOptions, notes: list[Note]) -> list[Polygon]:
    """The outlines of a shape other than a mask; several only where a stroke or a repair makes them."""
    if kind in _STROKES and options.line_width is not None:
        return stroke_outlines(points, options.line_width)
    if kind == "circle":
        return [circle_outline(points)]
    outline = rectangle_outline(points) if kind == "rectangle" and len(points) == 2 else points
    outline = without_repeats(outline)
    if not has_area(outline) or not (crossing := describe_crossing(outline)):
        return [outline]
    repaired = repair_polygon(outline) if options.repair else None
    notes.append((Rule.REPAIRED if repaired else Rule.SELF_CROSSING, crossing))
    return repaired or [outline]


def _pasted(shape: Shape, points: Polygon, size: tuple[int, int], notes: list[Note]) -> EncodedMask:
    """The mask of a mask shape on the photo's canvas, as RLE."""
    mask = _decode_mask(shape.mask, most=min(MAX_PIXELS, _LARGEST_MASK * size[0] * size[1]))
    if not mask.any():
        raise UnusableShape(Rule.MASK_EMPTY, repr(shape.label))
    # The second corner is the last pixel of the mask, not the first behind it.
    corner, box = points.min(axis=0), np.floor(points + 0.5).astype(int)
    box_size = tuple(int(side) for side in box.max(axis=0) - box.min(axis=0) + 1)
    if box_size != mask.shape[::-1]:
        sizes = f"the box is {box_size[0]} x {box_size[1]}, the mask {mask.shape[1]} x {mask.shape[0]}"
        notes.append((Rule.MASK_BOX_DIFFERS, sizes))
    inside, left, top = clip_mask(mask, corner, size)
    if not inside.any():
        raise UnusableShape(Rule.OUTSIDE, f"mask {shape.label!r}")
    if int(inside.sum()) < int(mask.sum()):
        notes.append((Rule.PARTLY_OUTSIDE, f"mask {shape.label!r}"))
    return rle.as_encoded(rle.encode(inside, size[::-1], left, top))


def _decode_mask(text: str | None, most: int) -> Mask:
    """The mask in a base64 PNG, of so many pixels at most.

    LabelMe 5.4 wrote mode 1, later mode L holding 0 and 1: any level but 0 is object.
    """
    if not text:
        raise UnusableShape(Rule.MASK_UNREADABLE, "there is none")
    try:
        with Image.open(io.BytesIO(pybase64.b64decode(text)), formats=("PNG",)) as image:
            if image.width * image.height > most:
                sizes = f"it claims {image.width} x {image.height} pixels"
                raise ValueError(f"{sizes}; of a mask for this photo at most {most:,} are read")
            pixels = np.asarray(image)
    except UnidentifiedImageError as error:  # its message names an object in memory
        raise UnusableShape(Rule.MASK_UNREADABLE, "it is not a PNG") from error
    except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
        raise UnusableShape(Rule.MASK_UNREADABLE, str(error) or type(error).__name__) from error
    if pixels.ndim != 2:
        raise UnusableShape(Rule.MASK_UNREADABLE, "it has several channels")
    return pixels != 0


def _shared_groups(file: str, parts: Sequence[Part]) -> Iterator[Finding]:
    labels: dict[_GroupId, dict[str, None]] = {}
    for part in parts:
        if isinstance(part.group, _GroupId):
            labels.setdefault(part.group, {})[part.label] = None
    for group, names in labels.items():
        if len(names) > 1:
            yield Finding(Rule.GROUP_WITH_SEVERAL_LABELS, file, f"group_id {group.id}", ", ".join(map(repr, names)))
