"""Files that speak of many photos each, such as a table of boxes, as a source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.labelme import Shape
from dataset_tools.images.folders import check_folder
from dataset_tools.images.header import photo_header
from dataset_tools.images.photo_finder import PhotoFinder, PhotoName
from dataset_tools.records import Photo
from dataset_tools.sources.source import OpenedFile, Rest, ShapeSource
from dataset_tools.sources.split_folders import SplitFolders


class Listed(msgspec.Struct, frozen=True, gc=False):
    """What one place of a file says of a photo: that it is there, what is drawn on it, or what is wrong.

    Attributes:
        place: e.g. ``line 3``.
        photo: its name; empty if there is none.
        shape: if there is one.
        size: the (width, height) of the photo, if it says so.
        record: the places of one photo are in one record; of several, nobody knows whether they mean the same photo.
        rule, message: the error, if there is one.
    """

    place: str
    photo: str
    shape: Shape | None = None
    size: tuple[float | None, float | None] = (None, None)
    record: str = ""
    rule: Rule | None = None
    message: str = ""


class ListedPhotos(ShapeSource):
    """The photos that some files speak of, and the shapes on them.

    Args:
        files: what each says; at least one.
        name_key: what the files call the name of a photo.
        photos: the folder of the photos.
        negatives: photos under the folder that no file names are photos with nothing in them.
        exclude: a folder under it that is passed over.

    Attributes:
        keys: the photos, each once; every finding about a photo has its key for a file.

    Raises:
        UserError: there is no such folder, its sub-folders make no split, or two files list the same photos.
    """

    def __init__(
        self,
        files: Mapping[Path, Sequence[Listed]],
        name_key: str,
        photos: Path,
        negatives: bool = False,
        exclude: Path | None = None,
    ):
        check_folder(photos, "Name the folder of the photos")
        self.root, self.photo_root = next(iter(files)).parent, photos
        self._finder = PhotoFinder(photos, exclude)
        self._about_files: list[Finding] = []
        self._shapes: defaultdict[str, list[tuple[str, Listed]]] = defaultdict(list)
        self._about_photos: defaultdict[str, list[Finding]] = defaultdict(list)
        self._unusable: set[str] = set()
        self._take(files, name_key)
        self._names = ", ".join(path.name for path in files)
        self._takes_negatives = negatives
        self.keys = list(self._shapes)
        self._splits = SplitFolders([key for key in self.keys if key not in self._unusable], self.photo_root)

    def open(self, key: str) -> tuple[OpenedFile | None, list[Finding]]:
        """The photo and the shapes of a key, if they can be used, and the findings about them."""
        findings, listed = list(self._about_photos.get(key, ())), self._shapes.get(key, [])
        if key in self._unusable:
            return None, findings
        header = photo_header(self.photo_root, key, ((place, item.size) for place, item in listed))
        if isinstance(header, Finding):
            return None, [*findings, header]
        split = self._splits.of_photo(key)
        if self._splits and split is None:
            return None, [*findings, Finding(Rule.OUTSIDE_SPLITS, key)]
        shapes = [(item.shape, place) for place, item in listed if item.shape]
        if key not in self._shapes:
            findings.append(Finding(Rule.TAKEN_AS_NEGATIVE, key))
        elif not shapes and not any(finding.is_error for finding in findings):
            findings.append(Finding(Rule.NO_SHAPES, key))
        drawn, places = zip(*shapes) if shapes else ((), ())
        return OpenedFile(Photo(key, header.size, frames=header.frames), split, drawn, places), findings

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """The photos that no file names, and the findings about what names no photo.

        A place with errors may be about any photo, so that no photo is a negative then.
        """
        lost = self._unusable or any(finding.is_error for finding in self._about_files)
        unnamed = [photo for photo in sorted(self._finder.photos) if photo not in self._shapes and photo not in used]
        if self._takes_negatives and not lost:
            return Rest(unnamed, [*self._about_files, *self._splits.findings])
        message = f"it is not named in {self._names}{', unless where there are errors' if lost else ''}"
        ignored = [Finding(Rule.PHOTO_WITHOUT_FILE, photo, message=message) for photo in unnamed]
        return Rest(findings=[*self._about_files, *self._splits.findings, *ignored])

    def _take(self, files: Mapping[Path, Sequence[Listed]], name_key: str) -> None:
        """Take in what the files say, each place to its photo; one without a photo is the file's."""
        said = [
            (path, item, f"{item.place} of {path.name}" if len(files) > 1 else item.place)
            for path, items in files.items()
            for item in items
        ]
        names: dict[tuple[Path, str], PhotoName] = {}
        for path, item, place in said:
            if item.photo:
                name = PhotoName(item.photo, name_key, place, path.parent, (), item.size)
                names.setdefault((path, item.photo), name)
        located = dict(zip(names, self._finder.locate(list(names.values()))))
        _refuse_copies(
            {(photo, path): None for (path, _), (photo, said) in located.items() if not (said and said.is_error)}
        )
        names_of = Counter(photo for photo, _ in located.values())
        for photo, finding in located.values():
            if finding and names_of[photo] > 1:  # one of them may mean another photo
                finding = Finding(Rule.PHOTO_LISTED_TWICE, photo, finding.place, finding.message)
            if finding:
                self._about_photos[photo].append(finding)
            if finding and finding.is_error:
                self._unusable.add(photo)
        records: defaultdict[str, dict[tuple[Path, str], str]] = defaultdict(dict)
        for path, item, place in said:
            photo = located[path, item.photo][0] if item.photo else path.name
            if item.rule:
                about = self._about_photos[photo] if item.photo else self._about_files
                about.append(Finding(item.rule, photo, place, item.message))
            if item.photo:
                self._shapes[photo] += [] if item.rule else [(place, item)]
                records[photo].setdefault((path, item.record), place)
        for photo, places in records.items():
            if len(places) > 1:
                self._about_photos[photo].append(Finding(Rule.PHOTO_LISTED_TWICE, photo, ", ".join(places.values())))
                self._unusable.add(photo)


def _refuse_copies(listed: Collection[tuple[str, Path]]) -> None:
    """Refuse two files of one folder of which one lists most photos of the other: a project, and what it exported.

    Args:
        listed: each photo with each file that lists it.

    Raises:
        UserError: there are two such files.
    """
    files_of: defaultdict[str, list[Path]] = defaultdict(list)
    for photo, path in listed:
        files_of[photo].append(path)
    counts = Counter(path for _, path in listed)
    pairs = Counter(tuple(files[:2]) for files in files_of.values() if len(files) > 1)
    for (first, second), shared in pairs.items():
        if first.parent == second.parent and 2 * shared > min(counts[first], counts[second]):
            reason = f"annotations are here several times: {first.name} and {second.name} list the same photos"
            remedy = f"Name {first.name} or {second.name} in place of the folder"
            raise UserError(reason, file=first.parent, remedy=remedy, exit_code=EXIT_DATA)
