"""Typed records of COCO files as they are found in the wild: whatever tool wrote them, nothing but ids is relied on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats import kinds, lenient
from dataset_tools.formats.lenient import NamedId
from dataset_tools.text import UTF8_BOM, parse_integer

# Values of a file that is not strict JSON, counted by their commas: Python's reader takes up to 60 bytes for each.
_MAX_LOOSE_VALUES = 20_000_000

# A polygon has no fewer points: so many lists of two numbers are the points of one.
_FEWEST_POINTS = 3

_NOT_COCO = "this is not a COCO file of instances"


class ForeignCategory(msgspec.Struct, frozen=True, gc=False):
    """A class, under any id; ``supercategory`` may be the name of another one, or anything."""

    id: int | NamedId
    name: str
    supercategory: object = None


class ForeignImage(msgspec.Struct, frozen=True, gc=False):
    """A photo, under any id; sizes are in pixels, None where the file says nothing."""

    id: int | NamedId
    file_name: str
    width: float | None = None
    height: float | None = None


class ForeignRle(msgspec.Struct, frozen=True, gc=False):
    """A mask as run-length code: size is (height, width), counts is compressed text or a list of runs."""

    size: tuple[int, int]
    counts: str | list[int]


# A coordinate that JSON has no number for (NaN, infinity) is None.
ForeignSegmentation = list[list[float | None]] | ForeignRle | None


class ForeignAnnotation(msgspec.Struct, frozen=True, gc=False):
    """One instance as someone wrote it.

    Attributes:
        image_id, category_id: None where there is nothing that can be an id.
        id: any, or none; here nothing depends on it.
        segmentation: still JSON, which ``decode_segmentation`` reads: most of a file's bytes are in here, and what is
            wrong in one concerns its photo only.
        bbox: x, y, width, height in pixels, it is said.
        area: in pixels, it is said.
        iscrowd: anything but 0 makes it a region with several objects.
    """

    image_id: int | NamedId | None = None
    category_id: int | NamedId | None = None
    id: int | NamedId | None = None
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    bbox: list[float | None] | None = None
    area: float | None = None
    iscrowd: bool | float | None = 0


class ForeignCoco(msgspec.Struct, frozen=True):
    """A COCO file of instances.

    Attributes:
        images, categories: by their places in the lists, from 0, without those that cannot be read.
        annotations: all, by their places, too.
        findings: about the file.
    """

    images: Mapping[int, ForeignImage]
    annotations: Mapping[int, ForeignAnnotation]
    categories: Mapping[int, ForeignCategory]
    findings: Sequence[Finding]


# Records, still as JSON: the fault of one is not that of the file. Some programs write an object, with ids for keys.
_Records = list[msgspec.Raw] | dict[str, msgspec.Raw] | None


class _Lists(msgspec.Struct, frozen=True):
    images: _Records
    annotations: _Records = None
    categories: _Records = None


def _or_none(kind: object, reading: lenient.Reading) -> lenient.Reading:
    """A reading of what the file may do without: what is of another kind is None."""

    def read(value: object) -> object:
        found = reading(value)
        try:
            msgspec.convert(found, kind)
        except msgspec.ValidationError:
            return None
        return found

    return read


_LISTS = msgspec.json.Decoder(_Lists)
_SEGMENTATION = msgspec.json.Decoder(ForeignSegmentation)
_RLE = dict.fromkeys(("size", "counts"), lenient.identities)
_OPTIONAL_ID = _or_none(int | NamedId, lenient.identity)
_READINGS: dict[type, Mapping[str, lenient.Reading]] = {
    ForeignImage: {
        "id": lenient.identity,
        "file_name": lenient.name,
        "width": lenient.number,
        "height": lenient.number,
    },
    ForeignCategory: {"id": lenient.identity, "name": lenient.name},
    ForeignAnnotation: {
        "image_id": _OPTIONAL_ID,
        "category_id": _OPTIONAL_ID,
        "id": _OPTIONAL_ID,
        "bbox": _or_none(list[float | None], lenient.numbers),
        "area": _or_none(float, lenient.number),
        "iscrowd": _or_none(bool | float, lenient.flag),
    },
}


def read_foreign(path: Path) -> ForeignCoco:
    """A COCO file of instances.

    Raises:
        UserError: there is no such file, or it is not a COCO file of instances.
    """
    try:
        content = read_file(path).removeprefix(UTF8_BOM)
    except OSError as error:
        remedy = "Name a COCO file of instances"
        raise UserError(f"the COCO file cannot be read: {error.strerror}", file=path, remedy=remedy) from error
    try:
        return _read_lists(_decode(content), path.name)
    except (ValueError, RecursionError) as error:  # those of msgspec and of json are ValueErrors
        kind = kinds.kind_of_file(path)
        if kind not in (None, kinds.COCO):
            raise kinds.wrong_kind(path, kind, _NOT_COCO) from error
        (message, place), remedy = lenient.message_and_place(error), "Export it again as COCO, or correct what is named"
        reason = f"{_NOT_COCO}: {message}"
        raise UserError(reason, file=path, place=place, remedy=remedy, exit_code=EXIT_DATA) from error


def _read_lists(lists: _Lists, file: str) -> ForeignCoco:
    findings = [Finding(Rule.NO_ANNOTATIONS, file)] if lists.annotations is None else []
    departures = lenient.Departures()

    def read(key: str, kind: type[lenient.Record]) -> dict[int, lenient.Record]:
        return dict(_read_records(getattr(lists, key), kind, key, file, findings, departures))

    images, annotations = read("images", ForeignImage), read("annotations", ForeignAnnotation)
    categories = read("categories", ForeignCategory)
    first: dict[tuple[object, str], int] = {}
    for index, item in categories.items():
        if (earlier := first.setdefault((item.id, item.name), index)) != index:
            departures.add(f"categories[{index}]", f"it is the same as categories[{earlier}]")
    return ForeignCoco(images, annotations, categories, [*findings, *departures.findings(file)])


def _decode(content: bytes) -> _Lists:
    """The lists; second, where it is not strict JSON, by Python's own rules: NaN and Infinity become null."""
    try:
        return _LISTS.decode(content)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if content.count(b",") > _MAX_LOOSE_VALUES:
            raise
        tree = json.loads(content, parse_int=parse_integer)
        return _LISTS.decode(msgspec.json.encode(tree))


def _read_records(
    records: _Records,
    kind: type[lenient.Record],
    key: str,
    file: str,
    findings: list[Finding],
    departures: lenient.Departures,
) -> Iterator[tuple[int, lenient.Record]]:
    """The records of a list with their places in it; an image or a category that cannot be read becomes a finding."""
    ids: list[str] = []
    if isinstance(records, dict):
        departures.add(key, "an object was read as a list")
        ids, records = list(records), list(records.values())
    decoder = msgspec.json.Decoder(kind)
    for index, raw in enumerate(records or ()):
        try:
            yield index, decoder.decode(raw)
            continue
        except msgspec.ValidationError:
            pass
        tree = msgspec.json.decode(raw)
        if isinstance(tree, dict):
            tree |= {"segmentation": msgspec.Raw(msgspec.json.encode(tree.get("segmentation")))}
            tree = {"id": ids[index]} | tree if ids else tree
        try:
            yield index, lenient.read_record(tree, kind, _READINGS[kind], f"{key}[{index}]", departures)
        except lenient.BadRecord as error:
            if kind is ForeignAnnotation:  # it is not even an object
                yield index, kind()
            else:
                findings += [Finding(Rule.WRONG_STRUCTURE, file, where, message) for message, where in error.faults]


def decode_segmentation(annotation: ForeignAnnotation) -> tuple[ForeignSegmentation, bool]:
    """The polygons or the RLE of an annotation, None where it has neither; and whether they have another form than usual.

    Raises:
        msgspec.MsgspecError: it is something else.
    """
    raw = bytes(annotation.segmentation)
    if raw in (b"{}", b'""'):
        return None, False
    try:
        segmentation = _SEGMENTATION.decode(raw)
    except msgspec.ValidationError as error:
        try:
            return _read_again(msgspec.json.decode(raw)), True
        except (msgspec.ValidationError, lenient.BadRecord, RecursionError):
            raise error from None
    if not isinstance(segmentation, list):
        return segmentation, False
    if not any(segmentation):
        return None, False
    polygons = _polygons(segmentation)
    return polygons, polygons != segmentation


def _read_again(tree: object) -> ForeignSegmentation:
    if isinstance(tree, dict):
        return lenient.read_record(tree, ForeignRle, _RLE, "", lenient.Departures())
    tree = lenient.numbers(tree)
    return msgspec.convert(_polygons(tree) if isinstance(tree, list) else tree, ForeignSegmentation)


def _polygons(items: list) -> list:
    """Polygons, of what may be one of them, or the points of one, or polygons as lists of points."""
    if not any(isinstance(item, list) for item in items):
        return [items]
    if len(items) >= _FEWEST_POINTS and all(map(_is_point, items)):
        return [list(chain.from_iterable(items))]
    return [list(chain.from_iterable(item)) if item and all(map(_is_point, item)) else item for item in items]


def _is_point(item: object) -> bool:
    return isinstance(item, list) and len(item) == 2
