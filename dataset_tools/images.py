"""Photos: their size as it is shown, which one belongs to an annotation file, and the one embedded in it.

Sizes are (width, height) in pixels after the EXIF orientation is applied: the frame in which LabelMe shows a photo and
in which Detectron2's ``read_image`` hands it to the model.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import posixpath
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dataset_tools.findings import Finding, Rule
from dataset_tools.labelme import AnnotationFile

# What a photo's name may end with, in the order in which they are tried (in lower and in upper case).
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")

# The readers that Pillow may use (JPEG covers the MPO of phones, too). Others start programs (EPS) or are no photos.
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")

# Twice Pillow's warning threshold: where its reader, and so Detectron2's, refuses a photo. A small file can claim
# any size.
MAX_PIXELS = 2 * 89_478_485

# Where Pillow keeps the EXIF orientation, and the values that swap width and height.
_ORIENTATION = 0x0112
_SWAPPING = (5, 6, 7, 8)

# Two pictures are compared as grey thumbnails of this side. On 18 photos of one table, a copy saved anew as JPEG
# differed by 0.2 of 255 levels on average at most, another photo by 29 at least.
_THUMBNAIL = 32
_SAME_PICTURE = 6.0


class ImageError(Exception):
    """A picture that cannot be used; ``rule`` says in which way."""

    def __init__(self, rule: Rule, message: str):
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says: size as stored, EXIF orientation (1 to 8) and format (Pillow's name)."""

    stored_size: tuple[int, int]
    orientation: int
    format: str

    @property
    def size(self) -> tuple[int, int]:
        """Size as shown."""
        return self.stored_size[::-1] if self.orientation in _SWAPPING else self.stored_size


@dataclass(frozen=True, slots=True)
class Photo:
    """The photo of an annotation file.

    Attributes:
        path: with POSIX slashes; relative to the LabelMe folder, or to the dataset folder where ``embedded``.
        size: (width, height) as shown.
        embedded: it exists in imageData only, and has to be written out.
    """

    path: str
    size: tuple[int, int]
    embedded: bool = False


@dataclass(frozen=True, slots=True)
class Standalone:
    """An embedded picture as a file of its own: its bytes, the suffix for its name, its size as shown."""

    content: bytes
    suffix: str
    size: tuple[int, int]


def read_header(source: Path | bytes) -> Header:
    """Size, orientation and format of a picture, from its header; no pixel is decoded.

    Raises:
        ImageError: it is no picture, too large, or a TIFF that readers turn differently.
    """
    with _opened(source) as (image, stream):
        return _header(image, stream)


def load_photo(path: Path) -> Image.Image:
    """The photo in RGB as it is shown.

    Raises:
        OSError, ImageError: there is no such file, or it is no picture that can be used.
    """
    with _opened(path) as (image, stream):
        orientation = _header(image, stream).orientation
        return turned(image.convert("RGB"), orientation)


def find_photo(root: Path, file: str, record: AnnotationFile) -> tuple[Photo | None, list[Finding]]:
    """The photo of an annotation file, by evidence, and what there is to say about the choice.

    Tried in turn: imagePath; its base name beside the file; the file's own stem; imageData. A photo has to exist and to
    have the size that the file says. A later one wins where only its bytes are those of imageData.

    Args:
        root: the LabelMe folder; no photo outside is looked at.
        file: the annotation file, relative to root, with POSIX slashes.
        record: what it says.
    """
    embedded = _decode_base64(record.image_data)
    try:
        paths = _candidates(root, file, record.image_path)
    except ImageError as error:
        return None, [Finding(error.rule, file, "imagePath", str(error))]
    fitting, failures = _judge(root, paths, record, embedded)
    if not fitting:
        return _fall_back(file, record, embedded, failures)
    photo = _closest(root, fitting, embedded)
    findings = []
    if failures or photo.path != paths[0] or not _leads_to(file, record.image_path, photo.path):
        reasons = "; ".join(f"{error}" for _, error in failures)
        said = f"imagePath is {record.image_path!r}, '{photo.path}' was taken"
        findings.append(Finding(Rule.PHOTO_ELSEWHERE, file, "imagePath", said + (f" ({reasons})" if reasons else "")))
    if embedded and (difference := _difference(root / photo.path, photo.size, embedded)):
        findings.append(Finding(Rule.IMAGE_DATA_DIFFERS, file, "imageData", difference))
    return photo, findings


def standalone(image_data: str | None, expected: tuple[int | None, int | None] = (None, None)) -> Standalone:
    """The embedded picture as a file that every reader shows in the frame of the points.

    LabelMe shows embedded bytes without regard to an EXIF flag in them, and turns a photo before it embeds it; so the
    points belong to the bytes as stored. A reader that honours the flag would turn them (again): a picture with a flag
    is therefore stored anew, as PNG, without it. Only where the file's own sizes say that the points belong to the
    turned picture, the bytes are left alone.

    Args:
        image_data: base64.
        expected: (width, height) that the annotation file says; None where it says nothing.

    Raises:
        ImageError: it is no picture, cannot be decoded, is too large, or has another size than the file says.
    """
    content = _decode_base64(image_data)
    if not content:
        raise ImageError(Rule.PHOTO_UNREADABLE, "imageData is no base64")
    with _opened(content) as (image, stream):
        header = _header(image, stream)
        flagged = header.orientation != 1
        if flagged and not _agrees(header.stored_size, expected) and _agrees(header.size, expected):
            flagged = False
        size = header.stored_size if flagged else header.size
        if not _agrees(size, expected):
            raise ImageError(Rule.SIZE_MISMATCH, _mismatch("imageData", header, expected))
        image.load()
        if header.format in ("JPEG", "MPO", "PNG") and not flagged:
            return Standalone(content, ".png" if header.format == "PNG" else ".jpg", size)
        return Standalone(_as_png(image), ".png", size)


def is_photo_name(name: str) -> bool:
    """Whether a file name ends as a photo's does."""
    return posixpath.splitext(name)[1].lower() in SUFFIXES


@contextmanager
def _opened(source: Path | bytes) -> Iterator[tuple[Image.Image, io.IOBase]]:
    """A picture and its stream, header read; whatever Pillow raises inside the block becomes an ImageError."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd EXIF data; both are checked here
        try:
            with Image.open(stream, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                yield image, stream
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            raise ImageError(Rule.PHOTO_TOO_LARGE, f"{error}; the limit is {MAX_PIXELS:,} pixels") from error
        except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
            raise ImageError(Rule.PHOTO_UNREADABLE, f"{error or type(error).__name__}") from error


def _header(image: Image.Image, stream: io.IOBase) -> Header:
    orientation = _orientation(image, stream)
    # Pillow turns a TIFF while it decodes, Detectron2 turns the result once more, LabelMe does not turn it at all. Nor
    # does LabelMe look for the flag in XMP, where Detectron2 finds it.
    in_exif = "exif" in image.info or "Raw profile type exif" in image.info
    if orientation != 1 and (image.format == "TIFF" or not in_exif):
        raise ImageError(Rule.ORIENTATION_UNSAFE, f"orientation {orientation}")
    return Header(image.size, orientation, image.format)


def _orientation(image: Image.Image, stream: io.IOBase) -> int:
    """The EXIF orientation as Detectron2 sees it: 1 where there is none, or none that makes sense."""
    if image.format == "PNG" and "exif" not in image.info and not _has_late_metadata(stream):
        # PngImageFile.getexif() decodes the whole picture, to look for chunks behind the pixels: there are none.
        exif = Image.Image.getexif(image)
    else:
        try:
            exif = image.getexif()
        except Exception:  # Detectron2 takes a photo whose EXIF cannot be read as not turned, whatever was raised
            return 1
    value = exif.get(_ORIENTATION)
    return value if value in range(1, 9) else 1


def _has_late_metadata(stream: io.IOBase) -> bool:
    """Whether a PNG has anything but pixels and the end after its first pixels. Leaves the stream where it was."""
    before = stream.tell()
    stream.seek(8)  # the signature
    seen_pixels, late = False, False
    while len(head := stream.read(8)) == 8:
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        late |= seen_pixels and kind not in (b"IDAT", b"IEND")
        seen_pixels |= kind == b"IDAT"
        stream.seek(length + 4, os.SEEK_CUR)  # the data and their checksum
    stream.seek(before)
    return late


def _candidates(root: Path, file: str, image_path: str | None) -> list[str]:
    """Where the photo may be, most trusted first, relative to root, without repeats; it need not exist there."""
    folder, stem = posixpath.dirname(file), posixpath.splitext(posixpath.basename(file))[0]
    paths = []
    if named := _slashes(image_path):
        if _is_absolute(named):
            inside = posixpath.relpath(named, root.as_posix()) if named.startswith("/") else ".."
            paths += [inside] if not _leaves(inside) else []
        else:
            inside = posixpath.normpath(posixpath.join(folder, named))
            if _leaves(inside):
                raise ImageError(Rule.PHOTO_LEAVES_ROOT, f"it is {image_path!r}")
            paths.append(inside)
        paths.append(posixpath.join(folder, posixpath.basename(named)))
    if is_photo_name(stem):  # x.png.json
        paths.append(posixpath.join(folder, stem))
    paths += [posixpath.join(folder, stem + suffix) for lower in SUFFIXES for suffix in (lower, lower.upper())]
    return list(dict.fromkeys(paths))


def _slashes(image_path: str | None) -> str:
    return (image_path or "").replace("\\", "/").replace("\0", "")


def _is_absolute(path: str) -> bool:
    return path.startswith("/") or re.match(r"[A-Za-z]:", path) is not None


def _leaves(path: str) -> bool:
    return path == ".." or path.startswith("../")


def _leads_to(file: str, image_path: str | None, photo: str) -> bool:
    """Whether imagePath itself, relative to the file, is the photo."""
    named = _slashes(image_path)
    return bool(named) and posixpath.normpath(posixpath.join(posixpath.dirname(file), named)) == photo


def _judge(
    root: Path, paths: list[str], record: AnnotationFile, embedded: bytes
) -> tuple[list[Photo], list[tuple[str, ImageError]]]:
    """The candidates that exist and fit, and those that exist and do not, with the reason.

    Without imageData the first that fits decides, and the rest is not opened.
    """
    expected = _expected_size(record, embedded)
    fitting: list[Photo] = []
    failures: list[tuple[str, ImageError]] = []
    for path in paths:
        if not (root / path).is_file():
            continue
        try:
            header = read_header(root / path)
            if not _agrees(header.size, expected):
                raise ImageError(Rule.SIZE_MISMATCH, _mismatch(path, header, expected))
        except ImageError as error:
            failures.append((path, error))
            continue
        fitting.append(Photo(path, header.size))
        if not embedded:
            break
    return fitting, failures if not fitting else [
        failure for failure in failures if paths.index(failure[0]) < paths.index(fitting[0].path)
    ]


def _expected_size(record: AnnotationFile, embedded: bytes) -> tuple[int | None, int | None]:
    """(width, height) that the file says; where it says neither, that of the embedded picture."""
    if record.image_width is None and record.image_height is None and embedded:
        try:
            return read_header(embedded).stored_size
        except ImageError:
            pass  # a broken imageData says nothing; the photo beside it may be whole
    return record.image_width, record.image_height


def _agrees(size: tuple[int, int], expected: tuple[int | None, int | None]) -> bool:
    return all(said is None or said == is_ for said, is_ in zip(expected, size))


def _mismatch(name: str, header: Header, expected: tuple[int | None, int | None]) -> str:
    width, height = ("?" if value is None else value for value in expected)
    text = f"'{name}' is {header.size[0]} x {header.size[1]}, the file says {width} x {height}"
    if _agrees(header.stored_size, expected):
        text += f": it was annotated without regard to the EXIF orientation {header.orientation}"
    return text


def _closest(root: Path, fitting: list[Photo], embedded: bytes) -> Photo:
    """The first photo, unless another one is byte by byte what was annotated."""
    if len(fitting) == 1:
        return fitting[0]
    return next((photo for photo in fitting if _has_bytes(root / photo.path, embedded)), fitting[0])


def _has_bytes(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content


def _difference(path: Path, size: tuple[int, int], embedded: bytes) -> str | None:
    """How the embedded picture differs from the photo, in words; None if it shows the same.

    LabelMe embeds the photo's bytes, or the turned photo saved again: pixels are decoded only where the bytes differ.
    """
    if _has_bytes(path, embedded):
        return None
    try:
        width, height = read_header(embedded).stored_size
        if (width, height) != size:
            return f"it is {width} x {height}, the photo {size[0]} x {size[1]}"
        distance = float(np.abs(_thumbnail(embedded, turn=False) - _thumbnail(path, turn=True)).mean())
    except ImageError as error:
        return f"one of them cannot be decoded: {error}"
    return f"their grey levels differ by {distance:.0f} of 255 on average" if distance > _SAME_PICTURE else None


def _thumbnail(source: Path | bytes, turn: bool) -> np.ndarray:
    with _opened(source) as (image, stream):
        orientation = _orientation(image, stream) if turn else 1
        image.draft("L", (_THUMBNAIL * 4, _THUMBNAIL * 4))  # lets the JPEG reader decode an eighth of the pixels
        small = image.convert("RGB").convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
        return np.asarray(turned(small, orientation), dtype=np.float32)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """A picture as it is shown, given its EXIF orientation (1 to 8; CIPA DC-008, tag 0x0112)."""
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def _fall_back(
    file: str, record: AnnotationFile, embedded: bytes, failures: list[tuple[str, ImageError]]
) -> tuple[Photo | None, list[Finding]]:
    """The embedded picture, since no photo fits; without one, the findings say why no photo does."""
    reasons = [str(error) for _, error in failures] or [f"imagePath is {record.image_path!r}"]
    if record.image_data:
        try:
            written = standalone(record.image_data, (record.image_width, record.image_height))
        except ImageError as error:
            return None, [Finding(error.rule, file, "imageData", "; ".join([str(error), *reasons]))]
        path = f"images/{posixpath.splitext(file)[0]}{written.suffix}"
        return Photo(path, written.size, embedded=True), [
            Finding(Rule.PHOTO_WRITTEN_OUT, file, "imageData", "; ".join(reasons))
        ]
    rule = failures[0][1].rule if failures else Rule.PHOTO_MISSING
    return None, [Finding(rule, file, "imagePath", "; ".join(reasons))]


def _decode_base64(text: str | None) -> bytes:
    """The bytes; none where there is no text, or the text is no base64."""
    try:
        return base64.b64decode(text or "")
    except (binascii.Error, ValueError):
        return b""


def _as_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    if image.mode not in ("1", "L", "P", "RGB", "RGBA", "I;16"):
        image = image.convert("RGB")
    image.save(stream, "PNG")
    return stream.getvalue()
