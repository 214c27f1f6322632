"""Photos as pixels: as they are shown, in RGB, with 8 bits a level."""

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")  # others start programs
# The last two are refused by name.
SUFFIXES = tuple(".jpg .jpeg .png .bmp .webp .tif .tiff .gif .ppm .pgm .jp2 .avif .heic .heif".split())
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")  # they become RGB in one way
MAX_PIXELS = 2 * 89_478_485  # where Pillow's reader refuses a photo, unless somebody has set another limit
# EXIF's tag of the orientation, and what turns a photo upright that has it (CIPA DC-008).
_ORIENTATION, _TURNS = 0x0112, dict(enumerate(map(Image.Transpose, (0, 3, 1, 5, 4, 6, 2)), start=2))


class RuntimeProblem(Exception):
    """What a user can mend: a file that cannot be used, say. Its text is one line without control characters."""

    def __init__(self, what: object, reason: object, remedy: str):
        text = f"{what}: {reason}. {remedy}."[:2000]
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def read_photo(photo: str | Path | bytes | np.ndarray) -> np.ndarray:
    """A photo, which is a path, a file's bytes or such an array, as (H, W, 3) uint8 in RGB, turned as its EXIF says.

    Raises a RuntimeProblem: it is not a photo, is broken, too large, or can be seen in two ways, since programs turn it
    differently or its levels have more than 8 bits.
    """
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise RuntimeProblem("array", f"it is {photo.dtype} {photo.shape}", "Give (H, W, 3) uint8 in RGB")
        return photo
    name, content = ("photo", photo) if isinstance(photo, bytes) else (str(photo), b"")
    try:
        if not isinstance(photo, bytes):
            if not Path(photo).is_file():  # a pipe or a device may have no end
                raise ValueError("there is no such file")
            content = Path(photo).read_bytes()
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            return np.asarray(_upright(Image.open(io.BytesIO(content), formats=FORMATS), content).convert("RGB"))
    except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
        reason = str(error) or type(error).__name__
        if isinstance(error, Image.UnidentifiedImageError):  # its message names an object in memory
            heic = "it is a HEIC photo, which Pillow does not read: export it as JPEG"
            reason = heic if content[4:8] == b"ftyp" else "it is not a picture of a known format"
        raise RuntimeProblem(name, f"this photo cannot be read: {reason}", "Repair or remove it") from error


def _upright(image: Image.Image, content: bytes) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it has {image.width} x {image.height} pixels, and the limit is {MAX_PIXELS:,}")
    if not _has_clear_levels(image, content):
        raise ValueError("it has more than 8 bits a level, and which of them are black and white is not known")
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # of broken EXIF data, whatever Pillow raises: the photo is taken as it is stored
        orientation = 1
    turn, in_exif = _TURNS.get(orientation), {"exif", "Raw profile type exif"} & image.info.keys()
    if turn is not None and (image.format == "TIFF" or not in_exif):
        raise ValueError(f"it has the orientation {orientation} where some programs do not look: export it upright")
    return image if turn is None else image.transpose(turn)


def _has_clear_levels(image: Any, content: bytes) -> bool:
    """Whether the levels, before they are decoded, are of 8 bits or become these in one way only."""
    if image.mode.startswith("I"):
        return 0 <= np.min(np.asarray(image)) and np.max(np.asarray(image)) <= 255
    if image.mode not in _MODES:
        raise ValueError(f"its levels, in Pillow's mode {image.mode}, are not colours of a screen")
    reader = image.tile[0].args if image.tile else ""
    is_deep = image.format in ("PNG", "TIFF") and ";16" in str(reader)
    is_deep |= image.format == "PPM" and isinstance(reader, tuple) and reader[-1] > 255  # its highest level
    if image.format == "TIFF" and max(image.tag_v2.get(258, (1,))) > 8 and not is_deep:
        return False  # planes of colours, which Pillow misreads
    elif image.format == "JPEG2000":  # Pillow misreads more than 8 bits; they stand behind the markers SOC and SIZ
        return content[content.find(b"\xff\x4f\xff\x51") + 42] & 0x7F < 8
    return not is_deep or image.mode in ("RGB", "RGBA") and np.asarray(image.convert("RGB")).max() >= 128
