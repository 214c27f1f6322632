"""Whether two sides did the same work: losses, amounts of work, detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pycocotools.mask

from benchmarks.stages.layers import Work
from benchmarks.stages.timing import DifferentWork

# "The same detections": every instance with at least this score has a partner in the other list.
LEAST_SCORE = 0.3
LEAST_IOU = 0.98
SCORE_TOLERANCE = 0.02


@dataclass(frozen=True)
class Found:
    """A detected instance.

    Attributes:
        category: an index from 0.
        score: 0 to 1.
        mask: pycocotools' compressed RLE of the whole photo.
    """

    category: int
    score: float
    mask: dict


def check_losses(
    ours: Mapping[str, float], peer: Mapping[str, float], names: Mapping[str, str], tolerance: float
) -> str:
    """Compares the losses of a first step from equal weights.

    Args:
        names: which of our losses are compared, and their names on the other side.
        tolerance: of the relative difference.

    Raises:
        DifferentWork: one differs by more.
    """
    differences = {name: abs(ours[name] - peer[theirs]) / abs(peer[theirs]) for name, theirs in names.items()}
    worst = max(differences, key=differences.__getitem__)
    if not differences[worst] <= tolerance:  # not a number is no agreement
        raise DifferentWork(f"{worst} is {ours[worst]:.4f} and {peer[names[worst]]:.4f}")
    return f"{len(names)} losses of the first step within {differences[worst]:.1e}"


def check_work(ours: Work, peer: Work, tolerance: float = 0.0) -> str:
    """Compares parameters, regions and multiply-adds.

    Args:
        tolerance: of the relative differences.

    Raises:
        DifferentWork: one differs by more.
    """
    for name in ("parameters", "trained", "regions", "mask_regions", "multiply_adds"):
        one, other = getattr(ours, name), getattr(peer, name)
        if abs(one - other) > tolerance * other:
            raise DifferentWork(f"{name.replace('_', ' ')}: {one} and {other}")
    parts = (
        f"{_both(ours.parameters / 1e6, peer.parameters / 1e6, '.2f')} million parameters",
        f"{_both(ours.regions, peer.regions)} regions for boxes",
        f"{_both(ours.mask_regions, peer.mask_regions)} for masks",
        f"{_both(ours.multiply_adds / 1e9, peer.multiply_adds / 1e9, '.1f')} billion multiply-adds forward",
    )
    return ", ".join(parts)


def _both(ours: float, peer: float, form: str = "d") -> str:
    """One number where both are written alike, else both."""
    one, other = format(ours, form), format(peer, form)
    return one if one == other else f"{one} and {other}"


def check_detections(
    ours: Sequence[Sequence[Found]], peer: Sequence[Sequence[Found]], least_score: float = LEAST_SCORE
) -> str:
    """Compares the detections of some photos: each has a partner of its class on the other side, in both directions.

    A partner has an IoU of at least ``LEAST_IOU``, and a score that differs by at most ``SCORE_TOLERANCE``. It may
    itself have a score just below ``least_score``.

    Args:
        least_score: of the instances that need a partner.

    Raises:
        DifferentWork: an instance has none, or there is no instance with such a score.
    """
    compared = 0
    for number, (one, other) in enumerate(zip(ours, peer, strict=True)):
        for having, searched, side in ((one, other, "ours"), (other, one, "the peer's")):
            wanted = [found for found in having if found.score >= least_score]
            lonely = [found for found, has in zip(wanted, _have_partners(wanted, searched), strict=True) if not has]
            if lonely:
                raise DifferentWork(
                    f"{len(lonely)} of {len(wanted)} instances of {side} in photo {number} have no partner, "
                    f"such as one with score {lonely[0].score:.3f}"
                )
            compared += len(wanted) if side == "ours" else 0
    if not compared:
        raise DifferentWork(f"no instance has a score of {least_score} or more, so that nothing was compared")
    return f"{compared} instances with a score of {least_score} or more in {len(ours)} photos have a partner"


def _have_partners(wanted: Sequence[Found], searched: Sequence[Found]) -> list[bool]:
    if not wanted or not searched:
        return [False] * len(wanted)
    overlap = pycocotools.mask.iou([f.mask for f in wanted], [f.mask for f in searched], [0] * len(searched))
    classes, scores = (np.array([getattr(f, name) for f in searched]) for name in ("category", "score"))
    near = [(classes == f.category) & (np.abs(scores - f.score) <= SCORE_TOLERANCE) for f in wanted]
    return ((np.array(near) & (overlap >= LEAST_IOU)).any(axis=1)).tolist()
