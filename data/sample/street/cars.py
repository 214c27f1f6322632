"""Cars in metres: five bodies from the side, and their ends seen from the front or the back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from shapely import Polygon, affinity, box, unary_union

from .records import Colour, Glow, Model, Paint, ellipse, flat, mix, rounded, shade

LABEL = "Car"
BODY_COLOURS: tuple[Colour, ...] = (
    (196, 40, 38), (150, 28, 44), (36, 78, 158), (30, 46, 92), (70, 140, 196), (232, 232, 228), (244, 240, 230),
    (178, 182, 186), (126, 130, 136), (62, 64, 70), (34, 34, 38), (34, 96, 66), (110, 140, 80), (222, 176, 40),
    (226, 112, 36), (120, 78, 52), (196, 178, 146), (110, 60, 120),
)  # fmt: skip
GLASS: Colour = (58, 72, 86)
TYRE: Colour = (26, 26, 28)
RIM: Colour = (178, 180, 184)
HEADLAMP: Colour = (250, 246, 220)
TAILLAMP: Colour = (206, 24, 22)
SHADOW: Colour = (10, 10, 14)


@dataclass(frozen=True)
class Profile:
    """A body from the side, its front to the right."""

    body: tuple[tuple[float, float], ...]
    panes: tuple[tuple[tuple[float, float], ...], ...]
    wheels: tuple[float, float]
    wheel: float = 0.33  # radius


PROFILES = {
    "saloon": Profile(
        body=((0.05, 0.28), (0.0, 0.80), (0.12, 1.00), (0.85, 1.04), (1.45, 1.44), (2.65, 1.47), (3.42, 1.03),
              (4.35, 0.86), (4.60, 0.62), (4.55, 0.26)),
        panes=(((1.02, 1.04), (1.53, 1.36), (2.05, 1.38), (2.05, 1.02)),
               ((2.14, 1.02), (2.14, 1.38), (2.58, 1.38), (3.16, 1.02))),
        wheels=(0.95, 3.68)),
    "hatchback": Profile(
        body=((0.05, 0.28), (0.0, 0.75), (0.10, 1.06), (0.45, 1.46), (1.00, 1.53), (2.10, 1.51), (2.86, 1.06),
              (3.64, 0.89), (3.90, 0.62), (3.85, 0.26)),
        panes=(((0.36, 1.06), (0.62, 1.40), (1.33, 1.44), (1.33, 1.04)),
               ((1.42, 1.04), (1.42, 1.44), (2.04, 1.42), (2.62, 1.04))),
        wheels=(0.72, 3.14)),
    "estate": Profile(
        body=((0.05, 0.34), (0.0, 0.90), (0.10, 1.20), (0.42, 1.67), (1.00, 1.72), (2.68, 1.70), (3.40, 1.18),
              (4.34, 1.03), (4.60, 0.76), (4.55, 0.32)),
        panes=(((0.36, 1.20), (0.60, 1.58), (1.22, 1.60), (1.22, 1.18)),
               ((1.31, 1.18), (1.31, 1.60), (2.04, 1.60), (2.04, 1.17)),
               ((2.13, 1.17), (2.13, 1.60), (2.62, 1.59), (3.16, 1.17))),
        wheels=(0.92, 3.66), wheel=0.37),
    "van": Profile(
        body=((0.03, 0.32), (0.0, 1.85), (0.10, 2.10), (3.38, 2.12), (4.22, 1.26), (4.80, 1.04), (4.98, 0.72),
              (4.94, 0.30)),
        panes=(((2.95, 1.25), (2.95, 1.84), (3.38, 1.84), (3.96, 1.25)),),
        wheels=(0.98, 4.02), wheel=0.35),
    "pick-up": Profile(
        body=((0.03, 0.42), (0.0, 1.08), (2.02, 1.08), (2.10, 1.62), (2.30, 1.74), (3.14, 1.74), (3.84, 1.14),
              (4.84, 1.02), (5.10, 0.76), (5.06, 0.40)),
        panes=(((2.24, 1.14), (2.28, 1.58), (2.72, 1.62), (2.72, 1.14)),
               ((2.81, 1.14), (2.81, 1.62), (3.10, 1.62), (3.56, 1.14))),
        wheels=(0.98, 4.12), wheel=0.39),
}  # fmt: skip
END_LAMP = ((0.84, 0.66), (0.84, 0.84), (0.52, 0.80), (0.52, 0.66))  # the right one, seen from the front or the back
PROFILE_SHARES = {"saloon": 0.27, "hatchback": 0.27, "estate": 0.2, "van": 0.14, "pick-up": 0.12}


def side_car(rng: np.random.Generator) -> Model:
    """A car from the side, its middle at x = 0, its front to the right."""
    profile = PROFILES[rng.choice(list(PROFILES), p=list(PROFILE_SHARES.values()))]
    colour = _body_colour(rng)
    body = rounded(list(profile.body), radius=0.16)
    length = body.bounds[2]
    wheels = [ellipse(x, profile.wheel, profile.wheel, profile.wheel) for x in profile.wheels]
    paints = [
        flat(ellipse(length / 2, 0.02, length * 0.54, 0.16), SHADOW, alpha=0.55),
        Paint(body, shade(colour, 1.16), shade(colour, 0.72)),
        flat(body & box(0, 0, length, 0.42), shade(colour, 0.5)),
        *_panes(profile, rng),
        *_doors(profile, body, colour, rng),
        flat(body & box(length - 0.24, 0.62, length, 0.84), HEADLAMP, shine=0.7),
        flat(body & box(0, 0.74, 0.15, 0.98), TAILLAMP, shine=0.4),
    ]
    for x, wheel in zip(profile.wheels, wheels):
        arch = ellipse(x, profile.wheel, profile.wheel * 1.2, profile.wheel * 1.2)
        paints.append(flat(body & arch, shade(colour, 0.22)))
        paints.append(flat(wheel, TYRE))
        paints.append(flat(ellipse(x, profile.wheel, profile.wheel * 0.62, profile.wheel * 0.62), RIM))
        paints.append(flat(ellipse(x, profile.wheel, profile.wheel * 0.2, profile.wheel * 0.2), shade(RIM, 0.45)))
    glows = (Glow(length - 0.05, 0.72, 0.55, (250, 236, 190)), Glow(0.04, 0.85, 0.3, (170, 20, 16)))
    stretch = (rng.uniform(0.93, 1.06), rng.uniform(0.95, 1.07))
    return _finished(paints, unary_union([body, *wheels]), glows, length / 2, stretch)


def _panes(profile: Profile, rng: np.random.Generator) -> list[Paint]:
    """Windows that reflect some sky at the top."""
    sky = mix(GLASS, (190, 208, 222), rng.uniform(0.1, 0.6))
    return [Paint(rounded(list(pane), radius=0.06), sky, GLASS) for pane in profile.panes]


def _doors(profile: Profile, body: Polygon, colour: Colour, rng: np.random.Generator) -> list[Paint]:
    """Seams at the panes' edges, door handles, and a crease that catches the light."""
    seam, sill = shade(colour, 0.55), profile.panes[0][0][1]
    edges = [max(x for x, _ in pane) + 0.045 for pane in profile.panes[:-1]] + [min(x for x, _ in profile.panes[-1])]
    paints = [flat(body & box(x - 0.018, 0.42, x + 0.018, sill), seam) for x in edges]
    paints += [flat(box(x - 0.32, sill - 0.19, x - 0.12, sill - 0.13), seam) for x in edges]
    crease = sill - rng.uniform(0.24, 0.36)
    length = body.bounds[2]
    paints.append(flat(body & box(0.2, crease, length - 0.3, crease + 0.04), shade(colour, 1.35), alpha=0.6))
    return paints


def end_car(rng: np.random.Generator, front: bool) -> Model:
    """A car from the front or the back, its middle at x = 0."""
    colour = _body_colour(rng)
    roof = rng.choice([1.45, 1.5, 1.7, 2.05], p=[0.4, 0.3, 0.2, 0.1])
    waist, shoulder = min(1.25, 0.66 * roof), 0.58 + 0.08 * roof
    half = [(0.84, 0.30), (0.89, 0.62), (0.87, waist - 0.12), (0.80, waist), (0.80 - 0.11 * roof, roof)]
    body = rounded(_mirrored(half), radius=0.14)
    screen = rounded(_mirrored([(0.70, waist + 0.02), (shoulder - 0.03, roof - 0.12)]), radius=0.06)
    wheels = [box(-0.82, 0.0, -0.58, 0.4), box(0.58, 0.0, 0.82, 0.4)]
    ears = [ellipse(s * 0.9, waist + 0.04, 0.17, 0.09) for s in (-1, 1)]
    lamp, shine = (HEADLAMP, 0.7) if front else (TAILLAMP, 0.4)
    paints = [
        flat(ellipse(0, 0.02, 1.02, 0.14), SHADOW, alpha=0.55),
        *(flat(wheel, TYRE) for wheel in wheels),
        *(flat(ear, shade(colour, 0.7)) for ear in ears),
        Paint(body, shade(colour, 1.14), shade(colour, 0.74)),
        Paint(screen, mix(GLASS, (190, 208, 222), rng.uniform(0.1, 0.6)), GLASS),
        flat(body & box(-1, 0, 1, 0.45), shade(colour, 0.42)),
        *(flat(rounded([(s * x, z) for x, z in END_LAMP], radius=0.05), lamp, shine=shine) for s in (-1, 1)),
        flat(box(-0.44, 0.56, 0.44, 0.74), shade(colour, 0.35) if front else shade(colour, 0.85)),
        flat(box(-0.24, 0.48, 0.24, 0.60), (236, 236, 226)),
    ]  # fmt: skip
    glow = (250, 236, 190) if front else (170, 20, 16)
    glows = tuple(Glow(s * 0.68, 0.74, 0.6 if front else 0.3, glow) for s in (-1, 1))
    return _finished(paints, unary_union([body, *wheels, *ears]), glows, 0.0, (rng.uniform(0.95, 1.05), 1.0))


def _mirrored(half: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A right half, from the bottom up, and its mirror image, as one ring."""
    return half + [(-x, z) for x, z in reversed(half)]


def _body_colour(rng: np.random.Generator) -> Colour:
    colour = BODY_COLOURS[rng.integers(len(BODY_COLOURS))]
    return tuple(float(np.clip(value + rng.normal(0, 8), 12, 250)) for value in colour)


def _finished(paints: list[Paint], target: Polygon, glows: tuple[Glow, ...], middle: float,
              stretch: tuple[float, float]) -> Model:  # fmt: skip
    """The car with its middle moved to x = 0, made a little longer and higher or shorter and lower."""
    matrix = [stretch[0], 0, 0, stretch[1], -middle * stretch[0], 0]
    moved = tuple(
        Paint(affinity.affine_transform(p.outline, matrix), p.top, p.bottom, p.alpha, p.shine) for p in paints
    )
    lamps = tuple(Glow((g.x - middle) * stretch[0], g.y * stretch[1], g.radius, g.colour) for g in glows)
    return Model(moved, LABEL, affinity.affine_transform(target, matrix), glows=lamps)
