"""The codec of LabelMe annotation files: bytes to typed records. It knows no geometry and opens no image."""

from __future__ import annotations

import json
import re

import msgspec
import pybase64

from dataset_tools.findings import Rule
from dataset_tools.text import UTF8_BOM, parse_integer

# Bytes of the largest annotation file that is read: a photo of 100 megapixels, embedded as PNG, takes half of them.
MAX_BYTES = 512_000_000

# Values in one file, or of one photo in a COCO file, counted by their commas, of which base64 has none. A value takes up
# to 60 times its bytes in memory. The masks of 2,000 objects, as polygons of 500 points, have 2 million.
MAX_VALUES = 4_000_000


class Shape(msgspec.Struct, frozen=True, gc=False):
    """One drawn figure.

    Attributes:
        label: the label as it was typed.
        points: (x, y) in pixels of the turned photo, origin at the top-left corner of pixel 0.
        shape_type: ``polygon``, ``rectangle``, ...; LabelMe before 3.4 knew polygons only and wrote none.
        group_id: shapes of one label and one group are one instance; None makes the shape its own instance.
        mask: a PNG in base64, for ``shape_type`` ``mask``.
    """

    label: str
    points: tuple[tuple[float, float], ...] = ()
    shape_type: str | None = None
    group_id: int | float | None = None
    mask: str | None = None

    @property
    def kind(self) -> str:
        """The shape type, with the default of the oldest files filled in."""
        return self.shape_type or "polygon"


class AnnotationFile(msgspec.Struct, frozen=True, gc=False):
    """What polymask uses of one LabelMe file; every other key, of any version, is ignored.

    Attributes:
        shapes: the figures.
        image_path: the photo, relative to the JSON, with the slashes of the system that wrote it.
        image_data: the photo itself in base64, turned as its EXIF orientation says.
        image_height, image_width: size in pixels of the turned photo.
    """

    shapes: tuple[Shape, ...]
    image_path: str | None = msgspec.field(default=None, name="imagePath")
    image_data: str | None = msgspec.field(default=None, name="imageData")
    image_height: float | None = msgspec.field(default=None, name="imageHeight")
    image_width: float | None = msgspec.field(default=None, name="imageWidth")

    def picture(self) -> bytes | None:
        """The photo itself as a picture file; None if there is none, empty if it is not base64."""
        if not self.image_data:
            return None
        try:
            return pybase64.b64decode(self.image_data, validate=True)
        except ValueError:
            pass  # some writers break lines
        try:
            return pybase64.b64decode(self.image_data)
        except ValueError:
            return b""


_DECODER = msgspec.json.Decoder(AnnotationFile)


class LabelmeError(Exception):
    """A file that cannot be read: the rule that it breaks, and where in it, e.g. ``shapes[3].points[0]``."""

    def __init__(self, rule: Rule, message: str, place: str = ""):
        super().__init__(message)
        self.rule = rule
        self.place = place


def decode(content: bytes, encoding: str = "utf-8") -> AnnotationFile:
    """The record of one LabelMe file.

    Coordinates may be infinite or NaN, since LabelMe's JSON writer lets them into a file: callers must check.

    Raises:
        LabelmeError: it is not JSON, not text in the encoding, not a LabelMe file, or too large; or a value in it has the
            wrong type.
    """
    if len(content) > MAX_VALUES and (values := content.count(b",")) > MAX_VALUES:
        raise LabelmeError(Rule.FILE_TOO_LARGE, f"it has {values:,} values; at most {MAX_VALUES:,} are read")
    if content.startswith(UTF8_BOM):  # it says its encoding itself
        content, encoding = content.removeprefix(UTF8_BOM), "utf-8"
    if encoding != "utf-8" and not _is_utf8(content):  # old and new files of one folder may differ
        content = _text(content, encoding).encode()
    try:
        return _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _decode_loosely(_text(content, "utf-8"))
    except RecursionError as error:
        raise LabelmeError(Rule.NOT_JSON, "it is nested too deeply") from error


def _is_utf8(content: bytes) -> bool:
    """Whether bytes are UTF-8. Another encoding's letters hardly ever are; UTF-16's can be, with a 0 in each."""
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def _text(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"it is not {encoding} text: {error.reason} at byte {error.start}"
        raise LabelmeError(Rule.WRONG_ENCODING, message) from error


def _decode_loosely(content: str) -> AnnotationFile:
    """The record by Python's rules for JSON, which know ``NaN``, ``Infinity`` and numbers of any length."""
    try:
        tree = json.loads(content, parse_int=parse_integer)
    except (ValueError, RecursionError) as error:
        raise LabelmeError(Rule.NOT_JSON, str(error)) from error
    if not isinstance(tree, dict) or "shapes" not in tree:
        raise LabelmeError(Rule.NOT_LABELME, "it has no 'shapes'")
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise LabelmeError(Rule.NOT_JSON, "it holds half of a surrogate pair, which is not text") from error
    try:
        return msgspec.convert(tree, AnnotationFile)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        raise LabelmeError(Rule.WRONG_STRUCTURE, message, re.sub(r"^\$\.?", "", place.strip("`"))) from error


# What encode() writes is laid out as labelme 6.3.1 does it: the same keys in the same order.
WRITTEN_VERSION = "6.3.1"


class WrittenShape(msgspec.Struct, frozen=True):
    """A shape to write.

    Attributes:
        label: its class.
        points: (x, y) in pixels of the turned photo; of a mask, the first and the last pixel, both inclusive.
        group_id: the same number makes shapes of one label one instance; None makes the shape its own.
        description: free text, shown beside the shape.
        shape_type: ``polygon``, ``mask``, ...
        flags: names to true or false.
        mask: a PNG in base64, mode L holding 0 and 1, for ``shape_type`` ``mask``.
    """

    label: str
    points: list[tuple[float, float]]
    group_id: int | None = None
    description: str = ""
    shape_type: str = "polygon"
    flags: dict[str, bool] = {}
    mask: str | None = None


class WrittenFile(msgspec.Struct, frozen=True, kw_only=True):
    """An annotation file to write; it refers to its photo and does not embed it.

    Attributes:
        shapes: the figures.
        image_path: the photo, relative to the file, with POSIX slashes.
        image_height, image_width: size in pixels of the turned photo.
    """

    version: str = WRITTEN_VERSION
    flags: dict[str, bool] = {}
    shapes: list[WrittenShape]
    image_path: str = msgspec.field(name="imagePath")
    image_data: None = msgspec.field(default=None, name="imageData")
    image_height: int = msgspec.field(name="imageHeight")
    image_width: int = msgspec.field(name="imageWidth")


def encode(file: WrittenFile) -> bytes:
    """The bytes of a LabelMe file, the same for the same record."""
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"
