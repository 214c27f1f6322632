"""What lies in a folder of photos and annotation files."""

from __future__ import annotations

import logging
import os
import posixpath
import shutil
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from dataset_tools.errors import UserError
from dataset_tools.files import read_file
from dataset_tools.formats import labelme
from dataset_tools.formats.card import CARD_NAME, SPLITS, is_dataset_folder
from dataset_tools.images.names import is_photo_name, with_slashes
from dataset_tools.text import is_text, visible

log = logging.getLogger(__name__)

NAME_THE_FOLDER = "Name the folder that LabelMe saved its files in"

# What splits are called, in lower case; Roboflow's is "valid", CVAT's "Validation".
SPLIT_NAMES = {split: split for split in SPLITS} | {"valid": "val", "validation": "val"}


def split_of(name: str) -> str | None:
    """The split that a folder or a file is named after."""
    return SPLIT_NAMES.get(name.lower())


def check_folder(folder: Path, remedy: str = NAME_THE_FOLDER) -> None:
    """Refuse what is not a folder, or one whose name cannot be written into JSON.

    Raises:
        UserError: it is not a folder, or its name is not Unicode text.
    """
    if not folder.is_dir():
        raise UserError("there is no such folder", file=folder, remedy=remedy)
    if not is_text(str(folder.resolve())):
        raise UserError("the name of this folder is not Unicode text", file=ascii(str(folder)), remedy="Rename it")


class Listing(NamedTuple):
    """What is under a folder, relative to it with POSIX slashes: annotation files, sorted, photos, and dataset folders."""

    files: list[str]
    photos: set[str]
    datasets: list[str]


def list_folder(root: Path, exclude: Path | None = None, suffix: str = ".json") -> Listing:
    """The annotation files, which have a suffix, and the photos under a folder.

    Links to folders are followed, each folder once; hidden files and folders, where systems keep thumbnails and other
    things of their own, are passed over, and so are ``exclude`` and dataset folders: their photos are copies.
    """
    files: list[str] = []
    photos: set[str] = set()
    datasets: list[str] = []
    seen = {exclude.resolve()} if exclude else set()
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_raise):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        inside = Path(folder).relative_to(root).as_posix()
        if inside != "." and CARD_NAME in names and is_dataset_folder(real):
            datasets.append(inside)
            subfolders.clear()
            continue
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        prefix = "" if inside == "." else f"{inside}/"
        for name in names:
            if name.startswith("."):
                continue
            if name.lower().endswith(suffix):
                files.append(prefix + name)
            elif is_photo_name(name):
                photos.add(prefix + name)
    return Listing(sorted(files), photos, sorted(datasets))


def leads_out(root: str | Path, path: str) -> str | None:
    """Where a file of a folder really lies, if links on its way lead out of the folder; else None.

    Args:
        root: the folder.
        path: of the file, relative to it, with POSIX slashes.
    """
    steps = accumulate(path.split("/"), posixpath.join)
    if not any(os.path.islink(f"{root}/{step}") for step in steps):
        return None
    real = os.path.realpath(f"{root}/{path}")
    return None if real.startswith(os.path.join(os.path.realpath(root), "")) else real


def copy_photo(root: Path, path: str, target: Path) -> None:
    """Copy a photo of a folder, with a warning where a link leads out of the folder; see ``leads_out``."""
    if real := leads_out(root, path):
        log.warning("%s", visible(f"warning: '{path}' is a link to '{real}', which was copied"))
    shutil.copyfile(root / path, target)


def annotated_in(folder: Path) -> set[str]:
    """The photos that annotation files in a folder belong to, by their file names and by ``imagePath``: absolute paths.

    Raises:
        UserError: there is no such folder.
    """
    check_folder(folder)
    files, photos, _ = list_folder(folder)
    stems = {os.path.splitext(file)[0] for file in files}
    annotated = {folder / photo for photo in photos if {photo, os.path.splitext(photo)[0]} & stems}
    for file in files:
        try:
            image_path = labelme.decode(read_file(folder / file, labelme.MAX_BYTES)).image_path
            annotated.add((folder / file).parent / with_slashes(image_path))
        except (OSError, labelme.LabelmeError):  # of another program, or damaged: its name has to do
            continue
    return {os.path.abspath(photo) for photo in annotated}


def _raise(error: OSError) -> None:
    """A folder that cannot be listed is not an empty folder."""
    raise error
