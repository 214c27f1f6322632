"""From an existing COCO dataset to a dataset folder: everything checked, ids, boxes and areas made again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dataset_tools.dataset.make import ConversionResult, make_dataset
from dataset_tools.dataset.options import DatasetOptions, check_options
from dataset_tools.errors import UserError
from dataset_tools.formats.card import SPLITS, is_dataset_folder, read_card
from dataset_tools.sources.coco_files import CocoFiles, Files
from dataset_tools.sources.coco_layout import find_coco_files


@dataclass(frozen=True, kw_only=True)
class AdoptOptions(DatasetOptions):
    """What the user asked for of COCO files.

    Attributes:
        file: a COCO file for all photos, or a folder with COCO files in it.
        train, val, test: COCO files of each split, in its place.
        images_root: the folder of the photos; None for ``file`` if it is a folder, else for the folder of the first
            file.
        crowds: ``objects`` takes each region with a crowd (iscrowd 1) for one object; ``left-out`` does not take it.
    """

    command: ClassVar[str] = "adopt"

    file: Path | None = None
    train: Path | None = None
    val: Path | None = None
    test: Path | None = None
    images_root: Path | None = None
    crowds: str = "left-out"


def adopt(options: AdoptOptions) -> ConversionResult:
    """Turn an existing COCO dataset into a dataset folder.

    Raises:
        UserError: the options are wrong, or a file is not a COCO file.
        BadData: photos have errors and are not to be skipped, or nothing is left. No folder is made or changed then.
    """
    files = _files(options)
    if None not in files and (options.fractions is not None or options.group is not None):
        flag = "--split" if options.fractions is not None else "--group"
        raise UserError("there is a file for each split already", remedy=f"Leave {flag} out, or name one file")
    photos = options.images_root or _photo_root(options.file, files)
    check_options(options, [photos, *files.values()])
    are_objects = options.crowds == "objects"
    return make_dataset(CocoFiles(files, photos, exclude=options.output, crowds_are_objects=are_objects), options)


def _files(options: AdoptOptions) -> Files:
    by_split: Files = {split: path for split in SPLITS if (path := getattr(options, split))}
    if (options.file is None) == (not by_split):
        raise UserError("name either FILE, or the files of the splits", remedy="Pass FILE, or --train FILE, --val FILE")
    if options.file is not None:
        return find_coco_files(options.file) if options.file.is_dir() else {None: options.file}
    if "train" not in by_split:
        raise UserError("there is no file to train on", remedy="Pass --train FILE")
    return by_split


def _photo_root(folder: Path | None, files: Files) -> Path:
    """The folder of the photos of some files: as the card of a dataset folder says, or where the first file is."""
    if folder is None or not folder.is_dir():
        return next(iter(files.values())).parent
    return folder / read_card(folder).image_root if is_dataset_folder(folder) else folder
