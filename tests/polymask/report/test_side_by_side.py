import json
import shutil

import cv2
import numpy as np
import pytest

from dataset_tools.errors import UserError
from polymask.inference.predictor import read_photo
from polymask.report.side_by_side import compare


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
