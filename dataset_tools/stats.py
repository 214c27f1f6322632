"""``stats``: how many photos and instances there are, of which classes, where and how large. Facts, no advice."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from dataset_tools import fonts, looking
from dataset_tools.card import SPLITS
from dataset_tools.files import replaced_folder
from dataset_tools.findings import Finding
from dataset_tools.survey import Source, Survey, Wishes

TABLE_NAME = "stats.json"

# The name of the only column where nothing is split.
ALL = "all"

# COCO's own borders between small, medium and large instances: sides of a square in pixels (COCOeval's areaRng).
SMALL, LARGE = 32, 96

# Bars that one can read on one picture.
_MOST_BARS = 50

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
class Counted:
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
    findings: list[Finding]


def count(source: Source, wishes: Wishes) -> Counted:
    """Count a LabelMe folder or a dataset folder; photos with errors are left out.

    Raises:
        BadData: no photo is left.
    """
    with Survey(source, wishes) as survey:
        entries = looking.usable(survey)
        classes = looking.class_names(survey, wishes.shapes.labels.classes)
        splits = [split for split in SPLITS if any(entry.split == split for entry in entries)] or [ALL]
        groups = {split: [entry for entry in entries if split in (ALL, entry.split)] for split in splits}
        tallies = {split: Counter() for split in splits}
        areas, relative, centres = [], [], []
        sides_of: dict[str, list[float]] = {split: [] for split in splits}
        for split, members in groups.items():
            for entry in members:
                width, height = entry.size
                for instance in survey.stored(entry):
                    x, y, box_width, box_height = instance.bbox
                    areas.append(instance.area)
                    relative.append(instance.area / (width * height))
                    centres.append(((x + box_width / 2) / width, (y + box_height / 2) / height))
                    tallies[split][instance.label] += 1
                    sides_of[split].append(instance.area**0.5)
        per_photo = np.array([sum(entry.counts.values()) for entry in entries])
        sizes = Counter(tuple(entry.size) for entry in entries)
        stats = Stats(
            splits={
                split: _split(members, {name: tallies[split][name] for name in classes}, np.array(sides_of[split]))
                for split, members in groups.items()
            },
            photo_sizes=sorted(sizes.items(), key=lambda item: (-item[1], item[0])),
            instances_per_photo=_quantiles(per_photo),
            sides=_quantiles(np.sqrt(areas)),
            relative_sides=_quantiles(np.sqrt(relative)),
        )
        return Counted(stats, per_photo, np.sqrt(areas), np.reshape(centres, (-1, 2)), survey.findings)


def _split(members: Sequence, instances: dict[str, int], sides: np.ndarray) -> SplitStats:
    small, large = int((sides < SMALL).sum()), int((sides >= LARGE).sum())
    negatives = sum(not entry.counts for entry in members)
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
        [f"  {name}", *(str(stats.splits[c].instances[name]) for c in columns)]
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


def check_output(output: Path, source: Source) -> None:
    """Refuse a folder that holds other things than statistics.

    Raises:
        UserError: as said.
    """
    looking.check_output(output, source, TABLE_NAME, (".png",), "statistics")


def write(counted: Counted, output: Path) -> None:
    """Write the numbers as JSON, and plots of them as PNG files, into a folder; ``check_output`` has been called."""
    with replaced_folder(output) as part:
        (part / TABLE_NAME).write_bytes(msgspec.json.format(msgspec.json.encode(counted.stats), indent=2) + b"\n")
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Glyph"
            )  # matplotlib's font lacks some scripts: words that no font here has are numbered
            _plot(counted, part)


def _plot(counted: Counted, folder: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    stats = counted.stats
    totals = Counter()
    for numbers in stats.splits.values():
        totals.update(numbers.instances)
    frequent = {name for name, _ in totals.most_common(_MOST_BARS)}
    classes = [name for name in totals if name in frequent]
    words = fonts.captions(list(totals))

    figure, axes = pyplot.subplots(figsize=(8, 1.5 + 0.35 * len(classes)), layout="constrained")
    left = np.zeros(len(classes))
    for split, numbers in stats.splits.items():
        values = np.array([numbers.instances[name] for name in classes])
        axes.barh(range(len(classes)), values, left=left, label=split)
        left += values
    # The dollar sign would begin a formula.
    axes.set_yticks(range(len(classes)), [words[name].replace("$", r"\$") for name in classes])
    axes.invert_yaxis()
    axes.set(
        xlabel="instances",
        title="Instances of each class" + (f", the {_MOST_BARS} largest" if len(totals) > _MOST_BARS else ""),
    )
    axes.legend()
    figure.savefig(folder / "classes.png", dpi=100)

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    most = int(counted.instances_per_photo.max(initial=0))
    axes.hist(counted.instances_per_photo, bins=np.linspace(-0.5, most + 0.5, min(most + 2, 41)), edgecolor="white")
    axes.set(xlabel="instances in a photo", ylabel="photos", title="Instances in a photo")
    figure.savefig(folder / "instances_per_photo.png", dpi=100)

    if len(counted.sides):
        figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
        axes.hist(counted.sides, bins=np.geomspace(counted.sides.min() * 0.95, counted.sides.max() * 1.05, 40))
        for side in (SMALL, LARGE):
            axes.axvline(side, color="black", linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(xlabel="square root of the area in pixels; dotted: COCO's small and large")
        axes.set(ylabel="instances", title="Size of the instances")
        figure.savefig(folder / "instance_sizes.png", dpi=100)

        figure, axes = pyplot.subplots(figsize=(6, 5), layout="constrained")
        heat = axes.hist2d(*counted.centres.T, bins=24, range=[(0, 1), (0, 1)], cmap="viridis")
        figure.colorbar(heat[3], label="instances")
        axes.invert_yaxis()
        axes.set(xlabel="share of the width", ylabel="share of the height", title="Centres of the instances")
        figure.savefig(folder / "centres.png", dpi=100)

    figure, axes = pyplot.subplots(figsize=(6, 5), layout="constrained")
    sides = np.array([size for size, _ in stats.photo_sizes])
    axes.scatter(*sides.T, s=[20 + 200 * many / stats.photo_sizes[0][1] for _, many in stats.photo_sizes], alpha=0.6)
    axes.set(xlabel="width in pixels", ylabel="height in pixels", title="Size of the photos; larger dots, more photos")
    axes.set(xlim=(0, sides[:, 0].max() * 1.1), ylim=(0, sides[:, 1].max() * 1.1))
    figure.savefig(folder / "photo_sizes.png", dpi=100)
    pyplot.close("all")
