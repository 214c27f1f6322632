"""A table of boxes as makesense.ai exports it, a CSV file, as a source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.csv_table import EXPORT_AGAIN, BadLine, BoxLine, read_box_table
from dataset_tools.formats.labelme import Shape
from dataset_tools.images.folders import check_folder
from dataset_tools.images.header import ImageError, fit_size, photo_size
from dataset_tools.images.named_photos import NamedPhotos
from dataset_tools.instances.grouping import build_instances
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import AnnotatedPhoto, Canvas, Photo, SourceResult
from dataset_tools.sources.source import Rest, check_encoding
from dataset_tools.sources.split_folders import SplitFolders


class CsvBoxes:
    """Boxes and photos of a CSV file.

    Args:
        path: the file.
        photos: the folder of the photos; None for that of the file.
        encoding: of the file.
        negatives: photos under the folder that no line names are photos with nothing in them.
        exclude: a folder under it that is passed over.

    Attributes:
        keys: the photos, each once; every finding about a photo has its key for a file.
        classes: None: the table has no list of them.

    Raises:
        UserError: there is no such file or folder, or the file is not text or empty.
    """

    classes: None = None

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
        self._finder = NamedPhotos(self.photo_root, exclude)
        self._about_lines: list[Finding] = []
        self._rows: dict[str, list[BoxLine]] = {}
        self._about_photos: defaultdict[str, list[Finding]] = defaultdict(list)
        self._located: dict[str, str] = {}
        self._unusable: set[str] = set()
        self._take_lines(lines)
        if not self._rows and not self._about_lines:
            raise UserError("there is no box in this file", file=path, remedy=EXPORT_AGAIN, exit_code=EXIT_DATA)
        self._takes_negatives = negatives
        self.keys = list(self._rows)
        self._splits = SplitFolders([key for key in self.keys if key not in self._unusable], self.photo_root)

    def read(self, keys: Sequence[str], options: ShapeOptions, max_size: int | None = None) -> Iterator[SourceResult]:
        """Photos with their boxes, and the findings about each; see ``Source``."""
        return (self._read(key, options, max_size) for key in keys)

    def _read(self, key: str, options: ShapeOptions, max_size: int | None) -> SourceResult:
        size, findings = self._size_and_findings(key)
        if size is None:
            return None, findings
        rows = self._rows.get(key, [])
        canvas = Canvas(key, size, fit_size(size, max_size), [f"line {row.line}" for row in rows])
        shapes = [Shape(row.label, row.corners, "rectangle") for row in rows]
        ((instances, found),) = build_instances([(canvas, shapes)], options)
        labels, split = frozenset(row.label for row in rows), self._splits.of_photo(key)
        return AnnotatedPhoto(key, Photo(key, size), canvas.frame, instances, split, labels), findings + found

    def original(self, file: str, photo: Photo) -> Path:
        """The path of a photo."""
        return self.photo_root / photo.path

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """The photos that no line names, and the findings about lines that name no photo.

        A line with errors may be about any photo, so that no photo is a negative then.
        """
        unnamed = [photo for photo in self._finder.all if photo not in self._rows and photo not in used]
        if self._takes_negatives and not self._lost:
            return Rest(unnamed, self._about_lines)
        doubt = ", unless it is one with errors" if self._lost else ""
        message = f"no line of {self._name} names it{doubt}"
        ignored = [Finding(Rule.PHOTO_WITHOUT_FILE, photo, message=message) for photo in unnamed]
        return Rest(findings=[*self._about_lines, *ignored])

    @property
    def _lost(self) -> bool:
        """Whether a line speaks of a photo that it does not lead to, which may be any."""
        return bool(self._unusable or self._about_lines)

    def _take_lines(self, lines: Iterable[BoxLine | BadLine]) -> None:
        """Take in the lines, each to its photo."""
        for line in lines:
            if isinstance(line, BadLine):
                self._take_bad_line(line)
            else:
                self._rows[self._photo_of(line.photo, line.line)].append(line)

    def _take_bad_line(self, bad: BadLine) -> None:
        """An error of its photo, which is incomplete without it; of the table, where it names none."""
        if bad.photo:
            photo = self._photo_of(bad.photo, bad.line)
            self._about_photos[photo].append(Finding(Rule.BAD_LINE, photo, f"line {bad.line}", str(bad)))
        else:
            self._about_lines.append(Finding(Rule.BAD_LINE, self._name, f"line {bad.line}", str(bad)))

    def _photo_of(self, name: str, line: int) -> str:
        """The photo of a name, looked for the first time that it is read; from then on it has rows, if only none."""
        if name not in self._located:
            self._located[name] = self._locate(name, line)
            self._rows.setdefault(self._located[name], [])
        return self._located[name]

    def _locate(self, name: str, line: int) -> str:
        """The photo of a name; the name itself, if there is none."""
        try:
            found = self._finder.find(name)
        except ImageError as error:
            self._unusable.add(name)
            self._about_photos[name].append(Finding(error.rule, name, f"line {line}", str(error)))
            return name
        if found.is_guess:
            message = f"image_name is {name!r}, '{found.path}' was taken"
            finding = Finding(Rule.PHOTO_ELSEWHERE, found.path, f"line {line}", message)
            self._about_photos[found.path].append(finding)
        return found.path

    def _size_and_findings(self, key: str) -> tuple[tuple[int, int] | None, list[Finding]]:
        """The size of a photo, if it can be used, and what there is to say about it."""
        findings = list(self._about_photos.get(key, ()))
        if key in self._unusable:
            return None, findings
        claims = [(f"line {row.line}", row.photo_size) for row in self._rows.get(key, ())]
        size = photo_size(self.photo_root, key, claims)
        if isinstance(size, Finding):
            return None, [*findings, size]
        if self._splits and self._splits.of_photo(key) is None:
            return None, [*findings, Finding(Rule.OUTSIDE_SPLITS, key)]
        if key not in self._rows:
            findings.append(Finding(Rule.TAKEN_AS_NEGATIVE, key))
        return size, findings
