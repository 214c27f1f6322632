"""How much better one run is than another on the same photos, and how far to trust the difference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from polymask.evaluation.bootstrap import LEVEL, SAMPLES, drawings, drawn_figures
from polymask.evaluation.judge import FIGURES, count
from polymask.evaluation.matches import matches_of
from polymask.evaluation.objects import read_detections, read_truth
from polymask.evaluation.records import Interval


def difference_intervals(
    truth: Path, detections: Sequence[Path | list[dict]], task: str, samples: int = SAMPLES, seed: int = 0
) -> list[dict[str, Interval]]:
    """The 95 % intervals of the differences between runs in COCO's figures, of all classes.

    Each drawing of photos is the same for all runs, so that what makes a photo easy or hard for all of them cancels
    out: the interval of a difference is narrower than those of the two figures suggest (the paired bootstrap; Koehn
    2004, https://aclanthology.org/W04-3250, uses it for translations).

    Args:
        truth: the split's COCO file.
        detections: of each run; the others are compared with the first.
        task: ``bbox`` or ``segm``.
        samples: the number of drawings.
        seed: of the drawings.

    Returns:
        For each run but the first: figure -> interval of its value minus the first one's, in percent. A figure that no
        drawing defines has none.

    Raises:
        UserError: the detections are of another split.
    """
    there = read_truth(truth)
    weights = drawings(len(there.photos), samples, seed)
    figures = [
        drawn_figures(matches_of(count(there, read_detections(found, there), task)), weights)[:, -1]
        for found in detections
    ]
    return [_intervals(other - figures[0]) for other in figures[1:]]


def _intervals(differences: np.ndarray) -> dict[str, Interval]:
    """Of (drawings, 12), NaN where a drawing defines none."""
    defined = {name: values[~np.isnan(values)] for name, values in zip(FIGURES, differences.T, strict=True)}
    percentiles = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    return {name: Interval(*map(float, np.percentile(v, percentiles))) for name, v in defined.items() if v.size}
