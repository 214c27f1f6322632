"""Pictures: their size as it is shown, their pixels upright, and the one embedded in an annotation file.

Sizes are (width, height) in pixels after the EXIF orientation is applied: the frame in which LabelMe shows a photo and
in which Detectron2's ``read_image`` hands it to the model.
"""

from __future__ import annotations

import io
import os
import posixpath
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from dataset_tools.files import opened_for_reading, read_start
from dataset_tools.findings import Rule

# What a photo's name may end with, in the order in which they are tried (in lower and in upper case).
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")

# The readers that Pillow may use (JPEG covers the MPO of phones, too). Others start programs (EPS) or are no photos.
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")

# Twice Pillow's warning threshold: where its reader, and so Detectron2's, refuses a photo. A small file can claim
# any size.
MAX_PIXELS = 2 * 89_478_485

# Where Pillow finds it: in EXIF data or, failing that, in XMP.
_METADATA = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}

# Where Pillow keeps the EXIF orientation, and the values that swap width and height.
_ORIENTATION = 0x0112
_SWAPPING = (5, 6, 7, 8)

# Two pictures are compared as grey thumbnails of this side. On 18 photos of one table, a copy saved anew as JPEG
# differed by 0.2 of 255 levels on average at most, another photo by 29 at least.
_THUMBNAIL = 32
_SAME_PICTURE = 6.0


# Bytes in which a JPEG without metadata has its tables; and the markers that it may have before its pixels: tables,
# comments, JFIF's, frames and the scan itself. All others, metadata above all, are for Pillow.
_PLAIN_JPEG_HEADER = 4096
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
_JPEG_SCAN = 0xDA
_PLAIN_JPEG_MARKERS = frozenset((*_JPEG_FRAMES, _JPEG_SCAN, 0xC4, 0xDB, 0xDD, 0xE0, 0xFE))

# Modes of Pillow's with more than 8 bits a level. Its conversion to RGB, which Detectron2 reads with, cuts them at 255.
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")

# A JPEG that is saved again at this quality shows no trace of it at the usual magnification.
_JPEG_QUALITY = 95

# By which a JPEG can be decoded at a fraction of its size: the inverse DCT of fewer coefficients, in libjpeg.
_REDUCTIONS = (8, 4, 2)

# Formats whose files can stay as they are, and the suffix that says so.
_KEPT_FORMATS = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png"}


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
class Standalone:
    """An embedded picture as a file of its own: its bytes, the suffix for its name, its size as shown."""

    content: bytes
    suffix: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Pixels:
    """A photo as it is shown: (H, W, C) uint8, of which each pixel stands for ``scale`` x ``scale`` of the file's."""

    array: np.ndarray
    scale: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the photo in full."""
        height, width = self.array.shape[:2]
        return width * self.scale, height * self.scale


def read_header(source: Path | str | bytes) -> Header:
    """Size, orientation and format of a picture, from its header; no pixel is decoded.

    Raises:
        ImageError: it is no picture, too large, or a TIFF that readers turn differently.
    """
    if plain := _plain_jpeg(source):
        return plain
    with _opened(source) as (image, stream):
        return _header(image, stream)


def _plain_jpeg(source: Path | str | bytes) -> Header | None:
    """The header of a JPEG without metadata, by its markers (ITU-T T.81, annex B); None for everything else.

    That is most photos that a program has saved, and told in a third of the time that Pillow takes.
    """
    start = source[:_PLAIN_JPEG_HEADER] if isinstance(source, bytes) else read_start(source, _PLAIN_JPEG_HEADER)
    if not start.startswith(b"\xff\xd8"):
        return None
    position, size = 2, None
    while position + 10 <= len(start) and start[position] == 0xFF and start[position + 1] in _PLAIN_JPEG_MARKERS:
        marker = start[position + 1]
        if marker in _JPEG_FRAMES:
            if size is not None or start[position + 4] != 8 or start[position + 9] not in (1, 3):
                return None
            size = struct.unpack_from(">HH", start, position + 5)[::-1]
        if marker == _JPEG_SCAN:
            return Header(size, 1, "JPEG") if size and 0 < size[0] * size[1] <= MAX_PIXELS else None
        position += 2 + (start[position + 2] << 8 | start[position + 3])
    return None


def load_photo(source: Path | bytes) -> Image.Image:
    """The photo in RGB as it is shown, from its path or its bytes.

    Raises:
        OSError, ImageError: there is no such file, or it is no picture that can be used.
    """
    with _opened(source) as (image, stream):
        orientation = _header(image, stream).orientation
        return turned(image.convert("RGB"), orientation)


def read_pixels(path: Path | str, mode: str, needed: tuple[int, int] | None = None) -> Pixels:
    """A photo as an array, upright: what everything that shows photos to a model reads them with.

    In full they are the pixels of Detectron2's ``read_image``, for every file that it reads. A photo that is needed
    much smaller is decoded at a half, a quarter or an eighth, if it is a JPEG whose sides can be divided by that: the
    pixels then lie as those of the full photo do, and a resize needs to know of nothing else.

    Args:
        path: of the file.
        mode: "RGB", "BGR" or "L".
        needed: the least (width, height) that will do, as it is shown. None: in full.

    Raises:
        OSError: there is no such file, or it is no photo.
        SyntaxError, ValueError: it is a broken one; Pillow's readers have many words.
    """
    with open(path, "rb") as stream:
        image = Image.open(stream)
        orientation, scale = _orientation(image, stream), 1
        if needed and image.format in ("JPEG", "MPO"):
            scale = _reduction(image.size, needed[::-1] if orientation in _SWAPPING else needed)
        if scale > 1:
            image.draft(None, (image.width // scale, image.height // scale))
        image, wanted = turned(image, orientation), "L" if mode == "L" else "RGB"
        array = np.asarray(image if image.mode == wanted else image.convert(wanted))  # which would copy it
    if mode == "L":
        return Pixels(array[:, :, None], scale)
    return Pixels(array[:, :, ::-1] if mode == "BGR" else array, scale)


def _reduction(size: tuple[int, int], needed: tuple[int, int]) -> int:
    """The largest reduction that leaves the size that is needed, and whole pixels."""
    for scale in _REDUCTIONS:
        if all(side % scale == 0 and side // scale >= least for side, least in zip(size, needed, strict=True)):
            return scale
    return 1


def standalone(content: bytes | None, expected: tuple[int | None, int | None] = (None, None)) -> Standalone:
    """The embedded picture as a file that every reader shows in the frame of the points.

    LabelMe shows embedded bytes without regard to an EXIF flag in them, and turns a photo before it embeds it; so the
    points belong to the bytes as stored. A reader that honours the flag would turn them (again): a picture with a flag
    is therefore stored anew, as PNG, without it. Only where the file's own sizes say that the points belong to the
    turned picture, it is kept as it is shown.

    Args:
        content: the picture file.
        expected: (width, height) that the annotation file says; None where it says nothing.

    Raises:
        ImageError: it is no picture, cannot be decoded, is too large, or has another size than the file says.
    """
    if not content:
        raise ImageError(Rule.PHOTO_UNREADABLE, "imageData is no base64")
    with _opened(content) as (image, stream):
        header = _header(image, stream)
        flagged = header.orientation != 1
        if flagged and not agrees(header.stored_size, expected) and agrees(header.size, expected):
            flagged = False
        size = header.stored_size if flagged else header.size
        if not agrees(size, expected):
            raise ImageError(Rule.SIZE_MISMATCH, mismatch("imageData", header, expected))
        image.load()
        if header.format in _KEPT_FORMATS and not flagged:
            return Standalone(content, _KEPT_FORMATS[header.format], size)
        # A PNG without a flag: what belongs to the turned picture has to be turned now.
        return Standalone(_as_png(image if flagged else turned(image, header.orientation)), ".png", size)


def is_photo_name(name: str) -> bool:
    """Whether a file name ends as a photo's does."""
    return posixpath.splitext(name)[1].lower() in SUFFIXES


@contextmanager
def _opened(source: Path | str | bytes) -> Iterator[tuple[Image.Image, io.IOBase]]:
    """A picture and its stream, header read; whatever Pillow raises inside the block becomes an ImageError."""
    with io.BytesIO(source) if isinstance(source, bytes) else io.BufferedReader(opened_for_reading(source)) as stream:
        try:
            with Image.open(stream, formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                yield image, stream
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            raise ImageError(Rule.PHOTO_TOO_LARGE, f"{error}; the limit is {MAX_PIXELS:,} pixels") from error
        except UnidentifiedImageError as error:  # its message names an object in memory
            raise ImageError(Rule.PHOTO_UNREADABLE, "it is no picture of a known format") from error
        except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
            raise ImageError(Rule.PHOTO_UNREADABLE, f"{error or type(error).__name__}") from error


def _header(image: Image.Image, stream: io.IOBase) -> Header:
    orientation = _orientation(image, stream)
    if image.mode in _DEEP_MODES:
        raise ImageError(Rule.PHOTO_UNREADABLE, "it has more than 8 bits a level, and training would see it white")
    # Pillow turns a TIFF while it decodes, Detectron2 turns the result once more, LabelMe does not turn it at all. Nor
    # does LabelMe look for the flag in XMP, where Detectron2 finds it.
    in_exif = "exif" in image.info or "Raw profile type exif" in image.info
    if orientation != 1 and (image.format == "TIFF" or not in_exif):
        raise ImageError(Rule.ORIENTATION_UNSAFE, f"orientation {orientation}")
    return Header(image.size, orientation, image.format)


def _orientation(image: Image.Image, stream: io.IOBase) -> int:
    """The EXIF orientation as Detectron2 sees it: 1 where there is none, or none that makes sense."""
    if image.format == "JPEG" and not _METADATA & image.info.keys():
        return 1
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


def agrees(size: tuple[int, int], expected: tuple[int | None, int | None]) -> bool:
    """Whether a size is what a file says, where it says anything."""
    width, height = expected
    return (width is None or width == size[0]) and (height is None or height == size[1])


def mismatch(name: str, header: Header, expected: tuple[int | None, int | None]) -> str:
    """In words, how a picture's size is not what the file says."""
    width, height = ("?" if value is None else value for value in expected)
    text = f"'{name}' is {header.size[0]} x {header.size[1]}, the file says {width} x {height}"
    if agrees(header.stored_size, expected):
        text += f": it was annotated without regard to the EXIF orientation {header.orientation}"
    return text


def has_bytes(path: Path | str, content: bytes) -> bool:
    """Whether a file holds just this."""
    return read_start(path, len(content) + 1) == content


def difference(path: Path, size: tuple[int, int], embedded: bytes) -> str | None:
    """How the embedded picture differs from the photo, in words; None if it shows the same.

    LabelMe embeds the photo's bytes, or the turned photo saved again: pixels are decoded only where the bytes differ.
    """
    if has_bytes(path, embedded):
        return None
    try:
        width, height = read_header(embedded).stored_size
        if (width, height) != size:
            return f"it is {width} x {height}, the photo {size[0]} x {size[1]}"
        distance = float(np.abs(_levels(thumbnail(embedded, turn=False)) - _levels(thumbnail(path))).mean())
    except ImageError as error:
        return f"one of them cannot be decoded: {error}"
    return f"their grey levels differ by {distance:.0f} of 255 on average" if distance > _SAME_PICTURE else None


def thumbnail(source: Path | bytes, turn: bool = True) -> Image.Image:
    """A picture in grey, small and square; cheap, for a JPEG is decoded at an eighth of its size.

    Args:
        source: its path, or its bytes.
        turn: as its EXIF orientation says.

    Raises:
        OSError, ImageError: there is no such file, or it is no picture that can be used.
    """
    with _opened(source) as (image, stream):
        orientation = _orientation(image, stream) if turn else 1
        image.draft("L", (_THUMBNAIL * 4, _THUMBNAIL * 4))
        small = image.convert("RGB").convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
        return turned(small, orientation)


def _levels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, dtype=np.float32)


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


def fitted(size: tuple[int, int], max_size: int | None) -> tuple[int, int]:
    """The (width, height) of a picture once its longer side is ``max_size`` at most; None keeps it."""
    if max_size is None or max(size) <= max_size:
        return size
    return tuple(max(1, round(side * max_size / max(size))) for side in size)


def upright(source: Path | bytes, size: tuple[int, int], suffix: str) -> bytes:
    """A picture as a file that shows it upright at a (width, height).

    Args:
        source: its path, or its bytes.
        size: what it is to have; its own size for no scaling.
        suffix: ``.jpg`` or ``.jpeg`` for a JPEG, any other for a PNG. A file that is right as it is stays as it is.

    Raises:
        OSError, ImageError: there is no such file, or it is no picture that can be used.
    """
    is_jpeg = suffix.lower() in (".jpg", ".jpeg")
    with _opened(source) as (image, stream):
        header = _header(image, stream)
        if header.orientation == 1 and header.size == size and (header.format == "PNG") != is_jpeg:
            image.load()  # all of it has to be there
            stream.seek(0)
            return stream.read()
        picture = turned(image.convert("RGB"), header.orientation)
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
    written = io.BytesIO()
    if is_jpeg:
        picture.save(written, "JPEG", quality=_JPEG_QUALITY)
    else:
        picture.save(written, "PNG")
    return written.getvalue()


def _as_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    if image.mode not in ("1", "L", "P", "RGB", "RGBA"):
        image = image.convert("RGB")
    image.save(stream, "PNG")
    return stream.getvalue()
