"""The dataset in the report: how many photos and objects there are, and how large."""

from __future__ import annotations

import logging

from msgspec import Struct

from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.errors import UserError
from dataset_tools.formats.card import SPLITS
from dataset_tools.sources.open import open_source
from dataset_tools.view import stats
from dataset_tools.view.stats import LARGE, SMALL, Stats
from polymask.report.run import RunRecord

log = logging.getLogger(__name__)


class Overview(Struct, frozen=True):
    """The dataset as a table and a list.

    Attributes:
        splits: the heads of the table's columns; empty splits are left out.
        rows: (name, a number for each split).
        facts: (name, words).
    """

    splits: list[str]
    rows: list[tuple[str, list[int]]]
    facts: list[tuple[str, str]]


def overview(run: RunRecord) -> Overview:
    """What ``dataset_tools stats`` counts; where it finds no photos any more, what the card says."""
    try:
        source = open_source(run.dataset_folder)
        # In this process: after a training it has threads, with which others could not be forked safely.
        options = ReadOptions(classes=tuple(run.card.classes), jobs=1)
        return _counted(stats.count(source, options).stats, run.card.classes)
    except UserError as error:
        log.warning("The report tells of the dataset what its card says alone: %s", error)
        return _of_card(run)


def _counted(counted: Stats, classes: list[str]) -> Overview:
    splits = [split for split in SPLITS if split in counted.splits]
    columns = [counted.splits[split] for split in splits]
    rows = [
        ("photos", [c.images for c in columns]),
        ("objects", [sum(c.instances.values()) for c in columns]),
        *((name, [c.instances.get(name, 0) for c in columns]) for name in classes),
        ("photos without an object", [c.negatives for c in columns]),
        (f"small objects (under {SMALL} x {SMALL} px)", [c.small for c in columns]),
        ("medium objects", [c.medium for c in columns]),
        (f"large objects (from {LARGE} x {LARGE} px)", [c.large for c in columns]),
    ]
    sizes = [f"{width} x {height} px ({many})" for (width, height), many in counted.photo_sizes[:3]]
    more = len(counted.photo_sizes) - len(sizes)
    facts = [("Photos", ", ".join(sizes) + (f" and {more} other sizes" if more else ""))]
    for name, values, unit in (
        ("Objects in a photo", counted.instances_per_photo, ""),
        ("Side of an object", counted.sides, " px"),
        ("Side of an object, of its photo's", [100 * value for value in counted.relative_sides], " %"),
    ):
        if values:  # least, quartiles and greatest
            least, quarter, median, three_quarters, most = (f"{value:.0f}" for value in values)
            facts.append(
                (name, f"{least} to {most}{unit}, half of them {quarter} to {three_quarters}; median {median}")
            )
    return Overview(splits, rows, facts)


def _of_card(run: RunRecord) -> Overview:
    splits = [split for split in SPLITS if run.card.splits[split].images]
    summaries = [run.card.splits[split] for split in splits]
    rows = [("photos", [s.images for s in summaries]), ("objects", [s.instances for s in summaries])]
    rows += [(name, [s.instances_per_class.get(name, 0) for s in summaries]) for name in run.card.classes]
    return Overview(splits, rows, [])
