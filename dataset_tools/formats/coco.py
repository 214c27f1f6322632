"""Typed COCO records: what goes into a COCO file, its stable bytes, and reading it back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NoReturn

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.formats.card import CARD_NAME, Card
from dataset_tools.geometry.polygons import MAX_LENGTH, MAX_PIXELS, are_fillable
from dataset_tools.geometry.rle import BadRle, Rle, check_fits


class Category(msgspec.Struct, frozen=True):
    """A class; ids start at 1."""

    id: int
    name: str


class Image(msgspec.Struct, frozen=True, gc=False):
    """A photo; ids start at 1, sizes are in pixels as it is shown (EXIF), file_name is relative to the image root."""

    id: int
    file_name: str
    width: int
    height: int


class Annotation(msgspec.Struct, frozen=True, gc=False):
    """One instance.

    Attributes:
        id: from 1: COCOeval takes a match with annotation 0 for none.
        segmentation: polygons as flat lists x, y, x, y, ... in pixels, or one RLE.
        area: in pixels.
        bbox: x, y, width, height in pixels.
        iscrowd: always 0 here: training drops crowds.
    """

    id: int
    image_id: int
    category_id: int
    segmentation: list[list[float]] | Rle
    area: float
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class CocoFile(msgspec.Struct, frozen=True):
    """The COCO file of one split."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


def write_coco(
    file: BinaryIO, images: Iterable[Image], annotations: Iterable[Annotation], categories: Iterable[Category]
) -> None:
    """Write a COCO file, the same bytes for the same records; one after the other, so that they need not be in memory."""
    opening = b"{"
    for name, records in (("images", images), ("annotations", annotations), ("categories", categories)):
        file.write(opening + b'"%b":[' % name.encode())
        for index, record in enumerate(records):
            file.write(b"," * (index > 0) + msgspec.json.encode(record))
        opening = b"],"
    file.write(b"]}\n")


def read_coco(path: Path) -> CocoFile:
    """The COCO file of a split.

    Raises:
        UserError: there is no such file, it is not a COCO file of polygons or compressed RLEs, a photo's size is not one,
            polygons are too long to be filled, or a mask is not a mask of its photo.
    """
    remedy = "Convert the photos again"

    def fail(place: str, reason: str) -> NoReturn:
        raise UserError(reason, file=path, place=place, remedy=remedy, exit_code=EXIT_DATA)

    try:
        content = msgspec.json.decode(read_file(path), type=CocoFile)
    except OSError as error:
        raise UserError(f"the COCO file cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"this is not a COCO file: {error}", file=path, remedy=remedy, exit_code=EXIT_DATA) from error
    for index, image in enumerate(content.images):  # of another size pycocotools' polygons crash
        if min(image.width, image.height) < 1 or image.width * image.height > MAX_PIXELS:
            fail(f"images[{index}]", f"{image.width} x {image.height} is not the size of a photo")
    sizes = {image.id: (image.width, image.height) for image in content.images}
    for index, annotation in enumerate(content.annotations):
        if reason := _damage(annotation.segmentation, sizes.get(annotation.image_id)):
            fail(f"annotations[{index}].segmentation", reason)
    return content


def _damage(segmentation: list[list[float]] | Rle, size: tuple[int, int] | None) -> str | None:
    """Why pycocotools cannot take a segmentation of a photo of a (width, height); None for that of an unknown photo."""
    if not isinstance(segmentation, Rle):
        return None if are_fillable(segmentation) else f"its outlines are longer than {MAX_LENGTH:,} pixels"
    try:
        if size:
            check_fits(segmentation, size)
    except BadRle as error:
        return f"the mask cannot be read: {error}"
    return None


def read_split(folder: Path, card: Card, split: str) -> CocoFile:
    """The COCO file of one split of a dataset folder, checked against the card and in itself.

    Raises:
        UserError: it cannot be read, its categories are not the card's classes, an annotation points nowhere, or a
            mask is not a mask of the photo or of another format than the card says.
    """
    path = folder / card.splits[split].annotations

    def fail(reason: str, place: str | None = None, remedy: str = "Convert the photos again") -> NoReturn:
        raise UserError(reason, file=path, place=place, remedy=remedy, exit_code=EXIT_DATA)

    if not path.is_file():
        fail(f"there is no such file, which {CARD_NAME} names")
    content = read_coco(path)
    if content.categories != categories_of(card.classes):
        found = ", ".join(f"{category.id} {category.name}" for category in content.categories)
        classes = ", ".join(card.classes)
        fail(f"its categories ({found}) are not the classes of {CARD_NAME}, numbered from 1 ({classes})", "categories")
    images = {image.id for image in content.images}
    ids = {annotation.id for annotation in content.annotations}
    if len(images) < len(content.images) or len(ids) < len(content.annotations) or 0 in ids:
        fail("its ids are not all different, or an annotation has the id 0, which COCO's evaluation never matches")
    for index, annotation in enumerate(content.annotations):
        place = f"annotations[{index}]"
        if annotation.image_id not in images or not 1 <= annotation.category_id <= len(card.classes):
            fail(f"image {annotation.image_id} or category {annotation.category_id} does not exist", place)
        place += ".segmentation"
        if not annotation.segmentation:
            fail("there is no outline in it", place)
        # Detectron2 believes the card, and fails in the middle of training.
        if isinstance(annotation.segmentation, Rle) and card.mask_format == "polygon":
            reason = f"the mask is a run-length code, and mask_format in {CARD_NAME} is 'polygon'"
            fail(reason, place, f"Write 'bitmask' into {CARD_NAME}")
    return content


def categories_of(classes: list[str]) -> list[Category]:
    """The categories of a class list, in its order, from id 1; the same in every split."""
    return [Category(index, name) for index, name in enumerate(classes, start=1)]
