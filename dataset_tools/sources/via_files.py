"""Files of VIA as a source: annotations that were exported as JSON, and projects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.findings import Finding, Rule
from dataset_tools.formats.labelme import Shape
from dataset_tools.formats.lenient import Departures
from dataset_tools.formats.via import ViaRegion, read_via
from dataset_tools.sources.listed_photos import Listed, ListedPhotos
from dataset_tools.sources.source import check_encoding

# What an attribute is called that is the class, where there are others beside it.
_CLASS_NAMES = ("class", "label", "category", "name", "type", "object")

# The class of all regions where none has an attribute, as in files about one class.
_ONLY_CLASS = "object"


class ViaFiles(ListedPhotos):
    """Regions and photos of files of VIA.

    Args:
        paths: the files; of several, each may be in the folder of its photos.
        root: the folder of the files.
        photos: the folder of the photos; None for ``root``.
        encoding: of the files.
        attribute: of the regions, which is the class; None where there is one, or one has the name of such.
        negatives, exclude: as for ``ListedPhotos``.

    Raises:
        UserError: as ``ListedPhotos``, or a file cannot be read, or it is open which attribute is the class.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        root: Path,
        photos: Path | None = None,
        encoding: str = "utf-8",
        attribute: str | None = None,
        negatives: bool = False,
        exclude: Path | None = None,
    ):
        check_encoding(encoding)
        notes: list[Finding] = []
        contents: dict[Path, list[ViaRegion]] = {}
        for path in paths:
            departures = Departures()
            contents[path] = read_via(path, encoding, departures)
            notes += departures.findings(path.name)
        regions = [region for found in contents.values() for region in found if region.kind]
        if not any(contents.values()):
            remedy = "Save the project again, or export the annotations as JSON"
            raise UserError("no photo is in this file", file=paths[0], remedy=remedy, exit_code=EXIT_DATA)
        chosen = _class_attribute(regions, attribute, paths[0])
        if regions and chosen is None:
            notes.append(Finding(Rule.NO_CLASSES, message=repr(_ONLY_CLASS)))
        files = {path: [_listed(region, chosen) for region in found] for path, found in contents.items()}
        super().__init__(files, "filename", photos or root, negatives, exclude)
        self.root = root
        self._about_files += notes


def _class_attribute(regions: Iterable[ViaRegion], asked_for: str | None, file: Path) -> str | None:
    """The attribute that is the class; None if there is none."""
    found = Counter(name for region in regions for name, values in region.attributes.items() if values)
    named = [name for name in found if name.casefold() in _CLASS_NAMES]
    if asked_for in found or asked_for is None and len(found) < 2:
        return asked_for or next(iter(found), None)
    if asked_for is None and len(named) == 1:
        return named[0]
    names = ", ".join(map(repr, found)) or "no attribute"
    reason = f"regions have {names}; " + (
        f"none is {asked_for!r}" if asked_for else "which one is the class is not clear"
    )
    raise UserError(reason, file=file, remedy="Pass --attribute with the one that is the class")


def _listed(region: ViaRegion, attribute: str | None) -> Listed:
    """A region with its class."""
    labels = [_ONLY_CLASS] if attribute is None else region.attributes.get(attribute, ())
    fault = region.fault or (f"{attribute!r} is {' and '.join(labels)}" if len(labels) > 1 else "")
    if fault:
        return Listed(region.place, region.photo, record=region.record, rule=Rule.WRONG_STRUCTURE, message=fault)
    if not region.kind:
        return Listed(region.place, region.photo, record=region.record)
    shape = Shape("".join(labels), tuple(region.points), region.kind)
    return Listed(region.place, region.photo, shape, record=region.record)
