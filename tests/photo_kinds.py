"""One photo of each kind in the table of docs/datasets.md, and what every command has to make of it."""

import io
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from tests.dataset_tools.pictures import SIZE, bytes_of, exif

ORIENTATION = 0x0112


def scene(seed=0):
    """Smooth colours from black to white."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    coarse[0, 0], coarse[5, 7] = 0, 255
    return Image.fromarray(coarse).resize(SIZE, Image.Resampling.BICUBIC)


PHOTO = scene()
GREY = np.asarray(PHOTO.convert("L"))


def saved(picture, format, two=False, **options):
    """The bytes of a file; of ``two`` pictures, the second of which is another one."""
    options |= {"save_all": True, "append_images": [scene(1)]} if two else {}
    return bytes_of(picture.copy(), format, **options)  # Pillow keeps in a picture how it was saved


def deep(levels, suffix):
    """A file of 16 bits a level by OpenCV, since Pillow writes no colours of 16 bits; in RGB."""
    order = levels[..., ::-1] if levels.ndim == 3 else levels
    return cv2.imencode(suffix, np.ascontiguousarray(order))[1].tobytes()


def planes_apart(levels):
    """An uncompressed TIFF of 16 bits a level with a plane for each colour, which Pillow reads as noise."""
    height, width = levels.shape[:2]
    planes = [levels[..., channel].astype("<u2").tobytes() for channel in range(3)]
    tags = {256: width, 257: height, 259: 1, 262: 2, 277: 3, 278: height, 284: 2}
    lists = {258: [16] * 3, 273: [0] * 3, 279: [len(planes[0])] * 3}
    start = 8 + 2 + 12 * (len(tags) + len(lists)) + 4
    lists[273] = [start + 36 + index * len(planes[0]) for index in range(3)]
    entries, behind = {tag: (4, 1, value) for tag, value in tags.items()}, b""
    for tag, values in lists.items():
        entries[tag] = (4, 3, start + len(behind))
        behind += np.array(values, dtype="<u4").tobytes()
    table = b"".join(
        np.array([tag, entry[0]], dtype="<u2").tobytes() + np.array(entry[1:], dtype="<u4").tobytes()
        for tag, entry in sorted(entries.items())
    )
    count = np.array([len(entries)], dtype="<u2").tobytes()
    return b"II*\0\x08\0\0\0" + count + table + bytes(4) + behind + b"".join(planes)


def lab():
    return Image.frombytes("LAB", SIZE, PHOTO.tobytes())


def tiff_turned():
    stream = io.BytesIO()
    PHOTO.save(stream, "TIFF", tiffinfo={ORIENTATION: 6})
    return stream.getvalue()


class Kind(NamedTuple):
    """A photo, and what becomes of it.

    Attributes:
        suffix, content: of its file.
        refused: words that every refusal of it has; None where it is taken.
        frames: as they are counted.
        levels: (H, W) or (H, W, 3) in RGB that the photo shows, to within ``tolerance``; None for Detectron2's alone.
        shows_late: its fault shows once its pixels are decoded.
    """

    suffix: str
    content: bytes
    refused: str | None = None
    frames: int = 1
    levels: np.ndarray | None = None
    tolerance: int = 0
    shows_late: bool = False


RGB = np.asarray(PHOTO)
WIDE = RGB.astype(np.uint16) * 257 - (RGB > 9) * np.uint16(100)  # no multiples, and the brightest are still bright
UNKNOWN = "more than 8 bits a level"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf tiff:Orientation="6"/></x:xmpmeta>'

# By the first column of the table.
KINDS = {
    "JPEG": [Kind(".jpg", saved(PHOTO, "JPEG"), levels=RGB, tolerance=40), Kind(".jpg", saved(PHOTO.convert("L"), "JPEG"))],
    "JPEG in CMYK": [Kind(".jpg", saved(PHOTO.convert("CMYK"), "JPEG"), levels=RGB, tolerance=40)],
    "MPO": [Kind(".jpg", saved(PHOTO, "MPO", two=True), levels=RGB, tolerance=40)],
    "PNG, BMP, WebP, GIF, PPM, TIFF": [
        Kind(".png", saved(PHOTO, "PNG"), levels=RGB),
        Kind(".bmp", saved(PHOTO, "BMP"), levels=RGB),
        Kind(".webp", saved(PHOTO, "WEBP", lossless=True), levels=RGB),
        Kind(".gif", saved(PHOTO.convert("L"), "GIF"), levels=GREY),
        Kind(".ppm", saved(PHOTO, "PPM"), levels=RGB),
        Kind(".tif", saved(PHOTO, "TIFF"), levels=RGB),
        Kind(".tiff", saved(PHOTO.convert("CMYK"), "TIFF", compression="tiff_lzw"), levels=RGB),
    ],
    "JPEG 2000, AVIF": [
        Kind(".jp2", saved(PHOTO, "JPEG2000"), levels=RGB),
        Kind(".avif", saved(PHOTO, "AVIF", quality=95), levels=RGB, tolerance=40),
    ],
    "grey, black and white, palette": [
        Kind(".png", saved(PHOTO.convert("L"), "PNG"), levels=GREY),
        Kind(".pgm", saved(PHOTO.convert("L"), "PPM"), levels=GREY),
        Kind(".tif", saved(PHOTO.convert("1"), "TIFF")),
        Kind(".png", saved(PHOTO.quantize(200), "PNG"), levels=np.asarray(PHOTO.quantize(200).convert("RGB"))),
    ],
    "transparent": [
        Kind(".png", saved(Image.merge("RGBA", [*PHOTO.split(), Image.fromarray(255 - GREY)]), "PNG"), levels=RGB),
        Kind(".png", saved(Image.merge("LA", [Image.fromarray(GREY)] * 2), "PNG"), levels=GREY),
        Kind(".png", saved(PHOTO.convert("L").convert("P"), "PNG", transparency=3)),
    ],
    "turned by EXIF": [
        Kind(".jpg", saved(PHOTO, "JPEG", exif=exif(6)), levels=np.rot90(RGB, -1), tolerance=40),
        Kind(".png", saved(PHOTO, "PNG", exif=exif(5)), levels=RGB.transpose(1, 0, 2)),
    ],
    "multi-page TIFF": [Kind(".tif", saved(PHOTO, "TIFF", two=True), frames=2, levels=RGB)],
    "animated GIF, WebP, PNG, AVIF": [
        Kind(".gif", saved(PHOTO.convert("L"), "GIF", two=True), frames=2, levels=GREY),
        Kind(".webp", saved(PHOTO, "WEBP", lossless=True, two=True), frames=2, levels=RGB),
        Kind(".png", saved(PHOTO, "PNG", two=True), frames=2, levels=RGB),
        Kind(".avif", saved(PHOTO, "AVIF", quality=95, two=True), frames=2, levels=RGB, tolerance=40),
    ],
    "16-bit grey up to 255": [
        Kind(".png", saved(Image.fromarray(GREY.astype(np.uint16)), "PNG"), levels=GREY),
        Kind(".tif", saved(Image.fromarray(GREY.astype(np.int32)), "TIFF"), levels=GREY),
    ],
    "16-bit colours with bright ones": [
        Kind(".png", deep(WIDE, ".png"), levels=WIDE / 257, tolerance=1),
        Kind(".tif", deep(WIDE, ".tif"), levels=WIDE / 257, tolerance=1),
        Kind(".png", deep(np.dstack([WIDE, WIDE[..., :1]])[..., [3, 0, 1, 2]], ".png")),
    ],
    "16-bit grey above 255": [
        Kind(".png", saved(Image.fromarray(GREY.astype(np.uint16) * 12), "PNG"), UNKNOWN),
        Kind(".tif", saved(Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"), UNKNOWN),
        Kind(".jp2", saved(Image.fromarray(GREY.astype(np.uint16) * 257), "JPEG2000"), UNKNOWN),
        Kind(".tif", saved(Image.fromarray(GREY.astype(np.int32) - 100), "TIFF"), UNKNOWN),
    ],
    "16-bit colours without bright ones": [
        Kind(".png", deep(WIDE >> 4, ".png"), UNKNOWN),
        Kind(".tif", deep(WIDE >> 4, ".tif"), UNKNOWN),
        Kind(".ppm", deep(WIDE >> 4, ".ppm"), UNKNOWN),
    ],
    "16-bit colours in JPEG 2000, in planes of a TIFF": [
        Kind(".jp2", deep(np.kron(WIDE, np.ones((4, 4, 1), np.uint16)), ".jp2"), UNKNOWN),
        Kind(".tif", planes_apart(WIDE), UNKNOWN),
    ],
    "TIFF of fractions, of LAB": [
        Kind(".tif", saved(Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"), "Pillow's mode"),
        Kind(".tif", saved(lab(), "TIFF"), "Pillow's mode"),
    ],
    "turned TIFF, turned by XMP alone": [
        Kind(".tif", tiff_turned(), "orientation 6"),
        Kind(".jpg", saved(PHOTO, "JPEG", xmp=XMP), "orientation 6"),
    ],
    "HEIC": [Kind(".heic", HEIC, "HEIC"), Kind(".jpg", HEIC, "HEIC")],
    "cut off, damaged": [
        Kind(".jpg", saved(PHOTO, "JPEG")[:-300], "truncated", shows_late=True),
        Kind(".png", saved(PHOTO, "PNG")[:30], "not a picture"),
    ],
    "no picture": [Kind(".jpg", b"<!DOCTYPE html><title>Not found</title>", "not a picture")],
}  # fmt: skip
