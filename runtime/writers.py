"""Predictions as pictures, COCO annotations and LabelMe files to correct."""

import io
import json
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .model import Instance, Prediction
from .outlines import outlines

_LETTERS = 16  # px


def draw(photo: np.ndarray, found: Prediction, colours: list[tuple[int, ...]]) -> bytes:
    """A PNG of a photo, (H, W, 3) uint8 in RGB, with masks, boxes, names and scores; small objects on top."""
    picture = Image.fromarray(photo)
    ordered = sorted(found.instances, key=lambda instance: -instance.pixels.sum())
    for instance in ordered:
        half = Image.fromarray(instance.pixels * np.uint8(128))
        picture.paste(colours[instance.category], (instance.left, instance.top), half)
    drawing, font, content = ImageDraw.Draw(picture), ImageFont.load_default(_LETTERS), io.BytesIO()
    for instance in ordered:
        (left, top, right, bottom), colour = instance.box, colours[instance.category]
        drawing.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=2)
        place, label = (left, max(0, top - _LETTERS - 4)), f"{instance.name} {100 * instance.score:.0f}%"
        drawing.rectangle(drawing.textbbox(place, label, font), fill="black")
        drawing.text(place, label, colour, font)
    picture.save(content, "PNG")
    return content.getvalue()


def to_labelme(found: Prediction, image_path: str) -> bytes:
    """A LabelMe file with polygons; those of an object in several pieces are a group. The score is the description.

    ``image_path`` is the way from the file to the photo, with POSIX slashes.
    """
    shapes: list[dict[str, Any]] = []
    for number, instance in enumerate(found.instances, start=1):
        polygons = [(polygon + (instance.left, instance.top)).tolist() for polygon in outlines(instance.pixels)]
        about = {"group_id": number if len(polygons) > 1 else None, "description": f"score {instance.score:.2f}"}
        kind: dict[str, Any] = {"shape_type": "polygon", "flags": {}, "mask": None}
        shapes += [{"label": instance.name, "points": points} | about | kind for points in polygons]
    (width, height), photo = found.size, {"imagePath": image_path, "imageData": None}
    file = {"version": "6.3.1", "flags": {}, "shapes": shapes} | photo | {"imageHeight": height, "imageWidth": width}
    return json.dumps(file, indent=2, ensure_ascii=False).encode() + b"\n"


def to_coco(found: Prediction, image_id: int = 1, first_id: int = 1) -> list[dict[str, Any]]:
    """COCO annotations with scores: category ids from 1, boxes as x, y, width, height in px, masks as RLE."""
    annotations = []
    for number, instance in enumerate(found.instances, start=first_id):
        left, top, right, bottom = instance.box
        mask = {"size": list(found.size[::-1]), "counts": counts(instance, found.size)}
        ids: dict[str, Any] = {"id": number, "image_id": image_id, "category_id": instance.category + 1, "iscrowd": 0}
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
