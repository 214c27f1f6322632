"""A dataset of YOLO as a source: labels beside the photos, or in folders ``labels`` that mirror ``images``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Set
from dataclasses import replace
from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.labelme import Shape
from dataset_tools.formats.yolo import read_description, read_list, read_rows
from dataset_tools.images.folders import check_folder, list_folder
from dataset_tools.images.header import photo_header
from dataset_tools.images.names import is_photo_name, names_in
from dataset_tools.images.photo_finder import PhotoFinder, PhotoName, several
from dataset_tools.records import Photo
from dataset_tools.sources.source import OpenedFile, Rest, ShapeSource, check_encoding

# The last folder of that name on the way to a label file, in whose place the photos are in one named images.
_IN_LABELS = re.compile(r"(.*/)?labels/", re.IGNORECASE)

# Bytes of the largest label file that is read: outlines of 4 million points.
_MAX_BYTES = 64_000_000


class YoloFolder(ShapeSource):
    """Label files and photos of a dataset of YOLO, and its splits.

    Args:
        description: data.yaml, beside the labels; or classes.txt, which names the classes alone, beside or among them.
        photos: the folder of the photos; None for that of the description. The labels, too, may be there.
        encoding: of the description.
        negatives: photos without a label file are photos with nothing in them.
        exclude: a folder that is passed over.

    Raises:
        UserError: there is no such folder, the description cannot be used, or there are no label files.
    """

    def __init__(
        self,
        description: Path,
        photos: Path | None = None,
        encoding: str = "utf-8",
        negatives: bool = False,
        exclude: Path | None = None,
    ):
        check_encoding(encoding)
        self._file, self._description = description, read_description(description, encoding)
        self.root = description.parent if photos else _folder_of(description)
        self.photo_root = photos or self.root
        check_folder(self.photo_root, "Name the folder of the photos")
        self._finder = PhotoFinder(self.photo_root, exclude)
        self.keys = self._label_files(self.root, exclude)
        if not self.keys:
            self.root, self.keys = self.photo_root, self._label_files(self.photo_root, exclude)
        if not self.keys:
            remedy = "Put the label files into folders 'labels' beside 'images', or name another folder"
            raise UserError("there are no label files", file=self.root, remedy=remedy, exit_code=EXIT_DATA)
        self._located = self._locate(self.keys)
        self.classes = tuple(dict.fromkeys(name for _, name in sorted(self._description.names.items())))
        self._takes_negatives, self._about_lists = negatives, list[Finding]()
        self._split_of = self._splits(encoding)

    def open(self, key: str) -> tuple[OpenedFile | None, list[Finding]]:
        """The photo and the shapes of a label file, or a photo with nothing on it, and the findings."""
        photo, finding = (key, Finding(Rule.TAKEN_AS_NEGATIVE, key)) if is_photo_name(key) else self._located[key]
        findings = [finding] if finding else []
        if any(item.is_error for item in findings):
            return None, findings
        split = self._split_of.get(photo)
        if self._split_of and split is None:
            return None, [Finding(Rule.OUTSIDE_SPLITS, key)]
        header = photo_header(self.photo_root, photo)
        if isinstance(header, Finding):
            return None, [*findings, replace(header, file=key)]
        try:
            content = b"" if is_photo_name(key) else read_file(self.root / key, _MAX_BYTES)
        except OSError as error:
            return None, [*findings, Finding(Rule.BAD_LINE, key, message=error.strerror or str(error))]
        rows = read_rows(content, self._description.names)
        findings += [] if rows or is_photo_name(key) else [Finding(Rule.NO_SHAPES, key)]
        findings += [Finding(Rule.BAD_LINE, key, f"line {row.line}", row.fault) for row in rows if row.fault]
        rows = [row for row in rows if not row.fault]
        findings += [Finding(Rule.BOX_FOR_MASK, key, f"line {row.line}", repr(row.label)) for row in rows if row.is_box]
        shapes = [Shape(row.label, row.points(header.size), "rectangle" if row.is_box else "polygon") for row in rows]
        found = Photo(photo, header.size, frames=header.frames)
        return OpenedFile(found, split, shapes, [f"line {row.line}" for row in rows]), findings

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """The photos without a label file; negatives, unless the photo of a label file is not known."""
        is_lone = set(self._split_of.values()) == {"train"}
        about = self._about_lists + [Finding(Rule.ONLY_TRAIN, message=f"in {self._file.name}")] * is_lone
        of_failed = [self._located[file] for file in failed & set(self.keys)]
        alone = sorted(set(self._finder.photos) - used - {photo for photo, _ in of_failed})
        if self._takes_negatives and not any(finding and finding.is_error for _, finding in of_failed):
            return Rest(alone, about)
        return Rest(findings=[*about, *(Finding(Rule.PHOTO_WITHOUT_FILE, photo) for photo in alone)])

    def _label_files(self, root: Path, exclude: Path | None) -> list[str]:
        """The text files in folders of labels, or beside a photo of their name."""
        files = list_folder(root, exclude, ".txt").files
        files = [file for file in files if os.path.basename(file).lower() != "classes.txt"]
        return [file for file in files if _IN_LABELS.match(file) or file[:-4] in self._finder.by_stem]

    def _locate(self, files: Iterable[str]) -> dict[str, tuple[str, Finding | None]]:
        """The photo of each label file, and what there is to say; an error, if there is none."""
        located: dict[str, tuple[str, Finding | None]] = {}
        sought: dict[str, PhotoName] = {}
        by_stem = self._finder.by_stem
        for file in files:
            stem = os.path.splitext(file)[0]
            stems = [_IN_LABELS.sub(r"\1images/", stem), stem]
            while self.photo_root != self.root and "/" in stems[-1]:  # it may be the folder of the images itself
                stems.append(stems[-1].partition("/")[2])
            photos = next((by_stem[stem] for stem in stems if stem in by_stem), [])
            if len(photos) > 1:
                located[file] = stem, Finding(Rule.PHOTO_AMBIGUOUS, file, message=several(stems[0], photos))
            elif photos:
                located[file] = photos[0], None
            else:
                sought[file] = PhotoName(stems[0], "its name", "", self.root)
        found = self._finder.locate(list(sought.values()), [photo for photo, _ in located.values()])
        about = zip(sought, found)
        return located | {file: (photo, finding and replace(finding, file=file)) for file, (photo, finding) in about}

    def _splits(self, encoding: str) -> dict[str, str]:
        """The split of each photo; none if the description names no splits."""
        split_of: dict[str, str] = {}
        for split, paths in self._description.splits.items():
            photos = {photo for path in paths for photo in self._photos_in(path, encoding)}
            if (twice := sorted(photos & split_of.keys())) or (split == "train" and not photos):
                reason = (
                    f"'{twice[0]}' is in {split}, and in {split_of[twice[0]]}" if twice else f"no photo is in {paths}"
                )
                remedy = "Correct the paths; or leave the splits out, to have the photos divided"
                raise UserError(reason, file=self._file, place=split, remedy=remedy, exit_code=EXIT_DATA)
            split_of |= dict.fromkeys(photos, split)
        return split_of

    def _photos_in(self, path: str, encoding: str) -> Set[str]:
        """The photos in a folder, or in a list, that the last folders and the name of a path mean: it may be absolute."""
        parts = names_in(f"{self._description.path}/{path}")
        for place in ["/".join(parts[start:]) for start in range(len(parts))] or [""]:
            file, folder = self.root / place, f"/{place}/" if place else "/"
            if path.lower().endswith(".txt") and file.is_file():
                lines = ((name, f"line {number} of {place}") for number, name in read_list(file, encoding))
                found = self._finder.locate([PhotoName(name, "it", line, file.parent) for name, line in lines])
                self._about_lists += [finding for _, finding in found if finding and finding.is_error]
                return {photo for photo, finding in found if not (finding and finding.is_error)}
            if photos := {photo for photo in self._finder.photos if f"/{photo}".startswith(folder)}:
                return photos
        return set() if names_in(path) else set(self._finder.photos)


def _folder_of(description: Path) -> Path:
    """The folder of a dataset: that of its description, or the one above a folder ``labels`` with classes.txt."""
    folder = description.parent
    is_of_labels = description.suffix.lower() == ".txt" and folder.name.lower() == "labels"
    return folder.parent if is_of_labels and not list_folder(folder).photos else folder
