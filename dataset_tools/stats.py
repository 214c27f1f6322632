"""Facts about annotations: how many, how large, where. No advice, and no photo is decoded.

``measure`` takes the numbers in one pass, ``summarise`` makes the facts of them, ``plots`` the pictures.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataset_tools import looking
from dataset_tools.card import SPLITS
from dataset_tools.files import replaced_folder
from dataset_tools.findings import Finding
from dataset_tools.survey import Source, Survey, Wishes

FACTS_NAME = "stats.json"

# The sides in pixels of the squares at which COCO's evaluation parts small, medium and large (COCOeval.areaRng).
COCO_SIDES = (32, 96)

_SIZES_SHOWN = 5


class Measured(Protocol):
    """What is read of an instance: label, area in pixels, box as x, y, width, height in pixels."""

    label: str
    area: float
    bbox: tuple[float, float, float, float]


class Annotated(NamedTuple):
    """A photo: (width, height) in pixels; ``train``, ``val``, ``test`` or None; its instances."""

    size: tuple[int, int]
    split: str | None
    instances: Sequence[Measured]


@dataclass(frozen=True, slots=True)
class Measures:
    """The numbers of all photos and of all instances: some 50 bytes for each.

    Attributes:
        classes: names, in order.
        split_of: of each photo, its place in SPLITS; -1 for none.
        sizes: (N, 2): width and height of each photo in pixels.
        counts: instances of each photo.
        photo_of, class_of: of each instance, the places of its photo and of its class.
        areas: of each instance in pixels.
        centres: (N, 2): the x and y of each box's centre, as shares of the photo's width and height.
    """

    classes: tuple[str, ...]
    split_of: NDArray[np.int8]
    sizes: NDArray[np.int64]
    counts: NDArray[np.int64]
    photo_of: NDArray[np.int64]
    class_of: NDArray[np.int64]
    areas: NDArray[np.float64]
    centres: NDArray[np.float64]


class Spread(msgspec.Struct, frozen=True):
    """How some numbers are spread: the least, the three quartiles (linearly interpolated), and the most."""

    least: float
    quarter: float
    median: float
    three_quarters: float
    most: float


class Part(msgspec.Struct, frozen=True):
    """How much there is in a split or in all: photos, photos with nothing in them, instances; and by class."""

    images: int
    negatives: int
    instances: int
    instances_per_class: dict[str, int]
    images_per_class: dict[str, int]


class PhotoSize(msgspec.Struct, frozen=True):
    """A size of photos in pixels, and how many photos have it."""

    width: int
    height: int
    images: int


class Stats(msgspec.Struct, frozen=True):
    """The facts.

    Attributes:
        all: of everything together.
        splits: of each split, in order; empty where nothing is split.
        photo_sizes: all that there are, the commonest first.
        coco_sizes: how many instances are ``small`` (less than 32 x 32 px of area), ``medium``, and ``large`` (96 x 96
            px and more), at the photos' own sizes.
        instances_per_image: photos with nothing in them included.
        area: of instances in pixels; None where there are none.
        relative_size: the square root of an instance's area by that of its photo: 0.1 is a tenth of a side.
        size_per_class: the square root of the area in pixels, of each class that has instances.
    """

    all: Part
    splits: dict[str, Part]
    photo_sizes: list[PhotoSize]
    coco_sizes: dict[str, int]
    instances_per_image: Spread
    area: Spread | None
    relative_size: Spread | None
    size_per_class: dict[str, Spread]


@dataclass(frozen=True, slots=True)
class Counted:
    """The facts, and what was found on the way."""

    stats: Stats
    findings: list[Finding]


def stats(source: Source, wishes: Wishes, split: str | None = None, output: Path | None = None) -> Counted:
    """The facts about the photos without errors, and plots if there is a folder for them.

    Args:
        source: what is counted.
        wishes: how it is read.
        split: ``train``, ``val`` or ``test``; None for everything.
        output: the folder to make, with the facts as JSON and a PNG file for each plot; None for none.

    Raises:
        UserError: there is no such split, or other things are where the plots are to go.
        BadData: no photo is left.
    """
    if output is not None:
        looking.check_output(output, source, FACTS_NAME, (".png",), "statistics")
    with Survey(source, wishes) as survey:
        entries = looking.of_split(looking.usable(survey), split, source.root)
        photos = (Annotated(entry.size, entry.split, survey.stored(entry)) for entry in entries)
        measures = measure(photos, looking.class_names(survey, wishes.shapes.labels.classes))
        facts = summarise(measures)
        if output is not None:
            from dataset_tools import plots

            with replaced_folder(output) as part:
                plots.save(measures, part)
                (part / FACTS_NAME).write_bytes(as_json(facts))
        return Counted(facts, survey.findings)


def measure(photos: Iterable[Annotated], classes: Sequence[str]) -> Measures:
    """The numbers of photos, which are taken one by one. ``classes`` holds every label."""
    places = {name: index for index, name in enumerate(classes)}
    splits, sizes, counts = array("b"), array("q"), array("q")
    photo_of, class_of, areas, centres = array("q"), array("q"), array("d"), array("d")
    for number, photo in enumerate(photos):
        splits.append(SPLITS.index(photo.split) if photo.split else -1)
        sizes.extend(photo.size)
        counts.append(len(photo.instances))
        for instance in photo.instances:
            x, y, width, height = instance.bbox
            photo_of.append(number)
            class_of.append(places[instance.label])
            areas.append(instance.area)
            centres.extend(((x + width / 2) / photo.size[0], (y + height / 2) / photo.size[1]))
    return Measures(
        tuple(classes),
        np.array(splits, dtype=np.int8),
        np.array(sizes, dtype=np.int64).reshape(-1, 2),
        np.array(counts, dtype=np.int64),
        np.array(photo_of, dtype=np.int64),
        np.array(class_of, dtype=np.int64),
        np.array(areas, dtype=np.float64),
        np.array(centres, dtype=np.float64).reshape(-1, 2),
    )


def summarise(measures: Measures) -> Stats:
    """The facts that the numbers of at least one photo say."""
    is_split = bool(np.any(measures.split_of >= 0))
    splits = {name: _part(measures, measures.split_of == index) for index, name in enumerate(SPLITS) if is_split}
    sides = np.sqrt(measures.areas)
    small, large = (side * side for side in COCO_SIDES)
    return Stats(
        all=_part(measures, np.ones(len(measures.counts), dtype=bool)),
        splits=splits,
        photo_sizes=_photo_sizes(measures.sizes),
        coco_sizes={
            "small": int(np.count_nonzero(measures.areas < small)),
            "medium": int(np.count_nonzero((measures.areas >= small) & (measures.areas < large))),
            "large": int(np.count_nonzero(measures.areas >= large)),
        },
        instances_per_image=_spread(measures.counts),
        area=_spread(measures.areas),
        relative_size=_spread(sides / np.sqrt(measures.sizes.prod(axis=1)[measures.photo_of])),
        size_per_class={
            name: _spread(sides[measures.class_of == index])
            for index, name in enumerate(measures.classes)
            if np.any(measures.class_of == index)
        },
    )


def _part(measures: Measures, chosen: NDArray[np.bool_]) -> Part:
    """How much there is on the chosen photos."""
    counts = measures.counts[chosen]
    on_chosen = chosen[measures.photo_of]
    class_of, photo_of = measures.class_of[on_chosen], measures.photo_of[on_chosen]
    # A photo and a class as one number, each once: on how many photos a class is.
    on_photos = np.unique(photo_of * len(measures.classes) + class_of) % max(1, len(measures.classes))
    return Part(
        len(counts),
        int(np.count_nonzero(counts == 0)),
        int(counts.sum()),
        _by_class(measures.classes, class_of),
        _by_class(measures.classes, on_photos),
    )


def _by_class(classes: Sequence[str], class_of: NDArray[np.int64]) -> dict[str, int]:
    return dict(zip(classes, np.bincount(class_of, minlength=len(classes)).tolist()))


def _photo_sizes(sizes: NDArray[np.int64]) -> list[PhotoSize]:
    counted = Counter(map(tuple, sizes.tolist()))
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return [PhotoSize(width, height, count) for (width, height), count in ranked]


def _spread(values: NDArray) -> Spread | None:
    return Spread(*np.quantile(values, (0, 0.25, 0.5, 0.75, 1)).tolist()) if len(values) else None


def as_json(facts: Stats) -> bytes:
    """The facts as readable JSON, the same bytes for the same facts."""
    return msgspec.json.format(msgspec.json.encode(facts), indent=2) + b"\n"


def as_text(facts: Stats) -> str:
    """The facts as tables."""
    return "\n".join([*_count_table(facts), "", *_spread_table(facts), "", *_sizes_of_photos(facts)])


def _count_table(facts: Stats) -> list[str]:
    parts = [*facts.splits.values(), facts.all]
    rows = [
        ["", *facts.splits, "all"],
        ["images", *(part.images for part in parts)],
        ["  without instances", *(part.negatives for part in parts)],
        ["instances", *(part.instances for part in parts)],
    ]
    rows += [[f"  {name}", *(part.instances_per_class[name] for part in parts)] for name in facts.all.images_per_class]
    rows += [["images with"]]
    rows += [[f"  {name}", *(part.images_per_class[name] for part in parts)] for name in facts.all.images_per_class]
    return _table(rows)


def _spread_table(facts: Stats) -> list[str]:
    rows = [["", "least", "25 %", "median", "75 %", "most"]]
    rows += _row("instances an image", facts.instances_per_image)
    rows += _row("area of instances, px", facts.area)
    rows += _row("its root by that of the image's, %", facts.relative_size, 100)
    rows += [["its root, px"]] if facts.size_per_class else []
    for name, spread in facts.size_per_class.items():
        rows += _row(f"  {name}", spread)
    return _table(rows)


def _row(title: str, spread: Spread | None, factor: int = 1) -> list[list[str]]:
    return [[title, *(f"{value * factor:.5g}" for value in msgspec.structs.astuple(spread))]] if spread else []


def _sizes_of_photos(facts: Stats) -> Iterator[str]:
    small, large = COCO_SIDES
    counts = facts.coco_sizes
    if facts.area:
        yield (
            f"COCO's sizes: {counts['small']} small (area under {small} x {small} px), {counts['medium']} medium, "
            f"{counts['large']} large (from {large} x {large} px)"
        )
    shown = [f"{size.width} x {size.height} ({size.images})" for size in facts.photo_sizes[:_SIZES_SHOWN]]
    further = len(facts.photo_sizes) - len(shown)
    yield "image sizes: " + ", ".join(shown) + (f", and {further} more" if further else "")
    if further:
        by_pixels = sorted(facts.photo_sizes, key=lambda size: (size.width * size.height, size.width))
        least, most = (f"{size.width} x {size.height}" for size in (by_pixels[0], by_pixels[-1]))
        yield f"             from {least} to {most}"


def _table(rows: Sequence[Sequence[object]]) -> list[str]:
    first = max(len(row[0]) for row in rows)
    return [row[0].ljust(first) + "".join(str(cell).rjust(10) for cell in row[1:]) for row in rows]
