"""Where the frame is, and what is drawn, on photos of one colour."""

import json

import numpy as np
import pytest

from dataset_tools.geometry.rle import encode
from polymask.evaluation.read import read_detections, read_truth
from polymask.inference.visualizer import metadata_of
from polymask.review.pictures import WIDTH, draw_suspect
from polymask.review.suspects import Suspect

HEIGHT, BREADTH = 300, 400  # px of the photo
SQUARE = (200.0, 100.0, 60.0, 60.0)


@pytest.fixture
def drawn(tmp_path):
    """The two pictures of a suspect in a black photo, with a square annotated and found."""

    def draw(box, detection=None, score=0.9):
        x, y, w, h = SQUARE
        outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
        annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": SQUARE, "area": w * h, "segmentation": outline}
        code = encode(np.ones((60, 60), dtype=bool), (HEIGHT, BREADTH), 200, 100)
        result = {"image_id": 1, "category_id": 1, "bbox": SQUARE, "score": score}
        result["segmentation"] = {"size": list(code.size), "counts": code.counts}
        images = [{"id": 1, "file_name": "a.png", "width": BREADTH, "height": HEIGHT}]
        content = {"images": images, "annotations": [annotation], "categories": [{"id": 1, "name": "Car"}]}
        (tmp_path / "test.json").write_text(json.dumps(content))
        truth = read_truth(tmp_path / "test.json")
        found = read_detections([result], truth)
        suspect = Suspect("missing", 0, box, 0.9, "", None, detection)
        pixels = np.zeros((HEIGHT, BREADTH, 3), dtype=np.uint8)
        return draw_suspect(pixels, suspect, truth, found, metadata_of(["Car"]))

    return draw


def is_drawn(picture):
    """Whether anything has a colour; the frame has none."""
    return bool((np.ptp(picture.astype(int), axis=2) > 60).any())


def test_the_frame_is_around_the_suspect(drawn):
    for picture in drawn(SQUARE):
        white = (picture > 200).all(axis=2)
        columns, rows = np.flatnonzero(white.sum(axis=0) > 40), np.flatnonzero(white.sum(axis=1) > 40)
        side = WIDTH / (2 * 45 + 60)  # drawn px of a px: 45 are shown on each side
        assert abs(picture.shape[1] - WIDTH) <= 1 and picture.shape[0] == picture.shape[1]
        for ends in (columns, rows):
            assert (ends[0], ends[-1]) == pytest.approx((45 * side, 105 * side), abs=4)


def test_both_sides_show_what_is_there(drawn):
    assert all(map(is_drawn, drawn(SQUARE)))
    left, right = drawn(SQUARE, score=0.2)
    assert is_drawn(left) and not is_drawn(right), "it is not sure enough"
    assert is_drawn(drawn(SQUARE, 0, score=0.2)[1]), "but for what the suspect is about"
    assert not any(map(is_drawn, drawn((10.0, 220.0, 30.0, 30.0)))), "what is elsewhere is not drawn"


@pytest.mark.parametrize("box", [(0.0, 0.0, 5.0, 300.0), (395.0, 290.0, 5.0, 10.0), (0.0, 0.0, 400.0, 300.0)])
def test_at_the_border(drawn, box):
    left, right = drawn(box)
    assert left.shape == right.shape and min(left.shape[:2]) > 100


@pytest.mark.parametrize("box", [(900.0, 900.0, 5.0, 5.0), (-500.0, 10.0, 3.0, 3.0), (9.0, 9.0, 0.0, 0.0)])
def test_a_box_that_the_photo_does_not_have(drawn, box):
    assert drawn(box)[0].shape[1] == pytest.approx(WIDTH, abs=1)
