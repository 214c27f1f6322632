"""Which COCO files a folder holds, as usual tools lay them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.formats import kinds
from dataset_tools.formats.card import SPLITS, is_dataset_folder, read_card
from dataset_tools.images.folders import SPLIT_NAMES, list_folder
from dataset_tools.sources.coco_files import Files

# Where files may be: by hand, Label Studio and others; by COCO itself, CVAT and others; by Roboflow.
_PLACES = ("*.json", "annotations/*.json", "*/_annotations.coco.json")

# What those of a split are called, in lower case.
_OF_SPLIT = ("{}.json", "annotations/instances_{}*.json", "{}/_annotations.coco.json", "annotations/{}.json")

# What files of instances are called where there are others beside them, of the same photos (captions, keypoints).
_OF_INSTANCES = "annotations/instances_*.json"


def find_coco_files(folder: Path) -> Files:
    """The COCO files in a folder as usual tools lay them out.

    Raises:
        UserError: there are none, or several and nothing says what is what; or, beside that of train, there is another
            one for a split, or one of instances for no split.
    """
    if is_dataset_folder(folder):
        return {split: folder / summary.annotations for split, summary in read_card(folder).splits.items()}
    places = [sorted(folder.glob(place)) for place in _PLACES]
    names = {path: path.relative_to(folder).as_posix().lower() for paths in places for path in paths}
    split_of = {path: _split_of(name) for path, name in names.items()}
    found = {split: [path for path, meant in split_of.items() if meant == split] for split in SPLITS}
    if found["train"]:
        of_none = [
            path for path, meant in split_of.items() if meant is None and fnmatchcase(names[path], _OF_INSTANCES)
        ]
        _demand_one_each(folder, found, of_none)
        return {split: paths[0] for split, paths in found.items() if paths}
    alone = [path for paths in places[:2] for path in paths]
    if len(alone) > 1:
        alone = [path for path in alone if fnmatchcase(names[path], _OF_INSTANCES)] or alone
    if len(alone) != 1:
        raise _not_found(folder, len(alone))
    return {None: alone[0]}


def _split_of(name: str) -> str | None:
    """The split that a file is named after."""
    meant = ((pattern.format(word), split) for word, split in SPLIT_NAMES.items() for pattern in _OF_SPLIT)
    return next((split for pattern, split in meant if fnmatchcase(name, pattern)), None)


def _demand_one_each(folder: Path, found: Mapping[str, Sequence[Path]], of_none: Sequence[Path]) -> None:
    """Refuse several files of one split, and files of instances that are of no split: they would be left out."""
    unclear = [(f"named after '{split}'", paths) for split, paths in found.items() if len(paths) > 1]
    unclear += [("named after no split", of_none)] if of_none else []
    if unclear:
        reason = "; ".join(
            f"{what}: {', '.join(path.relative_to(folder).as_posix() for path in paths)}" for what, paths in unclear
        )
        remedy = "Name the file of each split with --train, --val and --test"
        raise UserError(f"it is not clear which files are meant; {reason}", file=folder, remedy=remedy)


def _not_found(folder: Path, count: int) -> UserError:
    """The error that there is no COCO file, or too many; it says what else is here."""
    if other := kinds.other_kind(folder, list_folder(folder).files):
        return kinds.wrong_kind(*other, "this is not a COCO file of instances")
    reason = f"{count or 'no'} JSON files are here, and none of them is named after 'train'"
    remedy = "Name the one file for all photos, or those of the splits with --train, --val and --test"
    return UserError(reason, file=folder, remedy=remedy)
