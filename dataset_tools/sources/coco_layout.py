"""Which COCO files a folder holds, as usual tools lay them out."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.formats import kinds
from dataset_tools.formats.card import SPLITS, is_dataset_folder, read_card
from dataset_tools.images.folders import SPLIT_NAMES, list_folder
from dataset_tools.sources.coco_files import Files

# Where files may be: by hand, Label Studio and others; by COCO itself, CVAT and others; by Roboflow.
_PLACES = ("*.json", "annotations/*.json", "*/_annotations.coco.json")

# What those of a split are called, in lower case and in the order in which they are taken.
_OF_SPLIT = ("{}.json", "annotations/instances_{}*.json", "{}/_annotations.coco.json", "annotations/{}.json")

# What the one for all photos is called where there are several: other files beside it have its photos, too.
_OF_INSTANCES = "annotations/instances_*.json"


def find_coco_files(folder: Path) -> Files:
    """The COCO files in a folder as usual tools lay them out.

    Raises:
        UserError: there are none, or several and nothing says what is what.
    """
    if is_dataset_folder(folder):
        return {split: folder / summary.annotations for split, summary in read_card(folder).splits.items()}
    places = [sorted(folder.glob(place)) for place in _PLACES]
    names = {path: path.relative_to(folder).as_posix().lower() for paths in places for path in paths}
    found: dict[str | None, Path] = {}
    for split in SPLITS:
        for word in (word for word, meant in SPLIT_NAMES.items() if meant == split):
            for pattern in _OF_SPLIT:
                for path, name in names.items():
                    if fnmatchcase(name, pattern.format(word)):
                        found.setdefault(split, path)
    if "train" in found:
        return found
    alone = [path for paths in places[:2] for path in paths]
    if len(alone) > 1:
        alone = [path for path in alone if fnmatchcase(names[path], _OF_INSTANCES)] or alone
    if len(alone) != 1:
        raise _not_found(folder, len(alone))
    return {None: alone[0]}


def _not_found(folder: Path, count: int) -> UserError:
    """The error that there is no COCO file, or too many; it says what else is here."""
    if other := kinds.other_kind(folder, list_folder(folder).files):
        return kinds.wrong_kind(*other, "this is not a COCO file of instances")
    reason = f"{count or 'no'} JSON files are here, and none of them is named after 'train'"
    remedy = "Name the one file for all photos, or those of the splits with --train, --val and --test"
    return UserError(reason, file=folder, remedy=remedy)
