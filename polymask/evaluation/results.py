"""What an evaluation measured, as a file and as a table."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
from tabulate import tabulate

from dataset_tools.errors import UserError
from dataset_tools.files import read_file, write_atomically
from dataset_tools.text import LONGEST_CELL, one_line
from polymask.evaluation.coco import COCOS_AP, Metrics
from polymask.evaluation.figures import LIMITS

RESULTS_NAME = "results.json"


def write_results(path: Path, results: dict[str, Metrics]) -> None:
    """Writes ``{dataset: {task: {metric: percent}}}``.

    What COCO does not define, such as the AP of a class that is absent, is null.
    """
    write_atomically(
        path, msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n"
    )  # msgspec writes NaN as null


def read_results(path: Path) -> dict[str, Metrics]:
    """What ``write_results`` has written, NaN again for null.

    Raises:
        UserError: it cannot be read.
    """
    try:
        results = msgspec.json.decode(read_file(path), type=dict[str, dict[str, dict[str, float | None]]])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"not the results of a run: {error}", file=path, remedy="Evaluate the run again") from error
    return {
        dataset: {
            task: {name: math.nan if value is None else value for name, value in metrics.items()}
            for task, metrics in tasks.items()
        }
        for dataset, tasks in results.items()
    }


def results_table(results: dict[str, Metrics]) -> str:
    """A row for each dataset and task, a column for each metric; ``-`` for NaN. Below it, what COCOS_AP is, if it is there."""
    rows = []
    for dataset, tasks in results.items():
        for task, metrics in tasks.items():
            cells = {one_line(name, LONGEST_CELL): percent(value) for name, value in metrics.items()}
            rows.append({"dataset": one_line(dataset), "task": task} | cells)
    table = tabulate(rows, headers="keys", tablefmt="pipe", disable_numparse=True, stralign="right")
    if not any(COCOS_AP in row for row in rows):
        return table
    return (
        f"{table}\nAll detections count. {COCOS_AP} is COCO's own AP, which counts {LIMITS[-1]} of a photo and class."
    )


def percent(value: float) -> str:
    """A metric for people; ``-`` for NaN."""
    return "-" if math.isnan(value) else f"{value:.1f}"
