"""What stands behind everything: sky, houses, pavement and road, in two layouts.

*Across*: the camera looks at the street from the other side, and cars pass from the left to the right.
*Along*: the camera looks down the road, and cars are seen from the front or the back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import Polygon, box, unary_union

from .records import Colour, Paint, View, ellipse, flat, mix, shade

WALLS: tuple[Colour, ...] = (
    (196, 176, 150), (176, 110, 88), (206, 200, 190), (150, 152, 158), (220, 196, 140), (140, 96, 80), (168, 184, 190),
    (186, 150, 132), (120, 124, 120),
)  # fmt: skip
LIT_WINDOW: Colour = (252, 214, 132)
STOREY = 3.0  # metres


@dataclass(frozen=True)
class House:
    """A facade: from x to x in the photo, on the ground line `ground`."""

    left: float
    right: float
    ground: float


@dataclass(frozen=True)
class Backdrop:
    """The paints, and where things can stand: ground lines (y) of lanes and pavements."""

    view: View
    paints: tuple[Paint, ...]
    lanes: tuple[float, ...]  # across: where wheels touch the road, far to near; along: nothing
    far_side: tuple[float, float]  # ground lines of the far pavement
    near_side: tuple[float, float]  # ground lines of the near pavement
    houses: tuple[House, ...] = ()  # facades that boards can hang on
    vanishing: float | None = None  # along: the x where the road ends
    half_road: float = 0.0  # along: metres


def across(view: View, sky: tuple[Colour, Colour], lit: bool, rng: np.random.Generator) -> Backdrop:
    """The street from the other side."""
    h, room = view.height, view.height - view.horizon
    far_kerb = view.horizon + room * rng.uniform(0.16, 0.3)
    walls = view.horizon + (far_kerb - view.horizon) * rng.uniform(0.5, 0.75)
    near_kerb = view.horizon + room * rng.uniform(0.78, 1.0)
    road = near_kerb - far_kerb
    houses, house_paints = _row_of_houses(view, walls, lit, rng)
    stone = shade((168, 164, 158), rng.uniform(0.75, 1.1))
    grass = rng.random() < 0.3
    paints = [
        *_sky(view, sky, rng),
        *_skyline(view, rng),
        _band(view, view.horizon, walls, (112, 122, 100), 0.9),
        *house_paints,
        _band(view, walls, far_kerb, (104, 138, 74) if grass else stone, 0.6),
        _band(view, far_kerb, near_kerb, _asphalt(rng), 0.3),
        _band(view, far_kerb, far_kerb + max(1.0, road * 0.03), shade(stone, 1.2), 0.5),
        *_dashes(view, far_kerb + road * rng.uniform(0.44, 0.52), rng),
        _band(view, near_kerb, h, stone, 0.0),
        _band(view, near_kerb - max(1.5, road * 0.03), near_kerb, shade(stone, 0.75), 0.1),
    ]
    lanes = (far_kerb + road * 0.14, far_kerb + road * 0.36, far_kerb + road * 0.82)
    return Backdrop(view, tuple(paints), lanes, (walls + 1, far_kerb), (near_kerb, h + 0.12 * room), houses)


def along(view: View, sky: tuple[Colour, Colour], lit: bool, rng: np.random.Generator) -> Backdrop:
    """The road from its middle, with its houses to both sides."""
    w, h, room = view.width, view.height, view.height - view.horizon
    vanishing = w * rng.uniform(0.35, 0.65)
    half_road = rng.uniform(3.6, 5.0)
    stone = shade((168, 164, 158), rng.uniform(0.75, 1.1))
    bottom = h + 4.0
    paints = [
        *_sky(view, sky, rng),
        *_skyline(view, rng),
        _band(view, view.horizon, h, (98, 130, 72) if rng.random() < 0.4 else shade(stone, 0.85), 0.3),
        _wedge(view, vanishing, half_road + 2.2, bottom, stone),
        _wedge(view, vanishing, half_road + 0.15, bottom, shade(stone, 1.2)),
        _wedge(view, vanishing, half_road, bottom, _asphalt(rng)),
    ]
    white, ground = (226, 226, 218), view.horizon + room * 0.05
    while ground < h:
        end = view.horizon + (ground - view.horizon) * 1.35
        a, b = 0.08 * view.scale(ground), 0.08 * view.scale(end)
        dash = [(vanishing - a, ground), (vanishing + a, ground), (vanishing + b, end), (vanishing - b, end)]
        paints.append(flat(Polygon(dash), white))
        ground = view.horizon + (ground - view.horizon) * 2.0
    for distance in (0.1, 0.17, 0.3, 0.55):
        ground = view.horizon + room * distance
        for side in (-1, 1):
            inner = vanishing + side * view.scale(ground) * (half_road + rng.uniform(3.5, 5.0))
            outer = inner + side * view.scale(ground) * rng.uniform(12, 20)
            if rng.random() < 0.85:
                paints += _house(view, House(min(inner, outer), max(inner, outer), ground), lit, rng)
    near = (view.horizon + room * 0.45, h + 0.1 * room)
    return Backdrop(view, tuple(paints), (), (view.horizon + room * 0.2, near[0]), near, (), vanishing, half_road)


def _sky(view: View, sky: tuple[Colour, Colour], rng: np.random.Generator) -> list[Paint]:
    """A gradient down to the horizon, and some clouds."""
    paints = [Paint(box(0, 0, view.width, view.horizon + 2), *sky, shine=1.0)]
    for _ in range(int(rng.integers(0, 5))):
        x, y = rng.uniform(0, view.width), rng.uniform(0, view.horizon * 0.7)
        size = rng.uniform(12, 45)
        cloud = mix(sky[0], (255, 255, 255), rng.uniform(0.2, 0.7))
        paints.append(flat(ellipse(x, y, size, size * rng.uniform(0.15, 0.35)), cloud, alpha=0.5, shine=1.0))
    return paints


def _skyline(view: View, rng: np.random.Generator) -> list[Paint]:
    """Hills or tree tops, nearly lost in the haze."""
    green = (rng.uniform(84, 120), rng.uniform(110, 136), rng.uniform(90, 120))
    tops = [
        ellipse(x, view.horizon + 2, rng.uniform(14, 60), rng.uniform(5, 0.16 * view.horizon))
        for x in rng.uniform(0, view.width, int(rng.integers(6, 16)))
    ]
    ridge = unary_union([*tops, box(0, view.horizon - 4, view.width, view.horizon + 2)])
    return [Paint(ridge & box(0, 0, view.width, view.horizon + 2), green, shade(green, 0.85), haze=1.0)]


def _row_of_houses(
    view: View, ground: float, lit: bool, rng: np.random.Generator
) -> tuple[tuple[House, ...], list[Paint]]:
    """Facades side by side, some with a gap between them."""
    houses, paints, x = [], [], -rng.uniform(0, 40)
    while x < view.width:
        width = view.scale(ground) * rng.uniform(6, 14)
        if rng.random() < 0.85:
            houses.append(House(x, x + width, ground))
            paints += _house(view, houses[-1], lit, rng)
        x += width + rng.choice([0.0, 0.0, 6.0])
    return tuple(houses), paints


def _house(view: View, house: House, lit: bool, rng: np.random.Generator) -> list[Paint]:
    """A facade with rows of windows, sometimes a gable roof, sometimes a shop below."""
    storey = STOREY * view.scale(house.ground)
    storeys = int(rng.integers(2, 5))
    top = house.ground - storeys * storey
    wall = shade(WALLS[rng.integers(len(WALLS))], rng.uniform(0.8, 1.1))
    haze = 1.0 - view.nearness(house.ground)
    paints = [Paint(box(house.left, top, house.right, house.ground), shade(wall, 1.05), shade(wall, 0.88), haze=haze)]
    roof = shade((120, 74, 58), rng.uniform(0.6, 1.2))
    if rng.random() < 0.5:
        rise, eave = storey * 0.6, storey * 0.08
        eaves = [(house.left - eave, top), (house.right + eave, top)]
        ridge = [(house.right - rise, top - rise), (house.left + rise, top - rise)]
        if house.right - house.left > 2.5 * rise:
            paints.append(Paint(Polygon(eaves + ridge), shade(roof, 0.9), roof, haze=haze))
    else:
        cornice = box(house.left, top - storey * 0.08, house.right, top)
        paints.append(Paint(cornice, shade(wall, 0.7), shade(wall, 0.7), haze=haze))
    return paints + _windows(house, storey, storeys, wall, lit, haze, rng)


def _windows(house: House, storey: float, storeys: int, wall: Colour, lit: bool, haze: float,
             rng: np.random.Generator) -> list[Paint]:  # fmt: skip
    """Windows in a grid with light frames: the commonest thing that looks like a board."""
    pitch = storey * rng.uniform(0.6, 1.0)
    columns = max(1, int((house.right - house.left) / pitch))
    half, paints = pitch * rng.uniform(0.2, 0.32), []
    glass = shade((84, 104, 122), rng.uniform(0.6, 1.2))
    for row in range(storeys):
        middle = house.ground - storey * (row + 0.55)
        for column in range(columns):
            x = house.left + (house.right - house.left) * (column + 0.5) / columns
            y1, y2 = middle - storey * 0.24, middle + storey * (0.2 if row else 0.55)
            bright = lit and rng.random() < 0.35
            pane = LIT_WINDOW if bright else glass
            frame = box(x - half * 1.15, y1 - half * 0.15, x + half * 1.15, y2 + half * 0.12)
            paints.append(Paint(frame, shade(wall, 1.15), shade(wall, 1.15), haze=haze))
            shine = 0.8 if bright else 0.0
            paints.append(Paint(box(x - half, y1, x + half, y2), shade(pane, 1.2), pane, shine=shine, haze=haze))
    return paints


def _band(view: View, top: float, bottom: float, colour: Colour, haze: float) -> Paint:
    """A strip of ground over the photo's whole width, darker towards the camera."""
    return Paint(box(0, top, view.width, max(bottom, top + 0.5)), shade(colour, 1.05), shade(colour, 0.9), haze=haze)


def _wedge(view: View, vanishing: float, half: float, bottom: float, colour: Colour) -> Paint:
    """A strip of ground that ends at the vanishing point."""
    reach = half * view.scale(bottom)
    corners = [(vanishing, view.horizon), (vanishing + reach, bottom), (vanishing - reach, bottom)]
    return Paint(Polygon(corners), shade(colour, 1.15), shade(colour, 0.9), haze=0.2)


def _dashes(view: View, y: float, rng: np.random.Generator) -> list[Paint]:
    """The dashed line between two lanes."""
    scale = view.scale(y)
    starts = np.arange(-rng.uniform(0, 5) * scale, view.width, 5.0 * scale)
    return [flat(box(x, y, x + 2.4 * scale, y + 0.12 * scale), (226, 226, 218)) for x in starts]


def _asphalt(rng: np.random.Generator) -> Colour:
    grey = rng.uniform(72, 118)
    return (grey, grey * rng.uniform(0.98, 1.02), grey * rng.uniform(0.98, 1.08))
