"""How far to trust figures of few photos, and their difference between runs: intervals by the bootstrap over photos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polymask.evaluation.counting import AREAS, FIGURES, IOUS, LIMITS, RECALLS, Evaluation, count
from polymask.evaluation.matches import Matches, matches_of
from polymask.evaluation.read import read_detections, read_truth
from polymask.evaluation.records import Interval

SAMPLES = 1000
LEVEL = 0.95

# Numbers in an array that is worked on at once: 4 MB of them, which processors' caches are good for.
_AT_ONCE = 2**20

# Of each of the FIGURES, the index of the sizes that it is about.
_AREA_OF_FIGURE = (0, 0, 0, 1, 2, 3, 0, 0, 0, 1, 2, 3)


def bootstrap_interval(evaluation: Evaluation, samples: int = SAMPLES, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of AP at IoU .50:.95 of all classes, in percent: see ``intervals``."""
    interval = intervals(matches_of(evaluation), samples, seed)[-1]["AP"]
    return interval.low, interval.high


def intervals(matches: Matches, samples: int = SAMPLES, seed: int = 0) -> list[dict[str, Interval]]:
    """The 95 % intervals of the twelve figures of COCO.

    Photos are drawn with replacement, as many as there are, and the figures of each drawing are computed anew from the
    matches; the interval is between the percentiles of these (Efron and Tibshirani 1993, chapter 13). Drawings without
    anything to find are left out.

    Args:
        samples: the number of drawings.
        seed: of the drawings.

    Returns:
        For each class, and last for all of them: figure -> interval in percent. A figure has none if fewer than two
        photos have something to find: how much photos differ cannot be told from one.
    """
    figures = drawn_figures(matches, drawings(matches.photos, samples, seed))
    photos = (matches.wanted > 0).sum(axis=2)  # (A, K)
    every = (matches.wanted > 0).any(axis=1).sum(axis=1)  # (A,)
    enough = np.column_stack([photos, every]) > 1
    return [dict(_intervals(figures[:, index], enough[_AREA_OF_FIGURE, index])) for index in range(matches.classes + 1)]


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
    return [_difference_intervals(other - figures[0]) for other in figures[1:]]


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


def _intervals(figures: NDArray[np.float64], enough: NDArray[np.bool_]) -> Iterator[tuple[str, Interval]]:
    for name, values, has_photos in zip(FIGURES, figures.T, enough, strict=True):
        defined = values[~np.isnan(values)]
        if defined.size and has_photos:
            low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
            yield name, Interval(float(low), float(high))


def _difference_intervals(differences: NDArray[np.float64]) -> dict[str, Interval]:
    """Of (drawings, 12), NaN where a drawing defines none."""
    defined = {name: values[~np.isnan(values)] for name, values in zip(FIGURES, differences.T, strict=True)}
    percentiles = [50 * (1 - LEVEL), 50 * (1 + LEVEL)]
    return {name: Interval(*map(float, np.percentile(v, percentiles))) for name, v in defined.items() if v.size}


def _of_class(matches: Matches, category: int, weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """(12, drawings): the FIGURES of a class, 0 to 1, NaN where nothing is to be found.

    Args:
        weights: (photos, drawings).
    """
    mine = np.flatnonzero(matches.category == category)
    mine = mine[np.argsort(-matches.score[mine], kind="stable")]
    wanted = matches.wanted[:, category] @ weights  # (A, drawings)
    precision = [_average_precisions(matches, mine, area, wanted[area], weights) for area in range(len(AREAS))]
    whole, small, medium, large = precision
    half, three_quarters = whole[0], whole[5]  # IoU .50 and .75
    means = [aps.mean(axis=0) for aps in (small, medium, large)]
    kinds = [(0, limit) for limit in LIMITS] + [(area, LIMITS[-1]) for area in (1, 2, 3)]
    found = np.array([_found(matches, mine, area, limit) for area, limit in kinds]) @ weights
    with np.errstate(invalid="ignore"):
        recall = found / len(IOUS) / wanted[[area for area, _ in kinds]]
    return np.array([whole.mean(axis=0), half, three_quarters, *means, *recall])


def _found(matches: Matches, mine: NDArray[np.int64], area: int, limit: int) -> NDArray[np.int64]:
    """(photos,): annotations found by the first detections of each photo, summed over IoUs."""
    mine = mine[matches.rank[mine] < limit]
    photos = np.broadcast_to(matches.photo[mine], (len(IOUS), len(mine)))[matches.hit[area][:, mine]]
    return np.bincount(photos, minlength=matches.photos)


def _average_precisions(
    matches: Matches, mine: NDArray[np.int64], area: int, wanted: NDArray[np.int64], weights: NDArray[np.int64]
) -> NDArray[np.float64]:
    """(T, drawings): AP of a class and area at each IoU, NaN where nothing is wanted.

    Precision and recall matter at the hits alone: with each other detection precision falls and recall stays. How many
    detections inside the range of areas there are up to each hit is the same for all IoUs, but for the few that match:
    one outside whose annotation is inside counts, one inside whose annotation is outside doesn't.

    Args:
        mine: indices of its detections in the order of their confidence.
        wanted: (drawings,) annotations to find.
        weights: (photos, drawings).
    """
    inside, photo = matches.inside[area, mine], matches.photo[mine]
    hit = matches.hit[area][:, mine]
    amiss = hit.astype(np.int8) - (inside & (matches.matched[area][:, mine] | hit))  # 1 or -1, mostly 0
    stops = np.flatnonzero(hit.any(axis=0))
    aps = np.zeros((len(IOUS), len(wanted)))
    step = max(1, _AT_ONCE // max(1, inside.sum()))
    for start in range(0, len(wanted) if len(stops) else 0, step):
        part = slice(start, start + step)
        drawn, reached = weights[:, part], _recalls_reached(np.maximum(wanted[part], 1))
        counted = _counted(stops, np.flatnonzero(inside), photo, drawn)
        for index in np.flatnonzero(hit.any(axis=1)):
            hits, odd = np.flatnonzero(hit[index]), np.flatnonzero(amiss[index])
            total = counted[np.searchsorted(stops, hits)] + _counted(hits, odd, photo, drawn, amiss[index])
            aps[index, part] = _area_under(np.cumsum(drawn[photo[hits]], axis=0, dtype=np.int32), total, reached)
    return np.where(wanted > 0, aps, np.nan)


def _counted(
    stops: NDArray[np.int64],
    which: NDArray[np.int64],
    photo: NDArray[np.int64],
    weights: NDArray[np.int64],
    sign: NDArray[np.int8] | None = None,
) -> NDArray[np.int64] | int:
    """(stops, drawings): how many detections there are up to each stop, that one included.

    Args:
        stops: ascending positions among the detections.
        which: ascending positions of those that count.
        photo: (detections,).
        weights: (photos, drawings).
        sign: (detections,) 1 or -1; 1 for all if not given.
    """
    if not len(which):
        return 0 if sign is not None else np.zeros((len(stops), weights.shape[1]), dtype=np.int32)
    counts = np.zeros((len(which) + 1, weights.shape[1]), dtype=np.int32)
    own = weights[photo[which]] if sign is None else weights[photo[which]] * sign[which, None]
    np.cumsum(own, axis=0, out=counts[1:])
    return counts[np.searchsorted(which, stops, side="right")]


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
