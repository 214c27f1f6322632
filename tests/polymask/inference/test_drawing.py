"""Detections drawn, against what can be said of the pixels."""

import cv2
import numpy as np
import pytest

from dataset_tools.view.palette import class_colour
from polymask.inference.detections import Detection, Detections, place
from polymask.inference.drawing import draw_detections
from polymask.inference.visualizer import DRAWN_WIDTH, LARGEST

GREY = (110, 110, 110)


def grey_photo(height, width):
    return np.full((height, width, 3), GREY, dtype=np.uint8)


def on(photo, *found):
    return Detections(photo.shape[1::-1], ("bar", "disc"), found)


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
        ((8000, 400), (2040, 102)),
        ((1600, 480), (2046, 614)),
        ((2000, 28), (2000, 28)),
        ((1, 10_000), (1, LARGEST)),
    ],
)
def test_the_size_of_a_picture(size, expected):
    photo = grey_photo(*size)
    assert draw_detections(photo, on(photo)).shape[:2] == expected


def test_a_mask_of_a_large_photo_is_drawn_where_it_is():
    photo = grey_photo(6144, 8192)  # a quarter of it is drawn
    drawn = changed(draw_detections(photo, on(photo, block(4000, 2000, 6000, 4000))))
    assert drawn[505:990, 1005:1490].all()
    assert not drawn[:, :990].any() and not drawn[:490].any() and not drawn[1100:].any()


def test_more_than_are_drawn_at_a_time():
    """All of them, and the small ones on top of the large one, in whatever order they come."""
    photo = grey_photo(1000, 1000)
    small = [block(x, y, x + 40, y + 40, category=1) for x in range(10, 1000, 100) for y in range(10, 1000, 100)]
    for found in ([*small, block(0, 0, 1000, 1000)], [block(0, 0, 1000, 1000), *small]):
        picture = draw_detections(photo, on(photo, *found))
        assert picture.shape == (1000, 1000, 3) and changed(picture).mean() > 0.99
        blue = picture[..., 0].astype(int)
        small_ones = [blue[y + 2 : y + 8, x + 25 : x + 35].mean() for x in (10, 510, 910) for y in (10, 510, 910)]
        between = [blue[y + 70 : y + 90, x + 60 : x + 90].mean() for x in (10, 510) for y in (10, 510)]
        assert min(small_ones) > max(between) + 40, "a disc is light blue, a bar orange"


@pytest.mark.parametrize("names", [("Größe", "Grüße"), ("Машина", "Дерево"), ("汽车", "行人"), ("", "\n")])
def test_classes_are_told_apart_in_every_script(names, recwarn):
    photo = grey_photo(240, 320)
    found = [Detections((320, 240), names, (block(80, 60, 200, 160, category=c),)) for c in (0, 1)]
    first, second = (cv2.cvtColor(draw_detections(photo, one), cv2.COLOR_BGR2GRAY) for one in found)
    label = np.s_[480:520, 240:420]  # below the box; beside the colour, the letters differ
    assert np.abs(first[label].astype(int) - second[label]).max() > 100
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


@pytest.mark.parametrize("scale", [1, 2.5])
def test_each_class_has_its_colour_wherever_it_is(scale):
    """Half of it, and half of the photo."""
    photo = grey_photo(*(round(scale * side) for side in (384, 512)))
    for category in (0, 1):
        for x in (10, 200, 400):
            left, top, right, bottom = (round(scale * side) for side in (x, 100, x + 100, 200))
            picture = draw_detections(photo, on(photo, block(left, top, right, bottom, category)), largest=4000)
            enlarged = picture.shape[1] / photo.shape[1]
            inner = [round(enlarged * side) for side in (top + 60 * scale, bottom - 9, left + 9, right - 9)]
            shown = picture[inner[0] : inner[1], inner[2] : inner[3]].mean(axis=(0, 1))
            assert np.abs(shown - (110 + np.array(class_colour(category)[::-1])) / 2).max() < 2


def test_the_mask_of_a_resized_photo():
    pixels = np.zeros((8, 12), dtype=bool)
    pixels[2:6, 4:8] = True
    assert np.array_equal(place(pixels).resized((4, 6), 0.5), pixels[1::2, 1::2])
    assert np.array_equal(place(pixels).resized((8, 12), 1), pixels)
    assert not place(np.zeros((8, 12), dtype=bool)).resized((4, 6), 0.5).any()
