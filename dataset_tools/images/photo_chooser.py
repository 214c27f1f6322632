"""Which photo belongs to an annotation file: by what the file says, by names, and by evidence where these disagree."""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from dataset_tools.files import read_file
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats import labelme
from dataset_tools.formats.labelme import AnnotationFile
from dataset_tools.images.embedded import describe_difference, extract_embedded, has_bytes
from dataset_tools.images.header import ImageError, agrees, describe_mismatch, read_header
from dataset_tools.images.names import absolute, is_absolute, is_photo_name, taken_instead, with_slashes, without_query
from dataset_tools.images.photo_finder import NameIndex, PhotoFinder, several, shared
from dataset_tools.records import Photo


class PhotoChooser:
    """The way from an annotation file to its photo.

    Most files say themselves where their photo is; what is needed for the others is made when there is one.

    Args:
        finder: of the photos.
        files_root: the folder of the annotation files: the folder of the photos, or another one, which may mirror it.
        files: the annotation files, relative to ``files_root``.
        encoding: of these files.
    """

    def __init__(self, finder: PhotoFinder, files_root: Path, files: Collection[str], encoding: str = "utf-8"):
        self.root = finder.root
        self._finder, self._files, self._encoding = finder, files, encoding
        self._folder, self._files_folder = absolute(self.root), absolute(files_root)
        self._leads: dict[str, tuple[str | None, str | None]] = {}

    @cached_property
    def _elsewhere(self) -> NameIndex:
        """The photos that no annotation file is named after: the others belong to their files."""
        taken = {posixpath.splitext(file)[0] for file in self._files} if self._folder == self._files_folder else set()
        return NameIndex(photo for photo in self._finder.photos if not {photo, posixpath.splitext(photo)[0]} & taken)

    @cached_property
    def _files_by_stem(self) -> dict[str, list[str]]:
        """The annotation files by their names without suffix."""
        found: dict[str, list[str]] = {}
        for file in self._files:
            found.setdefault(posixpath.splitext(posixpath.basename(file))[0], []).append(file)
        return found

    def find(self, file: str, record: AnnotationFile) -> tuple[Photo | None, list[Finding]]:
        """The photo of an annotation file, by evidence, and what there is to say about the choice.

        Tried in turn: imagePath, from the file and from the root; its base name beside the file; the file's own stem;
        these names in other folders; imageData. A photo has to exist and to have the size that the file says. Where
        several fit, imageData decides, by its bytes or else by what it shows; a photo that turns out to be damaged then
        is not taken. Nor is one in another folder that shows something else than imageData.

        Args:
            file: the annotation file, relative to ``files_root``, with POSIX slashes.
            record: what it says.
        """
        embedded = record.picture() or b""
        home = posixpath.join(self._files_folder, posixpath.dirname(file))
        named, from_root = self._where_led(file, record.image_path)
        near = self._near(file, [named, from_root], record.image_path)
        fitting, failures = self._fitting_photos(near, home, record, embedded)
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
        try:
            photo, difference = self._closest(fitting, embedded)
        except ImageError as error:
            return _fall_back(file, named, record, [*failures, error])
        if strays and difference:
            differs = ImageError(Rule.IMAGE_DATA_DIFFERS, f"imageData does not show '{photo.path}': {difference}")
            written, findings = _fall_back(file, named, record, [*failures, differs])
            if written:  # otherwise imageData is broken, and says nothing about the photo
                return written, findings
        if strays and len(fitting) > 1 and (difference or not embedded):
            said = several(record.image_path, [photo.path for photo in fitting])
            return None, [Finding(Rule.PHOTO_AMBIGUOUS, file, "imagePath", said)]
        is_led_to = photo.path in (named, from_root)
        findings = list(_findings_about_choice(file, record, is_led_to, photo, fitting, failures, embedded))
        if difference:
            findings.append(Finding(Rule.IMAGE_DATA_DIFFERS, file, "imageData", difference))
        return photo, findings

    def _where_led(self, file: str, image_path: str | None) -> tuple[str | None, str | None]:
        """Where imagePath leads, relative to the root: from the folder of the file, and from the root.

        A bare name in a sub-folder does not mean the root, where there may be another photo of that name.
        """
        if not image_path:
            return None, None
        home = posixpath.join(self._files_folder, posixpath.dirname(file))
        starts_at_root = "/" in with_slashes(image_path) or "/" not in file
        from_root = self._finder.where(image_path, self.root, home) if starts_at_root else None
        return self._finder.where(image_path, home, home), from_root

    def _near(self, file: str, led_to: Iterable[str | None], image_path: str | None) -> Iterator[str]:
        """Where the photo should be, most trusted first."""
        yield from filter(None, led_to)
        folder, stem = posixpath.dirname(file), posixpath.splitext(file)[0]
        if base := posixpath.basename(with_slashes(image_path)):
            yield posixpath.join(folder, base)
        if is_photo_name(stem):  # x.png.json
            yield stem
        yield from self._finder.by_stem.get(stem, ())

    def _far(self, file: str, image_path: str | None, loosely: bool) -> list[str]:
        """Photos of the right name in other folders: those whose folders are named most like the file's, or imagePath's.

        Names that are only like the right one count where there is no other photo, and, ``loosely``, no imageData. What
        the folders of imagePath or the split of the file contradict, or belongs to another file, is left out.
        """
        home = posixpath.join(self._files_folder, posixpath.dirname(file))

        def possible(photos: Sequence[str]) -> list[str]:
            return self._finder.without_contradicted(photos, image_path or "", home, _folders_of(file))

        folder, stem = posixpath.dirname(file), posixpath.basename(posixpath.splitext(file)[0])
        base = posixpath.basename(without_query(image_path))
        for alike in (False, True) if loosely else (False,):
            for name in filter(None, (base, stem)):
                photos = self._elsewhere.photos_of(posixpath.join(folder, name), possible, alike)
                closer = self._elsewhere.photos_of(image_path or "", possible, alike) if len(photos) > 1 else ()
                photos = [photo for photo in photos if photo in closer] or photos
                depths = [shared(_folders_of(file), _folders_of(photo)) for photo in photos]
                deepest = max(depths, default=0)
                photos = [photo for photo, depth in zip(photos, depths) if depth == deepest]
                if photos := [photo for photo in photos if not self._is_of_another(photo, file)]:
                    return photos
        return []

    def _is_of_another(self, photo: str, file: str) -> bool:
        """Whether another file of the photo's name is nearer to the photo than a file, or as near and leads to it.

        Only the second needs the other files to be read, each once.
        """
        name, nearness = posixpath.basename(photo), _nearness(file, photo)
        for stem in (name, posixpath.splitext(name)[0]):
            for other in self._files_by_stem.get(stem, ()):
                others = _nearness(other, photo)
                is_led_to = other != file and others == nearness and photo in self._leads_of(other)
                if others > nearness or is_led_to:
                    return True
        return False

    def _leads_of(self, file: str) -> tuple[str | None, str | None]:
        """Where the imagePath of an annotation file leads; nowhere if the file cannot be read."""
        if file not in self._leads:
            try:
                content = read_file(f"{self._files_folder}/{file}", labelme.MAX_BYTES)
                self._leads[file] = self._where_led(file, labelme.decode(content, self._encoding).image_path)
            except (OSError, labelme.LabelmeError):  # which is said where it is its turn
                self._leads[file] = None, None
        return self._leads[file]

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
        """The photo that shows what imageData does; if none does, the first one, and how that differs.

        Raises:
            ImageError: where pixels were to be compared, no photo could be decoded.
        """
        if not embedded:
            return fitting[0], None
        for photo in fitting:
            if has_bytes(f"{self._folder}/{photo.path}", embedded):
                return photo, None
        differences: list[tuple[Photo, str | None]] = []
        for photo in fitting:
            try:
                differences.append((photo, describe_difference(self.root / photo.path, photo.size, embedded)))
            except ImageError as error:
                broken = ImageError(error.rule, f"'{photo.path}': {error}")
        if not differences:
            raise broken
        return next((pair for pair in differences if pair[1] is None), differences[0])


def _folders_of(path: str) -> list[str]:
    return path.split("/")[:-1]


def _nearness(file: str, photo: str) -> int:
    """How many first and last folders a file and a photo share."""
    folders, others = _folders_of(file), _folders_of(photo)
    return shared(folders, others) + shared(folders[::-1], others[::-1])


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
    is_led_to: bool,
    photo: Photo,
    fitting: list[Photo],
    failures: list[ImageError],
    embedded: bytes,
) -> Iterator[Finding]:
    """What there is to say where imagePath does not lead to the photo, or where names disagree and nothing decides."""
    if failures or not is_led_to or is_absolute(record.image_path):
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
