"""What a file of annotations is that a command does not read, and which way leads on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.text import UTF8_BOM

# So many files of a folder are opened to see what they are.
_MOST_READ = 20


class Kind(NamedTuple):
    """What a file is, and what to do with it: a sentence in the imperative without a full stop."""

    name: str
    remedy: str


_EXPORT = "Export the annotations as COCO, and pass that to adopt"
LABELME = Kind("a LabelMe file", "Pass its folder to convert: python -m dataset_tools convert FOLDER --output DST")
COCO = Kind("a COCO file", "Pass it to adopt: python -m dataset_tools adopt FILE --images-root PHOTOS --output DST")
TABLE = Kind("a table", "If it is one of boxes, pass it to convert: python -m dataset_tools convert FILE --output DST")
VIA = Kind("a file of VIA", "Pass it to convert: python -m dataset_tools convert FILE --photos PHOTOS --output DST")
YOLO = Kind("a dataset of YOLO", "Pass it to convert: python -m dataset_tools convert FOLDER --output DST")
YOLO_LABELS = Kind(
    "a file of YOLO without data.yaml", "Write data.yaml, with a line 'names: [car, bus]', into the folder"
)
LABEL_STUDIO = Kind("a file of Label Studio, which is not read", "Export it from Label Studio as COCO, and adopt that")
RESULTS = Kind("a file of detections", "Pass it to to-labelme, as --predictions of its dataset folder")
XML = Kind("XML, which is not read (Pascal VOC, CVAT and others write it)", _EXPORT)
UNKNOWN = Kind("JSON without 'shapes' and 'images'", _EXPORT)
OTHER = Kind("a file of an unknown kind", _EXPORT)

_SUFFIXES = {".xml": XML, ".csv": TABLE, ".txt": YOLO_LABELS}

# The classes in data.yaml, which may have another name.
_NAMES = re.compile(rb"""^["']?names["']?\s*:""", re.MULTILINE)

# Names of classes, one a line. LabelImg writes it among its label files, Label Studio beside the folder of them.
_CLASSES = "classes.txt"

# How a label file of YOLO begins, with the number of a class and at least 4 others, and bytes enough to see that.
_ROW = re.compile(rb"\s*[\d.]+([ \t]+[\d.e+-]+){4}")
_ROW_START = 500

# The keys of a JSON object by which its kind is known; and those of the first object in a list or an object.
_KEYS = (
    ({"shapes"}, LABELME),
    ({"images"}, COCO),
    ({"_via_img_metadata"}, VIA),
    ({"project", "config", "attribute", "file", "metadata", "view"}, VIA),
)
_KEYS_INSIDE = (
    ({"filename", "regions"}, VIA),
    ({"annotations", "data"}, LABEL_STUDIO),
    ({"image_id", "score"}, RESULTS),
)


def kind_of_tree(tree: object) -> Kind:
    """The kind of JSON."""
    outer = tree if isinstance(tree, dict) else {}
    first = next(iter(tree if isinstance(tree, list) else outer.values()), None)
    inner = first if isinstance(first, dict) else {}
    known = [kind for keys, kind in _KEYS if keys <= outer.keys()] + [
        kind for keys, kind in _KEYS_INSIDE if keys <= inner.keys()
    ]
    return known[0] if known else UNKNOWN


def kind_of_file(path: Path) -> Kind | None:
    """The kind of a file, by its name or its content; None where it cannot be read, or is not JSON."""
    suffix = path.suffix.lower()
    if suffix in _SUFFIXES:
        return YOLO if path.name.lower() == _CLASSES else _SUFFIXES[suffix]
    try:
        content = read_file(path).removeprefix(UTF8_BOM)
        if suffix in (".yaml", ".yml"):
            return YOLO if path.stem == "data" or _NAMES.search(content) else OTHER
        return XML if content.lstrip().startswith(b"<") else kind_of_tree(msgspec.json.decode(content))
    except (OSError, ValueError, RecursionError):
        return None


def other_kind(folder: Path, files: Sequence[str] = ()) -> tuple[Path, Kind] | None:
    """A file in a folder that is of a known kind, but not COCO's.

    Args:
        folder: files that are not JSON are looked for in it, too.
        files: its JSON files.
    """
    others = (path for pattern in ("*.xml", "*.csv", "*.y*ml") for path in folder.glob(pattern))
    labels = folder.glob("labels/**/*.txt")
    for path in chain((folder / file for file in files[:_MOST_READ]), others, _class_lists(folder), labels):
        if (kind := kind_of_file(path)) not in (None, COCO, UNKNOWN, OTHER):
            return path, kind
    return None


def kinds_in(folder: Path, files: Sequence[str]) -> dict[Kind | None, list[Path]]:
    """The files of annotations in a folder, by their kinds.

    Args:
        folder: descriptions of YOLO and tables are looked for in it, too.
        files: its JSON files; of those behind the first of LabelMe, or the first that cannot be read, it says nothing.
    """
    found: dict[Kind | None, list[Path]] = {}
    descriptions = sorted(folder.glob("*.y*ml")) or _class_lists(folder)
    for path in chain(descriptions, sorted(folder.glob("*.csv")), map(folder.joinpath, files)):
        found.setdefault(kind := kind_of_file(path), []).append(path)
        if kind in (LABELME, None):
            break
    return found


def _class_lists(folder: Path) -> list[Path]:
    """The list of classes in a folder, or else in its folder ``labels``, if label files of YOLO are in one of the two."""
    lists = [path for path in (folder / _CLASSES, folder / "labels" / _CLASSES) if path.is_file()]
    has_labels = any(path.name != _CLASSES for path in folder.glob("labels/**/*.txt"))
    return lists[:1] if lists and (has_labels or any(map(_is_label_file, folder.glob("*.txt")))) else []


def _is_label_file(path: Path) -> bool:
    """Whether a text begins with a row of YOLO: beside the photos there may be other texts."""
    try:
        with path.open("rb") as file:
            return _ROW.match(file.read(_ROW_START)) is not None
    except OSError:
        return False


def wrong_kind(path: Path, kind: Kind, reason: str) -> UserError:
    """The error that a file is of a kind that the command does not read, after a reason such as "this is not ..."."""
    return UserError(f"{reason}, but {kind.name}", file=path, remedy=kind.remedy, exit_code=EXIT_DATA)
