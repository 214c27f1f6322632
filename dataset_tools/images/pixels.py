"""The pixels of photos, upright: for people, for a model, for files and for comparing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dataset_tools.images.header import SWAPPING, opened_photo

# The side of a grey thumbnail in pixels, by which pictures are compared.
_THUMBNAIL = 32

# A JPEG that is saved again at this quality shows no trace of it at the usual magnification.
_JPEG_QUALITY = 95

# By which a JPEG can be decoded at a fraction of its size: the inverse DCT of fewer coefficients, in libjpeg.
_REDUCTIONS = (8, 4, 2)


@dataclass(frozen=True, slots=True)
class Pixels:
    """A photo as it is shown.

    Attributes:
        array: (H, W, C) uint8.
        scale: each pixel stands for ``scale`` x ``scale`` of the file's.
        frames: pages, or frames of an animation, of which this is the first.
    """

    array: np.ndarray
    scale: int
    frames: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the photo in full."""
        height, width = self.array.shape[:2]
        return width * self.scale, height * self.scale


def load_photo(source: Path | bytes) -> Image.Image:
    """The photo in RGB as it is shown, from its path or its bytes.

    Raises:
        OSError, ImageError: there is no such file, or it is not a picture that can be used.
    """
    with opened_photo(source) as (image, header, _):
        return turn_upright(image.convert("RGB"), header.orientation)


def read_pixels(path: Path | str, mode: str, needed: tuple[int, int] | None = None) -> Pixels:
    """A photo as an array, upright: what everything that shows photos to a model reads them with.

    In full they are the pixels of Detectron2's ``read_image``. A photo that is needed much smaller is decoded at a half,
    a quarter or an eighth, if it is a JPEG whose sides can be divided by that: the pixels then lie as those of the full
    photo do, and a resize needs to know of nothing else.

    Args:
        path: of the file.
        mode: "RGB", "BGR" or "L".
        needed: the least (width, height) that will do, as it is shown. None: in full.

    Raises:
        OSError, ImageError: there is no such file, or it is not a picture that can be used.
    """
    with opened_photo(path) as (image, header, _):
        orientation, scale = header.orientation, 1
        if needed and image.format in ("JPEG", "MPO"):
            scale = _reduction(image.size, needed[::-1] if orientation in SWAPPING else needed)
        if scale > 1:
            image.draft(None, (image.width // scale, image.height // scale))
        upright, wanted = turn_upright(image, orientation), "L" if mode == "L" else "RGB"
        array = np.asarray(upright if upright.mode == wanted else upright.convert(wanted))  # which would copy it
    if mode == "L":
        return Pixels(array[:, :, None], scale, header.frames)
    return Pixels(array[:, :, ::-1] if mode == "BGR" else array, scale, header.frames)


def _reduction(size: tuple[int, int], needed: tuple[int, int]) -> int:
    """The largest reduction that leaves the size that is needed, and whole pixels."""
    for scale in _REDUCTIONS:
        if all(side % scale == 0 and side // scale >= least for side, least in zip(size, needed, strict=True)):
            return scale
    return 1


def grey_thumbnail(source: Path | bytes, turn: bool = True) -> Image.Image:
    """A picture in grey, small and square; cheap, for a JPEG is decoded at an eighth of its size.

    Args:
        source: its path, or its bytes.
        turn: as its EXIF orientation says.

    Raises:
        OSError, ImageError: there is no such file, or it is not a picture that can be used.
    """
    with opened_photo(source) as (image, header, _):
        image.draft("L", (_THUMBNAIL * 4, _THUMBNAIL * 4))
        small = image.convert("RGB").convert("L").resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
        return turn_upright(small, header.orientation) if turn else small


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
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


def turned_points(
    points: Sequence[tuple[float, float]], size: tuple[int, int], orientation: int
) -> tuple[tuple[float, float], ...]:
    """Points (x, y) on a picture as it is stored, where they are once ``turn_upright`` has turned it.

    Args:
        points: in pixels, origin at the top-left corner of pixel 0.
        size: (width, height) as it is stored.
        orientation: 1, or one that swaps width and height: 5 to 8.
    """
    width, height = size
    return tuple(
        {1: (x, y), 5: (y, x), 6: (height - y, x), 7: (height - y, width - x), 8: (y, width - x)}[orientation]
        for x, y in points
    )


def encode_upright(source: Path | bytes, size: tuple[int, int], suffix: str) -> bytes:
    """A picture as a file that shows it upright at a (width, height).

    Args:
        source: its path, or its bytes.
        size: what it is to have; its own size for no scaling.
        suffix: ``.jpg`` or ``.jpeg`` for a JPEG, any other for a PNG. A file that is right as it is stays as it is.

    Raises:
        OSError, ImageError: there is no such file, or it is not a picture that can be used.
    """
    is_jpeg = suffix.lower() in (".jpg", ".jpeg")
    with opened_photo(source) as (image, header, stream):
        if header.orientation == 1 and header.size == size and (header.format == "PNG") != is_jpeg:
            image.load()  # all of it has to be there
            stream.seek(0)
            return stream.read()
        picture = turn_upright(image.convert("RGB"), header.orientation)
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3)
    written = io.BytesIO()
    if is_jpeg:
        picture.save(written, "JPEG", quality=_JPEG_QUALITY)
    else:
        picture.save(written, "PNG")
    return written.getvalue()
