"""Polygons: of shapes, clipped, repaired, judged and rounded. Pure functions on arrays.

A polygon is a float array (N, 2) of (x, y) in pixels, whose origin is the top-left corner of pixel 0. A size is
(width, height).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

Polygon = NDArray[np.float64]

# Twice Pillow's warning threshold: where its reader, and so Detectron2's, refuses a photo. A small file can claim
# any size.
MAX_PIXELS = 2 * 89_478_485

# No photo is nearly this wide. pycocotools takes more than 20 s for a coordinate of 1e9, and never ends on infinity.
MAX_COORDINATE = 1e6

# Pixels along the outlines of one photo. pycocotools takes 50 bytes for each, and crashes where it does not get them.
# The outlines of 100,000 cells, of 60 px each, are 6 million pixels long.
MAX_LENGTH = 10_000_000

# The sides of a polygon that stands for a circle stay this near to it, in pixels: below anything that a raster shows.
CIRCLE_TOLERANCE = 0.1
_FEWEST_CIRCLE_VERTICES = 12

# Vertices of a quarter of a pen's round end: at the usual widths of about 10 px, 0.1 px from the circle.
_PEN_SEGMENTS = 8

# A hand slips once or twice. Taking a scribble apart takes a second for a thousand crossings, minutes for more.
_MOST_CROSSINGS = 200
_SIDES = 16  # whose crossings are counted at a time

# Decimals kept of a coordinate in pixels: a hundredth is finer than any hand, and keeps the files small.
DECIMALS = 2
_THINNEST = 10.0**-DECIMALS


def is_sane(points: Polygon) -> bool:
    """Whether every coordinate is finite and within MAX_COORDINATE."""
    return bool(np.all(np.abs(points) <= MAX_COORDINATE))


def outlines_length(polygons: Iterable[Polygon]) -> float:
    """The widths and heights of all sides of polygons together: pycocotools goes along at most so many pixels.

    The side that closes a polygon does not count: it is at most as long as the others together.
    """
    return float(sum(np.abs(np.diff(polygon, axis=0)).sum() for polygon in polygons))


def are_fillable(polygons: Sequence[Sequence[float]]) -> bool:
    """Whether polygons, flat lists x, y, x, y, ..., are together at most MAX_LENGTH pixels long."""
    flat = [polygon[: len(polygon) // 2 * 2] for polygon in polygons if polygon]
    # No side is longer than the whole polygon, which takes a tenth of the time.
    if sum(len(polygon) / 2 * (max(polygon) - min(polygon)) for polygon in flat if polygon) <= MAX_LENGTH:
        return True
    return outlines_length(np.reshape(polygon, (-1, 2)) for polygon in flat) <= MAX_LENGTH


def rectangle_outline(points: Polygon) -> Polygon:
    """The outline of a rectangle given by two opposite corners, in any order."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])


def circle_outline(points: Polygon) -> Polygon:
    """The outline of a circle given by its centre and a point on its edge, to within CIRCLE_TOLERANCE."""
    centre, edge = points
    radius = math.dist(centre, edge)
    return ellipse_outline(centre, (radius, radius))


def ellipse_outline(centre: Sequence[float], radii: tuple[float, float], angle: float = 0.0) -> Polygon:
    """The outline of an ellipse to within CIRCLE_TOLERANCE; the angle, in radians, leads from the x axis to the y axis."""
    # A regular n-gon inside a circle keeps a gap of r (1 - cos(pi / n)) at the middle of each side.
    radius = min(max(map(abs, radii)), MAX_COORDINATE)  # a larger one is refused by its points
    needed = math.pi / math.acos(1 - CIRCLE_TOLERANCE / radius) if radius > CIRCLE_TOLERANCE else 0
    count = max(_FEWEST_CIRCLE_VERTICES, math.ceil(needed))
    angles = np.arange(count) * (2 * math.pi / count)
    along, across = radii[0] * np.cos(angles), radii[1] * np.sin(angles)
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.asarray(centre) + np.stack([cosine * along - sine * across, sine * along + cosine * across], axis=1)


def stroke_outlines(points: Polygon, width: float) -> list[Polygon]:
    """What a round pen of a width in pixels leaves: a disc of a point, a strip of a line. Holes are cut through."""
    line = shapely.Point(points[0]) if len(points) == 1 else shapely.LineString(points)
    lines = [line]
    if len(points) > 1 and _is_scribble(sides := _segments(points[:-1], points[1:])):
        lines = list(sides)  # one by one: the outline of the whole would take minutes
    return [
        piece
        for one in lines
        for piece in polygons_of_geometry(shapely.buffer(one, width / 2, quad_segs=_PEN_SEGMENTS))
    ]


class Outline(NamedTuple):
    """A polygon and its length, as ``outlines_length`` measures it."""

    polygon: Polygon
    length: float


def simple_outlines(points: Polygon, counts: NDArray[np.intp], sizes: NDArray[np.intp]) -> list[Outline | None]:
    """The outlines that are simple, rounded, and None for each of the others.

    An outline is simple if it lies inside the photo, repeats no vertex, has area and does not cross or touch itself.
    Nearly every outline is. All outlines of some files are judged in a fifth of the time that those of each file take.

    Args:
        points: (N, 2): the vertices of all outlines, one outline after the other.
        counts: the number of vertices of each outline, at least 3.
        sizes: (M, 2): the (width, height) of the photo of each outline.
    """
    if not len(counts):
        return []
    with np.errstate(over="ignore"):  # a coordinate near the largest number becomes infinite
        points = np.round(points, DECIMALS) + 0.0
    ends = np.cumsum(counts)
    starts = ends - counts
    previous = np.arange(len(points)) - 1
    previous[starts] = ends - 1
    (x, y), (widths, heights) = points.T, np.repeat(sizes, counts, axis=0).T
    is_inside = (x >= 0) & (y >= 0) & (x <= widths) & (y <= heights)
    points[~is_inside] = 0.0  # of an outline that is not simple; GEOS raises an error for what is not a number
    steps = np.abs(x - x[previous]) + np.abs(y - y[previous])
    rings = np.append(starts, len(points))
    outlines = shapely.from_ragged_array(shapely.GeometryType.POLYGON, points, (rings, np.arange(len(rings))))
    left, top, right, bottom = shapely.bounds(outlines).T
    # Half the length of a hull is at most the two sides of its box: see ``has_area``.
    is_wide = shapely.area(outlines) > _THINNEST * (right - left + bottom - top)
    simple = np.logical_and.reduceat(is_inside & (steps > 0), starts) & is_wide & shapely.is_valid(outlines)
    lengths = np.add.reduceat(steps, starts)
    found = zip(starts, ends, lengths, simple)
    return [Outline(points[start:end], float(length)) if ok else None for start, end, length, ok in found]


def without_repeats(polygon: Polygon) -> Polygon:
    """The polygon without vertices that repeat the one before them, the closing vertex included."""
    return polygon[np.any(polygon != np.roll(polygon, 1, axis=0), axis=1)]


def has_area(polygon: Polygon) -> bool:
    """Whether the vertices do not all lie on one line. (A bow-tie has area, though its signed area may be zero.)

    What is narrower than the precision of coordinates is a line: points on one are seldom there to the last digit.
    """
    if len(polygon) < 3:
        return False
    hull = shapely.LineString(polygon).convex_hull
    return hull.area > _THINNEST * hull.length / 2  # there and back is twice as long as it is


def describe_crossing(polygon: Polygon) -> str | None:
    """Where the outline crosses or touches itself, as text; None if it does not."""
    shape = shapely.Polygon(polygon)
    return None if shape.is_valid else shapely.is_valid_reason(shape)


def is_inside(polygon: Polygon, size: tuple[int, int]) -> bool:
    """Whether no part of the polygon is outside the photo."""
    return bool(np.all(polygon >= 0) and np.all(polygon <= size))


def clip_polygon(polygon: Polygon, size: tuple[int, int]) -> list[Polygon]:
    """The parts of a polygon that are inside the photo, by true intersection; none if it is wholly outside.

    A polygon inside comes back as it is. Of one that crosses itself the outcome does, too: it covers inside what the
    polygon covers there by the even-odd rule, by which pycocotools fills it.
    """
    if is_inside(polygon, size):
        return [polygon]
    shape = shapely.Polygon(polygon)
    if shape.is_valid:
        return polygons_of_geometry(shapely.intersection(shape, shapely.box(0, 0, *size)))
    cut = without_repeats(_cut_at_the_border(polygon, size))
    return [cut] if has_area(cut) else []


def _cut_at_the_border(polygon: Polygon, size: tuple[int, int]) -> Polygon:
    """The part of any polygon inside the photo, as one polygon that may run along the border and back.

    Sutherland and Hodgman, Reentrant polygon clipping (1974). Other ways first take a polygon apart where it crosses
    itself, which takes minutes for a scribble of some hundred points.
    """
    for axis in (0, 1):
        for sign, limit in ((1.0, 0.0), (-1.0, -float(size[axis]))):
            if len(polygon) == 0:
                return polygon
            depth = sign * polygon[:, axis] - limit  # negative outside
            following, next_depth = np.roll(polygon, -1, axis=0), np.roll(depth, -1)
            crosses = (depth < 0) != (next_depth < 0)
            share = np.where(crosses, depth / np.where(crosses, depth - next_depth, 1.0), 0.0)
            crossing_points = polygon + share[:, None] * (following - polygon)
            both = np.stack([polygon, crossing_points], axis=1)  # each vertex, and the crossing on the way from it
            polygon = both[np.stack([depth >= 0, crosses], axis=1)]
    return polygon


def repair_polygon(polygon: Polygon) -> list[Polygon] | None:
    """Outlines that do not cross themselves and cover what the polygon does by the even-odd rule.

    None for a scribble that crosses itself in too many places.
    """
    if _is_scribble(_segments(polygon, np.roll(polygon, -1, axis=0))):
        return None
    return polygons_of_geometry(shapely.make_valid(shapely.Polygon(polygon)))


def _segments(starts: Polygon, ends: Polygon) -> NDArray[np.object_]:
    """A line from each start to its end."""
    return shapely.linestrings(np.stack([starts, ends], axis=1))


def _is_scribble(sides: NDArray[np.object_]) -> bool:
    """Whether lines cross each other in too many places for a slip of the hand."""
    tree, crossings = shapely.STRtree(sides), 0
    for start in range(0, len(sides), _SIDES):
        crossings += tree.query(sides[start : start + _SIDES], predicate="crosses").shape[1]  # each is seen twice
        if crossings > 2 * _MOST_CROSSINGS:
            return True
    return False


def polygons_of_geometry(geometry: shapely.Geometry) -> list[Polygon]:
    """The polygons in a geometry, as arrays."""
    return [
        shapely.get_coordinates(piece.exterior)[:-1]
        for part in shapely.get_parts(geometry)
        for piece in _without_holes(part)
    ]


def _without_holes(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """Polygons without holes that cover the same area: a hole is cut through, since COCO polygons cannot have one."""
    if isinstance(geometry, shapely.Polygon) and not geometry.interiors:
        return [geometry] if geometry.area > 0 else []
    if isinstance(geometry, shapely.Polygon):
        left, top, right, bottom = geometry.bounds
        holes = sorted(hole.centroid.x for hole in geometry.interiors)
        cut = holes[len(holes) // 2]  # the middle one, so that a thousand holes take ten cuts in a row
        halves = [shapely.box(left, top, cut, bottom), shapely.box(cut, top, right, bottom)]
        parts = [part for half in halves for part in shapely.get_parts(geometry & half)]
    elif isinstance(geometry, (shapely.MultiPolygon, shapely.GeometryCollection)):
        parts = list(geometry.geoms)
    else:
        return []  # a point or line where the polygon only touches the photo
    return [piece for part in parts for piece in _without_holes(part)]


def round_polygon(polygon: Polygon) -> Polygon:
    """The polygon in hundredths of a pixel, without the vertices that this makes equal."""
    return without_repeats(np.round(polygon, DECIMALS) + 0.0)  # + 0.0 turns -0.0 into 0.0
