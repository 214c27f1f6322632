"""The few records that a drawn scene is made of, and the way from metres to photo pixels.

Things are modelled in metres (x to the right, z up, the ground at z = 0) and posed in the photo, whose pixels are
continuous: (0, 0) is the top-left corner of the first pixel, x to the right, y down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from shapely import Polygon, affinity, unary_union
from shapely.geometry.base import BaseGeometry

Colour = tuple[float, float, float]  # red, green, blue, 0 to 255


@dataclass(frozen=True)
class Paint:
    """One filled outline, shaded from `top` to `bottom` over its height."""

    outline: BaseGeometry
    top: Colour
    bottom: Colour
    alpha: float = 1.0  # below 1 it tints what is behind it, and hides nothing
    shine: float = 0.0  # 0: lit by the scene's light only; 1: keeps its colour at night
    haze: float = 0.0  # share of the haze colour, set by the distance


@dataclass(frozen=True)
class Glow:
    """A lamp's light, added to the finished picture where lamps are on."""

    x: float
    y: float
    radius: float
    colour: Colour


@dataclass(frozen=True)
class Model:
    """Something in metres. `target` is what an annotator would outline; None for what isn't annotated."""

    paints: tuple[Paint, ...]
    label: str | None = None
    target: BaseGeometry | None = None
    upright: bool = False  # the target is a rectangle with sides parallel to the axes
    glows: tuple[Glow, ...] = ()


@dataclass(frozen=True)
class Thing:
    """A model standing in the photo, in pixels. `hides` covers whatever is drawn before it."""

    paints: tuple[Paint, ...]
    hides: BaseGeometry
    ground: float  # the y where it stands: the larger, the nearer
    label: str | None = None
    target: BaseGeometry | None = None
    upright: bool = False
    glows: tuple[Glow, ...] = ()


@dataclass(frozen=True)
class View:
    """A camera that looks at the horizon: everything follows from the y where a thing meets the ground."""

    width: int
    height: int
    horizon: float  # y
    camera: float  # metres above the ground

    def scale(self, ground: float) -> float:
        """Pixels per metre at the distance of the ground line `ground`: the camera's height spans horizon to ground."""
        return (ground - self.horizon) / self.camera

    def nearness(self, ground: float) -> float:
        """0 at the horizon, 1 at the lower border of the photo and in front of it."""
        return min(1.0, max(0.0, (ground - self.horizon) / (self.height - self.horizon)))

    def pose(self, model: Model, x: float, ground: float, facing: int = 1, lift: float = 0.0) -> Thing:
        """Stand a model at (x, ground), raised by `lift` metres; facing -1 mirrors it."""
        scale = self.scale(ground)
        matrix = [facing * scale, 0.0, 0.0, -scale, x, ground - lift * scale]
        haze = 1.0 - self.nearness(ground)
        paints = tuple(
            replace(paint, outline=affinity.affine_transform(paint.outline, matrix), haze=haze)
            for paint in model.paints
        )
        glows = tuple(
            replace(glow, x=x + facing * scale * glow.x, y=ground - scale * (glow.y + lift), radius=scale * glow.radius)
            for glow in model.glows
        )
        hides = unary_union([paint.outline for paint in paints if paint.alpha == 1.0])
        target = None if model.target is None else affinity.affine_transform(model.target, matrix)
        return Thing(paints, hides, ground, model.label, target, model.upright, glows)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    return tuple(a + (b - a) * share for a, b in zip(first, second))


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (below 1) or lighter (above 1)."""
    return tuple(min(255.0, value * factor) for value in colour)


def flat(outline: BaseGeometry, colour: Colour, alpha: float = 1.0, shine: float = 0.0) -> Paint:
    """A paint of one colour."""
    return Paint(outline, colour, colour, alpha, shine)


def ellipse(x: float, y: float, rx: float, ry: float, points: int = 28) -> Polygon:
    """An ellipse as a polygon."""
    turns = [2 * math.pi * k / points for k in range(points)]
    return Polygon([(x + rx * math.cos(turn), y + ry * math.sin(turn)) for turn in turns])


def rounded(corners: list[tuple[float, float]], radius: float, steps: int = 3) -> Polygon:
    """A polygon whose corners are quadratic Bezier arcs that begin `radius` before each corner."""
    points = []
    for k, corner in enumerate(corners):
        start = _towards(corner, corners[k - 1], radius)
        end = _towards(corner, corners[(k + 1) % len(corners)], radius)
        for step in range(steps + 1):
            t = step / steps
            points.append(
                tuple((1 - t) ** 2 * s + 2 * t * (1 - t) * c + t * t * e for s, c, e in zip(start, corner, end))
            )
    return Polygon(points)


def _towards(corner: tuple[float, float], other: tuple[float, float], distance: float) -> tuple[float, float]:
    """The point `distance` from the corner to the other, at most 45 % of the way, so that two arcs never meet."""
    share = min(0.45, distance / math.dist(corner, other))
    return (corner[0] + (other[0] - corner[0]) * share, corner[1] + (other[1] - corner[1]) * share)
