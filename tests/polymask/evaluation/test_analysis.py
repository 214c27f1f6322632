import json

import msgspec
import numpy as np
import pytest

from dataset_tools.errors import UserError
from polymask.evaluation.analysis import analyse
from polymask.evaluation.figures import FIGURES
from polymask.evaluation.records import KINDS, Analysis, Figure
from tests.polymask.evaluation.generated import (
    Results,
    all_found,
    annotation,
    coco_content,
    detection,
    make_results,
    pycocotools_of,
)

BOX, ELSEWHERE = [10, 10, 50, 50], [120, 100, 60, 60]


@pytest.fixture
def analysed(tmp_path):
    def run(results, **options):
        truth, found = results.write(tmp_path)
        analysis = analyse(truth, found, **{"dataset": "d", "split": "test", "samples": 50} | options)
        assert_well_formed(analysis)
        return analysis

    return run


def assert_well_formed(analysis):
    """It survives the way to JSON and back, has no NaN, and intervals hold their order."""
    encoded = msgspec.json.encode(analysis)
    assert msgspec.json.decode(encoded, type=Analysis) == analysis
    for value in numbers_in(msgspec.to_builtins(analysis)):
        assert np.isfinite(value)
    for figures in (analysis.segm, analysis.bbox, *(task for k in analysis.classes for task in (k.segm, k.bbox))):
        for name in FIGURES:
            figure = getattr(figures, name)
            assert figure.interval is None or (figure.value is not None and
                                               figure.interval.low <= figure.interval.high)  # fmt: skip


def numbers_in(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from numbers_in(part)
    elif isinstance(value, float):
        yield value


def test_more_than_100_objects_of_a_class_in_a_photo(analysed):
    analysis = analysed(all_found((1, 150), (2, 20), photos=2))
    dense, other = analysis.classes
    assert analysis.segm.AP.value == dense.segm.AP.value == pytest.approx(100)
    assert dense.segm.cocos_AP == pytest.approx(100 * 67 / 101) and other.segm.cocos_AP is None
    assert analysis.segm.cocos_AP == pytest.approx((dense.segm.cocos_AP + 100) / 2)
    assert [(photo.instances, photo.detections) for photo in analysis.photos_detail] == [(170, 170)] * 2
    assert analysis.errors == dict.fromkeys(KINDS, 0)


def test_everything_of_a_model_that_errs_in_all_ways(analysed):
    results = make_results(6, photos=30)
    analysis = analysed(results)
    for task in ("bbox", "segm"):
        stats = pycocotools_of(results, task).stats
        values = [getattr(getattr(analysis, task), name).value for name in FIGURES]
        assert values == pytest.approx([100 * value if value >= 0 else None for value in stats])
        assert all(getattr(getattr(analysis, task), name).interval for name in ("AP", "AP50", "APs", "AR100"))
    assert (analysis.photos, analysis.instances, analysis.detections) == (
        30, len(results.content["annotations"]), len(results.detections))  # fmt: skip
    assert analysis.thresholds_from == "this split"
    assert list(analysis.errors) == list(KINDS)
    # Rows of the matrix are annotations; columns are detections above the threshold of their class.
    matrix = np.array(analysis.confusion)
    assert matrix[:3].sum(axis=1).tolist() == [one.instances for one in analysis.classes]
    kept = [
        sum(one["category_id"] == index + 1 and one["score"] >= analysis.thresholds[name]
            for one in results.detections)
        for index, name in enumerate("abc")
    ]  # fmt: skip
    assert matrix[:, :3].sum(axis=0).tolist() == kept
    # F1 of a class at its best threshold is what the matrix says, and no point of the curve is higher.
    for index, one in enumerate(analysis.classes[:2]):
        f1 = 2 * matrix[index, index] / (matrix[index].sum() + matrix[:, index].sum())
        assert f1 >= max(value for _, value in one.f1) - 1e-9
        assert 50 <= one.mean_iou <= 100


def test_thresholds_of_another_split_are_in_use_where_there_are_some(analysed):
    analysis = analysed(make_results(6, photos=30), thresholds={"a": 0.9})
    assert analysis.thresholds_from == "val"
    assert analysis.thresholds["a"] == 0.9
    assert analysis.thresholds["b"] == analysis.classes[1].best_threshold
    assert analysis.thresholds["c"] == 0.5  # neither annotated nor found
    assert analysis.classes[0].best_threshold != 0.9


def test_photos(analysed):
    there = [annotation(i, i, 1, BOX) for i in (1, 2, 3)]
    there.append(annotation(4, 3, 2, ELSEWHERE))
    found = [
        detection(1, 1, BOX, 0.9),
        detection(1, 1, ELSEWHERE, 0.1),  # below the threshold
        detection(2, 2, BOX, 0.9),
        detection(3, 1, [10, 10, 50, 90], 0.9),  # IoU 5/9
        detection(3, 1, [10, 10, 50, 20], 0.8),  # IoU .4
        detection(5, 1, BOX, 0.9),
    ]
    results = Results(coco_content((1, 2, 3, 4, 5), there, 2), found)
    photos = analysed(results, thresholds={"a": 0.5, "b": 0.5}).photos_detail
    assert [photo.image_id for photo in photos] == [1, 2, 3, 4, 5]
    assert [photo.file_name for photo in photos] == [f"{i}.jpg" for i in range(1, 6)]
    assert [photo.score for photo in photos] == pytest.approx([1, 0, 0.5, 1, 0])
    assert [photo.kinds for photo in photos] == [
        (), ("classification",), ("localisation", "missed"), (), ("background",)]  # fmt: skip
    assert [photo.classes for photo in photos] == [("a",), ("a", "b"), ("a", "b"), (), ("a",)]


def test_mean_iou_is_that_of_the_masks_that_match(analysed):
    there = [annotation(1, 1, 1, BOX), annotation(2, 2, 1, BOX), annotation(3, 1, 2, ELSEWHERE)]
    found = [detection(1, 1, BOX, 0.9), detection(2, 1, BOX, 0.9, mask_box=[10, 10, 50, 40])]
    analysis = analysed(Results(coco_content((1, 2), there, 2), found))
    assert analysis.mean_iou == pytest.approx(90)
    assert [one.mean_iou for one in analysis.classes] == [pytest.approx(90), None]


def test_no_detections_at_all(analysed):
    results = make_results(2)
    analysis = analysed(Results(results.content, []))
    assert analysis.segm.AP.value == 0 and analysis.segm.AP.interval.high == 0
    assert analysis.classes[2].segm.AP == Figure(None, None)
    assert analysis.thresholds == dict.fromkeys("abc", 0.5) and analysis.thresholds_from == "default"
    assert analysis.errors["missed"] == pytest.approx(100) and analysis.mean_iou is None
    assert {kind for photo in analysis.photos_detail for kind in photo.kinds} == {"missed"}


def test_detections_of_a_class_without_annotations(analysed):
    results = Results(coco_content((1, 2), [annotation(1, 1, 1, BOX)], 2), [detection(1, 2, BOX, 0.9)])
    analysis = analysed(results)
    assert analysis.classes[1].segm.AP == Figure(None, None)
    assert analysis.classes[1].best_threshold is None and analysis.classes[1].f1 == []
    assert analysis.confusion == ((0, 1, 0), (0, 0, 0), (0, 0, 0))


def test_nothing_annotated_and_nothing_found(analysed):
    analysis = analysed(Results(coco_content((1, 2), [], 1), []))
    assert analysis.segm.AP == Figure(None, None)
    assert [photo.score for photo in analysis.photos_detail] == [1, 1]
    assert analysis.confusion == ((0, 0), (0, 0))


def test_a_single_photo_has_no_interval(analysed):
    results = Results(coco_content((1,), [annotation(1, 1, 1, BOX)], 1), [detection(1, 1, BOX, 0.9)])
    assert analysed(results).segm.AP == Figure(pytest.approx(100), None)


def test_a_list_is_as_good_as_a_file(analysed, tmp_path):
    results = make_results(3, photos=8)
    truth, _ = results.write(tmp_path)
    assert analyse(truth, results.detections, dataset="d", split="test", samples=50) == analysed(results)


def test_same_seed_same_analysis(analysed):
    results = make_results(3, photos=12)
    assert analysed(results, seed=1) == analysed(results, seed=1)
    assert analysed(results, seed=1).segm.AP.interval != analysed(results, seed=2).segm.AP.interval


def test_results_of_another_dataset_are_refused(tmp_path):
    truth, found = make_results(3).write(tmp_path)
    content = json.loads(truth.read_text())
    content["images"] = [image | {"id": image["id"] + 1000} for image in content["images"]]
    content["annotations"] = []
    truth.write_text(json.dumps(content))
    with pytest.raises(UserError, match="another dataset"):
        analyse(truth, found, dataset="d", split="test")


def test_crowds_are_refused_in_words(tmp_path):
    truth, found = make_results(3, photos=30, crowds=True).write(tmp_path)
    with pytest.raises(UserError, match="crowds"):
        analyse(truth, found, dataset="d", split="test")
