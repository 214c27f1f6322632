"""Tables of boxes, CSV files as makesense.ai exports them: lines to typed records."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.text import UTF8_BOM

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


class BadLine(ValueError):
    """A line that describes no box, and why; and the photo's name, if it has one."""

    def __init__(self, line: int, reason: str, photo: str = ""):
        super().__init__(reason)
        self.line = line
        self.photo = photo


def is_table(path: Path) -> bool:
    """Whether a path names a CSV file."""
    return path.suffix.lower() == ".csv"


def read_box_table(path: Path, encoding: str) -> Iterator[BoxLine | BadLine]:
    """The lines of a table, one after another; those that describe no box say why.

    Raises:
        UserError: there is no such file, it is not text in the encoding, or, on the way, not a CSV file.
    """
    return _box_lines(path, _text(path, encoding))


def _box_lines(path: Path, text: str) -> Iterator[BoxLine | BadLine]:
    columns: Sequence[str] = COLUMNS
    try:
        for line, fields in _lines(text):
            if set(COLUMNS) <= set(fields):
                columns = fields
                continue
            try:
                yield _box_line(line, fields, columns)
            except BadLine as error:
                yield error
    except csv.Error as error:
        reason = f"this is not a CSV file: {error}"
        raise UserError(reason, file=path, remedy=EXPORT_AGAIN, exit_code=EXIT_DATA) from error


def _text(path: Path, encoding: str) -> str:
    try:
        content = read_file(path)
    except OSError as error:
        remedy = "Name a CSV file as makesense.ai exports it"
        raise UserError(f"the table cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    if content.startswith(UTF8_BOM):  # it says its encoding itself
        content, encoding = content.removeprefix(UTF8_BOM), "utf-8"
    try:
        return content.decode(encoding).replace("\0", "")
    except UnicodeDecodeError as error:
        reason = f"this is not {encoding} text: {error.reason} at byte {error.start}"
        remedy = "Pass --encoding, for example --encoding gbk, or save the file as UTF-8"
        raise UserError(reason, file=path, remedy=remedy, exit_code=EXIT_DATA) from error


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, with their numbers, as fields."""
    reader = csv.reader(io.StringIO(text, newline=""))
    for fields in reader:
        fields = [field.strip() for field in fields]
        if any(fields):
            yield reader.line_num, fields


def _box_line(line: int, fields: Sequence[str], columns: Sequence[str]) -> BoxLine:
    """The box of a line.

    Raises:
        BadLine: it has too few or too many fields, or a number that is none.
    """
    if len(fields) != len(columns):
        raise BadLine(line, f"{len(fields)} fields, not {len(columns)}")
    values = dict(zip(columns, fields))
    if not values["image_name"]:
        raise BadLine(line, "no image_name")
    left, top, width, height = (_number(line, values, column) for column in COLUMNS[1:5])
    if min(width, height) < 0:
        raise BadLine(line, f"a box of {width:g} x {height:g}", values["image_name"])
    corners = (left, top), (left + width, top + height)
    size = _number(line, values, "image_width"), _number(line, values, "image_height")
    return BoxLine(line, values["label_name"], corners, values["image_name"], size)


def _number(line: int, values: dict[str, str], column: str) -> float:
    try:
        number = float(values[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadLine(line, f"{column} is {values[column]!r}, which is not a number", values["image_name"])
    return number
