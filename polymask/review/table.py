"""A ranking as a CSV file that a spreadsheet opens."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A new UTF-8 file; text in it is no formula that a spreadsheet computes."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([columns, *([_no_formula(cell) for cell in row] for row in rows)])


def _no_formula(cell: object) -> object:
    """A leading apostrophe makes a cell text (OWASP, CSV injection)."""
    formula = isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{cell}" if formula else cell
