"""How far to trust an AP of few photos: a confidence interval by the bootstrap over photos."""

from __future__ import annotations

import contextlib
import copy
import io

import numpy as np
from pycocotools.cocoeval import COCOeval

SAMPLES = 1000
LEVEL = 0.95
ALL_AREAS = 0  # the first of COCO's area ranges


def bootstrap_interval(judge: COCOeval, samples: int = SAMPLES, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of AP at IoU .50:.95, in percent.

    Photos are drawn with replacement, as many as there are, and the AP of each drawing is computed anew from the
    matches of the evaluation; the interval is between the percentiles of these APs (Efron and Tibshirani 1993, chapter
    13).

    Args:
        judge: an evaluation of which ``evaluate()`` has been called.
        samples: the number of drawings.
        seed: of the drawings.
    """
    params = judge.params
    photos = len(params.imgIds)
    # pycocotools keeps its matches in a flat list: classes, then areas, then photos.
    matches = np.array(judge.evalImgs, dtype=object).reshape(len(params.catIds), len(params.areaRng), photos)[
        :, ALL_AREAS
    ]
    random = np.random.default_rng(seed)
    aps = [_average_precision(params, matches[:, random.integers(photos, size=photos)]) for _ in range(samples)]
    low, high = np.nanpercentile(aps, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def _average_precision(params: object, matches: np.ndarray) -> float:
    """AP in percent of matches (classes, photos); NaN where no drawn photo has anything to find."""
    judge = COCOeval(iouType=params.iouType)
    judge.params = copy.copy(params)
    judge.params.imgIds = list(range(matches.shape[1]))  # a photo that is drawn twice counts as two
    judge.params.areaRng = [params.areaRng[ALL_AREAS]]
    judge.params.maxDets = [params.maxDets[-1]]
    judge._paramsEval = judge.params
    judge.evalImgs = list(matches.reshape(-1))
    with contextlib.redirect_stdout(io.StringIO()):
        judge.accumulate()
    precision = judge.eval["precision"]
    defined = precision[precision > -1]
    return 100 * float(defined.mean()) if defined.size else float("nan")
