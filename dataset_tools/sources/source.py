"""What every source of annotated photos can do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dataset_tools.errors import UserError
from dataset_tools.findings import Finding
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import Photo, SourceResult


@dataclass(frozen=True, slots=True)
class Rest:
    """What no file has led to.

    Attributes:
        negatives: photos that are read as ones with nothing in them.
        findings: about the other photos, and about the source as a whole.
    """

    negatives: Sequence[str] = ()
    findings: Sequence[Finding] = ()


def check_encoding(encoding: str) -> None:
    """Refuse the name of an encoding that does not exist.

    Raises:
        UserError: Python knows no encoding of that name.
    """
    try:
        "a".encode(encoding)
    except (LookupError, ValueError) as error:
        remedy = "Pass --encoding utf-8, gbk, shift_jis, cp1252, ..."
        raise UserError(f"{encoding!r} is not a text encoding", remedy=remedy) from error


class Source(Protocol):
    """Where annotated photos come from: a LabelMe folder, a COCO dataset, a table of boxes.

    Attributes:
        root: the folder that the files in findings are relative to.
        photo_root: the folder that the photos' paths are relative to.
        keys: what ``read`` takes, in order: annotation files, or photos.
        classes: in order, if the source has a list of them.
    """

    @property
    def root(self) -> Path: ...

    @property
    def photo_root(self) -> Path: ...

    @property
    def keys(self) -> Sequence[str]: ...

    @property
    def classes(self) -> tuple[str, ...] | None: ...

    def read(self, keys: Sequence[str], options: ShapeOptions, max_size: int | None = None) -> Iterable[SourceResult]:
        """For each key, a photo with its instances, and the findings about it; some keys at a time are read faster.

        There is no photo if it cannot be used. The findings may hold errors either way.

        Args:
            keys: some of ``keys``, or of the negatives of ``rest``; few enough for the memory.
            options: what becomes of shapes.
            max_size: the longer side of a photo, to which larger ones are scaled; None keeps the size.
        """
        ...

    def original(self, file: str, photo: Photo) -> Path | bytes:
        """The path of a photo; its bytes if it exists in its annotation file only."""
        ...

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """What is left once all keys are read.

        Args:
            used: the photos that a file led to.
            failed: the files that led to no photo because of an error.
        """
        ...
