"""Photos as pixels: as they are shown, in RGB, with 8 bits a level."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")  # others start programs, or are not photos
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
MAX_PIXELS = 2 * 89_478_485  # where Pillow's reader refuses a photo
# EXIF's tag of the orientation, and what turns a photo upright that has it (CIPA DC-008).
_ORIENTATION, _TURNS = 0x0112, dict(enumerate(map(Image.Transpose, (0, 3, 1, 5, 4, 6, 2)), start=2))


class RuntimeProblem(Exception):
    """What a user can mend: a file that cannot be used, say. Its text is one line without control characters."""

    def __init__(self, what: object, reason: object, remedy: str):
        text = f"{what}: {reason}. {remedy}."[:2000]
        super().__init__("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def read_photo(photo: str | Path | bytes | np.ndarray) -> np.ndarray:
    """A photo as (H, W, 3) uint8 in RGB, turned as its EXIF orientation says.

    Args:
        photo: its path, its file's bytes, or such an array.

    Raises:
        RuntimeProblem: it is not a photo, is broken, too large, or can be seen in two ways: a TIFF that programs turn
            differently, or levels of more than 8 bits.
    """
    if isinstance(photo, np.ndarray):
        if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
            raise RuntimeProblem("array", f"it is {photo.dtype} {photo.shape}", "Give (H, W, 3) uint8 in RGB")
        return photo
    try:
        if not isinstance(photo, bytes) and not Path(photo).is_file():  # a pipe or a device may have no end
            raise ValueError("there is no such file")
        with io.BytesIO(photo) if isinstance(photo, bytes) else open(photo, "rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            return np.asarray(_upright(Image.open(stream, formats=FORMATS)).convert("RGB"))
    except Exception as error:  # on broken bytes Pillow's readers raise nearly anything
        unknown = isinstance(error, Image.UnidentifiedImageError)  # its message names an object in memory
        reason = "it is not a picture of a known format" if unknown else str(error) or type(error).__name__
        name = "photo" if isinstance(photo, bytes) else photo
        raise RuntimeProblem(name, f"this photo cannot be read: {reason}", "Repair or remove it") from error


def _upright(image: Image.Image) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"it has {image.width} x {image.height} pixels, and the limit is {MAX_PIXELS:,}")
    levels = np.asarray(image) if image.mode.startswith("I") else np.zeros(1)
    if image.mode == "F" or levels.min() < 0 or levels.max() > 255:
        raise ValueError("it has more than 8 bits a level, and which of them are black and white is not known")
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # of broken EXIF data, whatever Pillow raises: the photo is taken as it is stored
        turn = None
    if image.format == "TIFF" and turn is not None:
        raise ValueError("it is a TIFF with an EXIF orientation, which programs turn differently")
    return image if turn is None else image.transpose(turn)
