"""Which photos a model is least sure about, and which are near copies. Pure functions.

A detection of score s is at the margin |2 s - 1| between its class and everything else, and counts (1 - margin)^2: from
0 where the model is sure to 1 at a score of 0.5. A photo has the sum over its detections. That is "1-vs-2" with the
aggregation "sum" of Brust, Käding and Denzler 2019 (https://arxiv.org/abs/1809.09875). The square keeps dozens of
detections that score 0.06 from outweighing one at 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

from dataset_tools.images.similarity import similar_pairs
from polymask.inference.detections import Detections


def uncertainty(found: Detections) -> float:
    """How unsure a model is about a photo: 0 where it found nothing."""
    return sum((1 - abs(2 * detection.score - 1)) ** 2 for detection in found)


def near_copies(hashes: Sequence[int | None], annotated: Sequence[int | None]) -> set[int]:
    """The photos that look like an annotated one, or like one before them that does not: their indices.

    Args:
        hashes: of the photos, by ``dataset_tools.images.similarity.perceptual_hash``; None looks like no other.
        annotated: of the annotated photos.
    """
    copies: set[int] = set()
    for first, second in similar_pairs([*annotated, *hashes]):
        if first < len(annotated) or first - len(annotated) not in copies:
            copies.add(second - len(annotated))
    return {index for index in copies if index >= 0}
