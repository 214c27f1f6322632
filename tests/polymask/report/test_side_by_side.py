import json
import shutil
import tracemalloc

import cv2
import numpy as np
import pytest

from dataset_tools.errors import UserError
from dataset_tools.geometry.rle import encode
from polymask.evaluation.read import read_detections, read_truth
from polymask.inference.predictor import read_photo
from polymask.inference.visualizer import LARGEST, metadata_of
from polymask.report.side_by_side import compare, draw_pair


def test_compare_follows_no_link_of_the_run(folder, tmp_path):
    run, thesis = folder(), tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter1.png").write_bytes(b"chapter 1")
    (run / "pictures").mkdir()
    for name in ("overview.png", "0001_test0.png"):
        (run / "pictures" / name).symlink_to(thesis / "chapter1.png")
    pictures, sheet = compare(run, run / "pictures", "test", 0.5)
    assert not any(path.is_symlink() for path in (*pictures, sheet))
    shutil.rmtree(run / "pictures")
    (run / "pictures").symlink_to(thesis)
    with pytest.raises(UserError, match="pictures"):
        compare(run, run / "pictures", "test", 0.5)
    assert {path.name: path.read_bytes() for path in thesis.iterdir()} == {"chapter1.png": b"chapter 1"}


def claim_size(run, side):
    """Lets the dataset and the detections say that the first photo is so many px wide and high."""
    for path in (run.parent / "dataset/test.json", run / "inference/street_test/coco_instances_results.json"):
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            content["images"][0] |= {"width": side, "height": side}
        else:
            mask = encode(np.ones((2, 2), dtype=bool), (side, side), 1, 1)
            content = [one | {"segmentation": {"size": mask.size, "counts": mask.counts}} for one in content[-1:]] * 4
        path.write_text(json.dumps(content))


def test_no_mask_is_drawn_in_a_size_that_the_photo_does_not_have(folder, tmp_path):
    run = folder()
    claim_size(run, 6000)
    tracemalloc.start()
    with pytest.raises(UserError, match="64 x 64 px, and in the dataset 6000 x 6000 px"):
        compare(run, tmp_path / "pictures", "test", 0.0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6000 * 6000


SQUARE = {"size": [64, 64], "counts": "0"}


@pytest.mark.parametrize(
    "damage",
    [
        {"segmentation": SQUARE | {"size": [200_000, 200_000]}},
        {"segmentation": SQUARE},
        {"segmentation": SQUARE | {"counts": "zz~~~~####"}},
        {"segmentation": SQUARE | {"counts": "o" * 100_000}},
        {"segmentation": SQUARE | {"counts": [64 * 64]}},
        {"image_id": 77},
        {"category_id": -1},
        {"bbox": [0, 0, 1e300, 1]},
        {"bbox": [1, 2]},
        {"score": 7},
    ],
    ids=str,
)
def test_crafted_detections_are_refused_before_anything_is_drawn(folder, tmp_path, damage):
    run = folder()
    file = run / "inference/street_test/coco_instances_results.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps([content[0] | damage, *content[1:]]))
    with pytest.raises(UserError) as caught:
        compare(run, tmp_path / "pictures", "test", 0.5)
    assert caught.value.file == file and not (tmp_path / "pictures").exists()


def test_compare_draws_annotations_left_and_predictions_right(train_in, overfitted, tiny_dataset, tmp_path):
    weights = ("MODEL.WEIGHTS", str(overfitted / "model_final.pth"))
    run = train_in(tmp_path / "run", *weights, flags=["--eval-only"])
    truth = json.loads((tiny_dataset / "test.json").read_text())
    halves = {}
    for threshold in (0.3, 1.0):  # nothing is as sure as 1
        pictures, sheet = compare(run, tmp_path / str(threshold), "test", threshold)
        assert len(pictures) == len(truth["images"]) and sheet.is_file()
        picture = cv2.imread(str(pictures[0])).astype(int)
        halves[threshold] = picture[:, :960], picture[:, -960:]
    assert np.array_equal(halves[0.3][0], halves[1.0][0]), "the annotations do not depend on the threshold"
    photo = read_photo(tiny_dataset.parent / "labelme" / truth["images"][0]["file_name"])
    photo = cv2.resize(photo, (960, 960), interpolation=cv2.INTER_LINEAR).astype(int)
    annotated, bare, drawn = (np.abs(half - photo).mean() for half in (*halves[1.0], halves[0.3][1]))
    assert annotated > 2 * bare, "annotations on the left"
    assert drawn > 2 * bare, "predictions on the right"
    with pytest.raises(UserError, match="has not been evaluated"):
        compare(run, tmp_path / "pictures", "val", 0.5)


def test_a_confidence_in_percent_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="from 0 to 1"):
        compare(folder(), tmp_path / "pictures", "test", 50)


def test_pictures_of_tall_photos_are_not_longer_than_others(tmp_path):
    cv2.imwrite(str(tmp_path / "tall.png"), np.zeros((900, 60, 3), np.uint8))
    record = {"file_name": str(tmp_path / "tall.png"), "width": 60, "height": 900, "annotations": []}
    image = {"id": 1, "file_name": "tall.png", "width": 60, "height": 900}
    (tmp_path / "test.json").write_text(
        json.dumps({"images": [image], "annotations": [], "categories": [{"id": 1, "name": "Car"}]})
    )
    found = read_detections([], read_truth(tmp_path / "test.json"))
    left, right = draw_pair(record, found, np.zeros(0, int), metadata_of(["Car"]))
    assert left.shape == right.shape and left.shape[0] <= LARGEST
