"""Pictures of annotations: masks, labels and boxes drawn onto the photos, one by one and on one sheet."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageDraw, ImageOps, PngImagePlugin

from dataset_tools import fonts, geometry, looking, parallel
from dataset_tools.errors import UserError
from dataset_tools.files import replaced_folder, write_atomically
from dataset_tools.findings import BadData, Finding
from dataset_tools.geometry import Mask
from dataset_tools.records import Instance
from dataset_tools.survey import Entry, Source, Survey, Wishes

SHEET_NAME = "preview.png"

# Where splits are, the photos that training is about; test is looked at on purpose only.
DEFAULT_SPLIT = "train"

# A dataset of thousands of photos must not make a sheet that no program opens: it shows this many, evenly spread.
_MOST_ON_SHEET = 100
_TILE = 320  # pixels: large enough to see a mask, small enough for five in a row on a screen
_TILES_IN_ROW = 5

# Smaller photos are enlarged by a whole factor: words would cover them, and pixels can be told apart.
_LEAST_SIDE = 320

# A mask lets its photo through, so that an outline that is off by a few pixels shows; its rim tells it from others.
_OPACITY = 0.4

# Sizes of letters in pixels: they have to be legible, also on a photo that is shown on a whole screen.
_SMALLEST_LETTERS = 12
_LETTERS_SHARE = 1 / 40

# Neighbouring hues are this far apart on the colour circle; the golden ratio keeps any number of classes apart. Light
# and dark ones take turns, since greens and blues look alike over a wide range.
_GOLDEN_RATIO = 0.618033988749895
_SATURATION_AND_VALUE = ((0.8, 1.0), (0.45, 1.0), (1.0, 0.65))

# Stands in the sheet's file: a picture without it is somebody else's, and is not replaced.
_MADE_BY = "polymask preview"

_FAST = 1  # zlib's level: half the time of its default, for files a tenth larger


@dataclass(frozen=True, kw_only=True)
class PreviewOptions:
    """What the user asked for.

    Attributes:
        output: the folder to make, or a PNG file for the sheet alone.
        split: ``train``, ``val`` or ``test``; None takes DEFAULT_SPLIT, or everything where nothing is split.
        most: at most so many photos, evenly spread; None for all.
    """

    output: Path
    split: str | None = None
    most: int | None = None

    @property
    def sheet_only(self) -> bool:
        return self.output.suffix.lower() == ".png"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of it.

    Attributes:
        photos: how many were drawn.
        sheet: the file with all of them, or with some, evenly spread.
        numbered: labels that no font here can show, by the number that stands for each in the pictures.
        findings: of the whole folder, and of the photos that could not be drawn.
    """

    photos: int
    sheet: Path
    numbered: dict[str, str]
    findings: list[Finding]


def preview(source: Source, wishes: Wishes, options: PreviewOptions) -> Drawn:
    """Draw photos with what is annotated on them, a PNG for each, and a sheet. Photos with errors are left out.

    Raises:
        UserError: the options are wrong, or other things are where the pictures are to go.
        BadData: no photo can be drawn. Nothing is made or changed then.
    """
    if options.most is not None and options.most < 1:
        raise UserError(f"--max is {options.most}", remedy="Pass a number from 1 up, or leave it out")
    _check_output(options, source)
    with Survey(source, wishes) as survey:
        entries = looking.usable(survey)
        default = DEFAULT_SPLIT if looking.is_split(entries) else None
        entries = looking.of_split(entries, options.split or default, source.root)
        names = _file_names(entries)
        entries = _evenly(entries, options.most)
        style = _Style.of(looking.class_names(survey, wishes.shapes.labels.classes))
        with _place(options) as folder:
            tiles, seen = [], set()
            for tile in _draw_all(survey, entries, names, style, folder, wishes.jobs):
                if isinstance(tile, Finding):
                    survey.findings.append(tile)
                    continue
                seen.add(tile.name)
                if tile.picture is not None:
                    tiles.append(tile)
            if not seen:
                remedy = "Correct what is listed above"
                raise BadData("no photo can be drawn", survey.findings, file=source.root, remedy=remedy)
            present = {label for entry in entries if names[entry.file] in seen for label in entry.counts}
            _save_sheet(tiles, style, present, options, folder)
    sheet = options.output if options.sheet_only else options.output / SHEET_NAME
    numbered = {style.captions[label]: label for label in style.captions if style.captions[label] != label}
    numbered = {text: label for text, label in numbered.items() if label in present and text.startswith("#")}
    return Drawn(len(seen), sheet, numbered, survey.findings)
