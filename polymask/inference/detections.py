"""What a model has found on a photo, and how it becomes a LabelMe file or COCO annotations.

Of each mask only the part of the photo that it covers is held, as a run-length code: a hundred boolean masks of a photo
of 10,000 x 8,000 px would take 8 GB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from dataset_tools.formats import labelme
from dataset_tools.formats.coco import Annotation
from dataset_tools.geometry import rle
from dataset_tools.geometry.rle import Rle, Window
from dataset_tools.to_labelme.instance_shapes import annotation_file, outline, score_in_words


class PlacedMask(msgspec.Struct, frozen=True, gc=False):
    """A mask somewhere on a photo. Two masks are equal where their pixels are.

    Attributes:
        left, top, width, height: in px, the smallest part of the photo that holds all its pixels; all 0 for none.
        counts: pycocotools' run-length code of that part.
    """

    left: int
    top: int
    width: int
    height: int
    counts: bytes

    @property
    def window(self) -> Window:
        return self.left, self.top, self.left + self.width, self.top + self.height

    @property
    def area(self) -> int:
        """In px."""
        return int(pycocotools.mask.area(self._encoded)) if self.width else 0

    def pixels(self) -> NDArray[np.bool_]:
        """The mask within its window, (height, width)."""
        if not self.width:
            return np.zeros((0, 0), dtype=bool)
        return pycocotools.mask.decode(self._encoded).astype(bool)

    def pixels_in(self, window: Window) -> NDArray[np.bool_]:
        """The mask within another window, (bottom - top, right - left)."""
        left, top, right, bottom = window
        pixels = np.zeros((max(0, bottom - top), max(0, right - left)), dtype=bool)
        x0, y0, x1, y1 = common(self.window, window)
        if x0 < x1 and y0 < y1:
            own = self.pixels()[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
            pixels[y0 - top : y1 - top, x0 - left : x1 - left] = own
        return pixels

    def resized(self, size: tuple[int, int], scale: float) -> NDArray[np.bool_]:
        """The mask on the photo resized by a factor to a (height, width): each pixel is that of the photo in its middle."""
        whole = np.zeros(size, dtype=bool)
        if self.width:
            rows = ((np.arange(size[0]) + 0.5) / scale).astype(int) - self.top
            columns = ((np.arange(size[1]) + 0.5) / scale).astype(int) - self.left
            in_rows, in_columns = (rows >= 0) & (rows < self.height), (columns >= 0) & (columns < self.width)
            whole[np.ix_(in_rows, in_columns)] = self.pixels()[np.ix_(rows[in_rows], columns[in_columns])]
        return whole

    def moved(self, x: int, y: int) -> PlacedMask:
        """The same mask, so many px to the right and down."""
        return msgspec.structs.replace(self, left=self.left + x, top=self.top + y) if self.width else self

    def rle(self, size: tuple[int, int]) -> Rle:
        """The run-length code of the whole photo, of a size (height, width), which is never held as a mask."""
        return rle.encode(self.pixels(), size, self.left, self.top)

    @property
    def _encoded(self) -> dict:
        return {"size": [self.height, self.width], "counts": self.counts}


class Detection(msgspec.Struct, frozen=True, gc=False):
    """One object that a model has found.

    Attributes:
        category: its class, an index from 0.
        score: 0 to 1.
        box: left, top, right and bottom (XYXY) in px of the photo.
        mask: its pixels.
        track_id: of an object in a video, the same in all frames, from 1.
    """

    category: int
    score: float
    box: tuple[float, float, float, float]
    mask: PlacedMask
    track_id: int | msgspec.UnsetType = msgspec.UNSET

    def moved(self, x: int, y: int) -> Detection:
        """The same object, so many px to the right and down."""
        left, top, right, bottom = self.box
        box = (left + x, top + y, right + x, bottom + y)
        return msgspec.structs.replace(self, box=box, mask=self.mask.moved(x, y))


class ScoredAnnotation(Annotation, frozen=True, gc=False, kw_only=True):
    """An instance as COCO's annotations and its results have it: with ids, area and box, with a score, and in a video
    with the id of its object, under the name that TAO gave it (https://taodataset.org)."""

    score: float
    track_id: int | msgspec.UnsetType = msgspec.UNSET


class Detections(msgspec.Struct, frozen=True):
    """What a model has found on one photo.

    Attributes:
        size: (width, height) in px of the photo as it is shown.
        classes: all that the model knows, in its order.
        found: the objects, best first.
    """

    size: tuple[int, int]
    classes: tuple[str, ...]
    found: tuple[Detection, ...]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.found)

    def scoring(self, at_least: float) -> Detections:
        """Those of the objects that have a score of at least so much."""
        return msgspec.structs.replace(self, found=tuple(d for d in self.found if d.score >= at_least))

    def to_labelme(self, image_path: str) -> bytes:
        """A LabelMe file with polygons around each object, and its score as the description.

        Args:
            image_path: the way from the file to the photo, with POSIX slashes.
        """
        objects = [
            outline(self.classes[d.category], score_in_words(d.score), d.mask.pixels(), (d.mask.left, d.mask.top))
            for d in self.found
        ]
        return labelme.encode(annotation_file(image_path, self.size, objects))

    def to_coco(self, image_id: int = 1, first_id: int = 1) -> list[ScoredAnnotation]:
        """COCO annotations, which are COCO results, too: category ids from 1, boxes as x, y, width, height in px.

        Args:
            image_id: of the photo.
            first_id: of the first annotation; the others follow.
        """
        return [
            ScoredAnnotation(
                id=number,
                image_id=image_id,
                category_id=detection.category + 1,
                segmentation=detection.mask.rle(self.size[::-1]),
                area=detection.mask.area,
                bbox=(left, top, right - left, bottom - top),
                score=detection.score,
                track_id=detection.track_id,
            )
            for number, detection in enumerate(self.found, start=first_id)
            for left, top, right, bottom in [detection.box]
        ]


EMPTY = PlacedMask(0, 0, 0, 0, b"")


def place(pixels: NDArray[np.bool_], left: int = 0, top: int = 0) -> PlacedMask:
    """A mask (H, W) whose first pixel is at ``left``, ``top`` of the photo."""
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return EMPTY
    part = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    counts = pycocotools.mask.encode(np.asfortranarray(part, dtype=np.uint8))["counts"]
    return PlacedMask(left + int(columns[0]), top + int(rows[0]), part.shape[1], part.shape[0], counts)


def placed(code: Rle) -> PlacedMask:
    """The mask of a photo's code."""
    left, top, right, bottom = rle.bounds(code)
    return place(rle.decode(code, (left, top, right, bottom)), left, top)


def common(first: Window, second: Window) -> Window:
    """What two windows share; there is nothing where right is not beyond left, or bottom not beyond top."""
    return (
        max(first[0], second[0]),
        max(first[1], second[1]),
        min(first[2], second[2]),
        min(first[3], second[3]),
    )


def shared_area(first: PlacedMask, second: PlacedMask) -> int:
    """The pixels that two masks of one photo have in common."""
    window = common(first.window, second.window)
    return int(np.count_nonzero(first.pixels_in(window) & second.pixels_in(window)))


def area_in(mask: PlacedMask, window: Window) -> int:
    """The pixels of a mask that are in a window."""
    return int(np.count_nonzero(mask.pixels_in(common(mask.window, window))))


def union(masks: Sequence[PlacedMask]) -> PlacedMask:
    """All pixels of one or more masks of one photo."""
    windows = np.array([mask.window for mask in masks if mask.width])
    if not len(windows):
        return EMPTY
    (left, top), (right, bottom) = windows[:, :2].min(axis=0).tolist(), windows[:, 2:].max(axis=0).tolist()
    pixels = np.zeros((bottom - top, right - left), dtype=bool)
    for mask in masks:
        x0, y0, x1, y1 = mask.window
        pixels[y0 - top : y1 - top, x0 - left : x1 - left] |= mask.pixels()
    return place(pixels, left, top)
