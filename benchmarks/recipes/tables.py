"""Measurements as tables: the mean of each dataset's folds, and differences paired by fold."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from scipy.stats import ttest_1samp
from tabulate import tabulate

from benchmarks.recipes.measured import Measurement

# The measurements of a contender by dataset and fold.
Folds = Mapping[tuple[str, int], Measurement]


def compare(ours: Folds, peer: Folds) -> str:
    """A row for each dataset, and for all: mask and box AP, processor seconds, and our difference with its interval.

    Only folds that both have count. The last row is without fold 0, on which recipes were chosen.
    """
    pairs = sorted(ours.keys() & peer.keys())
    datasets = sorted({dataset for dataset, _ in pairs})
    groups = {name: [pair for pair in pairs if pair[0] == name] for name in datasets}
    groups["all"] = pairs
    groups["all but fold 0"] = [pair for pair in pairs if pair[1]]
    groups = {name: group for name, group in groups.items() if group}
    rows = []
    for name, group in groups.items():
        mine, its = [ours[pair] for pair in group], [peer[pair] for pair in group]
        differences = [a.mask_ap - b.mask_ap for a, b in zip(mine, its, strict=True)]
        rows.append([name, len(group), *_cells(mine), *_cells(its), _mean_with_interval(differences)])
    columns = ["mask AP", "box AP", "seconds"]
    headers = ["dataset", "folds", *columns, *(f"peer: {column}" for column in columns), "mask AP minus peer's"]
    return tabulate(rows, headers, tablefmt="pipe", floatfmt=".1f")


def list_contenders(measured: Mapping[str, Folds]) -> str:
    """A row for each contender: mask AP on each dataset, the mean of these, and processor seconds a training."""
    datasets = sorted({dataset for folds in measured.values() for dataset, _ in folds})
    rows = []
    for name, folds in measured.items():
        aps = [[m.mask_ap for (dataset, _), m in folds.items() if dataset == wanted] for wanted in datasets]
        means = [statistics.fmean(values) if values else None for values in aps]
        mean = statistics.fmean(means) if means and None not in means else None
        seconds = round(statistics.fmean(m.processor_seconds for m in folds.values())) if folds else None
        rows.append([name, *means, mean, seconds])
    return tabulate(rows, ["mask AP", *datasets, "mean", "seconds"], tablefmt="pipe", floatfmt=".1f", missingval="-")


def _cells(measurements: Sequence[Measurement]) -> list[float]:
    columns = [(m.mask_ap, m.box_ap, m.processor_seconds) for m in measurements]
    mask, box, seconds = (statistics.fmean(column) for column in zip(*columns, strict=True))
    return [mask, box, round(seconds)]


def _mean_with_interval(differences: Sequence[float]) -> str:
    """With the 95 % interval of Student's t."""
    mean = f"{statistics.fmean(differences):+.1f}"
    if len(differences) < 2:
        return mean
    low, high = ttest_1samp(differences, 0).confidence_interval(0.95)
    return f"{mean} [{low:+.1f}, {high:+.1f}]"
