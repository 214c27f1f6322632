"""The picture embedded in an annotation file: as a separate file, and compared with a photo."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from dataset_tools.files import opened_for_reading
from dataset_tools.findings import Rule
from dataset_tools.images.header import ImageError, agrees, describe_mismatch, opened_photo, read_header
from dataset_tools.images.pixels import grey_thumbnail, turn_upright

# Two pictures are compared as grey thumbnails. On 18 photos of one table, a copy saved again as JPEG differed by 0.2 of
# 255 levels on average at most, another photo by 29 at least.
_SAME_PICTURE = 6.0

# Formats whose files can stay as they are, and the suffix that says so.
_KEPT_FORMATS = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png"}


@dataclass(frozen=True, slots=True)
class EmbeddedPicture:
    """An embedded picture as a separate file: its bytes, the suffix for its name, its size as shown."""

    content: bytes
    suffix: str
    size: tuple[int, int]


def extract_embedded(
    content: bytes | None, expected: tuple[float | None, float | None] = (None, None)
) -> EmbeddedPicture:
    """The embedded picture as a file that every reader shows in the frame of the points.

    LabelMe shows embedded bytes without regard to an EXIF flag in them, and turns a photo before it embeds it; so the
    points belong to the bytes as stored. A reader that honours the flag would turn them (again): a picture with a flag
    is therefore stored again, as PNG, without it. Only where the file's own sizes say that the points belong to the
    turned picture, it is kept as it is shown.

    Args:
        content: the picture file.
        expected: (width, height) that the annotation file says; None where it says nothing.

    Raises:
        ImageError: it is not a picture, cannot be decoded, is too large, or has another size than the file says.
    """
    if not content:
        raise ImageError(Rule.PHOTO_UNREADABLE, "imageData is not base64")
    with opened_photo(content) as (image, header, _):
        # The annotation fits the stored picture, whatever its flag says, unless only the turned one has the right size.
        stored = header.orientation != 1 and (agrees(header.stored_size, expected) or not agrees(header.size, expected))
        size = header.stored_size if stored else header.size
        if not agrees(size, expected):
            raise ImageError(Rule.SIZE_MISMATCH, describe_mismatch("imageData", header, expected))
        image.load()
        if header.format in _KEPT_FORMATS and not stored:
            return EmbeddedPicture(content, _KEPT_FORMATS[header.format], size)
        # A PNG without a flag: what belongs to the turned picture has to be turned now.
        return EmbeddedPicture(_as_png(image if stored else turn_upright(image, header.orientation)), ".png", size)


def has_bytes(path: Path | str, content: bytes) -> bool:
    """Whether a file holds just this."""
    with opened_for_reading(path) as stream:
        return stream.read(len(content) + 1) == content


def describe_difference(path: Path, size: tuple[int, int], embedded: bytes) -> str | None:
    """How the embedded picture differs from the photo, as text; None if it shows the same.

    LabelMe embeds the photo's bytes, or the turned photo saved again: pixels are decoded only where the bytes differ.

    Raises:
        OSError, ImageError: the photo cannot be used. An embedded picture that cannot be decoded is a difference.
    """
    if has_bytes(path, embedded):
        return None
    shown = grey_thumbnail(path)
    try:
        width, height = read_header(embedded).stored_size
        if (width, height) != size:
            return f"it is {width} x {height}, the photo {size[0]} x {size[1]}"
        difference = ImageChops.difference(grey_thumbnail(embedded, turn=False), shown)
    except ImageError as error:
        return f"it cannot be decoded: {error}"
    distance = ImageStat.Stat(difference).mean[0]
    return f"their grey levels differ by {distance:.0f} of 255 on average" if distance > _SAME_PICTURE else None


def _as_png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    if image.mode not in ("1", "L", "P", "RGB", "RGBA"):
        image = image.convert("RGB")
    image.save(stream, "PNG")
    return stream.getvalue()
