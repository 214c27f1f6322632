"""The split of a file by the folders that it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dataset_tools.card import SPLITS
from dataset_tools.errors import UserError

# What folders are called that decide the split, in lower case; Roboflow's is "valid".
_SPLIT_NAMES = {split: split for split in SPLITS} | {"valid": "val", "validation": "val"}


class SplitFolders:
    """Folders train, val and test: at the top, or one below it where all files are in such ones (labels/train/a.json).

    True if there are any.

    Args:
        files: what is annotated, relative to ``root`` with POSIX slashes.
        root: for the error.

    Raises:
        UserError: there is none for train, or two are the same split.
    """

    def __init__(self, files: Sequence[str], root: Path):
        self._depth = 0
        self._names = {name for name in map(self._name, files) if name.lower() in _SPLIT_NAMES}
        if not self._names and files:
            self._depth = 1
            names = set(map(self._name, files))
            self._names = names if all(name.lower() in _SPLIT_NAMES for name in names) else set()
        _demand_a_split(sorted(self._names), root)

    def __bool__(self) -> bool:
        return bool(self._names)

    def of(self, file: str) -> str | None:
        """The split of a file or photo; None outside of these folders."""
        name = self._name(file)
        return _SPLIT_NAMES[name.lower()] if name in self._names else None

    def _name(self, file: str) -> str:
        """The folder that would decide the split; empty where the file is not so deep."""
        folders = file.split("/")[:-1]
        return folders[self._depth] if len(folders) > self._depth else ""


def _demand_a_split(names: Sequence[str], root: Path) -> None:
    present = [_SPLIT_NAMES[name.lower()] for name in names]
    remedy = "Name the folders train, val and test, or otherwise"
    if present and "train" not in present:
        raise UserError(f"there is a folder '{names[0]}' but no folder 'train'", file=root, remedy=remedy)
    if len(set(present)) < len(present):
        several = ", ".join(f"'{name}'" for name in names)
        raise UserError(f"two of the folders {several} are the same split", file=root, remedy=remedy)
