"""What a run has left in its folder, as one record of plain values; and the analysis of a split that it evaluated."""

from __future__ import annotations

import csv
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from detectron2.config import CfgNode, get_cfg

from dataset_tools.errors import UserError
from dataset_tools.formats.card import Card, read_card
from polymask.config.keys import add_polymask_config, flat_items
from polymask.config.load import load_config, move_dataset
from polymask.config.resolve import check_folders
from polymask.engine.hooks.checkpoints import FINAL_NAME
from polymask.engine.hooks.history import HISTORY_NAME, Curve, read_curves
from polymask.engine.run_files import CONFIG_NAME, RunFacts, read_facts
from polymask.engine.run_folder import FINAL, FOLDS
from polymask.evaluation.analysis import analyse
from polymask.evaluation.coco import detections_file
from polymask.evaluation.records import Analysis
from polymask.evaluation.results import RESULTS_NAME, read_results

# Splits in the order in which one wants to know of them.
_FIRST_CHOICE = ("test", "val", "train")


class Change(msgspec.Struct, frozen=True):
    """A key of the configuration whose value is not the default (Detectron2's, or ours)."""

    key: str
    value: str
    default: str


class Fold(msgspec.Struct, frozen=True):
    """A fold of a cross-validation: AP of masks and of boxes on what it holds out, and of the masks of each class."""

    name: str
    aps: tuple[float | None, ...]


class RunRecord(msgspec.Struct, frozen=True):
    """A run.

    Attributes:
        folder: its OUTPUT_DIR.
        name: what it is called among others.
        dataset_folder: ``DATASETS.ROOT``.
        card: of the dataset.
        evaluated: the splits with detections, the most telling first.
        curves: the columns of history.csv.
        settings: the configuration, flat.
        changes: where it differs from the defaults.
        config_yaml: all of it, of absolute paths the names alone.
        facts: versions, times and the like; None where nothing was recorded.
        folds: of a cross-validation, in order.
        has_final: whether a cross-validation has trained on all photos, too.
    """

    folder: Path
    name: str
    dataset_folder: Path
    card: Card
    evaluated: tuple[str, ...]
    curves: dict[str, Curve]
    settings: dict[str, Any]
    changes: tuple[Change, ...]
    config_yaml: str
    facts: RunFacts | None
    folds: tuple[Fold, ...] = ()
    has_final: bool = False

    @property
    def train_instances(self) -> dict[str, int]:
        """Annotated instances of each class to learn from."""
        return self.card.splits["train"].instances_per_class

    def detections_of(self, split: str) -> Path:
        """Where the detections of a split are, if it has been evaluated."""
        return detections_file(self.folder, f"{self.card.name}_{split}")

    def truth_of(self, split: str) -> Path:
        """The COCO file of a split."""
        return self.dataset_folder / self.card.splits[split].annotations


def read_run(folder: Path, overrides: Sequence[str] = ()) -> RunRecord:
    """The record of a run.

    Args:
        folder: its OUTPUT_DIR.
        overrides: ``KEY VALUE`` pairs that replace what its ``config.yaml`` says, such as where its dataset is now.

    Raises:
        UserError: not the folder of a run, its dataset is not there, or nothing has been evaluated.
    """
    if not (folder / CONFIG_NAME).is_file():
        raise UserError(
            "not the folder of a run (no config.yaml in it)",
            file=folder,
            remedy="Name the OUTPUT_DIR of a training",
        )
    cfg = load_config(folder / CONFIG_NAME, list(overrides))
    move_dataset(cfg, folder, overrides)
    check_folders(cfg, "--opts ")
    card = read_card(Path(cfg.DATASETS.ROOT))
    evaluated = tuple(s for s in _FIRST_CHOICE if detections_file(folder, f"{card.name}_{s}").is_file())
    if not evaluated:
        raise UserError(
            "no split of the dataset has been evaluated, so there is nothing to report on",
            file=folder / "inference",
            remedy="Let the training come to its end, or evaluate a checkpoint: train_net.py --eval-only",
        )
    history = folder / HISTORY_NAME
    return RunRecord(
        folder=folder,
        name=folder.resolve().name,
        dataset_folder=Path(cfg.DATASETS.ROOT),
        card=card,
        evaluated=evaluated,
        curves=_curves(history) if history.is_file() else {},
        settings=dict(flat_items(cfg)),
        changes=changes_from_defaults(cfg),
        config_yaml=_without_folders(cfg).dump(),
        facts=read_facts(folder),
        folds=_folds(folder, card.classes),
        has_final=(folder / FINAL / f"{FINAL_NAME}.pth").is_file(),
    )


def check_evaluated(run: RunRecord, split: str) -> None:
    """Refuses a split without detections.

    Raises:
        UserError: the split has not been evaluated.
    """
    if split not in run.evaluated:
        raise UserError(
            f"the {split} split has not been evaluated",
            file=run.detections_of(split),
            remedy=f"Evaluate it: train_net.py --eval-only with this OUTPUT_DIR and DATASETS.TEST "
            f"\"('{run.card.name}_{split}',)\"",
        )


def analyse_split(run: RunRecord, split: str, thresholds: dict[str, float] | None = None) -> Analysis:
    """The analysis of a split that has been evaluated; thresholds as of :func:`polymask.evaluation.analysis.analyse`.

    Raises:
        UserError: the split has not been evaluated, or the detections are of other photos.
    """
    check_evaluated(run, split)
    return analyse(
        run.truth_of(split),
        run.detections_of(split),
        dataset=f"{run.card.name}_{split}",
        split=split,
        thresholds=thresholds,
    )


def analyse_at_thresholds(run: RunRecord, split: str) -> tuple[Analysis, Analysis | None]:
    """The analysis of a split with the thresholds found on VAL, and that of VAL; None where it is not to be had.

    Raises:
        UserError: as :func:`analyse_split`.
    """
    if split == "val" or "val" not in run.evaluated:
        return analyse_split(run, split), None
    on_val = analyse_split(run, "val")
    found = {c.name: c.best_threshold for c in on_val.classes if c.best_threshold is not None}
    return analyse_split(run, split, found), on_val


def changes_from_defaults(cfg: CfgNode) -> tuple[Change, ...]:
    """Where a configuration differs from what Detectron2 and ``add_polymask_config`` begin with."""
    defaults = get_cfg()
    add_polymask_config(defaults)
    before = dict(flat_items(defaults))
    return tuple(
        Change(key, in_words(value), in_words(before[key]))
        for key, value in flat_items(cfg)
        if plain(value) != plain(before[key])
    )


def path_in_words(path: str) -> str:
    """A path for people elsewhere, to whom a report may be sent: of an absolute one the name alone."""
    return Path(path).name if Path(path).is_absolute() else path


def command_in_words(line: str) -> str:
    """A command line for people elsewhere, with the names alone of what it gives as absolute paths.

    Args:
        line: as ``shlex.join`` writes it.
    """
    try:
        words = shlex.split(line)
    except ValueError:  # a quote without its other half, in a run.json that somebody has changed
        return "(not a command line)"
    options = (word.rpartition("=") for word in words)
    return shlex.join(f"{option}{sign}{path_in_words(value)}" for option, sign, value in options)


def _without_folders(cfg: CfgNode) -> CfgNode:
    shown = cfg.clone()
    for key, value in shown.items():
        if isinstance(value, CfgNode):
            shown[key] = _without_folders(value)
        elif isinstance(value, str):
            shown[key] = path_in_words(value)
    return shown


def in_words(value: object) -> str:
    """A value of the configuration for people; an empty one is "(empty)", and of an absolute path the name is left."""
    if isinstance(value, (list, tuple)):
        parts = (f"({in_words(item)})" if isinstance(item, (list, tuple)) else in_words(item) for item in value)
        return ", ".join(parts) or "(empty)"
    if isinstance(value, float):
        return f"{value:g}"
    return "(empty)" if value is None or value == "" else path_in_words(str(value))


def plain(value: object) -> object:
    """A value of the configuration with lists in the place of tuples, which YAML does not know."""
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _folds(folder: Path, classes: Sequence[str]) -> tuple[Fold, ...]:
    files = sorted(folder.glob(f"{FOLDS}/{RESULTS_NAME}"), key=lambda file: (len(file.parent.name), file.parent.name))
    keys = [("segm", "AP"), ("bbox", "AP"), *(("segm", f"AP-{name}") for name in classes)]
    return tuple(
        Fold(file.parent.name, tuple(_defined(metrics.get(task, {}).get(key)) for task, key in keys))
        for file in files
        for metrics in read_results(file).values()
    )


def _defined(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _curves(history: Path) -> dict[str, Curve]:
    try:
        return read_curves(history)
    except (OSError, ValueError, TypeError, csv.Error) as error:  # ValueError: not a number, or not text
        raise UserError(
            f"not the history of a training: {error}",
            file=history,
            remedy="Restore it, or delete it: then the report has no curves",
        ) from error
