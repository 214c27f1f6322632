"""``preview``: photos with what is annotated on them, one by one and on one sheet."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass, replace
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
from dataset_tools.view.photos import BadPhoto, load_entry_photo
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


@dataclass(frozen=True, kw_only=True)
class PreviewOptions:
    """What the user asked for.

    Attributes:
        output: the folder to make; or a name that ends with .png, for the sheet alone.
        split: ``train``, ``val`` or ``test``; None for train, or for everything where there are no splits.
        most: at most so many photos, evenly spread; None for all.
    """

    output: Path
    split: str | None = None
    most: int | None = None

    @property
    def is_sheet(self) -> bool:
        return self.output.suffix.lower() == ".png"


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


def preview(source: Source, reading: ReadOptions, options: PreviewOptions) -> PreviewReport:
    """Draw photos with masks, labels and boxes on them: a PNG for each, and a sheet. Those with errors are left out.

    Raises:
        UserError: the options are wrong, or other things are where the pictures are to go.
        BadData: no photo can be drawn. Nothing is made or changed then.
    """
    if options.most is not None and options.most < 1:
        raise UserError(f"--max is {options.most}", remedy="Pass a number from 1 up, or leave it out")
    check_place(options.output, source)
    if options.is_sheet:
        _check_sheet(options.output)
    output = nullcontext() if options.is_sheet else replaced_folder(options.output, "previews")
    with output as folder, scanned(source, reading) as scan:
        split = options.split or (_DEFAULT_SPLIT if is_split(scan.entries) else None)
        entries, findings = select_photos(scan, split)
        chosen = _evenly(entries, options.most)
        if folder is None:
            chosen = _evenly(chosen, _MOST_ON_SHEET)
        task = _Task(scan, Style.of(class_names(scan, reading)), _names(entries), set(), folder)
        drawn = _draw(task, chosen, findings, reading.jobs)
        if folder is not None:
            (folder / SHEET_NAME).write_bytes(drawn.sheet)
        else:
            _check_sheet(options.output)  # again: minutes may have passed
            options.output.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(options.output, drawn.sheet)
    return PreviewReport(len(drawn.entries), split, _numbered(task.style, drawn.entries), drawn.findings)


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


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The photos that were drawn, the sheet as a file, and the findings, also about photos that could not be drawn."""

    entries: list[Entry]
    sheet: bytes
    findings: list[Finding]


def _draw(task: _Task, entries: Sequence[Entry], findings: Sequence[Finding], jobs: int) -> _Drawn:
    task = replace(task, on_sheet={entry.file for entry in _evenly(entries, _MOST_ON_SHEET)})
    results = list(zip(entries, parallel.in_order(_draw_one, task, entries, jobs, "Drawing", "photo")))
    drawn = [entry for entry, result in results if not isinstance(result, Finding)]
    findings = [*findings, *(result for _, result in results if isinstance(result, Finding))]
    if not drawn:
        remedy = "Correct what is listed above"
        raise BadData("no photo can be drawn", findings, file=task.scan.source.root, remedy=remedy)
    tiles = [(task.names[entry.file], result) for entry, result in results if isinstance(result, Image.Image)]
    present = {label for entry in drawn for label in entry.counts}
    sheet = drawing.draw_sheet(tiles, task.style, [name for name in task.style.colours if name in present])
    return _Drawn(drawn, _as_file(sheet), findings)


def _draw_one(task: _Task, entry: Entry) -> Image.Image | Finding | None:
    """Draw a photo: its tile on the sheet, None if it is not there, or why it cannot be drawn."""
    try:
        photo = load_entry_photo(task.scan.source, entry)
    except BadPhoto as error:
        return error.finding
    instances = task.scan.instances(entry)
    if task.folder is not None:
        picture = drawing.draw_instances(photo, instances, task.style, _picture_size(photo.size))
        picture.save(task.folder / f"{task.names[entry.file]}.png", compress_level=FAST)
    if entry.file not in task.on_sheet:
        return None
    return drawing.draw_instances(photo, instances, task.style, drawing.tile_size(photo.size))


def _picture_size(size: tuple[int, int]) -> tuple[int, int]:
    factor = math.ceil(_LEAST_SIDE / max(size))
    return size[0] * factor, size[1] * factor


def _as_file(sheet: Image.Image) -> bytes:
    stream, info = io.BytesIO(), PngImagePlugin.PngInfo()
    info.add_text("Software", _MADE_BY)
    sheet.save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def _numbered(style: Style, entries: Sequence[Entry]) -> dict[str, str]:
    present = {label for entry in entries for label in entry.counts}
    return {
        caption: label
        for number, (label, caption) in enumerate(style.captions.items(), start=1)
        if label in present and caption == f"#{number}" != label
    }
