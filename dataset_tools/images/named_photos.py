"""The photos under a folder, by the names that tables and COCO files call them by."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dataset_tools.findings import Finding, Rule
from dataset_tools.images.folders import list_folder
from dataset_tools.images.header import ImageError
from dataset_tools.images.names import is_absolute, with_slashes


@dataclass(frozen=True, slots=True)
class PhotoMatch:
    """A photo, relative to the folder, and whether it is another one than the name leads to."""

    path: str
    is_guess: bool = False


class NamedPhotos:
    """The photos under a folder, of which no list is made before a name leads nowhere.

    Args:
        root: the folder.
        exclude: a folder under it that is passed over.
        is_exact: a name is a path from the folder as Detectron2 takes it, and nothing else; it may lead out of it.
        beside: another folder that a name may lead to.
    """

    def __init__(self, root: Path, exclude: Path | None = None, is_exact: bool = False, beside: Path | None = None):
        self.root = root
        self._exclude = exclude
        self._is_exact = is_exact
        self._beside = beside
        self._folder = os.path.abspath(root)

    def find(self, name: str, folders: Sequence[str] = ()) -> PhotoMatch:
        """The photo of a name.

        Tried in turn: the name as a path from the folder, and from some sub-folders; as the end of the path of any
        photo; its base name alone.

        Args:
            name: with slashes of any system. Of an absolute path that leads elsewhere, only the base name counts.
            folders: sub-folders to look into first.

        Raises:
            ImageError: there is none, there are several, or the name leads out of the folder.
        """
        if self._is_exact:
            if not os.path.isfile(os.path.join(self._folder, name)):
                raise ImageError(Rule.PHOTO_MISSING, repr(name))
            return PhotoMatch(name)
        path = posixpath.normpath(with_slashes(name))
        is_elsewhere = False
        if is_absolute(path):
            is_elsewhere = not path.startswith(f"{self._folder}/")
            path = posixpath.basename(path) if is_elsewhere else path[len(self._folder) + 1 :]
        if path.split("/")[0] == "..":
            if self._is_beside(path):
                return PhotoMatch(path)
            raise ImageError(Rule.PHOTO_LEAVES_ROOT, repr(name))
        for candidate in (path, *(posixpath.join(folder, path) for folder in folders)):
            if os.path.isfile(f"{self._folder}/{candidate}"):
                return PhotoMatch(candidate, is_elsewhere)
        return self._anywhere(name, path, is_elsewhere)

    def locate(self, name: str, key: str, place: str, folders: Sequence[str] = ()) -> tuple[str, Finding | None]:
        """The path of the photo of a name, and what there is to say about it; the name itself, if there is none.

        Args:
            name, folders: as for ``find``.
            key: what the name is called where it was read.
            place: where that was.
        """
        try:
            found = self.find(name, folders)
        except ImageError as error:
            return name, Finding(error.rule, name, place, str(error))
        message = f"{key} is {name!r}, '{found.path}' was taken"
        return found.path, Finding(Rule.PHOTO_ELSEWHERE, found.path, place, message) if found.is_guess else None

    @cached_property
    def all(self) -> list[str]:
        """All photos, sorted."""
        return sorted(list_folder(self.root, self._exclude).photos)

    def _is_beside(self, path: str) -> bool:
        target = Path(self._folder, path).resolve()
        return self._beside is not None and target.is_file() and target.is_relative_to(self._beside.resolve())

    def _anywhere(self, name: str, path: str, is_elsewhere: bool) -> PhotoMatch:
        alike = self._by_name.get(posixpath.basename(path), [])
        ends = [photo for photo in alike if photo.endswith(f"/{path}")]
        if not alike:
            raise ImageError(Rule.PHOTO_MISSING, repr(name))
        if len(ends or alike) > 1:
            several = ", ".join(f"'{photo}'" for photo in ends or alike)
            raise ImageError(Rule.PHOTO_AMBIGUOUS, f"{name!r}: {several}")
        return PhotoMatch((ends or alike)[0], is_guess=is_elsewhere or not ends)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        by_name: dict[str, list[str]] = {}
        for photo in self.all:
            by_name.setdefault(posixpath.basename(photo), []).append(photo)
        return by_name
