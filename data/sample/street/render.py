"""Paints a scene: at four times the photo's size, then reduced, lit, softened and given noise."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from shapely import Point
from shapely.geometry.base import BaseGeometry

from .light import Light
from .records import Colour, Glow, Paint, mix
from .scene import Scene

SUPERSAMPLING = 4
MOTTLE = 0.018  # standard deviation of the spots on walls and ground, relative
GLOW_GAIN = 0.75


def render(scene: Scene) -> np.ndarray:
    """The photo, RGB, uint8, height x width x 3."""
    view = scene.backdrop.view
    rng = np.random.default_rng(scene.noise_seed)
    canvas = Image.new("RGB", (view.width * SUPERSAMPLING, view.height * SUPERSAMPLING))
    for paint in scene.backdrop.paints:
        _fill(canvas, paint, scene.light)
    canvas = _mottled(canvas, rng)
    for thing in scene.things:
        for paint in thing.paints:
            _fill(canvas, paint, scene.light)
    photo = np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float64)
    if scene.light.lamps:
        for glow in _seen_glows(scene):
            photo += _halo(glow, photo.shape)
    return _developed(photo, scene.light, rng)


def draw_mask(mask: Image.Image, outline: BaseGeometry, offset: tuple[float, float], value: int) -> None:
    """Fill an outline, in photo pixels, on a supersampled single-channel image whose corner is at `offset`."""
    pen = ImageDraw.Draw(mask)
    for polygon in getattr(outline, "geoms", [outline]):
        if polygon.geom_type == "Polygon" and not polygon.is_empty:
            pen.polygon(_corners(polygon.exterior.coords, offset), fill=value)
            for hole in polygon.interiors:
                pen.polygon(_corners(hole.coords, offset), fill=0)


def _corners(coordinates: Iterable[tuple[float, float]], offset: tuple[float, float]) -> list[tuple[float, float]]:
    """ImageDraw puts whole numbers at the pixels' middles, photo coordinates at their corners: hence the half."""
    return [((x - offset[0]) * SUPERSAMPLING - 0.5, (y - offset[1]) * SUPERSAMPLING - 0.5) for x, y in coordinates]


def _fill(canvas: Image.Image, paint: Paint, light: Light) -> None:
    """Put one paint on the canvas, touching only the rectangle around it."""
    if paint.outline.is_empty:
        return
    width, height = (side / SUPERSAMPLING for side in canvas.size)
    left, top, right, bottom = paint.outline.bounds
    x0, y0 = max(0, int(left)), max(0, int(top))
    x1, y1 = min(int(width), int(right) + 1), min(int(height), int(bottom) + 1)
    if x0 >= x1 or y0 >= y1:
        return
    size = ((x1 - x0) * SUPERSAMPLING, (y1 - y0) * SUPERSAMPLING)
    mask = Image.new("L", size)
    draw_mask(mask, paint.outline, (x0, y0), round(255 * paint.alpha))
    rows = y0 + (np.arange(size[1]) + 0.5) / SUPERSAMPLING
    share = np.clip((rows - top) / max(bottom - top, 1e-6), 0, 1)[:, None]
    first, last = (np.array(_lit(colour, paint, light)) for colour in (paint.top, paint.bottom))
    column = np.round(first + (last - first) * share).astype(np.uint8)
    colours = Image.fromarray(np.repeat(column[:, None, :], size[0], axis=1))
    canvas.paste(colours, (x0 * SUPERSAMPLING, y0 * SUPERSAMPLING), mask)


def _lit(colour: Colour, paint: Paint, light: Light) -> Colour:
    """The colour under the scene's light, at the paint's distance."""
    dimmed = tuple(value * factor for value, factor in zip(colour, light.tint))
    seen = mix(mix(dimmed, colour, paint.shine), light.haze, light.thickness * paint.haze)
    return tuple(float(np.clip(value, 0, 255)) for value in seen)


def _mottled(canvas: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Faint spots of two sizes, as plaster and asphalt have them."""
    spots = np.zeros((canvas.height, canvas.width), dtype=np.float32)
    for cell in (5, 40):
        grid = rng.normal(0, MOTTLE, (canvas.height // cell + 1, canvas.width // cell + 1)).astype(np.float32)
        spots += np.asarray(Image.fromarray(grid).resize(canvas.size, Image.Resampling.BICUBIC))
    return Image.fromarray(np.clip(np.asarray(canvas) * (1 + spots[..., None]), 0, 255).astype(np.uint8))


def _seen_glows(scene: Scene) -> list[Glow]:
    """The lamps that nothing nearer hides."""
    return [
        glow
        for k, thing in enumerate(scene.things)
        for glow in thing.glows
        if not any(nearer.hides.contains(Point(glow.x, glow.y)) for nearer in scene.things[k + 1 :])
    ]


def _halo(glow: Glow, shape: tuple[int, ...]) -> np.ndarray:
    """A round, soft light."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    squared = ((x - glow.x) ** 2 + (y - glow.y) ** 2) / glow.radius**2
    return GLOW_GAIN * np.exp(-squared)[..., None] * np.array(glow.colour)


def _developed(photo: np.ndarray, light: Light, rng: np.random.Generator) -> np.ndarray:
    """Light from one side, darker corners, the lens's blur and the sensor's noise."""
    height, width = photo.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    y, x = (y - height / 2) / max(height, width), (x - width / 2) / max(height, width)
    turn, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.25)
    photo = photo * (1 + strength * (np.cos(turn) * x + np.sin(turn) * y))[..., None]
    photo = photo * (1 - rng.uniform(0, 0.35) * (x**2 + y**2))[..., None]
    soft = Image.fromarray(np.clip(photo, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(light.blur))
    noisy = np.asarray(soft) + rng.normal(0, light.noise, photo.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)
