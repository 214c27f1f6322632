"""Photos that look alike: copies saved again, frames of one burst. In train and test at once, they flatter a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# How many of the 64 bits the hashes of two photos may differ in to be called alike. Measured on the 320 scenes of
# data/sample and on 18 photos of nuts on one table; each copy of each photo against the photo:
#
#                                                  320 scenes      18 photos
#     two different photos, at least                   12              19
#     JPEG of quality 30 to 95, at most                 4               1
#     half and 1.5 times the size, at most              5               2
#     10 % brighter or darker, at most                  4               2
#     one pixel row and column cut off, at most         5               3
#     2 % cut off, half at either side, at most         7               7
#     2 % cut off at the top left, 95 of 100 photos     8               6
#     moved by 1 % both ways, 95 of 100 photos          7               7
#
# Two photos of a motorcycle from two places a hand's breadth apart differ in 7 bits. Of 1.1 million pairs of further
# scenes one was as near as 8, none nearer. Other hashes leave no such gap between different photos and copies cut by
# 2 %: dHash 9 and 10; the usual pHash, a square of 8 x 8 frequencies against their median, 10 and 8.
#
# What 64 bits cannot tell apart: one object on a plain ground, at nearly the same place. Of drawings of one disc on
# white, anywhere and of any size, 1 pair in 120 is alike; with three discs, 1 in 9,000.
ALIKE = 8

# The side of the grey thumbnail that is looked at, in pixels.
THUMBNAIL = 32

# A coefficient below this is not a feature: grey levels are rounded, which alone gives each a standard deviation of 0.3.
# A photo with less than half of its coefficients above it (a lens cap, a blank wall, a plain sky) looks like every
# other of its kind; the scenes and photos above have 58 at least, a smooth gradient 11 at most.
_FEATURE = 1.0
_FEWEST_FEATURES = 32

# Rows of the comparison at a time: with 50,000 photos a block takes 26 MB at most.
_BLOCK = 64


def _cosines(size: int) -> np.ndarray:
    """The matrix of the orthonormal discrete cosine transform (DCT-II): row k is frequency k."""
    frequency, position = np.ogrid[:size, :size]
    cosines = np.cos(np.pi * (2 * position + 1) * frequency / (2 * size)) * np.sqrt(2 / size)
    cosines[0] /= np.sqrt(2)
    return cosines


_COSINES = _cosines(THUMBNAIL)

# The 64 lowest frequencies (vertical, horizontal) without the mean, diagonal by diagonal, as JPEG orders them: these
# change least when a photo is scaled, moved or saved again.
_LOWEST = np.array(
    sorted(((v, h) for v in range(THUMBNAIL) for h in range(THUMBNAIL) if v + h), key=lambda at: (sum(at), at))[:64]
).T


def perceptual_hash(picture: Image.Image) -> int | None:
    """How a photo looks, in 64 bits: photos that look alike differ in few of them.

    A perceptual hash: the signs of the lowest frequencies of a grey thumbnail. (The package imagehash has its like, but
    brings scipy and PyWavelets along for the few lines here.)

    Args:
        picture: as it is shown, in RGB or 8-bit grey; decoded at a fraction of its size (``Image.draft``) it looks the
            same, as long as THUMBNAIL pixels are left of each side.

    Returns:
        None for a picture with too little in it to be distinguished from others: they look all the same.
    """
    small = picture.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    frequencies = (_COSINES @ np.asarray(small, dtype=np.float64) @ _COSINES.T)[tuple(_LOWEST)]
    if np.count_nonzero(np.abs(frequencies) >= _FEATURE) < _FEWEST_FEATURES:
        return None
    return int.from_bytes(np.packbits(frequencies > 0).tobytes(), "big")


def similar_pairs(
    hashes: Sequence[int | None], splits: Sequence[str] | None = None, alike: int = ALIKE
) -> Iterator[tuple[int, int]]:
    """The pairs of photos that look alike, as 0-based indices, the smaller first, in order.

    One after another, since there may be too many to hold: every frame of a camera that stands still is like every
    other.

    Args:
        hashes: see :func:`perceptual_hash`; None is like nothing.
        splits: the split of each photo; where given, only pairs from two different ones.
        alike: how many bits the two may differ in.
    """
    for first, second in _pairs(hashes, splits, alike):
        yield from zip(first.tolist(), second.tolist())


def first_alike(hashes: Sequence[int | None], splits: Sequence[str] | None = None) -> Iterator[tuple[int, int]]:
    """Each photo that looks like one before it, with the first of these: the pairs of ``similar_pairs`` with a new second.

    Of a camera that stands still there are as many as photos, and not as many as pairs.
    """
    is_said = np.zeros(len(hashes), dtype=bool)
    for first, second in _pairs(hashes, splits, ALIKE):
        new = np.flatnonzero(~is_said[second])
        new = new[np.sort(np.unique(second[new], return_index=True)[1])]
        is_said[second[new]] = True
        yield from zip(first[new].tolist(), second[new].tolist())


def _pairs(
    hashes: Sequence[int | None], splits: Sequence[str] | None, alike: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """See ``similar_pairs``; some at a time, the first of each pair and the second."""
    known = np.array([index for index, value in enumerate(hashes) if value is not None], dtype=np.intp)
    bits = np.array([hashes[index] for index in known], dtype=np.uint64)
    sides = None if splits is None else np.unique(np.asarray(splits), return_inverse=True)[1][known]
    for start in range(0, len(bits), _BLOCK):
        block = bits[start : start + _BLOCK, None]
        rows, columns = np.nonzero(np.bitwise_count(block ^ bits[start:]) <= alike)
        wanted = rows < columns
        if sides is not None:
            wanted &= sides[start + rows] != sides[start + columns]
        yield known[start + rows[wanted]], known[start + columns[wanted]]
