"""``preview``: photos with what is annotated on them, one by one and on one sheet."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image, PngImagePlugin

from dataset_tools import parallel
from dataset_tools.dataset.scan import Entry, ReadOptions, Scan, scanned
from dataset_tools.errors import UserError
from dataset_tools.files import write_atomically
from dataset_tools.findings import BadData, Finding
from dataset_tools.output_folder import replaced_folder
from dataset_tools.sources.source import Source
from dataset_tools.view import drawing
from dataset_tools.view.drawing import Style
from dataset_tools.view.output import check_place
from dataset_tools.view.photos import load_entry_photo
from dataset_tools.view.selection import class_names, is_split, select_photos

SHEET_NAME = "preview.png"

# Where there are splits, the photos that are trained on.
_DEFAULT_SPLIT = "train"

# A dataset of thousands of photos must not make a sheet that no program opens: it shows this many, evenly spread.
_MOST_ON_SHEET = 100

# The longer side in pixels up to which photos are enlarged, by a whole factor: words would cover them.
_LEAST_SIDE = 320

# Stands in the file of a sheet: what is without it is somebody else's, and is not replaced.
_MADE_BY = "polymask preview"

# zlib's level for photos: against its default, a third of the time, and files a tenth larger.
FAST = 1


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """What came of it.

    Attributes:
        photos: how many were drawn.
        split: of which they are, where there are splits.
        numbered: labels that no font here can show, by the number that stands for each in the pictures.
        findings: about the whole folder, and about photos that could not be drawn.
    """

    photos: int
    split: str | None
    numbered: dict[str, str]
    findings: list[Finding]


def preview(
    source: Source, reading: ReadOptions, output: Path, split: str | None = None, most: int | None = None
) -> PreviewReport:
    """Draw photos with masks, labels and boxes on them: a PNG for each, and a sheet. Those with errors are left out.

    Args:
        source: a LabelMe folder or a dataset folder.
        reading: how it is read.
        output: the folder to make; or a name that ends with .png, for the sheet alone.
        split: ``train``, ``val`` or ``test``; None for train, or for everything where there are no splits.
        most: at most so many photos, evenly spread; None for all.

    Raises:
        UserError: the options are wrong, or other things are where the pictures are to go.
        BadData: no photo can be drawn. Nothing is made or changed then.
    """
    if most is not None and most < 1:
        raise UserError(f"--max is {most}", remedy="Pass a number from 1 up, or leave it out")
    check_place(output, source)
    if is_sheet(output):
        _check_sheet(output)
    made = nullcontext() if is_sheet(output) else replaced_folder(output, "previews")
    with made as folder, scanned(source, reading) as scan:
        split = split or (_DEFAULT_SPLIT if is_split(scan.entries) else None)
        entries, findings = select_photos(scan, split)
        chosen = _evenly(entries, most)
        on_sheet = _evenly(chosen, _MOST_ON_SHEET)
        if folder is None:
            chosen = on_sheet
        style = Style.of(class_names(scan, reading))
        task = _Task(scan, style, _names(entries), {entry.file for entry in on_sheet}, folder)
        results = list(zip(chosen, parallel.in_order(_draw_one, task, chosen, reading.jobs, "Drawing", "photo")))
        findings += [result for _, result in results if isinstance(result, Finding)]
        drawn = [entry for entry, result in results if not isinstance(result, Finding)]
        if not drawn:
            raise BadData("no photo can be drawn", findings, file=source.root)
        present = {label for entry in drawn for label in entry.counts}
        tiles = [(task.names[entry.file], result) for entry, result in results if isinstance(result, Image.Image)]
        sheet = _as_file(drawing.draw_sheet(tiles, style, [name for name in style.colours if name in present]))
        if folder is not None:
            (folder / SHEET_NAME).write_bytes(sheet)
        else:
            _check_sheet(output)  # again: minutes may have passed
            output.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(output, sheet)
    return PreviewReport(len(drawn), split, _numbered(style, present), findings)


def is_sheet(output: Path) -> bool:
    """Whether a path names a picture for the sheet alone."""
    return output.suffix.lower() == ".png"


def _check_sheet(output: Path) -> None:
    if output.exists() and not _is_preview(output):
        raise UserError("this exists and is not a sheet of previews", file=output, remedy="Choose another --output")


def _is_preview(path: Path) -> bool:
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return picture.info.get("Software") == _MADE_BY
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # a folder, no PNG, a broken one
        return False


def _evenly(items: Sequence, most: int | None) -> list:
    if most is None or len(items) <= most:
        return list(items)
    return [items[index * len(items) // most] for index in range(most)]


def _names(entries: Sequence[Entry]) -> dict[str, str]:
    """A name for each picture, by file: the photo's place in the split, and its stem, which alone may not be unique."""
    digits = len(str(len(entries)))
    return {
        entry.file: f"{number:0{digits}}_{PurePosixPath(entry.photo.path).stem}"
        for number, entry in enumerate(entries, start=1)
    }


@dataclass(frozen=True, slots=True)
class _Task:
    """What a process has to know: ``folder`` takes the pictures, unless it is None; the rest is by file."""

    scan: Scan
    style: Style
    names: dict[str, str]
    on_sheet: Set[str]
    folder: Path | None


def _draw_one(task: _Task, entry: Entry) -> Image.Image | Finding | None:
    """Draw a photo: its tile on the sheet, None if it is not there, or why it cannot be drawn."""
    photo = load_entry_photo(task.scan.source, entry)
    if isinstance(photo, Finding):
        return photo
    instances = task.scan.instances(entry)
    if task.folder is not None:
        factor = math.ceil(_LEAST_SIDE / max(photo.size))
        size = photo.width * factor, photo.height * factor
        picture = drawing.draw_instances(photo, instances, task.style, size)
        picture.save(task.folder / f"{task.names[entry.file]}.png", compress_level=FAST)
    if entry.file not in task.on_sheet:
        return None
    return drawing.draw_instances(photo, instances, task.style, drawing.tile_size(photo.size))


def _as_file(sheet: Image.Image) -> bytes:
    stream, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("Software", _MADE_BY)
    sheet.save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def _numbered(style: Style, present: Set[str]) -> dict[str, str]:
    return {
        caption: label
        for number, (label, caption) in enumerate(style.captions.items(), start=1)
        if label in present and caption == f"#{number}" != label
    }
