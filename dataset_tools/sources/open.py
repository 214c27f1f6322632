"""The one place that chooses a source: which one a path leads to."""

from __future__ import annotations

from pathlib import Path

from dataset_tools.errors import EXIT_DATA, UserError
from dataset_tools.formats import kinds
from dataset_tools.formats.card import is_dataset_folder
from dataset_tools.images.folders import check_folder, list_folder
from dataset_tools.sources.coco_files import CocoFiles
from dataset_tools.sources.csv_boxes import CsvBoxes
from dataset_tools.sources.labelme_folder import LabelmeFolder
from dataset_tools.sources.source import Source
from dataset_tools.sources.via_files import ViaFiles
from dataset_tools.sources.yolo_folder import YoloFolder


def open_source(
    path: Path, photos: Path | None = None, encoding: str = "utf-8", attribute: str | None = None
) -> Source:
    """What a path holds: a dataset folder (it has a card), or else what ``open_annotations`` opens.

    Args:
        path: the file or folder.
        photos: the folder of the photos; None if they are where a file or folder of this kind has them.
        encoding: of the files; a dataset folder is always UTF-8.
        attribute: of VIA's regions, which is the class; None if that is clear.

    Raises:
        UserError: there is nothing of the kind, it cannot be read at all, or it has no attributes, and one is asked for.
    """
    if is_dataset_folder(path):
        _refuse_attribute(attribute, path)
        return CocoFiles.of_dataset(path, photos)
    return open_annotations(path, photos, encoding, attribute)


def open_annotations(
    path: Path,
    photos: Path | None = None,
    encoding: str = "utf-8",
    attribute: str | None = None,
    negatives: bool = False,
    exclude: Path | None = None,
) -> Source:
    """What people have drawn: files of LabelMe or VIA, a dataset of YOLO, or a table of boxes (a CSV file).

    Args:
        path, photos, encoding, attribute: as for ``open_source``.
        negatives: photos that no file or line names are photos with nothing in them.
        exclude: a folder that is passed over.

    Raises:
        UserError: there is nothing of the kind, or of several, it cannot be read at all, or it has no attributes, and
            one is asked for.
    """
    kind, files = _kind_of_folder(path, exclude) if path.is_dir() else (kinds.kind_of_file(path), [path])
    if kind is not kinds.VIA:
        _refuse_attribute(attribute, path)
    if kind is kinds.TABLE:
        return CsvBoxes(files[0], photos, encoding, negatives, exclude)
    if kind is kinds.YOLO:
        return YoloFolder(files[0], photos, encoding, negatives, exclude)
    if kind is kinds.VIA:
        root = path if path.is_dir() else path.parent
        return ViaFiles(files, root, photos, encoding, attribute, negatives, exclude)
    if path.is_file():
        raise kinds.wrong_kind(path, kind or kinds.OTHER, "this is not a LabelMe folder")
    return LabelmeFolder(path, photos, encoding, negatives, exclude)


def _refuse_attribute(attribute: str | None, path: Path) -> None:
    if attribute is not None and path.exists():
        reason = f"--attribute is '{attribute}', and regions of VIA alone have attributes"
        raise UserError(reason, file=path, remedy="Leave --attribute out, or name the file of VIA")


def _kind_of_folder(folder: Path, exclude: Path | None) -> tuple[kinds.Kind | None, list[Path]]:
    """What a folder holds, and its files of that kind, where they say what else is in it.

    Raises:
        UserError: it holds annotations of several kinds, or several descriptions.
    """
    check_folder(folder)
    files = list_folder(folder, exclude).files
    found = kinds.kinds_in(folder, files)
    programs = [
        kind for kind in (kinds.YOLO, kinds.LABELME, kinds.VIA, kinds.COCO, kinds.LABEL_STUDIO) if kind in found
    ]
    has_labels = kinds.YOLO in found and list_folder(folder, exclude, ".txt").files
    if not has_labels and not found.keys().isdisjoint((kinds.LABELME, None)):
        return kinds.LABELME, []  # its source says what the other files are
    choices = [(kind, found[kind][0]) for kind in programs]
    if programs == [kinds.YOLO]:
        choices = [(kinds.YOLO, path) for path in found[kinds.YOLO]]
    if len(choices) > 1:
        names = ", ".join(f"{path.relative_to(folder)} is {kind.name}" for kind, path in choices)
        others = " or ".join(path.name for kind, path in choices if kind is not kinds.LABELME)
        remedy = f"Name {others} in place of the folder, or put them into different folders"
        raise UserError(f"annotations are here several times: {names}", file=folder, remedy=remedy, exit_code=EXIT_DATA)
    tables = found.get(kinds.TABLE, [])
    if not programs and not files and len(tables) == 1:
        return kinds.TABLE, tables
    return (programs[0], found[programs[0]]) if programs else (None, [])
