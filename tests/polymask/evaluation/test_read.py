import copy
import json

import numpy as np
import pycocotools.mask
import pytest

from dataset_tools.errors import UserError
from polymask.evaluation.read import read_detections, read_truth
from tests.polymask.evaluation.generated import SIZE, Results, coco_content, detection, make_results


def test_detections_are_sorted_by_photo_and_confidence_and_stay_in_order_where_equal(tmp_path):
    box = [10, 10, 20, 20]
    found = [detection(*one) for one in ((2, 1, box, 0.5), (1, 1, box, 0.1), (1, 2, box, 0.7), (1, 1, box, 0.7))]
    truth = read_truth(Results(coco_content((2, 1), [], 2), found).write(tmp_path)[0])
    objects = read_detections(found, truth)
    assert objects.photo.tolist() == [0, 0, 0, 1]  # ids 1 and 2
    assert objects.score.tolist() == [0.7, 0.7, 0.1, 0.5]
    assert objects.category.tolist() == [1, 0, 0, 0]
    assert objects.starts.tolist() == [0, 3, 4]


def refuse(truth, found):
    with pytest.raises(UserError) as error:
        read_detections(found, truth)
    return str(error.value)


def test_results_of_another_dataset_are_refused_in_words(tmp_path):
    results = make_results(1)
    truth = read_truth(results.write(tmp_path)[0])
    damaged = copy.deepcopy(results.detections)
    damaged[3]["image_id"] = 999
    assert "another dataset: image 999 is not in this split" in refuse(truth, damaged)
    damaged = copy.deepcopy(results.detections)
    damaged[3]["category_id"] = 77
    assert "another dataset: category 77" in refuse(truth, damaged)
    damaged = copy.deepcopy(results.detections)
    damaged[3]["segmentation"]["size"] = [10, 20]
    message = refuse(truth, damaged)
    assert "the mask is 20 x 10 px" in message and f"{SIZE[0]} x {SIZE[1]} px" in message and "[3]" in message


def test_a_damaged_file_is_refused_in_words(tmp_path):
    """pycocotools would hang on the first of these, and take the second for a mask."""
    results = make_results(1)
    annotations, file = results.write(tmp_path)
    truth = read_truth(annotations)
    mask = results.detections[3]["segmentation"]
    for damage, said in (
        ({"segmentation": mask | {"counts": mask["counts"][:6]}}, r"\[3\].*damaged"),
        ({"segmentation": mask | {"counts": "zz~~~~####"}}, r"\[3\].*damaged"),
        ({"bbox": [5, 5, -10, 3]}, "box.*negative"),
        ({"bbox": [5, 5, 1, 1e300]}, "box.*negative"),
    ):
        damaged = copy.deepcopy(results.detections)
        damaged[3] = damaged[3] | damage
        file.write_text(json.dumps(damaged))
        with pytest.raises(UserError, match=said):
            read_detections(file, truth)


@pytest.mark.parametrize("score", [float("nan"), float("inf"), -0.1, 1.5])
def test_a_confidence_is_from_0_to_1(tmp_path, score):
    results = make_results(1)
    truth = read_truth(results.write(tmp_path)[0])
    results.detections[0]["score"] = score
    assert "confidence" in refuse(truth, results.detections)


NESTED = '[{"other": ' + "[" * 100_000 + "]" * 100_000 + "}]"


@pytest.mark.parametrize("content", ["", "{", "{}", "[1]", '[{"image_id": 1}]', '[{"image_id": "a"}]', "\xff", NESTED])
def test_what_is_no_file_of_results_is_refused_in_words(tmp_path, content):
    truth = read_truth(make_results(1).write(tmp_path)[0])
    (tmp_path / "x.json").write_bytes(content.encode("latin-1"))
    assert "not results in COCO's format" in refuse(truth, tmp_path / "x.json")


def test_detections_without_end_are_not_read(tmp_path):
    truth = read_truth(make_results(1).write(tmp_path)[0])
    (tmp_path / "found.json").symlink_to("/dev/zero")
    assert "not a regular file" in refuse(truth, tmp_path / "found.json")


def test_detections_that_are_not_there(tmp_path):
    truth = read_truth(make_results(1).write(tmp_path)[0])
    assert "cannot be read" in refuse(truth, tmp_path / "absent.json")


@pytest.mark.parametrize("field", ["image_id", "category_id"])
def test_an_annotation_that_points_nowhere_is_refused(tmp_path, field):
    content = make_results(1).content
    content["annotations"][2][field] = 999
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"annotations\[2\]"):
        read_truth(tmp_path / "test.json")


@pytest.mark.parametrize("outlines", [[], [[]], [[1.0, 2.0]], [[1.0, 2.0, 3.0, 4.0]]])
def test_an_annotation_without_an_outline_is_refused(tmp_path, outlines):
    """pycocotools takes four numbers for a box, which it cannot read in a list."""
    content = make_results(1).content
    content["annotations"][2]["segmentation"] = outlines
    (tmp_path / "test.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"annotations\[2\].*outline"):
        read_truth(tmp_path / "test.json")


def test_outlines_without_area_are_left_out(tmp_path):
    content = make_results(1).content
    content["annotations"][2]["segmentation"] = [[8, 8, 24, 8, 24, 24, 8, 24]]
    (tmp_path / "test.json").write_text(json.dumps(content))
    expected = read_truth(tmp_path / "test.json").objects.mask
    content["annotations"][2]["segmentation"].insert(0, [1, 2, 3, 4])
    (tmp_path / "test.json").write_text(json.dumps(content))
    assert read_truth(tmp_path / "test.json").objects.mask == expected


def test_a_split_without_photos_is_refused(tmp_path):
    (tmp_path / "test.json").write_text(json.dumps(coco_content((), [], 2)))
    with pytest.raises(UserError, match="no photos"):
        read_truth(tmp_path / "test.json")


def test_masks_of_annotations_are_pycocotools_own(tmp_path):
    results = make_results(2)
    truth = read_truth(results.write(tmp_path)[0])
    for index, one in enumerate(sorted(results.content["annotations"], key=lambda one: one["image_id"])):
        code = {"size": (SIZE[1], SIZE[0]), "counts": truth.objects.mask[index]}
        x, y, w, h = one["bbox"]
        expected = np.zeros((SIZE[1], SIZE[0]), dtype=bool)
        expected[y : y + h, x : x + w] = True
        assert (pycocotools.mask.decode(code).astype(bool) == expected).all()
