"""Annotation files to write: their names, and their ways to the photos."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

# The classes in their order, which LabelMe files cannot hold: for convert's --classes and labelme's --labels.
CLASSES_NAME = "classes.txt"


def annotation_names(photos: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """The annotation files of all photos in one folder, relative to it as the photos are.

    A file is named after its photo. Photos that differ in their suffix only keep it, as in labelme from 7.9 on:
    ``a.jpg.json`` and ``a.png.json``.
    """
    short = [photo.with_suffix(".json") for photo in photos]
    full = [photo.with_name(f"{photo.name}.json") for photo in photos]
    taken = Counter(map(_folded, short + full))
    return [brief if taken[_folded(brief)] == 1 else long for brief, long in zip(short, full)]


def folder_of_all(photos: Iterable[Path]) -> Path:
    """The folder that holds all photos, in sub-folders too: what ``convert`` needs to find them from other folders."""
    return Path(os.path.commonpath([photo.parent.resolve() for photo in photos]))


def _folded(path: PurePosixPath) -> str:
    """Equal for names that are one where a file system takes capital and small letters as equal."""
    return path.as_posix().casefold()


def way_to_photo(photo: Path, folder: Path) -> str:
    """The way from a folder to a photo as the system walks it, with POSIX slashes. A photo that is a link stays one."""
    return Path(os.path.relpath(photo.parent.resolve() / photo.name, folder.resolve())).as_posix()
