"""What the header of a picture says: its size as it is shown, its orientation, its format.

Sizes are (width, height) in pixels after the EXIF orientation is applied: the frame in which LabelMe shows a photo and
in which Detectron2's ``read_image`` hands it to the model.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from dataset_tools.files import opened_for_reading
from dataset_tools.findings import Finding, Rule
from dataset_tools.geometry.polygons import MAX_PIXELS

# The readers that Pillow may use (JPEG covers the MPO of phones, too). Others start programs (EPS) or are not photos.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")

# Where Pillow finds it: in EXIF data or, failing that, in XMP.
_METADATA = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}

# Where Pillow keeps the EXIF orientation, and the values that swap width and height.
_ORIENTATION = 0x0112
SWAPPING = (5, 6, 7, 8)

# Modes of Pillow's with more than 8 bits a level. Its conversion to RGB, which Detectron2 reads with, cuts them at 255.
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")


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
        return self.stored_size[::-1] if self.orientation in SWAPPING else self.stored_size


def read_header(source: Path | str | bytes) -> Header:
    """Size, orientation and format of a picture, from its header; no pixel is decoded.

    Raises:
        ImageError: it is not a picture, too large, or a TIFF that readers turn differently.
    """
    with opened_picture(source) as (image, stream):
        return header_of(image, stream)


@contextmanager
def opened_picture(source: Path | str | bytes) -> Iterator[tuple[Image.Image, io.IOBase]]:
    """A picture and its stream, header read; whatever Pillow raises inside the block becomes an ImageError."""
    with io.BytesIO(source) if isinstance(source, bytes) else opened_for_reading(source) as stream:
        try:
            with Image.open(stream, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                yield image, stream
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            raise ImageError(Rule.PHOTO_TOO_LARGE, f"{error}; the limit is {MAX_PIXELS:,} pixels") from error
        except UnidentifiedImageError as error:  # its message names an object in memory
            raise ImageError(Rule.PHOTO_UNREADABLE, "it is not a picture of a known format") from error
        except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
            raise ImageError(Rule.PHOTO_UNREADABLE, f"{error or type(error).__name__}") from error


def header_of(image: Image.Image, stream: io.IOBase) -> Header:
    orientation = orientation_of(image, stream)
    if image.mode in _DEEP_MODES:
        raise ImageError(Rule.PHOTO_UNREADABLE, "it has more than 8 bits a level, and training would see it white")
    # Pillow turns a TIFF while it decodes, Detectron2 turns the result once more, LabelMe does not turn it at all. Nor
    # does LabelMe look for the flag in XMP, where Detectron2 finds it.
    in_exif = "exif" in image.info or "Raw profile type exif" in image.info
    if orientation != 1 and (image.format == "TIFF" or not in_exif):
        raise ImageError(Rule.ORIENTATION_UNSAFE, f"orientation {orientation}")
    return Header(image.size, orientation, str(image.format))  # None is for pictures made in memory


def orientation_of(image: Image.Image, stream: io.IOBase) -> int:
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
    value = exif.get(_ORIENTATION, 1)
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


def agrees(size: tuple[int, int], expected: tuple[float | None, float | None]) -> bool:
    """Whether a size is what a file says, where it says anything."""
    width, height = expected
    return (width is None or width == size[0]) and (height is None or height == size[1])


def describe_mismatch(name: str, header: Header, expected: tuple[float | None, float | None]) -> str:
    """How a picture's size differs from what the file says, as text."""
    width, height = ("?" if value is None else f"{value:g}" for value in expected)
    text = f"'{name}' is {header.size[0]} x {header.size[1]}, the file says {width} x {height}"
    if agrees(header.stored_size, expected):
        text += f": it was annotated without regard to the EXIF orientation {header.orientation}"
    return text


def fit_size(size: tuple[int, int], max_size: int | None) -> tuple[int, int]:
    """The (width, height) of a picture once its longer side is ``max_size`` at most; None keeps it."""
    if max_size is None or max(size) <= max_size:
        return size
    width, height = (max(1, round(side * max_size / max(size))) for side in size)
    return width, height


def photo_size(
    root: Path, photo: str, claims: Iterable[tuple[str, tuple[float | None, float | None]]] = ()
) -> tuple[int, int] | Finding:
    """The size of a photo as it is shown; or else what is wrong with it.

    Args:
        root: the folder of the photos.
        photo: relative to it; the finding is about it.
        claims: places, and the (width, height) that each says the photo has; None for what it does not say.
    """
    try:
        header = read_header(f"{root}/{photo}")
    except ImageError as error:
        return Finding(error.rule, photo, message=str(error))
    except OSError as error:
        return Finding(Rule.PHOTO_UNREADABLE, photo, message=error.strerror or str(error))
    for place, said in claims:
        if not agrees(header.size, said):
            return Finding(Rule.SIZE_MISMATCH, photo, place, describe_mismatch(photo, header, said))
    return header.size
