"""Which photo belongs to an annotation file: by what the file says, by names, and by evidence where these disagree."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.labelme import AnnotationFile
from dataset_tools.images.embedded import describe_difference, extract_embedded, has_bytes
from dataset_tools.images.header import ImageError, agrees, describe_mismatch, read_header
from dataset_tools.images.names import is_absolute, is_photo_name, taken_instead, with_slashes, without_query
from dataset_tools.images.photo_finder import NameIndex, PhotoFinder, several
from dataset_tools.records import Photo


class PhotoChooser:
    """The way from an annotation file to its photo.

    Most files say themselves where their photo is; what is needed for the others is made when there is one.

    Args:
        finder: of the photos.
        files_root: the folder of the annotation files: the folder of the photos, or another one, which may mirror it.
        files: the annotation files, relative to ``files_root``.
    """

    def __init__(self, finder: PhotoFinder, files_root: Path, files: Collection[str]):
        self.root = finder.root
        self._finder, self._files = finder, files
        self._folder, self._files_folder = os.path.abspath(self.root), os.path.abspath(files_root)

    @cached_property
    def _elsewhere(self) -> NameIndex:
        """The photos that no annotation file is named after: the others belong to their files."""
        taken = {posixpath.splitext(file)[0] for file in self._files} if self._folder == self._files_folder else set()
        return NameIndex(photo for photo in self._finder.photos if not {photo, posixpath.splitext(photo)[0]} & taken)

    def find(self, file: str, record: AnnotationFile) -> tuple[Photo | None, list[Finding]]:
        """The photo of an annotation file, by evidence, and what there is to say about the choice.

        Tried in turn: imagePath; its base name beside the file; the file's own stem; these names in other folders;
        imageData. A photo has to exist and to have the size that the file says. Where several fit, imageData decides,
        by its bytes or else by what it shows.

        Args:
            file: the annotation file, relative to ``files_root``, with POSIX slashes.
            record: what it says.
        """
        embedded = record.picture() or b""
        home = posixpath.join(self._files_folder, posixpath.dirname(file))
        named = self._finder.where(record.image_path, home, home) if record.image_path else None
        fitting, failures = self._fitting_photos(self._near(file, named, record.image_path), home, record, embedded)
        strays = not fitting
        if strays:
            far = self._far(file, record.image_path, loosely=not embedded)
            fitting, further = self._fitting_photos(far, home, record, embedded)
            failures += further
        if not fitting:
            if (
                record.image_path
                and not named
                and not is_absolute(record.image_path)
                and self._folder == self._files_folder
            ):
                failures.append(ImageError(Rule.PHOTO_LEAVES_ROOT, f"imagePath is {record.image_path!r}"))
            return _fall_back(file, named, record, failures)
        photo, difference = self._closest(fitting, embedded)
        if strays and len(fitting) > 1 and (difference or not embedded):
            said = several(record.image_path, [photo.path for photo in fitting])
            return None, [Finding(Rule.PHOTO_AMBIGUOUS, file, "imagePath", said)]
        findings = list(_findings_about_choice(file, record, named, photo, fitting, failures, embedded))
        if difference:
            findings.append(Finding(Rule.IMAGE_DATA_DIFFERS, file, "imageData", difference))
        return photo, findings

    def _near(self, file: str, named: str | None, image_path: str | None) -> Iterator[str]:
        """Where the photo should be, most trusted first."""
        if named:
            yield named
        folder, stem = posixpath.dirname(file), posixpath.splitext(file)[0]
        if base := posixpath.basename(with_slashes(image_path)):
            yield posixpath.join(folder, base)
        if is_photo_name(stem):  # x.png.json
            yield stem
        yield from self._finder.by_stem.get(stem, ())

    def _far(self, file: str, image_path: str | None, loosely: bool) -> list[str]:
        """Photos of the right name in other folders: those whose folders are named most like the file's, or imagePath's.

        Names that are only like the right one count where there is no other photo, and, ``loosely``, no imageData.
        """
        folder, stem = posixpath.dirname(file), posixpath.basename(posixpath.splitext(file)[0])
        base = posixpath.basename(without_query(image_path))
        for alike in (False, True) if loosely else (False,):
            for name in filter(None, (base, stem)):
                if photos := self._elsewhere.photos_of(posixpath.join(folder, name), alike):
                    closer = self._elsewhere.photos_of(image_path or "", alike) if len(photos) > 1 else ()
                    return [photo for photo in photos if photo in closer] or photos
        return []

    def _fitting_photos(
        self, paths: Iterable[str], home: str, record: AnnotationFile, embedded: bytes
    ) -> tuple[list[Photo], list[ImageError]]:
        """The candidates that exist and fit, and those before the first of them that exist and do not, with why."""
        expected = _expected_size(record, embedded)
        fitting: list[Photo] = []
        failures: list[ImageError] = []
        for path in dict.fromkeys(paths):
            try:
                if not self._finder.is_open(path, home):
                    raise ImageError(Rule.PHOTO_LEAVES_ROOT, f"'{path}' leads to another folder")
                header = read_header(f"{self._folder}/{path}")
                if not agrees(header.size, expected):
                    raise ImageError(Rule.SIZE_MISMATCH, describe_mismatch(path, header, expected))
                # LabelMe shows imageData as it is. Where that is the whole file, flag and all, the points belong to the
                # photo as it is stored; where LabelMe turns a photo (from 3.7 on), it embeds the turned one.
                unturned = header.orientation != 1 and agrees(header.stored_size, expected)
                if embedded and unturned and has_bytes(self.root / path, embedded):
                    message = f"LabelMe showed '{path}' without regard to its EXIF orientation {header.orientation}"
                    raise ImageError(Rule.ORIENTATION_UNSAFE, message)
                fitting.append(Photo(path, header.size, frames=header.frames))
            except ImageError as error:
                if not fitting:
                    failures.append(error)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            except (OSError, ValueError) as error:  # a name too long, a link that leads to itself, no permission
                failures.append(ImageError(Rule.PHOTO_UNREADABLE, f"'{path}': {error}"))
        return fitting, failures

    def _closest(self, fitting: list[Photo], embedded: bytes) -> tuple[Photo, str | None]:
        """The photo that shows what imageData does; if none does, the first one, and how that differs."""
        if not embedded:
            return fitting[0], None
        for photo in fitting:
            if has_bytes(f"{self._folder}/{photo.path}", embedded):
                return photo, None
        differences = [describe_difference(self.root / photo.path, photo.size, embedded) for photo in fitting]
        best = differences.index(None) if None in differences else 0
        return fitting[best], differences[best]


def _has_name_of(photo: str, file: str) -> bool:
    """Whether the two are named alike: a.jpg and a.json, or a.jpg and a.jpg.json."""
    name = posixpath.basename(photo)
    return posixpath.splitext(posixpath.basename(file))[0] in (name, posixpath.splitext(name)[0])


def _expected_size(record: AnnotationFile, embedded: bytes) -> tuple[float | None, float | None]:
    """(width, height) that the file says; where it says neither, that of the embedded picture."""
    if record.image_width is None and record.image_height is None and embedded:
        try:
            return read_header(embedded).stored_size
        except ImageError:
            pass  # a broken imageData says nothing; the photo beside it may be whole
    return record.image_width, record.image_height


def _findings_about_choice(
    file: str,
    record: AnnotationFile,
    named: str | None,
    photo: Photo,
    fitting: list[Photo],
    failures: list[ImageError],
    embedded: bytes,
) -> Iterator[Finding]:
    """What there is to say where imagePath does not lead to the photo, or where names disagree and nothing decides."""
    if failures or photo.path != named or is_absolute(record.image_path):
        reasons = "; ".join(map(str, failures))
        said = taken_instead("imagePath", record.image_path, photo.path)
        yield Finding(Rule.PHOTO_ELSEWHERE, file, "imagePath", said + (f" ({reasons})" if reasons else ""))
    elif not embedded and not _has_name_of(photo.path, file):
        others = [other.path for other in fitting if _has_name_of(other.path, file)]
        if others:
            said = f"it is {record.image_path!r}, beside is '{others[0]}'"
            yield Finding(Rule.NAMES_DISAGREE, file, "imagePath", said)


def _fall_back(
    file: str, named: str | None, record: AnnotationFile, failures: list[ImageError]
) -> tuple[Photo | None, list[Finding]]:
    """The embedded picture, since no photo fits; without one, the findings say why no photo does."""
    reasons = [str(error) for error in failures] or [f"imagePath is {record.image_path!r}"]
    picture = record.picture()
    if picture is not None:
        try:
            written = extract_embedded(picture, (record.image_width, record.image_height))
        except ImageError as error:
            return None, [Finding(error.rule, file, "imageData", "; ".join([str(error), *reasons]))]
        path = posixpath.splitext(file)[0] + written.suffix
        origin = f"{named} {hashlib.sha256(picture).hexdigest()}" if named else None
        return Photo(path, written.size, embedded=True, origin=origin), [
            Finding(Rule.PHOTO_WRITTEN_OUT, file, "imageData", "; ".join(reasons))
        ]
    rule = failures[0].rule if failures else Rule.PHOTO_MISSING
    return None, [Finding(rule, file, "imagePath", "; ".join(reasons))]
