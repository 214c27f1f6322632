"""COCO's run-length code of masks, written and read inside a window of the photo, without holding all of it.

The code lists the lengths of runs of pixels, column by column from the top left, outside and inside the object by turns.
An *edge* is the index of a pixel, counted so, at which a run begins. Each number of the text takes five bits in each
character, the lowest first; a sixth bit says that more follow; in the last character, the highest of the five is the
sign. From the fourth number on, each is the difference to the run before the last. pycocotools (``rleToString`` in its
maskApi.c) writes the same text; where runs are missing, it fills the mask up with whatever is in memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from dataset_tools.geometry.masks import EncodedMask, Mask, rasterise_polygons, union_masks
from dataset_tools.geometry.polygons import Polygon

# Left, top, right and bottom in whole pixels; right and bottom are the first that are outside.
Window = tuple[int, int, int, int]

_FIRST_CHARACTER = 48
_BITS = 5
_MORE = 0x20
_SIGN = 0x10

# Characters of a number. A run of the largest photo that is read needs 28 bits and the sign, and a seventh character
# would overflow the 32 bits in which pycocotools 2.0.11 puts them together.
_LONGEST_NUMBER = 6
_CODE = re.compile(rf"(?:[P-o]{{0,{_LONGEST_NUMBER - 1}}}[0-O])*+")


class Rle(msgspec.Struct, frozen=True, gc=False):
    """A mask in pycocotools' run-length code: size is (height, width), counts its compressed text."""

    size: tuple[int, int]
    counts: str


class BadRle(ValueError):
    """A run-length code that is not a mask of its size."""


def encode(mask: Mask, size: tuple[int, int] | None = None, left: int = 0, top: int = 0) -> Rle:
    """The code of a photo's mask that is given inside a window, and is empty elsewhere.

    Args:
        mask: (height, width) of the window.
        size: (height, width) of the photo, which holds all of the window; the window's, if None.
        left, top: where the window's first pixel is in the photo.
    """
    rows, columns = mask.shape
    height, width = size or mask.shape
    # A pixel outside above each column and behind the last one: every run begins and ends within its column.
    pixels = np.zeros(columns * (rows + 1) + 1, dtype=bool)
    pixels[:-1].reshape(columns, rows + 1)[:, 1:] = mask.T
    column, row = np.divmod(np.flatnonzero(pixels[1:] != pixels[:-1]), rows + 1)
    edges = (column + left) * height + (row + top)
    if rows == height:  # at the bottom of a column and at the top of the next, a run goes on
        edges, times = np.unique(edges, return_counts=True)
        edges = edges[times == 1]
    runs = _lengths(np.append(edges, height * width)).tolist()
    runs = runs[:-1] if runs[-1] == 0 else runs
    return as_rle(coco_mask.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def decode(rle: Rle, window: Window | None = None) -> Mask:
    """The mask of a code inside a window, (bottom - top, right - left); of the whole photo, if None.

    Args:
        rle: of a photo.
        window: a part of the photo.

    Raises:
        BadRle: it holds other characters than such a code has, or its runs do not add up to its size.
    """
    runs = checked_runs(rle.size, rle.counts)
    height, width = rle.size
    if window:
        left, top, right, bottom = window
        height, width = bottom - top, right - left
        column, row = np.divmod(runs.cumsum(), rle.size[0])
        # Of the window's pixels, those that come before an edge.
        before = (column - left) * height + np.minimum(np.maximum(row - top, 0), height)
        runs = _lengths(np.minimum(np.maximum(before, 0), width * height))
    inside = np.zeros(len(runs), dtype=bool)
    inside[1::2] = True
    return np.repeat(inside, runs).reshape(width, height).T


def resize(code: Rle, size: tuple[int, int]) -> Rle:
    """A mask at another (width, height): each pixel has the value of the one that Pillow calls the nearest.

    Raises:
        BadRle: as ``decode``.
    """
    (height, width), (left, top, right, bottom) = code.size, bounds(code)
    columns, rows = _nearest(width, size[0]), _nearest(height, size[1])
    new_left, new_right = np.searchsorted(columns, (left, right)).tolist()
    new_top, new_bottom = np.searchsorted(rows, (top, bottom)).tolist()
    inside = np.ix_(rows[new_top:new_bottom] - top, columns[new_left:new_right] - left)
    return encode(decode(code, (left, top, right, bottom))[inside], size[::-1], new_left, new_top)


@lru_cache
def _nearest(pixels: int, new: int) -> NDArray[np.int32]:
    """Of each of the new pixels in a row, the index of the one that it shows."""
    row = Image.fromarray(np.arange(pixels, dtype=np.int32)[None])
    return np.asarray(row.resize((new, 1), Image.Resampling.NEAREST))[0]


def rasterise(polygons: Sequence[Polygon], size: tuple[int, int]) -> Rle:
    """The pixels of at least one polygon in a photo of a (width, height), by pycocotools' rule."""
    if not polygons:
        return encode(np.zeros((0, 0), dtype=bool), size[::-1])
    return as_rle(union_masks(rasterise_polygons(polygons, size)))


def as_rle(encoded: EncodedMask) -> Rle:
    """A mask of pycocotools as a record."""
    height, width = encoded["size"]
    return Rle((height, width), encoded["counts"].decode("ascii"))


def as_encoded(code: Rle) -> EncodedMask:
    """A record as a mask of pycocotools."""
    return {"size": list(code.size), "counts": code.counts.encode("ascii")}


def rle_of_segmentation(segmentation: Rle | Sequence[Sequence[float]], size: tuple[int, int]) -> Rle:
    """The code of an instance, given as such or as flat polygons x, y, x, y, ..., in a photo of a (width, height)."""
    if isinstance(segmentation, Rle):
        return segmentation
    return rasterise([np.reshape(polygon, (-1, 2)) for polygon in segmentation], size)


def bounds(rle: Rle) -> Window:
    """The smallest window that holds all pixels of a mask; all 0 if it has none.

    Raises:
        BadRle: as ``decode``.
    """
    runs = checked_runs(rle.size, rle.counts)
    ends = np.cumsum(runs)[1::2]
    starts, ends = (edges[runs[1::2] > 0] for edges in (ends - runs[1::2], ends))
    if not len(starts):
        return 0, 0, 0, 0
    height = rle.size[0]
    left, right = int(starts[0]) // height, (int(ends[-1]) - 1) // height + 1
    if (starts // height != (ends - 1) // height).any():  # down to the bottom of a column, and on at the top
        return left, 0, right, height
    return left, int((starts % height).min()), right, int(((ends - 1) % height).max()) + 1


def check_fits(rle: Rle, size: tuple[int, int]) -> None:
    """Refuse a code that is not a mask of a photo of a (width, height): pycocotools would read beyond its end.

    Raises:
        BadRle: it has another size, or as ``decode``.
    """
    height, width = rle.size
    if (width, height) != size:
        raise BadRle(f"it has {width} x {height} pixels, the photo {size[0]} x {size[1]}")
    checked_runs(rle.size, rle.counts)


def checked_runs(size: tuple[int, int], counts: str | Sequence[int]) -> NDArray[np.int64]:
    """Lengths in pixels of the runs, column by column, outside and inside the object by turns.

    Args:
        size: (height, width).
        counts: the compressed code, or the runs themselves.

    Raises:
        BadRle: as ``decode``.
    """
    height, width = size
    # Given as numbers, they may be larger than an array can hold.
    if isinstance(counts, str) or all(0 <= run <= height * width for run in counts):
        runs = _read(counts) if isinstance(counts, str) else np.array(counts, dtype=np.int64)
        if min(height, width, runs.min(initial=0)) >= 0 and int(runs.sum()) == height * width:
            return runs
    raise BadRle(f"its runs do not add up to its size of {height} x {width} pixels")


def _read(counts: str) -> NDArray[np.int64]:
    """The runs of a text."""
    if not _CODE.fullmatch(counts):
        raise BadRle("its counts are not a compressed run-length code")
    codes = np.frombuffer(counts.encode(), dtype=np.uint8).astype(np.int64) - _FIRST_CHARACTER
    ends = np.flatnonzero(codes < _MORE) + 1
    lengths = _lengths(ends)
    starts = ends - lengths
    position = np.arange(len(codes)) - starts.repeat(lengths)
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * position), starts)
    numbers -= (codes[ends - 1] & _SIGN != 0) << (_BITS * lengths)
    numbers[1::2] = numbers[1::2].cumsum()
    numbers[2::2] = numbers[2::2].cumsum()
    return numbers


def _lengths(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The length of each stretch, given where each ends; ``np.diff`` takes five times as long on so few."""
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    return lengths
