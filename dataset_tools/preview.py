"""Pictures of a dataset: masks, labels and boxes drawn onto the photos."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont, ImageOps
from pycocotools import mask as coco_mask
from tqdm import tqdm

from dataset_tools import geometry, images
from dataset_tools.card import read_card
from dataset_tools.coco import Annotation, Image, Rle, read_split
from dataset_tools.errors import UserError
from dataset_tools.files import replaced_folder

SHEET_NAME = "preview.png"

# A dataset of thousands of photos must not make a sheet that no program opens: it shows this many, evenly spread.
_MOST_ON_SHEET = 100
_TILE = 320  # pixels: large enough to see a mask, small enough for five in a row on a screen
_TILES_IN_ROW = 5

# A mask lets its photo through, so that an outline that is off by a few pixels shows.
_OPACITY = 0.45

# Neighbouring hues are this far apart on the colour circle; the golden ratio keeps any number of classes apart.
_GOLDEN_RATIO = 0.618033988749895


def preview(folder: Path, output: Path, split: str = "train", most: int | None = None) -> int:
    """Draw the photos of one split, and a sheet with all of them; the result is how many.

    Args:
        folder: the dataset folder.
        output: the folder to make. One that holds nothing but earlier previews is replaced.
        split: ``train``, ``val`` or ``test``.
        most: at most so many photos, evenly spread; None for all.

    Raises:
        UserError: it is no dataset folder, a photo is missing or has another size, or output holds other things.
    """
    card = read_card(folder)
    if most is not None and most < 1:
        raise UserError(f"--max is {most}", remedy="Pass a number from 1 up, or leave it out")
    _check_output(output)
    content = read_split(folder, card, split)
    chosen = _evenly(content.images, most)
    if not chosen:
        raise UserError(f"the split '{split}' has no photos", file=folder, remedy="Choose another --split")
    names = _file_names(chosen)
    annotations: dict[int, list[Annotation]] = {image.id: [] for image in content.images}
    for annotation in content.annotations:
        annotations[annotation.image_id].append(annotation)
    with replaced_folder(output) as part:
        tiles = []
        on_sheet = {image.id for image in _evenly(chosen, _MOST_ON_SHEET)}
        for image in tqdm(chosen, desc="Drawing", unit="photo", disable=None):
            picture = _draw(folder / card.image_root / image.file_name, image, annotations[image.id], card.classes)
            picture.save(part / names[image.id])
            if image.id in on_sheet:
                tiles.append(ImageOps.contain(picture, (_TILE, _TILE)))
        _sheet(tiles).save(part / SHEET_NAME)
    return len(chosen)


def _check_output(output: Path) -> None:
    """Refuse to replace anything but an empty folder or earlier previews: PNGs, the sheet among them."""
    if not output.exists():
        return
    names = (
        [path.name for path in output.iterdir()] if output.is_dir() and not output.is_symlink() else ["another thing"]
    )
    previews = SHEET_NAME in names and all(name.endswith(".png") for name in names)
    if names and not previews:
        raise UserError("this exists and does not hold previews only", file=output, remedy="Choose another --output")


def _evenly(items: Sequence, most: int | None) -> list:
    if most is None or len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def _file_names(images: Sequence[Image]) -> dict[int, str]:
    """A name for each picture: the photo's place in the split, and its stem, which alone may not be unique."""
    digits = len(str(max(image.id for image in images)))
    return {image.id: f"{image.id:0{digits}}_{Path(image.file_name).stem}.png" for image in images}


def _draw(path: Path, image: Image, annotations: Sequence[Annotation], classes: Sequence[str]) -> PilImage.Image:
    picture = _load(path, image)
    pixels = np.asarray(picture).copy()
    for annotation in annotations:
        mask = _mask(annotation, image)
        pixels[mask] = (1 - _OPACITY) * pixels[mask] + _OPACITY * np.array(_colour(annotation.category_id))
    picture = PilImage.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=max(12, min(image.width, image.height) / 40))
    for annotation in annotations:
        _draw_box(draw, font, annotation, classes)
    return picture


def _load(path: Path, image: Image) -> PilImage.Image:
    try:
        picture = images.load_photo(path)
    except (OSError, images.ImageError) as error:
        raise UserError(f"the photo cannot be read: {error}", file=path, remedy="Convert the photos again") from error
    if picture.size != (image.width, image.height):
        raise UserError(
            f"the photo is {picture.width} x {picture.height}, its COCO file says {image.width} x {image.height}",
            file=path,
            remedy="Convert the photos again",
        )
    return picture


def _mask(annotation: Annotation, image: Image) -> geometry.Mask:
    if isinstance(annotation.segmentation, Rle):
        encoded = {"size": list(annotation.segmentation.size), "counts": annotation.segmentation.counts}
    else:
        polygons = [np.reshape(polygon, (-1, 2)) for polygon in annotation.segmentation]
        encoded = geometry.union(geometry.rasterise(polygons, (image.width, image.height)))
    return coco_mask.decode(encoded).astype(bool)


def _draw_box(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont, annotation: Annotation, classes: Sequence[str]
) -> None:
    x, y, width, height = annotation.bbox
    colour = _colour(annotation.category_id)
    draw.rectangle((x, y, x + width - 1, y + height - 1), outline=colour, width=2)
    label = classes[annotation.category_id - 1]
    draw.rectangle(draw.textbbox((x + 2, y), label, font=font), fill=(0, 0, 0))
    draw.text((x + 2, y), label, font=font, fill=colour)


def _colour(category_id: int) -> tuple[int, int, int]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(category_id * _GOLDEN_RATIO % 1, 0.75, 1))


def _sheet(tiles: Sequence[PilImage.Image]) -> PilImage.Image:
    """All pictures in rows, on black."""
    columns = min(_TILES_IN_ROW, len(tiles))
    sheet = PilImage.new("RGB", (columns * _TILE, math.ceil(len(tiles) / columns) * _TILE))
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        sheet.paste(tile, (column * _TILE + (_TILE - tile.width) // 2, row * _TILE + (_TILE - tile.height) // 2))
    return sheet
