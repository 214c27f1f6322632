"""Whether two sides did the same work: losses, amounts of work, detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from pycocotools import mask

from benchmarks.stages.timing import DifferentWork

# "The same detections": every instance with at least this score has a partner in the other list.
LEAST_SCORE = 0.3
LEAST_IOU = 0.98
SCORE_TOLERANCE = 0.02

Results = list[dict]  # of one photo, in COCO's format of results: category_id, score, segmentation


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
    if not differences[worst] <= tolerance:  # NaN agrees with nothing
        raise DifferentWork(f"{worst} is {ours[worst]:.4f} and {peer[names[worst]]:.4f}")
    return f"{len(names)} losses of the first step within {differences[worst]:.1e}"


def check_work(ours: Mapping[str, int], peer: Mapping[str, int], tolerance: float = 0.0) -> str:
    """Compares numbers that say how much was done, by their names.

    Args:
        tolerance: of the relative differences.

    Raises:
        DifferentWork: one differs by more.
    """
    both = {
        name: f"{ours[name]:,}" if ours[name] == peer[name] else f"{ours[name]:,} and {peer[name]:,}" for name in ours
    }
    for name, numbers in both.items():
        if abs(ours[name] - peer[name]) > tolerance * peer[name]:
            raise DifferentWork(f"{name}: {numbers}")
    return ", ".join(f"{numbers} {name}" for name, numbers in both.items())


def check_detections(ours: Sequence[Results], peer: Sequence[Results], least_score: float = LEAST_SCORE) -> str:
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
            wanted = [found for found in having if found["score"] >= least_score]
            alone = [found["score"] for found in wanted if not _has_partner(found, searched)]
            if alone:
                raise DifferentWork(
                    f"{len(alone)} of {len(wanted)} instances of {side} in photo {number} have no partner, "
                    f"such as one with score {alone[0]:.3f}"
                )
            compared += len(wanted) if side == "ours" else 0
    if not compared:
        raise DifferentWork(f"no instance has a score of {least_score} or more, so that nothing was compared")
    return f"{compared} instances with a score of {least_score} or more in {len(ours)} photos have a partner"


def _has_partner(found: dict, searched: Results) -> bool:
    near = [
        other["segmentation"]
        for other in searched
        if other["category_id"] == found["category_id"] and abs(other["score"] - found["score"]) <= SCORE_TOLERANCE
    ]
    return bool(near) and np.max(mask.iou([found["segmentation"]], near, [0] * len(near))) >= LEAST_IOU
