"""From the pixels of a mask to polygons that a person can edit."""

from __future__ import annotations

import numpy as np
import shapely

from dataset_tools.geometry.masks import Mask, fill_polygons
from dataset_tools.geometry.polygons import Polygon, polygons_of_geometry, round_polygon

# A piece of which a simplified polygon would show less stays as it is: from here on, COCO calls two masks a match.
_LEAST_OVERLAP = 0.5


def mask_outlines(mask: Mask, tolerance: float) -> list[Polygon]:
    """Polygons that cover the pixels of a mask (height, width): along the edges of pixels, then simplified.

    At tolerance 0, pycocotools fills the polygons to the mask itself. Otherwise no outline is farther than
    ``tolerance`` pixels from the mask's own, and a piece so thin that it would lose half of its pixels keeps them all.
    Pixels that touch at a corner only belong to different polygons. A hole is cut through.
    """
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, left), (_, right) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    covered = shapely.union_all(shapely.box(left, rows, right, rows + 1))
    return [polygon for piece in shapely.get_parts(covered) for polygon in _fitting(piece, tolerance)]


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union of two masks that are not both empty."""
    return float(np.count_nonzero(one & other) / np.count_nonzero(one | other))


def _fitting(piece: shapely.Polygon, tolerance: float) -> list[Polygon]:
    exact, simple = _simplified(piece, 0), _simplified(piece, tolerance)
    left, top, right, bottom = map(int, piece.bounds)
    size = right - left, bottom - top  # of the piece alone: there may be thousands
    fills = (fill_polygons([polygon - (left, top) for polygon in polygons], size) for polygons in (simple, exact))
    return simple if overlap(*fills) >= _LEAST_OVERLAP else exact


def _simplified(piece: shapely.Polygon, tolerance: float) -> list[Polygon]:
    corners = shapely.simplify(piece, 0)
    # As lines, since of a polygon's ring GEOS may drop the first vertex, too, and be off by twice the tolerance then.
    simple = shapely.build_area(shapely.simplify(corners.boundary, tolerance))
    return [polygon for polygon in map(round_polygon, polygons_of_geometry(simple)) if len(polygon) >= 3]
