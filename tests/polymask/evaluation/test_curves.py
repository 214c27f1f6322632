import numpy as np
import pytest

from polymask.evaluation.counting import count
from polymask.evaluation.curves import best_threshold, f1_curve, precision_recall
from polymask.evaluation.matches import matches_of
from polymask.evaluation.read import read_detections, read_truth
from tests.polymask.evaluation.generated import (
    Results,
    annotation,
    coco_content,
    detection,
    make_results,
    pycocotools_of,
)

BOX, ELSEWHERE = [10, 10, 50, 50], [120, 100, 60, 60]


@pytest.fixture
def evaluate(tmp_path):
    def run(results):
        truth = read_truth(results.write(tmp_path)[0])
        return count(truth, read_detections(results.detections, truth), "segm")

    return run


def f1_at(results, category, confidence):
    """F1 at IoU .5 of the detections of that confidence or more, by pycocotools."""
    kept = [one for one in results.detections if one["score"] >= confidence and one["category_id"] == category]
    wanted = sum(one["category_id"] == category for one in results.content["annotations"])
    if not kept:
        return 0.0
    theirs = pycocotools_of(Results(results.content, kept), "segm", catIds=[category])
    found = sum(int((one["dtMatches"][0] > 0).sum()) for one in theirs.evalImgs[: len(theirs.params.imgIds)] if one)
    return 2 * found / (len(kept) + wanted)


@pytest.mark.parametrize("ties", [False, True])
def test_f1_is_that_of_the_detections_that_are_kept(evaluate, ties):
    results = make_results(4, photos=20, ties=ties)
    matches = matches_of(evaluate(results))
    for category in (1, 2):
        curve = f1_curve(matches, category - 1)
        assert [confidence for confidence, _ in curve] == pytest.approx([i / 100 for i in range(101)])
        for confidence, value in curve[::10]:
            assert value == pytest.approx(f1_at(results, category, confidence))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_no_other_threshold_is_better(evaluate, seed, ties):
    results = make_results(seed, photos=15, ties=ties)
    matches = matches_of(evaluate(results))
    for category in (1, 2):
        best = best_threshold(matches, category - 1)
        scores = {one["score"] for one in results.detections if one["category_id"] == category}
        values = {score: f1_at(results, category, score) for score in scores}
        assert f1_at(results, category, best) == pytest.approx(max(values.values()))
        assert all(value < max(values.values()) - 1e-9 for score, value in values.items() if score > best and
                   score != min(other for other in scores if other >= best))  # fmt: skip


def test_the_threshold_is_midway_between_what_is_kept_and_what_is_not(evaluate):
    annotations = [annotation(1, 1, 1, BOX), annotation(2, 2, 1, BOX)]
    found = [detection(1, 1, BOX, 0.9), detection(2, 1, BOX, 0.8), detection(1, 1, ELSEWHERE, 0.4)]
    matches = matches_of(evaluate(Results(coco_content((1, 2), annotations, 1), found)))
    assert best_threshold(matches, 0) == pytest.approx(0.6)
    matches = matches_of(evaluate(Results(coco_content((1, 2), annotations, 1), found[:2])))
    assert best_threshold(matches, 0) == pytest.approx(0.4)  # nothing to leave out


def test_no_threshold_without_annotations_or_anything_right(evaluate):
    right, wrong = detection(1, 1, BOX, 0.9), detection(1, 1, ELSEWHERE, 0.9)
    there = [annotation(1, 1, 1, BOX)]
    for annotations, found in (([], [right]), (there, []), (there, [wrong])):
        matches = matches_of(evaluate(Results(coco_content((1,), annotations, 1), found)))
        assert best_threshold(matches, 0) is None
        curve = f1_curve(matches, 0)
        assert curve == [] if not annotations else {value for _, value in curve} == {0}


def test_precision_and_recall_are_those_of_pycocotools(evaluate):
    results = make_results(4, photos=20)
    evaluation, theirs = evaluate(results), pycocotools_of(results, "segm")
    for category in (0, 1):
        curves = precision_recall(evaluation, category)
        for name, index in (("0.50", 0), ("0.75", 5)):
            recalls, precisions = np.array(curves[name]).T
            np.testing.assert_allclose(recalls, theirs.params.recThrs, atol=1e-12)
            np.testing.assert_allclose(precisions, theirs.eval["precision"][index, :, category, 0, -1], atol=1e-12)
    assert precision_recall(evaluation, 2) == {"0.50": [], "0.75": []}  # not annotated
