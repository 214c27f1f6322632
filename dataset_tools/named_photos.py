"""The photos under a folder, by the names that tables and COCO files call them by."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dataset_tools.findings import Rule
from dataset_tools.images import ImageError
from dataset_tools.labelme_folder import list_folder
from dataset_tools.photos import is_absolute, with_slashes


@dataclass(frozen=True, slots=True)
class Found:
    """A photo, relative to the folder, and whether it is another one than the name leads to."""

    path: str
    is_guess: bool = False


class NamedPhotos:
    """The photos under a folder, of which no list is made before a name leads nowhere.

    Args:
        root: the folder.
        strict: a name is a path from the folder, nothing else, and may lead out of it.
    """

    def __init__(self, root: Path, strict: bool = False):
        self.root = root
        self._folder = os.path.abspath(root)
        self._strict = strict

    def find(self, name: str, folders: Sequence[str] = ()) -> Found:
        """The photo of a name.

        Tried in turn: the name as a path from the folder, and from some sub-folders; as the end of the path of any
        photo; its base name alone.

        Args:
            name: with slashes of any system; absolute paths are cut where the folder begins, else to the base name.
            folders: sub-folders to look into first.

        Raises:
            ImageError: there is none, there are several, or the name leads out of the folder.
        """
        name = with_slashes(name)
        if is_absolute(name):
            inside = name.startswith(f"{self._folder}/")
            name = name[len(self._folder) + 1 :] if inside else posixpath.basename(name)
            return self._found(name, folders, is_guess=not inside)
        return self._found(posixpath.normpath(name), folders, is_guess=False)

    @cached_property
    def all(self) -> list[str]:
        """All photos, sorted."""
        return sorted(list_folder(self.root)[1])

    def _found(self, name: str, folders: Sequence[str], is_guess: bool) -> Found:
        if not self._strict and name.split("/")[0] == "..":
            raise ImageError(Rule.PHOTO_LEAVES_ROOT, f"'{name}'")
        for path in (name, *(posixpath.join(folder, name) for folder in folders)):
            if os.path.isfile(f"{self._folder}/{path}"):
                return Found(path, is_guess)
        if self._strict:
            raise ImageError(Rule.PHOTO_MISSING, f"'{name}'")
        alike = self._by_name.get(posixpath.basename(name), ())
        ends = [photo for photo in alike if photo.endswith(f"/{name}")]
        if len(ends or alike) > 1:
            several = ", ".join(f"'{photo}'" for photo in ends or alike)
            raise ImageError(Rule.PHOTO_AMBIGUOUS, f"'{name}': {several}")
        if not alike:
            raise ImageError(Rule.PHOTO_MISSING, f"'{name}'")
        return Found(*(ends or alike), is_guess=is_guess or not ends)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        by_name: dict[str, list[str]] = {}
        for photo in self.all:
            by_name.setdefault(posixpath.basename(photo), []).append(photo)
        return by_name
