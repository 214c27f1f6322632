"""Shapes to polygons and masks; clipping, validity, areas. Pure functions on arrays.

A polygon is a float array (N, 2) of (x, y) in pixels, whose origin is the top-left corner of pixel 0. A size is
(width, height).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

Polygon = NDArray[np.float64]
Mask = NDArray[np.bool_]

# No photo is nearly this wide. pycocotools takes more than 20 s for a coordinate of 1e9, and never ends on infinity.
MAX_COORDINATE = 1e6

# The sides of a polygon that stands for a circle stay this near to it, in pixels: below anything that a raster shows.
CIRCLE_TOLERANCE = 0.1
_FEWEST_CIRCLE_VERTICES = 12

# Vertices of a quarter of a pen's round end: at the usual widths of about 10 px, 0.1 px from the circle.
_PEN_SEGMENTS = 8

# A hand slips once or twice. Taking a scribble apart takes a second for a thousand crossings, minutes for more.
_MOST_CROSSINGS = 200
_SIDES = 16  # whose crossings are counted at a time

# pycocotools 2.0.11 cannot give the areas of more masks at a time under numpy 2: it counts them in 8 bits.
_MOST_AREAS = 255

# Decimals kept of a coordinate in pixels: a hundredth is finer than any hand, and keeps the files small.
DECIMALS = 2
_THINNEST = 10.0**-DECIMALS


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


def stroke(points: Polygon, width: float) -> list[Polygon]:
    """What a round pen of a width in pixels leaves: a disc of a point, a strip of a line. Holes are cut through."""
    line = shapely.Point(points[0]) if len(points) == 1 else shapely.LineString(points)
    lines = [line]
    if len(points) > 1 and _is_scribble(sides := _segments(points[:-1], points[1:])):
        lines = list(sides)  # one by one: the outline of the whole would take minutes
    return [piece for one in lines for piece in pieces(shapely.buffer(one, width / 2, quad_segs=_PEN_SEGMENTS))]


def plain(points: Polygon, counts: NDArray[np.intp], sizes: NDArray[np.intp]) -> list[Polygon | None]:
    """The outlines that need no care, rounded, and None for each of the others; many at once, which is quick.

    No care needs an outline inside the photo, without repeated vertices, that has area and does not cross or touch
    itself: nearly every one.

    Args:
        points: (N, 2): the vertices of all outlines, one after the other.
        counts: how many of them each outline has, 3 at least.
        sizes: (M, 2): the (width, height) of the photo of each outline.
    """
    ends = np.cumsum(counts)
    starts = ends - counts
    with np.errstate(over="ignore", invalid="ignore"):  # what is infinite is not inside
        points = np.round(points, DECIMALS) + 0.0
    before = np.empty_like(points)
    before[1:] = points[:-1]
    before[starts] = points[ends - 1]
    moved = points.view(np.complex128) != before.view(np.complex128)  # a point at a time
    owners = np.repeat(np.arange(len(starts)), counts)
    least, greatest = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
    inside = (least >= 0) & (greatest <= sizes)
    star, areas = _star_shaped(points, starts, ends, owners)
    with np.errstate(invalid="ignore"):
        # Half of what a hull measures around is no more than the two sides of its box; see ``has_area``.
        is_line = ~(areas > _THINNEST * (greatest - least).sum(axis=1))
    good = inside.all(axis=1) & ~is_line & np.logical_and.reduceat(moved.ravel(), starts)
    doubtful = good & ~star
    if doubtful.any():
        kept = doubtful[owners]
        rings = shapely.linearrings(points[kept], indices=(np.cumsum(doubtful) - 1)[owners[kept]])
        good[doubtful] = shapely.is_valid(shapely.polygons(rings))
    return [points[start:end] if ok else None for start, end, ok in zip(starts, ends, good)]


def _star_shaped(
    points: Polygon, starts: NDArray[np.intp], ends: NDArray[np.intp], owners: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each outline goes once around the mean of its vertices, always the same way: then it cannot cross itself.

    Most outlines that people draw do, and this is told in a tenth of the time that a full test takes. With it comes
    the area that each encloses, unless it crosses itself.

    Args:
        points: the vertices of all outlines, finite where it matters.
        starts, ends: of each outline in them.
        owners: the outline of each vertex.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        centres = np.add.reduceat(points, starts) / (ends - starts)[:, None]
        x, y = (points - centres[owners]).T
        following = np.arange(1, len(points) + 1)
        following[ends - 1] = starts
        turns = x * y[following] - y * x[following]
        areas = np.abs(np.add.reduceat(turns, starts)) / 2
    one_way = np.logical_and.reduceat(turns > 0, starts) | np.logical_and.reduceat(turns < 0, starts)
    # Going one way around the centre, each round passes from above the centre's line to below it once.
    rounds = np.add.reduceat((y < 0) & (y[following] >= 0), starts, dtype=np.intp)
    return one_way & (rounds == 1), areas


def without_repeats(polygon: Polygon) -> Polygon:
    """The polygon without vertices that repeat the one before them, the closing vertex included."""
    return polygon[np.any(polygon != np.roll(polygon, 1, axis=0), axis=1)]


def has_area(polygon: Polygon) -> bool:
    """Whether the vertices do not all lie on one line. (A bow-tie has area, though its signed area may be zero.)

    What is narrower than the precision of coordinates is a line: points on one are seldom there to the last digit.
    """
    if len(polygon) < 3:
        return False
    hull = shapely.MultiPoint(polygon).convex_hull
    return hull.area > _THINNEST * hull.length / 2  # there and back is twice as long as it is


def crossing(polygon: Polygon) -> str | None:
    """Where the outline crosses or touches itself, in words; None if it does not."""
    shape = shapely.Polygon(polygon)
    return None if shape.is_valid else shapely.is_valid_reason(shape)


def is_inside(polygon: Polygon, size: tuple[int, int]) -> bool:
    """Whether no part of the polygon is outside the photo."""
    return bool(np.all(polygon >= 0) and np.all(polygon <= size))


def clip(polygon: Polygon, size: tuple[int, int]) -> list[Polygon]:
    """The parts of a polygon that are inside the photo, by true intersection; none if it is wholly outside.

    A polygon inside comes back as it is. Of one that crosses itself the outcome does, too: it covers inside what the
    polygon covers there by the even-odd rule, by which pycocotools fills it.
    """
    if is_inside(polygon, size):
        return [polygon]
    shape = shapely.Polygon(polygon)
    if shape.is_valid:
        return pieces(shapely.intersection(shape, shapely.box(0, 0, *size)))
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


def repaired(polygon: Polygon) -> list[Polygon] | None:
    """Outlines that do not cross themselves and cover what the polygon does by the even-odd rule.

    None for a scribble that crosses itself in too many places.
    """
    if _is_scribble(_segments(polygon, np.roll(polygon, -1, axis=0))):
        return None
    return pieces(shapely.make_valid(shapely.Polygon(polygon)))


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


def pieces(geometry: shapely.Geometry) -> list[Polygon]:
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


def resized(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask at another (width, height): each pixel has the value of the nearest one."""
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))


def rasterise(polygons: Sequence[Polygon], size: tuple[int, int]) -> list[dict]:
    """Each polygon as pycocotools' compressed RLE: the pixels that Detectron2 trains and evaluates with."""
    width, height = size
    return coco_mask.frPyObjects([polygon.ravel() for polygon in polygons], height, width) if polygons else []


def encode(mask: Mask) -> dict:
    """A mask (height, width) as pycocotools' compressed RLE."""
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


def decode(encoded: dict) -> Mask:
    """The mask (height, width) of a compressed RLE."""
    return coco_mask.decode(encoded).astype(bool)


def union(encoded: Sequence[dict]) -> dict:
    """The union of compressed RLEs of one size."""
    return encoded[0] if len(encoded) == 1 else coco_mask.merge(list(encoded))


def filled(polygons: Sequence[Polygon], size: tuple[int, int]) -> Mask:
    """The pixels (height, width) of at least one polygon, by pycocotools' rule."""
    if not polygons:
        return np.zeros(size[::-1], dtype=bool)
    return decode(union(rasterise(polygons, size)))


def measure(encoded: Sequence[dict]) -> tuple[list[float], list[list[float]]]:
    """Areas in pixels and bounding boxes (x, y, width, height) of compressed RLEs."""
    encoded = list(encoded)
    return [float(area) for area in _areas(encoded)], coco_mask.toBbox(encoded).tolist()


def _areas(encoded: list[dict]) -> list[int]:
    chunks = (encoded[start : start + _MOST_AREAS] for start in range(0, len(encoded), _MOST_AREAS))
    return [area for chunk in chunks for area in coco_mask.area(chunk).tolist()]


def nesting(encoded: Sequence[dict]) -> list[int]:
    """How many masks lie around each of them, each wholly inside the next and smaller, where these are the most.

    None around one without a pixel.
    """
    areas, boxes = measure(list(encoded))
    areas, corners = np.array(areas), np.array(boxes)
    corners[:, 2:] += corners[:, :2]
    depths = [0] * len(encoded)
    for one in np.argsort(-areas, kind="stable")[: np.count_nonzero(areas)]:  # those around it come first
        # A mask can be in one only whose box holds its own: most pairs need not be drawn.
        for other in np.flatnonzero((areas > areas[one]) & _holds(corners, corners[one])):
            if coco_mask.area(coco_mask.merge([encoded[one], encoded[other]], intersect=True)) == areas[one]:
                depths[one] = max(depths[one], depths[other] + 1)
    return depths


def _holds(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of some boxes, (N, 4) as left, top, right, bottom, hold one wholly."""
    return (boxes[:, :2] <= box[:2]).all(axis=1) & (boxes[:, 2:] >= box[2:]).all(axis=1)


def overlaps(
    kinds: Sequence[object],
    encoded: Sequence[dict],
    areas: Sequence[float],
    boxes: Sequence[Sequence[float]],
    at_least: float,
) -> Iterator[tuple[int, int, float]]:
    """The pairs of masks of one kind whose intersection over union reaches a value, with it; lower index first.

    Args:
        kinds: of each mask.
        encoded: compressed RLEs.
        areas, boxes: theirs, as ``measure`` gives them.
        at_least: the value, above 0.
    """
    by_left = sorted((x, index, y, x + width, y + height) for index, (x, y, width, height) in enumerate(boxes))
    for following, (_, one, top, right, bottom) in enumerate(by_left, start=1):
        for other_left, other, other_top, other_right, other_bottom in islice(by_left, following, None):
            if other_left >= right:
                break
            shared_height = min(bottom, other_bottom) - max(top, other_top)
            if shared_height <= 0 or kinds[one] != kinds[other]:
                continue
            # What two masks share is no more than what their boxes share, and no more than either of them.
            both = areas[one] + areas[other]
            shared = min((min(right, other_right) - other_left) * shared_height, areas[one], areas[other])
            if shared / (both - shared) >= at_least:
                shared = coco_mask.area(coco_mask.merge([encoded[one], encoded[other]], intersect=True))
                if (value := float(shared / (both - shared))) >= at_least:
                    yield min(one, other), max(one, other), value
