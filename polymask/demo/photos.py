"""From what the command line names (photos, folders, patterns) to the photos, and where the results of each go."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePosixPath

from dataset_tools.errors import UserError
from dataset_tools.images.folders import list_folder
from dataset_tools.images.names import is_photo_name


@dataclass(frozen=True, slots=True)
class InputPhoto:
    """A photo to look at.

    Attributes:
        path: of its file.
        place: of its results within the output folder: no two photos have the same.
    """

    path: Path
    place: PurePosixPath


def find_photos(inputs: Sequence[str], output: Path | None) -> list[InputPhoto]:
    """The photos that are named, found in folders (and folders in them) or by patterns such as ``photos/**/*.jpg``.

    In folders links are followed, and hidden files and folders are left out.

    A photo's place is its path within the folder or behind the fixed part of the pattern, its name if it is named
    itself. Where two would have one place, all places are paths from the folder that all photos have in common.

    Args:
        inputs: of the command line.
        output: the folder for the results, whose pictures are left out; or a file, or None.

    Raises:
        UserError: something is not there, or the results would go among the photos.
    """
    found: dict[str, InputPhoto] = {}
    for text in inputs:
        for photo in _found(text, output):
            found.setdefault(os.path.abspath(photo.path), photo)
    photos = list(found.values())
    if len({_folded(photo) for photo in photos}) < len(photos):
        root = os.path.commonpath([os.path.dirname(path) for path in found])
        photos = [replace(photo, place=PurePosixPath(Path(path).relative_to(root))) for path, photo in found.items()]
    same = [name for name, count in Counter(map(_folded, photos)).items() if count > 1]
    if same:
        raise UserError(
            "there are photos whose names differ in capital letters only, and their results might overwrite each other",
            file=next(photo.path for photo in photos if _folded(photo) == same[0]),
            remedy="Rename one of them",
        )
    return photos


def _folded(photo: InputPhoto) -> str:
    """Equal for places that are one where a file system takes capital and small letters as equal."""
    return photo.place.as_posix().casefold()


def _found(text: str, output: Path | None) -> list[InputPhoto]:
    path = Path(text)
    if path.is_dir():
        if output is not None and output.resolve() == path.resolve():
            raise UserError(
                "the results would go among the photos, and be taken for photos the next time",
                file=path,
                remedy="Choose another folder for --output",
            )
        return _photos_among([path / name for name in sorted(list_folder(path).photos)], path, text, output)
    if path.exists():
        return [InputPhoto(path, PurePosixPath(path.name))]
    if glob.has_magic(text):
        fixed = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
        return _photos_among(map(Path, sorted(glob.glob(text, recursive=True))), fixed, text, output)
    raise UserError("there is no such photo or folder", file=text, remedy="Correct --input")


def _photos_among(paths: Iterable[Path], base: Path, text: str, output: Path | None) -> list[InputPhoto]:
    """Those of the paths that are photos; their places are relative to ``base``."""
    photos = [InputPhoto(path, PurePosixPath(path.relative_to(base))) for path in paths if _is_photo(path, output)]
    if not photos:
        raise UserError("there is no photo here", file=text, remedy="Correct --input")
    return photos


def _is_photo(path: Path, output: Path | None) -> bool:
    """By its name; what lies in the output folder is a result, and hidden files are left out."""
    if path.name.startswith(".") or not is_photo_name(path.name) or not path.is_file():
        return False
    return output is None or output.resolve() not in path.resolve().parents
