"""A video in which two objects cross and one leaves, drawn here, through the demo: who keeps which id."""

import csv
import json

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from dataset_tools.errors import UserError
from tests.polymask.demo.test_video import RATE, read_video, write_video

SIDE, FRAMES = 128, 100
OBJECTS = {"left": "disc", "right": "disc", "leaving": "bar"}


def boxes_at(step):
    """Where the objects are, XYXY: two discs pass each other, one partly before the other, and the bar leaves."""
    x = 24 + 80 * step / (FRAMES - 1)
    boxes = {}
    for name, centre_x, centre_y, radius in (("left", x, 72, 20), ("right", SIDE - x, 98, 22)):
        boxes[name] = (centre_x - radius, centre_y - radius, centre_x + radius, centre_y + radius)
    boxes["leaving"] = (20 - 1.2 * step, 10, 70 - 1.2 * step, 40)
    return boxes


def draw(step, rng):
    """As the photos that the model has learned from (``draw_photo`` in conftest.py)."""
    frame = rng.integers(100, 140, (SIDE, SIDE, 3), dtype=np.uint8)
    for name, (left, top, right, bottom) in boxes_at(step).items():
        corners = [(round(left), round(top)), (round(right), round(bottom))]
        if OBJECTS[name] == "bar":
            cv2.rectangle(frame, *corners, (90, 230, 240), -1)
        else:
            centre = (round((left + right) / 2), round((top + bottom) / 2))
            cv2.circle(frame, centre, round((right - left) / 2), (90, 30, 20), -1)
    return frame


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    rng = np.random.default_rng(0)
    return write_video(
        tmp_path_factory.mktemp("video") / "street.avi", [draw(step, rng) for step in range(FRAMES)], "MJPG"
    )


@pytest.fixture(scope="module")
def written(run_demo, video):
    output = video.parent / "found"
    assert run_demo("--video-input", video, "--output", output, "--save", "coco", "csv") == 0
    return output


def overlap(first, second):
    """The IoU of two boxes, XYXY."""
    sides = np.clip(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]), 0, None)
    areas = [np.prod(np.subtract(box[2:], box[:2])) for box in (first, second)]
    return np.prod(sides) / (sum(areas) - np.prod(sides))


def test_ids_stay_with_their_objects(written):
    with (written / "street.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    changes, seen = 0, dict.fromkeys(OBJECTS, 0)
    last = {}
    for step in range(FRAMES):
        found = [row for row in rows if int(row["frame"]) == step + 1]
        for name, box in boxes_at(step).items():
            alike = [row for row in found if row["class"] == OBJECTS[name]]
            overlaps = [
                overlap(box, [float(row[side]) for side in ("left", "top", "right", "bottom")]) for row in alike
            ]
            if overlaps and max(overlaps) > 0.6:
                track = alike[int(np.argmax(overlaps))]["track_id"]
                changes += last.get(name, track) != track
                last[name] = track
                seen[name] += 1
    assert changes <= 2
    assert seen["left"] > 60 and seen["right"] > 60 and seen["leaving"] > 20, "found, so that there is an id to keep"
    assert len(set(last.values())) == 3


def test_coco_and_csv_say_the_same(written):
    assert sorted(path.name for path in written.iterdir()) == ["street.csv", "street.json"]
    coco = COCO(str(written / "street.json"))
    assert [image["file_name"] for image in coco.dataset["images"]] == [
        f"street_{n:06}.jpg" for n in range(1, FRAMES + 1)
    ]
    with (written / "street.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(coco.anns) > 150
    for row, annotation in zip(rows, coco.dataset["annotations"], strict=True):
        assert int(row["track_id"]) == annotation["track_id"] >= 1
        assert (
            int(row["frame"]) == annotation["image_id"] and float(row["seconds"]) == (annotation["image_id"] - 1) / RATE
        )
        assert int(row["area"]) == annotation["area"]
        left, top, width, height = annotation["bbox"]
        box = [float(row[side]) for side in ("left", "top", "right", "bottom")]
        assert np.allclose(box, [left, top, left + width, top + height], atol=0.01)


def test_tables_that_are_there_are_kept(run_demo, written, video):
    before = (written / "street.csv").read_bytes()
    with pytest.raises(UserError, match=r"street\.csv.*corrected by hand"):
        run_demo("--video-input", video, "--output", written, "--save", "csv")
    assert (written / "street.csv").read_bytes() == before


def test_a_video_that_ends_early_has_tables_of_its_frames(run_demo, video, tmp_path):
    (tmp_path / "cut.avi").write_bytes(video.read_bytes()[: video.stat().st_size // 10])
    with pytest.raises(UserError, match="can be decoded"):
        run_demo("--video-input", tmp_path / "cut.avi", "--output", tmp_path / "out.mp4", "--save", "pictures", "coco")
    images = json.loads((tmp_path / "out.json").read_text())["images"]
    assert 1 <= len(images) == len(read_video(tmp_path / "out.mp4")[0]) < 20


@pytest.mark.parametrize(("source", "kind"), [("--video-input", "labelme"), ("--input", "csv")])
def test_kinds_of_results_that_others_have(run_demo, tmp_path, source, kind):
    with pytest.raises(UserError, match=f"{kind} is not for .*Of .* save pictures"):
        run_demo(source, tmp_path / "a.mp4", "--output", tmp_path / "out", "--save", kind)
