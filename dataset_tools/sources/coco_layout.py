"""Which COCO files a folder holds, as usual tools lay them out."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.formats.card import is_dataset_folder, read_card
from dataset_tools.sources.coco_files import Files

# What the files of a split are called, in the order in which they are taken: by hand, by COCO itself, by Roboflow.
_NAMES = {"train": ("train",), "val": ("val", "valid"), "test": ("test",)}
_PATTERNS = ("{}.json", "annotations/instances_{}*.json", "{}/_annotations.coco.json")

# A file for all photos: by CVAT and others, by Label Studio and others.
_PATTERNS_OF_ONE = ("annotations/*.json", "*.json")


def find_coco_files(folder: Path) -> Files:
    """The COCO files in a folder as usual tools lay them out.

    Raises:
        UserError: there are none, or several and nothing says what is what.
    """
    if is_dataset_folder(folder):
        return {split: folder / summary.annotations for split, summary in read_card(folder).splits.items()}
    found: Files = {split: path for split, names in _NAMES.items() if (path := _first(folder, names))}
    if "train" in found:
        return found
    alone = [path for pattern in _PATTERNS_OF_ONE for path in sorted(folder.glob(pattern))]
    if len(alone) != 1:
        reason = f"{len(alone) or 'no'} JSON files are here, and none of them is named after 'train'"
        raise UserError(reason, file=folder, remedy="Name the files with --train, --val and --test")
    return {None: alone[0]}


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    paths = (path for name in names for pattern in _PATTERNS for path in sorted(folder.glob(pattern.format(name))))
    return next(paths, None)
