"""Lists of instances that were made by hand: what is compared, and what is refused."""

import msgspec
import numpy as np
import pytest

from polymask.export.comparison import compare_photo, merged
from polymask.inference.detections import Detection, Detections, place

LOWEST, MOST = 0.05, 100


def instance(left=10.0, score=0.9, category=0, side=40.0, mask=None):
    pixels = np.ones((int(side), int(side)), dtype=bool) if mask is None else mask
    box = (left, 20.0, left + side, 20.0 + side)
    return Detection(category, score, box, place(pixels, int(left), 20))


def compare(model, file, most=MOST):
    lists = (
        Detections((400, 400), ("a", "b"), tuple(sorted(found, key=lambda d: -d.score))) for found in (model, file)
    )
    return compare_photo("photo.jpg", *lists, LOWEST, most)


def of_many(model, file, photos=60):
    """The comparison of so many photos that are alike, and one with these instances."""
    return merged([compare([instance()], [instance()])] * photos + [compare(model, file)])


def faults(model, file, **options):
    return list(of_many(model, file, **options).faults())


def test_equal_lists_have_no_faults():
    found = [instance(), instance(left=200, category=1, score=0.3)]
    assert faults(found, found) == []
    comparison = compare(found, found)
    assert len(comparison.differences) == 2 and not comparison.unmatched
    assert all(d.box == d.score == d.pixels == 0 for d in comparison.differences)


@pytest.mark.parametrize(
    "other, word",
    [
        (instance(left=10.009), None),
        (instance(left=10.011), "box"),
        (instance(score=0.90009), None),
        (instance(score=0.90011), "score"),
        (instance(category=1), "alone"),
        (instance(left=300), "alone"),
    ],
)
def test_each_figure_has_its_limit(other, word):
    assert [word in fault for fault in faults([instance()], [other])] == [True] * bool(word)


@pytest.mark.parametrize("side, pixels", [(40, 4), (300, 13)])
def test_a_mask_may_differ_in_a_few_pixels(side, pixels):
    """4, and 1 in 10,000 of the box."""
    masks = []
    for missing in (0, pixels, pixels + 1):
        masks.append(np.ones((side, side), dtype=bool))
        masks[-1].flat[:missing] = False
    whole, few, many = (instance(side=side, mask=mask) for mask in masks)
    assert faults([whole], [few]) == []
    assert ["mask" in fault for fault in faults([whole], [many])] == [True]
    assert ["mask" in fault for fault in faults([many], [whole])] == [True]


@pytest.mark.parametrize("score, tie", [(LOWEST + 9e-5, True), (LOWEST + 1.1e-4, False)])
def test_at_the_threshold_one_of_the_two_may_find_more(score, tie):
    for lists in (
        [[instance(), instance(left=200, score=score)], [instance()]],
        [[instance()], [instance(), instance(left=200, score=score)]],
    ):
        comparison = compare(*lists)
        assert [found.tie for found in comparison.unmatched] == [tie]


@pytest.mark.parametrize("apart, tie", [(9e-5, True), (1.1e-4, False)])
def test_either_of_two_that_overlap_and_score_alike_may_stay(apart, tie):
    comparison = compare([instance(left=10)], [instance(left=20, score=0.9 - apart)])
    assert [(found.finder, found.tie) for found in comparison.unmatched] == [("model", tie), ("file", tie)]
    comparison = compare([instance(left=10)], [instance(left=200, score=0.9 - apart)])
    assert not any(found.tie for found in comparison.unmatched), "they do not overlap"


def test_where_a_photo_is_full_the_lowest_score_is_the_threshold():
    full = [instance(left=left, score=0.5 + left / 1000) for left in (0, 100, 200)]
    other = [instance(left=300, score=0.50009), *full[1:]]
    assert all(found.tie for found in compare(full, other, most=3).unmatched)
    assert not any(found.tie for found in compare(full, other, most=4).unmatched)


def test_one_tie_in_500_is_allowed_and_listed():
    model, file = [instance()], [instance(), instance(left=200, score=LOWEST)]
    assert "alone" in faults(model, file, photos=498)[0]
    comparison = of_many(model, file, photos=499)
    assert list(comparison.faults()) == [] and len(comparison.unmatched) == 1
    assert "alone" in faults(model, [*file, instance(left=300, score=LOWEST)], photos=499)[0]
    assert "alone" in faults(model, [instance(), instance(left=200)], photos=5000)[0], "no tie"


def test_where_little_was_compared_nothing_was_checked():
    assert faults([instance()], [instance()], photos=49) == []
    assert "nothing could be checked" in faults([instance()], [instance()], photos=48)[0]
    assert "nothing could be checked" in next(compare([], []).faults())


def test_a_record_can_be_written():
    comparison = compare([instance()], [instance(left=20)])
    assert msgspec.json.decode(msgspec.json.encode(comparison), type=type(comparison)) == comparison
