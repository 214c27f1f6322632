"""What travels from every source of annotations to everything that is made of them: photos and their instances.

Sizes are (width, height) in pixels as a photo is shown, EXIF orientation applied.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dataset_tools.findings import Finding
from dataset_tools.geometry.rle import Rle

# The outline of an instance in COCO's format: polygons as flat lists x, y, x, y, ... in pixels; or an RLE where
# polygons cannot express it.
Segmentation = list[list[float]] | Rle


class Instance(msgspec.Struct, frozen=True, gc=False):
    """One object of a photo, ready for COCO.

    Attributes:
        label: its class.
        segmentation: its outline.
        area: in pixels.
        bbox: x, y, width, height in pixels.
    """

    label: str
    segmentation: Segmentation
    area: float
    bbox: tuple[float, float, float, float]


class Photo(msgspec.Struct, frozen=True, gc=False):
    """The photo of an annotation file.

    Attributes:
        path: with POSIX slashes, relative to the source's folder of photos; where ``embedded``, the name that it gets.
        size: (width, height) as shown.
        embedded: it exists in the annotation file only, and has to be written out.
        origin: of an embedded one, where the file says that it lay, and what tells its bytes from all others.
        frames: pages, or frames of an animation, of which the first is the photo.
    """

    path: str
    size: tuple[int, int]
    embedded: bool = False
    origin: str | None = None
    frames: int = 1


class Canvas(msgspec.Struct, frozen=True, gc=False):
    """What the shapes of one annotation file are drawn on.

    Attributes:
        file: the annotation file, for findings.
        size: of the photo.
        frame: the size to which photo and instances are scaled; the same, if they are not.
        places: what the shapes are called in findings; none for ``shapes[0]``, ``shapes[1]``, ...
    """

    file: str
    size: tuple[int, int]
    frame: tuple[int, int]
    places: Sequence[str] = ()

    def place(self, index: int) -> str:
        """What a shape is called in findings."""
        return self.places[index] if self.places else f"shapes[{index}]"


class AnnotatedPhoto(msgspec.Struct, frozen=True, gc=False):
    """One photo with its instances.

    Attributes:
        file: the annotation file that says so (or the photo, where one file speaks of many), for findings.
        photo: the photo.
        size: the frame of the instances: that of the photo, unless photos are made smaller on the way.
        instances: in the order of the file.
        split: ``train``, ``val`` or ``test`` where the source says so.
        labels: those of its shapes as they were typed, of the shapes that are left out, too.
    """

    file: str
    photo: Photo
    size: tuple[int, int]
    instances: list[Instance]
    split: str | None = None
    labels: frozenset[str] = frozenset()


# What comes of one annotation file: a photo, or None if it cannot be used; and what there is to say about it.
SourceResult = tuple[AnnotatedPhoto | None, list[Finding]]
