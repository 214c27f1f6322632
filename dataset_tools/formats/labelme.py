"""The codec of LabelMe annotation files: bytes to typed records. It knows no geometry and opens no image."""

from __future__ import annotations

import json
import re

import msgspec
import pybase64

from dataset_tools.text import UTF8_BOM, parse_integer


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


class AnnotationJson(msgspec.Struct, frozen=True, gc=False):
    """What polymask uses of one LabelMe file, as it is written; every other key, of any version, is ignored.

    Attributes:
        shapes: the figures; UNSET where the file has no such key and so is no LabelMe file.
        image_path: the photo, relative to the JSON, with the slashes of the system that wrote it.
        image_json: the photo itself in base64, as JSON: text of megabytes is best left where it is.
        image_height, image_width: size in pixels of the turned photo.
    """

    shapes: tuple[Shape, ...] | msgspec.UnsetType = msgspec.UNSET
    image_path: str | None = msgspec.field(default=None, name="imagePath")
    image_json: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="imageData")
    image_height: int | float | None = msgspec.field(default=None, name="imageHeight")  # 600.0 is as good as 600
    image_width: int | float | None = msgspec.field(default=None, name="imageWidth")


class AnnotationFile(msgspec.Struct, frozen=True, gc=False):
    """One LabelMe file.

    Attributes:
        shapes, image_path, image_height, image_width: as in ``AnnotationJson``.
        picture: the photo itself as a picture file, already turned as its EXIF orientation says; None if there is none,
            empty if what is there is no base64.
    """

    shapes: tuple[Shape, ...]
    image_path: str | None
    picture: bytes | None
    image_height: int | float | None
    image_width: int | float | None


_IMAGE_DATA = b'"imageData"'
_NO_IMAGE_DATA = b'"imageData": null'
_TAIL = 200  # bytes of a file, in which LabelMe says so
_EMPTY = msgspec.Raw(b'""')
_NULL = msgspec.Raw(b"null")
_DECODER = msgspec.json.Decoder(AnnotationJson)


class LabelmeError(Exception):
    """A file that cannot be read; ``place`` says where in it, e.g. ``shapes[3].points[0]``."""

    def __init__(self, message: str, place: str = ""):
        super().__init__(message)
        self.place = place


class NotJson(LabelmeError):
    """The bytes are no JSON."""


class WrongEncoding(LabelmeError):
    """The bytes are not text in the expected encoding."""


class WrongStructure(LabelmeError):
    """A LabelMe file with a value of the wrong type or length."""


class NotLabelme(LabelmeError):
    """JSON of another kind, such as a COCO file."""


def decode(content: bytes, encoding: str = "utf-8") -> AnnotationFile:
    """The record of one LabelMe file.

    Coordinates may come out infinite or NaN, as LabelMe's JSON writer lets them into a file: who uses them has to look.

    Raises:
        NotJson, WrongEncoding, WrongStructure, NotLabelme: as their names say.
    """
    if content.startswith(UTF8_BOM):  # it says its encoding itself
        content, encoding = content.removeprefix(UTF8_BOM), "utf-8"
    if encoding != "utf-8" and not _is_utf8(content):  # old and new files of one folder may differ
        content = _text(content, encoding).encode()
    try:
        record, picture = _decode_apart(content) or _decode_whole(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        record, picture = _decode_loosely(_text(content, "utf-8"))
    except RecursionError as error:
        raise NotJson("it is nested too deeply") from error
    return AnnotationFile(record.shapes, record.image_path, picture, record.image_height, record.image_width)


# What the file says, and the photo in it.
_RecordAndPicture = tuple[AnnotationJson, bytes | None]


def _decode_apart(content: bytes) -> _RecordAndPicture | None:
    """First reading: the photo is cut out, and the rest decoded; None where it is not so simple.

    JSON decoders look at every character of a text, and here nearly all of a file is one text: this saves a third of
    the time. What is cut out has the characters of base64 only, between two quotes. So there is no escape in it, and it
    is all of one text; which is the photo's if imageData, named nowhere else, is an empty text without it.
    """
    if _NO_IMAGE_DATA in content[-_TAIL:]:
        return None
    name = content.find(_IMAGE_DATA)
    start = content.find(b'"', name + len(_IMAGE_DATA)) + 1
    end = content.find(b'"', start)
    if name < 0 or not 0 < start < end or content.find(_IMAGE_DATA, end) >= 0:
        return None
    try:
        picture = pybase64.b64decode(memoryview(content)[start:end], validate=True)
        record = _DECODER.decode(content[:start] + content[end:])
    except (ValueError, RecursionError):
        return None
    return (record, picture) if record.image_json == _EMPTY and record.shapes is not msgspec.UNSET else None


def _decode_whole(content: bytes) -> _RecordAndPicture:
    """Second reading, of all there is."""
    record = _DECODER.decode(content)
    if record.shapes is msgspec.UNSET:
        raise NotLabelme("it has no 'shapes'")
    return record, _picture(record.image_json)


def _picture(image_json: msgspec.Raw) -> bytes | None:
    """The photo of ``AnnotationFile``."""
    if memoryview(image_json)[:1] not in (b"", b'"', b"n"):
        raise WrongStructure("Expected `str | null`", "imageData")
    text = memoryview(image_json)[1:-1]
    if not text or image_json == _NULL:
        return None
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        pass  # some writers escape a slash, or break lines
    try:
        return pybase64.b64decode(msgspec.json.decode(image_json, type=str))
    except ValueError:
        return b""


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
        raise WrongEncoding(f"it is not {encoding} text: {error.reason} at byte {error.start}") from error


def _decode_loosely(content: str) -> _RecordAndPicture:
    """Last reading, by Python's own rules for JSON, which know ``NaN``, ``Infinity`` and numbers of any length."""
    try:
        tree = json.loads(content, parse_int=parse_integer)
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error
    if not isinstance(tree, dict) or "shapes" not in tree:
        raise NotLabelme("it has no 'shapes'")
    try:
        json.dumps(tree, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise NotJson("it holds half of a surrogate pair, which is no text") from error
    image_json = msgspec.Raw(json.dumps(tree.pop("imageData", None)).encode())
    try:
        return msgspec.convert(tree, AnnotationJson), _picture(image_json)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        raise WrongStructure(message, re.sub(r"^\$\.?", "", place.strip("`"))) from error


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
