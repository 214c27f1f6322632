"""A LabelMe folder as a source: its files and photos, and what one file says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.files import opened_for_reading
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats import labelme
from dataset_tools.formats.card import CARD_NAME
from dataset_tools.formats.labelme import AnnotationFile, Shape
from dataset_tools.images.embedded import EmbeddedPicture, extract_embedded
from dataset_tools.images.folders import NAME_THE_FOLDER, check_folder, list_folder
from dataset_tools.images.header import fit_size, photo_size
from dataset_tools.images.names import is_photo_name
from dataset_tools.images.photo_finder import PhotoFinder
from dataset_tools.instances.grouping import build_instances
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import AnnotatedPhoto, Canvas, Photo, SourceResult
from dataset_tools.sources.split_folders import SplitFolders
from dataset_tools.text import check_encoding, is_text

_RULES = {
    labelme.NotJson: Rule.NOT_JSON,
    labelme.WrongEncoding: Rule.WRONG_ENCODING,
    labelme.WrongStructure: Rule.WRONG_STRUCTURE,
    labelme.NotLabelme: Rule.NOT_LABELME,
}


class _Unreadable(Exception):
    """A file of which nothing can be used, and why."""

    def __init__(self, finding: Finding):
        super().__init__(str(finding))
        self.finding = finding


class LabelmeFolder:
    """Annotation files and photos, mixed in one folder, in sub-folders of one, or in two that mirror each other.

    Args:
        root: the folder of the annotation files.
        photos: the folder of the photos; None if they are under ``root``, too.
        encoding: of the JSON files.
        negatives: photos without a file are photos with nothing in them.
        exclude: a folder under ``root`` that is passed over.

    Attributes:
        keys: what ``read`` takes: the annotation files. It takes what ``negatives`` gives, too.
        classes: None: a LabelMe folder has no list of them.

    Raises:
        UserError: there is no such folder, there is nothing in it, or its sub-folders make no split.
    """

    classes: None = None

    def __init__(
        self,
        root: Path,
        photos: Path | None = None,
        encoding: str = "utf-8",
        negatives: bool = False,
        exclude: Path | None = None,
    ):
        check_folder(root)
        check_folder(photos or root, "Name the folder of the photos")
        check_encoding(encoding)
        self.root, self.photo_root = root, photos or root
        self._encoding = encoding
        self._files, names, self._datasets = list_folder(root, exclude)
        if photos is not None:
            names = list_folder(photos, exclude).photos
        if not self._files:
            raise UserError("there is no JSON file in this folder", file=root, remedy=NAME_THE_FOLDER)
        self._splits = SplitFolders(self._files, root)
        self._finder = PhotoFinder(self.photo_root, names, root, self._files)
        self._photos = names
        self._takes_negatives = negatives
        self.keys = self._files

    def read(self, keys: Sequence[str], options: ShapeOptions, max_size: int | None = None) -> list[SourceResult]:
        """Some annotation files with their photos and instances, and everything there is to say about each.

        A photo for a key is one with nothing in it. No photo comes of a file that leads to none, or is no annotation
        file in the first place. The findings may hold errors either way.

        Args:
            keys: some of ``keys`` or of ``negatives``.
            options: what becomes of shapes.
            max_size: the longer side of a photo, to which larger ones are scaled; None keeps the size.
        """
        read: dict[str, SourceResult] = {}
        shapes: dict[str, Sequence[Shape]] = {}
        photos: dict[str, Photo | None] = {}
        for key in keys:
            try:
                self._refuse(key)
                if not is_photo_name(key):
                    record = self._decode(key)
                    photos[key], found = self._finder.find(key, record)
                    read[key], shapes[key] = (None, found), record.shapes
            except _Unreadable as error:
                read[key] = None, [error.finding]
        canvases = [Canvas(key, photo.size, fit_size(photo.size, max_size)) for key, photo in photos.items() if photo]
        made = build_instances(canvases, [shapes[canvas.file] for canvas in canvases], options)
        for canvas, (built, further) in zip(canvases, made):
            key, found = canvas.file, read[canvas.file][1]
            labels = frozenset([shape.label for shape in shapes[key]])
            item = AnnotatedPhoto(key, photos[key], canvas.frame, built, self._split(key), labels)
            if not shapes[key]:
                further = [*further, Finding(Rule.NO_SHAPES, key)]
            read[key] = item, found + further
        return [read[key] if key in read else self._read_negative(key, max_size) for key in keys]

    def _split(self, key: str) -> str | None:
        return self._splits.of_photo(key) if is_photo_name(key) else self._splits.of(key)

    def _refuse(self, key: str) -> None:
        if not is_text(key):
            raise _Unreadable(Finding(Rule.BAD_FILE_NAME, key))
        if self._splits and self._split(key) is None:
            raise _Unreadable(Finding(Rule.OUTSIDE_SPLITS, key))

    def _read_negative(self, photo: str, max_size: int | None) -> SourceResult:
        size, problem = photo_size(self.photo_root, photo)
        if problem:
            return None, [problem]
        item = AnnotatedPhoto(photo, Photo(photo, size), fit_size(size, max_size), [], self._split(photo))
        return item, [Finding(Rule.TAKEN_AS_NEGATIVE, photo)]

    def embedded(self, file: str) -> EmbeddedPicture:
        """The photo in an annotation file, read again: all of them together may not fit into the memory."""
        record = self._decode(file)
        return extract_embedded(record.picture, (record.image_width, record.image_height))

    def negatives(self, used: Set[str], failed: Set[str]) -> list[str]:
        """The photos that are to be taken as ones with nothing in them: none where a failed file may annotate any."""
        alone, lost = self._without_file(used, failed)
        return alone if self._takes_negatives and not lost else []

    def unread(self, used: Set[str], failed: Set[str]) -> Iterator[Finding]:
        """What there is to say about photos that no file has led to."""
        for folder in self._datasets:
            yield Finding(Rule.DATASET_INSIDE, f"{folder}/{CARD_NAME}")
        alone, lost = self._without_file(used, failed)
        for photo in alone:
            message = f"unless it is that of '{lost[0]}', which has errors" if lost else ""
            yield Finding(Rule.PHOTO_WITHOUT_FILE, photo, message=message)

    def _without_file(self, used: Set[str], failed: Set[str]) -> tuple[list[str], list[str]]:
        """The photos that no file has led to and none is named after; and the failed files that name none. Sorted."""
        names = {os.path.splitext(file)[0] for file in self._files}
        unused = [photo for photo in self._photos - used if not {photo, os.path.splitext(photo)[0]} & names]
        # In folders apart a file and its photo share the last part of their names only.
        stems = {_stem(photo) for photo in unused}
        beside = self._photos | {os.path.splitext(photo)[0] for photo in self._photos}
        apart = [file for file in failed & set(self._files) if os.path.splitext(file)[0] not in beside]
        named = {_stem(file) for file in apart} & stems
        lost = [file for file in apart if _stem(file) not in named]
        return sorted(photo for photo in unused if _stem(photo) not in named), sorted(lost)

    def _decode(self, file: str) -> AnnotationFile:
        try:
            with opened_for_reading(f"{self.root}/{file}") as stream:
                return labelme.decode(stream.read() or b"", self._encoding)  # None: a pipe that nobody has written to
        except OSError as error:
            raise _Unreadable(Finding(Rule.NOT_JSON, file, message=error.strerror or str(error))) from error
        except labelme.LabelmeError as error:
            raise _Unreadable(Finding(_RULES[type(error)], file, error.place, str(error))) from error


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
