"""COCO's run-length code to masks, with care: pycocotools fills up runs that are missing with whatever is in memory."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from dataset_tools.geometry import Mask

# The code is that of pycocotools' rleToString: five bits of a number in each character, the lowest first; a bit that
# says that more follow; in the last character, the highest of the five is the sign.
_FIRST_CHARACTER = 48
_BITS = 5
_MORE = 0x20
_SIGN = 0x10

# A run of the largest photo that is read needs 28 bits; longer numbers could overflow what they are summed up in.
_LONGEST_NUMBER = 6


class Rle(msgspec.Struct, frozen=True, gc=False):
    """A mask in pycocotools' run-length code: size is (height, width), counts its compressed text."""

    size: tuple[int, int]
    counts: str


class BadRle(ValueError):
    """A run-length code that is no mask of its size."""


def decode(rle: Rle) -> Mask:
    """The mask (height, width) of a compressed RLE.

    Raises:
        BadRle: it holds other characters than such a code has, or its runs do not add up to its size.
    """
    height, width = rle.size
    runs = checked_runs(rle.size, rle.counts)
    on_object = np.arange(len(runs)) % 2 == 1
    return np.repeat(on_object, runs).reshape(width, height).T


def checked_runs(size: tuple[int, int], counts: str | Sequence[int]) -> NDArray[np.int64]:
    """Lengths in pixels of the runs, column by column, outside and inside the object by turns.

    Args:
        size: (height, width).
        counts: the compressed code, or the runs themselves.

    Raises:
        BadRle: as ``decode``.
    """
    height, width = size
    wrong = BadRle(f"its runs do not add up to its size of {height} x {width} pixels")
    if not isinstance(counts, str) and not all(0 <= run <= height * width for run in counts):  # of any length
        raise wrong
    runs = _runs(counts) if isinstance(counts, str) else np.array(counts, dtype=np.int64)
    if min(height, width) < 0 or (runs < 0).any() or int(runs.sum()) != height * width:
        raise wrong
    return runs


def _runs(counts: str) -> NDArray[np.int64]:
    """Lengths in pixels of the runs, column by column, outside and inside the object by turns."""
    codes = np.frombuffer(counts.encode(), dtype=np.uint8).astype(np.int64) - _FIRST_CHARACTER
    if len(codes) == 0:
        return codes
    ends = np.flatnonzero(codes & _MORE == 0) + 1
    lengths = np.diff(ends, prepend=0)
    if codes.min() < 0 or codes.max() >= 2 * _MORE or ends[-1:].sum() != len(codes) or lengths.max() > _LONGEST_NUMBER:
        raise BadRle("its counts are no compressed run-length code")
    position = np.arange(len(codes)) - np.repeat(ends - lengths, lengths)
    numbers = np.add.reduceat((codes & (_MORE - 1)) << (_BITS * position), ends - lengths)
    numbers -= np.where(codes[ends - 1] & _SIGN, 1 << (_BITS * lengths), 0)
    # From the fourth on, a number is the difference to the run before the last.
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
