import json

import numpy as np
import pycocotools.mask
import pytest

from dataset_tools.formats.coco import Annotation, CocoFile, Image, categories_of, encode_coco
from polymask.evaluation.analysis import analyse
from polymask.evaluation.judge import FIGURES
from polymask.evaluation.paired import difference_intervals

SIDE = 64


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
    path.write_bytes(encode_coco(CocoFile(images, annotations, categories_of(["square"]))))
    return path


def detections(truth, shifts):
    """Each square, moved to the right by a number of px for each photo."""
    found = []
    for annotation, shift in zip(json.loads(truth.read_text())["annotations"], shifts, strict=True):
        x, y, width, height = annotation["bbox"]
        code = pycocotools.mask.frPyObjects([rectangle(x + shift, y)], SIDE, SIDE)[0]
        segmentation = {"size": code["size"], "counts": code["counts"].decode()}
        found.append(
            {"image_id": annotation["image_id"], "category_id": 1, "bbox": [x + shift, y, width, height], "score": 0.9,
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
