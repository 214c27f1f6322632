"""Which photo goes to train, val and test."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from dataset_tools.card import SPLITS
from dataset_tools.errors import UserError

# Three of four photos to learn from; what is left is halved. The usual choice for a hundred photos.
DEFAULT_FRACTIONS = (0.75, 0.125, 0.125)

# What three fractions that were typed with a few decimals may miss 1 by.
_SUM_TOLERANCE = 1e-3


def check_fractions(fractions: Sequence[float]) -> None:
    """Refuse fractions that do not divide a folder.

    Raises:
        UserError: they are not three finite numbers from 0 up that add up to 1, or train gets nothing.
    """
    remedy = "Pass three fractions that add up to 1, for example --split 0.75 0.125 0.125"
    if len(fractions) != len(SPLITS) or any(not math.isfinite(part) or part < 0 for part in fractions):
        raise UserError("--split takes three fractions from 0 to 1", remedy=remedy)
    if abs(sum(fractions) - 1) > _SUM_TOLERANCE:
        raise UserError(f"the fractions of --split add up to {sum(fractions):g}, not to 1", remedy=remedy)
    if fractions[0] == 0:
        raise UserError("--split leaves nothing to train on", remedy=remedy)


def split_counts(total: int, fractions: Sequence[float]) -> list[int]:
    """How many of ``total`` photos each split gets, by largest remainders.

    Train gets at least one; from three photos on, every split with a positive fraction does.
    """
    exact = [total * fraction / sum(fractions) for fraction in fractions]
    counts = [math.floor(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: counts[index] - exact[index])
    for index in by_remainder[: total - sum(counts)]:
        counts[index] += 1
    entitled = [
        index for index, fraction in enumerate(fractions) if fraction > 0 and (index == 0 or total >= len(SPLITS))
    ]
    for index in entitled:
        if counts[index] == 0 and total > 0:
            counts[counts.index(max(counts))] -= 1
            counts[index] += 1
    return counts


def split_at_random(names: Sequence[str], fractions: Sequence[float], seed: int) -> dict[str, str]:
    """The split of each name, drawn with a seed.

    The draw is a hash of seed and name, so it depends neither on the order of the names nor on the machine, and a few
    more photos move few of the others.
    """
    drawn = sorted(names, key=lambda name: hashlib.blake2b(f"{seed}\n{name}".encode()).digest())
    splits = [split for split, count in zip(SPLITS, split_counts(len(names), fractions)) for _ in range(count)]
    return dict(zip(drawn, splits))
