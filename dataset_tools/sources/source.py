"""What every source of annotated photos can do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from dataset_tools.errors import UserError
from dataset_tools.findings import Finding
from dataset_tools.formats.labelme import Shape
from dataset_tools.images.header import fit_size
from dataset_tools.instances.grouping import build_instances
from dataset_tools.instances.shapes import ShapeOptions
from dataset_tools.records import AnnotatedPhoto, Canvas, Photo, SourceResult


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
    """Where annotated photos come from: a LabelMe folder, COCO files, a dataset of YOLO and others.

    Attributes:
        root: the folder that the files in findings are relative to.
        photo_root: the folder that the photos' paths are relative to.
        keys: what ``read`` takes, in order: annotation files, or photos.
        classes: in order, if the source has a list of them.
    """

    root: Path
    photo_root: Path
    keys: Sequence[str]
    classes: tuple[str, ...] | None = None

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
        return self.photo_root / photo.path

    def rest(self, used: Set[str], failed: Set[str]) -> Rest:
        """What is left once all keys are read.

        Args:
            used: the photos that a file led to.
            failed: the files that led to no photo because of an error.
        """
        ...


class OpenedFile(NamedTuple):
    """What is kept of an annotation file until its shapes become instances: imageData may be large.

    Attributes:
        photo: the photo.
        split: ``train``, ``val`` or ``test`` where the source says so.
        shapes: as decoded.
        places: what the shapes are called in findings; see ``Canvas``.
    """

    photo: Photo
    split: str | None
    shapes: Sequence[Shape]
    places: Sequence[str] = ()


class ShapeSource(Source):
    """A source of LabelMe's shapes. Its subclasses say how a key is opened."""

    @abstractmethod
    def open(self, key: str) -> tuple[OpenedFile | None, list[Finding]]:
        """The photo and the shapes of a key, if they can be used, and the findings about them."""

    def read(self, keys: Sequence[str], options: ShapeOptions, max_size: int | None = None) -> Iterator[SourceResult]:
        """Photos with their instances, and the findings about each; see ``Source``."""
        opened = [(key, *self.open(key)) for key in keys]
        files = [
            (Canvas(key, item.photo.size, fit_size(item.photo.size, max_size), item.places), item.shapes)
            for key, item, _ in opened
            if item
        ]
        built = zip(files, build_instances(files, options))
        for key, item, findings in opened:
            if item is None:
                yield None, findings
                continue
            (canvas, shapes), (instances, found) = next(built)
            labels = frozenset(shape.label for shape in shapes)
            photo = AnnotatedPhoto(key, item.photo, canvas.frame, instances, item.split, labels)
            yield photo, [*findings, *found]
