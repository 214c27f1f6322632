import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from polymask.evaluation.bootstrap import bootstrap_interval

RNG = np.random.default_rng(5)


def judged(photos, quality):
    """An evaluation of boxes on 100 px photos; ``quality`` is the share of the photos whose box is found."""
    images = [{"id": i + 1, "width": 100, "height": 100} for i in range(photos)]
    truth = [
        {"id": i + 1, "image_id": i + 1, "category_id": 1, "bbox": [10, 10, 50, 50], "area": 2500, "iscrowd": 0}
        for i in range(photos)
    ]
    found = [
        {"image_id": i + 1, "category_id": 1, "score": 0.9, "bbox": [10, 10, 50, 50]}
        for i in range(round(photos * quality))
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {"images": images, "annotations": truth, "categories": [{"id": 1, "name": "a"}], "info": {}}
        coco.createIndex()
        judge = COCOeval(coco, coco.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge


def test_a_perfect_model_has_no_spread():
    assert bootstrap_interval(judged(8, 1.0), samples=50) == pytest.approx((100.0, 100.0))


def test_interval_is_that_of_drawing_photos():
    """A photo is found or not, so AP is (up to COCO's 101 recall points) the share of found ones: a binomial."""
    photos, quality = 40, 0.5
    judge = judged(photos, quality)
    low, high = bootstrap_interval(judge, samples=2000)
    shares = 100 * RNG.binomial(photos, quality, size=200_000) / photos
    expected = np.percentile(shares, [2.5, 97.5])
    assert (low, high) == pytest.approx(tuple(expected), abs=3.0)  # a photo is 2.5 points, a recall point 1
    assert low < 100 * judge.stats[0] < high


def test_same_seed_same_interval():
    judge = judged(97, 0.6)
    assert bootstrap_interval(judge, samples=100, seed=1) != bootstrap_interval(judge, samples=100, seed=2)
    assert bootstrap_interval(judge, samples=100, seed=1) == bootstrap_interval(judge, samples=100, seed=1)


def test_more_photos_a_narrower_interval():
    widths = [np.diff(bootstrap_interval(judged(photos, 0.5), samples=500))[0] for photos in (10, 160)]
    assert widths[1] < widths[0] / 2
