"""Writing a dataset folder: the COCO file of each split, the photos that go with it, and the card."""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dataset_tools import parallel
from dataset_tools.dataset.options import DatasetOptions, relative_path
from dataset_tools.dataset.scan import Entry, Scan, Splits, count_labels
from dataset_tools.findings import Finding
from dataset_tools.formats.card import CARD_NAME, SPLITS, Card, SplitSummary, encode_card
from dataset_tools.formats.coco import Annotation, Image, categories_of, write_coco
from dataset_tools.images.header import ImageError
from dataset_tools.images.pixels import encode_upright
from dataset_tools.sources.source import Source

# Where photos go that have to be in the dataset folder.
IMAGES = "images"


def write_dataset(
    scan: Scan, splits: Splits, classes: Sequence[str], folder: Path, options: DatasetOptions
) -> tuple[Card, list[Finding]]:
    """Write what is in a dataset folder.

    Args:
        scan: what was read.
        splits: the entries of each split, in order.
        classes: in order.
        folder: where to write; it is empty, and will be ``options.output`` in the end.
        options: what the user asked for.

    Returns:
        The card, and a finding for each photo that is left out because it is broken.
    """
    entries = [entry for split in SPLITS for entry in splits[split]]
    placed = _placed(entries, options.images)
    root = scan.source.photo_root
    in_place = len(placed) < len(entries)  # a photo stays where it is, and so the image root is there
    inside = f"{relative_path(options.output, root)}/" if in_place else ""
    names = {entry.file: inside + placed[entry.file] if entry.file in placed else entry.photo.path for entry in entries}
    copies = [(entry, folder / placed[entry.file]) for entry in entries if entry.file in placed]
    failures = _write_photos(copies, scan.source, options)
    bad = {finding.file for finding in failures}
    summaries = {}
    for split in SPLITS:
        kept = [entry for entry in splits[split] if entry.file not in bad]
        summaries[split] = _write_split(folder / f"{split}.json", scan, classes, kept, names)
    needs_rle = any(entry.needs_rle for entry in entries if entry.file not in bad)
    card = Card(
        name=options.usable_name(),
        classes=list(classes),
        image_root=relative_path(root, options.output) if in_place else ".",
        mask_format="bitmask" if needs_rle else "polygon",
        splits=summaries,
        made_by=options.made_by(),
    )
    (folder / CARD_NAME).write_bytes(encode_card(card))
    return card, failures


def _placed(entries: Sequence[Entry], image_mode: str) -> dict[str, str]:
    """Where in the dataset folder each photo goes that does not stay where it is, by its annotation file."""
    placed, taken = {}, set()
    for entry in entries:
        if not entry.photo.embedded and image_mode == "reference":
            continue
        inside = posixpath.normpath(f"/{entry.photo.path}")[1:]  # nothing leads out of the root of a file system
        stem, suffix = posixpath.splitext(inside)
        if image_mode == "resize" and suffix.lower() not in (".jpg", ".jpeg", ".png"):
            suffix = ".png"
        name, number = f"{stem}{suffix}", 2
        while name.casefold() in taken:  # two photos of one name: written out and copied, or of two formats
            name, number = f"{stem}_{number}{suffix}", number + 1
        taken.add(name.casefold())
        placed[entry.file] = f"{IMAGES}/{name}"
    return placed


def _write_split(
    path: Path, scan: Scan, classes: Sequence[str], entries: Sequence[Entry], names: Mapping[str, str]
) -> SplitSummary:
    categories = categories_of(list(classes))
    photos = (Image(index, names[entry.file], *entry.size) for index, entry in enumerate(entries, start=1))
    with open(path, "wb") as file:
        write_coco(file, photos, _annotations(scan, entries, {item.name: item.id for item in categories}), categories)
    counts = count_labels(entries)
    return SplitSummary(path.name, len(entries), counts.total(), {name: counts[name] for name in classes})


def _annotations(scan: Scan, entries: Sequence[Entry], category_ids: Mapping[str, int]) -> Iterator[Annotation]:
    number = 0
    for image_id, entry in enumerate(entries, start=1):
        for item in scan.instances(entry):
            number += 1
            yield Annotation(number, image_id, category_ids[item.label], item.segmentation, item.area, item.bbox)


# A photo to write, and where.
_Copy = tuple[Entry, Path]


def _write_photos(copies: Sequence[_Copy], source: Source, options: DatasetOptions) -> list[Finding]:
    """Write photos; a finding for each that is broken, which only shows when it is decoded."""
    for folder in {path.parent for _, path in copies}:
        folder.mkdir(parents=True, exist_ok=True)
    state = source, options.images
    results = parallel.in_order(_write_photo, state, copies, options.jobs, "Writing photos", "photo")
    return [finding for finding in results if finding is not None]


def _write_photo(state: tuple[Source, str], copy: _Copy) -> Finding | None:
    """Write a photo; why that cannot be done, if it cannot."""
    (source, image_mode), (entry, path) = state, copy
    try:
        original = source.original(entry.file, entry.photo)
        if image_mode == "resize":
            path.write_bytes(encode_upright(original, entry.size, path.suffix))
        elif isinstance(original, bytes):
            path.write_bytes(original)
        else:
            shutil.copyfile(original, path)
    except ImageError as error:
        return Finding(error.rule, entry.file, message=f"'{entry.photo.path}': {error}")
    return None
