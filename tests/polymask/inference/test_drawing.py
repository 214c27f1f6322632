"""Detections drawn, against what can be said of the pixels."""

import numpy as np
import pytest

from polymask.inference.detections import Detection, place
from polymask.inference.drawing import LARGEST, draw_detections, instances_of
from polymask.inference.visualizer import DRAWN_WIDTH, metadata_of

GREY = (110, 110, 110)
METADATA = metadata_of(["bar", "disc"])


def block(left, top, right, bottom, category=0, score=0.9):
    mask = place(np.ones((bottom - top, right - left), dtype=bool), left, top)
    return Detection(category, score, (left, top, right, bottom), mask)


def changed(picture):
    return np.abs(picture.astype(int) - GREY).max(axis=2) > 25


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((240, 320), (720, DRAWN_WIDTH)),
        ((800, 1200), (800, 1200)),
        ((6000, 8000), (1536, LARGEST)),
        ((8000, 400), (LARGEST, 102)),
    ],
)
def test_the_size_of_a_picture(size, expected):
    assert draw_detections(np.full((*size, 3), GREY, dtype=np.uint8), [], METADATA).shape[:2] == expected


def test_a_mask_of_a_large_photo_is_drawn_where_it_is():
    photo = np.full((6144, 8192, 3), GREY, dtype=np.uint8)  # a quarter of it is drawn
    drawn = changed(draw_detections(photo, [block(4000, 2000, 6000, 4000)], METADATA))
    assert drawn[505:990, 1005:1490].all()
    assert not drawn[:, :990].any() and not drawn[:490].any() and not drawn[1100:].any()


def test_more_than_are_drawn_at_a_time():
    """All of them, and the small ones on top of the large one, in whatever order they come."""
    photo = np.full((1000, 1000, 3), GREY, dtype=np.uint8)
    small = [block(x, y, x + 40, y + 40, category=1) for x in range(10, 1000, 100) for y in range(10, 1000, 100)]
    for found in ([*small, block(0, 0, 1000, 1000)], [block(0, 0, 1000, 1000), *small]):
        picture = draw_detections(photo, found, METADATA)
        assert picture.shape == (1000, 1000, 3) and changed(picture).mean() > 0.99
        blue = picture[..., 0].astype(int)
        small_ones = [blue[y + 2 : y + 8, x + 25 : x + 35].mean() for x in (10, 510, 910) for y in (10, 510, 910)]
        between = [blue[y + 70 : y + 90, x + 60 : x + 90].mean() for x in (10, 510) for y in (10, 510)]
        assert min(small_ones) > max(between) + 40, "a disc is light blue, a bar orange"


def test_the_masks_of_a_resized_photo():
    mask = np.zeros((8, 12), dtype=bool)
    mask[2:6, 4:8] = True
    detection = Detection(0, 0.9, (4, 2, 8, 6), place(mask))
    instances = instances_of([detection], (4, 6), 0.5)
    assert np.array_equal(instances.pred_masks[0].numpy(), mask[1::2, 1::2])
    assert instances.pred_boxes.tensor.tolist() == [[2, 1, 4, 3]]
    assert np.array_equal(instances_of([detection], (8, 12)).pred_masks[0].numpy(), mask)
    assert len(instances_of([], (8, 12))) == 0
