"""From the pixels of a mask to polygons that a person can edit."""

from __future__ import annotations

import numpy as np
import shapely

from dataset_tools import geometry
from dataset_tools.geometry import Mask, Polygon


def outlines(mask: Mask, tolerance: float) -> list[Polygon]:
    """Polygons that cover the pixels of a mask (height, width): along the edges of pixels, then simplified.

    At tolerance 0, pycocotools fills the polygons to the mask itself. Otherwise no outline is farther than
    ``tolerance`` pixels from the mask's own. Pixels that touch at a corner only belong to different polygons. A hole
    is cut through, or filled if it is narrower than the tolerance; a piece as narrow as that keeps its pixels.
    """
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (rows, left), (_, right) = np.nonzero(steps == 1), np.nonzero(steps == -1)
    covered = shapely.union_all(shapely.box(left, rows, right, rows + 1))
    size = mask.shape[1], mask.shape[0]
    return [polygon for piece in shapely.get_parts(covered) for polygon in _simplified(piece, tolerance, size)]


def _simplified(piece: shapely.Polygon, tolerance: float, size: tuple[int, int]) -> list[Polygon]:
    # As lines, since of a polygon's ring GEOS may drop the first vertex, too, and be off by twice the tolerance then.
    simple = shapely.build_area(shapely.simplify(piece.boundary, tolerance))
    straight = shapely.simplify(simple, 0)
    polygons = [polygon for polygon in map(geometry.rounded, geometry._pieces(straight)) if len(polygon) >= 3]
    has_pixels = any(geometry.measure(geometry.rasterise(polygons, size))[0])
    return polygons if has_pixels else _simplified(piece, 0, size)
