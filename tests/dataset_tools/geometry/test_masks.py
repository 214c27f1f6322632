"""Masks put together, measured and compared, against pycocotools and against what is counted pixel by pixel."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from dataset_tools.geometry import masks
from dataset_tools.geometry.masks import (
    PairBudget,
    clip_mask,
    fill_polygons,
    measure_masks,
    nesting_depths,
    overlapping_masks,
    rasterise_polygons,
)

SIZE = (96, 80)

coordinates = st.floats(-30, 120, allow_nan=False).map(lambda value: round(value, 3))
points = st.tuples(coordinates, coordinates)


def test_more_masks_than_pycocotools_can_count():
    areas, boxes = measure_masks(rasterise_polygons([np.array([(0.0, 0), (9, 0), (9, 9), (0, 9)])] * 600, SIZE))
    assert areas == [81] * 600 and len(boxes) == 600


blocks = st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 12), st.integers(1, 12), st.integers(0, 1))


@settings(deadline=None, max_examples=300)
@given(st.lists(blocks, max_size=7), st.lists(st.tuples(points, points, points), max_size=3), st.floats(0.1, 1))
def test_overlaps_are_those_that_pycocotools_finds(blocks, triangles, at_least):
    kinds = [kind for *_, kind in blocks] + [0] * len(triangles)
    corners = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h)] for x, y, w, h, _ in blocks]
    masks = rasterise_polygons([np.array(polygon, dtype=float) for polygon in (*corners, *triangles)], SIZE)
    areas, boxes = measure_masks(masks)
    seen = [index for index, area in enumerate(areas) if area > 0]
    kinds, masks, areas, boxes = ([values[index] for index in seen] for values in (kinds, masks, areas, boxes))
    ious = coco_mask.iou(masks, masks, [0] * len(masks)) if masks else []
    expected = [
        (one, other, ious[one][other])
        for one, other in combinations(range(len(masks)), 2)
        if kinds[one] == kinds[other] and ious[one][other] >= at_least
    ]
    assert sorted(overlapping_masks(kinds, masks, boxes, at_least, PairBudget())) == expected


@given(st.integers(-12, 110), st.integers(-12, 90), st.integers(1, 12), st.integers(1, 12), st.floats(-0.49, 0.49))
def test_what_is_inside_is_in_its_place(left, top, width, height, fraction):
    mask = np.random.default_rng(0).random((height, width)) < 0.5
    expected = np.zeros(SIZE[::-1], dtype=bool)
    for y, x in zip(*np.nonzero(mask)):
        if 0 <= top + y < SIZE[1] and 0 <= left + x < SIZE[0]:
            expected[top + y, left + x] = True
    inside, x, y = clip_mask(mask, (left + fraction, top + fraction), SIZE)
    pasted = np.zeros(SIZE[::-1], dtype=bool)
    pasted[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    assert np.array_equal(pasted, expected)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 30)] * 2), min_size=2, max_size=6))
def test_nesting_is_the_longest_chain_of_masks_around_one(boxes):
    corners = [[(x, y), (x + w, y), (x + w, y + h), (x, y + h)] for x, y, w, h in boxes]
    masks = [fill_polygons([np.array(polygon, dtype=float)], SIZE) for polygon in corners]

    def depth(one):
        around = [other for other in masks if (one <= other).all() and (one != other).any()]
        return max((depth(other) + 1 for other in around), default=0)

    encoded = [coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]
    assert nesting_depths(encoded, PairBudget()) == list(map(depth, masks))


class CountedList(list):
    """Counts the items that are looked at."""

    looks = 0

    def __iter__(self):
        for item in super().__iter__():
            CountedList.looks += 1
            yield item

    def __getitem__(self, index):
        CountedList.looks += 1
        return super().__getitem__(index)


def test_masks_in_a_row_are_not_all_looked_at_for_each_of_them(monkeypatch):
    monkeypatch.setattr(masks, "sorted", lambda items: CountedList(sorted(items)), raising=False)
    CountedList.looks = 0
    boxes = [(3.0 * index, 0.0, 2.0, 2.0) for index in range(1000)]
    assert list(overlapping_masks(["car"] * 1000, [None] * 1000, boxes, 0.5, PairBudget())) == []
    assert 0 < CountedList.looks < 3000
