"""How far to trust figures of few photos, and their difference between runs: intervals by the bootstrap over photos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.counting import count
from polymask.evaluation.figures import AREAS, FIGURES, IOUS, LIMITS, RECALLS
from polymask.evaluation.matches import Matches, matches_of
from polymask.evaluation.read import read_detections, read_truth
from polymask.evaluation.records import Interval

SAMPLES = 1000
LEVEL = 0.95

# Numbers in an array that is worked on at once: 4 MB of them, which processors' caches are good for.
_AT_ONCE = 2**20

# Of each of the FIGURES, the index of the sizes that it is about.
_AREA_OF_FIGURE = (0, 0, 0, 1, 2, 3, 0, 0, 0, 1, 2, 3)


def intervals(matches: Matches, samples: int = SAMPLES, seed: int = 0) -> list[dict[str, Interval]]:
    """The 95 % intervals of the twelve figures of COCO.

    Photos are drawn with replacement, as many as there are, and the figures of each drawing are computed from the
    matches; the interval is between the percentiles of these (Efron and Tibshirani 1993, chapter 13). Drawings without
    anything to find are left out.

    Args:
        samples: the number of drawings.
        seed: of the drawings.

    Returns:
        For each class, and last for all of them: figure -> interval in percent. A figure has none if fewer than two
        photos have something to find: one does not tell how much photos differ.
    """
    figures = drawn_figures(matches, drawings(matches.photos, samples, seed))
    there = np.concatenate([matches.wanted, matches.wanted.sum(axis=1, keepdims=True)], axis=1) > 0  # (A, K + 1, P)
    enough = there.sum(axis=2)[_AREA_OF_FIGURE, :] > 1
    found = [_intervals(figures[:, index]) for index in range(matches.classes + 1)]
    return [
        {name: interval for name, interval in of_class.items() if enough[FIGURES.index(name), index]}
        for index, of_class in enumerate(found)
    ]


def difference_intervals(
    truth: Path, detections: Sequence[Path | list[dict]], task: str, samples: int = SAMPLES, seed: int = 0
) -> list[dict[str, Interval]]:
    """The 95 % intervals of the differences between runs in COCO's figures, of all classes.

    Each drawing of photos is the same for all runs, so that what makes a photo easy or hard for all of them cancels
    out: the interval of a difference is narrower than those of the two figures suggest (the paired bootstrap; Koehn
    2004, https://aclanthology.org/W04-3250, uses it for translations). hotcoco's ``compare`` is not used: it counts a
    photo once, however often it is drawn, and so its intervals are too narrow.

    Args:
        truth: the split's COCO file.
        detections: of each run, files that have been read before; the others are compared with the first.
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
    first, *others = (
        drawn_figures(matches_of(count(there, found, task)), weights)[:, -1]
        for found in (read_detections(file, there, already_checked=True) for file in detections)
    )
    return [_intervals(other - first) for other in others]


def drawings(photos: int, samples: int, seed: int) -> NDArray[np.int64]:
    """(samples, photos): how often each photo is drawn, in each of the drawings."""
    random = np.random.default_rng(seed)
    return np.stack([np.bincount(random.integers(photos, size=photos), minlength=photos) for _ in range(samples)])


def drawn_figures(matches: Matches, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """The figures of COCO where each photo counts as often as it is drawn.

    A photo that is drawn twice is two photos with the same detections, one after the other in the order of equal
    confidences.

    Args:
        weights: (drawings, photos) whole numbers.

    Returns:
        (drawings, classes + 1, 12) in percent: the FIGURES of each class, and last those of all classes, which are the
        means of those that have something to find. NaN where there is nothing to find.
    """
    # Whole numbers: their products don't wake up the threads of a BLAS. 32 bits are enough to count detections.
    drawn = np.ascontiguousarray(weights.T, dtype=np.int32)
    figures = np.empty((len(weights), matches.classes + 1, len(FIGURES)))
    for category in range(matches.classes):
        figures[:, category] = 100 * _of_class(matches, category, drawn).T
    defined = ~np.isnan(figures[:, :-1])
    with np.errstate(invalid="ignore"):  # 0 / 0 is NaN, as it should be
        figures[:, -1] = np.where(defined, figures[:, :-1], 0).sum(axis=1) / defined.sum(axis=1)
    return figures


def _intervals(figures: NDArray[np.float64]) -> dict[str, Interval]:
    """Of (drawings, 12), NaN where a drawing does not define a figure."""
    defined = {name: values[~np.isnan(values)] for name, values in zip(FIGURES, figures.T, strict=True)}
    percentiles = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    return {name: Interval(*map(float, np.percentile(v, percentiles))) for name, v in defined.items() if v.size}


def _of_class(matches: Matches, category: int, weights: NDArray[np.int32]) -> NDArray[np.float64]:
    """(12, drawings): the FIGURES of a class, 0 to 1, NaN where there is nothing to find.

    Args:
        weights: (photos, drawings).
    """
    own = matches.of_class(category)
    photo, rank = matches.found.photo[own], matches.found.rank[own]
    hit, counted = matches.hit[..., own], matches.counted[..., own]
    wanted = matches.wanted[:, category] @ weights  # (A, drawings)
    whole, *by_size = (
        _average_precisions(hit[area], counted[area], photo, wanted[area], weights) for area in range(len(AREAS))
    )
    precision = [whole.mean(axis=0), whole[0], whole[5], *(aps.mean(axis=0) for aps in by_size)]  # IoU .50 and .75
    recall = []
    for area, limit in (*((0, limit) for limit in LIMITS), (1, None), (2, None), (3, None)):
        found = hit[area].sum(axis=0) * (rank < limit if limit else 1)  # (d,) at how many IoUs
        found = np.bincount(photo, found, minlength=matches.photos).astype(np.int32) @ weights
        with np.errstate(invalid="ignore"):
            recall.append(found / len(IOUS) / wanted[area])
    return np.array([*precision, *recall])


def _average_precisions(
    hit: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    photo: NDArray[np.int64],
    wanted: NDArray[np.int64],
    weights: NDArray[np.int32],
) -> NDArray[np.float64]:
    """(T, drawings): AP of a class and area at each IoU, NaN where nothing is wanted.

    Precision and recall matter at hits alone: with each other detection precision falls and recall stays. Most
    detections are wrong at each IoU, or ignored at each: how many of these wrong ones there are up to each of the
    others is counted once for all IoUs.

    Args:
        hit: (T, d) of its detections in the order of their confidence.
        counted: (T, d).
        photo: (d,).
        wanted: (drawings,) annotations to find.
        weights: (photos, drawings).
    """
    others = np.flatnonzero(hit.any(axis=0) | (counted.any(axis=0) != counted.all(axis=0)))
    wrong = np.setdiff1d(np.flatnonzero(counted.all(axis=0)), others)
    before = np.searchsorted(wrong, others)
    aps = np.zeros((len(IOUS), len(wanted)))
    step = max(1, _AT_ONCE // max(1, len(wrong)))
    for start in range(0, len(wanted) if len(others) else 0, step):
        part = slice(start, start + step)
        drawn, reached = weights[photo[others], part], _recalls_reached(np.maximum(wanted[part], 1))
        wrong_before = np.zeros((len(wrong) + 1, drawn.shape[1]), dtype=np.int32)
        np.cumsum(weights[photo[wrong], part], axis=0, out=wrong_before[1:])
        wrong_before = wrong_before[before]
        for iou in np.flatnonzero(hit.any(axis=1)):
            hits = hit[iou, others]
            total = (wrong_before + np.cumsum(drawn * counted[iou, others, None], axis=0, dtype=np.int32))[hits]
            aps[iou, part] = _area_under(np.cumsum(drawn[hits], axis=0, dtype=np.int32), total, reached)
    return np.where(wanted > 0, aps, np.nan)


def _recalls_reached(wanted: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(found, drawings): how many of the 101 recalls are reached by 0, 1, 2, ... found annotations.

    Args:
        wanted: (drawings,) annotations to find, 1 at least.
    """
    fewest = np.floor(RECALLS[:, None] * wanted)
    fewest += fewest / wanted < RECALLS[:, None]  # in floating-point numbers, as COCO compares them
    places = (fewest * len(wanted) + np.arange(len(wanted))).astype(np.int64).ravel()
    new = np.bincount(places, minlength=(wanted.max() + 1) * len(wanted)).reshape(-1, len(wanted))
    return np.cumsum(new, axis=0, dtype=np.uint8)


def _area_under(found: NDArray[np.int64], total: NDArray[np.int64], reached: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(drawings,): COCO's AP, the mean over 101 recalls of the best precision at that recall or a higher one.

    Args:
        found: (hits, drawings) annotations found up to a hit.
        total: (hits, drawings) detections up to it.
        reached: see ``_recalls_reached``.
    """
    precision = found / np.maximum(total, 1)  # of photos that are not drawn 0 / 1
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    recalls = np.diff(reached[found, np.arange(found.shape[1])], axis=0, prepend=np.uint8(0))
    return np.einsum("ij,ij->j", recalls, best) / len(RECALLS)
