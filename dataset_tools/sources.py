"""The doors: which source a path leads to."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.coco_files import CocoFiles
from dataset_tools.csv_boxes import CsvBoxes
from dataset_tools.formats.card import is_dataset_folder
from dataset_tools.formats.csv_table import is_table
from dataset_tools.labelme_folder import LabelmeFolder
from dataset_tools.survey import Source


def open_source(path: Path, photos: Path | None = None, encoding: str = "utf-8") -> Source:
    """What a path holds: a table of boxes (a CSV file), a dataset folder (it has a card), or else a LabelMe folder.

    Args:
        path: the file or folder.
        photos: the folder of the photos; None if they are where a file or folder of this kind has them.
        encoding: of the files; a dataset folder is always UTF-8.

    Raises:
        UserError: there is nothing of the kind, or it cannot be read at all.
    """
    if is_table(path):
        return CsvBoxes(path, photos, encoding)
    if is_dataset_folder(path):
        return CocoFiles.of_dataset(path, photos)
    return LabelmeFolder(path, photos, encoding)
