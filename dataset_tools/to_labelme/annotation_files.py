"""Annotation files to write: their names and their bytes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from dataset_tools.formats import labelme
from dataset_tools.to_labelme.instance_shapes import InstanceShapes, annotation_file

# The classes in their order, which LabelMe files cannot hold: for convert's --classes and labelme's --labels.
CLASSES_NAME = "classes.txt"


def annotation_names(photos: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """The annotation files of all photos in one folder, relative to it as the photos are.

    A file is named after its photo. Photos that differ in their suffix only keep it, as labelme does it since 7.9:
    ``a.jpg.json`` and ``a.png.json``.
    """
    short = [photo.with_suffix(".json") for photo in photos]
    full = [photo.with_name(f"{photo.name}.json") for photo in photos]
    taken = Counter(map(_folded, short + full))
    return [brief if taken[_folded(brief)] == 1 else long for brief, long in zip(short, full)]


def encode_annotations(photo: Path, file: Path, size: tuple[int, int], drawn: Sequence[InstanceShapes]) -> bytes:
    """The bytes of an annotation file that refers to a photo where it lies.

    Args:
        photo: the photo.
        file: where the annotation file will be.
        size: (width, height) of the turned photo in pixels.
        drawn: the objects, as ``shapes.draw`` makes them.
    """
    return labelme.encode(annotation_file(way_to_photo(photo, file.parent), size, drawn))


def _folded(path: PurePosixPath) -> str:
    """Equal for names that are one on file systems that do not tell capital letters from small ones."""
    return path.as_posix().casefold()


def way_to_photo(photo: Path, folder: Path) -> str:
    """The way from a folder to a photo as the system walks it, with POSIX slashes. A photo that is a link stays one."""
    return Path(os.path.relpath(photo.parent.resolve() / photo.name, folder.resolve())).as_posix()
