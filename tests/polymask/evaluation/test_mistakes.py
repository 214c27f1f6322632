import contextlib
import copy
import io
import warnings

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polymask.evaluation.mistakes import CORRECT, costs_of, mistakes_of
from polymask.evaluation.overlaps import overlaps_of
from polymask.evaluation.read import read_detections, read_truth
from polymask.evaluation.records import KINDS
from tests.polymask.evaluation.generated import (
    Results,
    all_found,
    annotation,
    coco_content,
    detection,
    make_results,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # its docstrings hold backslashes
    import tidecv
    from tidecv.errors.main_errors import (
        BackgroundError,
        BoxError,
        ClassError,
        DuplicateError,
        MissedError,
        OtherError,
    )

THEIR_ERRORS = (ClassError, BoxError, OtherError, DuplicateError, BackgroundError, MissedError)


def costs(results, folder):
    truth = read_truth(results.write(folder)[0])
    found = read_detections(results.detections, truth)
    return costs_of(truth, found, overlaps_of(truth, found))


def tide_of(results):
    """dAP by kind, by tidecv, at its defaults, IoU .5 and .1, but with all detections."""
    truth, found = tidecv.Data("truth", max_dets=len(results.detections)), tidecv.Data("found")
    for category in results.content["categories"]:
        truth.add_class(category["id"], category["name"])
    for image in results.content["images"]:
        truth.add_image(image["id"], image["file_name"])
    sizes = {image["id"]: (image["width"], image["height"]) for image in results.content["images"]}
    for one in results.content["annotations"]:
        mask = tidecv.functions.toRLE(one["segmentation"], *sizes[one["image_id"]])
        truth.add_ground_truth(one["image_id"], one["category_id"], one["bbox"], mask)
    for one in copy.deepcopy(results.detections):
        found.add_detection(one["image_id"], one["category_id"], one["score"], one["bbox"], one["segmentation"])
    # It sets up Matplotlib for its own plots, and other tests draw, too.
    with matplotlib.rc_context(), contextlib.redirect_stdout(io.StringIO()):
        tide = tidecv.TIDE()
        run = tide.evaluate(truth, found, mode=tidecv.TIDE.MASK)
        fixed = run.fix_main_errors()
    return {name: fixed[error] for name, error in zip(KINDS, THEIR_ERRORS, strict=True)}


def without_unannotated_classes(results):
    """tidecv counts a class that is found but not annotated as one with an AP of 0; see the test below."""
    annotated = {one["category_id"] for one in results.content["annotations"]}
    return Results(results.content, [one for one in results.detections if one["category_id"] in annotated])


@pytest.mark.parametrize("seed", range(12))
def test_costs_are_those_of_tidecv(tmp_path, seed):
    results = make_results(seed, photos=25, classes=5, annotated=6, found=25, by=0.05 + 0.03 * (seed % 5))
    theirs = tide_of(results)
    assert sum(cost > 0.05 for cost in theirs.values()) >= 5  # nearly all kinds occur
    assert costs(results, tmp_path).overall == pytest.approx(theirs, abs=1e-9)


def test_more_than_100_detections_of_a_photo(tmp_path):
    results = make_results(5, photos=3, classes=4, annotated=9, found=300)
    assert max(np.bincount([one["image_id"] for one in results.detections])) > 150
    assert costs(results, tmp_path).overall == pytest.approx(tide_of(results), abs=1e-9)


@pytest.mark.parametrize("classes", [[(1, 150)], [(1, 60), (2, 60)]])
def test_a_photo_of_more_than_100_objects_that_are_all_found(tmp_path, classes):
    """Whether COCO counts them, 100 of each class, or not."""
    assert costs(all_found(*classes), tmp_path).overall == dict.fromkeys(KINDS, 0)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), photos=st.integers(1, 4), annotated=st.integers(1, 5), found=st.integers(1, 9))
def test_costs_of_any_small_case_are_those_of_tidecv(tmp_path_factory, seed, photos, annotated, found):
    results = without_unannotated_classes(make_results(seed, photos, 4, annotated, found, by=0.2))
    if results.detections:
        ours, theirs = costs(results, tmp_path_factory.mktemp("case")).overall, tide_of(results)
        missed = ours.pop("missed"), theirs.pop("missed")
        assert ours == pytest.approx(theirs, abs=1e-9)
        if missed[0] != pytest.approx(missed[1], abs=1e-9):
            # The one difference: nothing of a class is left to ask for, see the test below.
            assert missed[0] > missed[1]


BOX, ELSEWHERE = [10, 10, 50, 50], [120, 100, 60, 60]


def test_difference_a_class_that_is_not_annotated_is_no_part_of_the_mean(tmp_path):
    """As in COCO's AP. tidecv counts it as one more class with an AP of 0, so that all costs shrink."""
    annotations = [annotation(1, 1, 1, BOX)]
    found = [detection(1, 1, ELSEWHERE, 0.9), detection(1, 1, BOX, 0.8), detection(1, 2, [180, 20, 20, 20], 0.7)]
    results = Results(coco_content((1,), annotations, 2), found)
    assert costs(results, tmp_path).overall["background"] == pytest.approx(50)  # precision 1/2 becomes 1
    alone = Results(coco_content((1,), annotations, 1), found[:2])
    assert tide_of(alone)["background"] == pytest.approx(50)
    # tidecv: the mean of 50 and 0 becomes that of 100 alone: class 2 loses its only detection, and with it its place.
    assert tide_of(results)["background"] == pytest.approx(75)


def test_difference_missing_all_of_a_class_costs_all_of_it(tmp_path):
    """tidecv has no annotations left then: an AP of 0 if there are wrong detections, and else one class less."""
    annotations = [annotation(1, 1, 1, BOX), annotation(2, 1, 2, ELSEWHERE)]
    found = [detection(1, 1, BOX, 0.9), detection(1, 2, [200, 10, 20, 20], 0.8)]
    results = Results(coco_content((1,), annotations, 2), found)
    assert costs(results, tmp_path).overall["missed"] == pytest.approx(50)
    assert tide_of(results)["missed"] == 0


def test_difference_equal_confidences_keep_their_order(tmp_path):
    """tidecv puts wrong detections before right ones of equal confidence as soon as it mends anything."""
    annotations = [annotation(1, 1, 1, BOX), annotation(2, 2, 1, BOX)]
    found = [detection(1, 1, BOX, 0.5), detection(2, 1, BOX, 0.5), detection(2, 1, ELSEWHERE, 0.5)]
    found.append(detection(2, 1, [11, 10, 50, 50], 0.4))  # a duplicate, with nothing right behind it
    results = Results(coco_content((1, 2), annotations, 1), found)
    ours = costs(results, tmp_path).overall
    assert ours == pytest.approx(dict.fromkeys(KINDS, 0))  # all right ones come first: nothing costs anything
    assert tide_of(results) == pytest.approx(ours)  # clipped at 0: with the order changed, AP falls
    annotations.append(annotation(3, 3, 1, BOX))
    results = Results(coco_content((1, 2, 3), annotations, 1), [*found, detection(3, 1, BOX, 0.3)])
    assert costs(results, tmp_path).overall["duplicate"] > tide_of(results)["duplicate"]


def test_nothing_found_costs_all_as_missed(tmp_path):
    results = Results(coco_content((1, 2), [annotation(1, 1, 1, BOX)], 2), [])
    found = costs(results, tmp_path)
    assert found.overall == pytest.approx(dict.fromkeys(KINDS, 0) | {"missed": 100})
    assert found.by_class[0] == found.overall
    assert found.by_class[1] == dict.fromkeys(KINDS, 0)


def test_nothing_annotated_costs_nothing(tmp_path):
    results = Results(coco_content((1,), [], 2), [detection(1, 1, BOX, 0.9)])
    assert costs(results, tmp_path).overall == dict.fromkeys(KINDS, 0)


def test_costs_of_a_class(tmp_path):
    """Class a has a duplicate before its second annotation: precision 1 to recall .5, then 2/3; class b is perfect."""
    annotations = [annotation(1, 1, 1, BOX), annotation(2, 1, 1, ELSEWHERE), annotation(3, 2, 2, BOX)]
    found = [detection(1, 1, BOX, 0.9), detection(1, 1, BOX, 0.8), detection(1, 1, ELSEWHERE, 0.7)]
    found.append(detection(2, 2, BOX, 0.6))
    results = Results(coco_content((1, 2), annotations, 2), found)
    before = 100 * (51 * 1 + 50 * 2 / 3) / 101
    expected = dict.fromkeys(KINDS, 0) | {"duplicate": 100 - before}
    found = costs(results, tmp_path)
    assert found.by_class[0] == pytest.approx(expected)
    assert found.by_class[1] == pytest.approx(dict.fromkeys(KINDS, 0))
    assert found.overall["duplicate"] == pytest.approx((100 - before) / 2)


@pytest.mark.parametrize(
    ("overlaps", "found", "annotated", "kinds", "missed"),
    [
        ([[0.5]], [0], [0], [None], [False]),
        ([[0.4]], [0], [0], ["localisation"], [False]),
        ([[0.1]], [0], [0], ["localisation"], [False]),
        ([[0.09]], [0], [0], ["background"], [True]),
        ([[0.5]], [1], [0], ["classification"], [False]),
        ([[0.3]], [1], [0], ["both"], [True]),
        ([[0.1]], [1], [0], ["background"], [True]),
        ([[0.9], [0.8]], [0, 0], [0], [None, "duplicate"], [False]),
        ([[0.9], [0.4]], [0, 0], [0], [None, "localisation"], [False]),
        ([[0.9, 0.6], [0.8, 0.2]], [0, 0], [0, 1], [None, "duplicate"], [False, True]),
        ([[0.9, 0.0], [0.0, 0.7]], [0, 0], [0, 1], [None, "classification"], [False, False]),
        ([[0.3, 0.9]], [0], [0, 1], ["localisation"], [False, True]),  # the nearer annotation is of another class
        ([[]], [0], [], ["background"], []),
        (np.zeros((0, 2)), [], [0, 1], [], [True, True]),
    ],
)
def test_kinds(overlaps, found, annotated, kinds, missed):
    overlaps = np.array(overlaps, dtype=float).reshape(len(found), len(annotated))
    mistakes = mistakes_of(overlaps, np.array(found, dtype=int), np.array(annotated, dtype=int))
    assert [None if kind == CORRECT else KINDS[kind] for kind in mistakes.kind] == kinds
    assert mistakes.missed.tolist() == missed
    expected = {kind for kind in kinds if kind} | ({"missed"} if any(missed) else set())
    assert set(mistakes.kinds) == expected


def test_every_annotation_is_found_missed_or_nearly_found():
    rng = np.random.default_rng(0)
    for _ in range(50):
        count_, others = rng.integers(0, 6, 2)
        overlaps = np.round(rng.uniform(0, 1, (count_, others)), 1)
        mistakes = mistakes_of(overlaps, rng.integers(0, 3, count_), rng.integers(0, 3, others))
        nearly = set(mistakes.annotation[mistakes.annotation >= 0].tolist())
        for index in range(others):
            assert mistakes.missed[index] == (index not in nearly)
