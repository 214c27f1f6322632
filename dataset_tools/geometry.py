"""Shapes to polygons and masks; clipping, validity, areas. Pure functions on arrays.

A polygon is a float array (N, 2) of (x, y) in pixels, whose origin is the top-left corner of pixel 0. A size is
(width, height).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Polygon = NDArray[np.float64]
Mask = NDArray[np.bool_]

# No photo is nearly this wide. pycocotools takes more than 20 s for a coordinate of 1e9, and never ends on infinity.
MAX_COORDINATE = 1e6

# The sides of a polygon that stands for a circle stay this near to it, in pixels: below anything that a raster shows.
CIRCLE_TOLERANCE = 0.1
_FEWEST_CIRCLE_VERTICES = 12

# Decimals kept of a coordinate in pixels: a hundredth is finer than any hand, and keeps the files small.
DECIMALS = 2


def is_sane(points: Polygon) -> bool:
    """Whether every coordinate is finite and within MAX_COORDINATE."""
    return bool(np.all(np.abs(points) <= MAX_COORDINATE))


def rectangle(points: Polygon) -> Polygon:
    """The outline of a rectangle given by two opposite corners, in any order."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def circle(points: Polygon) -> Polygon:
    """The outline of a circle given by its centre and a point on its edge, to within CIRCLE_TOLERANCE."""
    centre, edge = points
    radius = math.dist(centre, edge)
    # A regular n-gon inside a circle keeps a gap of r (1 - cos(pi / n)) at the middle of each side.
    needed = math.pi / math.acos(1 - CIRCLE_TOLERANCE / radius) if radius > CIRCLE_TOLERANCE else 0
    count = max(_FEWEST_CIRCLE_VERTICES, math.ceil(needed))
    angles = np.arange(count) * (2 * math.pi / count)
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def without_repeats(polygon: Polygon) -> Polygon:
    """The polygon without vertices that repeat the one before them, the closing vertex included."""
    return polygon[np.any(polygon != np.roll(polygon, 1, axis=0), axis=1)]


def has_area(polygon: Polygon) -> bool:
    """Whether the vertices do not all lie on one line. (A bow-tie has area, though its signed area may be zero.)"""
    return len(polygon) >= 3 and shapely.MultiPoint(polygon).convex_hull.area > 0


def crossing(polygon: Polygon) -> str | None:
    """Where the outline crosses or touches itself, in words; None if it does not."""
    shape = shapely.Polygon(polygon)
    return None if shape.is_valid else shapely.is_valid_reason(shape)


def is_inside(polygon: Polygon, size: tuple[int, int]) -> bool:
    """Whether no part of the polygon is outside the photo."""
    return bool(np.all(polygon >= 0) and np.all(polygon <= size))


def clip(polygon: Polygon, size: tuple[int, int]) -> list[Polygon]:
    """The parts of a polygon that are inside the photo, by true intersection; none if it is wholly outside.

    A polygon inside comes back as it is. One that crosses itself is taken apart where it has to be clipped, by the
    even-odd rule, by which pycocotools fills it, too.
    """
    if is_inside(polygon, size):
        return [polygon]
    shape = shapely.Polygon(polygon)
    inside = shapely.intersection(shape if shape.is_valid else shapely.make_valid(shape), shapely.box(0, 0, *size))
    return [
        shapely.get_coordinates(piece.exterior)[:-1]
        for part in shapely.get_parts(inside)
        for piece in _without_holes(part)
    ]


def _without_holes(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """Polygons without holes that cover the same area: a hole is cut through, since COCO polygons cannot have one."""
    if isinstance(geometry, shapely.Polygon) and not geometry.interiors:
        return [geometry] if geometry.area > 0 else []
    if isinstance(geometry, shapely.Polygon):
        left, top, right, bottom = geometry.bounds
        cut = geometry.interiors[0].centroid.x
        halves = [shapely.box(left, top, cut, bottom), shapely.box(cut, top, right, bottom)]
        parts = [part for half in halves for part in shapely.get_parts(geometry & half)]
    elif isinstance(geometry, (shapely.MultiPolygon, shapely.GeometryCollection)):
        parts = list(geometry.geoms)
    else:
        return []  # a point or line where the polygon only touches the photo
    return [piece for part in parts for piece in _without_holes(part)]


def rounded(polygon: Polygon) -> Polygon:
    """The polygon in hundredths of a pixel, without the vertices that this makes equal."""
    return without_repeats(np.round(polygon, DECIMALS) + 0.0)  # + 0.0 turns -0.0 into 0.0


def paste(mask: Mask, corner: Sequence[float], size: tuple[int, int]) -> Mask:
    """A mask on a canvas of the photo's size; what falls outside is cut off.

    Args:
        mask: (height, width), true on the object.
        corner: (x, y) of the mask's top-left pixel, rounded to a whole pixel, as LabelMe's file may hold fractions.
        size: the photo's (width, height).
    """
    width, height = size
    x, y = (math.floor(value + 0.5) for value in corner)
    canvas = np.zeros((height, width), dtype=bool)
    rows = slice(max(y, 0), max(min(y + mask.shape[0], height), 0))
    columns = slice(max(x, 0), max(min(x + mask.shape[1], width), 0))
    if rows.start < rows.stop and columns.start < columns.stop:
        canvas[rows, columns] = mask[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]
    return canvas


def rasterise(polygons: Sequence[Polygon], size: tuple[int, int]) -> dict:
    """The union of polygons as pycocotools' compressed RLE: the pixels that Detectron2 trains and evaluates with."""
    width, height = size
    return coco_mask.merge(coco_mask.frPyObjects([polygon.ravel().tolist() for polygon in polygons], height, width))


def encode(mask: Mask) -> dict:
    """A mask (height, width) as pycocotools' compressed RLE."""
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def union(encoded: Sequence[dict]) -> dict:
    """The union of compressed RLEs of one size."""
    return coco_mask.merge(list(encoded))


def measure(encoded: dict) -> tuple[float, tuple[float, float, float, float]]:
    """Area in pixels and bounding box (x, y, width, height) of a compressed RLE."""
    return float(coco_mask.area(encoded)), tuple(map(float, coco_mask.toBbox(encoded)))
