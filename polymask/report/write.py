"""Writes the report on a run, and the comparison of runs; the report also at the end of ``train_net.py``."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from detectron2.config import CfgNode
from detectron2.utils import comm

from dataset_tools.errors import UserError
from dataset_tools.files import write_atomically
from polymask.report.gallery import draw_gallery
from polymask.report.page import comparison_page, report_page
from polymask.report.run import analyse_at_thresholds, read_run
from polymask.report.runs_compared import compare_runs

log = logging.getLogger(__name__)

REPORT_NAME = "report.html"
COMPARISON_NAME = "comparison.html"


def write_report(folder: Path, split: str | None = None, overrides: Sequence[str] = ()) -> Path:
    """Writes ``report.html`` into a run's folder and returns its path.

    Args:
        folder: the OUTPUT_DIR.
        split: that it is about; None for the test split, or the next best that was evaluated.
        overrides: see ``read_run``.

    Raises:
        UserError: not the folder of a run, nothing was evaluated, or the dataset is not there any more.
    """
    run = read_run(folder, overrides)
    analysis, on_val = analyse_at_thresholds(run, split or run.evaluated[0])
    page = report_page(run, analysis, on_val, draw_gallery(run, analysis))
    target = folder / REPORT_NAME
    write_atomically(target, page.encode(errors="replace"))
    return target


def write_comparison(folders: list[Path], target: Path | None = None, overrides: Sequence[str] = ()) -> Path:
    """Writes the comparison of two or three runs and returns its path.

    Args:
        folders: their OUTPUT_DIRs; the first is what the others are measured against.
        target: the file; None for ``comparison.html`` in the first of them.
        overrides: see ``read_run``, of all of them.

    Raises:
        UserError: one of the folders is not that of an evaluated run, or the runs are not about the same photos.
    """
    runs = [read_run(folder, overrides) for folder in folders]
    page = comparison_page(runs, compare_runs(runs))
    target = target or folders[0] / COMPARISON_NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, page.encode(errors="replace"))
    return target


def report_on(cfg: CfgNode) -> None:
    """Writes the report after a training or an evaluation; the main process does.

    An error is a line in the log, and does not end the run.
    """
    if not comm.is_main_process():
        return
    if not (cfg.DATASETS.VAL or cfg.DATASETS.TEST):
        log.info("Nothing was evaluated, so there is nothing to report on.")
        return
    try:
        log.info(
            "The report is %s.", write_report(Path(cfg.OUTPUT_DIR), overrides=["DATASETS.ROOT", cfg.DATASETS.ROOT])
        )
    except (UserError, OSError) as error:
        log.warning("The report was not written: %s", error)
