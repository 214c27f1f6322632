"""Tiles, with a predictor that is always right: it reads the objects off the photo's pixels."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_tools.errors import UserError
from polymask.inference.detections import Detection, Detections, place, union
from polymask.inference.tiles import detect_in_tiles, merge, tiles_of

sides = st.integers(2, 60)
overlaps = st.floats(0.01, 0.9)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), sides, overlaps)
def test_tiles_cover_the_photo_and_overlap(width, height, side, overlap):
    tiles = tiles_of(width, height, side, overlap)
    covered = np.zeros((height, width), dtype=int)
    for left, top, right, bottom in tiles:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert (right - left, bottom - top) == (min(side, width), min(side, height))
        covered[top:bottom, left:right] += 1
    assert covered.all()
    assert len(set(tiles)) == len(tiles)
    columns, rows = sorted({(t[0], t[2]) for t in tiles}), sorted({(t[1], t[3]) for t in tiles})
    assert len(tiles) == len(columns) * len(rows)
    wanted = min(overlap * side, side - 1)
    for (_, end), (start, _) in itertools.chain(itertools.pairwise(columns), itertools.pairwise(rows)):
        assert end - start >= max(1, wanted)


@pytest.mark.parametrize(
    ("side", "overlap"), [(1, 0.2), (0, 0.2), (100, 0), (100, -0.1), (100, 0.95), (100, float("nan"))]
)
def test_tiles_that_cannot_be(side, overlap):
    with pytest.raises(UserError, match="--tile|--overlap"):
        tiles_of(500, 500, side, overlap)


def test_as_few_tiles_as_possible():
    assert tiles_of(1843, 1000, 1024, 0.2) == [(0, 0, 1024, 1000), (819, 0, 1843, 1000)]  # 205 px are 0.2002 of 1024
    assert len(tiles_of(1844, 1000, 1024, 0.2)) == 3
    assert tiles_of(1024, 1024, 1024, 0.2) == [(0, 0, 1024, 1024)]


# The photo of an object has its number in the first channel, and its class in the second.


def oracle(photos):
    """Every object that shows in a photo, its class and its pixels, one as surely as the other."""
    return [detections(photo, objects_on(photo)) for photo in photos]


def objects_on(photo):
    for number in np.unique(photo[..., 0][photo[..., 0] > 0]):
        pixels = photo[..., 0] == number
        mask = place(pixels)
        yield Detection(int(photo[..., 1][pixels][0]), 0.9, box_of(mask), mask)


def detections(photo, found):
    return Detections(photo.shape[1::-1], ("bar", "disc", "ring"), tuple(found))


def box_of(mask):
    return tuple(float(value) for value in mask.window)


@st.composite
def scenes(draw):
    """Discs and rectangles that do not touch one another: those that would are not drawn."""
    width, height = draw(st.integers(20, 120)), draw(st.integers(20, 120))
    photo = np.zeros((height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[:height, :width]
    for number in range(1, draw(st.integers(1, 8)) + 1):
        cx, cy = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
        w, h = draw(st.integers(1, 50)), draw(st.integers(1, 50))
        disc = draw(st.booleans())
        shape = (
            (x - cx) ** 2 + (y - cy) ** 2 <= (w / 2) ** 2 if disc else (abs(x - cx) <= w / 2) & (abs(y - cy) <= h / 2)
        )
        around = np.zeros((height + 2, width + 2), dtype=bool)
        for dy, dx in itertools.product(range(3), range(3)):
            around[dy : dy + height, dx : dx + width] |= shape
        if not photo[..., 0][around[1:-1, 1:-1]].any():
            photo[shape] = (number, draw(st.integers(0, 2)), 0)
    return photo


@settings(max_examples=300, deadline=None)
@given(scenes(), st.integers(16, 60), st.floats(0.05, 0.6), st.integers(1, 5), st.integers(0, 10))
def test_what_is_right_in_tiles_is_right_in_the_photo(photo, side, overlap, batch_size, near):
    (expected,) = oracle([photo])
    together = detect_in_tiles(oracle, photo, side, overlap, batch_size)
    assert in_order(together) == in_order(expected)
    assert (together.size, together.classes) == (expected.size, expected.classes)
    tiles, found = seen_in_tiles(photo, side, overlap)
    assert in_order(merge(found, tiles, photo.shape[:2], near)) == in_order(expected)


def in_order(detections):
    return sorted(detections, key=lambda detection: (detection.mask.window, detection.mask.counts))


def seen_in_tiles(photo, side, overlap):
    """The tiles of a photo, and what the oracle sees in each, in pixels of the photo."""
    tiles = tiles_of(photo.shape[1], photo.shape[0], side, overlap)
    found = oracle([photo[top:bottom, left:right] for left, top, right, bottom in tiles])
    return tiles, [[d.moved(t[0], t[1]) for d in some] for some, t in zip(found, tiles, strict=True)]


@pytest.mark.parametrize("near", [0, 1, 3, 8])
def test_an_object_of_four_tiles_and_one_of_two(near):
    photo = np.zeros((60, 70, 3), dtype=np.uint8)
    photo[15:45, 25:50] = (1, 0, 0)  # around what four tiles share
    photo[50:55, 5:65] = (2, 0, 0)
    photo[2:5, 2:5] = (3, 1, 0)  # in one
    tiles, found = seen_in_tiles(photo, 40, 0.15)
    assert [len(some) for some in found] == [2, 1, 2, 2], "the first in all four, the second in the two below"
    assert in_order(merge(found, tiles, (60, 70), near)) == in_order(oracle([photo])[0])


def test_a_photo_no_larger_than_a_tile_is_not_touched():
    """Also what no merging would leave: two equal detections, one of nothing, and the wrong order."""
    same = Detection(0, 0.3, (1.0, 1.0, 4.0, 4.0), place(np.ones((3, 3), dtype=bool), 1, 1))
    nothing = Detection(0, 0.9, (1.0, 1.0, 4.0, 4.0), place(np.zeros((3, 3), dtype=bool)))
    photo = np.zeros((40, 50, 3), np.uint8)
    found = detections(photo, [same, same, nothing])
    assert detect_in_tiles(lambda photos: [found for _ in photos], photo, 50, 0.2) == found


# What a model does that is not always right. Two tiles side by side: 0..60 and 40..100, 50 high.

TILES = [(0, 0, 60, 50), (40, 0, 100, 50)]


def rectangle(left, top, right, bottom, score=0.9, category=0):
    mask = place(np.ones((bottom - top, right - left), dtype=bool), left, top)
    return Detection(category, score, (float(left), float(top), float(right), float(bottom)), mask)


def merged(first, second):
    return merge([first, second], TILES, (50, 100))


@pytest.mark.parametrize("category", [0, 1])
def test_a_slice_goes_where_the_other_tile_has_seen_it_whole(category):
    whole, slice_ = rectangle(20, 10, 50, 30, 0.6), rectangle(40, 12, 51, 31, 0.95, category)
    assert merged([whole], [slice_]) == [whole]


def test_a_slice_stays_where_the_other_tile_has_seen_something_else():
    other, slice_ = rectangle(20, 10, 50, 30, 0.6), rectangle(40, 29, 51, 45)
    assert merged([other], [slice_]) == [slice_, other]


def test_halves_that_agree_are_united():
    left, right = rectangle(20, 10, 60, 30, 0.6), rectangle(40, 12, 90, 32, 0.8)  # in 40..60 their IoU is 18 / 22
    (found,) = merged([left], [right])
    assert found.mask == union([left.mask, right.mask])
    assert (found.score, found.box) == (0.8, (20, 10, 90, 32))


def test_halves_that_do_not_agree_are_two():
    left, right = rectangle(20, 10, 60, 30, 0.6), rectangle(40, 18, 90, 38, 0.8)  # 12 / 28
    assert merged([left], [right]) == [right, left]
    other_class = rectangle(40, 10, 90, 30, 0.5, category=1)
    assert merged([left], [other_class]) == [left, other_class]


def test_a_slice_that_was_seen_too_badly_to_be_united():
    left = rectangle(20, 0, 60, 50, 0.6)
    assert merged([left], [rectangle(40, 0, 55, 12, 0.9)]) == [left]
    other_class = rectangle(40, 0, 55, 12, 0.9, category=1)
    assert merged([left], [other_class]) == [other_class, left], "left is cut itself"


def test_what_both_have_seen_whole_is_one():
    first, second = rectangle(44, 10, 56, 30, 0.6), rectangle(44, 11, 56, 31, 0.7)
    assert merged([first], [second]) == [second]
    other_class = rectangle(44, 11, 56, 31, 0.7, category=1)
    assert merged([first], [other_class]) == [other_class, first]
    beside = rectangle(44, 20, 56, 40, 0.7)  # IoU 1 / 3
    assert merged([first], [beside]) == [beside, first]


def test_detections_of_one_tile_are_two_objects():
    first, second = rectangle(5, 10, 30, 30, 0.6), rectangle(5, 11, 30, 31, 0.7)
    assert merged([first, second], []) == [second, first]


def test_nothing_found():
    assert merged([], []) == []
    assert merged([rectangle(5, 5, 5, 5)], []) == []
