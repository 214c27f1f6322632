"""The split of a file by the folders that it lies in."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.images.folders import split_of

_REMEDY = "Name the folders train, val and test, or otherwise"


class SplitFolders:
    """Folders train, val and test: at the top (train/a.json), or else one below it (labels/train/a.json).

    At the top one of them is enough to say that the rest is outside. Below, where train may be the name of a class or
    of a place, a second one has to confirm it. True if there are any.

    Args:
        files: what is annotated, relative to ``root`` with POSIX slashes.
        root: for the error.

    Raises:
        UserError: there is none for train, or two of one folder are the same split.
    """

    def __init__(self, files: Sequence[str], root: Path):
        self._depth = 0
        top = _demand_one_each({_folder(file, 0) for file in files}, root)
        if top and "train" not in map(split_of, top):
            reason = f"there is a folder '{top[0]}' but no folder 'train'"
            raise UserError(reason, file=root, remedy=_REMEDY)
        self._is_split = bool(top)
        self._only_train = top[0] if len(top) == 1 else None
        if not self._is_split:
            below = {(_folder(file, 0), _folder(file, 1)) for file in files}
            found = {split_of(name) for _, name in below} - {None}
            if "train" in found and len(found) > 1:
                self._depth, self._is_split = 1, True
                for parent in {parent for parent, _ in below}:
                    _demand_one_each({name for above, name in below if above == parent}, root)

    def __bool__(self) -> bool:
        return self._is_split

    @property
    def findings(self) -> list[Finding]:
        """That there is no other split than train, if it is so."""
        return [Finding(Rule.ONLY_TRAIN, message=f"in '{self._only_train}'")] if self._only_train else []

    def of(self, file: str) -> str | None:
        """The split of an annotated file; None outside of these folders."""
        return split_of(_folder(file, self._depth)) if self._is_split else None

    def of_photo(self, photo: str) -> str | None:
        """The split of a photo that no file speaks of, and which may lie in another folder than the files do."""
        if not self._is_split:
            return None
        found = (split_of(_folder(photo, depth)) for depth in (self._depth, 1 - self._depth))
        return next((split for split in found if split), None)


def _folder(file: str, depth: int) -> str:
    """The folder at a depth on the way to a file; empty where the file is not so deep."""
    folders = file.split("/")[:-1]
    return folders[depth] if len(folders) > depth else ""


def _demand_one_each(names: Collection[str], root: Path) -> list[str]:
    """Those of some folders that are splits, sorted; refuses two that are the same one."""
    present = sorted(name for name in names if split_of(name))
    if len(set(map(split_of, present))) < len(present):
        several = ", ".join(f"'{name}'" for name in present)
        raise UserError(f"two of the folders {several} are the same split", file=root, remedy=_REMEDY)
    return present
