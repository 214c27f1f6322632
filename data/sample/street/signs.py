"""Sign boards in metres. What is annotated is the board alone, without its posts."""

from __future__ import annotations

import numpy as np
from shapely import Polygon, affinity, box
from shapely.geometry.base import BaseGeometry

from .records import Colour, Model, Paint, ellipse, flat, rounded, shade

LABEL = "Sign Board"
# Of the board, the writing and the rim.
PALETTES: tuple[tuple[Colour, Colour, Colour], ...] = (
    ((28, 78, 168), (244, 246, 248), (244, 246, 248)), ((20, 110, 70), (240, 246, 240), (240, 246, 240)),
    ((244, 200, 36), (24, 24, 24), (24, 24, 24)), ((242, 242, 238), (30, 30, 34), (190, 30, 34)),
    ((242, 242, 238), (24, 60, 140), (24, 60, 140)), ((196, 36, 36), (248, 244, 240), (248, 244, 240)),
    ((232, 120, 28), (26, 26, 26), (26, 26, 26)), ((112, 66, 38), (246, 240, 226), (246, 240, 226)),
)  # fmt: skip
POST: Colour = (128, 132, 136)
SHAPES = {"rectangle": 0.46, "rounded": 0.28, "pentagon": 0.16, "arrow": 0.1}
STRAIGHT_SHARE = 0.55  # of the rectangular boards: annotated as a LabelMe rectangle where nothing hides them
MAX_TILT = 7.0  # degrees
MAX_SLANT = 0.12  # a board seen at an angle: rise per run of its upper and lower edge
SHINE = 0.45  # boards reflect the lamps at night


def sign_board(rng: np.random.Generator, width: float, lift: float, posts: int) -> Model:
    """A board `width` metres wide whose lower edge is `lift` metres above the ground, on 0, 1 or 2 posts."""
    shape = rng.choice(list(SHAPES), p=list(SHAPES.values()))
    low = {"arrow": 0.42, "pentagon": 0.55}.get(shape, 0.45)
    height = width * rng.uniform(low, 0.6 if shape == "arrow" else 1.15)
    board = _board(shape, width, height, rng)
    upright = bool(shape == "rectangle" and rng.random() < STRAIGHT_SHARE)
    matrix = [1, 0, 0, 1, 0, lift + height / 2] if upright else _skew(rng, lift + height / 2)
    face = [_moved(paint, matrix) for paint in _face(board, width, height, rng)]
    paints = [*_posts(posts, width, lift + height * 0.75, rng), *face]
    return Model(tuple(paints), LABEL, affinity.affine_transform(board, matrix), upright)


def _board(shape: str, width: float, height: float, rng: np.random.Generator) -> Polygon:
    """The board's outline about (0, 0)."""
    w, h = width / 2, height / 2
    if shape == "rectangle":
        return box(-w, -h, w, h)
    if shape == "rounded":
        return rounded([(-w, -h), (w, -h), (w, h), (-w, h)], radius=rng.uniform(0.12, 0.3) * min(width, height))
    facing = rng.choice([-1, 1])
    if shape == "pentagon":
        if rng.random() < 0.5:  # a gable
            return Polygon([(-w, -h), (w, -h), (w, h * 0.25), (0, h), (-w, h * 0.25)])
        half = [(-w, h), (w * 0.5, h), (w, 0.0)]
        return _pointing(half, facing)
    neck, shaft = w * rng.uniform(0.05, 0.35), h * rng.uniform(0.5, 0.65)
    return _pointing([(-w, shaft), (neck, shaft), (neck, h), (w, 0.0)], facing)


def _pointing(half: list[tuple[float, float]], facing: int) -> Polygon:
    """A board that points to the right (1) or the left (-1), from its upper half, which ends at the tip."""
    lower = [(x, -y) for x, y in reversed(half[:-1])]
    return Polygon([(x * facing, y) for x, y in half + lower])


def _skew(rng: np.random.Generator, centre: float) -> list[float]:
    """Tilt and slant of a board that isn't straight, and its rise to `centre`, as an affine matrix."""
    tilt = np.radians(rng.uniform(-MAX_TILT, MAX_TILT))
    slant = rng.uniform(-MAX_SLANT, MAX_SLANT)
    cos, sin = float(np.cos(tilt)), float(np.sin(tilt))
    return [cos, -sin, sin + slant, cos, 0.0, centre]


def _face(board: Polygon, width: float, height: float, rng: np.random.Generator) -> list[Paint]:
    """The board, its rim, and what is written on it."""
    ground, ink, rim = PALETTES[rng.integers(len(PALETTES))]
    thick = 0.05 * min(width, height)
    inner = board.buffer(-1.6 * thick, join_style="mitre")
    content = rng.choice(["text", "arrow", "stripes", "disc"], p=[0.45, 0.25, 0.18, 0.12])
    strokes = {"text": _text, "arrow": _arrow, "stripes": _stripes, "disc": _disc}[content](inner, rng)
    rim_band = board.buffer(-0.5 * thick, join_style="mitre") - inner
    return [
        Paint(board, shade(ground, 1.08), shade(ground, 0.9), shine=SHINE),
        flat(rim_band, rim, shine=SHINE),
        *(flat(stroke & inner, ink, shine=SHINE) for stroke in strokes),
    ]


def _text(inner: BaseGeometry, rng: np.random.Generator) -> list[BaseGeometry]:
    """Rows of upright strokes, in words: what writing looks like from afar."""
    left, low, right, high = inner.bounds
    rows = int(rng.integers(1, 4))
    pitch = (high - low) / (rows + 0.4)
    strokes = []
    for row in range(rows):
        base, size = high - pitch * (row + 1), pitch * 0.62
        x, end = left + size * 0.3, right - size * rng.uniform(0.3, 1.5)
        while x < end:
            for _ in range(int(rng.integers(2, 6))):
                strokes.append(box(x, base, x + size * 0.2, base + size * rng.uniform(0.7, 1.0)))
                strokes.append(box(x, base + size * rng.choice([0.0, 0.4]), x + size * 0.5, base + size * 0.55))
                x += size * 0.72
            x += size * 0.5
    return strokes


def _arrow(inner: BaseGeometry, rng: np.random.Generator) -> list[BaseGeometry]:
    """One arrow to the left, the right or upwards."""
    left, low, right, high = inner.bounds
    size = 0.38 * min(right - left, high - low)
    arrow = Polygon([(-1, -0.22), (0.1, -0.22), (0.1, -0.7), (1, 0), (0.1, 0.7), (0.1, 0.22), (-1, 0.22)])
    turned = affinity.rotate(arrow, float(rng.choice([0, 90, 180])), origin=(0, 0))
    return [affinity.affine_transform(turned, [size, 0, 0, size, (left + right) / 2, (low + high) / 2])]


def _stripes(inner: BaseGeometry, rng: np.random.Generator) -> list[BaseGeometry]:
    """Slanted stripes, as on barriers."""
    left, low, right, high = inner.bounds
    step, lean = (right - left) / rng.uniform(2.5, 4.5), rng.choice([-1, 1]) * (high - low) * 0.6
    starts = np.arange(left - abs(lean), right + abs(lean), step)
    return [Polygon([(x, low), (x + step / 2, low), (x + step / 2 + lean, high), (x + lean, high)]) for x in starts]


def _disc(inner: BaseGeometry, rng: np.random.Generator) -> list[BaseGeometry]:
    """A round mark and a line of writing below it."""
    left, low, right, high = inner.bounds
    radius = min(right - left, high - low) * rng.uniform(0.26, 0.33)
    middle, bar, rise = (left + right) / 2, (high - low) * 0.1, high - radius * 1.2
    ring = ellipse(middle, rise, radius, radius) - ellipse(middle, rise, radius / 2, radius / 2)
    return [ring, box(middle - radius, low + bar, middle + radius, low + 2 * bar)]


def _posts(count: int, width: float, top: float, rng: np.random.Generator) -> list[Paint]:
    """Posts from the ground to behind the board."""
    half = rng.uniform(0.035, 0.06)
    places = {0: [], 1: [0.0], 2: [-width * 0.32, width * 0.32]}[count]
    colour = shade(POST, rng.uniform(0.55, 1.25))
    return [flat(box(x - half, 0.0, x + half, top), colour) for x in places]


def _moved(paint: Paint, matrix: list[float]) -> Paint:
    return Paint(affinity.affine_transform(paint.outline, matrix), paint.top, paint.bottom, paint.alpha, paint.shine)
