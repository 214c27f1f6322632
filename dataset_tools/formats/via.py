"""Files of VIA 2.x and 3.x (VGG Image Annotator, https://www.robots.ox.ac.uk/~vgg/software/via): to typed records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_text
from dataset_tools.formats import lenient
from dataset_tools.geometry.polygons import ellipse_outline
from dataset_tools.text import parse_integer

_REMEDY = "Name a file that VIA has saved: a project, or annotations exported as JSON"
# The shapes of 3.x, which numbers them from 1, in the words of 2.x; and the numbers of a shape in 2.x, a list in 3.x.
_SHAPES = ("", "point", "rect", "circle", "ellipse", "line", "polyline", "polygon")
_KEYS = {"rect": "x y width height", "circle": "cx cy r", "ellipse": "cx cy rx ry theta", "point": "cx cy"}


class ViaRegion(NamedTuple):
    """One region of a photo. The first one of each record has no kind: it says only that the photo is there.

    Attributes:
        record, photo: what the file calls the photo by, and its name or path; empty if there is none.
        place: in the record, or in the file.
        kind, points: as LabelMe has them (an ellipse is a polygon), in pixels of the photo as it is shown.
        attributes: what was said of it, by the attributes' names: one thing, none, or several.
        fault: why it cannot be used; empty if it can.
    """

    record: str
    photo: str
    place: str
    kind: str = ""
    points: Sequence[tuple[float, float]] = ()
    attributes: Mapping[str, Sequence[str]] = {}
    fault: str = ""


def read_via(path: Path, encoding: str, departures: lenient.Departures) -> list[ViaRegion]:
    """The regions of a file; numbers that are text are added to the departures.

    Raises:
        UserError: there is no such file, or it is not JSON in the encoding.
    """
    try:
        tree = json.loads(read_text(path, encoding, _REMEDY), parse_int=parse_integer)
        tree = msgspec.json.decode(msgspec.json.encode(tree), type=dict[str, Any])  # without halves of surrogate pairs
    except (ValueError, RecursionError) as error:
        raise UserError(f"this is not JSON of VIA: {error}", file=path, remedy=_REMEDY, exit_code=EXIT_DATA) from error
    regions_of = _regions_of_3 if {"file", "metadata", "view"} <= tree.keys() else _regions_of_2
    return [_drawn(region, numbers, departures) for region, numbers in regions_of(tree)]


def _regions_of_2(tree: Mapping[str, object]) -> Iterator[tuple[ViaRegion, list]]:
    """The regions without their points, and the numbers of these."""
    for record, photo in _objects(tree.get("_via_img_metadata", tree)):
        name = str(photo.get("filename") or "")
        yield ViaRegion(record, name, record, fault="" if name else "it has no filename"), []
        for index, region in _objects(photo.get("regions")):
            shape = _object(region.get("shape_attributes"))
            kind = str(shape.get("name", "polygon"))
            keys = _KEYS.get(kind, "all_points_x all_points_y").split()
            numbers = [shape.get(key, 0 if key == "theta" else None) for key in keys]
            if kind not in _KEYS:  # where one list is shorter than the other, a number is missing
                numbers = list(chain(*zip_longest(*(part if isinstance(part, list) else () for part in numbers))))
            values = {key: _values(value) for key, value in _object(region.get("region_attributes")).items()}
            yield ViaRegion(record, name, f"regions[{index}]", kind, (), values), numbers


def _regions_of_3(tree: Mapping[str, object]) -> Iterator[tuple[ViaRegion, list]]:
    files, attributes = dict(_objects(tree["file"])), dict(_objects(tree.get("attribute")))
    names: dict[str, str] = {}
    for view, item in _objects(tree["view"]):
        shown = item.get("fid_list")
        file = files.get(str(shown[0]), {}) if isinstance(shown, list) and len(shown) == 1 else {}
        name = names[view] = str(file.get("fname") or "")
        yield ViaRegion(view, name, f"view[{view}]", fault="" if name else "it does not show one file with a fname"), []
    for key, item in _objects(tree["metadata"]):
        name, xy = names.get(str(item.get("vid")), ""), item.get("xy")
        if xy == []:  # it is about the photo as a whole
            continue
        number, *numbers = xy if isinstance(xy, list) else [0]
        kind = _SHAPES[number] if isinstance(number, int) and 0 < number < len(_SHAPES) else f"shape {number}"
        said = (_said_in_3(attributes, key, value) for key, value in _object(item.get("av")).items())
        fault = "it is about a moment of a video" if item.get("z") else "" if name else "it is of no photo"
        yield ViaRegion(str(item.get("vid")), name, f"metadata[{key}]", kind, (), dict(said), fault), numbers


def _said_in_3(attributes: Mapping[str, dict], key: str, value: object) -> tuple[str, Sequence[str]]:
    """The name of an attribute, and what was said: the texts of the options that were chosen, or what was typed."""
    attribute, said = attributes.get(key, {}), _values(value)
    options = _object(attribute.get("options"))
    chosen = [part for text in said for part in ([text] if text in options else text.split(","))]
    is_choice = set(chosen) <= options.keys()
    return str(attribute.get("aname", key)), [str(options[part]) for part in chosen] if is_choice else said


def _values(value: object) -> list[str]:
    """What an attribute says; boxes to tick may say several things."""
    if isinstance(value, dict):
        return [key for key, is_ticked in value.items() if is_ticked]
    text = lenient.name(value)
    return [text] if isinstance(text, str) and text.strip() else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(found: object) -> Iterator[tuple[str, dict]]:
    """The objects in an object or in a list; VIA 1 and makesense.ai number regions. Of anything else none."""
    members = enumerate(found) if isinstance(found, list) else _object(found).items()
    return ((str(key), _object(item)) for key, item in members)


def _drawn(region: ViaRegion, numbers: list, departures: lenient.Departures) -> ViaRegion:
    """A region with its points."""
    read: Any = lenient.numbers(numbers)
    if read is not numbers:
        departures.add(region.place, f"numbers of a {region.kind} are text")
    if wrong := [value for value in read if not isinstance(value, int | float) or isinstance(value, bool)]:
        return region._replace(fault=f"{wrong[0]!r} in a {region.kind} is not a number")
    try:
        kind, points = _shape(region.kind, read)
    except ValueError:
        return region._replace(fault=f"a {region.kind} does not have {len(read)} numbers")
    return region._replace(kind=kind, points=points)


def _shape(kind: str, numbers: Sequence[float]) -> tuple[str, Sequence[tuple[float, float]]]:
    """LabelMe's word for a shape, and its points."""
    if kind == "rect":
        x, y, width, height = numbers
        return "rectangle", ((x, y), (x + width, y + height))
    if kind == "circle":
        x, y, radius = numbers
        return kind, ((x, y), (x + radius, y))
    if kind == "ellipse":
        x, y, along, across, *angle = numbers
        return "polygon", tuple((x, y) for x, y in ellipse_outline((x, y), (along, across), *angle[:1]).tolist())
    points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    if kind == "polyline":
        kind = "polygon" if points[:1] == points[-1:] else "linestrip"
    return kind, points
