"""From the pixels of a mask to polygons that a person can edit."""

import numpy as np

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # right, down, left, up: each is a right turn after the one before
_TOLERANCE = 1.0  # px: the edge of a mask goes up and down in steps of one


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Polygons, (N, 2) x and y, around the pieces of a mask, (h, w) bool; a hole is cut through.

    No outline is farther than a pixel from the mask's own. Pixels that touch at a corner only are different pieces.
    """
    rings = _rings(mask)
    hole = next((ring for ring in rings if _area(ring) < 0), None)
    if hole is None:
        return [_simplified(ring) for ring in rings]
    cut = int(hole[:, 0].mean())
    return outlines(mask[:, :cut]) + [polygon + (cut, 0) for polygon in outlines(mask[:, cut:])]


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """The corners of the closed ways along the edges of pixels that have the mask on their right."""
    inside = np.pad(mask, 1).astype(bool)
    neighbours = (inside[:-2, 1:-1], inside[1:-1, 2:], inside[2:, 1:-1], inside[1:-1, :-2])  # above, right, below, left
    starts = ((0, 0), (1, 0), (1, 1), (0, 1))  # where the edge towards each of them begins, from the pixel's corner
    edges = {
        (x + dx, y + dy, direction): None
        for direction, (neighbour, (dx, dy)) in enumerate(zip(neighbours, starts))
        for y, x in np.argwhere(inside[1:-1, 1:-1] & ~neighbour).tolist()
    }
    rings = []
    while edges:
        edge, corners = next(iter(edges)), []
        while edge in edges:
            del edges[edge]
            x, y, direction = edge
            x, y = x + _STEPS[direction][0], y + _STEPS[direction][1]
            ways = [(x, y, (direction + turn) % 4) for turn in (1, 0, 3)]
            edge = next((way for way in ways if way in edges), edge)
            if edge[2] != direction or edge not in edges:
                corners.append((x, y))
        rings.append(np.array(corners, dtype=float))
    return rings


def _area(ring: np.ndarray) -> float:
    """Positive around a piece, negative around a hole."""
    x, y = ring.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _simplified(ring: np.ndarray) -> np.ndarray:
    """A ring without the corners that it does not need (Douglas and Peucker 1973), if that leaves it half of its area."""
    closed, far = np.concatenate([ring, ring[:1]]), int(np.linalg.norm(ring - ring[0], axis=1).argmax())
    kept, pending = {0, far}, [(0, far), (far, len(ring))]
    while pending:
        first, last = pending.pop()
        between, along = closed[first + 1 : last] - closed[first], closed[last] - closed[first]
        share = np.clip(between @ along / (along @ along), 0, 1)
        apart = np.linalg.norm(between - share[:, None] * along, axis=1)
        if apart.max(initial=0) > _TOLERANCE:
            middle = first + 1 + int(apart.argmax())
            kept.add(middle)
            pending += [(first, middle), (middle, last)]
    simple = ring[sorted(kept)]
    return simple if len(simple) >= 3 and abs(_area(simple)) >= abs(_area(ring)) / 2 else ring
