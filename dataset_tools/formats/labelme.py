"""The codec of LabelMe annotation files: bytes to typed records. It knows no geometry and opens no image."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec
import pybase64

from dataset_tools.findings import Rule
from dataset_tools.formats import kinds, lenient
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
        group_id: shapes of one label and one group, a number or a name, are one instance; None makes the shape its own
            instance.
        mask: a PNG in base64, for ``shape_type`` ``mask``.
    """

    label: str
    points: tuple[tuple[float, float], ...] = ()
    shape_type: str | None = None
    group_id: int | float | lenient.NamedId | None = None
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
    """A file that cannot be read: the rule that it breaks, and faults, each a message and its place in the file."""

    def __init__(self, rule: Rule, message: str = "", faults: Sequence[tuple[str, str]] = ()):
        self.rule = rule
        self.faults = faults or [(message, "")]
        super().__init__(self.faults[0][0])


def decode(content: bytes, encoding: str = "utf-8", departures: lenient.Departures | None = None) -> AnnotationFile:
    """The record of one LabelMe file.

    Coordinates may be infinite or NaN, since LabelMe's JSON writer lets them into a file: callers must check.

    Args:
        content: of the file.
        encoding: of its text, unless it is UTF-8.
        departures: values that are read in another form are added to these.

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
        return _decode_loosely(_text(content, "utf-8"), departures or lenient.Departures())
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


def _decode_loosely(content: str, departures: lenient.Departures) -> AnnotationFile:
    """The record by Python's rules for JSON, which know ``NaN``, ``Infinity`` and numbers of any length."""
    try:
        tree = json.loads(content, parse_int=parse_integer)
    except (ValueError, RecursionError) as error:
        raise LabelmeError(Rule.NOT_JSON, str(error)) from error
    if not isinstance(tree, dict) or "shapes" not in tree:
        kind = kinds.kind_of_tree(tree)
        said = "it has no 'shapes'" if kind is kinds.UNKNOWN else f"it is {kind.name}. {kind.remedy}"
        raise LabelmeError(Rule.MIXTURE if kind is kinds.VIA else Rule.NOT_LABELME, said)
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise LabelmeError(Rule.NOT_JSON, "it holds half of a surrogate pair, which is not text") from error
    shapes, faults = tree["shapes"], []
    if isinstance(shapes, list):
        tree["shapes"] = []
        for index, shape in enumerate(shapes):
            place = f"shapes[{index}]"
            try:
                tree["shapes"].append(lenient.read_record(shape, Shape, _SHAPE, place, departures))
            except lenient.BadRecord as error:
                faults += error.faults
    try:
        record = lenient.read_record(tree, AnnotationFile, _FILE, "", departures)
    except lenient.BadRecord as error:
        faults += error.faults
    if faults:
        raise LabelmeError(Rule.WRONG_STRUCTURE, faults=faults)
    return record


def _pairs(points: object) -> object:
    """Points whose numbers may be text, or follow one another in one list."""
    points = lenient.numbers(points)
    if isinstance(points, list) and len(points) % 2 == 0 and all(isinstance(value, int | float) for value in points):
        return list(zip(points[::2], points[1::2])) or points
    return points


def _group(value: object) -> object:
    """A group, which may be any number, or text."""
    return lenient.identity(value) if isinstance(value, str) else value


_SHAPE = {"label": lenient.name, "points": _pairs, "group_id": _group}
_FILE = {"imagePath": lenient.name, "imageHeight": lenient.number, "imageWidth": lenient.number}


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
