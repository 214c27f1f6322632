"""From the shapes of one file to its instances, by ``(label, group_id)``; what cannot be used becomes a finding."""

from __future__ import annotations

import base64
import difflib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dataset_tools import geometry
from dataset_tools.coco import Rle
from dataset_tools.findings import Finding, Rule
from dataset_tools.geometry import Mask, Polygon
from dataset_tools.images import MAX_PIXELS
from dataset_tools.labelme import Shape

# Labels that LabelMe's own class lists hold for purposes of their own.
RESERVED_LABELS = ("_background_", "__ignore__")

# Something to say about a shape that can be used.
Note = tuple[Rule, str]

# LabelMe's shape types: how many points each may have (None: any number), fewer are a warning, more an error.
_POINTS: dict[str, tuple[int, int | None]] = {
    "polygon": (3, None),
    "rectangle": (2, 4),  # 4 corners come from X-AnyLabeling
    "circle": (2, 2),
    "oriented_rectangle": (4, 4),
    "mask": (2, 2),
}


@dataclass(frozen=True, slots=True)
class Instance:
    """One object of a photo, ready for COCO.

    Attributes:
        label: its class.
        segmentation: polygons as flat lists x, y, x, y, ... in pixels, or an RLE where one of its shapes is a mask.
        area: in pixels.
        bbox: x, y, width, height in pixels.
    """

    label: str
    segmentation: list[list[float]] | Rle
    area: float
    bbox: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Part:
    """What one shape covers: polygons inside the photo, or a mask of the photo's size."""

    place: str
    label: str
    group_id: int | None
    polygons: Sequence[Polygon] = ()
    mask: Mask | None = None


class _Unusable(Exception):
    """A shape that is left out, and why."""

    def __init__(self, rule: Rule, message: str = ""):
        super().__init__(message)
        self.rule = rule


def build(
    file: str, shapes: Sequence[Shape], size: tuple[int, int], classes: Sequence[str] | None
) -> tuple[list[Instance], list[Finding]]:
    """The instances of one file, in the order of their first shapes, and what was found on the way.

    Args:
        file: for the findings.
        shapes: as decoded.
        size: the photo's (width, height) as shown.
        classes: the labels that are allowed; None allows every label.
    """
    findings = list(_duplicates(file, shapes))
    parts = []
    for index, shape in enumerate(shapes):
        place, notes = f"shapes[{index}]", []
        try:
            parts.append(_part(place, shape, size, classes, notes))
        except _Unusable as reason:
            notes.append((reason.rule, str(reason)))
        findings += [Finding(rule, file, place, message) for rule, message in notes]
    findings += _shared_groups(file, parts)
    instances = []
    for group in _grouped(parts):
        if instance := _instance(group, size):
            instances.append(instance)
        else:
            places = ", ".join(part.place for part in group)
            findings.append(Finding(Rule.NO_PIXELS, file, places, f"label {group[0].label!r}"))
    return instances, findings


def _part(place: str, shape: Shape, size: tuple[int, int], classes: Sequence[str] | None, notes: list[Note]) -> _Part:
    """What a shape covers of the photo; what is to be said about it is added to ``notes``."""
    label = _label(shape.label, classes, notes)
    points = _points(shape)
    if shape.kind == "mask":
        return _Part(place, label, shape.group_id, mask=_pasted(shape, points, size, notes))
    outline = geometry.without_repeats(_outline(shape.kind, points))
    if not geometry.has_area(outline):
        raise _Unusable(Rule.ZERO_AREA, f"{shape.kind} {label!r}")
    if crossing := geometry.crossing(outline):
        notes.append((Rule.SELF_CROSSING, f"{label!r}: {crossing}"))
    inside = geometry.clip(outline, size)
    if not inside:
        raise _Unusable(Rule.OUTSIDE, f"{shape.kind} {label!r}")
    if not geometry.is_inside(outline, size):
        notes.append((Rule.PARTLY_OUTSIDE, f"{shape.kind} {label!r}"))
    return _Part(place, label, shape.group_id, polygons=inside)


def _label(raw: str, classes: Sequence[str] | None, notes: list[Note]) -> str:
    label = raw.strip()
    if not label:
        raise _Unusable(Rule.EMPTY_LABEL)
    if label != raw:
        notes.append((Rule.LABEL_STRIPPED, f"{raw!r} became {label!r}"))
    if label in RESERVED_LABELS:
        raise _Unusable(Rule.IGNORED_LABEL, repr(label))
    if classes is not None and label not in classes:
        raise _Unusable(Rule.UNKNOWN_LABEL, f"{label!r}{_suggestion(label, classes)}")
    return label


def _suggestion(label: str, classes: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in classes}
    nearest = difflib.get_close_matches(label.casefold(), folded, n=1)
    return f": did you mean {folded[nearest[0]]!r}?" if nearest else f"; the classes are {', '.join(classes)}"


def _points(shape: Shape) -> Polygon:
    """The points as an array, if there are as many as the type has and all can be drawn."""
    if shape.kind not in _POINTS:
        raise _Unusable(Rule.NO_SURFACE, f"{shape.kind!r}, label {shape.label.strip()!r}")
    fewest, most = _POINTS[shape.kind]
    count = len(shape.points)
    # Three corners of a rectangle are a half-drawn one: neither two opposite corners nor all four.
    if count < fewest or (shape.kind == "rectangle" and count == 3):
        raise _Unusable(Rule.TOO_FEW_POINTS, f"{shape.kind} {shape.label.strip()!r} with {count} points")
    if most is not None and count > most:
        raise _Unusable(Rule.TOO_MANY_POINTS, f"{shape.kind} {shape.label.strip()!r} with {count} points")
    points = np.array(shape.points, dtype=np.float64)
    if not geometry.is_sane(points):
        raise _Unusable(Rule.BAD_COORDINATES, f"{shape.kind} {shape.label.strip()!r}")
    return points


def _outline(kind: str, points: Polygon) -> Polygon:
    if kind == "circle":
        return geometry.circle(points)
    if kind == "rectangle" and len(points) == 2:
        return geometry.rectangle(points)
    return points


def _pasted(shape: Shape, points: Polygon, size: tuple[int, int], notes: list[Note]) -> Mask:
    """The mask of a mask shape on the photo's canvas."""
    mask = _decode_mask(shape.mask)
    if not mask.any():
        raise _Unusable(Rule.MASK_EMPTY, repr(shape.label.strip()))
    # The second corner is the last pixel of the mask, not the first behind it.
    corner, box = points.min(axis=0), np.floor(points + 0.5).astype(int)
    box_size = tuple(int(side) for side in box.max(axis=0) - box.min(axis=0) + 1)
    if box_size != mask.shape[::-1]:
        sizes = f"the box is {box_size[0]} x {box_size[1]}, the mask {mask.shape[1]} x {mask.shape[0]}"
        notes.append((Rule.MASK_BOX_DIFFERS, sizes))
    pasted = geometry.paste(mask, corner, size)
    if not pasted.any():
        raise _Unusable(Rule.OUTSIDE, f"mask {shape.label.strip()!r}")
    if int(pasted.sum()) < int(mask.sum()):
        notes.append((Rule.PARTLY_OUTSIDE, f"mask {shape.label.strip()!r}"))
    return pasted


def _decode_mask(text: str | None) -> Mask:
    """The mask in a base64 PNG. LabelMe 5.4 wrote mode 1, later mode L holding 0 and 1: any level but 0 is object."""
    if not text:
        raise _Unusable(Rule.MASK_UNREADABLE, "there is none")
    try:
        with Image.open(io.BytesIO(base64.b64decode(text)), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"it claims {image.width} x {image.height} pixels")
            pixels = np.asarray(image)
    except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
        raise _Unusable(Rule.MASK_UNREADABLE, str(error) or type(error).__name__) from error
    if pixels.ndim != 2:
        raise _Unusable(Rule.MASK_UNREADABLE, "it has several channels")
    return pixels != 0


def _grouped(parts: Sequence[_Part]) -> Iterator[list[_Part]]:
    """The parts of each instance, in the order of the first part."""
    groups: dict[object, list[_Part]] = {}
    for part in parts:
        key = part.place if part.group_id is None else (part.label, part.group_id)
        groups.setdefault(key, []).append(part)
    yield from groups.values()


def _instance(parts: Sequence[_Part], size: tuple[int, int]) -> Instance | None:
    """The union of the parts; None if it covers no pixel.

    Polygons stay polygons: COCO takes several in one segmentation as their union. Beside a mask all become one RLE.
    """
    polygons = [geometry.rounded(polygon) for part in parts for polygon in part.polygons]
    polygons = [polygon for polygon in polygons if len(polygon) >= 3]
    masks = [geometry.encode(part.mask) for part in parts if part.mask is not None]
    drawn = [geometry.rasterise(polygons, size)] if polygons else []
    if not masks and not drawn:
        return None
    encoded = geometry.union(masks + drawn)
    area, bbox = geometry.measure(encoded)
    if area == 0:
        return None
    if masks:
        segmentation = Rle(size=(size[1], size[0]), counts=encoded["counts"].decode("ascii"))
    else:
        segmentation = [polygon.ravel().tolist() for polygon in polygons]
    return Instance(parts[0].label, segmentation, area, bbox)


def _duplicates(file: str, shapes: Sequence[Shape]) -> Iterator[Finding]:
    first: dict[_Look, int] = {}
    for index, shape in enumerate(shapes):
        earlier = first.setdefault(_Look(shape.label.strip(), shape.kind, shape.points, shape.mask), index)
        if earlier != index:
            yield Finding(
                Rule.DUPLICATE_SHAPE, file, f"shapes[{index}]", f"{shape.label.strip()!r}, as shapes[{earlier}]"
            )


@dataclass(frozen=True, slots=True)
class _Look:
    """What makes two shapes the same to the eye."""

    label: str
    kind: str
    points: tuple[tuple[float, float], ...]
    mask: str | None


def _shared_groups(file: str, parts: Sequence[_Part]) -> Iterator[Finding]:
    labels: dict[int, dict[str, None]] = {}
    for part in parts:
        if part.group_id is not None:
            labels.setdefault(part.group_id, {})[part.label] = None
    for group_id, names in labels.items():
        if len(names) > 1:
            yield Finding(Rule.GROUP_WITH_SEVERAL_LABELS, file, f"group_id {group_id}", ", ".join(map(repr, names)))
