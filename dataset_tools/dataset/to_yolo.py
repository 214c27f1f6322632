"""From a dataset folder to files that YOLO's programs train on: photos, labels beside them, and data.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import shapely
from tqdm import tqdm

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.formats.card import read_card
from dataset_tools.formats.yolo import encode_description, encode_row
from dataset_tools.geometry.polygons import polygons_of_geometry, repair_polygon
from dataset_tools.images.folders import copy_photo
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import encode_upright
from dataset_tools.output_folder import replaced_folder
from dataset_tools.to_labelme.from_dataset import (
    PhotosToWrite,
    ToLabelmeOptions,
    WriteReport,
    annotated_splits,
    check_options,
    check_photo,
    draw_instance,
    place_inside,
)

_Points = Sequence[tuple[float, float]]

# What all of YOLO's programs read, newer and older ones; they pass over other files in silence.
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")


def to_yolo(options: ToLabelmeOptions) -> WriteReport:
    """Write a dataset folder as ``images/<split>``, ``labels/<split>`` and ``data.yaml``, one row an instance, in one step.

    Args:
        options: ``shapes`` is ``polygon``; the photos are copied, since labels are looked for beside them.

    Raises:
        UserError: a file cannot be used, or the output folder holds other things. Nothing is written then.
    """
    check_options(options)
    with replaced_folder(options.output, "files for YOLO") as part:
        card, written = read_card(options.dataset), WriteReport()
        splits = [split for split in annotated_splits(options, card) if split.photos]
        for split in splits:
            _write_split(split, options, card.classes, options.dataset / card.image_root, part, written)
        names = encode_description(card.classes, {split.split: f"images/{split.split}" for split in splits})
        (part / "data.yaml").write_text(names, encoding="utf-8")
    return written


def _write_split(
    split: PhotosToWrite,
    options: ToLabelmeOptions,
    classes: Sequence[str],
    root: Path,
    part: Path,
    written: WriteReport,
) -> None:
    taken: set[str] = set()
    for photo in tqdm(split.photos, desc=f"Writing {split.split}", unit="photo", disable=None):
        source, size = root / photo.file_name, (photo.width, photo.height)
        check_photo(source, size)
        name = _name(place_inside(photo, split), split.split, taken)
        image, label = part / "images" / split.split / name, part / "labels" / split.split / name.with_suffix(".txt")
        for path in (image, label):
            path.parent.mkdir(parents=True, exist_ok=True)
        if image.suffix == source.suffix:
            copy_photo(root, photo.file_name, image)
        else:
            _write_png(source, size, image)
        instances = split.instances.get(photo.id, [])
        drawn = [draw_instance(instance, where, size, split, options) for where, instance in instances]
        outlines = [_one_outline([shape.points for shape in made.shapes]) for made in drawn if made.shapes]
        numbers = [classes.index(instance.label) for (_, instance), made in zip(instances, drawn) if made.shapes]
        rows = [encode_row(number, points, size) for number, points in zip(numbers, outlines)]
        label.write_text("".join(rows), encoding="ascii")
        written.count(PurePosixPath(split.split) / name, instances, drawn)


def _write_png(photo: Path, size: tuple[int, int], path: Path) -> None:
    try:
        path.write_bytes(encode_upright(photo, size, path.suffix))
    except ImageError as error:  # which only shows when it is decoded
        remedy = "Put the photo back that was annotated"
        raise UserError(f"it cannot be read: {error}", file=photo, remedy=remedy, exit_code=EXIT_DATA) from error


def _name(place: PurePosixPath, split: str, taken: set[str]) -> PurePosixPath:
    """Where a photo goes: labels differ in more than a suffix, and are looked for in place of the last folder ``images``."""
    folders = [part for part in place.parts[:-1] if part.lower() not in ("images", split)]
    suffix = place.suffix if place.suffix.lower() in _SUFFIXES else ".png"
    stem, number = place.stem, 2
    while (path := "/".join([*folders, stem])).casefold() in taken:
        stem, number = f"{place.stem}_{number}", number + 1
    taken.add(path.casefold())
    return PurePosixPath(path + suffix)


def _one_outline(polygons: Sequence[_Points]) -> _Points:
    """Polygons as one, which a row holds: without overlaps, and joined by lines there and back, which cover nothing."""
    if len(polygons) == 1:
        return polygons[0]
    apart = [repair_polygon(np.array(polygon)) for polygon in polygons]
    whole = shapely.union_all([shapely.Polygon(piece) for pieces in apart for piece in pieces or ()])
    pieces = [piece.tolist() for piece in polygons_of_geometry(whole)] if None not in apart else polygons
    first, *others = pieces or polygons
    return [*first, first[0], *(point for piece in others for point in (*piece, piece[0], first[0]))]
