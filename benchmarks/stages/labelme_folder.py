"""Drawn photos with LabelMe files: the same bytes for the same layout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

# Every second polygon is a bent strip, the others go once around their middle. Of the polygons in labelme's examples
# 62 % do, of those in a folder of real photos 78 %: a converter may be quicker with them.
VERTICES = 40
CLASSES = ("car", "person", "tree")

# Noise up to so many levels makes a JPEG of 800 x 600 px and this quality weigh what a camera's does: about 90 KB.
_NOISE = 7
_QUALITY = 90


@dataclass(frozen=True)
class Layout:
    """What a photo is like.

    Attributes:
        size: (width, height) in pixels.
        polygons: on each photo.
        sides: of the polygons in pixels, the smallest and the largest.
    """

    size: tuple[int, int] = (800, 600)
    polygons: int = 6
    sides: tuple[int, int] = (60, 140)


def write_labelme_folder(folder: Path, count: int, layout: Layout = Layout()) -> Path:
    """Writes photos and their annotation files, as labelme 5 writes them without imageData; returns the folder."""
    folder.mkdir()
    width, height = layout.size
    for index in range(count):
        rng, name = np.random.default_rng((0, index)), f"{index:06}"
        polygons = [draw_polygon(rng, layout, bent=bool(turn % 2)) for turn in range(layout.polygons)]
        labels = rng.choice(CLASSES, layout.polygons).tolist()
        _draw_photo(rng, polygons, layout.size).save(folder / f"{name}.jpg", quality=_QUALITY)
        shapes = [_shape(label, polygon) for label, polygon in zip(labels, polygons, strict=True)]
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
        content |= {"imageHeight": height, "imageWidth": width}
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2))
    return folder


def draw_polygon(rng: np.random.Generator, layout: Layout, bent: bool = False) -> np.ndarray:
    """(VERTICES, 2): an outline somewhere in the photo, of a random size, its coordinates with all their digits."""
    outline = _crescent(rng) if bent else _blob(rng)
    outline -= outline.min(axis=0)
    outline *= rng.uniform(*layout.sides, 2) / outline.max(axis=0)
    return outline + rng.uniform(0, np.array(layout.size) - outline.max(axis=0))


def _shape(label: str, polygon: np.ndarray) -> dict[str, object]:
    common = {"group_id": None, "description": "", "shape_type": "polygon", "flags": {}, "mask": None}
    return {"label": label, "points": polygon.tolist(), **common}


def _blob(rng: np.random.Generator) -> np.ndarray:
    """(VERTICES, 2): a rounded outline around its middle."""
    angles = np.linspace(0, 2 * np.pi, VERTICES, endpoint=False)
    waves = sum(rng.uniform(0, 0.12) * np.sin(k * angles + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 5))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * (1 + waves)[:, None]


def _crescent(rng: np.random.Generator) -> np.ndarray:
    """(VERTICES, 2): a bent strip, whose middle is not in it."""
    angles = rng.uniform(0, 2 * np.pi) + np.linspace(0, rng.uniform(3.5, 4.5), VERTICES // 2)
    radii = np.concatenate([np.full(len(angles), 1.0), np.full(len(angles), rng.uniform(0.5, 0.7))])
    angles = np.concatenate([angles, angles[::-1]])
    waves = rng.uniform(0, 0.1) * np.sin(5 * angles)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * (radii + waves)[:, None]


def _draw_photo(rng: np.random.Generator, polygons: list[np.ndarray], size: tuple[int, int]) -> Image.Image:
    coarse = rng.integers(40, 216, (9, 12, 3), dtype=np.uint8)
    scene = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(scene)
    for polygon in polygons:
        draw.polygon([tuple(point) for point in polygon.tolist()], fill=tuple(rng.integers(0, 256, 3).tolist()))
    noise = rng.integers(-_NOISE, _NOISE, (size[1], size[0], 3), dtype=np.int8, endpoint=True)
    return Image.fromarray(np.clip(np.asarray(scene, dtype=np.int16) + noise, 0, 255).astype(np.uint8))
