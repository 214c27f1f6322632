"""A table of boxes as makesense.ai exports it, a CSV file, as a source."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Rule
from dataset_tools.formats.csv_table import EXPORT_AGAIN, BadLine, BoxLine, read_box_table
from dataset_tools.formats.labelme import Shape
from dataset_tools.sources.listed_photos import Listed, ListedPhotos
from dataset_tools.sources.source import check_encoding


class CsvBoxes(ListedPhotos):
    """Boxes and photos of a CSV file.

    Args:
        path: the file.
        photos: the folder of the photos; None for that of the file.
        encoding: of the file.
        negatives, exclude: as for ``ListedPhotos``.

    Raises:
        UserError: as ``ListedPhotos``, or there is no such file, or the file is not text or empty.
    """

    def __init__(
        self,
        path: Path,
        photos: Path | None = None,
        encoding: str = "utf-8",
        negatives: bool = False,
        exclude: Path | None = None,
    ):
        check_encoding(encoding)
        lines = list(map(_listed, read_box_table(path, encoding)))
        if not lines:
            raise UserError("there is no box in this file", file=path, remedy=EXPORT_AGAIN, exit_code=EXIT_DATA)
        super().__init__({path: lines}, "image_name", photos or path.parent, negatives, exclude)


def _listed(line: BoxLine | BadLine) -> Listed:
    place = f"line {line.line}"
    if isinstance(line, BadLine):
        return Listed(place, line.photo, rule=Rule.BAD_LINE, message=line.reason)
    return Listed(place, line.photo, Shape(line.label, line.corners, "rectangle"), line.photo_size)
