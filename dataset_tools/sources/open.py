"""The one place that chooses a source: which one a path leads to."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.formats.card import is_dataset_folder
from dataset_tools.formats.csv_table import is_table
from dataset_tools.formats.kinds import UNKNOWN, kind_of_file, wrong_kind
from dataset_tools.sources.coco_files import CocoFiles
from dataset_tools.sources.csv_boxes import CsvBoxes
from dataset_tools.sources.labelme_folder import LabelmeFolder
from dataset_tools.sources.source import Source


def open_source(path: Path, photos: Path | None = None, encoding: str = "utf-8") -> Source:
    """What a path holds: a dataset folder (it has a card), or else what ``open_annotations`` opens.

    Args:
        path: the file or folder.
        photos: the folder of the photos; None if they are where a file or folder of this kind has them.
        encoding: of the files; a dataset folder is always UTF-8.

    Raises:
        UserError: there is nothing of the kind, or it cannot be read at all.
    """
    if not is_table(path) and is_dataset_folder(path):
        return CocoFiles.of_dataset(path, photos)
    return open_annotations(path, photos, encoding)


def open_annotations(
    path: Path,
    photos: Path | None = None,
    encoding: str = "utf-8",
    negatives: bool = False,
    exclude: Path | None = None,
) -> Source:
    """What people have drawn: a table of boxes (a CSV file), or else a LabelMe folder.

    Args:
        path, photos, encoding: as for ``open_source``.
        negatives: photos that no file or line names are photos with nothing in them.
        exclude: a folder that is passed over.

    Raises:
        UserError: there is nothing of the kind, or it cannot be read at all.
    """
    if is_table(path):
        return CsvBoxes(path, photos, encoding, negatives, exclude)
    if path.is_file():
        raise wrong_kind(path, kind_of_file(path) or UNKNOWN, "this is not a LabelMe folder")
    return LabelmeFolder(path, photos, encoding, negatives, exclude)
