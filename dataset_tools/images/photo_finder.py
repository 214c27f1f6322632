"""The photos under a folder, by the names that files of annotations call them by."""

from __future__ import annotations

import difflib
import os
import posixpath
from collections.abc import Callable, Collection, Iterable, Sequence, Set
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, takewhile
from pathlib import Path
from typing import NamedTuple

from dataset_tools.findings import Finding, Rule
from dataset_tools.images.folders import list_folder, split_of
from dataset_tools.images.header import photo_header
from dataset_tools.images.names import (
    SUFFIXES,
    absolute,
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
        self._folder = absolute(root)
        self._real_paths: dict[str, str] = {}
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
        path, home = with_slashes(name), absolute(home)
        path = posixpath.normpath(path if is_absolute(path) else posixpath.join(absolute(start), path))
        if _is_inside(path, self._folder):
            return path[len(self._folder.rstrip("/")) + 1 :]
        if ".." in with_slashes(name).split("/") and _is_inside(path, home):
            return posixpath.relpath(path, self._folder)
        return None

    def is_open(self, path: str, home: Path | str) -> bool:
        """Whether a path leads to what is in the folder, or in ``home`` where it begins with ``..``; links count.

        Photos of the folder that are links are open: the user has put them there.
        """
        folder, _, name = f"{self._folder}/{path}".rpartition("/")
        real = f"{self._real(folder)}/{name}"
        real = self._real(real) if os.path.islink(real) else real
        roots = [self._folder, absolute(home)] if path.startswith("../") else [self._folder]
        return any(_is_inside(real, self._real(root)) for root in roots) or path in self.photos

    def _real(self, path: str) -> str:
        if path not in self._real_paths:
            self._real_paths[path] = os.path.realpath(path).replace(os.sep, "/")
        return self._real_paths[path]

    def without_contradicted(
        self, photos: Sequence[str], name: str, home: Path | str, words: Iterable[str] = ()
    ) -> list[str]:
        """Those of some photos that may be the photo of a name, going by the folders.

        A folder of the name that is under the root must hold the photo. Where it does not, the photo is missing, and a
        photo of other folders is another one: video2/1.jpg is not video1/1.jpg. Of a path that leads out of the root, as
        those of other machines do, only as many last folders count as the photo has. Nor may the photo be in another split.

        Args:
            photos: relative to the root.
            name, home: as in ``PhotoName``.
            words: what the folders of the photo may be called; a split among them counts before those in the name.
        """
        path = posixpath.normpath(without_query(name))
        start = home if path.startswith("..") else self.root
        led_to = self.where(without_query(name), start, home)
        folders = names_in(led_to or path)[:-1]
        within = self._deepest_folder(folders, start) if led_to else ""
        must_hold = {i: folded(folder) for i, folder in enumerate(folders) if folded(folder) in self._folder_names}
        splits = _splits_of(words)
        if not within and not must_hold and not splits and not _splits_of(folders):
            return list(photos)
        kept = []
        for photo in photos:
            of_photo = photo.split("/")[:-1]
            first = 0 if led_to else max(0, len(folders) - len(of_photo))
            holds = folded(photo).startswith(within) and set(map(folded, of_photo)).issuperset(
                folder for index, folder in must_hold.items() if index >= first
            )
            of_name, of_its = splits or _splits_of(folders[first:]), _splits_of(of_photo)
            if holds and (not of_name or not of_its or of_name & of_its):
                kept.append(photo)
        return kept

    def _deepest_folder(self, folders: Sequence[str], start: Path | str) -> str:
        """The last of a path's folders that is there, folded, unless the path only goes up to it from where it starts."""
        ways = accumulate(folders, posixpath.join)
        *_, deepest = "", *takewhile(lambda way: os.path.isdir(f"{self._folder}/{way}"), ways)
        is_above = f"{absolute(start)}/".startswith(f"{self._folder}/{deepest}/")
        return f"{folded(deepest)}/" if deepest and not is_above else ""

    @cached_property
    def _folder_names(self) -> Set[str]:
        """What the folders that hold photos are called, folded."""
        folders = {posixpath.dirname(photo) for photo in self.photos}
        return {folded(name) for folder in folders for name in folder.split("/")}

    def locate(self, names: Sequence[PhotoName], taken: Iterable[str] = ()) -> list[tuple[str, Finding | None]]:
        """The photo of each name, relative to the folder, and what there is to say; the name itself, if there is none.

        Args:
            names: all of one source in one call: a photo that one of them leads to is not searched for another.
            taken: photos that other names lead to.
        """
        found = [self._exactly(item) for item in names]
        all_taken = {*taken, *filter(None, found)}
        located = [(path, None) if path else self._meant(item, all_taken) for path, item in zip(found, names)]
        searched = [index for index, path in enumerate(found) if not path]
        for index in _names_that_agree_less(searched, located, names):
            name, place = names[index].name, names[index].place
            located[index] = name, Finding(Rule.PHOTO_MISSING, name, place, repr(name))
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

    def _meant(self, item: PhotoName, taken: set[str]) -> tuple[str, Finding | None]:
        """The one photo of this name, or of a name so like it that no other is meant, unless that is taken.

        Of two photos of just this name none is meant for the reason alone that the other one is taken.
        """

        def possible(photos: Sequence[str]) -> list[str]:
            kept = self.without_contradicted(photos, item.name, item.home, item.folders)
            return [] if taken.issuperset(kept) else kept

        def free(photos: Sequence[str]) -> list[str]:
            return [photo for photo in possible(photos) if photo not in taken]

        photos = self._index.photos_of(item.name, possible, loosely=False) or self._index.photos_of(item.name, free)
        if 1 < len(photos) <= _MOST_COMPARED:
            for word in item.folders:
                photos = [photo for photo in photos if word in _words_of(photo)] or photos
            headers = {photo: photo_header(self.root, photo, [("", item.size)]) for photo in photos}
            photos = [photo for photo, header in headers.items() if not isinstance(header, Finding)] or photos
        if len(photos) == 1 and photos[0] not in taken:
            path = posixpath.normpath(with_slashes(item.name))
            message = taken_instead(item.key, item.name, photos[0])
            is_same = f"/{photos[0]}".endswith(f"/{path}")
            return photos[0], None if is_same else Finding(Rule.PHOTO_ELSEWHERE, photos[0], item.place, message)
        if len(photos) > 1:
            return item.name, Finding(Rule.PHOTO_AMBIGUOUS, item.name, item.place, several(item.name, photos))
        led_to = self.where(item.name, self.root, item.home) or self.where(item.name, item.home, item.home)
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

    def photos_of(
        self, name: str, keep: Callable[[Sequence[str]], list[str]] = list, loosely: bool = True
    ) -> list[str]:
        """The photos that a path means, those that agree with it in most of the last folders; none, one or several.

        Tried in turn: the name but for case, accents and percent; as one without a suffix; and, ``loosely``, with another
        suffix, without the hash that it has, with the hash that the photo has. ``keep`` leaves out those that are not meant.
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
                if photos := keep(self._table(table).get(tail, ())):
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


def shared(folders: Sequence[str], others: Sequence[str]) -> int:
    """How many first folders two paths share."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(folders, others))))


def _names_that_agree_less(
    searched: Iterable[int], located: Sequence[tuple[str, Finding | None]], names: Sequence[PhotoName]
) -> list[int]:
    """Of the names that one photo was found for, those that have fewer of its last folders than another one has.

    Args:
        searched: the indices of the names that were searched for.
        located, names: what was found for each name.
    """
    agreements: dict[str, dict[int, int]] = {}
    for index in searched:
        photo, finding = located[index]
        if not (finding and finding.is_error):
            paths = names_in(without_query(names[index].name)), photo.split("/")
            folders, others = (list(map(folded, path[-2::-1])) for path in paths)
            agreements.setdefault(photo, {})[index] = shared(folders, others)
    most = {photo: max(of_names.values()) for photo, of_names in agreements.items()}
    return [index for photo, of_names in agreements.items() for index in of_names if of_names[index] < most[photo]]


def _words_of(photo: str) -> set[str]:
    """What the folders of a photo are called, and which splits they are."""
    folders = photo.split("/")[:-1]
    return {*map(folded, folders), *_splits_of(folders)}


def _splits_of(folders: Iterable[str]) -> set[str]:
    """The splits that folders are named after: those of COCO end with a year."""
    return {split for folder in folders if (split := split_of(folder.rstrip("0123456789")))}


def _is_inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")
