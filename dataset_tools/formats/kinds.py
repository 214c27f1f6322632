"""What a file of annotations is that a command does not read, and which way leads on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.files import read_file
from dataset_tools.text import UTF8_BOM

# Of so many files of a folder the kind is looked for.
_MOST_READ = 20


class Kind(NamedTuple):
    """What a file is, and what to do with it: a sentence in the imperative without a full stop."""

    name: str
    remedy: str


_EXPORT = "Export the annotations as COCO, and pass that to adopt"
LABELME = Kind("a LabelMe file", "Pass its folder to convert: python -m dataset_tools convert FOLDER --output DST")
COCO = Kind("a COCO file", "Pass it to adopt: python -m dataset_tools adopt FILE --images-root PHOTOS --output DST")
CARD = Kind("the card of a dataset folder", "Train on that folder, or pass it to adopt")
TABLE = Kind("a table", "If it is one of boxes, pass it to convert: python -m dataset_tools convert FILE --output DST")
VIA = Kind("a file of VIA, which is not read", "Export it from VIA as COCO, and pass that to adopt")
LABEL_STUDIO = Kind("a file of Label Studio, which is not read", "Export it from Label Studio as COCO, and adopt that")
RESULTS = Kind("a file of detections", "Pass it to to-labelme, as --predictions of its dataset folder")
XML = Kind("XML, which is not read (Pascal VOC, CVAT and others write it)", _EXPORT)
UNKNOWN = Kind("JSON without 'shapes' and 'images'", _EXPORT)

# Keys of a JSON object of a kind, and of the first object in JSON of a kind.
_KEYS = {
    LABELME: {"shapes"},
    CARD: {"image_root", "splits"},
    VIA: {"_via_img_metadata"},
    COCO: {"images"},
}
_VIA_3 = {"project", "config", "attribute", "file", "metadata", "view"}


def kind_of_tree(tree: object) -> Kind:
    """The kind of JSON, whose values may be ``msgspec.Raw``."""
    if not isinstance(tree, dict | list):
        return UNKNOWN
    first = _keys_of(next(iter(tree.values() if isinstance(tree, dict) else tree), None))
    if isinstance(tree, list):
        return (
            LABEL_STUDIO if {"annotations", "data"} <= first else RESULTS if {"image_id", "score"} <= first else UNKNOWN
        )
    if _VIA_3 <= tree.keys() or {"filename", "regions"} <= first:
        return VIA
    return next((kind for kind, keys in _KEYS.items() if keys <= tree.keys()), UNKNOWN)


def _keys_of(value: object) -> set[str]:
    if isinstance(value, msgspec.Raw):
        try:
            value = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
        except msgspec.ValidationError:
            return set()
    return set(value) if isinstance(value, dict) else set()


def kind_of_file(path: Path) -> Kind | None:
    """The kind of a file, by its suffix or its content; None where it cannot be read, or is not JSON."""
    if path.suffix.lower() in (".xml", ".csv"):
        return XML if path.suffix.lower() == ".xml" else TABLE
    try:
        content = read_file(path).removeprefix(UTF8_BOM)
        if content.lstrip().startswith(b"<"):
            return XML
        return kind_of_tree(msgspec.json.decode(content, type=dict[str, msgspec.Raw] | list[msgspec.Raw]))
    except (OSError, ValueError, RecursionError):
        return None


def other_kind(folder: Path, files: Sequence[str] = ()) -> tuple[Path, Kind] | None:
    """A file in a folder that is of a known kind, but not COCO's.

    Args:
        folder: XML and tables in it are looked for, too.
        files: its JSON files.
    """
    for path in [*(folder / file for file in files[:_MOST_READ]), *folder.glob("*.xml"), *folder.glob("*.csv")]:
        if (kind := kind_of_file(path)) not in (None, COCO, UNKNOWN):
            return path, kind
    return None


def wrong_kind(path: Path, kind: Kind, reason: str) -> UserError:
    """The error that a file is of a kind that the command does not read, after a reason such as "this is not ..."."""
    return UserError(f"{reason}, but {kind.name}", file=path, remedy=kind.remedy, exit_code=EXIT_DATA)
