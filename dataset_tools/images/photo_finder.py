"""The photos under a folder, by the names that files of annotations call them by."""

from __future__ import annotations

import difflib
import os
import posixpath
from collections.abc import Collection, Iterable, Sequence, Set
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from dataset_tools.findings import Finding, Rule
from dataset_tools.images.folders import list_folder, split_of
from dataset_tools.images.header import photo_header
from dataset_tools.images.names import (
    SUFFIXES,
    folded,
    is_absolute,
    names_in,
    stem_of,
    taken_instead,
    with_slashes,
    without_hash,
    without_query,
)

# There may be thousands of photos of one name: so many are kept of each, and so many compared, and named in a message.
_MOST_KEPT = 1000
_MOST_COMPARED = 20


class PhotoName(NamedTuple):
    """A photo as a table or a COCO file calls it.

    Attributes:
        name: a path with slashes of any system, absolute or relative to the folder of photos or to ``home``.
        key: what the name is called in the file.
        place: where it is.
        home: the folder of the file.
        folders: what the folders of its photos may be called, in lower case, the surest first; or a split.
        size: the (width, height) that the file says.
    """

    name: str
    key: str
    place: str
    home: Path
    folders: Sequence[str] = ()
    size: tuple[float | None, float | None] = (None, None)


class PhotoFinder:
    """The photos under a folder; outside of it, those only that a path with ``..`` puts into the folder of its file.

    Args:
        root: the folder.
        exclude: a folder under it that is passed over.
        photos: those under it, relative to it; None to list them when that is needed.
    """

    def __init__(self, root: Path, exclude: Path | None = None, photos: Collection[str] | None = None):
        self.root = root
        self._exclude = exclude
        self._folder = os.path.abspath(root)
        self._real_folders: dict[str, str] = {}
        if photos is not None:
            self.photos = photos

    @cached_property
    def photos(self) -> Collection[str]:
        """All photos, relative to the folder."""
        return list_folder(self.root, self._exclude).photos

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """The photos by their paths without suffix, most trusted first."""
        found: dict[str, list[str]] = {}
        for photo in sorted(self.photos, key=rank):
            found.setdefault(posixpath.splitext(photo)[0], []).append(photo)
        return found

    def where(self, name: str, start: Path | str, home: Path | str) -> str | None:
        """Where a path leads from a folder, relative to the root; None if that is outside, and ``..`` not in ``home``."""
        path, home = with_slashes(name), os.path.abspath(home)
        path = posixpath.normpath(path if is_absolute(path) else posixpath.join(os.path.abspath(start), path))
        if _is_inside(path, self._folder):
            return path[len(self._folder.rstrip("/")) + 1 :]
        if ".." in with_slashes(name).split("/") and _is_inside(path, home):
            return os.path.relpath(path, self._folder)
        return None

    def is_open(self, path: str, home: Path | str) -> bool:
        """Whether a path leads to what is in the folder, or in ``home`` where it begins with ``..``; links count.

        Photos of the folder that are links are open: the user has put them there.
        """
        folder, _, name = f"{self._folder}/{path}".rpartition("/")
        real = f"{self._real(folder)}/{name}"
        real = os.path.realpath(real) if os.path.islink(real) else real
        roots = [self._folder, os.path.abspath(home)] if path.startswith("../") else [self._folder]
        return any(_is_inside(real, self._real(root)) for root in roots) or path in self.photos

    def _real(self, folder: str) -> str:
        if folder not in self._real_folders:
            self._real_folders[folder] = os.path.realpath(folder)
        return self._real_folders[folder]

    def locate(self, names: Sequence[PhotoName]) -> list[tuple[str, Finding | None]]:
        """The photo of each name, relative to the folder, and what there is to say; the name itself, if there is none."""
        found = [self._exactly(item) for item in names]
        taken = set(found)
        located = [(path, None) if path else self._meant(item, taken) for path, item in zip(found, names)]
        missing = [(i, said) for i, (_, said) in enumerate(located) if said and said.rule is Rule.PHOTO_MISSING]
        for index, finding in missing[:_MOST_COMPARED]:
            message = finding.message + self._nearest(finding.file)
            located[index] = finding.file, replace(finding, message=message)
        return located

    @cached_property
    def _index(self) -> NameIndex:
        return NameIndex(self.photos)

    def _exactly(self, item: PhotoName) -> str | None:
        """Where a name leads: from the folder of the photos, from that of the file, from those that it may mean."""
        for start in (self.root, item.home, *(self.root / folder for folder in item.folders)):
            path = self.where(item.name, start, item.home)
            if path and os.path.isfile(f"{self._folder}/{path}") and self.is_open(path, item.home):
                return path
        return None

    def _nearest(self, name: str) -> str:
        """The photo whose name is most like one that no photo has, as text to append."""
        photos = {folded(posixpath.basename(photo)): photo for photo in self.photos}
        nearest = difflib.get_close_matches(folded(posixpath.basename(with_slashes(name))), photos, n=1)
        return f"; there is {photos[nearest[0]]!r}" if nearest else ""

    def _meant(self, item: PhotoName, taken: Set[str | None]) -> tuple[str, Finding | None]:
        """The one photo of this name, or of a name so like it that no other is meant, unless that is taken."""
        photos = self._index.photos_of(item.name, loosely=False)
        photos = photos or [photo for photo in self._index.photos_of(item.name) if photo not in taken]
        if 1 < len(photos) <= _MOST_COMPARED:
            for word in item.folders:
                photos = [photo for photo in photos if word in _words_of(photo)] or photos
            headers = {photo: photo_header(self.root, photo, [("", item.size)]) for photo in photos}
            photos = [photo for photo, header in headers.items() if not isinstance(header, Finding)] or photos
        if len(photos) == 1:
            path = posixpath.normpath(with_slashes(item.name))
            message = taken_instead(item.key, item.name, photos[0])
            is_same = f"/{photos[0]}".endswith(f"/{path}")
            return photos[0], None if is_same else Finding(Rule.PHOTO_ELSEWHERE, photos[0], item.place, message)
        if photos:
            return item.name, Finding(Rule.PHOTO_AMBIGUOUS, item.name, item.place, several(item.name, photos))
        led_to = self.where(item.name, self.root, item.home)
        is_outside = (
            os.path.isfile(f"{self._folder}/{led_to}") if led_to else ".." in with_slashes(item.name).split("/")
        )
        rule = Rule.PHOTO_LEAVES_ROOT if is_outside else Rule.PHOTO_MISSING
        return item.name, Finding(rule, item.name, item.place, repr(item.name))


class NameIndex:
    """Photos by the ends of their paths, however these are spelled.

    Args:
        photos: with POSIX slashes.
    """

    def __init__(self, photos: Iterable[str]):
        self._photos = sorted(photos, key=rank)
        self._depth = max((photo.count("/") for photo in self._photos), default=0)
        self._tables: dict[str, dict[str, list[str]]] = {}

    def photos_of(self, name: str, loosely: bool = True) -> list[str]:
        """The photos that a path means, those that agree with it in most of the last folders; none, one or several.

        Tried in turn: the name but for case, accents and percent; as one without a suffix; and, ``loosely``, with another
        suffix, without the hash that it has, with the hash that the photo has.
        """
        parts = names_in(posixpath.normpath(without_query(name)))
        if not parts:
            return []
        *folders, base = map(folded, parts)
        stem = stem_of(base)
        tries = [("names", base), ("stems", base)]
        if loosely:
            tries += [("stems", stem), ("stems", without_hash(stem)), ("bare", stem)]
        for table, key in tries:
            for depth in range(min(len(folders), self._depth), -1, -1):
                tail = "/".join([*folders[len(folders) - depth :], key])
                if photos := self._table(table).get(tail):
                    return [photo for photo in photos if photo.endswith(parts[-1])] or photos
        return []

    def _table(self, form: str) -> dict[str, list[str]]:
        """All ends of the photos' paths in a form: whole, without suffix, or also without a hash that they have."""
        if form in self._tables:
            return self._tables[form]
        table = self._tables[form] = {}
        for photo in self._photos:
            *folders, base = map(folded, photo.split("/"))
            stem = stem_of(base)
            key = {"names": base, "stems": stem, "bare": without_hash(stem)}[form]
            if form == "bare" and key == stem:
                continue
            for start in range(len(folders) + 1):
                photos = table.setdefault("/".join([*folders[start:], key]), [])
                if len(photos) < _MOST_KEPT:
                    photos.append(photo)
        return table


def rank(photo: str) -> tuple[str, int, str]:
    """Photos of one stem in the order in which they are preferred; a.JPG and a.jpg, too, are always in one order."""
    stem, suffix = posixpath.splitext(photo)
    return stem, SUFFIXES.index(suffix.lower()), suffix


def several(name: str | None, photos: Sequence[str]) -> str:
    """That a name means several photos, as text."""
    named = ", ".join(f"'{photo}'" for photo in photos[:_MOST_COMPARED])
    more = " and more" if len(photos) > _MOST_COMPARED else ""
    return f"it is {name!r}: {named}{more}"


def _words_of(photo: str) -> set[str | None]:
    """What the folders of a photo are called, and which splits they are: those of COCO end with a year."""
    folders = photo.split("/")[:-1]
    return {word for folder in folders for word in (folded(folder), split_of(folder.rstrip("0123456789")))}


def _is_inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
