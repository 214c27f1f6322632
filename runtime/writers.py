"""Predictions as pictures, COCO annotations and LabelMe files to correct."""

import io
import json
from collections import Counter
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .model import Instance, Prediction
from .outlines import outlines

_LETTERS = 16  # px
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc", "Arial Unicode.ttf", "msyh.ttc")


def draw(photo: np.ndarray, found: Prediction, colours: list[tuple[int, ...]]) -> bytes:
    """A PNG of a photo, (H, W, 3) uint8 in RGB, with masks, boxes, names and scores; small objects on top."""
    picture, content = Image.fromarray(photo), io.BytesIO()
    drawing = ImageDraw.Draw(picture)
    for instance in sorted(found.instances, key=lambda instance: -instance.pixels.sum()):
        (left, top, right, bottom), colour = instance.box, colours[instance.category]
        picture.paste(colour, (instance.left, instance.top), Image.fromarray(instance.pixels * np.uint8(128)))
        drawing.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=2)
        name, font = caption(instance.name, instance.category + 1)
        place, label = (left, max(0, top - _LETTERS - 4)), f"{name} {100 * instance.score:.0f}%"
        drawing.text(place, label, colour, font, stroke_width=2, stroke_fill="black")
    picture.save(content, "PNG")
    return content.getvalue()


@cache
def caption(name: str, number: int) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """A class's name, or ``#3`` for the third class if no font has all letters of its name; and the font to draw it."""
    for file in ("", *_FONTS):  # Pillow's own has little more than A to Z; the others are of Linux, macOS and Windows
        with suppress(OSError):  # this system does not have the font
            font = ImageFont.truetype(file, _LETTERS) if file else ImageFont.load_default(_LETTERS)
            missing = bytes(font.getmask("\uffff"))  # what it draws for what it does not have
            if name.isprintable() and all(bytes(font.getmask(letter)) != missing for letter in name):
                return name, font
    return f"#{number}", ImageFont.load_default(_LETTERS)


def labelme_files(photos: list[Path], folder: Path) -> list[Path]:
    """The LabelMe files of photos: ``a.json``, as labelme names them; ``a.jpg.json`` if there is ``a.png``, too."""
    short = [folder / photo.with_suffix(".json") for photo in photos]
    full = [folder / f"{photo}.json" for photo in photos]
    taken = Counter(str(file).casefold() for file in short + full)
    return [file if taken[str(file).casefold()] == 1 else longer for file, longer in zip(short, full)]


def to_labelme(found: Prediction, image_path: str) -> bytes:
    """A LabelMe file with polygons; those of an object in several pieces are a group. The score is the description.

    ``image_path`` is the path from the file to the photo, with POSIX slashes.
    """
    shapes: list[dict] = []
    for number, instance in enumerate(found.instances, start=1):
        polygons = [(polygon + (instance.left, instance.top)).tolist() for polygon in outlines(instance.pixels)]
        about = {"group_id": number if len(polygons) > 1 else None, "description": f"score {instance.score:.2f}"}
        kind: dict = {"shape_type": "polygon", "flags": {}, "mask": None}
        shapes += [{"label": instance.name, "points": points} | about | kind for points in polygons]
    (width, height), photo = found.size, {"imagePath": image_path, "imageData": None}
    file = {"version": "6.3.1", "flags": {}, "shapes": shapes} | photo | {"imageHeight": height, "imageWidth": width}
    return json.dumps(file, indent=2, ensure_ascii=False).encode() + b"\n"


def to_coco(found: Prediction, image_id: int = 1, first_id: int = 1) -> list[dict]:
    """COCO annotations with scores: category ids from 1, boxes as x, y, width, height in px, masks as RLE."""
    annotations = []
    for number, instance in enumerate(found.instances, start=first_id):
        left, top, right, bottom = instance.box
        mask = {"size": list(found.size[::-1]), "counts": counts(instance, found.size)}
        ids: dict = {"id": number, "image_id": image_id, "category_id": instance.category + 1, "iscrowd": 0}
        box = {"bbox": [left, top, right - left, bottom - top], "score": instance.score}
        annotations.append(ids | box | {"segmentation": mask, "area": int(instance.pixels.sum())})
    return annotations


def counts(instance: Instance, size: tuple[int, int]) -> str:
    """The mask on a photo of a (width, height) in pycocotools' compressed run-length code (rleToString in maskApi.c)."""
    columns = np.zeros((instance.pixels.shape[1], size[1]), dtype=np.int8)
    columns[:, instance.top : instance.top + instance.pixels.shape[0]] = instance.pixels.T
    edges = np.flatnonzero(np.diff(columns.ravel(), prepend=0, append=0)) + instance.left * size[1]
    runs = np.diff(edges, prepend=0, append=size[0] * size[1]).tolist()
    text = ""
    for index, run in enumerate(runs if runs[-1] else runs[:-1]):
        number, more = run - (runs[index - 2] if index > 2 else 0), True
        while more:  # five bits a character, the lowest first; a sixth says that more follow
            bits, number = number & 0x1F, number >> 5
            more = number != (-1 if bits & 0x10 else 0)
            text += chr(bits + 0x20 * more + 48)
    return text
