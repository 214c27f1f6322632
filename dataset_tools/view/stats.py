"""``stats``: how many photos and instances there are, of which classes, where and how large. Facts, no advice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import msgspec
import numpy as np

from dataset_tools.dataset.scan import Entry, ReadOptions, count_labels, scanned
from dataset_tools.findings import Finding
from dataset_tools.formats.card import SPLITS
from dataset_tools.sources.source import Source
from dataset_tools.text import LONGEST_CELL, one_line
from dataset_tools.view.selection import class_names, select_photos

# The name of the only column where nothing is split.
ALL = "all"

# COCO's own borders between small, medium and large instances: sides of a square in pixels (COCOeval's areaRng).
SMALL, LARGE = 32, 96

_QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class SplitStats(msgspec.Struct, frozen=True):
    """One split.

    Attributes:
        images: how many photos.
        negatives: how many of them have nothing in them.
        instances: how many of each class.
        small, medium, large: how many instances, by COCO's areas at the photos' own size.
    """

    images: int
    negatives: int
    instances: dict[str, int]
    small: int
    medium: int
    large: int


class Stats(msgspec.Struct, frozen=True):
    """A dataset in numbers.

    Attributes:
        splits: those that there are; one called ``all`` where nothing is split.
        photo_sizes: (width, height) in pixels as shown and how many photos have it, the commonest first.
        instances_per_photo, sides, relative_sides: least, quartiles and greatest; a side is the square root of an
            instance's area in pixels, relative to that of its photo.
    """

    splits: dict[str, SplitStats]
    photo_sizes: list[tuple[tuple[int, int], int]]
    instances_per_photo: list[float]
    sides: list[float]
    relative_sides: list[float]


@dataclass(frozen=True, slots=True)
class DatasetCounts:
    """The numbers, what they were made of for plots, and what was found.

    Attributes:
        stats: the numbers.
        instances_per_photo: of each photo.
        sides: of each instance, in pixels.
        centres: (N, 2): of each instance's box, as a share of the photo's width and height.
        findings: about the whole folder.
    """

    stats: Stats
    instances_per_photo: np.ndarray
    sides: np.ndarray
    centres: np.ndarray
    findings: Sequence[Finding] = ()


def count(source: Source, reading: ReadOptions, split: str | None = None) -> DatasetCounts:
    """Count a LabelMe folder or a dataset folder, or one split of it; photos with errors are left out.

    Raises:
        BadData: no photo is left.
        UserError: there is no such split.
    """
    with scanned(source, reading) as scan:
        entries, findings = select_photos(scan, split)
        measures = ([(item.area, *item.bbox) for item in scan.instances(entry)] for entry in entries)
        return replace(tally(entries, measures, class_names(scan, reading)), findings=findings)


def tally(
    entries: Sequence[Entry], measures: Iterable[Sequence[tuple[float, ...]]], classes: Sequence[str]
) -> DatasetCounts:
    """Count photos.

    Args:
        entries: the photos: all of them in splits, or none.
        measures: of each photo, for each instance: its area, and its box as x, y, width, height; in pixels.
        classes: in order; every label is one of them.
    """
    per_photo = np.array([sum(entry.counts.values()) for entry in entries], dtype=int)
    flat = chain.from_iterable(chain.from_iterable(measures))
    areas, boxes = np.split(np.fromiter(flat, dtype=float).reshape(-1, 5), [1], axis=1)
    sides = np.sqrt(areas[:, 0])
    sizes = np.repeat(np.array([entry.size for entry in entries]).reshape(-1, 2), per_photo, axis=0)
    split_of = np.repeat(np.array([entry.split or ALL for entry in entries], dtype=str), per_photo)
    splits = {}
    for name in (*SPLITS, ALL):
        if members := [entry for entry in entries if (entry.split or ALL) == name]:
            splits[name] = _split(members, sides[split_of == name], classes)
    stats = Stats(
        splits=splits,
        photo_sizes=sorted(Counter(entry.size for entry in entries).items(), key=lambda item: (-item[1], item[0])),
        instances_per_photo=_quantiles(per_photo),
        sides=_quantiles(sides),
        relative_sides=_quantiles(sides / np.sqrt(sizes.prod(axis=1))),
    )
    return DatasetCounts(stats, per_photo, sides, (boxes[:, :2] + boxes[:, 2:] / 2) / sizes)


def _split(members: Sequence[Entry], sides: np.ndarray, classes: Sequence[str]) -> SplitStats:
    counts = count_labels(members)
    small, large = int((sides < SMALL).sum()), int((sides >= LARGE).sum())
    negatives = sum(not entry.counts for entry in members)
    instances = {name: counts[name] for name in classes}
    return SplitStats(len(members), negatives, instances, small, len(sides) - small - large, large)


def _quantiles(values: Sequence[float] | np.ndarray) -> list[float]:
    return np.quantile(values, _QUANTILES).round(4).tolist() if len(values) else []


def table(stats: Stats) -> str:
    """The numbers for people."""
    columns = list(stats.splits)
    rows = [["", *columns]]
    rows += [[name, *(str(getattr(stats.splits[c], name)) for c in columns)] for name in ("images", "negatives")]
    rows.append(["instances", *(str(sum(stats.splits[c].instances.values())) for c in columns)])
    rows += [
        [f"  {one_line(name, LONGEST_CELL)}", *(str(stats.splits[c].instances[name]) for c in columns)]
        for name in stats.splits[columns[0]].instances
    ]
    for name, text in (
        ("small", f"  small, under {SMALL} x {SMALL} px"),
        ("medium", "  medium"),
        ("large", f"  large, from {LARGE} x {LARGE} px"),
    ):
        rows.append([text, *(str(getattr(stats.splits[c], name)) for c in columns)])
    first = max(len(row[0]) for row in rows)
    lines = [row[0].ljust(first) + "".join(cell.rjust(9) for cell in row[1:]) for row in rows]
    lines += ["", " " * 33 + "".join(word.rjust(9) for word in ("least", "quarter", "median", "3/4", "most"))]
    for name, values, digits in (
        ("instances in a photo", stats.instances_per_photo, 0),
        ("side of an instance, px", stats.sides, 0),
        ("side of an instance, of its photo", stats.relative_sides, 3),
    ):
        lines.append(name.ljust(33) + "".join(f"{value:.{digits}f}".rjust(9) for value in values))
    (width, height), many = stats.photo_sizes[0]
    lines += ["", f"photos: {width} x {height} px ({many})"]
    if others := len(stats.photo_sizes) - 1:
        sizes = sorted((size for size, _ in stats.photo_sizes), key=lambda size: size[0] * size[1])
        (least_width, least_height), (most_width, most_height) = sizes[0], sizes[-1]
        lines[-1] += f", and {others} other size{'s' if others > 1 else ''}: "
        lines[-1] += f"{least_width} x {least_height} to {most_width} x {most_height} px in all"
    return "\n".join(lines)
