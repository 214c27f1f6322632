"""A LabelMe folder as a source: its files and photos, and what one file says."""

from __future__ import annotations

import errno
import os
from collections.abc import Set
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.files import read_file
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats import kinds, labelme
from dataset_tools.formats.card import CARD_NAME
from dataset_tools.formats.labelme import AnnotationFile, LabelmeError
from dataset_tools.formats.lenient import Departures
from dataset_tools.images.embedded import extract_embedded
from dataset_tools.images.folders import NAME_THE_FOLDER, check_folder, list_folder
from dataset_tools.images.header import ImageError, photo_header
from dataset_tools.images.names import is_photo_name
from dataset_tools.images.photo_chooser import PhotoChooser
from dataset_tools.images.photo_finder import PhotoFinder
from dataset_tools.records import Photo
from dataset_tools.sources.source import OpenedFile, Rest, ShapeSource, check_encoding
from dataset_tools.sources.split_folders import SplitFolders
from dataset_tools.text import is_text


class LabelmeFolder(ShapeSource):
    """Annotation files and photos, mixed in one folder, in sub-folders of one, or in two that mirror each other.

    Args:
        root: the folder of the annotation files.
        photos: the folder of the photos; None if they are under ``root``, too.
        encoding: of the JSON files.
        negatives: photos without an annotation file are photos with nothing in them.
        exclude: a folder under ``root`` that is passed over.

    Attributes:
        keys: what ``read`` takes: the annotation files. It takes what ``negatives`` gives, too.

    Raises:
        UserError: there is no such folder, there is nothing in it, or its sub-folders make no split.
    """

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
            if other := kinds.other_kind(root):
                raise kinds.wrong_kind(*other, "this is not a LabelMe file")
            raise UserError("there is no JSON file in this folder", file=root, remedy=NAME_THE_FOLDER)
        self._splits = SplitFolders(self._files, root)
        self._chooser = PhotoChooser(PhotoFinder(self.photo_root, photos=names), root, self._files, encoding)
        self._photos = names
        self._takes_negatives = negatives
        self.keys = self._files

    def open(self, key: str) -> tuple[OpenedFile | None, list[Finding]]:
        """The photo and the shapes of a file, or a photo with nothing on it, if they can be used, and the findings."""
        if not is_text(key):
            return None, [Finding(Rule.BAD_FILE_NAME, key)]
        is_photo = is_photo_name(key)
        split = self._splits.of_photo(key) if is_photo else self._splits.of(key)
        if self._splits and split is None:
            return None, [Finding(Rule.OUTSIDE_SPLITS, key)]
        if is_photo:
            header = photo_header(self.photo_root, key)
            if isinstance(header, Finding):
                return None, [header]
            negative = Photo(key, header.size, frames=header.frames)
            return OpenedFile(negative, split, ()), [Finding(Rule.TAKEN_AS_NEGATIVE, key)]
        departures = Departures()
        try:
            record = self._decode(key, departures)
        except LabelmeError as error:
            return None, [Finding(error.rule, key, place, message) for message, place in error.faults]
        photo, findings = self._chooser.find(key, record)
        findings = [*departures.findings(key), *findings]
        if photo is None:
            return None, findings
        if not record.shapes:
            findings = [*findings, Finding(Rule.NO_SHAPES, key)]
        return OpenedFile(photo, split, record.shapes), findings

    def original(self, file: str, photo: Photo) -> Path | bytes:
        """The path of a photo; its bytes if it exists in its annotation file only.

        The file is read again, since all embedded photos together may not fit into the memory.
        """
        if not photo.embedded:
            return self.photo_root / photo.path
        try:
            record = self._decode(file)
        except LabelmeError as error:  # it has changed meanwhile
            raise ImageError(error.rule, str(error)) from error
        return extract_embedded(record.picture(), (record.image_width, record.image_height)).content

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """The photos that no file has led to.

        None of them is a negative if a file with errors may annotate any of them.
        """
        about = [Finding(Rule.DATASET_INSIDE, f"{folder}/{CARD_NAME}") for folder in self._datasets]
        about += self._splits.findings
        alone, lost = self._without_file(used, failed)
        if self._takes_negatives and not lost:
            return Rest(alone, about)
        message = f"unless it is that of '{lost[0]}', which has errors" if lost else ""
        ignored = [Finding(Rule.PHOTO_WITHOUT_FILE, photo, message=message) for photo in alone]
        return Rest(findings=[*about, *ignored])

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

    def _decode(self, file: str, departures: Departures | None = None) -> AnnotationFile:
        try:
            return labelme.decode(read_file(f"{self.root}/{file}", labelme.MAX_BYTES), self._encoding, departures)
        except OSError as error:
            rule = Rule.FILE_TOO_LARGE if error.errno == errno.EFBIG else Rule.NOT_JSON
            raise LabelmeError(rule, error.strerror or str(error)) from error


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
