"""The course of the training as a table: a row for each iteration, in its order."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from detectron2.engine import HookBase

from dataset_tools.errors import UserError
from dataset_tools.files import read_file, write_atomically

HISTORY_NAME = "history.csv"
# (iteration, value), in ascending order of iterations.
Curve = tuple[tuple[int, float], ...]
# Columns for every training, before the components of the loss.
FIRST_COLUMNS = ("iteration", "lr", "total_loss")


class History(HookBase):
    """Appends to ``OUTPUT_DIR/history.csv`` the learning rate, the losses, and where VAL was evaluated, that.

    Values are unsmoothed and as exact as a double; nothing in it depends on the clock. A training that is resumed
    continues the file from its checkpoint: rows of iterations after it are cut off.

    Args:
        folder: the run's OUTPUT_DIR.
        validated: whether VAL is evaluated; its columns start with ``validation/``.
    """

    def __init__(self, folder: Path | str, validated: bool):
        self._path = Path(folder) / HISTORY_NAME
        self._validated = validated
        self._columns: list[str] = []

    def before_train(self) -> None:
        rows: list[dict[str, str]] = []
        self._columns = []
        if self._path.exists() and self.trainer.start_iter > 0:
            self._columns, rows = read_history(self._path)
            rows = [row for index, row in enumerate(rows) if row["iteration"] == str(index)]  # the last may be a half
        self._rewrite(rows[: self.trainer.start_iter])

    def after_step(self) -> None:
        now = self.trainer.iter
        values = {name: value for name, (value, at) in self.trainer.storage.latest().items() if at == now}
        new = [name for name in self._expected_columns() if name not in self._columns]
        if new:  # the first row, or a resumed training with other losses
            self._columns += new
            self._rewrite(read_history(self._path)[1])
        try:
            with self._path.open("a", newline="") as file:
                csv.writer(file).writerow([now if c == "iteration" else _text(values.get(c)) for c in self._columns])
        except OSError as error:  # which does not say of what file
            raise UserError(
                f"this file could not be written ({error.strerror or error})",
                file=self._path,
                remedy="Make room on the disk, and go on with --resume",
            ) from error

    def _expected_columns(self) -> list[str]:
        components = list(self.trainer.losses)
        columns = [*FIRST_COLUMNS, *components]
        if self._validated:
            columns += [f"validation/{name}" for name in ("segm/AP", "bbox/AP", "total_loss", *components)]
        return columns

    def _rewrite(self, rows: list[dict[str, str]]) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, self._columns, restval="")
        if self._columns:
            writer.writeheader()
        writer.writerows(rows)
        write_atomically(self._path, buffer.getvalue().encode())


def read_history(path: Path | str) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the rows of a history; an empty cell is an empty string."""
    reader = csv.DictReader(io.StringIO(read_file(path).decode(), newline=""))
    return list(reader.fieldnames or []), list(reader)


def read_curves(path: Path | str) -> dict[str, Curve]:
    """Every column of a history with its numbers; where there is none, or NaN, the point is left out.

    Raises:
        OSError, ValueError, TypeError, csv.Error: the file is not a history.
    """
    columns, rows = read_history(path)
    if columns and "iteration" not in columns:
        raise ValueError("it has no column 'iteration'")
    curves = {}
    for name in columns:
        points = ((int(row["iteration"]), float(row[name])) for row in rows if row[name])
        if name != "iteration" and (curve := tuple(point for point in points if math.isfinite(point[1]))):
            curves[name] = curve
    return curves


def _text(value: float | None) -> str:
    return "" if value is None else repr(float(value))
