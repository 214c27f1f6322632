import copy
import json

import msgspec
import numpy as np
import pycocotools.mask
import pytest

from dataset_tools.formats.coco import Annotation, CocoFile, Image, categories_of
from polymask.evaluation.analysis import analyse
from polymask.evaluation.counting import count
from polymask.evaluation.figures import FIGURES
from polymask.evaluation.intervals import difference_intervals, drawings, drawn_figures, intervals
from polymask.evaluation.matches import matches_of
from polymask.evaluation.read import TASKS, read_detections, read_truth
from tests.polymask.evaluation.generated import (
    Results,
    annotation,
    coco_content,
    detection,
    make_results,
    pycocotools_of,
)

RNG = np.random.default_rng(5)
SIDE = 64  # px, of the photos of two runs


@pytest.fixture
def evaluate(tmp_path):
    def run(results, task="bbox"):
        truth = read_truth(results.write(tmp_path)[0])
        return count(truth, read_detections(results.detections, truth), task)

    return run


def found_in(photos, share):
    """Results on photos with one box each, of which a share is found."""
    box = [10, 10, 50, 50]
    annotations = [annotation(i, i, 1, box) for i in range(1, photos + 1)]
    found = [detection(i, 1, box, 0.9) for i in range(1, round(photos * share) + 1)]
    return Results(coco_content(range(1, photos + 1), annotations, 1), found)


def repeated(results, times):
    """The dataset where each photo is there so many times, the copies next to each other."""
    images, annotations, detections = [], [], []
    for image, number in zip(results.content["images"], times, strict=True):
        for _ in range(number):
            images.append(image | {"id": len(images) + 1})
            for source, target in ((results.content["annotations"], annotations), (results.detections, detections)):
                own = [copy.deepcopy(one) for one in source if one["image_id"] == image["id"]]
                target += [one | {"image_id": len(images)} for one in own]
    annotations = [one | {"id": index} for index, one in enumerate(annotations, start=1)]
    return Results(results.content | {"images": images, "annotations": annotations}, detections)


def percent(stats):
    return np.where(stats < 0, np.nan, 100 * stats)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("crowds", [False, True])
def test_each_photo_once_is_coco(evaluate, task, ties, crowds):
    results = make_results(7, photos=40, ties=ties, crowds=crowds)
    figures = drawn_figures(matches_of(evaluate(results, task)), np.ones((1, 40), dtype=int))[0]
    np.testing.assert_allclose(figures[-1], percent(pycocotools_of(results, task).stats), atol=1e-9)
    for category in (1, 2, 3):
        stats = pycocotools_of(results, task, catIds=[category]).stats
        np.testing.assert_allclose(figures[category - 1], percent(stats), atol=1e-9)


def test_more_than_100_detections_of_a_photo_and_class(evaluate):
    """All of them count; the figures are those of the counting, which is tested against pycocotools."""
    results = make_results(0, photos=2, classes=2, annotated=9, found=400)
    evaluation = evaluate(results, "segm")
    assert evaluation.limits[-1] > 100
    figures = drawn_figures(matches_of(evaluation), np.ones((1, 2), dtype=int))[0]
    np.testing.assert_allclose(figures[-1], percent(evaluation.stats), atol=1e-9)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("seed", range(4))
def test_a_drawing_is_pycocotools_on_the_repeated_dataset(evaluate, task, seed):
    results = make_results(seed, photos=12)
    times = drawings(12, 1, seed)
    figures = drawn_figures(matches_of(evaluate(results, task)), times)[0, -1]
    theirs = pycocotools_of(repeated(results, times[0]), task).stats
    assert 0 in times and times.max() > 1
    np.testing.assert_allclose(figures, percent(theirs), atol=1e-9)


def test_photos_with_equal_confidences_stay_in_order_when_repeated(evaluate):
    """Equal confidences in different photos: the copies of a photo come one after the other, as in pycocotools."""
    box, other = [10, 10, 50, 50], [150, 100, 50, 50]
    annotations = [annotation(i, i, 1, box) for i in (1, 2, 3)]
    found = [detection(1, 1, other, 0.5), detection(2, 1, box, 0.5), detection(3, 1, other, 0.5)]
    results = Results(coco_content((1, 2, 3), annotations, 1), found)
    for times in ([2, 1, 0], [0, 2, 1], [1, 1, 1], [3, 0, 0], [0, 3, 0]):
        figures = drawn_figures(matches_of(evaluate(results)), np.array([times]))[0, -1]
        np.testing.assert_allclose(figures, percent(pycocotools_of(repeated(results, times), "bbox").stats), atol=1e-9)


def test_drawings_are_computed_alike_in_any_company(evaluate):
    matches = matches_of(evaluate(make_results(3, photos=20)))
    times = drawings(20, 50, 0)
    together = drawn_figures(matches, times)
    for index in (0, 17, 49):
        alone = drawn_figures(matches, times[index : index + 1])[0]
        np.testing.assert_allclose(alone, together[index], atol=1e-12)


def test_intervals_are_the_percentiles_of_the_drawings_that_define_a_figure(evaluate):
    # Class b is annotated in one photo of eight, so that a third of the drawings say nothing of it.
    results = found_in(8, 0.5)
    results.content["categories"].append({"id": 2, "name": "b"})
    results.content["annotations"].append(annotation(99, 8, 2, [100, 100, 20, 20]))
    results.detections.append(detection(8, 2, [100, 100, 20, 20], 0.8))
    matches = matches_of(evaluate(results))
    figures = drawn_figures(matches, drawings(8, 400, 3))
    assert 0.2 < np.isnan(figures[:, 1, 0]).mean() < 0.5
    spread = intervals(matches, samples=400, seed=3)
    for row in range(3):
        for index, name in enumerate(FIGURES):
            values = figures[:, row, index][~np.isnan(figures[:, row, index])]
            of_one_photo = row == 1 or name in ("APs", "ARs")  # that of class b
            if values.size and not of_one_photo:
                expected = np.percentile(values, [2.5, 97.5])
                assert (spread[row][name].low, spread[row][name].high) == pytest.approx(tuple(expected))
            else:
                assert name not in spread[row]
    assert "APl" not in spread[0]
    assert spread[1] == {}, "one photo says nothing of how much photos differ"


def interval_of_ap(evaluation, **options):
    """Of all classes."""
    interval = intervals(matches_of(evaluation), **options)[-1]["AP"]
    return interval.low, interval.high


def test_a_perfect_model_has_no_spread(evaluate):
    assert interval_of_ap(evaluate(found_in(8, 1.0)), samples=50) == pytest.approx((100.0, 100.0))


def test_interval_is_that_of_drawing_photos(evaluate):
    """A photo is found or not, so AP is (up to COCO's 101 recall points) the share of found ones: a binomial."""
    photos, quality = 40, 0.5
    evaluation = evaluate(found_in(photos, quality))
    low, high = interval_of_ap(evaluation, samples=2000)
    shares = 100 * RNG.binomial(photos, quality, size=200_000) / photos
    expected = np.percentile(shares, [2.5, 97.5])
    assert (low, high) == pytest.approx(tuple(expected), abs=3.0)  # a photo is 2.5 points, a recall point 1
    assert low < 100 * evaluation.stats[0] < high


def test_same_seed_same_interval(evaluate):
    evaluation = evaluate(found_in(97, 0.6))
    assert interval_of_ap(evaluation, samples=100, seed=1) != interval_of_ap(evaluation, samples=100, seed=2)
    assert interval_of_ap(evaluation, samples=100, seed=1) == interval_of_ap(evaluation, samples=100, seed=1)


def test_more_photos_a_narrower_interval(evaluate):
    widths = [np.diff(interval_of_ap(evaluate(found_in(photos, 0.5)), samples=500))[0] for photos in (10, 160)]
    assert widths[1] < widths[0] / 2


def rectangle(x, y):
    return [x, y, x + 20, y, x + 20, y + 20, x, y + 20]


@pytest.fixture
def truth(tmp_path):
    """Twenty photos with a square each."""
    rng = np.random.default_rng(0)
    annotations = []
    for index in range(1, 21):
        x, y = (float(value) for value in rng.integers(0, 30, 2))
        annotations.append(Annotation(index, index, 1, [rectangle(x, y)], 400.0, (x, y, 20.0, 20.0)))
    images = [Image(index, f"{index}.png", SIDE, SIDE) for index in range(1, 21)]
    path = tmp_path / "test.json"
    path.write_bytes(msgspec.json.encode(CocoFile(images, annotations, categories_of(["square"]))))
    return path


def detections(truth, shifts):
    """Each square, moved to the right by a number of px for each photo."""
    found = []
    for square, shift in zip(json.loads(truth.read_text())["annotations"], shifts, strict=True):
        x, y, width, height = square["bbox"]
        code = pycocotools.mask.frPyObjects([rectangle(x + shift, y)], SIDE, SIDE)[0]
        segmentation = {"size": code["size"], "counts": code["counts"].decode()}
        found.append(
            {"image_id": square["image_id"], "category_id": 1, "bbox": [x + shift, y, width, height], "score": 0.9,
             "segmentation": segmentation}
        )  # fmt: skip
    return found


def test_a_run_is_as_good_as_itself(truth):
    found = detections(truth, range(20))
    (same,) = difference_intervals(truth, [found, found], "segm", samples=50)
    assert set(same) == set(FIGURES) - {"APm", "APl", "ARm", "ARl"}, "there are small objects only"
    assert all(interval.low == interval.high == 0 for interval in same.values())


def test_what_makes_photos_hard_for_both_cancels_out(truth):
    """Photos are easy or hard, and the second run is a little worse on each: its own interval is wide."""
    shifts = [0, 7] * 10
    first, second = detections(truth, shifts), detections(truth, [shift + 2 for shift in shifts])
    (interval,) = (result["AP"] for result in difference_intervals(truth, [first, second], "segm", samples=200))
    figures = [analyse(truth, found, dataset="d", split="test", samples=200).segm.AP for found in (first, second)]
    assert interval.low <= figures[1].value - figures[0].value <= interval.high < 0
    assert interval.high - interval.low < 0.7 * (figures[1].interval.high - figures[1].interval.low)


def test_every_run_is_compared_with_the_first(truth):
    runs = [detections(truth, [shift] * 20) for shift in (4, 0, 8)]
    better, worse = difference_intervals(truth, runs, "bbox", samples=20)
    assert better["AP"].low > 0 > worse["AP"].high
