"""``masks``: photos with everything but the objects black, and pictures whose levels number the instances."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from dataset_tools import parallel
from dataset_tools.dataset.scan import Entry, ReadOptions, Scan, scanned
from dataset_tools.findings import BadData, Finding
from dataset_tools.geometry import rle
from dataset_tools.geometry.rle import rle_of_segmentation
from dataset_tools.output_folder import replaced_folder
from dataset_tools.records import Instance
from dataset_tools.sources.source import Source
from dataset_tools.view.output import check_place
from dataset_tools.view.photos import load_entry_photo
from dataset_tools.view.selection import select_photos

TABLE_NAME = "masks.json"

_LEVELS = 255  # of an 8-bit picture; more instances take 16 bits


@dataclass(frozen=True, slots=True)
class MasksReport:
    """How many photos were written, and what was found."""

    photos: int
    findings: list[Finding]


def masks(
    source: Source, reading: ReadOptions, output: Path, kind: str = "both", split: str | None = None
) -> MasksReport:
    """Write masked photos and index pictures into folders ``black`` and ``index``, and a table of the instances.

    The index is 0 where nothing is annotated, then 1, 2, ... for the instances in order; a later one lies on top.

    Args:
        source: a LabelMe folder or a dataset folder.
        reading: how it is read.
        output: the folder to make. One that holds nothing but earlier masks is replaced.
        kind: ``black`` for objects on black, ``index`` for the numbers of the instances, or ``both``.
        split: ``train``, ``val`` or ``test``; None for all photos.

    Raises:
        UserError: output holds other things, or there is no such split.
        BadData: no photo can be used. Nothing is made or changed then.
    """
    check_place(output, source)
    with replaced_folder(output, "masks") as part, scanned(source, reading) as scan:
        entries, findings = select_photos(scan, split)
        names = _names(entries)
        kinds = ("black", "index") if kind == "both" else (kind,)
        for folder in {(part / each / names[entry.file]).parent for entry in entries for each in kinds}:
            folder.mkdir(parents=True, exist_ok=True)
        task = _Task(scan, kinds, names, part)
        results = list(parallel.in_order(_write_one, task, entries, reading.jobs, "Writing masks", "photo"))
        table = {
            names[entry.file]: {"photo": entry.photo.path, "instances": result}
            for entry, result in zip(entries, results)
            if not isinstance(result, Finding)
        }
        findings += [result for result in results if isinstance(result, Finding)]
        if not table:
            raise BadData("no photo can be read", findings, file=source.root)
        (part / TABLE_NAME).write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return MasksReport(len(table), findings)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a process has to know; names are by annotation file."""

    scan: Scan
    kinds: Sequence[str]
    names: dict[str, str]
    folder: Path


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """The path of each picture: its split, where there is one, and the photo's path; a.jpg and a.png do not meet."""
    names, taken = {}, set()
    for entry in entries:
        parts = PurePosixPath(entry.photo.path).with_suffix("").parts
        stem = "/".join(part for part in parts if part not in ("/", ".."))
        if entry.split and not stem.startswith(f"{entry.split}/"):
            stem = f"{entry.split}/{stem}"
        name, number = f"{stem}.png", 2
        while name.casefold() in taken:
            name, number = f"{stem}_{number}.png", number + 1
        taken.add(name.casefold())
        names[entry.file] = name
    return names


def _write_one(task: _Task, entry: Entry) -> list[dict[str, object]] | Finding:
    """Write the pictures of a photo: its rows of the table, or why it cannot be written."""
    photo = load_entry_photo(task.scan.source, entry) if "black" in task.kinds else None
    if isinstance(photo, Finding):
        return photo
    instances = task.scan.instances(entry)
    index = index_of(instances, entry.size)
    name = task.names[entry.file]
    if photo is not None:
        black = np.asarray(photo) * (index > 0)[..., None]
        Image.fromarray(black).save(task.folder / "black" / name)
    if "index" in task.kinds:
        Image.fromarray(index).save(task.folder / "index" / name)
    return [
        {"index": number, "label": instance.label, "area": instance.area, "bbox": instance.bbox}
        for number, instance in enumerate(instances, start=1)
    ]


def index_of(instances: Sequence[Instance], size: tuple[int, int]) -> np.ndarray:
    """The index picture (height, width) of the instances in a photo of a (width, height); 8 bits, or 16 for many."""
    index = np.zeros(size[::-1], dtype=np.uint8 if len(instances) <= _LEVELS else np.uint16)
    for number, instance in enumerate(instances, start=1):
        code = rle_of_segmentation(instance.segmentation, size)
        left, top, right, bottom = window = rle.bounds(code)
        index[top:bottom, left:right][rle.decode(code, window)] = number
    return index
