"""Valid LabelMe files with their photos: what is broken in order to test the converter."""

from __future__ import annotations

import base64
import functools
import io
import json
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

SIZE = (64, 48)  # (width, height) of the photos

# Stands in a file for the folder above the LabelMe folder; whoever writes the file replaces it by the path.
ABOVE = "@ABOVE@"

# A photo in that folder, which no conversion may read.
SECRET = "secret.jpg"

_ORIENTATION = 0x0112  # the EXIF tag


@dataclass(frozen=True)
class Case:
    """An annotation file and what lies beside it.

    Attributes:
        name, content: of the annotation file.
        photos: those beside it, by their names.
        options: of the conversion.
        steps: what was done to a valid case.
    """

    name: str
    content: bytes
    photos: dict[str, bytes]
    options: dict[str, object] = field(default_factory=dict)
    steps: str = ""


@functools.cache
def valid_cases() -> tuple[Case, ...]:
    """Files that together have each type of shape, groups, masks, imageData, and each age of the format."""
    jpeg, png, turned = encoded(picture(1), "JPEG"), encoded(picture(2), "PNG"), encoded(picture(3), "JPEG", 6)
    shapes, photo, data = _every_shape(), {"a.jpg": jpeg}, {"imageData": as_base64(jpeg)}
    old = [{"label": "车", "line_color": None, "fill_color": None, "points": [[2, 3], [30, 5], [20, 40]]}]
    no_sizes = {"version": ..., "imageHeight": ..., "imageWidth": ..., "lineColor": [0, 255, 0, 128]}
    return (
        _valid_case("a.json", photo, shapes),
        _valid_case("a.json", photo, shapes[-4:]),
        _valid_case("a.json", photo, shapes[:4], **data),
        _valid_case("a.json", {}, shapes, **data),
        _valid_case("sub/a.json", {}, shapes[:2], imageData=as_base64(png)),
        _valid_case("a.png.json", {"a.png": png, **photo}, shapes, imagePath="a.png"),
        _valid_case("a.json", {"a.jpg": turned}, shapes[:5], imageHeight=SIZE[0], imageWidth=SIZE[1]),
        _valid_case("a.json", photo, old, **no_sizes),
    )


def _valid_case(name: str, photos: dict[str, bytes], shapes: list[dict], **keys: object) -> Case:
    """A valid file; a key whose value is ``...`` is left out."""
    tree = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.jpg", "imageData": None}
    tree |= {"imageHeight": SIZE[1], "imageWidth": SIZE[0]} | keys
    return Case(name, json.dumps({key: value for key, value in tree.items() if value is not ...}).encode(), photos)


def _every_shape() -> list[dict]:
    square = [[8.25, 8.5], [24.125, 8.75], [24.5, 24.25], [8.0, 24.0]]
    lines = {"line": 2, "linestrip": 3, "point": 1, "points": 2}  # numbers of points
    ellipse = np.hypot(*np.mgrid[-1:1:12j, -1:1:16j]) < 0.9
    return [
        _shape("car", square),
        _shape("车", [[30.1, 5.3], [62.7, 9.9]], "rectangle"),
        _shape("bus", [[30.0, 30.0], [35.5, 33.3]], "circle"),
        _shape("car", [[40.0, 40.0], [70.0, 44.0], [69.0, 50.0], [39.0, 46.0]], group_id=0),
        _shape("car", [[4.0, 30.0], [12.0, 30.0], [12.0, 44.0], [4.0, 44.0]], group_id=0),
        _shape("bus", square, "oriented_rectangle"),
        _shape("bow tie", [[40.0, 10.0], [60.0, 30.0], [60.0, 10.0], [40.0, 30.0]]),
        _shape("__ignore__", square),
        *(_shape("line", square[:count], kind) for kind, count in lines.items()),
        _shape("car", [[44.0, 20.0], [52.0, 20.0], [48.0, 28.0]], group_id=1),
        _mask("car", ellipse.astype(np.uint8), (20, 10), group_id=1),
        _mask("Straße", ellipse, (60.5, 40.5)),  # labelme 5.4 writes PNGs of one bit a pixel
    ]


def _shape(label: str, points: list, shape_type: str = "polygon", group_id: int | None = None, **keys: object) -> dict:
    shape = {"label": label, "points": points, "group_id": group_id, "description": "", "shape_type": shape_type}
    return shape | {"flags": {}, "mask": None} | keys


def _mask(label: str, pixels: np.ndarray, corner: tuple[float, float], **keys: object) -> dict:
    (x, y), (height, width) = corner, pixels.shape
    points = [[x, y], [x + width - 1, y + height - 1]]
    return _shape(label, points, "mask", mask=as_base64(encoded(Image.fromarray(pixels), "PNG")), **keys)


def picture(seed: int, size: tuple[int, int] = SIZE) -> Image.Image:
    """A smooth random scene."""
    coarse = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, orientation: int | None = None) -> bytes:
    """A picture as the bytes of a file, with an EXIF orientation on request."""
    exif = Image.Exif()
    if orientation is not None:
        exif[_ORIENTATION] = orientation
    stream = io.BytesIO()
    image.save(stream, kind, **({"exif": exif} if orientation is not None else {}))
    return stream.getvalue()


def as_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
