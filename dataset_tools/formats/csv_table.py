"""Tables of boxes, CSV files as makesense.ai exports them: lines to typed records."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_text
from dataset_tools.formats import lenient

# What makesense.ai exports, in this order and without this line; spreadsheets and scripts put it at the top.
COLUMNS = (
    "label_name",
    "bbox_x",
    "bbox_y",
    "bbox_width",
    "bbox_height",
    "image_name",
    "image_width",
    "image_height",
)
_NUMBERS = (*COLUMNS[1:5], *COLUMNS[6:])
EXPORT_AGAIN = f"Export it again; a line is {','.join(COLUMNS)}"


class BoxLine(msgspec.Struct, frozen=True, gc=False):
    """One box.

    Attributes:
        line: its line in the file, from 1.
        label: as it was typed.
        corners: (left, top) and (right, bottom) in pixels.
        photo: the name of its photo.
        photo_size: the (width, height) of the photo as the line has it.
    """

    line: int
    label: str
    corners: tuple[tuple[float, float], tuple[float, float]]
    photo: str
    photo_size: tuple[float, float]


class BadLine(msgspec.Struct, frozen=True, gc=False):
    """A line that describes no box, and why; and the photo's name, if it has one."""

    line: int
    reason: str
    photo: str = ""


def read_box_table(path: Path, encoding: str) -> list[BoxLine | BadLine]:
    """The lines of a table in their order; those that describe no box say why.

    Raises:
        UserError: there is no such file, it is not text in the encoding or not a CSV file, or it is a table with other
            columns, such as one of VIA.
    """
    lines: list[BoxLine | BadLine] = []
    columns: Sequence[str] = COLUMNS
    text = read_text(path, encoding, "Name a CSV file as makesense.ai exports it").replace("\0", "")
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for fields in reader:
            fields = [field.strip() for field in fields]
            if "region_shape_attributes" in fields:
                remedy = "Export the annotations from VIA as JSON"
                raise UserError("this is a table of VIA", file=path, remedy=remedy, exit_code=EXIT_DATA)
            if set(COLUMNS) <= set(fields):
                columns = fields
            elif any(fields):
                if not lines and columns is COLUMNS:
                    _check_first_line(path, fields)
                lines.append(_box_line(reader.line_num, fields, columns))
    except csv.Error as error:
        reason = f"this is not a CSV file: {error}"
        raise UserError(reason, file=path, remedy=EXPORT_AGAIN, exit_code=EXIT_DATA) from error
    return lines


def _check_first_line(path: Path, fields: Sequence[str]) -> None:
    """Refuse a table of another layout: its first line has no number where a box has its numbers."""
    expected = [field for column, field in zip(COLUMNS, fields) if column in _NUMBERS]
    if not any(isinstance(lenient.number(field), float) for field in expected):
        reason = (
            f"the first line is '{','.join(fields)}', neither a box nor the columns that are read: {','.join(COLUMNS)}"
        )
        remedy = "Export the annotations as COCO, and pass that to adopt; or make a table with these columns"
        raise UserError(reason, file=path, remedy=remedy, exit_code=EXIT_DATA)


def _box_line(line: int, fields: Sequence[str], columns: Sequence[str]) -> BoxLine | BadLine:
    """The box of a line, unless it has too few or too many fields, or a value that is not a number."""
    if len(fields) != len(columns):
        return BadLine(line, f"{len(fields)} fields, not {len(columns)}")
    values = dict(zip(columns, fields))
    photo = values["image_name"]
    if not photo:
        return BadLine(line, "no image_name")
    numbers = []
    for column in _NUMBERS:
        number = lenient.number(values[column])
        if not isinstance(number, float) or not math.isfinite(number):
            return BadLine(line, f"{column} is {values[column]!r}, which is not a number", photo)
        numbers.append(number)
    left, top, width, height, *size = numbers
    if min(width, height) < 0:
        return BadLine(line, f"a box of {width:g} x {height:g}", photo)
    corners = (left, top), (left + width, top + height)
    return BoxLine(line, values["label_name"], corners, photo, (size[0], size[1]))
