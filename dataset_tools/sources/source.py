"""What every source of annotated photos can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Protocol

from dataset_tools.findings import Finding
from dataset_tools.images.embedded import EmbeddedPicture
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import Photo, SourceResult


class Source(Protocol):
    """Where annotated photos come from: a LabelMe folder, a COCO dataset, a table of boxes.

    Attributes:
        root: the folder that the files in findings are relative to.
        photo_root: the folder that the photos' paths are relative to.
        keys: what ``read`` takes, in order: annotation files, or photos.
        classes: in order, if the source has a list of them.
    """

    root: Path
    photo_root: Path
    keys: Sequence[str]
    classes: tuple[str, ...] | None

    def read(self, keys: Sequence[str], options: ShapeOptions, max_size: int | None = None) -> list[SourceResult]:
        """What comes of each of some keys: a photo with its instances, and what there is to say about it."""
        ...

    def embedded(self, file: str) -> EmbeddedPicture:
        """The photo that exists in an annotation file only."""
        ...

    def negatives(self, used: Set[str], failed: Set[str]) -> Sequence[str]:
        """What ``read`` takes besides, once all keys are read: photos that are to have nothing in them.

        Args:
            used: the photos that something has led to.
            failed: the files that led to no photo, though there is something drawn on one in them.
        """
        ...

    def unread(self, used: Set[str], failed: Set[str]) -> Iterator[Finding]:
        """What there is to say at the end about what nothing has led to, given the same."""
        ...


def original_photo(source: Source, file: str, photo: Photo) -> Path | bytes:
    """The path of a photo; its bytes where it exists in its annotation file only.

    Args:
        source: where it is from.
        file: its annotation file.
        photo: what the source says of it.
    """
    return source.embedded(file).content if photo.embedded else source.photo_root / photo.path
