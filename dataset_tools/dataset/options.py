"""What the user asked of a dataset folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar

from dataset_tools.dataset.scan import ReadOptions
from dataset_tools.dataset.splits import check_fractions
from dataset_tools.errors import UserError
from dataset_tools.formats.card import NAME_RULE, is_usable_name
from dataset_tools.text import is_text

# What becomes of the photos: left where they are, copied, or made smaller on the way and turned upright.
IMAGE_MODES = ("reference", "copy", "resize")

# The longer side of a photo that is made smaller: what the photos of this project's first dataset had.
MAX_SIZE = 1024

# What says how a dataset was asked for, but not what is in it.
_NOT_ON_THE_CARD = ("output", "name", "overwrite", "jobs")


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(ReadOptions):
    """What the user asked of a dataset folder, wherever the annotations come from.

    Attributes:
        max_size: the longer side in pixels for ``resize``; None takes MAX_SIZE.
        output: the dataset folder to make.
        name: prefix of the dataset's names in DatasetCatalog; None takes the name of the output folder.
        images: ``reference`` leaves photos where they are, ``copy`` copies them, ``resize`` makes larger ones smaller.
        fractions: shares of train, val, test; None takes the split of the source, else the default.
        group: a regular expression; photos that have the same match in their paths never part.
        seed: of the random split.
        overwrite: replace a dataset folder that convert or adopt has written, and nothing else.
        skip_bad: leave files with errors out instead of giving up.
    """

    command: ClassVar[str]

    output: Path
    name: str | None = None
    images: str = "reference"
    fractions: Sequence[float] | None = None
    group: str | None = None
    seed: int = 0
    overwrite: bool = False
    skip_bad: bool = False

    @property
    def reading(self) -> ReadOptions:
        """How the source is read: with a size to which photos are scaled only where they are."""
        return replace(self, max_size=(self.max_size or MAX_SIZE) if self.images == "resize" else None)

    def usable_name(self) -> str:
        """The prefix of the dataset's names in DatasetCatalog.

        Raises:
            UserError: the name that was asked for, or that of the folder, cannot be used.
        """
        name = self.name if self.name is not None else self.output.resolve().name
        if not is_usable_name(name):
            raise UserError(f"{name!r} cannot name a dataset", remedy=f"Pass --name with {NAME_RULE}")
        return name

    def made_by(self) -> dict[str, object]:
        """What decided what is in the folder, for the card; no absolute path, no date, so that the bytes repeat."""
        made_by: dict[str, object] = {"command": self.command}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.init and item.name not in _NOT_ON_THE_CARD and value != item.default and value not in ({}, ()):
                value = list(value) if isinstance(value, tuple) else value
                made_by[item.name] = relative_path(value, self.output) if isinstance(value, Path) else value
        return made_by


def check_options(options: DatasetOptions, sources: Sequence[Path]) -> None:
    """Refuse what cannot be done, before anything is read from the sources: annotations, and folders of photos.

    Raises:
        UserError: the folder to make holds what is read, a name cannot be used, or an option is out of range.
    """
    output, other = options.output.resolve(), "Choose another --output"
    if not is_text(str(output)):
        raise UserError("the name of this folder is not Unicode text", file=ascii(str(options.output)), remedy=other)
    for source in sources:
        if not is_text(str(source.resolve())):
            raise UserError("its name is not Unicode text", file=source, remedy="Rename it")
        if source.resolve().is_relative_to(output):
            raise UserError("what should be converted is inside the folder to make", file=source, remedy=other)
    options.usable_name()
    options.check()
    if options.fractions is not None:
        check_fractions(options.fractions)
    if options.images not in IMAGE_MODES:
        raise UserError(f"--images is {options.images!r}", remedy=f"Pass one of {', '.join(IMAGE_MODES)}")
    if options.max_size is not None and options.images != "resize":
        raise UserError("--max-size does nothing without --images resize", remedy="Pass both, or neither")


def relative_path(target: Path, folder: Path) -> str:
    """The way from a folder to a target as the system walks it, links resolved, with POSIX slashes."""
    return Path(os.path.relpath(target.resolve(), folder.resolve())).as_posix()
