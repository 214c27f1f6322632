"""Ids of objects whose boxes are known."""

import numpy as np
import pytest

from polymask.inference.detections import EMPTY, Detection, Detections
from polymask.inference.tracker import LONGEST_GAP, Tracker

RATE = 10


def frame(*objects):
    """Objects as (class, left, top): boxes of 20 x 20 px, the best first."""
    found = [Detection(kind, 0.9, (x, y, x + 20, y + 20), EMPTY) for kind, x, y in objects]
    return Detections((200, 100), ("car", "bus"), tuple(found))


def ids(tracker, *objects):
    return [detection.track_id for detection in tracker.follow(frame(*objects))]


def test_ids_stay_with_their_objects_in_whatever_order_these_come():
    tracker, rng = Tracker(RATE), np.random.default_rng(0)
    for step in range(30):
        objects = [(0, 3 * step, 10), (0, 150 - 3 * step, 50), (1, 100, 70)]
        order = rng.permutation(3)
        found = ids(tracker, *[objects[index] for index in order])
        if step == 0:
            names = dict(zip(order, found, strict=True))
            assert sorted(found) == [1, 2, 3]
        assert found == [names[index] for index in order]


def test_the_nearest_box_counts():
    """Both new boxes have an IoU of at least .50 with the first one's; Detectron2's own order would take the first."""
    tracker = Tracker(RATE)
    assert ids(tracker, (0, 50, 10)) == [1]
    assert ids(tracker, (0, 55, 10), (0, 51, 10)) == [2, 1]


def test_a_box_of_its_class_comes_first_and_another_will_do():
    tracker = Tracker(RATE)
    assert ids(tracker, (0, 50, 10), (1, 52, 10)) == [1, 2]
    assert ids(tracker, (1, 50, 10), (0, 52, 10)) == [2, 1]
    tracker = Tracker(RATE)
    assert ids(tracker, (0, 50, 10)) == ids(tracker, (1, 50, 10)) == [1]


@pytest.mark.parametrize("seen", [1, 2])
@pytest.mark.parametrize(
    ("missed", "same"), [(1, True), (round(LONGEST_GAP * RATE), True), (round(LONGEST_GAP * RATE) + 1, False)]
)
def test_an_object_that_is_missed_for_a_while(missed, same, seen):
    tracker = Tracker(RATE)
    for _ in range(seen):
        assert ids(tracker, (0, 50, 10), (0, 100, 10)) == [1, 2]
    for _ in range(missed):
        assert ids(tracker, (0, 100, 10)) == [2]
    assert ids(tracker, (0, 100, 10), (0, 50, 10)) == [2, 1 if same else 3]


def test_an_object_that_comes_when_another_leaves_is_a_new_one():
    tracker = Tracker(RATE)
    assert ids(tracker) == []
    assert ids(tracker, (0, 50, 10)) == [1]
    assert ids(tracker, (0, 150, 70)) == [2]
    assert ids(tracker) == []
