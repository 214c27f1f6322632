"""Typed records of COCO files as they are found in the wild: whatever tool wrote them, nothing but ids is relied on."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.text import UTF8_BOM, parse_integer

# Values of a file that is not strict JSON, counted by their commas: Python's reader takes up to 60 bytes for each.
_MAX_LOOSE_VALUES = 20_000_000

_REMEDY = "Export it again as COCO instances, or correct what is named"


class ForeignCategory(msgspec.Struct, frozen=True, gc=False):
    """A class, under any id; ``supercategory`` may be the name of another one, or anything."""

    id: int
    name: str
    supercategory: object = None


class ForeignImage(msgspec.Struct, frozen=True, gc=False):
    """A photo, under any id; sizes are in pixels, None where the file says nothing."""

    id: int
    file_name: str
    width: float | None = None
    height: float | None = None


class ForeignRle(msgspec.Struct, frozen=True, gc=False):
    """A mask as run-length code: size is (height, width), counts is compressed text or a list of runs."""

    size: tuple[int, int]
    counts: str | list[int]


# A coordinate that JSON has no number for (NaN, infinity) is None.
ForeignSegmentation = list[list[float | None]] | ForeignRle | None


class ForeignAnnotation(msgspec.Struct, frozen=True, gc=False):
    """One instance as someone wrote it.

    Attributes:
        id: any, or none; here nothing depends on it.
        segmentation: still JSON, which ``decode_segmentation`` reads: most of a file's bytes are in here, and what is
            wrong in one concerns its photo only.
        bbox: x, y, width, height in pixels, it is said.
        area: in pixels, it is said.
        iscrowd: anything but 0 makes it a region with several objects.
    """

    image_id: int
    category_id: int
    id: int | None = None
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    bbox: list[float | None] | None = None
    area: float | None = None
    iscrowd: bool | float | None = 0


class ForeignCoco(msgspec.Struct, frozen=True, gc=False):
    """A COCO file of instances."""

    images: list[ForeignImage]
    annotations: list[ForeignAnnotation]
    categories: list[ForeignCategory]


_FILE = msgspec.json.Decoder(ForeignCoco)
_SEGMENTATION = msgspec.json.Decoder(ForeignSegmentation)


def read_foreign(path: Path) -> ForeignCoco:
    """A COCO file of instances.

    Raises:
        UserError: there is no such file, it is not a COCO file of instances, or one category id has two names.
    """
    try:
        content = read_file(path).removeprefix(UTF8_BOM)
    except OSError as error:
        remedy = "Name a COCO file of instances"
        raise UserError(f"the COCO file cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    try:
        record = _decode(content)
    except (ValueError, RecursionError) as error:  # those of msgspec and of json are ValueErrors
        message, _, place = str(error).partition(" - at ")
        raise _no_coco(path, message, re.sub(r"^\$\.?", "", place.strip("`"))) from error
    for category, count in Counter(item.id for item in record.categories).items():
        if count > 1:
            raise _no_coco(path, f"{count} categories have the id {category}", "categories")
    return record


def decode_segmentation(annotation: ForeignAnnotation) -> ForeignSegmentation:
    """The polygons or the RLE of an annotation; None where it has neither.

    Raises:
        msgspec.ValidationError: it is something else.
    """
    if bytes(annotation.segmentation) in (b"{}", b'""'):
        return None
    segmentation = _SEGMENTATION.decode(annotation.segmentation)
    return segmentation if not isinstance(segmentation, list) or any(segmentation) else None


def _decode(content: bytes) -> ForeignCoco:
    """The record; second, where it is not strict JSON, by Python's own rules: NaN and Infinity become null."""
    try:
        return _FILE.decode(content)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if content.count(b",") > _MAX_LOOSE_VALUES:
            raise
        tree = json.loads(content, parse_int=parse_integer)
        return _FILE.decode(msgspec.json.encode(tree))


def _no_coco(path: Path, reason: str, place: str) -> UserError:
    reason = f"this is not a COCO file of instances: {reason}"
    return UserError(reason, file=path, place=place, remedy=_REMEDY, exit_code=EXIT_DATA)
