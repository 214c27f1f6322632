"""Whether the compressed masks of a file can be trusted: pycocotools believes what they say, and hangs or crashes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Masks that are looked at together; their numbers fill some MB.
_AT_ONCE = 2000
# Six bits a character from "0" on; the sixth says that the number goes on, the fifth of the last one is its sign.
_FIRST, _MORE, _SIGN, _BITS = 48, 0x20, 0x10, 5
# Characters of the longest number that there can be: 35 bits are more than a photo has pixels.
_LONGEST = 7


def unsound(codes: Sequence[str], pixels: Sequence[int]) -> int | None:
    """The index of the first code that is none of a mask of so many pixels; None if all are.

    The code is pycocotools' (``rleToString`` in its maskApi.c): the lengths of runs, each from the third on as the
    difference to the one before the last. They have to be 0 at least, and to add up to the pixels.

    Args:
        codes: of N masks.
        pixels: (N,) height x width of each.
    """
    for start in range(0, len(codes), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        bad = np.flatnonzero(~_are_sound(codes[part], np.asarray(pixels[part], dtype=np.int64)))
        if len(bad):
            return start + int(bad[0])
    return None


def _are_sound(codes: Sequence[str], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    readable = [code.isascii() and code != "" for code in codes]
    if not all(readable):
        return np.array(readable)
    ends = np.cumsum([len(code) for code in codes])
    digits = np.frombuffer("".join(codes).encode(), dtype=np.uint8).astype(np.int64) - _FIRST
    owner = np.repeat(np.arange(len(codes)), np.diff(ends, prepend=0))
    sound = np.bincount(owner, (digits < 0) | (digits >= 2 * _MORE), len(codes)) == 0
    is_last = digits & _MORE == 0
    sound &= is_last[ends - 1]
    if not sound.all():  # what follows takes numbers to be whole
        return sound
    last = np.flatnonzero(is_last)
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    sound &= np.bincount(owner, place >= _LONGEST, len(codes)) == 0
    if not sound.all():
        return sound
    values = np.add.reduceat((digits & (_MORE - 1)) << (_BITS * place), first)
    negative = digits[last] & _SIGN != 0
    values[negative] -= 1 << (_BITS * (place[last][negative] + 1))
    lengths = _summed(values, owner[last])
    total = np.bincount(owner[last], lengths, len(codes))
    return (np.bincount(owner[last], lengths < 0, len(codes)) == 0) & (total == pixels)


def _summed(values: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """The runs, given what is written of them: from the fourth of a mask on, each is added to that two before."""
    index = np.arange(len(values)) - np.searchsorted(owner, owner)
    chain = 3 * owner + np.where(index == 0, 0, 1 + index % 2)
    order = np.argsort(chain, kind="stable")
    sums, chains = np.cumsum(values[order]), chain[order]
    begins = np.searchsorted(chains, chains)
    runs = np.empty_like(values)
    runs[order] = sums - (sums[begins] - values[order][begins])
    return runs
