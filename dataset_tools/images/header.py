"""Which photos are taken, and what their headers say: size as they are shown, orientation, format.

Every command opens photos with ``opened_photo`` here, and so no two of them differ about one. docs/datasets.md has the
table. Sizes are (width, height) in pixels after the EXIF orientation is applied: the frame in which LabelMe shows a
photo and in which Detectron2's ``read_image`` hands it to the model.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from dataset_tools.files import opened_for_reading
from dataset_tools.findings import Finding, Rule
from dataset_tools.geometry.polygons import MAX_PIXELS

# The readers that Pillow may use (JPEG covers the MPO of phones, too). Others start programs (EPS) or are not photos.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")

# Pillow's modes that become RGB as everybody sees them. Transparency is left out: a pixel has the colour below it.
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")

# Of whole grey levels of more than 8 bits, which Pillow cuts at 255. Of colours it keeps the upper 8 bits.
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")

# The first bytes of HEIC, from the fourth on: the box of file types, and the first of these.
_HEIC = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"))

# What begins the codestream of JPEG 2000 (markers SOC and SIZ), and how far behind it the bits of a level stand.
_CODESTREAM, _PRECISION = b"\xff\x4f\xff\x51", 42

# TIFF's tag of the bits of each level.
_BITS_PER_SAMPLE = 258

# Where Pillow finds it: in EXIF data or, failing that, in XMP.
_METADATA = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}

# Where Pillow keeps the EXIF orientation, and the values that swap width and height.
_ORIENTATION = 0x0112
SWAPPING = (5, 6, 7, 8)


class ImageError(Exception):
    """A picture that cannot be used; ``rule`` says in which way."""

    def __init__(self, rule: Rule, message: str):
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Header:
    """What a picture's header says.

    Attributes:
        stored_size: size as stored.
        orientation: in EXIF, 1 to 8.
        format: Pillow's name.
        frames: pages, or frames of an animation, of which the first is the photo.
    """

    stored_size: tuple[int, int]
    orientation: int
    format: str
    frames: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Size as shown."""
        return self.stored_size[::-1] if self.orientation in SWAPPING else self.stored_size


def read_header(source: Path | str | bytes) -> Header:
    """The header of a picture; pixels are decoded only where their levels have more than 8 bits.

    Raises:
        OSError, ImageError: as ``opened_photo``.
    """
    with opened_photo(source) as (_, header, _):
        return header


@contextmanager
def opened_photo(source: Path | str | bytes) -> Iterator[tuple[Image.Image, Header, io.IOBase]]:
    """A picture that can be used, its header and its stream: the one way to the photos of all commands.

    ``image.convert("RGB")`` is the picture as it is stored, with 8 bits a level.

    Raises:
        OSError: there is no such file, or it is not a regular one.
        ImageError: it is not a picture, is too large, or is one that can be seen in two ways: a TIFF that readers turn
            differently, levels of more than 8 bits. So does whatever Pillow raises inside the block.
    """
    with io.BytesIO(source) if isinstance(source, bytes) else opened_for_reading(source) as stream:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of half the limit here
                image: ImageFile = Image.open(stream, formats=FORMATS)
            with image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                yield image, _header_of(image, stream), stream
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            raise ImageError(Rule.PHOTO_TOO_LARGE, f"{error}; the limit is {MAX_PIXELS:,} pixels") from error
        except UnidentifiedImageError as error:  # its message names an object in memory
            raise ImageError(Rule.PHOTO_UNREADABLE, _what_it_is(stream)) from error
        except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
            raise ImageError(Rule.PHOTO_UNREADABLE, f"{error or type(error).__name__}") from error


def _what_it_is(stream: io.IOBase) -> str:
    """What Pillow cannot open, as text."""
    stream.seek(4)
    if stream.read(8) in _HEIC:
        return "it is a HEIC photo, which Pillow does not read: export it as JPEG"
    return "it is not a picture of a known format"


def _header_of(image: ImageFile, stream: io.IOBase) -> Header:
    orientation = _orientation_of(image, stream)
    # Pillow turns a TIFF while it decodes, Detectron2 turns the result once more, LabelMe does not turn it at all. Nor
    # does LabelMe look for the flag in XMP, where Detectron2 finds it.
    in_exif = "exif" in image.info or "Raw profile type exif" in image.info
    if orientation != 1 and (image.format == "TIFF" or not in_exif):
        raise ImageError(Rule.ORIENTATION_UNSAFE, f"orientation {orientation}")
    # The further pictures of a phone's MPO are the same view once more.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    _check_levels(image, stream)
    return Header(image.size, orientation, str(image.format), frames)  # no format is for pictures made in memory


def _check_levels(image: ImageFile, stream: io.IOBase) -> None:
    """Whether the levels of a picture are of 8 bits, or become these in one way only.

    Grey up to 255 is. So are colours that need all their bits, as those of a photo that was developed with 16: Pillow
    reads the upper 8, which is a division by 257 to within a level. Where the highest bit is never set, nothing says how
    many bits the camera had.

    Raises:
        ImageError: they do not.
    """
    if image.mode in _DEEP_MODES:
        levels = np.asarray(image)
        is_clear = levels.min() >= 0 and levels.max() <= 255
    elif image.mode not in _MODES:
        raise ImageError(
            Rule.PHOTO_UNREADABLE, f"its levels, in Pillow's mode {image.mode}, are not colours of a screen"
        )
    elif _has_deep_colours(image, stream):
        is_clear = image.mode in ("RGB", "RGBA") and np.asarray(image.convert("RGB")).max() >= 128
    else:
        return
    if not is_clear:
        reason = "it has more than 8 bits a level, and which of them are black and white is not known"
        raise ImageError(Rule.PHOTO_UNREADABLE, reason)


def _has_deep_colours(image: ImageFile, stream: io.IOBase) -> bool:
    """Whether a picture in colour, before it is decoded, has levels of more than 8 bits.

    Raises:
        ImageError: it has, and Pillow 13 misreads it: planes of a TIFF as noise, white of JPEG 2000 as black.
    """
    reader = image.tile[0].args if image.tile else None
    if image.format == "PPM":
        return isinstance(reader, tuple) and reader[-1] > 255  # its highest level, where it is not 255
    if isinstance(image, TiffImageFile):
        is_deep = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,))) > 8
    elif image.format == "JPEG2000":
        is_deep = _jpeg2000_bits(stream) > 8
    else:
        is_deep = image.format == "PNG" and ";16" in str(reader)
    if is_deep and ";16" not in str(reader):
        raise ImageError(
            Rule.PHOTO_UNREADABLE, "it has more than 8 bits a level, and Pillow misreads this kind of file"
        )
    return is_deep


def _jpeg2000_bits(stream: io.IOBase) -> int:
    """Of each level. Leaves the stream where it was."""
    before = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(before)
    return (content[content.find(_CODESTREAM) + _PRECISION] & 0x7F) + 1  # the eighth bit says whether there is a sign


def _orientation_of(image: Image.Image, stream: io.IOBase) -> int:
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


def photo_header(
    root: Path, photo: str, claims: Iterable[tuple[str, tuple[float | None, float | None]]] = ()
) -> Header | Finding:
    """The header of a photo; or else what is wrong with it.

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
    return header
