"""A table of boxes as makesense.ai exports it, a CSV file, as a source."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.csv_table import EXPORT_AGAIN, BadLine, BoxLine, read_box_table
from dataset_tools.formats.labelme import Shape
from dataset_tools.images.folders import check_folder
from dataset_tools.images.header import photo_header
from dataset_tools.images.photo_finder import PhotoFinder, PhotoName
from dataset_tools.records import Photo
from dataset_tools.sources.source import OpenedFile, Rest, ShapeSource, check_encoding
from dataset_tools.sources.split_folders import SplitFolders


class CsvBoxes(ShapeSource):
    """Boxes and photos of a CSV file.

    Args:
        path: the file.
        photos: the folder of the photos; None for that of the file.
        encoding: of the file.
        negatives: photos under the folder that no line names are photos with nothing in them.
        exclude: a folder under it that is passed over.

    Attributes:
        keys: the photos, each once; every finding about a photo has its key for a file.

    Raises:
        UserError: there is no such file or folder, or the file is not text or empty.
    """

    def __init__(
        self,
        path: Path,
        photos: Path | None = None,
        encoding: str = "utf-8",
        negatives: bool = False,
        exclude: Path | None = None,
    ):
        self.root, self.photo_root = path.parent, photos or path.parent
        check_encoding(encoding)
        lines = read_box_table(path, encoding)
        check_folder(self.photo_root, "Name the folder of the photos")
        self._name = path.name
        self._finder = PhotoFinder(self.photo_root, exclude)
        self._about_lines: list[Finding] = []
        self._rows: dict[str, list[BoxLine]] = {}
        self._about_photos: defaultdict[str, list[Finding]] = defaultdict(list)
        self._unusable: set[str] = set()
        self._take_lines(lines)
        if not self._rows and not self._about_lines:
            raise UserError("there is no box in this file", file=path, remedy=EXPORT_AGAIN, exit_code=EXIT_DATA)
        self._takes_negatives = negatives
        self.keys = list(self._rows)
        self._splits = SplitFolders([key for key in self.keys if key not in self._unusable], self.photo_root)

    def open(self, key: str) -> tuple[OpenedFile | None, list[Finding]]:
        """The photo and the boxes of a key, if they can be used, and the findings about them."""
        findings, rows = list(self._about_photos.get(key, ())), self._rows.get(key, [])
        if key in self._unusable:
            return None, findings
        places = [f"line {row.line}" for row in rows]
        header = photo_header(self.photo_root, key, zip(places, (row.photo_size for row in rows)))
        if isinstance(header, Finding):
            return None, [*findings, header]
        split = self._splits.of_photo(key)
        if self._splits and split is None:
            return None, [*findings, Finding(Rule.OUTSIDE_SPLITS, key)]
        if key not in self._rows:
            findings.append(Finding(Rule.TAKEN_AS_NEGATIVE, key))
        shapes = [Shape(row.label, row.corners, "rectangle") for row in rows]
        return OpenedFile(Photo(key, header.size, frames=header.frames), split, shapes, places), findings

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """The photos that no line names, and the findings about lines that name no photo.

        A line with errors may be about any photo, so that no photo is a negative then.
        """
        lost = self._unusable or self._about_lines
        unnamed = [photo for photo in sorted(self._finder.photos) if photo not in self._rows and photo not in used]
        if self._takes_negatives and not lost:
            return Rest(unnamed, self._splits.findings)
        doubt = ", unless it is one with errors" if lost else ""
        message = f"no line of {self._name} names it{doubt}"
        ignored = [Finding(Rule.PHOTO_WITHOUT_FILE, photo, message=message) for photo in unnamed]
        return Rest(findings=[*self._about_lines, *self._splits.findings, *ignored])

    def _take_lines(self, lines: Sequence[BoxLine | BadLine]) -> None:
        """Take in the lines, each to its photo, which a bad one makes incomplete; without one, it is the table's."""
        names: dict[str, PhotoName] = {}
        for line in lines:
            size = line.photo_size if isinstance(line, BoxLine) else (None, None)
            name = PhotoName(line.photo, "image_name", f"line {line.line}", self.root, size=size)
            if line.photo:
                names.setdefault(line.photo, name)
        located = dict(zip(names, self._finder.locate(list(names.values()))))
        names_of = Counter(photo for photo, _ in located.values())
        for photo, finding in located.values():
            self._rows.setdefault(photo, [])
            if finding:
                if names_of[photo] > 1:  # one of them may mean another photo
                    finding = Finding(Rule.PHOTO_LISTED_TWICE, photo, finding.place, finding.message)
                self._about_photos[photo].append(finding)
                if finding.is_error:
                    self._unusable.add(photo)
        for line in lines:
            photo, _ = located.get(line.photo, (self._name, None))
            if isinstance(line, BoxLine):
                self._rows[photo].append(line)
            else:
                about = self._about_photos[photo] if line.photo else self._about_lines
                about.append(Finding(Rule.BAD_LINE, photo, f"line {line.line}", line.reason))
