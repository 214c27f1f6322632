"""A table as a CSV file that a spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset_tools.files import write_atomically


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes a UTF-8 file in one step; text in it is not a formula that a spreadsheet computes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *([_no_formula(cell) for cell in row] for row in rows)])
    write_atomically(path, text.getvalue().encode())


def _no_formula(cell: object) -> object:
    """A leading apostrophe makes a cell text (OWASP, CSV injection)."""
    formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if formula else cell
