"""From the pixels of a mask to polygons that a person can edit."""

import numpy as np

_TOLERANCE = 1.0  # px: the edge of a mask goes up and down in steps of one


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Polygons, (N, 2) x and y, around the pieces of a mask, (h, w) bool; a hole is cut through.

    No outline is farther than a pixel from the mask's own. Pixels that touch at a corner only are different pieces.
    """
    rings = _rings(mask)
    hole = next((ring for ring in rings if _area(ring) < 0), None)
    if hole is None:
        return [np.column_stack((ring.real, ring.imag)) for ring in map(_simplified, rings)]
    cut = int(hole.real.mean())
    return outlines(mask[:, :cut]) + [polygon + (cut, 0) for polygon in outlines(mask[:, cut:])]


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """The corners, as x + y * 1j, of the closed ways along the edges of pixels that have the mask on their right."""
    inside = np.pad(mask, 1).astype(np.int8)
    down, across = np.diff(inside, axis=0)[:, 1:-1], np.diff(inside, axis=1)[1:-1]
    kinds = ((down == 1, 0, 1), (across == -1, 0, 1j), (down == -1, 1, -1), (across == 1, 1j, -1j))
    edges = {(x + y * 1j + start, step): None for at, start, step in kinds for y, x in np.argwhere(at).tolist()}
    rings = []
    while edges:
        (place, step), corners = next(iter(edges)), []
        while (place, step) in edges:
            del edges[place, step]
            place += step
            ways = [step * turn for turn in (1j, 1, -1j) if (place, step * turn) in edges]  # right, ahead, left
            if not ways or ways[0] != step:
                corners.append(place)
            step = ways[0] if ways else step
        rings.append(np.array(corners))
    return rings


def _area(ring: np.ndarray) -> float:
    """Positive around a piece, negative around a hole."""
    return float((ring.conj() * np.roll(ring, -1)).imag.sum()) / 2


def _simplified(ring: np.ndarray) -> np.ndarray:
    """A ring without the corners that it does not need (Douglas and Peucker 1973), if that leaves it half of its area."""
    closed, far = np.append(ring, ring[0]), int(abs(ring - ring[0]).argmax())
    kept, pending = {0, far}, [(0, far), (far, len(ring))]
    while pending:
        first, last = pending.pop()
        between, along = closed[first + 1 : last] - closed[first], closed[last] - closed[first]
        share = np.clip((between / along).real, 0, 1)
        apart = abs(between - share * along)
        if apart.max(initial=0) > _TOLERANCE:
            middle = first + 1 + int(apart.argmax())
            kept.add(middle)
            pending += [(first, middle), (middle, last)]
    simple = ring[sorted(kept)]
    return simple if len(simple) >= 3 and abs(_area(simple)) >= abs(_area(ring)) / 2 else ring
