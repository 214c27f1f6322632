"""Which photos there are to choose from, and which are annotated already."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detectron2.config import CfgNode

from dataset_tools.errors import UserError
from dataset_tools.formats import labelme
from dataset_tools.formats.card import SPLITS, read_card
from dataset_tools.formats.coco import read_split
from dataset_tools.images.folders import check_folder, list_folder
from dataset_tools.images.names import with_slashes

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pool:
    """The photos of a folder.

    Attributes:
        root: the folder.
        photos: those to choose from, relative to it with POSIX slashes, in ascending order.
        with_file: how many are passed over, since they have an annotation file.
        copies: how many are passed over, since a photo with the same bytes is annotated.
        known: annotated photos, of this folder and of others, each once, in ascending order.
    """

    root: Path
    photos: list[str]
    with_file: int
    copies: int
    known: list[Path]


def make_pool(root: Path, annotated: Iterable[Path]) -> Pool:
    """The photos of a folder, and of its sub-folders, that are not annotated.

    Args:
        root: the folder.
        annotated: photos that are annotated, wherever they are.

    Raises:
        UserError: there is no such folder, there is no photo in it, or all of them are annotated.
    """
    check_folder(root, "Name the folder of the photos without annotations")
    names = sorted(list_folder(root).photos)
    if not names:
        raise UserError("there is no photo in this folder", file=root, remedy="Name the folder of the photos")
    inside = annotated_in(root)
    known = {path.resolve(): path for path in sorted({*annotated, *inside}, reverse=True)}
    without_file = [name for name in names if (root / name).resolve() not in known]
    copies = _copies([root / name for name in without_file], list(known.values()))
    photos = [name for name in without_file if root / name not in copies]
    if not photos:
        raise UserError(
            "all photos in this folder are annotated already", file=root, remedy="Add photos that are not, or be done"
        )
    return Pool(root, photos, len(names) - len(without_file), len(copies), sorted(known.values()))


def annotated_in(folder: Path) -> set[Path]:
    """The photos that annotation files in a folder belong to: those named alike, and those that the files lead to.

    Raises:
        UserError: there is no such folder.
    """
    check_folder(folder)
    files, photos, _ = list_folder(folder)
    stems = {file.removesuffix(Path(file).suffix) for file in files}
    named = {folder / photo for photo in photos if photo in stems or photo.removesuffix(Path(photo).suffix) in stems}
    return named | {photo for file in files if (photo := _led_to(folder / file))}


def _led_to(file: Path) -> Path | None:
    """The photo that an annotation file says it belongs to, if there is one."""
    try:
        named = with_slashes(labelme.decode(file.read_bytes()).image_path)
        photo = file.parent / named
        return photo if named and photo.is_file() else None
    except (OSError, labelme.LabelmeError):  # of another program, or damaged: what it belongs to its name says
        return None


def photos_of_run(cfg: CfgNode) -> list[Path]:
    """The photos of the dataset that a run was trained and tested on; none, with a warning, if it is not here."""
    folder = Path(cfg.DATASETS.ROOT)
    try:
        card = read_card(folder)
        root = folder / card.image_root
        names = [image.file_name for name in SPLITS for image in read_split(folder, card, name).images]
    except UserError as error:
        log.warning("The dataset of this run cannot be read, so that its photos may be suggested again: %s", error)
        return []
    photos = [Path(os.path.normpath(root / name)) for name in names]
    here = [photo for photo in photos if photo.is_file()]
    if len(here) < len(photos):
        log.warning("%d photos of the dataset of this run are not in %s any more", len(photos) - len(here), root)
    return here


def _copies(photos: Sequence[Path], known: Sequence[Path]) -> set[Path]:
    """The photos that have the same bytes as a known one. Only those of the same length are read."""
    lengths = {_length(path) for path in known} - {None}
    suspects = [path for path in photos if _length(path) in lengths]
    lengths = {_length(path) for path in suspects}
    contents = {_digest(path) for path in known if _length(path) in lengths}
    return {path for path in suspects if _digest(path) in contents}


def _length(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # a link to nowhere, say; whoever reads the photo reports it
        return None


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
