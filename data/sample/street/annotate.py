"""Writes down what an annotator would have drawn: LabelMe shapes of everything that is visible of each target."""

from __future__ import annotations

from shapely import Polygon, box
from shapely.geometry.base import BaseGeometry

from .scene import Scene, visible

LABELME_VERSION = "5.5.0"
MIN_FRAGMENT = 12.0  # square pixels: an annotator overlooks less
MAX_POINTS = 40
TOLERANCE = 0.12  # pixels: where simplifying begins
DECIMALS = 2


def annotation(scene: Scene, image_name: str) -> dict:
    """The LabelMe record of a scene, in the frame in which the photo is displayed."""
    shapes, group = [], 0
    for thing, seen in zip(scene.things, visible(list(scene.things), scene.frame)):
        if seen is None:
            continue
        if thing.upright and seen.equals(thing.target):
            left, top, right, bottom = seen.bounds
            shapes.append(_shape(thing.label, [(left, top), (right, bottom)], "rectangle", None))
            continue
        parts = fragments(seen)
        group += len(parts) > 1
        shapes += [_shape(thing.label, outline(part), "polygon", group if len(parts) > 1 else None) for part in parts]
    view = scene.backdrop.view
    return {
        "version": LABELME_VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": view.height,
        "imageWidth": view.width,
    }


def fragments(seen: BaseGeometry) -> list[Polygon]:
    """The parts of what is seen, left to right, each without holes, since LabelMe has none."""
    parts = [whole for part in _polygons(seen) for whole in _without_holes(part)]
    return sorted((part for part in parts if part.area >= MIN_FRAGMENT), key=lambda part: part.bounds)


def outline(part: Polygon) -> list[tuple[float, float]]:
    """The corners of a polygon, simplified until an annotator could have clicked them."""
    tolerance = TOLERANCE
    simple = part.simplify(tolerance)
    while len(simple.exterior.coords) - 1 > MAX_POINTS:
        tolerance *= 1.4
        simple = part.simplify(tolerance)
    return list(simple.exterior.coords)[:-1]


def _polygons(geometry: BaseGeometry) -> list[Polygon]:
    parts = getattr(geometry, "geoms", [geometry])
    return [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]


def _without_holes(part: Polygon) -> list[Polygon]:
    """Cuts a polygon through each of its holes, top to bottom."""
    if not part.interiors:
        return [part]
    left, top, right, bottom = part.bounds
    cut = Polygon(part.interiors[0]).centroid.x
    halves = [part & box(left, top, cut, bottom), part & box(cut, top, right, bottom)]
    return [whole for half in halves for piece in _polygons(half) for whole in _without_holes(piece)]


def _shape(label: str, points: list[tuple[float, float]], shape_type: str, group: int | None) -> dict:
    return {
        "label": label,
        "points": [[round(x, DECIMALS), round(y, DECIMALS)] for x, y in points],
        "group_id": group,
        "description": "",
        "shape_type": shape_type,
        "flags": {},
        "mask": None,
    }
