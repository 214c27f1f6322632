import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymask.evaluation.counting import count
from polymask.evaluation.figures import FIGURES, cocos_ap, figures_of
from polymask.evaluation.read import TASKS, read_detections, read_truth
from tests.polymask.evaluation.generated import (
    Results,
    all_found,
    annotation,
    coco_content,
    detection,
    make_results,
    pycocotools_of,
)


def counted(results, task):
    with tempfile.TemporaryDirectory() as folder:
        truth = read_truth(results.write(Path(folder))[0])
    return count(truth, read_detections(results.detections, truth), task)


def assert_agrees_with_pycocotools(results):
    """To the last bit; no photo has more than 100 detections of a class."""
    for task in TASKS:
        ours, theirs = counted(results, task), pycocotools_of(results, task)
        assert cocos_ap(ours) is None
        assert ours.stats.tolist() == theirs.stats.tolist()
        for name in ("precision", "recall"):
            assert np.array_equal(ours.eval[name], theirs.eval[name])


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_all_figures_are_those_of_pycocotools(seed, ties):
    results = make_results(seed, photos=40, ties=ties)
    assert 0.02 < pycocotools_of(results, "segm").stats[0] < 0.9  # neither nothing nor everything is found
    assert_agrees_with_pycocotools(results)


@pytest.mark.parametrize("task", TASKS)
def test_all_detections_count_and_cocos_100_beside_them(task):
    """pycocotools' own summary is about 100 of a photo and class, but not what it is computed from."""
    results = make_results(0, photos=2, classes=2, annotated=9, found=400, ties=True)
    most = max(Counter((one["image_id"], one["category_id"]) for one in results.detections).values())
    assert most > 100
    ours, theirs = counted(results, task), pycocotools_of(results, task, maxDets=[1, 10, 100, most])
    for name in ("precision", "recall"):
        assert np.array_equal(ours.eval[name], theirs.eval[name])
    assert cocos_ap(ours) == 100 * theirs.stats[0]
    assert ours.stats[6:9].tolist() == theirs.stats[6:9].tolist(), "AR1, AR10 and AR100 are about so many"
    precision, recall = theirs.eval["precision"][:, :, :, 0, -1], theirs.eval["recall"][:, :, 1, -1]
    assert ours.stats[0] == precision[precision > -1].mean()
    assert ours.stats[9] == recall[recall > -1].mean()


def test_150_objects_of_a_photo_that_are_all_found():
    """Of 150 objects COCO counts 100 detections: recall 2/3, and so 67 of the 101 recalls have a precision of 1."""
    evaluation = counted(all_found((1, 150)), "segm")
    assert figures_of(evaluation)["AP"] == pytest.approx(100)
    assert cocos_ap(evaluation) == pytest.approx(100 * 67 / 101)


def test_two_classes_of_100_are_what_coco_counts():
    evaluation = counted(all_found((1, 100), (2, 100)), "segm")
    assert figures_of(evaluation)["AP"] == pytest.approx(100) and cocos_ap(evaluation) is None


def test_of_two_classes_one_is_counted_otherwise():
    evaluation = counted(all_found((1, 150), (2, 40)), "bbox")
    assert cocos_ap(evaluation) == pytest.approx((100 * 67 / 101 + 100) / 2)
    assert cocos_ap(evaluation, slice(0, 1)) == pytest.approx(100 * 67 / 101)
    assert cocos_ap(evaluation, slice(1, 2)) is None


def test_photos_are_counted_together():
    """hotcoco is given a hundred at a time."""
    assert_agrees_with_pycocotools(make_results(2, photos=230, ties=True))


def test_crowds_are_ignored_as_in_pycocotools():
    results = make_results(3, photos=30, annotated=6, crowds=True)
    assert any(one["iscrowd"] for one in results.content["annotations"])
    assert_agrees_with_pycocotools(results)


sides = st.integers(1, 120)
boxes = st.tuples(st.integers(0, 100), st.integers(0, 70), sides, sides).map(list)
placed = st.tuples(st.sampled_from([3, 5, 8]), st.sampled_from([1, 2]), boxes)  # photo, class; class 3 is empty


@settings(max_examples=60, deadline=None)
@given(
    there=st.lists(placed, max_size=6),
    found=st.lists(st.tuples(placed, st.sampled_from([0.1, 0.5, 0.5000001, 0.9, 1.0])), min_size=1, max_size=10),
)
def test_any_small_case_is_counted_as_by_pycocotools(there, found):
    annotations = [annotation(number, *one) for number, one in enumerate(there, start=1)]
    # Half of the detections are one of the annotated objects.
    objects = [one if index % 2 or not there else there[index % len(there)] for index, (one, _) in enumerate(found)]
    detections = [detection(*one, score) for one, (_, score) in zip(objects, found, strict=True)]
    assert_agrees_with_pycocotools(Results(coco_content((3, 5, 8), annotations, 3), detections))


@pytest.mark.parametrize("task", TASKS)
def test_figures_of_a_class_are_those_of_its_evaluation_alone(task):
    results = make_results(1, photos=30)
    ours = counted(results, task)
    assert list(figures_of(ours).values()) == pytest.approx((100 * ours.stats).tolist())
    for category in (1, 2):
        theirs = pycocotools_of(results, task, catIds=[category]).stats
        figures = figures_of(ours, slice(category - 1, category))
        assert list(figures) == list(FIGURES)
        assert list(figures.values()) == pytest.approx((100 * theirs).tolist())
    assert set(figures_of(ours, slice(2, 3)).values()) == {None}  # the class that isn't annotated


@pytest.mark.parametrize("task", TASKS)
def test_nothing_found_is_an_ap_of_0_where_there_is_something_to_find(task):
    content = coco_content((1, 2), [annotation(1, 1, 1, [10, 10, 20, 20])], 2)
    figures = figures_of(counted(Results(content, []), task))
    assert (figures["AP"], figures["APs"], figures["AR100"]) == (0, 0, 0)
    assert figures["APm"] is None and figures["APl"] is None


def test_nothing_annotated_has_no_figures():
    results = Results(coco_content((1,), [], 2), [detection(1, 1, [10, 10, 20, 20], 0.9)])
    assert set(figures_of(counted(results, "segm")).values()) == {None}
