"""Two or three runs on the same photos, beside each other: figures, differences, curves and configurations."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct

from dataset_tools.errors import UserError
from dataset_tools.formats.coco import read_coco
from polymask.evaluation.intervals import difference_intervals
from polymask.evaluation.records import KINDS, Analysis, Interval
from polymask.report.plots import Line, Plot, plotted, smoothed, thinned
from polymask.report.run import RunRecord, analyse_at_thresholds, in_words, plain

MOST_RUNS = 3
# What a run is called and where it is, which differ always.
_NAMES = ("OUTPUT_DIR",)
_FIGURES = (
    ("Mask AP", "segm", "AP"),
    ("Mask AP50", "segm", "AP50"),
    ("Mask AP75", "segm", "AP75"),
    ("Mask AP, small", "segm", "APs"),
    ("Mask AP, medium", "segm", "APm"),
    ("Mask AP, large", "segm", "APl"),
    ("Box AP", "bbox", "AP"),
    ("Box AP50", "bbox", "AP50"),
    ("Box AP75", "bbox", "AP75"),
)


class Cell(Struct, frozen=True):
    """A run's figure; against the first run, if both are defined, its difference; of some with an interval."""

    value: float | None
    difference: float | None = None
    interval: Interval | None = None


class Row(Struct, frozen=True):
    """A figure of each run."""

    name: str
    cells: list[Cell]


class Table(Struct, frozen=True):
    """Rows under a title."""

    title: str
    rows: list[Row]


class Comparison(Struct, frozen=True):
    """What the page shows.

    Attributes:
        names: of the runs, all different.
        split: on which they are compared.
        photos: of it.
        sentences: the result.
        tables: of figures.
        plots: curves of all runs.
        settings: the keys in which they differ, with a value for each run.
    """

    names: list[str]
    split: str
    photos: int
    sentences: list[str]
    tables: list[Table]
    plots: list[Plot]
    settings: list[tuple[str, list[str]]]


def compare_runs(runs: Sequence[RunRecord]) -> Comparison:
    """Compares two or three runs; the first is what the others are measured against.

    Raises:
        UserError: one or too many runs, or they have not evaluated a split of the same photos and annotations.
    """
    if not 2 <= len(runs) <= MOST_RUNS:
        raise UserError(f"{len(runs)} runs cannot be compared", remedy=f"Name two or {MOST_RUNS} of them")
    split = common_split(runs)
    analyses = [analyse_at_thresholds(run, split)[0] for run in runs]
    detections = [run.detections_of(split) for run in runs]
    intervals = {task: difference_intervals(runs[0].truth_of(split), detections, task) for task in ("segm", "bbox")}
    names = names_of(runs)
    return Comparison(
        names=names,
        split=split,
        photos=analyses[0].photos,
        sentences=[
            verdict(names[0], name, a, analyses[0], i)
            for name, a, i in zip(names[1:], analyses[1:], intervals["segm"], strict=True)
        ],
        tables=_tables(analyses, intervals),
        plots=_plots(runs, names),
        settings=differing_settings(runs),
    )


def common_split(runs: Sequence[RunRecord]) -> str:
    """The split to compare on.

    Raises:
        UserError: they have not evaluated the same split, or its photos or annotations differ.
    """
    first = runs[0]
    shared = [split for split in first.evaluated if all(split in run.evaluated for run in runs)]
    if not shared:
        raise UserError(
            "these runs have evaluated no split in common",
            file=runs[1].folder,
            remedy="Evaluate them on the same one: train_net.py --eval-only",
        )
    split = shared[0]
    content = read_coco(first.truth_of(split))
    for run in runs[1:]:
        if run.truth_of(split) != first.truth_of(split) and read_coco(run.truth_of(split)) != content:
            raise UserError(
                f"its {split} split has other photos or annotations than that of {first.folder}, so figures "
                "do not compare",
                file=run.folder,
                remedy="Compare runs on the same dataset folder, or evaluate one on the other's: "
                "train_net.py --eval-only",
            )
    return split


def names_of(runs: Sequence[RunRecord]) -> list[str]:
    """The names of the runs' folders; where two are called the same, their paths in the folder that holds all of them."""
    names = [run.name for run in runs]
    if len(set(names)) == len(names):
        return names
    folders = [run.folder.resolve() for run in runs]
    common = os.path.commonpath([folder.parent for folder in folders])
    return [folder.relative_to(common).as_posix() for folder in folders]


def verdict(first: str, other: str, analysis: Analysis, before: Analysis, intervals: dict[str, Interval]) -> str:
    """One run against the first, in a sentence."""
    now, then = analysis.segm.AP.value, before.segm.AP.value
    if now is None or then is None:
        return f"{other} cannot be compared with {first}: nothing is annotated."
    difference = round(now - then, 1)
    where = f"{abs(difference):.1f} {'above' if difference > 0 else 'below'}" if difference else "the same as"
    sentence = f"{other} has a mask AP of {now:.1f}, {where} {first}"
    if "AP" not in intervals:
        return sentence + "."
    low, high = intervals["AP"].low, intervals["AP"].high
    if low == high == 0:
        return sentence + ", whichever photos are drawn."
    chance = "which may be chance" if low <= 0 <= high else "more than the choice of photos explains"
    return f"{sentence}; the difference is somewhere between {signed(low)} and {signed(high)} (95 %), {chance}."


def signed(difference: float) -> str:
    """A difference with its sign; one that would round to 0 has none."""
    rounded = round(difference, 1)
    return f"{rounded:+.1f}".replace("-", "\N{MINUS SIGN}") if rounded else "0.0"


def differing_settings(runs: Sequence[RunRecord]) -> list[tuple[str, list[str]]]:
    """The keys of the configuration that are not the same in all runs."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if key not in _NAMES)
    rows = [(key, [plain(run.settings.get(key)) for run in runs]) for key in keys]
    return [(key, [in_words(v) for v in values]) for key, values in rows if any(v != values[0] for v in values)]


def _tables(analyses: Sequence[Analysis], intervals: dict[str, list[dict[str, Interval]]]) -> list[Table]:
    figures = [
        _row(title, [getattr(getattr(a, task), name).value for a in analyses], [i.get(name) for i in intervals[task]])
        for title, task, name in _FIGURES
    ]
    for title, task in (("Mask", "segm"), ("Box", "bbox")):
        of_runs = [getattr(a, task) for a in analyses]
        if any(figure.cocos_AP is not None for figure in of_runs):
            aps = [figure.AP.value if figure.cocos_AP is None else figure.cocos_AP for figure in of_runs]
            figures.append(_row(f"{title} AP with 100 detections of a photo and class, as COCO counts", aps))
    figures.append(_row("Mean IoU of matched masks", [a.mean_iou for a in analyses]))
    classes = zip(*(a.classes for a in analyses), strict=True)
    per_class = [_row(own[0].name, [c.segm.AP.value for c in own]) for own in classes]
    costs = [_row(kind, [a.errors.get(kind, 0.0) for a in analyses]) for kind in KINDS]
    return [
        Table("All classes", figures),
        Table("Mask AP of each class", per_class),
        Table("What each kind of mistake costs, in points of AP50: less is better", costs),
    ]


def _row(name: str, values: Sequence[float | None], intervals: Sequence[Interval | None] | None = None) -> Row:
    first = values[0]
    cells = [Cell(first)]
    for value, interval in zip(values[1:], intervals or [None] * len(values[1:]), strict=True):
        difference = value - first if value is not None and first is not None else None
        cells.append(Cell(value, difference, interval if difference is not None else None))
    return Row(name, cells)


def _plots(runs: Sequence[RunRecord], names: Sequence[str]) -> list[Plot]:
    plots = []
    for title, key, y in (
        ("Loss in training", "total_loss", "loss"),
        ("Loss on VAL", "validation/total_loss", "loss"),
        ("Mask AP on VAL", "validation/segm/AP", "AP"),
        ("Learning rate", "lr", "learning rate"),
    ):
        on_val = key.startswith("validation/")
        lines = [
            Line(name, _points(run, key), i, marked=on_val)
            for i, (run, name) in enumerate(zip(runs, names, strict=True), 1)
            if key in run.curves
        ]
        if lines:
            plots.append(plotted(title, lines, x="iteration", y=y, whole_x=True))
    return plots


def _points(run: RunRecord, key: str) -> Sequence[tuple[float, float]]:
    return smoothed(run.curves[key]) if key == "total_loss" else thinned(run.curves[key])
