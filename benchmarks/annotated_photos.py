"""Folders of photos annotated in LabelMe, as many as are wanted: the same bytes for the same seed."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

SIZE = (800, 600)  # (width, height) in pixels
# Every second one is a bent strip, the others are blobs that go once around their middle. Of the polygons in labelme's
# examples 62 % do, of those in a folder of real photos 78 %: a converter may be quicker with them.
POLYGONS = 6
VERTICES = 40
CLASSES = ("car", "person", "tree")

# Noise that makes a JPEG of this size and quality weigh what a camera's does: about 90 KB.
_NOISE = 4.5
_QUALITY = 90

_GRAIN_SHIFT = 512  # px: the grain of a photo is a part of a larger field, moved by up to this much


@dataclass(frozen=True)
class Layout:
    """What a photo is like.

    Attributes:
        size: (width, height) in pixels.
        polygons: on each photo.
        sides: of the polygons in pixels, the smallest and the largest.
    """

    size: tuple[int, int] = SIZE
    polygons: int = POLYGONS
    sides: tuple[int, int] = (60, 140)


def annotated_photos(
    folder: Path, count: int, embedded: bool = False, layout: Layout = Layout(), seed: int = 0
) -> Path:
    """``count`` photos with their annotation files as labelme 5 writes them, with or without imageData.

    What an earlier call made stays, if it made as many; the photos of the two kinds are the same.
    """
    if folder.is_dir() and len(list(folder.glob("*.json"))) == count:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    height, width = (side + _GRAIN_SHIFT for side in layout.size[::-1])
    grain = _NOISE * np.random.default_rng(seed).standard_normal((height, width, 3), dtype=np.float32)
    for index in tqdm(range(count), desc=f"Drawing {folder.name}", unit="photo", disable=None):
        rng = np.random.default_rng((seed, index))
        polygons = [_placed(rng, (_blob, _crescent)[turn % 2](rng), layout) for turn in range(layout.polygons)]
        labels = rng.choice(CLASSES, layout.polygons).tolist()
        photo = _photo(rng, polygons, grain, layout.size)
        (part / f"{index:06}.jpg").write_bytes(photo)
        content = _annotation(f"{index:06}.jpg", layout.size, labels, polygons, photo if embedded else None)
        (part / f"{index:06}.json").write_text(content, encoding="utf-8")
    part.rename(folder)
    return folder


def many(folder: Path, base: Path, count: int) -> Path:
    """A folder of ``count`` annotation files, each with its own photo: sub-folders of links to those of another one."""
    shutil.rmtree(folder, ignore_errors=True)
    stems = sorted(path.stem for path in base.glob("*.json"))
    for index in range(count):
        group, stem = folder / f"{index // len(stems):04}", stems[index % len(stems)]
        group.mkdir(parents=True, exist_ok=True)
        for name in (f"{stem}.json", f"{stem}.jpg"):
            os.link(base / name, group / name)
    return folder


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


def _placed(rng: np.random.Generator, outline: np.ndarray, layout: Layout) -> np.ndarray:
    """An outline somewhere in the photo, of a random size, its coordinates with all their digits."""
    outline = outline - outline.min(axis=0)
    outline *= rng.uniform(*layout.sides, 2) / outline.max(axis=0)
    return outline + rng.uniform(0, np.array(layout.size) - outline.max(axis=0))


def _photo(rng: np.random.Generator, polygons: list[np.ndarray], grain: np.ndarray, size: tuple[int, int]) -> bytes:
    coarse = rng.integers(40, 216, (9, 12, 3), dtype=np.uint8)
    scene = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(scene)
    for polygon in polygons:
        draw.polygon([tuple(point) for point in polygon.tolist()], fill=tuple(rng.integers(0, 256, 3).tolist()))
    x, y = rng.integers(0, _GRAIN_SHIFT, 2)
    pixels = np.clip(np.asarray(scene) + grain[y : y + size[1], x : x + size[0]], 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()


def _annotation(
    image_path: str, size: tuple[int, int], labels: list[str], polygons: list[np.ndarray], photo: bytes | None
) -> str:
    content = {
        "version": "5.4.1",
        "flags": {},
        "shapes": [
            {
                "label": label,
                "points": polygon.tolist(),
                "group_id": None,
                "description": "",
                "shape_type": "polygon",
                "flags": {},
                "mask": None,
            }
            for label, polygon in zip(labels, polygons, strict=True)
        ],
        "imagePath": image_path,
        "imageData": base64.b64encode(photo).decode("ascii") if photo else None,
        "imageHeight": size[1],
        "imageWidth": size[0],
    }
    return json.dumps(content, ensure_ascii=False, indent=2)  # as labelme's writer calls it
